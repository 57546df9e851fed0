"""The worked examples of docs/extending.md, run as they are printed there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from pyspark.sql import SparkSession

from salesml_assets.config.settings import Settings
from salesml_assets.drift.inputs import series_weeks
from salesml_assets.drift.measures import read
from salesml_assets.drift.parameters import DriftParameters
from salesml_assets.drift.windows import comparison
from salesml_assets.forecasting import panel_features
from salesml_assets.forecasting.algorithms.base import Engines
from salesml_assets.forecasting.panel import _final_columns
from salesml_assets.forecasting.training.backtest import backtest
from salesml_assets.reporting.feature_names import _labels
from salesml_assets_tests.docs.pages import titled
from salesml_assets_tests.drift.panels import WEEKS, inputs, late, weekly_sales
from salesml_assets_tests.forecasting.small_lake import training_panel
from salesml_assets_tests.quality.summary import split

PAGE = "extending.md"


def example(title: str) -> dict[str, Any]:
    """What the code of a block defines."""
    names: dict[str, Any] = {}
    exec(compile(titled(PAGE, title), title, "exec"), names)
    return names


def no_spark() -> SparkSession:
    raise AssertionError("this needs no Spark")


def test_the_algorithm_passes_a_backtest_and_explains_itself() -> None:
    algorithm = example("salesml_assets/forecasting/algorithms/huber.py")["ALGORITHM"]
    settings = Settings(forecast={"horizon": 7}, training={"max_rows": 2_000, "tree_rows": 1_000})
    panel = training_panel(settings)
    result = backtest(algorithm, panel, algorithm.candidates(settings.training), Engines(2, no_spark, "unused"))
    rows = pl.concat(panel.to_score())
    predicted = result.model.predict(rows)
    y = rows["y"].to_numpy()
    assert np.abs(predicted - y).sum() < np.abs(y.mean() - y).sum()
    shares = result.model.explain(rows)
    np.testing.assert_allclose(shares.sum_horizontal().to_numpy(), predicted, atol=1e-4 * rows["scale"].max())
    assert result.parameters in [candidate.parameters for candidate in result.candidates]


def test_the_rule_sends_its_rows_to_quarantine(spark: SparkSession) -> None:
    chosen = Settings(
        sales={"columns": {"date": "day", "product": "item", "category": None, "quantity": "n", "revenue": "value"}},
        **yaml.safe_load(titled(PAGE, "salesml.yaml")),
    )
    rows = [
        ("2024-01-01", "a", 1.0, 2.0, "1"), ("2024-01-01", "b", 1.0, 2.0, "STAFF"), ("2024-01-01", "c", 2e3, 2.0, "1"),
    ]  # fmt: skip
    frame = spark.createDataFrame(rows, "day string, item string, n double, value double, till string")
    accepted, quarantined = split(frame, chosen, dt.date(2024, 3, 1))
    assert [row["product"] for row in accepted.collect()] == ["a"]
    assert {row["item"]: row["_reasons"] for row in quarantined.collect()} == {"b": ["staff_sale"], "c": ["staff_sale"]}


@pytest.mark.parametrize("concentrated", [False, True])
def test_the_drift_test_alarms_when_few_series_carry_more(concentrated: bool) -> None:
    measures = example("salesml_assets/drift/concentration.py")["concentration_measures"]
    weekly = weekly_sales(seed=3)
    if concentrated:
        largest = weekly.groupby("unique_id")["y"].sum().nlargest(6).index
        weekly.loc[late(weekly) & weekly["unique_id"].isin(largest), "y"] *= 3
    parameters = DriftParameters()
    series = series_weeks(inputs(weekly))
    at = comparison(len(series.weeks), WEEKS - 3, parameters)
    (measure,) = measures(series, at, parameters)
    found = read(measure, at)
    assert (found.p_value < 0.01 and found.effect > measure.min_effect) == concentrated


@pytest.fixture
def declarations() -> Iterator[None]:
    """What is remembered of the declared features is forgotten before and after."""
    for remembered in (memory := (_labels, _final_columns)):
        remembered.cache_clear()
    yield
    for remembered in memory:
        remembered.cache_clear()


@pytest.mark.usefixtures("declarations")
def test_the_feature_reaches_the_models_and_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    source = titled(PAGE, "salesml_assets/forecasting/panel_features.py")
    names: dict[str, Any] = {"Feature": panel_features.Feature, "WEEKDAY": panel_features.WEEKDAY, "pl": pl}
    exec(f"feature = {source}", names)
    feature = names["feature"]
    calendar = panel_features._calendar()
    monkeypatch.setattr(panel_features, "_calendar", lambda: [*calendar, feature])
    settings = Settings(forecast={"horizon": 7}, training={"max_rows": 2_000, "tree_rows": 1_000})
    sample = training_panel(settings).up_to(dt.date.max)
    column = sample.encoder.inputs.index("f_weekend")
    assert set(np.unique(sample.matrix[:, column])) == {0.0, 1.0}
    assert _labels(False)["f_weekend"] == "Weekend"
