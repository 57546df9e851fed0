"""Gathers what the report shows from the tables of the lake, batch by batch and without Spark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

import pandas as pd
import polars as pl
import pyarrow.compute as pc

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.hierarchy import SERIES, read_hierarchy
from salesml_assets.forecasting.intervals import BOUNDS, ORDER_QUANTITY
from salesml_assets.forecasting.order_replay import Policy
from salesml_assets.lake.aggregate import Partial, counted
from salesml_assets.language import _, language
from salesml_assets.names import (
    ENDED,
    EXPLANATIONS,
    FORECAST_ACCURACY,
    FORECASTS,
    HIERARCHY_FORECASTS,
    QUARANTINED_SALES,
    SALES,
    SALES_SERIES,
    SHORT_SERIES,
)
from salesml_assets.reporting.data import ABTest, DataQuality, ReportData
from salesml_assets.reporting.formats import word
from salesml_assets.reporting.totals import total_intervals

if TYPE_CHECKING:
    from salesml_assets.forecasting.comparison import Comparison
    from salesml_assets.lake.store import Lakehouse

SHOWN_SERIES, SHOWN_STEPS, SHOWN_VERSIONS = 4, 120, 8
SERIES_AND_STEP = ("unique_id", "ds")


class Source(TypedDict, total=False):
    """What the load of the raw sales noted.

    Attributes:
        rows: Rows of the source that meet `sales.filter`.
        left_out: Rows that do not.
        rules: Name and description of each rule of quality.
    """

    rows: int
    left_out: int
    rules: dict[str, str]


def report_data(
    comparison: Comparison,
    lake: Lakehouse,
    settings: Settings,
    *,
    version: int,
    importance: Mapping[str, float],
    source: Source,
    checks: pd.DataFrame,
    lake_versions: Mapping[str, int],
    started_by: str | None,
    ab_test: ABTest | None = None,
) -> ReportData:
    """Everything that the report shows.

    Args:
        comparison: The comparison of the algorithms.
        lake: The lake.
        settings: The settings.
        version: Version of the production model.
        importance: Features of the production model and their shares.
        source: What the load of the raw sales noted; empty where an earlier release loaded them.
        checks: `check, passed, severity, detail` of the latest asset checks.
        lake_versions: Versions of the tables that the model was made from.
        started_by: What started the retrain that made the model, if a drift did.
        ab_test: The latest A/B test, if there is one.
    """
    winner = comparison.decision.winner
    best, worst = comparison.best_series.head(SHOWN_SERIES), comparison.worst_series.head(SHOWN_SERIES)
    shown = pc.field("unique_id").isin(sorted({*best["unique_id"], *worst["unique_id"]}))
    actual, series = total_actual(lake)
    since = actual["ds"].iloc[-SHOWN_STEPS:].iloc[0].date()
    algorithm = comparison.recipe.algorithm if winner not in settings.training.algorithms else winner
    target = settings.forecast.target
    future, instead = total_future(lake)
    policy = Policy.of(settings)
    ordered = [ORDER_QUANTITY] if ORDER_QUANTITY in lake.columns(FORECASTS) else []
    return ReportData(
        title=_title(settings),
        language=settings.report.language,
        source=settings.sales.path.rsplit("/", 1)[-1],
        generated_for=settings.today,
        target=target,
        frequency=settings.forecast.frequency,
        horizon=settings.forecast.horizon,
        series_keys=settings.forecast.series,
        settings={
            "folds": settings.training.folds,
            "significance level": settings.promotion.alpha,
            "minimum worthwhile gain": settings.promotion.min_gain,
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
        series_history=_rows(lake, SALES_SERIES, ["y", "closed"], shown & (pc.field("ds") >= since)),
        series_backtest=_rows(lake, algorithm, ["yhat"], shown & (pc.field("fold") > 0)),
        series_future=_rows(lake, FORECASTS, ["yhat", *BOUNDS, *ordered], shown),
        orders=comparison.orders,
        service_level=comparison.service_level,
        has_costs=settings.orders.service_level is not None,
        lead_time=policy.lead_time,
        review=policy.review,
        total_actual=actual.drop(columns="any_closed"),
        total_backtest=comparison.daily[["fold", "ds", "yhat"]],
        total_future=total_intervals(actual, comparison.daily, future, non_negative=settings.forecast.non_negative),
        quality=quality_summary(lake, source)
        | DataQuality(series=series, closed_days=int(actual["any_closed"].sum()))
        | instead,
        checks=checks,
        lake_versions=lake_versions,
        started_by=started_by,
        realised=realised_error(lake.read_polars(FORECAST_ACCURACY)),
        totals=totals_by_level(lake, settings),
        ab_test=ab_test,
        explanations=lake.read_polars(EXPLANATIONS).to_pandas(),
    )


def totals_by_level(lake: Lakehouse, settings: Settings) -> pd.DataFrame:
    """Sums over the horizon by level: `level, node, series, sold, forecast`, the largest of each level first.

    `sold` is the sum over as many steps before the forecasts, null where nothing is known of them.
    """
    found = read_hierarchy(lake, settings) if lake.exists(HIERARCHY_FORECASTS) else None
    if found is None:
        return pd.DataFrame(columns=["level", "node", "series", "sold", "forecast"])
    hierarchy, past = found
    steps = past.select("ds").unique().sort("ds").tail(settings.forecast.horizon)
    sold = past.join(steps, on="ds").group_by("number").agg(sold=pl.col("y").sum(), known=pl.col("y").count())
    named = sold.join(hierarchy.nodes, on="number").select(
        "level", "node", sold=pl.when(pl.col("known") > 0).then("sold")
    )
    is_total = pc.field("level") != SERIES
    rows = lake.read_polars(HIERARCHY_FORECASTS, ["level", "node", "series", "yhat"], is_total)
    ahead = rows.group_by("level", "node", maintain_order=True).agg(
        pl.col("series").max(), forecast=pl.col("yhat").sum()
    )
    place = {level.name: number for number, level in enumerate(hierarchy.levels)}
    known = ahead.filter(pl.col("level").is_in(list(place)))
    ordered = known.join(named, on=["level", "node"], how="left").with_columns(
        place=pl.col("level").replace_strict(place, return_dtype=pl.Int64)
    )
    table = ordered.sort("place", -pl.col("forecast"), "node")
    return table.select("level", "node", "series", "sold", "forecast").to_pandas()


def _title(settings: Settings) -> str:
    with language(settings.report.language):
        keys = " × ".join(word(key) for key in settings.forecast.series)
        if settings.forecast.target == "revenue":
            return _("Sales forecast: revenue by {series}", series=keys)
        return _("Sales forecast: quantity by {series}", series=keys)


def total_actual(lake: Lakehouse) -> tuple[pd.DataFrame, int]:
    """The sum over all series by step, `ds, y, closed, any_closed`, and the number of series."""
    names = Partial(lambda rows: rows.unique(), pl.DataFrame(schema={"unique_id": pl.String}))
    schema = {"ds": pl.Date, "y": pl.Float64, "known": pl.Int64, "closed": pl.Boolean, "any_closed": pl.Boolean}
    steps = Partial(
        lambda rows: rows.group_by("ds", maintain_order=True).agg(
            pl.col("y", "known").sum(), pl.col("closed").all(), pl.col("any_closed").any()
        ),
        pl.DataFrame(schema=schema),
    )
    y, closed = pl.col("y"), pl.col("closed")
    for batch in lake.batches(SALES_SERIES, ["unique_id", "ds", "y", "closed"]):
        names.add(batch.select("unique_id").unique())
        known = y.count().cast(pl.Int64)
        steps.add(
            batch.group_by("ds", maintain_order=True).agg(
                y.sum(), known.alias("known"), closed.all(), closed.any().alias("any_closed")
            )
        )
    # The sum of steps that are all unknown is unknown.
    totals = steps.total().sort("ds").with_columns(pl.when(pl.col("known") > 0).then("y").alias("y")).drop("known")
    return _dated(totals), names.total().height


def total_future(lake: Lakehouse) -> tuple[pd.DataFrame, DataQuality]:
    """The sum of the forecasts by step, `ds, yhat, closed`, and how many series were not forecast by the model."""
    yhat, model = pl.col("yhat"), pl.col("model")
    steps = Partial(
        lambda rows: rows.group_by("ds", maintain_order=True).agg(yhat.sum(), pl.col("largest").max()),
        pl.DataFrame(schema={"ds": pl.Date, "yhat": pl.Float64, "largest": pl.Float64}),
    )
    names = Partial(lambda rows: rows.unique(), pl.DataFrame(schema={"unique_id": pl.String, "model": pl.String}))
    for batch in lake.batches(FORECASTS, ["unique_id", "ds", "yhat", "model"]):
        steps.add(batch.group_by("ds", maintain_order=True).agg(yhat.sum(), yhat.max().alias("largest")))
        names.add(batch.filter(model.is_in([*SHORT_SERIES, ENDED])).select("unique_id", "model").unique())
    totals = steps.total().sort("ds").select("ds", "yhat", (pl.col("largest") == 0).alias("closed"))
    short, ended = names.total().select(short=model.is_in(SHORT_SERIES).sum(), ended=(model == ENDED).sum()).row(0)
    return _dated(totals), DataQuality(short_series=short, ended_series=ended)


def _rows(lake: Lakehouse, name: str, columns: list[str], condition: pc.Expression) -> pd.DataFrame:
    """Some rows of a table, sorted by series and step."""
    rows = lake.read_polars(name, [*SERIES_AND_STEP, *columns], condition)
    return _dated(rows.sort(SERIES_AND_STEP))


def realised_error(accuracy: pl.DataFrame) -> pd.DataFrame:
    """Error of the past forecasts of the latest model versions, over all their weeks and horizons.

    Args:
        accuracy: The table `forecast_accuracy`.

    Returns:
        `model_version, first, last, wape, bias, baseline_wape, volume`, the last version last.
    """
    volume = pl.col("volume")
    by_version = (
        accuracy.filter(volume > 0)
        .sort("model_version", "week", "horizon_bucket")
        .group_by("model_version", maintain_order=True)
        .agg(
            pl.col("week").min().alias("first"),
            pl.col("week").max().alias("last"),
            *[(pl.col(name) * volume).sum() / volume.sum() for name in ("wape", "bias", "baseline_wape")],
            volume.sum(),
        )
    )
    return by_version.tail(SHOWN_VERSIONS).to_arrow().to_pandas()


def quality_summary(lake: Lakehouse, source: Source) -> DataQuality:
    """Counts of delivered, accepted and quarantined rows, with the reasons.

    Args:
        lake: The lake.
        source: What the load of the raw sales noted.
    """
    day, flagged = pl.col("date"), (pl.col("flags").list.len() > 0).sum()
    found = [
        batch.select(first=day.min(), last=day.max(), flagged=flagged)
        for batch in lake.batches(SALES, ["date", "flags"])
    ]
    empty = pl.DataFrame(schema={"first": pl.Date, "last": pl.Date, "flagged": pl.UInt32})
    first, last, flags = pl.concat([empty, *found]).select(pl.min("first"), pl.max("last"), pl.sum("flagged")).row(0)
    accepted, rejected = lake.size(SALES).rows, lake.size(QUARANTINED_SALES).rows
    quality = DataQuality(
        delivered=accepted + rejected + source.get("left_out", 0),
        accepted=accepted,
        quarantined=rejected,
        reasons=counted(lake.batches(QUARANTINED_SALES, ["_reasons"]), "_reasons"),
        flagged=flags,
        flags=counted(lake.batches(SALES, ["flags"]), "flags"),
        descriptions=source.get("rules", {}),
        first_date=first,
        last_date=last,
        fallback="profile of new series",
    )
    return quality | DataQuality(filtered_out=source["left_out"]) if "left_out" in source else quality


def _dated(frame: pl.DataFrame) -> pd.DataFrame:
    plain = frame.to_pandas()
    return plain.assign(ds=pd.to_datetime(plain["ds"]))
