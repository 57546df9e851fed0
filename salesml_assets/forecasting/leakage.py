"""Does any feature see past its origin? The panel is recomputed from values up to a cutoff, and compared."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.compute as pc

from salesml_assets.config.settings import KEYS
from salesml_assets.forecasting.calendar_regression import Terms
from salesml_assets.forecasting.draws import uniform
from salesml_assets.forecasting.features import add_features, feature_spec
from salesml_assets.forecasting.folds import rolling_folds
from salesml_assets.forecasting.panel import FUTURE, SCORE, PanelPlan, expand
from salesml_assets.forecasting.pooled import Pool
from salesml_assets.lake.aggregate import Partial, latest_day
from salesml_assets.names import FEATURES, PANEL, POOLED_CALENDAR, STOCK_OUT

if TYPE_CHECKING:
    from salesml_assets.config.settings import Settings
    from salesml_assets.lake.store import Lakehouse

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Leakage:
    """Outcome of the test.

    Attributes:
        cutoff: Origin that was tested.
        latest_value: Latest step whose value the second calculation had; None where no series was long enough.
        compared: Rows compared.
        changed: Features that differ.
    """

    cutoff: dt.date
    latest_value: dt.date | None
    compared: int
    changed: list[str]


def changed_features(lake: Lakehouse, settings: Settings, series: int) -> Leakage:
    """Compares the panel at the last origin with one made from values up to that origin alone.

    Args:
        lake: The lake: of the table `features`, `y`, `closed` and planned covariates are used; all of `panel`.
        settings: The settings.
        series: How many series are tested; they are drawn by a hash of their name.

    Raises:
        ValueError: The panel has no rows to forecast.
    """
    last = latest_day(lake.batches(PANEL, ["origin"], pc.field("kind") == FUTURE), "origin")
    if last is None:
        raise ValueError(f"{PANEL}: there are no rows to forecast")
    step_days = 1 if settings.forecast.frequency == "D" else 7
    fold = rolling_folds(last, settings.forecast.horizon, settings.training.folds, step_days)[-1]
    cutoff = fold.cutoff
    scored = (pc.field("kind") == SCORE) & (pc.field("origin") == cutoff)
    names = _drawn(lake, scored, series)
    if not names:
        return Leakage(cutoff, None, 0, [])
    drawn = pc.field("unique_id").isin(names)
    kinds = lake.columns(FEATURES)
    covariates = {name: kinds[name] for name in settings.forecast.known_future.columns if name in kinds}
    about = [name for name in (*KEYS, STOCK_OUT) if name in kinds]
    history = lake.read_polars(FEATURES, ["unique_id", "ds", "y", "closed", *about, *covariates], drawn)
    stored = lake.read_polars(PANEL, None, scored & drawn)
    spec = feature_spec(settings, covariates, kinds)
    after = pl.col("ds") > cutoff
    known = add_features(history.filter(~after), spec)
    # What lies after the cutoff keeps its calendar and planned covariates, and loses its values.
    future = history.filter(after).drop("y")
    plan = PanelPlan(settings.forecast.horizon, cutoff, (fold,), 0.0, settings.training.seed)
    pool = Pool.from_frame(lake.read_polars(POOLED_CALENDAR), Terms.of(spec))
    again = expand(pl.concat([known, future], how="diagonal_relaxed"), spec, plan, pool)
    # Means of plans over groups need all series of a group, and no sales.
    groups = {f"f_{name}_by_{key_of}" for name in covariates for key_of in spec.plan_groups}
    columns = [name for name in stored.columns if name.startswith(("f_", "average_")) and name not in groups]
    columns += ["seasonal_naive", "scale", "age", "known", "short", "ended"]
    key = ["unique_id", "horizon"]
    numbers = [pl.col(name).cast(pl.Float64) for name in columns]
    stored, again = (frame.with_columns(numbers) for frame in (stored, again))
    both = stored.select(*key, *columns).join(again.filter(pl.col("kind") == "future"), on=key, suffix="_again")
    off = both.select((pl.col(name) - pl.col(f"{name}_again")).abs().max().alias(name) for name in columns)
    size = both.select(pl.col(name).abs().max().clip(1.0) for name in columns)
    changed = [name for name in columns if both.height and off[name].item() > TOLERANCE * size[name].item()]
    return Leakage(cutoff, known["ds"].max(), both.height, changed)  # type: ignore[arg-type]


def _drawn(lake: Lakehouse, scored: pc.Expression, series: int) -> list[str]:
    """The names of some of the series of the panel."""

    def lowest(names: pl.DataFrame) -> pl.DataFrame:
        return names.unique().sort("draw", "unique_id").head(series)

    names = Partial(lowest, pl.DataFrame(schema={"unique_id": pl.String, "draw": pl.Float64}))
    for batch in lake.batches(PANEL, ["unique_id"], scored):
        own = batch.unique()
        names.add(own.with_columns(uniform(own["unique_id"], seed=0)))
    return names.total()["unique_id"].to_list()
