"""What is aggregated of the lake for drift, against the same sums in pandas."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salesml_assets.config.settings import Settings
from salesml_assets.drift import gather
from salesml_assets.drift.evaluate import evaluate
from salesml_assets.drift.gather import Weeks, drift_inputs, number_of_text
from salesml_assets.drift.inputs import DriftInputs
from salesml_assets.lake import aggregate, store
from salesml_assets.lake.store import Lakehouse
from salesml_assets_tests.forecasting.small import DAYS, START, small_sales

LAST = START + dt.timedelta(DAYS - 2)  # a Saturday, the last day with sales
SETTINGS = Settings(forecast={"horizon": 7})


@pytest.fixture(scope="module")
def predictions() -> pd.DataFrame:
    """Two forecasts of the same days, of which the later one counts."""
    days = pd.date_range(LAST - dt.timedelta(13), LAST).date
    older = pd.DataFrame({"unique_id": "p1", "origin": days[0] - dt.timedelta(7), "ds": days, "y": 2.0, "yhat": 9.0})
    newer = older.tail(7).assign(origin=days[6], yhat=3.0)
    return pd.concat([older, newer]).astype({"unique_id": "object"})


def lake_of(sales: pd.DataFrame, root: Path) -> Lakehouse:
    lake = Lakehouse(str(root))
    lake.write_arrow(pa.Table.from_pandas(sales, preserve_index=False), "sales")
    return lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lakehouse:
    return lake_of(small_sales(), tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="module")
def inputs(lake: Lakehouse, predictions: pd.DataFrame) -> DriftInputs:
    return drift_inputs(lake, [pl.from_pandas(predictions)], SETTINGS, LAST, LAST - dt.timedelta(8))


def test_weeks_end_with_the_last_day(inputs: DriftInputs) -> None:
    assert inputs.judged == pd.Timestamp(LAST - dt.timedelta(6))
    assert inputs.trained_until == inputs.judged - pd.Timedelta(14, "D")  # eight days before: two weeks are not whole
    assert (inputs.weekly["week"].dt.day_of_week == inputs.judged.day_of_week).all()
    assert Weeks(LAST).trained_until(LAST) == Weeks(LAST).judged


def test_weekly_sums_are_those_of_pandas(inputs: DriftInputs) -> None:
    sales = small_sales()
    week = pd.to_datetime(sales["date"]).map(lambda day: day - pd.Timedelta((day.date() - LAST).days % 7 - 1, "D"))
    week = week.where(
        pd.to_datetime(sales["date"]).dt.day_of_week != LAST.weekday(),
        pd.to_datetime(sales["date"]) - pd.Timedelta(6, "D"),
    )
    expected = (
        sales.assign(week=week, log_price=np.log(2.0), log_quantity=np.log(sales["quantity"]))
        .groupby(["week", "product"])
        .agg(
            y=("revenue", "sum"),
            rows=("revenue", "size"),
            log_price=("log_price", "sum"),
            log_quantity=("log_quantity", "sum"),
        )
        .reset_index()
    )
    found = inputs.weekly
    assert found["unique_id"].tolist() == expected["product"].tolist()
    assert (found["week"] == expected["week"]).all()
    for name in ("y", "rows", "log_price", "log_quantity"):
        assert found[name].to_numpy() == pytest.approx(expected[name].to_numpy())
    assert found.groupby("unique_id")["category"].first().tolist() == ["a", "b"] * 4
    assert set(inputs.days["days"].tail(-1)) == {6}  # closed on Sundays


def test_the_forecast_of_the_latest_origin_counts(inputs: DriftInputs) -> None:
    assert inputs.predictions is not None
    assert inputs.predictions["yhat"].tolist() == [63.0, 21.0]
    assert inputs.predictions["error"].tolist() == [49.0, 7.0]


def test_the_sample_is_about_as_large_every_week_and_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "ROWS_PER_WEEK", 40)
    drawn = []
    for number, rows in enumerate((50, 100_000)):
        monkeypatch.setattr(store, "BATCH_ROWS", rows)
        sales = small_sales().sample(frac=1.0, random_state=number)
        drawn.append(drift_inputs(lake_of(sales, tmp_path / str(number)), None, SETTINGS, LAST, LAST).features)
    assert drawn[0] is not None
    assert drawn[1] is not None
    counts = drawn[0]["week"].value_counts()
    assert counts.mean() == pytest.approx(40, rel=0.15)
    assert counts.max() < 75
    keys = list(drawn[0].columns)
    pd.testing.assert_frame_equal(
        drawn[0].sort_values(keys, ignore_index=True), drawn[1].sort_values(keys, ignore_index=True)
    )


def test_the_sample_has_the_distribution_of_the_rows(lake: Lakehouse) -> None:
    """Of all rows of a week or of a tenth of them, the mean quantity is the same within its error."""
    everything = drift_inputs(lake, None, SETTINGS, LAST, LAST).features
    assert everything is not None
    assert len(everything) == len(small_sales())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gather, "ROWS_PER_WEEK", 40)
        some = drift_inputs(lake, None, SETTINGS, LAST, LAST).features
    assert some is not None
    error = everything["quantity"].std() / np.sqrt(len(some))
    assert abs(some["quantity"].mean() - everything["quantity"].mean()) < 3 * error
    share = everything["category"].eq("a").mean()
    assert abs(some["category"].eq("a").mean() - share) < 3 * np.sqrt(share * (1 - share) / len(some))


def test_batches_and_partial_sums_change_nothing(
    lake: Lakehouse, inputs: DriftInputs, predictions: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BATCH_ROWS", 37)
    monkeypatch.setattr(aggregate, "PARTIAL_ROWS", 20)
    again = drift_inputs(lake, [pl.from_pandas(predictions)], SETTINGS, LAST, LAST - dt.timedelta(8))
    pd.testing.assert_frame_equal(again.weekly, inputs.weekly)
    pd.testing.assert_frame_equal(again.days, inputs.days)
    pd.testing.assert_frame_equal(again.features, inputs.features)
    pd.testing.assert_frame_equal(again.predictions, inputs.predictions)


def test_of_many_series_some_are_drawn_with_all_their_weeks(
    lake: Lakehouse, inputs: DriftInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "MAX_SERIES", 3)
    past = pd.DataFrame({"unique_id": [f"p{n}" for n in range(8)], "origin": LAST - dt.timedelta(7), "ds": LAST})
    found = []
    for rows in (41, 100_000):
        monkeypatch.setattr(store, "BATCH_ROWS", rows)
        found.append(drift_inputs(lake, [pl.from_pandas(past.assign(y=1.0, yhat=2.0))], SETTINGS, LAST, LAST))
    names = found[0].weekly["unique_id"].unique()
    assert len(names) == 3
    expected = inputs.weekly[inputs.weekly["unique_id"].isin(names)].reset_index(drop=True)
    pd.testing.assert_frame_equal(found[0].weekly, expected)
    pd.testing.assert_frame_equal(found[1].weekly, expected)
    for each in found:
        assert each.predictions is not None
        assert sorted(each.predictions["unique_id"]) == sorted(names)
        assert each.days["days"].tolist() == inputs.days["days"].tolist()


@given(st.lists(st.text(max_size=12), min_size=1, max_size=20), st.integers(0, 5))
def test_the_number_of_a_text_follows_its_definition(texts: list[str], start: int) -> None:
    prime = 0x9E3779B97F4A7C15
    expected = [sum((byte + 1) * prime**place for place, byte in enumerate(text.encode(), 1)) % 2**64 for text in texts]
    assert number_of_text(pl.Series("order_id", texts)).to_list() == expected
    assert number_of_text(pl.Series("order_id", texts)[start:]).to_list() == expected[start:]


def test_draws_never_change(lake: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of this release: whatever a library does in its next version, the same rows and series are drawn."""
    assert number_of_text(pl.Series(["", "536365"])).to_list() == [0, 8748159877267065434]
    monkeypatch.setattr(gather, "ROWS_PER_WEEK", 3)
    monkeypatch.setattr(gather, "MAX_SERIES", 3)
    found = drift_inputs(lake, None, SETTINGS, LAST, LAST)
    assert found.features is not None
    assert found.features["quantity"].tail(12).tolist() == [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert sorted(set(found.weekly["unique_id"])) == ["p0", "p2", "p4"]


def test_without_sales_there_is_nothing_to_measure(lake: Lakehouse) -> None:
    with pytest.raises(ValueError, match="no sales from"):
        drift_inputs(lake, None, SETTINGS, dt.date(2001, 1, 1), dt.date(2001, 1, 1))


def test_what_was_taken_back_is_nothing(tmp_path: Path) -> None:
    amounts = [0.1, 0.2, -0.3]
    sales = pd.DataFrame({"date": LAST, "product": "p", "quantity": np.sign(amounts), "revenue": amounts})
    weekly = drift_inputs(lake_of(sales, tmp_path), None, SETTINGS, LAST, LAST).weekly
    assert sum(amounts) != 0
    assert weekly["y"].tolist() == [0.0]


def test_only_the_product_that_is_new_is_noticed(inputs: DriftInputs) -> None:
    table = evaluate(inputs)
    assert {"input", "target", "prediction", "mix", "series", "error"} == set(table["kind"])
    drifted = table[table["drifted"]]
    assert set(drifted["kind"]) == {"mix", "series"}, drifted["detail"].tolist()
