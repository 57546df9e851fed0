"""Gathers what the report shows from the tables of the lake; only small tables are collected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pandas as pd
from pyspark.sql import functions as F

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.production import FALLBACK
from salesml_assets.quality.split import applicable_rules
from salesml_assets.reporting.data import DataQuality, ReportData
from salesml_assets.reporting.totals import total_intervals

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from salesml_assets.forecasting.comparison import Comparison

SHOWN_SERIES, SHOWN_STEPS, SHOWN_VERSIONS = 4, 120, 8
Read = Callable[[str], "DataFrame"]


def report_data(
    comparison: Comparison,
    read: Read,
    settings: Settings,
    *,
    version: int,
    importance: Mapping[str, float],
    left_out: int,
    checks: pd.DataFrame,
    lake_versions: Mapping[str, int],
    started_by: str | None,
) -> ReportData:
    """Everything that the report shows.

    Args:
        comparison: The comparison of the algorithms.
        read: Reads a table of the lake by its name.
        settings: The settings.
        version: Version of the production model.
        importance: Features of the production model and their shares.
        left_out: Rows left out by `sales.filter`.
        checks: `check, passed, severity, detail` of the latest asset checks.
        lake_versions: Versions of the tables that the model was made from.
        started_by: What started the retrain that made the model, if a drift did.
    """
    winner = comparison.decision.winner
    series, forecasts = read("sales_series"), read("forecasts")
    best, worst = comparison.best_series.head(SHOWN_SERIES), comparison.worst_series.head(SHOWN_SERIES)
    shown = sorted({*best["unique_id"], *worst["unique_id"]})
    totals = series.groupBy("ds").agg(
        F.sum("y").alias("y"), F.every("closed").alias("closed"), F.some("closed").alias("any_closed")
    )
    total_actual = _dated(totals.orderBy("ds").toPandas())
    since = total_actual["ds"].iloc[-SHOWN_STEPS:].iloc[0].date()
    history = series.where(F.col("unique_id").isin(shown) & (F.col("ds") >= F.lit(since)))
    source = comparison.recipe.algorithm if winner not in settings.training.algorithms else winner
    tested = read(source).where((F.col("fold") > 0) & F.col("unique_id").isin(shown))
    target = settings.forecast.target
    total_future = _dated(
        forecasts.groupBy("ds")
        .agg(F.sum("yhat").alias("yhat"), (F.max("yhat") == 0).alias("closed"))
        .orderBy("ds")
        .toPandas()
    )
    return ReportData(
        title=f"Sales forecast: {target} by {' × '.join(settings.forecast.series)}",
        source=settings.sales.path.rsplit("/", 1)[-1],
        generated_for=settings.today,
        target=target,
        frequency=settings.forecast.frequency,
        horizon=settings.forecast.horizon,
        series_keys=settings.forecast.series,
        settings={
            "folds": settings.training.folds,
            "significance level": settings.promotion.alpha,
            "least worthwhile gain": settings.promotion.min_gain,
            "returns": settings.sales.returns,
            "gaps": settings.sales.gaps,
        },
        metrics=comparison.metrics,
        runs=pd.DataFrame(
            [
                {"algorithm": name, **{key: run.get(key) for key in ("parameters", "seconds", "rows")}}
                for name, run in comparison.runs.items()
            ]
        ),
        decision={**comparison.decision.model_dump(mode="json"), "version": version},  # type: ignore[typeddict-item]
        coverage=comparison.coverage[comparison.coverage["algorithm"] == winner],
        business=comparison.business.model_dump(mode="json"),  # type: ignore[arg-type]
        importance=pd.DataFrame({"name": list(importance), "value": list(importance.values())}),
        importance_of=comparison.recipe.algorithm,
        sample=comparison.sample,
        sample_rows=comparison.sample_rows,
        residual_edges=comparison.residual_edges,
        residual_counts=comparison.residual_counts,
        best_series=best,
        worst_series=worst,
        series_history=_sorted(history.select("unique_id", "ds", "y", "closed")),
        series_backtest=_sorted(tested.select("unique_id", "ds", "yhat")),
        series_future=_sorted(
            forecasts.where(F.col("unique_id").isin(shown)).select(
                "unique_id", "ds", "yhat", "lo80", "hi80", "lo95", "hi95"
            )
        ),
        total_actual=total_actual.drop(columns="any_closed"),
        total_backtest=comparison.daily[["fold", "ds", "yhat"]],
        total_future=total_intervals(
            total_actual, comparison.daily, total_future, non_negative=settings.forecast.non_negative
        ),
        quality=quality_summary(read, settings, left_out, int(total_actual["any_closed"].sum())),
        checks=checks,
        lake_versions=lake_versions,
        started_by=started_by,
        realised=realised_error(read("forecast_accuracy")),
    )


def realised_error(accuracy: DataFrame) -> pd.DataFrame:
    """Error of the past forecasts of the latest model versions, over all their weeks and horizons.

    Args:
        accuracy: The table `forecast_accuracy`.

    Returns:
        `model_version, first, last, wape, bias, baseline_wape, volume`, the last version last.
    """
    sold = accuracy.where(F.col("volume") > 0)
    weighted = [
        (F.sum(F.col(name) * F.col("volume")) / F.sum("volume")).alias(name)
        for name in ("wape", "bias", "baseline_wape")
    ]
    by_version = sold.groupBy("model_version").agg(
        F.min("week").alias("first"), F.max("week").alias("last"), *weighted, F.sum("volume").alias("volume")
    )
    latest = by_version.orderBy(F.desc("model_version")).limit(SHOWN_VERSIONS)
    return latest.toPandas().sort_values("model_version", ignore_index=True)


def quality_summary(read: Read, settings: Settings, left_out: int, closed_days: int) -> DataQuality:
    """What became of the delivered rows."""
    sales, quarantined, series = read("sales"), read("quarantined_sales"), read("sales_series")
    first, last, accepted, flagged = sales.agg(
        F.min("date"), F.max("date"), F.count(F.lit(1)), F.count_if(F.size("flags") > 0)
    ).first()  # type: ignore[misc]
    rejected = quarantined.count()
    short = (
        read("forecasts").where(F.col("model").startswith(FALLBACK) & F.col("model").contains("(")).select("unique_id")
    )
    return DataQuality(
        delivered=accepted + rejected + left_out,
        filtered_out=left_out,
        accepted=accepted,
        quarantined=rejected,
        reasons=_counts(quarantined, "_reasons"),
        flagged=flagged,
        flags=_counts(sales, "flags"),
        descriptions={rule.name: rule.description for rule in applicable_rules(read("raw_sales"), settings)},
        first_date=first,
        last_date=last,
        series=series.select("unique_id").distinct().count(),
        closed_days=closed_days,
        short_series=short.distinct().count(),
        fallback=FALLBACK,
    )


def _counts(frame: DataFrame, column: str) -> dict[str, int]:
    counted = frame.select(F.explode(column).alias("name")).groupBy("name").count()
    return {row["name"]: row["count"] for row in counted.orderBy(F.desc("count"), "name").collect()}


def _sorted(frame: DataFrame) -> pd.DataFrame:
    return _dated(frame.orderBy("unique_id", "ds").toPandas())


def _dated(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(ds=pd.to_datetime(frame["ds"]))
