"""The registry follows the table: what is registered, what an alias is, and what happens when it is away."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import requests

from salesml_assets.assets.registry import registry_assets
from salesml_assets.config.settings import RegistrySettings, Settings
from salesml_assets.forecasting.comparison import Comparison, comparison_json
from salesml_assets.forecasting.model.bundle import MODEL_FILE
from salesml_assets.forecasting.model.history import forecast_history
from salesml_assets.forecasting.versions import all_versions, latest_version, promote, read_version, roll_back
from salesml_assets.names import COMPARISON_FILE, MODEL_REGISTRY, PRODUCTION_MODEL, SALES_SERIES, SPARK_MODEL_FOLDER
from salesml_assets.registry.connection import connected, tracking_uri
from salesml_assets.registry.mirror import Mirror, mirror
from salesml_assets.resources.files import FileStore
from salesml_assets.resources.lake import Lake
from salesml_assets.resources.spark import SparkResource
from salesml_assets_tests.forecasting.small_models import HORIZON, SETTINGS, Shop, bundle

ROOT = Path(__file__).parents[2]
NOW = dt.datetime(2024, 4, 2, tzinfo=dt.UTC)
WITHOUT_SPARK = """
import sys, json

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pyspark", "delta", "dagster"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import mlflow
import pandas as pd

uri, history, out = sys.argv[1:]
mlflow.set_tracking_uri(uri)
model = mlflow.pyfunc.load_model("models:/salesml@champion")
model.predict(pd.read_parquet(history)).to_parquet(out)
example = model.metadata.load_input_example()
assert len(model.predict(example)) == 14, "the input example"
"""


@pytest.fixture
def state(registry: RegistrySettings) -> Callable[[], dict[str, Any]]:
    """What the registry holds: aliases, and versions with their tags."""

    def look() -> dict[str, Any]:
        with connected(registry) as connection:
            client, name = connection.client, connection.name
            aliases = {key: int(value) for key, value in client.get_registered_model(name).aliases.items()}
            found = client.search_model_versions(f"name = '{name}'")
            runs = client.search_runs([connection.experiment])
            stages = {one.current_stage for one in found}
        return {
            "aliases": aliases,
            "bundles": {int(one.version): one.tags["salesml.bundle"] for one in found},
            "runs": {run.info.run_id: run for run in runs},
            "stages": stages - {None, "None"},
        }

    return look


@pytest.mark.slow
def test_every_training_is_registered_once(
    mirrored: Callable[[], Mirror], state: Callable[[], Any], shop: Shop, comparison: Comparison
) -> None:
    found = mirrored()
    assert (found.champion, found.added, found.missing, found.problem, found.link) == (
        "2",
        ("version 1", "version 2"),
        (),
        None,
        None,
    )
    first = state()
    assert first["aliases"] == {"champion": 2}
    assert first["bundles"] == {1: "1-run-1", 2: "2-run-2"}
    assert first["stages"] == set()
    assert len(first["runs"]) == 2
    again = mirrored()
    assert (again.champion, again.added, again.problem) == ("2", (), None)
    second = state()
    assert second["runs"].keys() == first["runs"].keys()

    run = first["runs"][found.run_id].data
    assert run.tags.items() >= {
        "salesml.bundle": "2-run-2", "salesml.version": "2", "salesml.code_version": "0.1.0+gabcdef",
        "mlflow.runName": "version 2",
    }.items()  # fmt: skip
    assert run.params.items() >= {
        "algorithm": "xgboost", "max_depth": "3", "forecast.series": "product", "forecast.horizon": str(HORIZON),
        "training.rows": "1000", "table.sales_series": "0", "table.model_comparison": "0",
    }.items()  # fmt: skip
    total = comparison.metrics.query("dimension == 'total' and metric == 'wape'").set_index("algorithm")["value"]
    winner = comparison.decision.winner
    assert run.metrics["wape"] == pytest.approx(total[winner])
    assert {name: run.metrics[f"wape.{name}"] for name in total.index} == pytest.approx(total.to_dict())
    by_fold = comparison.metrics.query("dimension == 'fold' and metric == 'wape' and algorithm == @winner")
    with connected(settings_of(shop)) as connection:
        history = connection.client.get_metric_history(found.run_id, "fold.wape")
        assert {one.step: one.value for one in history} == pytest.approx(
            dict(zip(by_fold["segment"].astype(int), by_fold["value"], strict=True))
        )
        folder = Path(connection.client.download_artifacts(found.run_id, "", str(shop.root.parent)))
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert files >= {"decision.json", COMPARISON_FILE, "model/MLmodel", "model/data/bundle/model.json"}
    assert len([name for name in files if name.startswith("figures/") and name.endswith(".png")]) >= 5
    assert not [name for name in files if name.endswith(".pkl")]
    assert json.loads((folder / COMPARISON_FILE).read_text()) == json.loads(json.dumps(comparison_json(comparison)))


def settings_of(shop: Shop) -> RegistrySettings:
    return RegistrySettings(folder=str(shop.root.parent / "mlflow"))


@pytest.mark.slow
def test_a_choice_by_hand_moves_the_alias_alone(
    mirrored: Callable[[], Mirror], state: Callable[[], Any], shop: Shop, registry: RegistrySettings
) -> None:
    mirrored()
    before = state()
    who = {"by": "ana", "reason": "odd forecasts", "now": NOW}
    roll_back(shop.lake, shop.files, SETTINGS, **who)
    assert mirrored().added == ()
    after = state()
    assert (after["aliases"], after["bundles"]) == ({"champion": 1}, before["bundles"])
    promote(shop.lake, shop.files, SETTINGS, version=2, **who)
    challenger = all_versions(shop.lake)[0]
    mirror(shop.lake, shop.files, registry, challenger)
    assert state()["aliases"] == {"champion": 2, "challenger": 1}
    mirrored()
    assert state()["aliases"] == {"champion": 2}


@pytest.mark.slow
def test_a_challenger_is_named_as_one_and_has_mllibs_own_form(
    mirrored: Callable[[], Mirror], state: Callable[[], Any], shop: Shop, registry: RegistrySettings
) -> None:
    mirrored()
    challenger = replace(all_versions(shop.lake)[1], path=shop.files.path(PRODUCTION_MODEL, "challenger-1-run"))
    challenger = replace(challenger, version=1, challenger=True)
    for name in shop.files.list(PRODUCTION_MODEL, "2-run-2"):
        shop.files.write(shop.files.read(PRODUCTION_MODEL, "2-run-2", name), PRODUCTION_MODEL, challenger.folder, name)
    shop.files.write(b"flavors:", PRODUCTION_MODEL, challenger.folder, SPARK_MODEL_FOLDER, "MLmodel")
    shop.files.write(b"{}", PRODUCTION_MODEL, challenger.folder, SPARK_MODEL_FOLDER, "sparkml/metadata/part-0")
    found = mirror(shop.lake, shop.files, registry, challenger)
    assert (found.added, found.problem) == (("challenger 1",), None)
    now = state()
    assert now["aliases"] == {"champion": 2, "challenger": 3}
    (run,) = [run for run in now["runs"].values() if run.data.tags["salesml.bundle"] == challenger.folder]
    assert (run.data.tags["salesml.version"], run.info.run_name) == ("challenger 1", "challenger 1")
    folder = Path(run.info.artifact_uri.removeprefix("file://")) / SPARK_MODEL_FOLDER
    assert (folder / "sparkml" / "metadata" / "part-0").read_bytes() == b"{}"
    assert (folder / "MLmodel").read_bytes() == b"flavors:"
    mirrored()
    assert state()["aliases"] == {"champion": 2}


@pytest.mark.slow
def test_an_interrupted_attempt_leaves_nothing(
    mirrored: Callable[[], Mirror], state: Callable[[], Any], shop: Shop, registry: RegistrySettings
) -> None:
    with connected(registry) as connection:
        run = connection.client.create_run(connection.experiment, tags={"salesml.bundle": "2-run-2"})
    found = mirrored()
    assert found.added == ("version 1", "version 2")
    assert run.info.run_id not in state()["runs"]


@pytest.mark.slow
def test_a_broken_bundle_is_left_out_and_named(mirrored: Callable[[], Mirror], shop: Shop) -> None:
    Path(shop.files.path(PRODUCTION_MODEL, "1-run-1", MODEL_FILE)).unlink()
    found = mirrored()
    assert (found.champion, found.added, found.missing) == ("1", ("version 2",), ("version 1",))
    assert found.problem is not None
    assert "1-run-1: model.json is missing" in found.problem


@pytest.mark.slow
def test_the_champion_forecasts_without_java_and_spark(mirrored: Callable[[], Mirror], shop: Shop) -> None:
    mirrored()
    history = shop.lake.read_polars(SALES_SERIES, ["product", "category", "ds", "y"])
    history = history.with_columns(pl.col("ds").cast(pl.Datetime("us")))
    folder = shop.root.parent
    history.write_parquet(folder / "history.parquet")
    environment = {name: value for name, value in os.environ.items() if "JAVA" not in name}
    environment |= {"PATH": "/nowhere", "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    out = folder / "forecasts.parquet"
    command = [sys.executable, "-c", WITHOUT_SPARK, tracking_uri(settings_of(shop)), str(folder / "history.parquet")]
    answer = subprocess.run([*command, str(out)], capture_output=True, text=True, check=False, env=environment)
    assert answer.returncode == 0, answer.stderr
    newest = latest_version(shop.lake)
    assert newest is not None
    expected = forecast_history(read_version(shop.files, newest), history)
    found = pl.read_parquet(out).with_columns(pl.col("ds", "cutoff").cast(pl.Date))
    assert found.equals(expected)


def materialize(shop: Shop, registry: RegistrySettings) -> dg.ExecuteInProcessResult:
    settings = Settings(lake={"root": str(shop.root)}, registry=registry)
    spark = SparkResource.configure_at_launch()
    resources = {
        "spark": spark,
        "tables": Lake.from_settings(settings, spark),
        "files": FileStore.from_settings(settings),
    }
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(registry_assets(settings), resources=resources, instance=instance)


@pytest.mark.slow
def test_a_registry_that_is_away_stops_nothing_and_is_caught_up(shop: Shop, registry: RegistrySettings) -> None:
    away = registry.model_copy(update={"tracking_uri": f"http://user:hidden@127.0.0.1:{_free_port()}"})
    started = time.monotonic()
    run = materialize(shop, away)
    assert time.monotonic() - started < 30
    assert run.success
    (check,) = run.get_asset_check_evaluations()
    assert (check.passed, check.severity, check.check_name) == (False, dg.AssetCheckSeverity.WARN, "in_step")
    assert "is away" in (check.description or "")
    assert "hidden" not in (check.description or "")
    run = materialize(shop, registry)
    (check,) = run.get_asset_check_evaluations()
    assert check.passed
    (made,) = run.asset_materializations_for_node(MODEL_REGISTRY)
    assert (made.metadata["registered now"].value, made.metadata["champion"].value) == ("version 1, version 2", "2")
    assert made.metadata["MLflow run"].value


def test_without_a_registry_there_is_no_asset() -> None:
    assert registry_assets(Settings(registry={"enabled": False})) == []


def test_a_folder_that_cannot_be_written_is_a_registry_that_is_away(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    found = mirror(shop.lake, shop.files, RegistrySettings(folder=str(tmp_path / "file" / "mlflow")))
    assert found.missing == ("version 1", "version 2")
    assert found.problem is not None
    assert "NotADirectoryError" in found.problem


SERVER = """
import os, sys
import mlflow.server as server
from werkzeug.serving import run_simple

folder, port = sys.argv[1:]
os.environ[server.BACKEND_STORE_URI_ENV_VAR] = f"sqlite:///{folder}/mlflow.db"
os.environ[server.ARTIFACT_ROOT_ENV_VAR] = "mlflow-artifacts:/"
os.environ[server.ARTIFACTS_DESTINATION_ENV_VAR] = f"{folder}/served"
os.environ[server.SERVE_ARTIFACTS_ENV_VAR] = "true"
run_simple("127.0.0.1", int(port), server.app, threaded=True)
"""


@pytest.fixture
def server(tmp_path: Path, empty_registry: Path) -> Iterator[str]:
    """MLflow's own HTTP interface in a process of its own."""
    folder, port = tmp_path / "server", _free_port()
    shutil.copytree(empty_registry, folder)
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    with (tmp_path / "server.log").open("w") as log:
        command = [sys.executable, "-W", "ignore", "-c", SERVER, str(folder), str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not _answers(address):
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.mark.slow
@pytest.mark.stack
def test_a_server_gets_the_same_and_its_page_is_linked(shop: Shop, server: str) -> None:
    found = mirror(shop.lake, shop.files, RegistrySettings(tracking_uri=server))
    assert (found.champion, found.added, found.problem) == ("2", ("version 1", "version 2"), None)
    assert found.link is not None
    assert found.link.startswith(f"{server}/#/experiments/")
    assert found.link.endswith(f"/runs/{found.run_id}")
    shop.train(bundle(3))
    assert mirror(shop.lake, shop.files, RegistrySettings(tracking_uri=server)).added == ("version 3",)


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/health", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
