"""What the registry is told of a training: gathered from the lake before MLflow is asked for anything."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.compute as pc

from salesml_assets.config.settings import KEYS
from salesml_assets.forecasting.comparison import TABLE_METRICS, Comparison
from salesml_assets.forecasting.metrics import TOTAL
from salesml_assets.forecasting.versions import ListsFiles, ReadsFiles, Version, read_version
from salesml_assets.names import (
    EVERYTHING_FILE,
    MODEL_COMPARISON,
    PRODUCTION_MODEL,
    SALES_SERIES,
    SPARK_MODEL_FOLDER,
)

if TYPE_CHECKING:
    import pandas as pd

    from salesml_assets.forecasting.model.bundle import Bundle
    from salesml_assets.lake.store import Lakehouse

EXAMPLE_SERIES, EXAMPLE_STEPS = 2, 120


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A trained version and the evidence for it.

    Attributes:
        version: Its row of the table.
        bundle: Its model.
        comparison: The comparison that chose it; None where its file is gone.
        example: Recent history of some series, as the model takes it.
        spark_model: The files of MLlib's own form of the model; none where no setting asked for it.
    """

    version: Version
    bundle: Bundle
    comparison: Comparison | None
    example: pd.DataFrame
    spark_model: Mapping[str, bytes]

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the MLflow run: of the algorithm, of the forecast, and the versions of the lake's tables."""
        bundle = self.bundle
        forecast = bundle.settings["forecast"]
        return {
            **bundle.parameters,
            "algorithm": bundle.algorithm,
            "forecast.series": "/".join(bundle.series_keys),
            **{f"forecast.{name}": forecast[name] for name in ("target", "frequency", "horizon")},
            "training.cutoff": str(bundle.cutoff),
            "training.rows": bundle.rows,
            **{f"table.{name}": number for name, number in bundle.lake_versions.items()},
        }

    def metrics(self) -> Iterator[tuple[str, float, int]]:
        """Name, value and step of each metric: the winner's over all folds and by fold (the step), those of the others.

        `wape`, `bias` …; `fold.wape` by fold; `wape.random_forest` … of every algorithm.
        """
        if self.comparison is None:
            return
        found, winner = self.comparison.metrics, self.comparison.decision.winner
        rows = found[found["metric"].isin(TABLE_METRICS) & found["value"].notna()]
        for row in rows.to_dict("records"):
            name, value = str(row["metric"]), float(row["value"])
            if row["dimension"] == "total" and row["segment"] == TOTAL:
                yield f"{name}.{row['algorithm']}", value, 0
                if row["algorithm"] == winner:
                    yield name, value, 0
            elif row["dimension"] == "fold" and row["algorithm"] == winner:
                yield f"fold.{name}", value, int(row["segment"])

    @property
    def decision_json(self) -> str:
        """The decision as text."""
        return json.dumps(self.version.decision, indent=2, sort_keys=True)


def gather(lake: Lakehouse, files: ListsFiles, version: Version) -> Entry:
    """Reads all that the registry is told of a version.

    Args:
        lake: The lake.
        files: Its files.
        version: A trained version.

    Raises:
        BundleError: Its bundle is incomplete or was changed.
    """
    bundle = read_version(files, version)
    return Entry(
        version=version,
        bundle=bundle,
        comparison=_comparison(lake, files, version),
        example=_example(lake, bundle),
        spark_model=_spark_model(files, version),
    )


def _spark_model(files: ListsFiles, version: Version) -> dict[str, bytes]:
    prefix = f"{SPARK_MODEL_FOLDER}/"
    names = (name for name in files.list(PRODUCTION_MODEL, version.folder) if name.startswith(prefix))
    return {name.removeprefix(prefix): files.read(PRODUCTION_MODEL, version.folder, name) for name in names}


def _comparison(lake: Lakehouse, files: ReadsFiles, version: Version) -> Comparison | None:
    """The comparison that the version was made from, by the run that wrote that version of its table."""
    number = version.lake_versions.get(MODEL_COMPARISON)
    commits = lake.history(MODEL_COMPARISON) if lake.exists(MODEL_COMPARISON) else []
    run = next((commit.run_id for commit in commits if commit.version == number), None)
    if run is None:
        return None
    try:
        return Comparison.from_json(files.read(MODEL_COMPARISON, run, EVERYTHING_FILE).decode())
    except FileNotFoundError:
        return None


def _example(lake: Lakehouse, bundle: Bundle) -> pd.DataFrame:
    """The last steps of some series, one after the other."""
    there = lake.columns(SALES_SERIES)
    covariates = [*bundle.features.numbers, *bundle.features.texts]
    about = [name for name in (*bundle.series_keys, *KEYS) if name in there]
    columns = [*dict.fromkeys(about), "ds", "y", "closed", *[name for name in covariates if name in there]]
    known = pc.field("ds") <= bundle.cutoff
    first = next(lake.batches(SALES_SERIES, ["unique_id"], known), pl.DataFrame({"unique_id": []}))
    series = first["unique_id"].unique().sort().head(EXAMPLE_SERIES).to_list()
    shown = known & pc.field("unique_id").isin(series)
    rows = lake.read_polars(SALES_SERIES, ["unique_id", *columns], shown).sort("unique_id", "ds")
    rows = rows.group_by("unique_id", maintain_order=True).tail(EXAMPLE_STEPS)
    return rows.select(columns).with_columns(pl.col("ds").cast(pl.Datetime("us"))).to_pandas()
