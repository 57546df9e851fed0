"""A small report of made-up numbers, each piece of which a test can replace."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from salesml_assets.reporting.data import Business, Challenger, DataQuality, Decision, ReportData
from salesml_assets_tests.forecasting.explanations.small_table import small_table

WAPES = {"xgboost": 0.30, "linear_regression": 0.34, "seasonal_naive": 0.40}
SEGMENTS = {
    "total": ["all"],
    "horizon": ["1-7", "8-14", "15-28"],
    "fold": ["1", "2", "3"],
    "volume_class": ["A", "B", "C"],
    "category": ["tea", "coffee"],
    "level": ["total", "category"],
}
LAST = dt.date(2024, 6, 30)
SERIES = ["tea/1", "tea/2", "coffee/1"]


def metrics(wapes: dict[str, float] = WAPES) -> pd.DataFrame:
    """Metrics in long form; segments after the first are a tenth worse each."""
    rows = []
    for algorithm, wape in wapes.items():
        for dimension, segments in SEGMENTS.items():
            for place, segment in enumerate(segments):
                value = wape * (1 + place / 10)
                values = {
                    "wape": value,
                    "mae": 100 * value,
                    "rmse": 150 * value,
                    "r2": 1 - value,
                    "bias": value / 10 - 0.03,
                    "rmsse": 2 * value,
                    "cost": 1e5 * wape / len(segments),
                    "coverage80": 0.79,
                    "coverage95": 0.94,
                    "rows": 1000 - place,
                    "series": 30,
                }
                rows += [(algorithm, dimension, segment, metric, number) for metric, number in values.items()]
    return pd.DataFrame(rows, columns=["algorithm", "dimension", "segment", "metric", "value"])


def timelines(scale: float = 100.0) -> dict[str, pd.DataFrame]:
    """History, backtests and forecasts of three series and of their sum, 84 days back and 28 ahead."""
    random = np.random.default_rng(7)
    past = pd.date_range(end=LAST, periods=84)
    ahead = pd.date_range(start=LAST + dt.timedelta(days=1), periods=28)
    history, backtest, future = [], [], []
    for name in SERIES:
        y = scale * random.gamma(4, 0.25, len(past))
        history.append(pd.DataFrame({"unique_id": name, "ds": past, "y": y}))
        yhat = y * random.normal(1, 0.2, len(past))
        fold = np.repeat([1, 2, 3], 28)
        backtest.append(
            pd.DataFrame(
                {"unique_id": name, "fold": fold, "ds": past, "yhat": yhat, "lo80": 0.5 * yhat, "hi80": 1.5 * yhat}
            )
        )
        level = np.full(len(ahead), y.mean())
        bands = {"lo95": 0.2 * level, "lo80": 0.5 * level, "hi80": 1.5 * level, "hi95": 2 * level}
        future.append(pd.DataFrame({"unique_id": name, "ds": ahead, "yhat": level, **bands}))
    series = {
        "series_history": pd.concat(history),
        "series_backtest": pd.concat(backtest),
        "series_future": pd.concat(future),
    }
    columns = ["yhat", "lo95", "lo80", "hi80", "hi95"]
    return series | {
        "total_actual": series["series_history"].groupby("ds", as_index=False)["y"].sum(),
        "total_backtest": series["series_backtest"].groupby(["fold", "ds"], as_index=False)["yhat"].sum(),
        "total_future": series["series_future"].groupby("ds", as_index=False)[columns].sum(),
    }


def orders() -> pd.DataFrame:
    """A replay in which the seasonal naive needs twice the stock for the same availability."""
    rows = [
        (name, level, level, times * 100 * level, times * 10 * level, 1_000 * (1 - level))
        for name, times in (("xgboost", 1.0), ("seasonal_naive", 2.0))
        for level in (0.5, 0.8, 0.95)
    ]
    return pd.DataFrame(rows, columns=["algorithm", "service_level", "fill_rate", "stock", "cover", "lost"])


def decision() -> Decision:
    """XGBoost replaces the linear regression."""
    return Decision(
        champion="linear_regression",
        winner="xgboost",
        promoted=True,
        version=4,
        confidence_level=0.95,
        challengers=[
            Challenger(
                algorithm="xgboost",
                wape=0.30,
                difference=0.04,
                difference_low=0.02,
                difference_high=0.06,
                relative_gain=0.118,
                p_value=0.0001,
                p_value_adjusted=0.0002,
                beats_naive=True,
            )
        ],
        reason="XGBoost replaces the linear regression: 11.8% less error.",
    )


def bare_report(**changes: Any) -> ReportData:
    """A report that has the comparison and nothing else."""
    only = {
        "title": "Sales",
        "source": "sales.parquet",
        "generated_for": dt.date(2024, 7, 1),
        "target": "revenue",
        "frequency": "D",
        "horizon": 28,
        "series_keys": ("store", "product"),
        "metrics": metrics(),
        "decision": Decision(champion=None, winner="xgboost", promoted=True, challengers=[], reason="The first one."),
    }
    return ReportData(**only | changes)


def full_report(**changes: Any) -> ReportData:
    """A report that has every piece."""
    random = np.random.default_rng(3)
    y = random.gamma(4, 25, 300)
    yhat = y * random.normal(1, 0.3, 300)
    counts, edges = np.histogram(y - yhat, bins=20)
    data = bare_report(
        decision=decision(),
        settings={"folds": 3},
        runs=pd.DataFrame(
            {
                "algorithm": list(WAPES),
                "parameters": [{"max_depth": 6}, '{"regParam": 0.1}', None],
                "seconds": [75.0, 12.0, 1.0],
                "rows": [20_000, 20_000, 0],
            }
        ),
        coverage=pd.DataFrame(
            [
                (dimension, segment, level, level - 0.01)
                for dimension in ("total", "horizon", "fold")
                for segment in SEGMENTS[dimension]
                for level in (0.8, 0.95)
            ],
            columns=["dimension", "segment", "level", "coverage"],
        ),
        business=Business(
            accuracy=70.0,
            error_reduction=25.0,
            error_value=30_000.0,
            saved=10_000.0,
            sold=100_000.0,
            is_money=True,
            cost=30_000.0,
            baseline_cost=40_000.0,
            champion_cost=34_000.0,
            cost_under=1.0,
            cost_over=1.0,
        ),
        orders=orders(),
        importance=pd.DataFrame({"name": ["f_mean_28", "f_horizon", "f_promo"], "value": [6.0, 3.0, 1.0]}),
        importance_of="xgboost",
        sample=pd.DataFrame({"y": y, "yhat": yhat}),
        sample_rows=5000,
        residual_edges=edges.tolist(),
        residual_counts=counts.tolist(),
        best_series=pd.DataFrame({"unique_id": ["tea/1", "tea/2"], "wape": [0.1, 0.15]}),
        worst_series=pd.DataFrame({"unique_id": ["coffee/1"], "wape": [0.9]}),
        quality=DataQuality(
            delivered=1000,
            filtered_out=10,
            accepted=950,
            quarantined=50,
            reasons={"invalid_date": 20, "exact_duplicate": 35},
            flagged=5,
            flags={"outlier_revenue": 5},
            descriptions={"invalid_date": "The date is none."},
            first_date=dt.date(2023, 1, 1),
            last_date=LAST,
            series=30,
            closed_days=4,
            short_series=2,
            fallback="moving_average",
        ),
        checks=pd.DataFrame(
            {
                "check": ["sales: rows", "forecasts: complete"],
                "passed": [True, False],
                "severity": ["ERROR", "WARN"],
                "detail": ["1,000 rows", "2 missing"],
            }
        ),
        lake_versions={"sales": 7},
        started_by="drift of mix in the week from 2024-03-25",
        realised=pd.DataFrame(
            {
                "model_version": [3, 4],
                "first": [dt.date(2024, 1, 1), dt.date(2024, 2, 5)],
                "last": [dt.date(2024, 1, 29), dt.date(2024, 2, 12)],
                "wape": [0.4567, 0.3123],
                "bias": [-0.2, 0.0],
                "baseline_wape": [0.5, 0.5],
                "volume": [100.0, 200.0],
            }
        ),
        totals=pd.DataFrame(
            {
                "level": ["total", "category", "category"],
                "node": ["total", "tea", ""],
                "series": [30, 20, 10],
                "sold": [1_000.0, 600.0, None],
                "forecast": [1_100.0, 540.0, 560.0],
            }
        ),
        explanations=small_table(),
        **timelines(),
    )
    return replace(data, **changes)
