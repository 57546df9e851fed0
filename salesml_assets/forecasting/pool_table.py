"""What series know from one another, from the lake's features: read in batches, some series drawn, without Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pyarrow.compute as pc

from salesml_assets.config.settings import KEYS
from salesml_assets.forecasting.calendar_regression import Terms, knots
from salesml_assets.forecasting.draws import uniform
from salesml_assets.forecasting.features import FeatureSpec, feature_spec
from salesml_assets.forecasting.folds import rolling_folds
from salesml_assets.forecasting.pooled import SERIES, make_pool
from salesml_assets.lake.aggregate import Partial
from salesml_assets.names import FEATURES

if TYPE_CHECKING:
    from salesml_assets.config.settings import Settings
    from salesml_assets.lake.store import Lakehouse


def spec_of_lake(lake: Lakehouse, settings: Settings) -> FeatureSpec:
    """The features that the table `features` allows for."""
    kinds = lake.columns(FEATURES)
    names = settings.forecast.known_future.columns
    return feature_spec(settings, {name: kinds[name] for name in names if name in kinds}, kinds)


def pooled_calendar(lake: Lakehouse, settings: Settings) -> pl.DataFrame:
    """The table `pooled_calendar`, in the form of `Pool.to_frame`; empty where no feature needs it.

    Args:
        lake: The lake; of the table `features` the drawn series are read as a whole, of all others their sums.
        settings: The settings.
    """
    spec = spec_of_lake(lake, settings)
    terms = Terms.of(spec)
    names = _drawn(lake)
    kinds = lake.columns(FEATURES)
    columns = ["unique_id", "ds", "y", "closed", "scale", "live", *spec.numbers]
    columns += [name for name in KEYS if name in kinds]
    rows = lake.read_polars(FEATURES, columns, pc.field("unique_id").isin(names))
    totals = _totals(lake, spec)
    first, last = totals["ds"].min(), totals["ds"].max()
    step_days = 7 if spec.weekly else 1
    folds = rolling_folds(last, settings.forecast.horizon, settings.training.folds, step_days)  # type: ignore[arg-type]
    cutoffs = tuple(fold.cutoff.toordinal() for fold in folds)
    at = knots(first.toordinal(), last.toordinal(), cutoffs)  # type: ignore[union-attr]
    return make_pool(rows, totals, spec, at).to_frame(terms)


def _drawn(lake: Lakehouse) -> list[str]:
    """The names of the series that take part, drawn by a hash of their names."""

    def lowest(names: pl.DataFrame) -> pl.DataFrame:
        return names.unique().sort("draw", "unique_id").head(SERIES)

    found = Partial(lowest, pl.DataFrame(schema={"unique_id": pl.String, "draw": pl.Float64}))
    for batch in lake.batches(FEATURES, ["unique_id"]):
        own = batch.unique()
        found.add(own.with_columns(uniform(own["unique_id"], seed=0)))
    return found.total()["unique_id"].to_list()


def _totals(lake: Lakehouse, spec: FeatureSpec) -> pl.DataFrame:
    """Open sales of all series by region and step: `region`, `ds`, `y`; `y` is null where nothing is known."""
    by_store = bool(spec.regions) and "store" in lake.columns(FEATURES)
    region = pl.lit(spec.region)
    if by_store:
        region = pl.col("store").replace_strict(dict(spec.regions), default=spec.region, return_dtype=pl.String)
    summed = Partial(_add_up)
    for batch in lake.batches(FEATURES, ["ds", "y", "closed", *(["store"] if by_store else [])]):
        opened = pl.when(~pl.col("closed")).then(pl.col("y"))
        summed.add(_add_up(batch.select("ds", region=region, y=opened)))
    return summed.total().sort("region", "ds")


def _add_up(rows: pl.DataFrame) -> pl.DataFrame:
    known = pl.col("y").count() > 0
    return rows.group_by("region", "ds").agg(pl.when(known).then(pl.col("y").sum()).alias("y"))
