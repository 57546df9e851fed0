"""All algorithms on the same rows: metrics, coverage, the promotion decision, and what a report shows of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import pandas as pd
import polars as pl

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.batches import Batches
from salesml_assets.forecasting.business import Business, Costs, business_reading, valued_sums
from salesml_assets.forecasting.errors import (
    best_and_worst_series,
    daily_sums,
    decisive_losses,
    losses_of,
    residual_histogram,
    sample_pairs,
    scored_folds,
)
from salesml_assets.forecasting.intervals import coverage_metrics, cross_fold_coverage
from salesml_assets.forecasting.metrics import DIMENSIONS, metrics_by, sorted_long, total
from salesml_assets.forecasting.order_replay import DEFAULT_LEVEL, ORDER_COLUMNS, Policy, order_metrics, replay_orders
from salesml_assets.forecasting.promotion import BASELINE, Decision, decide
from salesml_assets.forecasting.recipe import Recipe
from salesml_assets.forecasting.scan import Scan, scan

# The champion's recipe where its parameters are not those that the same algorithm was just tuned to.
CHAMPION = "champion"
JSON_METRICS = (
    "rmse", "mae", "r2", "wape", "bias", "rmsse", "cost", "coverage80", "coverage95", "coverage_order", "change",
)  # fmt: skip
TABLE_METRICS = (
    "wape", "rmse", "mae", "r2", "bias", "rmsse", "cost", "coverage80", "coverage95", "coverage_order", "change",
)  # fmt: skip
DATES = ("ds", "origin", "first", "last")
Run = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The result of comparing the algorithms.

    Attributes:
        metrics: Long table: `algorithm, dimension, segment, metric, value`; `coverage80`, `coverage95`, `change` and,
            where costs are set, `coverage_order` included; of the replay `fill_rate` and `stock_cover` in total.
        coverage: `algorithm, dimension, segment, level, coverage, width, rows` of all algorithms' intervals.
        decision: The promotion decision.
        recipes: Algorithm and parameters behind each name of the metrics.
        runs: Per name: `parameters`, `seconds`, `rows` (of training) and whatever else was passed for its run.
        folds: The scored folds: `fold, origin, first, last, rows, series`.
        losses: Per fold and step: `fold, ds, volume`, Σ|y - ŷ| of each name.
        daily: Totals of the winner: `fold, ds, y, yhat`.
        best_series: `unique_id, wape, bias, volume` of the winner's lowest errors, best first.
        worst_series: The same for its highest errors, worst first.
        sample: `unique_id, ds, y, yhat` of the winner, drawn at random.
        residual_edges: Edges of the bins of the winner's y - ŷ.
        residual_counts: Rows in each bin.
        business: The winner in business terms.
        orders: The replay of orders (`order_replay.replay_orders`) of the winner, the seasonal naive and the champion:
            `algorithm` and one row for each service level.
        service_level: The service level that is reported of it.
    """

    metrics: pd.DataFrame
    coverage: pd.DataFrame
    decision: Decision
    recipes: dict[str, Recipe]
    runs: dict[str, dict[str, Any]]
    folds: pd.DataFrame
    losses: pd.DataFrame
    daily: pd.DataFrame
    best_series: pd.DataFrame
    worst_series: pd.DataFrame
    sample: pd.DataFrame
    residual_edges: list[float]
    residual_counts: list[int]
    business: Business
    orders: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({name: [] for name in ORDER_COLUMNS}))
    service_level: float = DEFAULT_LEVEL

    @property
    def recipe(self) -> Recipe:
        """The recipe that serves after this comparison."""
        return self.recipes[self.decision.winner]

    @property
    def sample_rows(self) -> int:
        """Rows that the sample was drawn from."""
        return int(self.folds["rows"].sum())

    def table(self) -> list[dict[str, Any]]:
        """One record per algorithm, lowest WAPE first: its metrics over all rows, seconds, training rows."""
        return [
            {
                "algorithm": name,
                **{metric: values.get(metric) for metric in TABLE_METRICS},
                "seconds": self.runs.get(name, {}).get("seconds"),
                "rows": self.runs.get(name, {}).get("rows"),
            }
            for name, values in sorted(
                self._totals().items(), key=lambda item: (item[1].get("wape", math.inf), item[0])
            )
        ]

    def to_json(self) -> str:
        """Everything as JSON, read back by `from_json`."""
        values: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, pd.DataFrame):
                values[one.name] = json.loads(
                    value.to_json(orient="split", index=False, date_format="iso", double_precision=15)
                )
            elif one.name == "recipes":
                values[one.name] = {name: recipe.model_dump(mode="json") for name, recipe in value.items()}
            else:
                values[one.name] = value.model_dump(mode="json") if isinstance(value, Decision | Business) else value
        return json.dumps(values, allow_nan=False, default=str, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """Reads what `to_json` wrote."""
        values = json.loads(text)
        for name, value in values.items():
            if isinstance(value, dict) and value.keys() == {"columns", "data"}:
                frame = pd.DataFrame(**value)
                dates = {column: pd.to_datetime(frame[column]) for column in DATES if column in frame}
                values[name] = frame.assign(**dates)
        return cls(
            **values
            | {
                "decision": Decision(**values["decision"]),
                "business": Business(**values["business"]),
                "recipes": {name: Recipe(**recipe) for name, recipe in values["recipes"].items()},
            }
        )

    def _totals(self) -> dict[str, dict[str, float]]:
        rows = self.metrics[(self.metrics["dimension"] == "total") & self.metrics["value"].notna()]
        totals: dict[str, dict[str, float]] = {name: {} for name in sorted(self.recipes)}
        for name, metric, value in zip(rows["algorithm"], rows["metric"], rows["value"], strict=True):
            totals[name][metric] = value
        return totals


def compare(
    predictions: Mapping[str, Batches],
    settings: Settings,
    runs: Mapping[str, Run],
    champion: Recipe | None = None,
    champion_predictions: Batches | None = None,
    prices: pl.DataFrame | None = None,
    changes: pd.DataFrame | None = None,
    levels: pd.DataFrame | None = None,
) -> Comparison:
    """Compares the backtests of all algorithms and decides which recipe serves.

    Each algorithm's table is read three times, the winner's seven times; of one algorithm at a time three numbers per
    row are kept, of all of them only sums.

    Args:
        predictions: Per algorithm its backtest: `PREDICTION_COLUMNS`, fold 0 included; the same rows for all.
        settings: The settings.
        runs: Per algorithm: `parameters`, `seconds`, `rows`.
        champion: The recipe in production; None where there is none.
        champion_predictions: Backtest of the champion's recipe, where its parameters are not those of `runs`; it
            takes part under the name `champion`.
        prices: `unique_id`, `price` (`business.average_prices`): the value of the error in money, where the target
            is a quantity.
        changes: Stability of the forecasts (`stability.backtest_changes`), to stand with the metrics.
        levels: Accuracy of totals (`hierarchy.level_accuracy`), to stand with the metrics.

    Raises:
        ValueError: Rows differ between algorithms, predictions are not finite numbers, or the seasonal naive or
            the champion does not take part.
    """
    parts = dict(predictions)
    champion_name = champion.algorithm if champion else None
    if champion_predictions is not None:
        parts[CHAMPION], champion_name = champion_predictions, CHAMPION
    recipes = {
        name: Recipe(algorithm=name, parameters=runs.get(name, {}).get("parameters") or {}) for name in predictions
    }
    if champion is not None:
        recipes[champion_name or CHAMPION] = champion
    weekly = settings.forecast.frequency != "D"
    costs = Costs(*settings.orders.costs, prices)
    scans = {name: scan(batches, weekly, costs) for name, batches in parts.items()}
    _check_rows(scans)
    metrics = metrics_by({name: found.segments for name, found in scans.items()})
    sums = daily_sums({name: found.days for name, found in scans.items()})
    losses = losses_of(sums)
    decisive = decisive_losses(sums, settings)
    decision = decide(decisive, metrics, champion_name, settings, champion.algorithm if champion else None)
    winner = decision.winner
    coverage = cross_fold_coverage(
        parts,
        non_negative=settings.forecast.non_negative,
        weekly=weekly,
        dimensions=DIMENSIONS,
        service_level=settings.orders.service_level,
    )
    shown = dict.fromkeys(name for name in (winner, BASELINE, champion_name) if name is not None)
    policy, level = Policy.of(settings), settings.orders.service_level or DEFAULT_LEVEL
    orders = replay_orders({name: parts[name] for name in shown}, policy, level, prices)
    valued = valued_sums({name: found.series for name, found in scans.items()}, prices) if prices is not None else None
    best, worst = best_and_worst_series(scans[winner].series)
    edges, counts = residual_histogram(parts[winner])
    return Comparison(
        metrics=sorted_long(
            pd.concat(
                [
                    metrics,
                    coverage_metrics(coverage),
                    order_metrics(orders, level),
                    *[part for part in (changes, levels) if part is not None],
                ]
            )
        ),
        coverage=coverage,
        decision=decision,
        recipes=recipes,
        runs={name: dict(run) for name, run in runs.items()},
        folds=scored_folds(sums, metrics),
        losses=losses,
        daily=sums.loc[sums["algorithm"] == winner, ["fold", "ds", "y", "yhat"]].reset_index(drop=True),
        best_series=best,
        worst_series=worst,
        sample=sample_pairs(parts[winner], seed=settings.training.seed),
        residual_edges=edges,
        residual_counts=counts,
        business=business_reading(
            sums,
            winner,
            BASELINE,
            settings.forecast.target == "revenue",
            valued,
            costs,
            total(metrics, "cost"),
            champion_name,
        ),
        orders=orders,
        service_level=level,
    )


def _check_rows(scans: Mapping[str, Scan]) -> None:
    """Every algorithm has to be scored on the same rows, with numbers."""
    found = dict(sorted(scans.items()))
    if unusable := {name: one.unusable for name, one in found.items() if one.unusable}:
        raise ValueError(f"{', '.join(unusable)}: {sum(unusable.values())} predictions are not finite numbers")
    if len({(one.rows, one.fingerprint) for one in found.values()}) > 1:
        counts = ", ".join(f"{name} {one.rows}" for name, one in found.items())
        raise ValueError(
            f"the algorithms were not scored on the same rows ({counts}): materialize all of them together"
        )


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """The content of `model_comparison.json`.

    Returns:
        Per algorithm `rmse`, `mae`, `r2`, `best_params`, and alongside them `wape`, `bias`, `rmsse`, `cost`,
        `coverage80`, `coverage95`, `coverage_order` (null without costs), `change`, `seconds`, `rows` (of training);
        under `_decision` the promotion decision, under `_folds` the scored folds. Undefined values are null.
    """
    result: dict[str, Any] = {}
    for name, values in comparison._totals().items():
        run = comparison.runs.get(name, {})
        result[name] = {
            **{metric: values.get(metric) for metric in JSON_METRICS},
            "best_params": comparison.recipes[name].parameters,
            "seconds": run.get("seconds"),
            "rows": run.get("rows"),
        }
    folds = comparison.folds.assign(**{name: comparison.folds[name].dt.strftime("%Y-%m-%d") for name in DATES[1:]})
    result["_decision"] = comparison.decision.model_dump(mode="json")
    result["_folds"] = folds.to_dict(orient="records")
    return result
