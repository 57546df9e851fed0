"""The one definition of features: Polars expressions over a sorted, gap-free frame of series.

Spark runs it over partitions of whole series (`panel.py`), the prediction service on one series. A row
holds what was known at the end of its step: every window ends there, none looks ahead.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from salesml_assets.forecasting.holiday_calendar import holidays_of
from salesml_assets.names import STOCK_OUT

if TYPE_CHECKING:
    from salesml_assets.config.settings import Settings


@dataclass(frozen=True)
class FeatureSpec:
    """What the features of a frequency look like, in steps.

    Attributes:
        weekly: Whether a step is a week.
        season: Steps of the short season (7 days; for weeks 52, the year).
        year: Steps of a year of whole weeks.
        windows: Windows of the rolling means; the last one is the level by which targets are divided.
        recent: Window of spread and of the share of zeros.
        min_history: Steps that a series needs before a model learns from it or forecasts it.
        numbers: Covariates known in advance that are numbers.
        texts: Covariates known in advance that are text.
        plan_groups: Keys over whose series planned numbers are averaged.
        holidays: Public holidays: region, ISO date, name; sorted.
        regions: Stores with holidays of another region than most: store, region; sorted.
        region: The region of all other stores.
        calendar_regression: Whether rows have the forecasts of the calendar regression.
        calendar_features: Whether learned models see them.
        stock_outs: Whether steps may be out of stock: means then go on from the last known step.
    """

    weekly: bool = False
    season: int = 7
    year: int = 364
    windows: tuple[int, ...] = (7, 14, 28, 56, 91)
    recent: int = 28
    min_history: int = 14
    numbers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    plan_groups: tuple[str, ...] = ()
    holidays: tuple[tuple[str, str, str], ...] = ()
    regions: tuple[tuple[str, str], ...] = ()
    region: str = ""
    calendar_regression: bool = False
    calendar_features: bool = False
    stock_outs: bool = False

    @property
    def averages(self) -> dict[str, int]:
        """Windows of the moving-average baseline."""
        return dict(zip(("short", "medium", "long"), (4, 8, 13) if self.weekly else (7, 28, 91), strict=True))

    @property
    def level_window(self) -> int:
        """Window of the series' typical level, the scale of its targets."""
        return self.windows[-1]


def feature_spec(settings: Settings, covariates: dict[str, str], columns: Collection[str] = ()) -> FeatureSpec:
    """The features for these settings.

    Args:
        settings: The settings.
        covariates: Name and Spark type of each covariate known in advance.
        columns: Columns of the series.
    """
    holidays, regions, region = holidays_of(settings)
    needed = bool(NEED_REGRESSION & set(settings.training.algorithms))
    common: dict[str, Any] = {
        "numbers": tuple(name for name, kind in covariates.items() if kind != "string"),
        "texts": tuple(name for name, kind in covariates.items() if kind == "string"),
        "plan_groups": plan_groups(settings, columns),
        "holidays": holidays,
        "regions": regions,
        "region": region,
        "calendar_regression": settings.forecast.calendar_regression or needed,
        "calendar_features": settings.forecast.calendar_regression,
        "stock_outs": settings.sales.columns.stock_out is not None,
    }
    if settings.forecast.frequency == "D":
        return FeatureSpec(**common)
    return FeatureSpec(weekly=True, season=52, year=52, windows=(2, 4, 8, 13), recent=13, min_history=8, **common)


def plan_groups(settings: Settings, columns: Collection[str]) -> tuple[str, ...]:
    """Keys that several series share: what is planned for all of them tells of flyers, and of what sells instead.

    Args:
        settings: The settings.
        columns: Columns of the series.

    >>> from salesml_assets.config.settings import Settings
    >>> plan_groups(Settings(forecast={"series": ["store", "product"]}), ["store", "product", "category"])
    ('store', 'category')
    >>> plan_groups(Settings(forecast={"series": ["store"]}), ["store"])
    ()
    """
    keys = settings.forecast.series
    if not settings.forecast.group_plans:
        return ()
    shared = {"store": len(keys) > 1, "category": len(keys) > 1 or "product" in keys}
    return tuple(key for key, is_shared in shared.items() if is_shared and key in columns)


# Columns that teams know from their window features, under our names.
CONTRACT_COLUMNS = (
    "sales_lag_1", "sales_lag_7", "sales_lag_30", "moving_average_7", "moving_average_30", "trend",
    "day_of_week", "year_month",
)  # fmt: skip
TINY = 1e-9
NEED_REGRESSION = {"calendar_regression", "ensemble", "tuned"}  # algorithms


def shifted(value: pl.Expr, steps: int) -> pl.Expr:
    """The value `steps` rows earlier (negative: later) within the same series, else null.

    Needs the columns `age` (1 for a series' first row) and `length` of a frame sorted by series and step.
    A plain shift with a guard is several times as fast as a shift within groups.
    """
    if steps == 0:
        return value
    inside = pl.col("age") > steps if steps > 0 else pl.col("age") <= pl.col("length") + steps
    return pl.when(inside).then(value.shift(steps))


def row_mean(values: Sequence[pl.Expr]) -> pl.Expr:
    """The mean over several columns of what is not null in a row; null where all are.

    Added from left to right: `pl.mean_horizontal` shares a wide sum among threads, and the last digit of its
    result is another one from time to time.
    """
    total, count = pl.lit(0.0), pl.lit(0)
    for value in values:
        total, count = total + value.fill_null(0.0), count + value.is_not_null()
    return pl.when(count > 0).then(total / count)


def sort_and_number(frame: pl.DataFrame) -> pl.DataFrame:
    """Sorts by series and step and numbers the rows of each series (`age` from 1, `length`)."""
    return frame.sort("unique_id", "ds").with_columns(
        age=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("unique_id"),
        length=pl.len().cast(pl.Int32).over("unique_id"),
    )


def add_features(frame: pl.DataFrame, spec: FeatureSpec) -> pl.DataFrame:
    """Adds what was known at the end of each step, in units of the target.

    Args:
        frame: `unique_id`, `ds`, `y` (null: unknown), `closed`, and where known `stock_out` (its `y` is null); one row
            per series and step, without gaps.
        spec: What to compute.

    Returns:
        The frame sorted by series and step, with the lags, moving averages, trend, day of week
        (1 is Sunday) and month under the names of `CONTRACT_COLUMNS`, and with:
        `mean_<w>` (mean of the last w open, known steps), `ewm` and `ewm_slow` (exponentially weighted means),
        `median`, `largest`, `spread`, `mean_sold` (mean of the steps with sales), `zero_share`, `since_sale`
        (steps since anything was sold, or the product was out of stock), `max_gap` (most such steps before a sale so
        far; null before the second one), `times_sold` (steps with a sale so far), `age` (steps since the first sale),
        `known` (open, known steps so far), `scale` (typical level, above zero), `live` (anything known and not zero in
        the level window) and `naive_mse` (mean squared one-step change so far, the scale of RMSSE: Hyndman & Koehler
        2006).
    """
    y, series = pl.col("y"), "unique_id"
    numbered = sort_and_number(frame)
    # What is out of stock is asked for: it has not stopped selling, however long that lasts.
    missing = pl.col(STOCK_OUT).fill_null(False) if STOCK_OUT in frame.columns else pl.lit(False)
    with_open = numbered.with_columns(
        _open=pl.when(~pl.col("closed")).then(y),
        _change=(y - shifted(y, 1)).pow(2),
        _sold_at=pl.when(y.abs() > 0).then(pl.col("age")),
        _asked_at=pl.when((y.abs() > 0) | missing).then(pl.col("age")),
    )
    opened = pl.col("_open")
    with_sold = with_open.with_columns(_last_asked=pl.col("_asked_at").forward_fill().over(series))
    gap = pl.col("_sold_at") - shifted(pl.col("_last_asked"), 1)

    def of_series(value: pl.Expr) -> pl.Expr:
        return (value.forward_fill() if spec.stock_outs else value).over(series)

    rolled = with_sold.with_columns(
        shifted(y, 1).alias("sales_lag_1"),
        shifted(y, 7).alias("sales_lag_7"),
        shifted(y, 30).alias("sales_lag_30"),
        y.rolling_mean(7, min_samples=1).over(series).alias("moving_average_7"),
        y.rolling_mean(30, min_samples=1).over(series).alias("moving_average_30"),
        (pl.col("ds").dt.weekday() % 7 + 1).cast(pl.Int32).alias("day_of_week"),
        pl.col("ds").dt.strftime("%Y-%m").alias("year_month"),
        *[of_series(opened.rolling_mean(w, min_samples=1)).alias(f"mean_{w}") for w in spec.windows],
        opened.ewm_mean(alpha=0.1, ignore_nulls=True).forward_fill().over(series).alias("ewm"),
        opened.ewm_mean(alpha=0.02 if not spec.weekly else 0.05, ignore_nulls=True)
        .forward_fill().over(series).alias("ewm_slow"),
        of_series(opened.rolling_median(spec.recent, min_samples=1)).alias("median"),
        of_series(opened.rolling_max(spec.recent, min_samples=1)).alias("largest"),
        of_series(pl.when(opened != 0).then(opened).rolling_mean(spec.level_window, min_samples=1))
        .alias("mean_sold"),
        of_series((opened == 0).cast(pl.Float64).rolling_mean(spec.level_window, min_samples=1))
        .alias("zero_share_long"),
        of_series(opened.rolling_std(spec.recent, min_samples=2)).alias("spread"),
        of_series((opened == 0).cast(pl.Float64).rolling_mean(spec.recent, min_samples=1)).alias("zero_share"),
        (pl.col("age") - pl.col("_last_asked")).alias("since_sale"),
        gap.cum_max().forward_fill().over(series).alias("max_gap"),
        pl.col("_sold_at").is_not_null().cast(pl.Int32).cum_sum().over(series).alias("times_sold"),
        opened.is_not_null().cast(pl.Int32).cum_sum().over(series).alias("known"),
        of_series(opened.abs().rolling_mean(spec.level_window, min_samples=1)).alias("_level"),
        (opened.abs().cum_sum() / opened.is_not_null().cum_sum()).forward_fill().over(series).alias("_overall"),
        (pl.col("_change").cum_sum() / pl.col("_change").is_not_null().cum_sum())
        .forward_fill().over(series).alias("naive_mse"),
    )  # fmt: skip
    # A series that has sold nothing for long keeps a small positive scale, so that ratios stay finite.
    scale = pl.max_horizontal(pl.col("_level").fill_null(0.0), 0.05 * pl.col("_overall").fill_null(0.0))
    return rolled.with_columns(
        trend=y - pl.col("moving_average_30"),
        scale=pl.when(scale > TINY).then(scale).otherwise(1.0),
        live=pl.col("_level").fill_null(0.0) > TINY,
        naive_mse=pl.when(pl.col("naive_mse").is_finite() & (pl.col("naive_mse") > 0)).then(pl.col("naive_mse")),
    ).drop("_open", "_change", "_sold_at", "_asked_at", "_last_asked", "_level", "_overall", "length")
