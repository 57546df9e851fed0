"""What a report shows, as plain frames and numbers: neither Spark nor Dagster, neither figures nor HTML.

Everything but the comparison itself may be missing; the report leaves out what it has no data for.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypedDict

import numpy as np
import pandas as pd

from salesml_assets.config.settings import Language
from salesml_assets.forecasting.explanations.columns import SCHEMA
from salesml_assets.language import _


class Challenger(TypedDict, total=False):
    """One algorithm against the reference: the champion or, where there is none, the baseline.

    `difference` is the reference's WAPE minus this one's, with its confidence interval `difference_low`..
    `difference_high`; `relative_gain` is that difference over the reference's WAPE. Above zero: better.
    `p_value` is one-sided, `p_value_adjusted` corrected for the number of challengers (Holm).
    """

    algorithm: str
    wape: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    relative_gain: float | None
    p_value: float | None
    p_value_adjusted: float | None
    beats_naive: bool | None


class Decision(TypedDict, total=False):
    """The promotion decision: `winner` is in production from now on, `champion` was before (None: nothing was).

    `reason` is in English, `reasons` has it by language; decisions of earlier releases lack the latter.
    """

    champion: str | None
    winner: str
    promoted: bool
    candidate: str | None
    version: int | None
    challengers: list[Challenger]
    confidence_level: float
    reason: str
    reasons: dict[str, str]


class Business(TypedDict, total=False):
    """The comparison in business terms, for the winner.

    `accuracy` and `error_reduction` (against the baseline) are in percent. `error_value`, `saved` and `sold` are
    sums over one horizon, averaged over the folds: of the absolute error, of what it is below the baseline's, and
    of the sales; in money where `is_money`, else in units sold. `cost`, `baseline_cost` and `champion_cost` (of what
    was in production before) are what the errors of one horizon cost where a unit too few costs `cost_under` of its
    price and one too many `cost_over`.
    """

    accuracy: float | None
    error_reduction: float | None
    error_value: float | None
    saved: float | None
    sold: float | None
    is_money: bool
    cost: float | None
    baseline_cost: float | None
    champion_cost: float | None
    cost_under: float
    cost_over: float


class DataQuality(TypedDict, total=False):
    """What became of the delivered rows, and what the series look like.

    `reasons` and `flags` count rows per rule; a row that broke several rules stands under each of them.
    `short_series` are too short for the model and forecast by what `fallback` names; `ended_series` stopped selling and
    are forecast by zero.
    """

    delivered: int
    filtered_out: int
    accepted: int
    quarantined: int
    reasons: dict[str, int]
    flagged: int
    flags: dict[str, int]
    descriptions: dict[str, str]
    first_date: dt.date | None
    last_date: dt.date | None
    series: int
    closed_days: int
    short_series: int
    ended_series: int
    fallback: str | None


class ABTest(TypedDict):
    """The latest A/B test, a row of the table `ab_test_report`; what is not known is None.

    `reason` is in English, `sentences` has it by language. `looks` is its confidence sequence by day: `ds, difference,
    low, high, wape`.
    """

    test: int
    outcome: str
    reason: str
    sentences: dict[str, str]
    margin: float
    looks: pd.DataFrame
    champion: str
    champion_version: int | None
    champion_wape: float | None
    champion_requests: int | None
    champion_failed: int | None
    champion_p50_ms: float | None
    champion_p99_ms: float | None
    champion_served_wape: float | None
    challenger: str
    challenger_version: int | None
    challenger_wape: float | None
    challenger_requests: int | None
    challenger_failed: int | None
    challenger_p50_ms: float | None
    challenger_p99_ms: float | None
    challenger_served_wape: float | None


REQUIRED_COLUMNS = {
    "metrics": ("algorithm", "dimension", "segment", "metric", "value"),
    "runs": ("algorithm", "parameters", "seconds", "rows"),
    "coverage": ("dimension", "segment", "level", "coverage"),
    "importance": ("name", "value"),
    "sample": ("y", "yhat"),
    "best_series": ("unique_id", "wape"),
    "worst_series": ("unique_id", "wape"),
    "series_history": ("unique_id", "ds", "y"),
    "series_backtest": ("unique_id", "ds", "yhat"),
    "series_future": ("unique_id", "ds", "yhat"),
    "orders": ("algorithm", "service_level", "fill_rate", "stock", "cover", "lost"),
    "total_actual": ("ds", "y"),
    "total_backtest": ("fold", "ds", "yhat"),
    "total_future": ("ds", "yhat"),
    "checks": ("check", "passed", "severity", "detail"),
    "explanations": tuple(SCHEMA.names()),
    "totals": ("level", "node", "series", "sold", "forecast"),
    "realised": ("model_version", "first", "last", "wape", "bias", "baseline_wape", "volume"),
}


def _empty(name: str) -> pd.DataFrame:
    return pd.DataFrame({column: [] for column in REQUIRED_COLUMNS[name]})


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything that the report shows.

    Raises:
        ValueError: A frame lacks a column, or the winner has no metrics; the message names it.

    Attributes:
        title: Headline of the report.
        source: Where the sales came from.
        generated_for: The day that counts as today.
        target: revenue or quantity.
        frequency: D, W or W-SUN … W-SAT.
        horizon: Steps ahead.
        series_keys: Keys that make one series.
        settings: Further settings worth printing, name to value.
        baseline: The algorithm that everything is measured against.
        metrics: `algorithm, dimension (total|fold|horizon|category|volume_class|level), segment, metric (wape, rmse,
            mae, r2, bias, rmsse, coverage80, coverage95, change, rows, series), value` (null where undefined).
        runs: `algorithm, parameters (dict or text), seconds, rows` of tuning, backtest and fit.
        decision: The promotion decision.
        language: Language of the text.
        coverage: Measured coverage of the winner's intervals: `dimension (total|fold|horizon|volume_class), segment,
            level (0.8|0.95; null for the quantity to order), coverage (share)`.
        business: The comparison in business terms.
        importance: `name, value` of the features of `importance_of`; any positive unit, shown as shares.
        importance_of: The algorithm whose features these are.
        sample: `y, yhat` of backtest rows of the winner, drawn at random.
        sample_rows: Number of rows that the sample was drawn from.
        residual_edges: n+1 edges of the bins of y - yhat of the winner, ascending.
        residual_counts: n counts; rows beyond the edges stand in the outer bins.
        best_series: `unique_id, wape` (optionally `label`, `volume`) of the series with the lowest error, best first.
        worst_series: The same for the highest error, worst first.
        series_history: `unique_id, ds, y` (optionally `closed`) of the series shown, about the last 120 steps.
        series_backtest: `unique_id, ds, yhat` (optionally `lo80, hi80`) of the winner in the folds.
        series_future: `unique_id, ds, yhat, lo80, hi80, lo95, hi95, order_quantity` (all but yhat optional).
        orders: The replay of orders (`forecasting.order_replay.replay_orders`).
        service_level: The service level that is reported of it.
        has_costs: Whether costs of ordering are set, and with them the service level.
        lead_time: Steps from an order of the replay to its delivery.
        review: Steps between two of its orders.
        total_actual: `ds, y` (optionally `closed`) summed over all series.
        total_backtest: `fold, ds, yhat` of the winner summed over all series.
        total_future: `ds, yhat` summed over all series (optionally `lo80, hi80, lo95, hi95` of the sum, and `closed`).
        quality: Data-quality summary.
        checks: Results of asset checks: `check, passed, severity, detail`.
        lake_versions: Version of each table that the model was trained on.
        started_by: What started the retrain that made the model, if a drift did.
        realised: Error of each model version's past forecasts: `model_version`, `first` and `last` week of their
            steps, `wape`, `bias`, `baseline_wape`, `volume`; the last version last.
        totals: Forecasts added up by level: `level`, `node`, `series` (how many), `sold` (in as many steps before the
            forecasts; null where nothing is known), `forecast` (over the whole horizon).
        ab_test: The latest A/B test.
        explanations: The table `explanations` (`forecasting.explanations.columns`); its features in words.
    """

    title: str
    source: str
    generated_for: dt.date
    target: str
    frequency: str
    horizon: int
    series_keys: Sequence[str]
    metrics: pd.DataFrame
    decision: Decision
    language: Language = "en"
    settings: Mapping[str, object] = field(default_factory=dict)
    baseline: str = "seasonal_naive"
    runs: pd.DataFrame = field(default_factory=partial(_empty, "runs"))
    coverage: pd.DataFrame = field(default_factory=partial(_empty, "coverage"))
    business: Business = field(default_factory=lambda: Business())
    importance: pd.DataFrame = field(default_factory=partial(_empty, "importance"))
    importance_of: str = ""
    sample: pd.DataFrame = field(default_factory=partial(_empty, "sample"))
    sample_rows: int = 0
    residual_edges: Sequence[float] = ()
    residual_counts: Sequence[int] = ()
    best_series: pd.DataFrame = field(default_factory=partial(_empty, "best_series"))
    worst_series: pd.DataFrame = field(default_factory=partial(_empty, "worst_series"))
    series_history: pd.DataFrame = field(default_factory=partial(_empty, "series_history"))
    series_backtest: pd.DataFrame = field(default_factory=partial(_empty, "series_backtest"))
    series_future: pd.DataFrame = field(default_factory=partial(_empty, "series_future"))
    orders: pd.DataFrame = field(default_factory=partial(_empty, "orders"))
    service_level: float = 0.95
    has_costs: bool = False
    lead_time: int = 1
    review: int = 7
    total_actual: pd.DataFrame = field(default_factory=partial(_empty, "total_actual"))
    total_backtest: pd.DataFrame = field(default_factory=partial(_empty, "total_backtest"))
    total_future: pd.DataFrame = field(default_factory=partial(_empty, "total_future"))
    quality: DataQuality = field(default_factory=lambda: DataQuality())
    checks: pd.DataFrame = field(default_factory=partial(_empty, "checks"))
    lake_versions: Mapping[str, int] = field(default_factory=dict)
    started_by: str | None = None
    realised: pd.DataFrame = field(default_factory=partial(_empty, "realised"))
    totals: pd.DataFrame = field(default_factory=partial(_empty, "totals"))
    ab_test: ABTest | None = None
    explanations: pd.DataFrame = field(default_factory=partial(_empty, "explanations"))

    def __post_init__(self) -> None:
        """Refuses what cannot be shown."""
        for name, columns in REQUIRED_COLUMNS.items():
            missing = [column for column in columns if column not in getattr(self, name)]
            if missing:
                raise ValueError(f"{name}: the frame lacks {', '.join(missing)}")
        if self.winner not in self.algorithms:
            raise ValueError(f"decision: the winner {self.winner!r} has no metrics")
        if self.residual_counts and len(self.residual_edges) != len(self.residual_counts) + 1:
            raise ValueError("residual_edges: there must be one edge more than residual_counts")

    @property
    def winner(self) -> str:
        """The algorithm in production after the decision."""
        return self.decision["winner"]

    @property
    def algorithms(self) -> list[str]:
        """All compared algorithms, lowest total WAPE first, those without one last."""
        totals = self.by_algorithm("wape")
        others = sorted(set(self.metrics["algorithm"]) - set(totals))
        return [*sorted(totals, key=lambda name: (totals[name], name)), *others]

    @property
    def weekly(self) -> bool:
        """Whether a step is a week, and not a day."""
        return not self.frequency.startswith("D")

    @property
    def step(self) -> str:
        """Name of one step: day or week."""
        return _("week") if self.weekly else _("day")

    @property
    def steps(self) -> str:
        """Name of several steps: days or weeks."""
        return _("weeks") if self.weekly else _("days")

    @property
    def unit(self) -> str:
        """What the target is counted in, for axes: no currency is known."""
        return _("revenue") if self.target == "revenue" else _("units")

    def by_algorithm(self, metric: str, dimension: str = "total", segment: str | None = None) -> dict[str, float]:
        """The finite values of one metric, per algorithm."""
        rows = self._rows(metric, dimension)
        if segment is not None:
            rows = rows[rows["segment"] == segment]
        return dict(zip(rows["algorithm"], rows["value"], strict=True))

    def value(self, algorithm: str, metric: str) -> float | None:
        """The total value of one metric of one algorithm, None where undefined."""
        return self.by_algorithm(metric).get(algorithm)

    def by_segment(self, metric: str, dimension: str) -> pd.DataFrame:
        """One row per algorithm, one column per segment, in natural order (1-7, 8-14, …; A, B, C; 1, 2, 3).

        Algorithms stand in the order of `algorithms`; undefined values are NaN.
        """
        rows = self._rows(metric, dimension)
        if rows.empty:
            return pd.DataFrame()
        table = rows.pivot_table(index="algorithm", columns="segment", values="value", aggfunc="first")
        order = [name for name in self.algorithms if name in table.index]
        return table.loc[order, natural_order(table.columns)]

    def _rows(self, metric: str, dimension: str) -> pd.DataFrame:
        """The rows of one metric and dimension with finite values, segments as text."""
        metrics = self.metrics
        rows = metrics[(metrics["metric"] == metric) & (metrics["dimension"] == dimension)]
        rows = rows.assign(value=rows["value"].astype(float), segment=rows["segment"].fillna("").astype(str))
        finite: pd.DataFrame = rows[np.isfinite(rows["value"])]
        return finite


def natural_order(segments: Iterable[str]) -> list[str]:
    """Sorts segments by their leading number, where they have one, then by name.

    >>> natural_order(["15-28", "29+", "1-7", "8-14"])
    ['1-7', '8-14', '15-28', '29+']
    """

    def key(segment: str) -> tuple[float, str]:
        number = re.match(r"\d+", segment)
        return (float(number.group()) if number else math.inf, segment)

    return sorted(segments, key=key)
