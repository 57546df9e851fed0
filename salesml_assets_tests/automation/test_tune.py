"""The job and the command that search, and the algorithm that takes what they find; nothing of it starts Java."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner

from salesml_assets import cli
from salesml_assets.automation.tune import TUNE_JOB
from salesml_assets.config.settings import Settings
from salesml_assets.definitions import definitions
from salesml_assets.forecasting.search.found import trials_table
from salesml_assets.forecasting.search.space import default_recipe
from salesml_assets.forecasting.search.study import COMPLETE, Outcome, Trial
from salesml_assets.lake.files import Files
from salesml_assets.lake.store import Lakehouse
from salesml_assets.resources import spark as spark_module
from salesml_assets_tests.forecasting.small_lake import small_features, small_panel, small_pool

FORECAST = {"horizon": 7}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The small shop's lake, and a search of seconds."""

    def no_java(settings: Settings) -> None:
        raise AssertionError("Java was started")

    monkeypatch.setattr(spark_module, "start_session", no_java)
    made = Settings(
        lake={"root": str(tmp_path / "lake")},
        forecast=FORECAST,
        training={"max_rows": 1_000, "algorithms": ["seasonal_naive", "tuned"]},
        search={"folder": str(tmp_path / "journal"), "minutes": 0.001},
        registry={"enabled": False},
    )
    lake, features = Lakehouse(made.lake.root), small_features(made)
    panel = small_panel(features, made).with_columns(volume_class=pl.lit("A"))
    lake.write_polars(features.select("unique_id", "product", "category", "ds", "y", "closed"), "sales_series")
    lake.write_polars(features, "features")
    lake.write_polars(small_pool(features, made), "pooled_calendar")
    lake.write_polars(panel, "panel")
    return made


def test_the_job_searches_and_says_why_it_ended(settings: Settings, instance: dg.DagsterInstance) -> None:
    result = definitions(settings).get_job_def(TUNE_JOB).execute_in_process(instance=instance)
    assert result.success
    (step,) = [event for event in result.all_events if event.is_successful_output]
    metadata = step.event_specific_data.metadata  # type: ignore[union-attr]
    assert metadata["ended"].value == "the budget of 0.001 minutes is used"
    assert Lakehouse(settings.lake.root).read_polars("model_search")["trial"].to_list() == [0]


def test_the_found_recipe_is_trained_as_an_algorithm(settings: Settings, instance: dg.DagsterInstance) -> None:
    lake = Lakehouse(settings.lake.root)
    recipe = {**default_recipe(), "n_estimators": 20, "members": "boosters", "without": "keys"}
    trials = [
        Trial(0, COMPLETE, default_recipe(), 1.0, 0.5, 0.0, [1.0], 1.0),
        Trial(1, COMPLETE, recipe, 0.9, 0.45, 0.0, [0.9], 1.0),
    ]
    now = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
    lake.write_polars(trials_table(Outcome("s", trials, "done"), settings, now), "model_search")
    job = definitions(settings).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("tuned")])
    assert result.success
    facts = Files(settings.lake.root, settings.s3).read_text("models", result.run_id, "tuned", "training.json")
    assert json.loads(facts)["parameters"] == recipe
    rows = lake.read_polars("tuned")
    assert sorted(rows["fold"].unique()) == [0, 1, 2, 3]
    assert rows["yhat"].is_finite().all()


def test_the_command_shows_trials_and_what_follows(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "enter_project", lambda: tmp_path)
    monkeypatch.setattr(cli, "load_settings", lambda: settings)
    shown = CliRunner().invoke(cli.app, ["tune", "--minutes", "30", "--trials", "1"])
    assert shown.exit_code == 0, shown.output
    first, *rest = shown.output.splitlines()
    assert first.startswith("trial 0: complete, 1.000 → 1.000 of the default's error")
    assert rest[0] == "Ended: 1 trials are done. 1 trials."
    assert rest[1] == "No recipe was better than the default one: there is nothing to change."
