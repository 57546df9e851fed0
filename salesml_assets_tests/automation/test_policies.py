"""What the daemon would request after an asset was made, on the real graph."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from salesml_assets.automation.policies import BY_MODEL, BY_SALES
from salesml_assets.config.settings import Settings
from salesml_assets.definitions import definitions

MONTHS = ["2024-01-01", "2024-02-01"]
LOADED = ("raw_sales", "sales", "quarantined_sales")


@pytest.fixture
def graph(tmp_path: Path) -> dg.Definitions:
    return definitions(
        Settings.model_validate(
            {
                "sales": {"first_month": "2024-01"},
                "clock": {"today": "2024-03-15"},
                "lake": {"root": str(tmp_path)},
                "freshness": {"model_days": 20},
            }
        )
    )


class Daemon:
    """Evaluates the conditions with a cursor, as the daemon does, and reports what runs would have made."""

    def __init__(self, graph: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.graph, self.instance = graph, instance
        self.cursor: Any = None
        self.tick()

    def made(self, *names: str, failed: str | None = None) -> None:
        """Assets (default: all) with their checks, of which those of one asset, or one (asset:check), may fail."""
        resolved = self.graph.resolve_asset_graph()
        for key in [dg.AssetKey(name) for name in names] or resolved.toposorted_asset_keys:
            for partition in MONTHS if resolved.get(key).is_partitioned else [None]:
                self.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition))
            for check in sorted(resolved.get_check_keys_for_assets({key})):
                asset = key.to_user_string()
                passed = failed not in (asset, f"{asset}:{check.name}")
                result = dg.AssetCheckEvaluation(asset_key=key, check_name=check.name, passed=passed, metadata={})
                self.instance.report_runless_asset_event(result)

    def tick(self) -> set[str]:
        every = dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks()
        result = dg.evaluate_automation_conditions(self.graph, self.instance, every, cursor=self.cursor)
        self.cursor = result.cursor
        names = (*BY_SALES, *BY_MODEL)
        return {name for name in names if result.get_num_requested(dg.AssetKey(name))}


@pytest.fixture
def daemon(graph: dg.Definitions, instance: dg.DagsterInstance) -> Daemon:
    return Daemon(graph, instance)


def test_after_a_load_what_follows_from_sales_is_refreshed_once(daemon: Daemon) -> None:
    daemon.made()
    assert daemon.tick() == set(), "a retrain leaves nothing to refresh"
    daemon.made(*LOADED)
    assert daemon.tick() == {*BY_SALES, *BY_MODEL}
    daemon.made(*BY_SALES, *BY_MODEL)
    assert daemon.tick() == set()


def test_without_a_model_forecasts_wait(daemon: Daemon) -> None:
    """Checks that never ran have not passed, so the first refresh goes step by step."""
    daemon.made(*LOADED)
    for name in BY_SALES:
        assert daemon.tick() == {name}
        daemon.made(name)
    assert daemon.tick() == set()


def test_a_failed_blocking_check_stops_the_refresh(daemon: Daemon) -> None:
    daemon.made()
    daemon.tick()
    daemon.made(*LOADED, failed="sales")
    assert daemon.tick() == set()
    daemon.made(*LOADED)
    assert daemon.tick() == {*BY_SALES, *BY_MODEL}


# What stops a load: the blocking checks of the table that everything is made of.
STOPS = ("schema", "row_conservation", "required_values", "rejected_share", "outlier_weight")


@pytest.mark.parametrize("check", STOPS)
def test_stop_means_stop_for_the_daemon_too(check: str, daemon: Daemon) -> None:
    """Too many rejected rows, say: nothing is refreshed, forecast or reported, until a load holds its checks."""
    daemon.made()
    daemon.tick()
    daemon.made(*LOADED, failed=f"sales:{check}")
    assert daemon.tick() == set()
    assert daemon.tick() == set(), "no later evaluation forgets it"
    # Somebody puts an earlier model into production meanwhile: that has nothing to do with the load.
    daemon.made("production_model")
    assert not daemon.tick() & set(BY_SALES)
    daemon.made(*LOADED)
    assert set(BY_SALES) <= daemon.tick()


def test_these_are_all_checks_that_stop_a_load(graph: dg.Definitions) -> None:
    resolved = graph.resolve_asset_graph()
    keys = resolved.get_check_keys_for_assets({dg.AssetKey("sales")})
    assert {key.name for key in keys if resolved.get(key).blocking} == set(STOPS)


def test_models_are_promoted_by_runs_of_the_whole_job_alone(graph: dg.Definitions) -> None:
    """In such a run a failed blocking check ends what follows (`integration/test_stop.py`)."""
    resolved = graph.resolve_asset_graph()
    automated = {
        key.to_user_string() for key in resolved.get_all_asset_keys() if resolved.get(key).automation_condition
    }
    assert automated == {*BY_SALES, *BY_MODEL}
    assert not automated & {"model_comparison", "production_model", "model_registry"}


def test_every_table_and_the_model_have_a_freshness_policy(graph: dg.Definitions) -> None:
    resolved = graph.resolve_asset_graph()
    for key in resolved.get_all_asset_keys():
        policy = resolved.get(key).freshness_policy
        days = 20 if key.to_user_string() == "production_model" else 8
        assert policy == dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(days=days))
