"""The command line on a small project with real Dagster runs: what it shows, what it keeps, how it fails."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from dagster._core.events import EngineEventData
from deltalake import write_deltalake
from pyarrow import parquet

from salesml_assets import cli
from salesml_assets.automation.jobs import RETRAIN_JOB
from salesml_assets.forecasting.versions import latest_version
from salesml_assets.names import FULL_LOAD_TAG, RANGE_TAGS
from salesml_assets.release import code_version
from salesml_assets.runs.execution import COMMAND_TAGS, close_dead_runs, close_lost_runs
from salesml_assets_tests.forecasting.small_models import Shop, bundle

ROOT = Path(__file__).parents[1]
TOY = "salesml_assets_tests.toy_definitions"
COMMAND = [sys.executable, "-c", "from salesml_assets.cli import main; main()"]


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with the real dagster.yaml, and the small definitions in its workspace file."""
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    workspace = (ROOT / "workspace.yaml").read_text().replace("salesml_assets.definitions", TOY)
    (tmp_path / "workspace.yaml").write_text(workspace)
    for variable in list(os.environ):
        if variable.startswith(("SALESML_", "TOY_", "DAGSTER_")):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def salesml(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Runs the command in this process."""

    def call(*arguments: str) -> Outcome:
        # The command changes both: monkeypatch remembers what they were.
        monkeypatch.setenv("DAGSTER_HOME", str(project))
        monkeypatch.setenv("SALESML_CONFIG", "")
        monkeypatch.delenv("SALESML_CONFIG")
        monkeypatch.setattr(sys, "argv", ["salesml", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        return Outcome(end.value.code or 0, *capfd.readouterr())

    return call


@pytest.fixture
def instance(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], dg.DagsterInstance]]:
    monkeypatch.setenv("DAGSTER_HOME", str(project))
    return dg.DagsterInstance.get


def test_a_run_shows_each_asset_and_check_and_what_came_out(salesml, instance, project):
    outcome = salesml("run", "--summary", "times/summary.json")

    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    shown = [re.sub(r"\s+\d+\.\d s", "", line).rstrip() for line in lines if line.startswith(("✓", "!", "✗"))]
    assert shown[:4] == ["✓ lines  1,234,567 rows", "✓ good", "✓ bad", "✓   good: conserved"]
    assert set(shown) >= {"✓ series  7 rows", "!   series: fresh  40 days old", "✓   series: dense", "✓ forecasts"}
    assert all(re.search(r"\d+\.\d s", line) for line in lines if line.startswith("✓"))
    table = [line for line in lines if "%" in line]
    assert "xgboost" in table[1]
    assert "25.0%" in table[1]
    assert "seasonal_naive" in table[2]
    assert "Decision: xgboost replaces seasonal_naive." in lines
    assert "Report: /lake/_files/report/1/report.html" in lines
    assert "Forecasts: /lake/forecasts" in lines
    assert "DEBUG" not in outcome.out

    summary = json.loads((project / "times" / "summary.json").read_text())
    assert list(summary) == ["seconds", "assets", "run_id", "success"]
    assert list(summary["assets"]) == ["lines", "good", "bad", "series", "model_comparison", "forecasts", "report"]
    assert summary["success"] is True
    assert sum(summary["assets"].values()) <= summary["seconds"]
    with instance() as kept:
        run = kept.get_run_by_id(summary["run_id"])
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert run.tags[RANGE_TAGS[0]] == "2011-01-01"
        assert run.tags[RANGE_TAGS[1]] == "2011-04-01"
        assert FULL_LOAD_TAG in run.tags
        for name in ("lines", "good", "bad"):
            assert len(kept.get_materialized_partitions(dg.AssetKey(name))) == 4
        # What the UI asks for on the job's page.
        assert (
            kept.get_runs_count(
                dg.RunsFilter(job_name=RETRAIN_JOB, tags={".dagster/repository": "__repository__@salesml"})
            )
            == 1
        )


def test_selected_assets_and_months(salesml, instance):
    assert salesml("run").code == 0
    outcome = salesml("run", "--select", "lines, sort_lines", "--since", "2011-03")
    assert outcome.code == 2
    assert "--select lines, sort_lines" in outcome.err

    # `good` and `bad` come from one step: who asks for one gets both.
    outcome = salesml("run", "--select", "lines,good", "--since", "2011-03")
    assert outcome.code == 0
    assert "series" not in outcome.out
    with instance() as kept:
        run = kept.get_runs(limit=1)[0]
        assert run.asset_selection == {dg.AssetKey("lines"), dg.AssetKey("good"), dg.AssetKey("bad")}
        assert run.tags[RANGE_TAGS[0]] == "2011-03-01"
        assert FULL_LOAD_TAG not in run.tags

    assert salesml("run", "--select", "key:series+1").code == 0
    with instance() as kept:
        run = kept.get_runs(limit=1)[0]
        assert RANGE_TAGS[0] not in run.tags
        assert run.asset_selection == {dg.AssetKey("series"), dg.AssetKey("model_comparison")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "2010-12"], "--since 2010-12: has to be between 2011-01 and 2011-04"),
        (["--since", "march"], "--since march: has to be between 2011-01 and 2011-04"),
        (["--select", "sails"], "--select sails"),
    ],
)
def test_wrong_arguments_are_one_line(salesml, instance, arguments, message):
    outcome = salesml("run", *arguments)

    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1
    with instance() as kept:
        assert kept.get_runs_count() == 0


def test_wrong_settings_are_one_line_and_nothing_is_started(salesml, project, instance):
    (project / "salesml.yaml").write_text("forecast: {horizn: 7}")
    outcome = salesml("run")

    assert outcome == (2, "", "forecast.horizn: there is no such key\n")
    with instance() as kept:
        assert kept.get_runs_count() == 0


@pytest.mark.parametrize(
    ("fail", "code", "message"),
    [
        ("settings", 2, "forecast.horizon: 400 steps are more than the data carry"),
        ("secret", 1, "series failed: RuntimeError: cannot read s3a://***@bucket/lake"),
        ("check", 1, "series: dense: 3 gaps"),
    ],
)
def test_a_failing_step_is_named(salesml, monkeypatch, tmp_path, fail, code, message):
    monkeypatch.setenv("TOY_FAIL", fail)
    outcome = salesml("run", "--summary", str(tmp_path / "summary.json"))

    assert outcome.code == code
    assert message in outcome.err
    assert "Traceback" not in outcome.out + outcome.err
    assert "forecasts" not in outcome.out
    assert "hidden" not in outcome.out + outcome.err
    assert "Dagster" not in outcome.out + outcome.err
    assert json.loads((tmp_path / "summary.json").read_text())["success"] is False


def test_an_interrupt_ends_the_run_cleanly(project, monkeypatch, instance):
    monkeypatch.setenv("TOY_FAIL", "sleep")
    with (project / "out").open("w") as out, (project / "err").open("w") as err:
        process = subprocess.Popen([*COMMAND, "run"], stdout=out, stderr=err, cwd=project)
        _until(lambda: "asleep" in (project / "out").read_text())
        second = subprocess.run([*COMMAND, "run"], cwd=project, capture_output=True, text=True, check=False)
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=60)

    assert (second.returncode, second.stderr) == (
        1, "Another `salesml run` is running in this project: wait until it has ended.\n",
    )  # fmt: skip
    assert code == 130
    assert (project / "err").read_text() == "interrupted\n"
    with instance() as kept:
        assert [run.status for run in kept.get_runs()] == [dg.DagsterRunStatus.FAILURE]


def test_runs_whose_process_is_gone_are_closed(salesml, instance):
    @dg.job
    def lost():
        pass

    with instance() as kept:
        states = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.NOT_STARTED]
        runs = [kept.create_run_for_job(lost, tags=COMMAND_TAGS, status=state) for state in states]
        other = kept.create_run_for_job(lost, status=dg.DagsterRunStatus.STARTED)
        assert set(close_lost_runs(kept)) == {runs[0].run_id, runs[2].run_id}
        assert kept.get_run_by_id(runs[0].run_id).status == dg.DagsterRunStatus.FAILURE
        assert kept.get_run_by_id(other.run_id).status == dg.DagsterRunStatus.STARTED


def test_runs_of_a_daemon_whose_process_is_gone_are_closed(instance):
    @dg.job
    def launched():
        pass

    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with instance() as kept:
        runs = [kept.create_run_for_job(launched, status=dg.DagsterRunStatus.STARTED) for _ in range(3)]
        for run, process in zip(runs, (ended.pid, os.getpid()), strict=False):
            kept.report_engine_event("Started process.", run, EngineEventData.in_process(process))
        assert close_dead_runs(kept) == [runs[0].run_id]
        # Its process is alive, or unknown.
        assert [kept.get_run_by_id(run.run_id).status.value for run in runs] == ["FAILURE", "STARTED", "STARTED"]


def test_the_settings_of_the_starting_folder_count(salesml, project, monkeypatch, tmp_path):
    elsewhere = project / "own"
    elsewhere.mkdir()
    (elsewhere / "salesml.yaml").write_text("lake: {root: tables}\nforecast: {horizon: 3}")
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr("salesml_assets.runs.project.__file__", str(project / "salesml_assets" / "runs" / "project.py"))
    settings = yaml.safe_load(salesml("config").out)

    assert settings["lake"]["root"] == str(elsewhere / "tables")
    assert settings["forecast"]["horizon"] == 3
    assert Path.cwd() == project


def test_config_shows_all_settings_but_no_secret(salesml, project, monkeypatch):
    (project / "salesml.yaml").write_text(
        """
        lake: {root: "s3a://key:hidden1@bucket/lake"}
        s3: {endpoint: "http://user:hidden2@store:9000"}
        spark: {config: {spark.hadoop.fs.s3a.secret.key: hidden3, spark.cores.max: "2"}}
        """
    )
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden4")
    monkeypatch.setenv("SALESML_FORECAST__HORIZON", "9")
    outcome = salesml("config")

    assert outcome.code == 0
    assert "hidden" not in outcome.out
    settings = yaml.safe_load(outcome.out)
    assert settings["lake"]["root"] == "s3a://***@bucket/lake"
    assert settings["s3"]["endpoint"] == "http://***@store:9000"
    assert settings["spark"]["config"] == {"spark.hadoop.fs.s3a.secret.key": "***", "spark.cores.max": "2"}
    assert settings["forecast"]["horizon"] == 9


def test_the_version_is_that_of_the_code(salesml):
    assert salesml("--version").out.startswith(f"salesml {code_version()}, Python 3.")


def test_the_reference_in_the_docs_is_up_to_date(salesml):
    assert salesml("config", "--reference").out == (ROOT / "docs" / "configuration.md").read_text()


def test_any_other_failure_is_one_line_and_kept(salesml, project):
    (project / "workspace.yaml").write_text("load_from: [{python_module: {module_name: no_such_module}}]")
    outcome = salesml("run")

    assert outcome.code == 1
    assert len(outcome.err.splitlines()) == 1
    assert "no_such_module" in outcome.err
    assert "Traceback" in (project / ".salesml" / "error.log").read_text()


FORECASTS = pa.table(
    {
        "unique_id": ["b/1", "a/1", "a/1"],
        "category": ["x", "x", None],
        "product": ["b", "a", "a"],
        "store": ["1", "1", "1"],
        "ds": pa.array([1, 2, 1], pa.date32()),
        **{name: [3.5, 2.5, 1.5] for name in ("yhat", "lo80", "hi80", "lo95", "hi95")},
        "model": ["xgboost"] * 3,
        "model_version": [4] * 3,
        "cutoff": pa.array([0] * 3, pa.date32()),
        "inner": [0, 0, 0],
    }
)
EXPORTED = [
    "unique_id", "product", "store", "category", "ds", "yhat", "lo80", "hi80", "lo95", "hi95",
    "model", "model_version", "cutoff",
]  # fmt: skip


@pytest.mark.parametrize("name", ["out.parquet", "below/out.CSV"])
def test_forecasts_are_exported_in_order(salesml, project, name):
    (project / "salesml.yaml").write_text("lake: {root: lake}\nforecast: {series: [product, store]}")
    write_deltalake(project / "lake" / "forecasts", FORECASTS)
    outcome = salesml("export", "forecasts", name)

    assert outcome == (0, f"3 forecasts in {name}\n", "")
    if name.endswith("parquet"):
        table = parquet.read_table(project / name)
        assert table.schema.field("ds").type == pa.date32()
        table = table.to_pandas()
    else:
        table = pd.read_csv(project / name)
    assert list(table.columns) == EXPORTED
    assert table["unique_id"].tolist() == ["a/1", "a/1", "b/1"]
    assert table["yhat"].tolist() == [1.5, 2.5, 3.5]
    assert [file.name for file in (project / name).parent.iterdir() if file.name.startswith(".out")] == []


def test_quantities_to_order_are_exported_where_costs_made_them(salesml, project):
    (project / "salesml.yaml").write_text("lake: {root: lake}\nforecast: {series: [product, store]}")
    write_deltalake(project / "lake" / "forecasts", FORECASTS.append_column("order_quantity", [[4.0, 3.0, 2.0]]))
    assert salesml("export", "forecasts", "out.csv")[0] == 0
    table = pd.read_csv(project / "out.csv")
    assert list(table.columns) == [*EXPORTED[:10], "order_quantity", *EXPORTED[10:]]
    assert table["order_quantity"].tolist() == [2.0, 3.0, 4.0]


def test_an_export_without_forecasts_or_format_says_so(salesml, project):
    (project / "salesml.yaml").write_text("lake: {root: lake}")
    outcome = salesml("export", "forecasts", "out.parquet")
    assert outcome == (1, "", f"There are no forecasts in {project / 'lake'} yet: run `salesml run` first.\n")

    outcome = salesml("export", "forecasts", "out.xlsx")
    assert outcome == (2, "", "out.xlsx: the file extension must be one of .parquet, .csv\n")
    assert not (project / "out.parquet").exists()


def test_the_models_are_listed_newest_first(salesml, project):
    (project / "salesml.yaml").write_text("lake: {root: lake}")
    assert "There is no table 'production_model'" in salesml("models", "list").err
    chosen = {"action": "promote", "version": 1, "by": "ana", "reason": "steadier"}
    models = {
        "version": [1, 2],
        "algorithm": ["seasonal_naive", "xgboost"],
        "parameters": ["{}", "{}"],
        "cutoff": ["2011-11-11", "2011-12-09"],
        "trained_at": [pd.Timestamp("2011-11-12", tz="UTC")] * 2,
        "path": ["/lake/1", "s3a://k:hidden@lake/2"],
        "decision": ["{}", json.dumps(chosen)],
        "settings": ["{}", "{}"],
    }
    write_deltalake(project / "lake" / "production_model", pa.table(models))
    lines = salesml("models", "list").out.splitlines()

    assert lines[0].split() == ["version", "algorithm", "cutoff", "trained_at", "origin", "path"]
    assert [line.split()[1] for line in lines[1:]] == ["xgboost", "seasonal_naive"]
    assert "promote of version 1 by ana: steadier" in lines[1]
    assert "hidden" not in "".join(lines)


def test_a_version_is_chosen_by_hand(salesml, project, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ana")
    monkeypatch.setenv("PATH", "/nowhere")  # no Java
    settings = "lake: {root: lake}\nforecast: {horizon: 7}\nregistry: {enabled: false}\n"
    (project / "salesml.yaml").write_text(settings)
    assert salesml("models", "promote", "1", "--reason", "x").err.startswith("there is no version 1: there is none yet")
    shop = Shop(project / "lake")
    for version in (1, 2):
        shop.train(bundle(version))

    assert "--reason" in salesml("models", "promote", "1").err
    outcome = salesml("models", "promote", "7", "--reason", "x")
    assert outcome == (1, "", "there is no version 7: there are 1 to 2\n")
    outcome = salesml("models", "promote", "1", "--reason", "steadier")
    text = "Version 3 is in production: seasonal_naive, promote of version 1 by ana: steadier\n"
    assert outcome == (0, text, "")
    outcome = salesml("models", "rollback", "--reason", "worse")
    text = "Version 4 is in production: xgboost, rollback of version 2 by ana: worse\n"
    assert outcome == (0, text, "")
    away = settings.replace("enabled: false", "tracking_uri: 'http://127.0.0.1:9'")
    (project / "salesml.yaml").write_text(away)
    outcome = salesml("models", "rollback", "--reason", "worse still")
    assert outcome.code == 0
    assert outcome.out.startswith("Version 5 is in production: seasonal_naive")
    assert outcome.err.startswith("the registry http://127.0.0.1:9 is away: ")
    assert outcome.err.endswith("The next run catches up.\n")
    newest = latest_version(shop.lake)
    assert newest.version == 5


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_ui_shows_the_runs_of_the_command_under_their_job(salesml, project):
    assert salesml("run").code == 0
    port = _free_port()
    in_the_background_of_a_script = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    command = [*in_the_background_of_a_script, *COMMAND, "ui", "--port", str(port)]
    with (project / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=project, start_new_session=True)
        try:
            _until(lambda: _answers(port), 180)
            runs = """{ pipelineOrError(params: {pipelineName: "retrain", repositoryName: "__repository__",
                repositoryLocationName: "salesml"}) { ... on Pipeline { runs { status } schedules { name } } } }"""
            asset = """{ assetNodeOrError(assetKey: {path: ["good"]}) { ... on AssetNode {
                partitionStats { numMaterialized numPartitions } assetMaterializations(limit: 1) { runId } } } }"""
            shown = _ask(port, runs)["pipelineOrError"]
            good = _ask(port, asset)["assetNodeOrError"]
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)

    assert shown["runs"] == [{"status": "SUCCESS"}]
    assert good["partitionStats"] == {"numMaterialized": 4, "numPartitions": 4}
    assert len(good["assetMaterializations"]) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no simulation file"),
        ("weeks: many", "plan.yaml: weeks: Input should be a valid integer"),
        ("{weeks: 3, settings: {training: {fold: 3}}}", "training.fold: there is no such key"),
        ("{weeks: 3, settings: {spark: {master: 'spark://host:7077'}, lake: {root: s3a://lake}}}", "spark.master:"),
    ],
)
def test_a_wrong_simulation_is_one_line_and_nothing_is_started(salesml, project, text, message):
    if text is not None:
        (project / "plan.yaml").write_text(text)
    outcome = salesml("simulate", "plan.yaml", "out")

    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not list((project / "out").glob("[!.]*"))


def _ask(port: int, query: str) -> dict:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        return bool(_ask(port, "{ version }"))
    except urllib.error.URLError:
        return False


def _until(condition: Callable[[], object], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def test_totals_are_exported_by_level(salesml, project):
    (project / "salesml.yaml").write_text("lake: {root: lake}")
    arguments = ("export", "forecasts", "out.csv", "--level")
    none_yet = f"There are no forecasts of totals in {project / 'lake'} yet: run `salesml run` first.\n"
    assert salesml(*arguments, "total") == (1, "", none_yet)
    totals = pa.table(
        {
            "level": ["total", "category", "category"],
            "node": ["total", "y", "x"],
            "ds": pa.array([1, 1, 1], pa.date32()),
            "yhat": [5.0, 3.0, 2.0],
        }
    )
    write_deltalake(project / "lake" / "hierarchy_forecasts", totals)
    assert salesml(*arguments, "category") == (0, "2 forecasts in out.csv\n", "")
    table = pd.read_csv(project / "out.csv")
    assert table[["node", "yhat"]].to_numpy().tolist() == [["x", 2.0], ["y", 3.0]]
    message = "There is no level 'store' among the totals; there are: category, total.\n"
    assert salesml(*arguments, "store") == (1, "", message)
