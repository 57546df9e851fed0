"""Past forecasts joined with actuals, from the versions of a table of forecasts; without Spark."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.compute as pc

from salesml_assets.config.settings import HISTORY_DAYS
from salesml_assets.forecasting.draws import uniform
from salesml_assets.forecasting.metrics import horizon_bucket
from salesml_assets.forecasting.stability import change_sums
from salesml_assets.lake.facts import written_versions
from salesml_assets.names import FORECASTS, SALES_SERIES

if TYPE_CHECKING:
    from salesml_assets.config.settings import Settings
    from salesml_assets.lake.store import Lakehouse

MAX_VERSIONS = 60  # of the table of forecasts: more than a year of weekly ones
MAX_ROWS = 4_000_000  # rows of past forecasts that are held at a time, some 400 MB
PAST_SCHEMA = pl.Schema(
    {
        "unique_id": pl.String, "model_version": pl.Int32, "origin": pl.Date, "ds": pl.Date, "horizon": pl.Int32,
        "yhat": pl.Float64, "y": pl.Float64, "naive": pl.Float64,
    }
)  # fmt: skip
PAIR_SCHEMA = pl.Schema({name: PAST_SCHEMA[name] for name in ("model_version", "origin")})
ACCURACY_SCHEMA = pl.Schema(
    {
        "model_version": pl.Int32, "week": pl.Date, "horizon_bucket": pl.String, "wape": pl.Float64,
        "bias": pl.Float64, "rows": pl.Int64, "volume": pl.Float64, "baseline_wape": pl.Float64, "change": pl.Float64,
    }
)  # fmt: skip


def past_forecasts(lake: Lakehouse, settings: Settings) -> Iterator[pl.DataFrame]:
    """All forecasts whose steps are over, from the versions of the table `forecasts`, with the actual value.

    Closed and unknown steps are left out, as in the backtests. Of several tables made by the same model at the same
    origin, only the last one counts.

    Args:
        lake: The lake.
        settings: The settings.

    Yields:
        Frames of whole series, sorted by series, step and origin: `unique_id`, `model_version`, `origin`, `ds`,
        `horizon` (steps), `yhat`, `y`, `naive` (the value a season before, known at the origin; 0 where there was
        none). One frame where `MAX_ROWS` hold all; with more series, each frame has its share of them, drawn by a
        hash of their names.
    """
    past = PastForecasts(lake, settings)
    for part in range(past.parts):
        yield past.rows(part, past.parts)


def past_predictions(lake: Lakehouse, settings: Settings, backtest: str) -> Iterator[pl.DataFrame]:
    """Past forecasts together with a backtest.

    Args:
        lake: The lake.
        settings: The settings.
        backtest: Name of the algorithm whose backtest counts; the lake need not have one.

    Yields:
        Frames of whole series, as `past_forecasts` does: `unique_id`, `origin`, `ds`, `y`, `yhat`; of one origin, the
        forecast comes after the backtest.
    """
    tested = lake.size(backtest).rows if lake.exists(backtest) else 0
    past = PastForecasts(lake, settings)
    parts = parts_of(past.count + tested)
    columns = ["unique_id", "origin", "ds", "y", "yhat"]
    for part in range(parts):
        batches = lake.batches(backtest, columns) if tested else []
        frames = [*(_part(batch, part, parts) for batch in batches), past.rows(part, parts).select(columns)]
        yield pl.concat(frames).sort("unique_id", "ds", "origin", maintain_order=True)


class PastForecasts:
    """The versions of a table of forecasts that count, each for the models and origins of which it is the newest.

    Args:
        lake: The lake.
        settings: The settings.
        table: Name of the table.
        since: The first origin, however many versions there have been since; default: the last `MAX_VERSIONS` versions.
    """

    def __init__(
        self, lake: Lakehouse, settings: Settings, table: str = FORECASTS, since: dt.date | None = None
    ) -> None:
        self._lake, self._table = lake, table
        self._step = 1 if settings.forecast.frequency == "D" else 7
        self._season = 7 if self._step == 1 else 364
        self._commits = written_versions(lake, table, MAX_VERSIONS if since is None else HISTORY_DAYS)
        numbers = [commit.version for commit in self._commits]
        self._versions = _versions_that_count(lake, table, numbers, since or dt.date.min)

    def keep(self, pairs: pl.DataFrame) -> None:
        """Leaves out all but some `model_version` and `origin`."""
        left = {
            number: found.join(pairs, on=["model_version", "origin"], how="semi")
            for number, found in self._versions.items()
        }
        self._versions = {number: found for number, found in left.items() if found.height}

    @property
    def pairs(self) -> pl.DataFrame:
        """`model_version` and `origin` of the forecasts."""
        return pl.concat([pl.DataFrame(schema=PAIR_SCHEMA), *self._versions.values()])

    @property
    def count(self) -> int:
        """Rows in the versions that count."""
        return sum(commit.rows_written for commit in self._commits if commit.version in self._versions)

    @property
    def parts(self) -> int:
        """In how many parts of the series they are read."""
        return parts_of(self.count)

    def rows(self, part: int, parts: int) -> pl.DataFrame:
        """The past forecasts of a part of the series, as `past_forecasts` yields them."""
        if not self._versions:
            return pl.DataFrame(schema=PAST_SCHEMA)
        first = min(origin for pairs in self._versions.values() for origin in pairs["origin"])
        steps = _series_since(self._lake, first - dt.timedelta(self._season), part, parts)
        actual = steps.filter(~pl.col("closed") & pl.col("y").is_not_null()).select("unique_id", "ds", "y")
        naive = steps.select("unique_id", pl.col("ds").alias("before"), pl.col("y").fill_null(0.0).alias("naive"))
        past = pl.concat(
            batch.join(actual, on=["unique_id", "ds"])
            for version, pairs in self._versions.items()
            for batch in _forecasts(self._lake, self._table, version, pairs, part, parts)
        )
        distance = (pl.col("ds") - pl.col("origin")).dt.total_days()
        seasons = (distance + self._season - 1) // self._season
        return (
            past.with_columns(
                horizon=distance // self._step, before=pl.col("ds") - pl.duration(days=seasons * self._season)
            )
            .join(naive, on=["unique_id", "before"], how="left")
            .with_columns(pl.col("naive").fill_null(0.0))
            .select(PAST_SCHEMA.names())
            .cast(PAST_SCHEMA)
            .sort("unique_id", "ds", "origin", "model_version")
        )


def parts_of(rows: int) -> int:
    """In how many parts of the series some rows are read."""
    return -(-rows // MAX_ROWS)


def _versions_that_count(lake: Lakehouse, table: str, versions: list[int], since: dt.date) -> dict[int, pl.DataFrame]:
    """Per version of the table, the models and origins of which it is the newest: `model_version`, `origin`."""
    keys = PAIR_SCHEMA.names()
    found, seen = {}, pl.DataFrame(schema=PAIR_SCHEMA)
    for version in sorted(versions, reverse=True):
        batches = lake.batches(table, ["model_version", "cutoff"], version=version)
        pairs = pl.concat([seen.clear(), *(_named(batch).unique() for batch in batches)]).unique().sort(keys)
        pairs = pairs.filter(pl.col("origin") >= since)
        if pairs.is_empty():
            break  # origins only move on
        new = pairs.join(seen, on=keys, how="anti")
        if new.height:
            found[version], seen = new, pl.concat([seen, new])
    return found


def _forecasts(
    lake: Lakehouse, table: str, version: int, pairs: pl.DataFrame, part: int, parts: int
) -> Iterator[pl.DataFrame]:
    """The rows of one version of the table, of the models and origins of which it is the newest."""
    for batch in lake.batches(table, ["model_version", "cutoff", "unique_id", "ds", "yhat"], version=version):
        yield _part(_named(batch).join(pairs, on=["model_version", "origin"], how="semi"), part, parts)


def _named(batch: pl.DataFrame) -> pl.DataFrame:
    return batch.rename({"cutoff": "origin"}).cast({"model_version": PAST_SCHEMA["model_version"]})


def _series_since(lake: Lakehouse, first: dt.date, part: int, parts: int) -> pl.DataFrame:
    """The steps of the series after a day."""
    empty = pl.DataFrame(schema={"unique_id": pl.String, "ds": pl.Date, "y": pl.Float64, "closed": pl.Boolean})
    batches = lake.batches(SALES_SERIES, empty.columns, pc.field("ds") > first)
    return pl.concat([empty, *(_part(batch, part, parts) for batch in batches)])


def _part(rows: pl.DataFrame, part: int, parts: int) -> pl.DataFrame:
    """The rows of one of several equal parts of the series."""
    if parts == 1:
        return rows
    return rows.filter((uniform(rows["unique_id"], seed=0) * parts).floor().cast(pl.Int64) == part)


def forecast_accuracy(past: Iterable[pl.DataFrame], settings: Settings) -> pl.DataFrame:
    """Realised error by model version, week and distance, alongside the seasonal naive from the same origin.

    Args:
        past: Of `past_forecasts`.
        settings: The settings.

    Returns:
        `model_version`, `week` (Monday of the target's week), `horizon_bucket`, `wape` = Σ|y - ŷ| / Σ|y| and `bias` =
        Σ(ŷ - y) / Σ|y| (null where nothing was sold), `rows`, `volume` = Σ|y|, `baseline_wape`, `change` =
        Σ|ŷ - ŷ'| / Σ(|ŷ| + |ŷ'|)/2 against the forecast ŷ' before it for the same series and step (null where there is
        none); sorted by the first three.
    """
    keys = ["model_version", "week", "horizon_bucket"]
    y, yhat = pl.col("y"), pl.col("yhat")
    bucket = horizon_bucket(settings.forecast.frequency != "D")
    previous = yhat.shift(1).over("unique_id", "ds")  # frames have whole series, sorted by step and origin
    week = pl.col("ds").dt.truncate("1w").alias("week")
    moved, size = change_sums(yhat, previous)
    sums = [
        # In the order of the rows, so that equal rows have equal sums whatever the number of threads.
        frame.with_columns(week, bucket, moved=moved, size=size)
        .group_by(keys, maintain_order=True)
        .agg(
            (y - yhat).abs().sum().alias("error"),
            (yhat - y).sum().alias("signed"),
            pl.len().cast(pl.Int64).alias("rows"),
            y.abs().sum().alias("volume"),
            (y - pl.col("naive")).abs().sum().alias("baseline"),
            pl.col("moved", "size").sum(),
        )
        for frame in past
    ]
    if not sums:
        return pl.DataFrame(schema=ACCURACY_SCHEMA)
    total = pl.concat(sums).group_by(keys, maintain_order=True).agg(pl.exclude(keys).sum()).sort(keys)
    sold = pl.when(pl.col("volume") > 0).then(pl.col("volume"))
    return total.select(
        *keys,
        (pl.col("error") / sold).alias("wape"),
        (pl.col("signed") / sold).alias("bias"),
        "rows",
        "volume",
        (pl.col("baseline") / sold).alias("baseline_wape"),
        (pl.col("moved") / pl.when(pl.col("size") > 0).then("size")).alias("change"),
    ).select(ACCURACY_SCHEMA.names())
