"""The graph that Dagster sees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.definitions import definitions

SNAPSHOT = Path(__file__).with_name("asset_graph.json")


@pytest.fixture(scope="module")
def graph() -> dg.Definitions:
    return definitions(Settings(sales={"first_month": "2010-12"}, clock={"today": "2011-12-10"}))


def as_snapshot(graph: dg.Definitions) -> dict[str, object]:
    """Assets with their dependencies and checks, jobs, schedules and sensors, as JSON has them."""
    resolved = graph.resolve_asset_graph()
    assets = {
        key.to_user_string(): {
            "group": resolved.get(key).group_name,
            "needs": sorted(parent.to_user_string() for parent in resolved.get(key).parent_keys),
            "partitioned": resolved.get(key).partitions_def is not None,
            "checks": sorted(check.name for check in resolved.get_check_keys_for_assets({key})),
        }
        for key in sorted(resolved.get_all_asset_keys())
    }
    repository = graph.get_repository_def()
    return {
        "assets": assets,
        "jobs": sorted(name for name in repository.job_names if not name.startswith("__")),
        "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
        "schedules": {schedule.name: schedule.cron_schedule for schedule in repository.schedule_defs},
    }


def test_the_asset_graph_is_the_one_we_know(graph: dg.Definitions) -> None:
    """After an intended change, `python -m salesml_assets_tests.test_definitions` rewrites the snapshot."""
    assert as_snapshot(graph) == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_months_end_with_the_current_one(graph: dg.Definitions) -> None:
    months = graph.resolve_asset_graph().get(dg.AssetKey("sales")).partitions_def
    assert months is not None
    keys = months.get_partition_keys()
    assert (keys[0], keys[-1], len(keys)) == ("2010-12-01", "2011-12-01", 13)


def test_full_loads_have_no_partitions() -> None:
    full = definitions(Settings(sales={"load": "full"}))
    assert full.resolve_asset_graph().get(dg.AssetKey("sales")).partitions_def is None


def test_everything_runs_by_itself_without_a_click(graph: dg.Definitions) -> None:
    repository = graph.get_repository_def()
    assert all(schedule.default_status == dg.DefaultScheduleStatus.RUNNING for schedule in repository.schedule_defs)
    assert all(sensor.default_status == dg.DefaultSensorStatus.RUNNING for sensor in repository.sensor_defs)


def test_schedule_and_retries_follow_the_settings() -> None:
    automation = {"cron": "30 5 * * 2", "timezone": "America/Sao_Paulo", "retries": 2, "retry_minutes": 0.5,
                  "max_run_hours": 1.5}  # fmt: skip
    repository = definitions(Settings(automation=automation)).get_repository_def()
    schedule = repository.get_schedule_def("weekly_retrain")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 5 * * 2", "America/Sao_Paulo")
    job = repository.get_job(schedule.job_name)
    assert job.tags["dagster/max_runtime"] == "5400"
    policy = job.op_retry_policy
    assert policy is not None
    assert (policy.max_retries, policy.delay) == (2, 30)


def test_a_wrong_cron_expression_names_its_key() -> None:
    with pytest.raises(ConfigurationError, match=r"automation\.cron: 'mondays'"):
        definitions(Settings(automation={"cron": "mondays"}))


def test_loading_the_code_location_imports_no_engine() -> None:
    """So it takes a few seconds, and no Java."""
    code = (
        "import sys; from salesml_assets.definitions import defs; defs.get_repository_def();"
        "print([name for name in ('pyspark', 'xgboost', 'matplotlib', 'mlflow', 'sklearn') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


if __name__ == "__main__":
    settings = Settings(sales={"first_month": "2010-12"}, clock={"today": "2011-12-10"})
    snapshot = json.dumps(as_snapshot(definitions(settings)), indent=2, sort_keys=True)
    SNAPSHOT.write_text(snapshot + "\n", encoding="utf-8")
