"""The weekly job that removes old files, on tables that were written without Java."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from deltalake import write_deltalake

from salesml_assets.automation.clean_up import CLEAN_UP_JOB
from salesml_assets.config.settings import Settings
from salesml_assets.definitions import definitions
from salesml_assets.lake.store import Lakehouse
from salesml_assets.resources import spark as spark_module
from salesml_assets_tests.lake.aging import aged


def test_old_versions_go_and_past_forecasts_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_java(settings: Settings) -> None:
        raise AssertionError("Java was started")

    monkeypatch.setattr(spark_module, "start_session", no_java)
    lake = Lakehouse(str(tmp_path / "lake"))
    for name in ("sales", "forecasts"):
        for rows in (1, 2, 3):
            write_deltalake(lake.path(name), pd.DataFrame({"number": range(rows)}), mode="overwrite")
            aged(lake, name, 20)
    (tmp_path / "lake" / "panel").mkdir()  # an interrupted first write
    settings = Settings(lake={"root": lake.root, "keep_days": 35})
    job = definitions(settings).get_job_def(CLEAN_UP_JOB)
    result = job.execute_in_process(instance=dg.DagsterInstance.ephemeral())

    assert result.success
    (step,) = [event for event in result.all_events if event.is_successful_output]
    assert step.event_specific_data.metadata["by table"].value == {"forecasts": 0, "sales": 1}  # type: ignore[union-attr]
    assert [len(lake.read_pandas("forecasts", version=version)) for version in (0, 1, 2)] == [1, 2, 3]
    assert [len(lake.read_pandas("sales", version=version)) for version in (1, 2)] == [2, 3]
    with pytest.raises(FileNotFoundError):
        lake.read_pandas("sales", version=0)
