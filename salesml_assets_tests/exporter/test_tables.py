"""The monitoring tables: what is exported of them, and what happens without them."""

from __future__ import annotations

import datetime as dt
import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from salesml_assets.exporter import collector
from salesml_assets_tests.exporter.conftest import value
from salesml_assets_tests.exporter.platform import accuracy_row, comparison_row, drift_rows, model_row, write

WEEK, DAY = dt.date(2011, 12, 4), 86_400.0
TODAY = {"clock": {"today": "2011-12-11"}}
TABLES = {"production_model", "model_comparison", "drift_report", "forecast_accuracy"}


def fill(lake: Path) -> None:
    """All four tables, each with rows that do not count."""
    now = dt.datetime.now(dt.UTC)
    versions = [model_row(2, now - dt.timedelta(days=3), "champion"), model_row(1, now - dt.timedelta(days=30))]
    write(lake, "production_model", versions)
    metrics = [
        comparison_row("champion", 0.2),
        comparison_row("seasonal_naive", 0.4),
        comparison_row("champion", 0.18, "horizon", "1-7"),
        comparison_row("champion", 0.22, "horizon", "8-14"),
        comparison_row("seasonal_naive", 0.41, "horizon", "1-7"),
        comparison_row("champion", 0.3, "volume_class", "A"),
        comparison_row("champion", 7.0) | {"metric": "rmse"},
        comparison_row("champion", 0.79) | {"metric": "coverage80"},
        comparison_row("champion", 0.93) | {"metric": "coverage95"},
        comparison_row("champion", 0.74) | {"metric": "coverage_order"},
        comparison_row("champion", 900.0) | {"metric": "cost"},
        comparison_row("seasonal_naive", 1200.0) | {"metric": "cost"},
        comparison_row("champion", 100.0, "category", "tea") | {"metric": "cost"},
        comparison_row("champion", 0.97) | {"metric": "fill_rate"},
        comparison_row("champion", 5.5) | {"metric": "stock_cover"},
        comparison_row("champion", 0.5, "horizon", "1-7") | {"metric": "coverage80"},
        comparison_row("seasonal_naive", 0.6) | {"metric": "coverage80"},
        comparison_row("champion", 0.25) | {"metric": "change"},
        comparison_row("champion", 0.9, "horizon", "1-7") | {"metric": "change"},
    ]
    write(lake, "model_comparison", metrics)
    earlier = drift_rows(WEEK - dt.timedelta(days=7), {"target": [(9.0, 0.1, True)]})
    kinds = {"target": [(0.3, 0.2, True), (0.1, 0.2, False)], "inputs": [(0.05, 0.2, False), (3.0, None, False)]}
    write(lake, "drift_report", earlier + drift_rows(WEEK, kinds))
    weeks = [
        accuracy_row(WEEK - dt.timedelta(days=7), "1-7", 9.0, 100.0),
        accuracy_row(WEEK, "1-7", 0.2, 300.0, bias=0.1, baseline_wape=0.4),
        accuracy_row(WEEK, "1-7", 0.6, 100.0, bias=-0.1, baseline_wape=0.8, model_version=2),
        accuracy_row(WEEK - dt.timedelta(days=7), "8-14", 0.5, 100.0, baseline_wape=None),
    ]
    write(lake, "forecast_accuracy", weeks)


def test_all_tables(exporter, lake):
    fill(lake)
    with exporter(**TODAY) as look:
        found = look()
    assert set(found["salesml_table_present"].values()) == {1}
    assert set(found["salesml_source_up"].values()) == {1}

    assert value(found, "salesml_production_model_version") == 2
    assert found["salesml_production_model_info"] == {(("algorithm", "xgboost"),): 1}
    assert value(found, "salesml_production_model_age_seconds") == pytest.approx(3 * DAY, abs=60)
    assert value(found, "salesml_production_model_cutoff_age_seconds") == 10 * DAY
    assert value(found, "salesml_backtest_wape_ratio", algorithm="champion") == 0.2
    assert value(found, "salesml_backtest_wape_ratio", algorithm="seasonal_naive") == 0.4
    assert found["salesml_backtest_change_ratio"] == {(("algorithm", "champion"),): 0.25}
    # The decision names the row of the model in production.
    assert found["salesml_production_model_backtest_wape_ratio"] == {
        (("horizon_bucket", "1-7"),): 0.18, (("horizon_bucket", "8-14"),): 0.22
    }  # fmt: skip

    assert found["salesml_production_model_coverage_ratio"] == {
        (("level", "80"),): 0.79, (("level", "95"),): 0.93, (("level", "order"),): 0.74
    }  # fmt: skip
    assert found["salesml_backtest_error_cost"] == {
        (("algorithm", "champion"),): 900.0, (("algorithm", "seasonal_naive"),): 1200.0
    }  # fmt: skip
    assert found["salesml_replay_fill_ratio"] == {(("algorithm", "champion"),): 0.97}
    assert found["salesml_replay_stock_steps"] == {(("algorithm", "champion"),): 5.5}

    assert value(found, "salesml_drift_tests", kind="target") == 2
    assert value(found, "salesml_drift_tests_drifted", kind="target") == 1
    assert value(found, "salesml_drift_effect_ratio", kind="target") == pytest.approx(1.5)
    assert value(found, "salesml_drift_tests_drifted", kind="inputs") == 0
    assert value(found, "salesml_drift_effect_ratio", kind="inputs") == pytest.approx(0.25)
    assert value(found, "salesml_drift_evaluation_age_seconds") == 7 * DAY

    # Two model versions made forecasts for that week: Σ|error| / Σ volume over both.
    assert value(found, "salesml_forecast_wape_ratio", horizon_bucket="1-7") == pytest.approx(0.3)
    assert value(found, "salesml_forecast_volume", horizon_bucket="1-7") == 400
    assert value(found, "salesml_forecast_bias_ratio", horizon_bucket="1-7") == pytest.approx(0.05)
    assert value(found, "salesml_forecast_error_reduction_ratio", horizon_bucket="1-7") == pytest.approx(1 - 0.3 / 0.5)
    assert value(found, "salesml_forecast_change_ratio", horizon_bucket="1-7") == pytest.approx(0.2)
    weeks = found["salesml_forecast_week_timestamp_seconds"]
    assert weeks[(("horizon_bucket", "1-7"),)] - weeks[(("horizon_bucket", "8-14"),)] == 7 * DAY
    assert weeks[(("horizon_bucket", "1-7"),)] == dt.datetime(2011, 12, 4, tzinfo=dt.UTC).timestamp()
    assert value(found, "salesml_forecast_wape_ratio", horizon_bucket="8-14") == 0.5
    assert value(found, "salesml_forecast_error_reduction_ratio", horizon_bucket="8-14") is None


def test_a_new_version_is_seen_and_so_is_a_table_made_anew(exporter, lake):
    now = dt.datetime.now(dt.UTC)
    write(lake, "production_model", [model_row(1, now)])
    with exporter() as look:
        assert value(look(), "salesml_production_model_version") == 1
        write(lake, "production_model", [model_row(2, now)], mode="append")
        assert value(look(), "salesml_production_model_version") == 2
        (lake / "production_model").rename(lake / "old")
        gone = look()
        assert value(gone, "salesml_table_present", asset="production_model") == 0
        assert value(gone, "salesml_production_model_version") is None
        write(lake, "production_model", [model_row(6, now)])
        write(lake, "production_model", [model_row(7, now)], mode="append")
        assert value(look(), "salesml_production_model_version") == 7


def test_a_missing_lake_is_no_error(exporter):
    with exporter() as look:
        found = look()
    assert {dict(labels)["asset"]: there for labels, there in found["salesml_table_present"].items()} == dict.fromkeys(
        TABLES, 0
    )
    assert set(found["salesml_source_up"].values()) == {1}


def test_a_folder_without_a_commit_is_no_table(exporter, lake):
    (lake / "drift_report" / "_delta_log").mkdir(parents=True)
    (lake / "forecast_accuracy").mkdir()
    with exporter() as look:
        found = look()
    assert set(found["salesml_table_present"].values()) == {0}
    assert set(found["salesml_source_up"].values()) == {1}


def test_a_damaged_table_leaves_the_others(exporter, lake, caplog):
    fill(lake)
    log = lake / "drift_report" / "_delta_log" / "00000000000000000000.json"
    log.write_text("no json", encoding="utf-8")
    with exporter() as look, caplog.at_level(logging.WARNING, "salesml.metrics"):
        first, second = look(), look()
    assert value(second, "salesml_source_up", source="drift_report") == 0
    errors = [value(found, "salesml_scrape_errors_total", source="drift_report") for found in (first, second)]
    assert errors[1] == errors[0] + 1
    assert "salesml_drift_tests" not in second
    others = {
        labels: up for labels, up in second["salesml_source_up"].items() if ("source", "drift_report") not in labels
    }
    assert set(others.values()) == {1}
    assert value(second, "salesml_forecast_wape_ratio", horizon_bucket="1-7") is not None
    # Said once, not in every scrape.
    assert len([record for record in caplog.records if "drift_report" in record.getMessage()]) <= 1


@pytest.fixture
def silent_store() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["refuses", "hangs"])
def test_a_store_that_cannot_be_reached_leaves_the_rest(exporter, monkeypatch, silent_store, kind):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setattr(collector, "SCRAPE_SECONDS", 2.0)
    endpoint = silent_store if kind == "hangs" else "http://127.0.0.1:9"
    with exporter(lake={"root": "s3a://bucket/lake"}, s3={"endpoint": endpoint}) as look:
        started = time.monotonic()
        found = look()
        seconds = time.monotonic() - started
    up = {dict(labels)["source"]: state for labels, state in found["salesml_source_up"].items()}
    assert {source for source, state in up.items() if not state} == TABLES
    assert value(found, "salesml_run_queue_length") == 0
    assert seconds < 4


def test_scrapes_side_by_side_agree(exporter, lake):
    fill(lake)
    with exporter(**TODAY) as look, ThreadPoolExecutor(8) as pool:
        scrapes = list(pool.map(lambda _: look(), range(24)))
    steady = ("salesml_forecast_wape_ratio", "salesml_drift_tests", "salesml_source_up", "salesml_table_present")
    assert all(found[name] == scrapes[0][name] for found in scrapes for name in steady)
