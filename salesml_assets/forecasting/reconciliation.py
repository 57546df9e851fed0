"""Reconciliation of the series' forecasts with forecasts of their totals (MinT).

Minimum trace reconciliation (Wickramasuriya, Athanasopoulos & Hyndman, JASA 2019): the series' forecasts are changed
as little as their errors allow, so that their sums move towards what the totals by themselves would forecast. Errors of
the totals have a covariance that is shrunk (Schäfer & Strimmer 2005), those of the series a variance each. With S the
sums of series, V their variances, W the totals' covariance, b and u the forecasts of series and totals:

    b + V Sᵀ (S V Sᵀ + W)⁻¹ (u - S b)

Matrices have as many rows as there are totals; what is as long as the series is read in batches.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.forecasting.batches import Batches, Totals, means_of, with_counts
from salesml_assets.forecasting.calendar_columns import REGRESSION
from salesml_assets.forecasting.calendar_regression import knots as regression_knots
from salesml_assets.forecasting.features import add_features, feature_spec
from salesml_assets.forecasting.folds import Fold
from salesml_assets.forecasting.hierarchy import Hierarchy, backtest_of, chunks, level_column
from salesml_assets.forecasting.intervals import BOUNDS
from salesml_assets.forecasting.panel import PanelPlan, expand
from salesml_assets.forecasting.pooled import make_pool

MAX_TOTALS = 3_000  # the matrices have as many rows and columns: 72 MB each
FUTURE_FOLD = -1  # in place of a fold's number: the published forecasts
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def own_forecasts(
    past: pl.DataFrame, settings: Settings, origins: Mapping[int, dt.date], ahead: pl.DataFrame | None = None
) -> pl.DataFrame:
    """What totals by themselves would forecast: the pooled calendar regression, fitted to the totals.

    Args:
        past: Of `hierarchy.history`.
        settings: The settings.
        origins: Origin of each fold; `FUTURE_FOLD` has that of the published forecasts.
        ahead: `number`, `ds`, `closed` and planned numbers of the published forecasts' steps.

    Returns:
        `number`, `fold`, `ds`, `own`.
    """
    numbers = tuple(name for name in settings.forecast.known_future.columns if name in past.columns)
    spec = replace(
        feature_spec(settings, {}),
        calendar_regression=True,
        calendar_features=False,
        plan_groups=(),
        regions=(),
        numbers=numbers,
    )
    horizon = settings.forecast.horizon
    first, latest = past["ds"].min(), past["ds"].max()
    assert isinstance(first, dt.date)
    assert isinstance(latest, dt.date)
    last = origins.get(FUTURE_FOLD, latest)
    known = past.filter(pl.col("ds") <= last)
    named = known.select(pl.col("number").cast(pl.String).alias("unique_id"), "number", "ds", "y", "closed", *numbers)
    folds = tuple(Fold(number, origin, origin) for number, origin in origins.items() if number != FUTURE_FOLD)
    cutoffs = tuple(origin.toordinal() for origin in origins.values())
    at = regression_knots(first.toordinal(), last.toordinal(), cutoffs)
    features = pl.concat(add_features(part, spec) for part in chunks(named))
    overall = named.filter(~pl.col("closed")).group_by("ds").agg(pl.col("y").sum(), region=pl.lit(spec.region))
    pool = make_pool(features, overall.sort("ds"), spec, at)
    plan = PanelPlan(horizon, last, folds, 0.0, settings.training.seed)
    found = []
    for part in chunks(features):
        if ahead is not None:
            own = part.select("unique_id", "number").unique(maintain_order=True)
            part = pl.concat([part, own.join(ahead, on="number")], how="diagonal_relaxed")
        rows = expand(part, spec, plan, pool)
        found.append(
            rows.filter(~pl.col("closed")).select(
                pl.col("unique_id").cast(pl.UInt32).alias("number"),
                pl.col("fold").fill_null(FUTURE_FOLD),
                "ds",
                pl.col(REGRESSION).alias("own"),
            )
        )
    return pl.concat(found)


def reconciled_backtests(
    hierarchy: Hierarchy, predictions: Mapping[str, Batches], past: pl.DataFrame, settings: Settings
) -> dict[str, Batches]:
    """The backtests of several algorithms, each reconciled with the totals' own forecasts.

    Args:
        hierarchy: The totals.
        predictions: Per algorithm its backtest; the same folds for all.
        past: Of `hierarchy.history`.
        settings: The settings.
    """
    found: dict[str, Batches] = {}
    own = pl.DataFrame()
    for name, batches in predictions.items():
        sums = backtest_of(hierarchy, batches, past)
        if own.is_empty():
            own = own_forecasts(past, settings, origins_of(sums))
        made = Reconciliation(hierarchy, batches, sums, own, settings.forecast.non_negative)
        found[name] = made.backtest(batches)
    return found


def reconciliation_of_forecasts(
    hierarchy: Hierarchy,
    predictions: Batches,
    forecasts: Batches,
    past: pl.DataFrame,
    settings: Settings,
    panel: Batches | None = None,
) -> Reconciliation:
    """The reconciliation of published forecasts and of the backtest of the recipe that made them.

    Args:
        hierarchy: The totals.
        predictions: The backtest.
        forecasts: The table `forecasts`.
        past: Of `hierarchy.history`.
        settings: The settings.
        panel: Rows of the panel to forecast, which have the planned numbers; default: none are planned.

    Raises:
        ConfigurationError: There are too many totals.
    """
    sums = backtest_of(hierarchy, predictions, past)
    future = hierarchy.sums(forecasts(["unique_id", "ds", "cutoff", "yhat", "hi95"]), ["ds", "cutoff"])
    nothing = (pl.col("yhat") == 0) & (pl.col("hi95") == 0)
    shut = future.group_by("ds").agg(closed=nothing.all())
    ahead = future.select("number", "ds").join(shut, on="ds").sort("number", "ds")
    if (numbers := [name for name in settings.forecast.known_future.columns if name in past.columns]) and panel:
        wanted = {f"f_{name}": name for name in numbers}
        rows = (batch.rename(wanted) for batch in panel(["unique_id", "ds", *wanted]))
        planned = hierarchy.sums((batch.select("unique_id", "ds", *with_counts(numbers)) for batch in rows), ["ds"])
        ahead = ahead.join(planned.select("number", "ds", *means_of(numbers)), on=["number", "ds"], how="left")
    cutoff = future["cutoff"].max()
    assert isinstance(cutoff, dt.date)
    own = own_forecasts(past, settings, {**origins_of(sums), FUTURE_FOLD: cutoff}, ahead)
    unknown = pl.lit(None, pl.Float64)
    published = future.select("number", "ds", "yhat", fold=pl.lit(FUTURE_FOLD, pl.Int32), y=unknown)
    both = pl.concat([sums.select("number", "fold", "ds", "y", "yhat"), published], how="diagonal_relaxed")
    return Reconciliation(hierarchy, predictions, both, own, settings.forecast.non_negative)


def origins_of(sums: pl.DataFrame) -> dict[int, dt.date]:
    """Origin of each fold of a backtest."""
    return dict(sums.select("fold", "origin").unique().sort("fold").iter_rows())


class Reconciliation:
    """Moves forecasts of series so that their sums fit what the totals forecast by themselves.

    Each fold is reconciled by the errors of the folds before it, the published forecasts by those of all folds; the
    first fold stays as it is. A forecast of zero stays zero, as does that of a series without errors in the backtest.
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        predictions: Batches,
        sums: pl.DataFrame,
        own: pl.DataFrame,
        non_negative: bool,
    ) -> None:
        """Fits the weights.

        Args:
            hierarchy: The totals.
            predictions: The backtest of an algorithm.
            sums: Its sums: of `hierarchy.backtest_of`, and rows of the fold `FUTURE_FOLD` with sums of the published
                forecasts, `y` null.
            own: Of `own_forecasts`.
            non_negative: The target cannot be below zero.

        Raises:
            ConfigurationError: There are too many totals.
        """
        if hierarchy.nodes.height > MAX_TOTALS:
            raise ConfigurationError(
                f"forecast.hierarchy.reconciliation: mint is meant for up to {MAX_TOTALS:,} totals, and there are "
                f"{hierarchy.nodes.height:,}: leave out the finest level, or set bottom_up"
            )
        self.hierarchy, self.non_negative = hierarchy, non_negative
        both = sums.select("number", "fold", "ds", "y", "yhat").join(own, on=["number", "fold", "ds"])
        squares = Totals(["unique_id", "fold"])
        for batch in predictions(["unique_id", "fold", "y", "yhat"]):
            error = pl.col("y") - pl.col("yhat")
            squares.add(batch.select("unique_id", "fold", squared=error * error, rows=pl.lit(1, pl.Int64)))
        errors = squares.frame()
        self._moves = {}
        for (fold,), rows in both.partition_by("fold", as_dict=True).items():
            before = pl.lit(True) if fold == FUTURE_FOLD else pl.col("fold") < fold
            past = both.filter(before & pl.col("y").is_not_null())
            variances = (
                errors.filter(before).group_by("unique_id", maintain_order=True).agg(pl.col("squared", "rows").sum())
            )
            if not past.is_empty():
                known = variances.select("unique_id", variance=pl.col("squared") / pl.col("rows"))
                self._moves[fold] = _fit(hierarchy, known, past, rows)

    def backtest(self, predictions: Batches) -> Batches:
        """The reconciled backtest of an algorithm."""

        def batches(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
            needed = list(dict.fromkeys([*columns, "unique_id", "fold", "ds", "yhat"]))
            for batch in predictions(needed):
                parts = [self._moved(part, fold) for (fold,), part in batch.partition_by("fold", as_dict=True).items()]
                yield pl.concat(parts).select(columns)

        return batches

    def published(self, forecasts: Batches) -> Batches:
        """The reconciled forecasts: bounds move with them."""

        def batches(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
            needed = list(dict.fromkeys([*columns, "unique_id", "ds", "yhat"]))
            for batch in forecasts(needed):
                yield self._moved(batch, FUTURE_FOLD).select(columns)

        return batches

    def _moved(self, rows: pl.DataFrame, fold: object) -> pl.DataFrame:
        if fold not in self._moves:
            return rows
        variances, multipliers = self._moves[fold]
        placed = rows.join(self.hierarchy.members, on="unique_id", how="left", maintain_order="left").join(
            variances, on="unique_id", how="left", maintain_order="left"
        )
        names = []
        for level in self.hierarchy.levels:
            names.append(f"_move{level_column(level)}")
            own = multipliers.select(pl.col("number").alias(level_column(level)), "ds", multiplier=pl.col("multiplier"))
            placed = placed.join(own, on=[level_column(level), "ds"], how="left", maintain_order="left").rename(
                {"multiplier": names[-1]}
            )
        move = pl.sum_horizontal(pl.col(name).fill_null(0.0) for name in names) * pl.col("variance").fill_null(0.0)
        stays = pl.col("yhat") == 0
        columns = [name for name in ("yhat", *BOUNDS) if name in rows.columns]
        moved = [pl.when(stays).then(name).otherwise(pl.col(name) + move).alias(name) for name in columns]
        result = placed.with_columns(moved).select(rows.columns)
        return result.with_columns(pl.col(columns).clip(lower_bound=0.0)) if self.non_negative else result


def _fit(
    hierarchy: Hierarchy, variances: pl.DataFrame, past: pl.DataFrame, rows: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Variance of each series, and for each total and step what a unit of variance moves.

    Args:
        hierarchy: The totals.
        variances: `unique_id`, `variance`.
        past: Totals with errors: `number`, `fold`, `ds`, `y`, `yhat`, `own`.
        rows: Totals to reconcile: the same, `y` may be null.
    """
    numbers = past["number"].unique().sort()
    summed = _summed_variances(hierarchy, variances, numbers)
    bottom_up = _shrunk_covariance(_errors(past, "yhat", numbers))
    # Errors of series move together: their variances alone would make the sums look better than they are.
    scale = np.trace(bottom_up) / max(float(np.trace(summed)), 1e-12)
    total = scale * summed + _shrunk_covariance(_errors(past, "own", numbers))
    known = rows.filter(pl.col("number").is_in(numbers.implode()))
    gaps = known.with_columns(gap=pl.col("own") - pl.col("yhat")).pivot(on="ds", index="number", values="gap")
    wide = pl.DataFrame({"number": numbers}).join(gaps, on="number", how="left", maintain_order="left").fill_null(0.0)
    days = [name for name in wide.columns if name != "number"]
    solved = np.linalg.lstsq(total, wide.select(days).to_numpy(), rcond=1e-12)[0]
    multipliers = (
        pl.DataFrame(solved, schema=days)
        .with_columns(number=numbers)
        .unpivot(index="number", variable_name="ds", value_name="multiplier")
        .with_columns(pl.col("ds").str.to_date())
    )
    return variances.with_columns(pl.col("variance") * scale), multipliers


def _summed_variances(hierarchy: Hierarchy, variances: pl.DataFrame, numbers: pl.Series) -> Floats:
    """S V Sᵀ: the variances of the series that two totals share."""
    placed = variances.join(hierarchy.members, on="unique_id", maintain_order="left")
    place = {number: index for index, number in enumerate(numbers)}
    result = np.zeros((len(place), len(place)))
    columns = [level_column(level) for level in hierarchy.levels]
    for first in columns:
        for second in columns:
            keys = [pl.col(first).alias("first"), pl.col(second).alias("second")]
            shared = placed.group_by(keys, maintain_order=True).agg(pl.col("variance").sum())
            for one, other, variance in shared.iter_rows():
                if one in place and other in place:
                    result[place[one], place[other]] = variance
    return result


def _errors(past: pl.DataFrame, forecast: str, numbers: pl.Series) -> Floats:
    """Errors of the totals: steps × totals; 0 where there is none."""
    error = past.with_columns(error=pl.col("y") - pl.col(forecast))
    wide = error.pivot(on="number", index=["fold", "ds"], values="error").sort("fold", "ds")
    return wide.select(str(number) for number in numbers).fill_null(0.0).to_numpy()


def _shrunk_covariance(errors: Floats) -> Floats:
    """Second moments of errors, correlations shrunk towards none (Schäfer & Strimmer 2005)."""
    rows = len(errors)
    moments = errors.T @ errors / rows
    deviations = np.sqrt(np.diag(moments))
    safe = np.where(deviations > 0, deviations, 1.0)
    scaled = errors / safe
    correlations = scaled.T @ scaled / rows
    if rows > 1:
        noise = ((scaled**2).T @ (scaled**2) / rows - correlations**2) / (rows - 1)
        off = ~np.eye(len(moments), dtype=bool)
        squared = float((correlations[off] ** 2).sum())
        shrinkage = min(1.0, max(0.0, float(noise[off].sum()) / squared)) if squared > 0 else 1.0
    else:
        shrinkage = 1.0
    shrunk = (1 - shrinkage) * correlations
    np.fill_diagonal(shrunk, 1.0)
    result: Floats = shrunk * np.outer(deviations, deviations)
    return result
