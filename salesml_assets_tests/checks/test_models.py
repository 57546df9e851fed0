"""The checks of a backtest, of the comparison, of the production model and of its forecasts."""

from __future__ import annotations

import datetime as dt
import json
from functools import partial

import pandas as pd
import pytest

from salesml_assets.checks.base import WARN
from salesml_assets.checks.evaluation import measure_comparison, measure_explanations
from salesml_assets.checks.models import measure_backtest
from salesml_assets.checks.production import measure_forecasts, measure_production_model, measure_totals
from salesml_assets.config.settings import Settings

from .lakes import failed

LAST = dt.date(2011, 5, 31)
SETTINGS = Settings(forecast={"horizon": 3}, training={"algorithms": ["seasonal_naive", "xgboost"]})


def predictions(**values: object) -> pd.DataFrame:
    rows = pd.DataFrame(
        {"origin": LAST, "ds": [LAST + dt.timedelta(step) for step in (1, 2, 3)], "yhat": [1.0, 0.0, 2.0]}
    )
    return rows.assign(**values)


def test_a_backtest(findings):
    panel = pd.DataFrame({"kind": ["score"] * 3 + ["train"]})

    def found(rows: pd.DataFrame, settings: Settings = SETTINGS) -> set[str]:
        return failed(findings(partial(measure_backtest, "xgboost"), settings, xgboost=rows, panel=panel))

    assert found(predictions()) == set()
    assert found(predictions().iloc[:2]) == {"same_rows"}
    assert found(predictions(origin=LAST + dt.timedelta(1))) == {"same_rows"}
    for bad in (None, float("nan"), float("inf"), -1.0):
        assert found(predictions(yhat=[1.0, bad, 2.0])) == {"finite"}
    assert found(predictions(yhat=[1.0, -1.0, 2.0]), Settings(forecast={"non_negative": False})) == set()


def metrics(xgboost: float, seasonal_naive: float, coverage80: float = 0.78, **other: float) -> pd.DataFrame:
    rows = [
        (name, metric, value)
        for name, wape in (("xgboost", xgboost), ("seasonal_naive", seasonal_naive))
        for metric, value in {
            "wape": wape, "rmse": 2.0, "mae": 1.0, "bias": 0.1, "coverage80": coverage80, "coverage95": 0.94, **other,
        }.items()
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["algorithm", "metric", "value"])
    return frame.assign(dimension="total", segment="all")


def test_a_comparison(findings):
    def found(frame: pd.DataFrame) -> set[str]:
        return failed(findings(measure_comparison, SETTINGS, model_comparison=frame))

    assert found(metrics(0.5, 0.8)) == set()
    assert found(metrics(0.5, 0.8, rmse=float("inf"))) == {"metrics_finite"}
    assert found(metrics(0.5, 0.8).query("algorithm != 'seasonal_naive'")) == {"metrics_finite"}
    assert found(metrics(0.9, 0.8)) == {"beats_baseline"}
    assert found(metrics(0.5, 0.8, coverage80=0.65)) == {"interval_coverage"}


def series() -> pd.DataFrame:
    days = [LAST - dt.timedelta(day) for day in range(6)]
    return pd.DataFrame([(name, day, 10.0) for name in "ab" for day in days], columns=["unique_id", "ds", "y"])


@pytest.mark.parametrize(
    ("numbers", "cutoff", "passed"),
    [([1], LAST, True), ([1, 2, 3], LAST, True), ([1, 3], LAST, False), ([1, 2], dt.date(2011, 5, 1), False)],
)
def test_versions_of_the_production_model(findings, numbers, cutoff, passed):
    versions = pd.DataFrame(
        {"version": numbers, "algorithm": "xgboost", "cutoff": cutoff, "parameters": "{}", "path": "lake/1-run"}
    )
    found = findings(measure_production_model, SETTINGS, production_model=versions, sales_series=series())
    assert found["versions"].passed is passed


@pytest.mark.parametrize(
    ("cutoff", "passed"),
    [(LAST, True), (dt.date(2011, 5, 1), True), (LAST + dt.timedelta(1), False)],
)
def test_a_version_chosen_by_hand_may_have_learned_from_older_data(findings, cutoff, passed):
    chosen = {"action": "rollback", "version": 1, "by": "ana", "reason": "odd forecasts"}
    versions = pd.DataFrame(
        {
            "version": [1, 2, 3], "algorithm": "xgboost", "cutoff": [cutoff, LAST, cutoff], "parameters": "{}",
            "path": ["lake/1-run", "lake/2-run", "lake/1-run"], "decision": ["{}", "{}", json.dumps(chosen)],
        }
    )  # fmt: skip
    found = findings(measure_production_model, SETTINGS, production_model=versions, sales_series=series())
    assert found["versions"].passed is passed
    assert found["versions"].measured["origin"] == "rollback of version 1 by ana: odd forecasts"


def forecasts() -> pd.DataFrame:
    rows = [(name, LAST + dt.timedelta(step)) for name in "ab" for step in (1, 2, 3)]
    bounds = {"lo95": 5.0, "lo80": 8.0, "yhat": 10.0, "hi80": 12.0, "hi95": 15.0}
    return pd.DataFrame(rows, columns=["unique_id", "ds"]).assign(**bounds, model="xgboost")


def test_forecasts(findings):
    def found(frame: pd.DataFrame, settings: Settings = SETTINGS) -> set[str]:
        return failed(
            findings(partial(measure_forecasts, table="forecasts"), settings, forecasts=frame, sales_series=series())
        )

    good = forecasts()
    assert found(good) == set()
    assert found(pd.concat([good.iloc[1:], good.iloc[-1:]])) == {"unique_keys"}
    assert found(good.iloc[1:]) == {"complete"}
    assert found(good.assign(lo80=11.0)) == {"ordered_intervals"}
    assert found(good.assign(lo95=-1.0)) == {"ordered_intervals"}
    assert found(good.assign(lo95=-1.0), Settings(forecast={"horizon": 3, "non_negative": False})) == set()
    assert found(good.assign(yhat=10.0, hi80=400.0, hi95=500.0)) == set()
    assert found(good.assign(yhat=400.0, hi80=400.0, hi95=500.0)) == {"plausible"}
    costs = Settings(forecast={"horizon": 3}, orders={"cost_under": 0.9, "cost_over": 0.1})  # between hi80 and hi95
    assert found(good, costs) == set()
    assert found(good.assign(order_quantity=12.0), costs) == set()
    assert found(good.assign(order_quantity=11.0), costs) == set()
    assert found(good.assign(order_quantity=7.0), costs) == {"ordered_intervals"}
    assert found(good.assign(order_quantity=12.5), costs) == {"ordered_intervals"}
    assert (
        found(
            good.assign(order_quantity=13.0),
            Settings(forecast={"horizon": 3}, orders={"cost_under": 0.95, "cost_over": 0.05}),
        )
        == set()
    )
    far = findings(
        partial(measure_forecasts, table="forecasts"), SETTINGS,
        forecasts=good.assign(yhat=0.0, lo80=0.0, lo95=0.0), sales_series=series(),
    )  # fmt: skip
    assert failed(far) == {"plausible"}
    assert far["plausible"].severity is WARN


def test_explanations(findings):
    forecasts = pd.DataFrame({"unique_id": "a", "ds": [LAST, LAST + dt.timedelta(1)], "yhat": [10.0, 0.0]})
    parts = [(LAST, 4.0), (LAST, 6.0), (LAST + dt.timedelta(1), 0.0)]
    rows = pd.DataFrame(parts, columns=["ds", "amount"]).assign(unique_id="a", kind="local")

    def found(explained: pd.DataFrame) -> set[str]:
        return failed(findings(measure_explanations, SETTINGS, explanations=explained, forecasts=forecasts))

    assert found(rows) == set()
    assert found(rows.assign(amount=[4.0, 5.0, 0.0])) == {"adds_up"}
    assert found(rows.iloc[:2]) == {"adds_up"}  # a step of the series is missing


def test_totals(findings):
    days = [LAST + dt.timedelta(step) for step in (1, 2)]
    forecasts = pd.DataFrame({"unique_id": ["a", "a", "b", "b"], "ds": days * 2, "yhat": [1.0, 2.0, 3.0, 4.0]})
    levels = {"total": [("total", [4.0, 6.0])], "category": [("x", [1.0, 2.0]), ("y", [3.0, 4.0])]}
    totals = pd.concat(
        pd.DataFrame({"level": level, "node": node, "ds": days, "yhat": values})
        for level, nodes in levels.items()
        for node, values in nodes
    ).reset_index(drop=True)
    totals = totals.assign(**dict.fromkeys(("lo80", "lo95"), totals["yhat"] - 0.5))
    totals = totals.assign(**dict.fromkeys(("hi80", "hi95"), totals["yhat"] + 0.5))

    def found(rows: pd.DataFrame, published: pd.DataFrame = forecasts) -> set[str]:
        return failed(findings(measure_totals, SETTINGS, hierarchy_forecasts=rows, forecasts=published))

    assert found(totals) == set()
    assert found(totals, forecasts.assign(yhat=forecasts["yhat"] * (1 + 1e-5))) == {"sums_agree"}
    assert found(totals[totals["node"] != "y"]) == {"sums_agree"}
    assert found(totals[totals["ds"] != days[1]]) == {"sums_agree"}
    assert found(totals, pd.concat([forecasts, forecasts.assign(ds=LAST)])) == {"sums_agree"}
    assert found(totals.assign(lo80=99.0)) == {"ordered_intervals"}
    assert found(totals.assign(hi95=None)) == {"ordered_intervals"}
    assert found(totals.assign(lo95=-1.0)) == {"ordered_intervals"}

    # Reconciled series stand in the same table, and the published ones may differ.
    reconciled = Settings(forecast={"horizon": 3, "hierarchy": {"reconciliation": "mint"}})
    series = totals.iloc[2:].assign(level="series", node=["a", "a", "b", "b"])
    both = pd.concat([totals, series], ignore_index=True)
    other = forecasts.assign(yhat=1.0)
    assert failed(findings(measure_totals, reconciled, hierarchy_forecasts=both, forecasts=other)) == set()
    both.loc[both.index[-1], "yhat"] += 0.1
    assert failed(findings(measure_totals, reconciled, hierarchy_forecasts=both, forecasts=other)) == {"sums_agree"}
    assert failed(findings(measure_totals, reconciled, hierarchy_forecasts=totals, forecasts=other)) == {"sums_agree"}
