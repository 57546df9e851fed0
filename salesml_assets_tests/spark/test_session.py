"""The Spark session: its settings, its life, its silence, with both Javas, and files in an object store."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.resources.spark import SparkResource
from salesml_assets.spark import session as spark_module
from salesml_assets.spark.session import spark_config, spark_session

ROOT = Path(__file__).resolve().parents[2]

TWO_SESSIONS = """
import sys
from salesml_assets.config.settings import Settings
from salesml_assets.spark.session import spark_session
quick = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1"}
settings = Settings(spark={"master": "local[2]", "driver_memory": "1g", "shuffle_partitions": 2, "config": quick})
for version in range(2):
    with spark_session(settings) as spark:
        spark.range(7 + version).write.format("delta").mode("overwrite").save(sys.argv[1])
        rows = spark.read.format("delta").load(sys.argv[1]).mapInPandas(lambda frames: frames, "id long").count()
        java = spark.sparkContext._jvm.System.getProperty("java.version")
        print(version, rows, java.split(".")[0], spark.sparkContext._gateway.proc.pid)
"""


def run_python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name not in {"JAVA_HOME", "SALESML_JAVA"}}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=variables | environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_two_sessions_one_after_the_other_without_java_on_the_machine_and_with_another_spark_around(
    tmp_path: Path,
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in Path("/usr/bin").iterdir():
        if not tool.name.startswith("java"):
            (tools / tool.name).symlink_to(tool)
    answer = run_python(TWO_SESSIONS, str(tmp_path / "table"), PATH=str(tools), SPARK_HOME="/opt/other-spark")
    assert answer.returncode == 0, answer.stderr
    first, second = (line.split() for line in answer.stdout.splitlines())
    assert first[:3] == ["0", "7", "21"]
    assert second[:3] == ["1", "8", "21"]
    assert answer.stderr == ""  # no banner, no progress bar, no warning
    end = time.monotonic() + 30
    while is_alive(int(second[3])):  # Java goes with Python
        assert time.monotonic() < end
        time.sleep(0.1)


def test_session_has_the_settings_that_everything_counts_on(spark) -> None:
    expected = {
        "spark.sql.ansi.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.legacy.timeParserPolicy": "CORRECTED",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
    }
    assert {key: spark.conf.get(key) for key in expected} == expected
    assert spark.sparkContext.uiWebUrl is None
    assert spark.sql("select cast('x' as double), cast('2020-02-31' as date)").first() == (None, None)
    assert spark.sparkContext._jvm.java.util.TimeZone.getDefault().getID() == "UTC"


def test_delta_does_what_it_does_without_the_jars_of_unity_catalog(spark, tmp_path: Path) -> None:
    from delta.tables import DeltaTable

    path = str(tmp_path / "table")
    spark.range(10).write.format("delta").save(path)
    table = DeltaTable.forPath(spark, path)
    new = spark.range(5, 15).alias("new")
    table.alias("old").merge(new, "old.id = new.id").whenNotMatchedInsertAll().execute()
    spark.range(3).write.format("delta").mode("overwrite").option("replaceWhere", "id < 5").save(path)
    assert sorted(row.id for row in spark.read.format("delta").load(path).collect()) == [0, 1, 2, *range(5, 15)]
    assert spark.read.format("delta").option("versionAsOf", 0).load(path).count() == 10
    table.optimize().executeCompaction()
    table.vacuum()
    spark.sql(f"create table listed using delta location '{path}'")
    assert spark.table("listed").count() == 13
    spark.sql("drop table listed")


def test_python_workers_are_this_python(spark) -> None:
    def versions(frames):
        import pyarrow as pa

        for _ in frames:
            yield pa.RecordBatch.from_pydict({"executable": [sys.executable]})

    assert spark.range(1).mapInArrow(versions, "executable string").first()[0] == sys.executable


def test_a_session_that_runs_is_shared_and_not_stopped_by_who_did_not_start_it(spark, settings_for) -> None:
    with spark_session(settings_for()) as same:
        assert same is spark
    assert spark.range(3).count() == 3


def test_errors_in_expressions_are_raised_and_not_printed(spark, capfd: pytest.CaptureFixture[str]) -> None:
    from pyspark.errors import AnalysisException

    with pytest.raises(AnalysisException, match="UNRESOLVED_COLUMN"):
        spark.range(1).selectExpr("no_such_column")
    assert capfd.readouterr() == ("", "")


# --- settings


def test_local_master_takes_jars_on_the_class_path_and_a_cluster_is_sent_them() -> None:
    local = spark_config(Settings(spark={"master": "local[3]"}))
    assert "spark.jars" not in local
    assert "delta-spark" in local["spark.driver.extraClassPath"]
    assert local["spark.sql.shuffle.partitions"] == "6"
    assert local["spark.databricks.delta.snapshotPartitions"] == "3"
    cluster = spark_config(Settings(spark={"master": "spark://host:7077"}, lake={"root": "s3a://bucket/lake"}))
    assert "delta-spark" in cluster["spark.jars"]
    assert cluster["spark.databricks.delta.snapshotPartitions"] == "4"
    assert not {"spark.driver.host", "spark.sql.shuffle.partitions", "spark.driver.extraClassPath"} & cluster.keys()
    chosen = Settings(spark={"master": "spark://host:7077", "shuffle_partitions": 64}, lake={"root": "s3a://b/l"})
    assert spark_config(chosen)["spark.sql.shuffle.partitions"] == "64"


def test_further_settings_of_the_user_come_last() -> None:
    config = spark_config(Settings(spark={"config": {"spark.ui.enabled": "true", "spark.x": "y"}}))
    assert (config["spark.ui.enabled"], config["spark.x"]) == ("true", "y")


def test_no_secret_is_among_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "AWS_SESSION_TOKEN": "t0ken"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    text = json.dumps(spark_config(Settings(s3={"endpoint": "https://store:9000"})))
    assert not any(secret in text for secret in secrets.values())
    assert '"spark.hadoop.fs.s3a.connection.ssl.enabled": "true"' in text


def test_jars_that_are_not_there_are_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_module, "JARS", tmp_path)
    with pytest.raises(ConfigurationError, match="make setup"):
        spark_config(Settings())


# --- the resource


def test_a_run_without_spark_starts_no_java() -> None:
    code = """
import sys
import dagster as dg
from salesml_assets.resources.spark import SparkResource
@dg.asset
def idle(spark: SparkResource) -> int:
    return 1
assert dg.materialize([idle], resources={"spark": SparkResource()}).success
assert "pyspark" not in sys.modules
"""
    answer = run_python(code)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.slow
def test_the_session_is_that_of_the_settings_that_the_resource_was_built_with() -> None:
    code = """
import os
import dagster as dg
from salesml_assets.config.settings import Settings
from salesml_assets.resources.spark import SparkResource
settings = Settings(spark={"master": "local[1]", "driver_memory": "1g", "shuffle_partitions": 3})
built = SparkResource.for_settings(settings)
os.environ["SALESML_SPARK__SHUFFLE_PARTITIONS"] = "5"
@dg.asset
def partitions(spark: SparkResource) -> str:
    return spark.session.conf.get("spark.sql.shuffle.partitions")
print(dg.materialize([partitions], resources={"spark": built}).output_for_node("partitions"))
"""
    answer = run_python(code)
    assert answer.stdout.splitlines() == ["3"], answer.stderr


@pytest.mark.slow
def test_the_resource_stops_its_session_with_the_run_also_after_a_failure() -> None:
    code = """
import os
os.environ["SALESML_SPARK__DRIVER_MEMORY"] = "1g"
import dagster as dg
from salesml_assets.resources.spark import SparkResource
@dg.asset
def broken(spark: SparkResource) -> None:
    assert spark.session is spark.session
    assert spark.session.range(3).count() == 3
    raise RuntimeError("as planned")
assert not dg.materialize([broken], resources={"spark": SparkResource()}, raise_on_error=False).success
from pyspark.sql import SparkSession
assert SparkSession.getActiveSession() is None
"""
    answer = run_python(code)
    assert answer.returncode == 0, answer.stderr
    assert "as planned" in answer.stderr


@pytest.mark.slow
def test_if_java_dies_the_error_of_the_work_is_the_one_that_is_raised() -> None:
    # What is raised is asked for in the process itself: at its end Py4J may log that it can't free Java's objects.
    code = """
import os, signal
from salesml_assets.config.settings import Settings
from salesml_assets.spark.session import spark_session
try:
    with spark_session(Settings(spark={"master": "local[1]", "driver_memory": "1g"})) as spark:
        os.kill(spark.sparkContext._gateway.proc.pid, signal.SIGKILL)
        spark.sparkContext._gateway.proc.wait()
        raise RuntimeError("as planned")
except Exception as error:
    print(repr(error), repr(error.__context__))
"""
    answer = run_python(code)
    assert answer.stdout.splitlines() == ["RuntimeError('as planned') None"], answer.stderr


@pytest.mark.slow
def test_if_a_java_of_others_dies_in_a_run_the_error_of_the_work_is_the_one_that_is_raised() -> None:
    code = """
import os, signal
import dagster as dg
from salesml_assets.config.settings import Settings
from salesml_assets.resources.spark import SparkResource
from salesml_assets.spark.session import start_session
start_session(Settings(spark={"master": "local[1]", "driver_memory": "1g"}))
@dg.asset
def broken(spark: SparkResource) -> None:
    os.kill(spark.session.sparkContext._gateway.proc.pid, signal.SIGKILL)
    spark.session.sparkContext._gateway.proc.wait()
    raise RuntimeError("as planned")
result = dg.materialize([broken], resources={"spark": SparkResource()}, raise_on_error=False)
print(result.failure_data_for_node("broken").error.cause.message.strip())
print(*[event.message for event in result.all_events if "teardown" in event.message.lower()])
"""
    answer = run_python(code)
    assert answer.stdout.splitlines() == ["RuntimeError: as planned", ""], answer.stderr


@pytest.mark.slow
def test_an_interrupt_in_the_middle_of_a_call_is_what_is_raised() -> None:
    code = """
import _thread, threading
from salesml_assets.config.settings import Settings
from salesml_assets.spark.session import spark_session
with spark_session(Settings(spark={"master": "local[1]", "driver_memory": "1g"})) as spark:
    threading.Timer(3, _thread.interrupt_main).start()
    spark.sparkContext._jvm.java.lang.Thread.sleep(8_000)
"""
    answer = run_python(code)
    assert answer.stderr.splitlines()[-1] == "KeyboardInterrupt", answer.stderr
    assert "Py4JError" not in answer.stderr


def test_the_resource_leaves_a_session_of_others_alone(spark) -> None:
    @dg.asset
    def counted(spark: SparkResource) -> int:
        rows = spark.session.range(3).cache().count()
        assert spark.session.range(3).storageLevel.useMemory
        return rows

    assert dg.materialize([counted], resources={"spark": SparkResource()}).output_for_node("counted") == 3
    assert spark.range(2).count() == 2
    assert not spark.range(3).storageLevel.useMemory  # what the run held in memory is freed


# --- files in an object store


@pytest.mark.stack
@pytest.mark.slow
def test_plain_files_in_an_object_store_go_through_the_magic_committer(bucket: str, tmp_path: Path) -> None:
    import boto3

    code = """
import sys
from salesml_assets.config.settings import Settings
from salesml_assets.spark.session import spark_session
quick = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1"}
spark = {"master": "local[2]", "driver_memory": "1g", "shuffle_partitions": 2, "config": quick}
with spark_session(Settings(spark=spark, s3={"endpoint": sys.argv[1]})) as session:
    session.range(10).write.parquet("s3a://lake/files")
    session.range(10).write.format("delta").save("s3a://lake/table")
    print(session.read.parquet("s3a://lake/files").count(), session.read.format("delta").load("s3a://lake/table").count())
"""
    answer = run_python(code, bucket, SPARK_LOCAL_DIRS=str(tmp_path / "scratch"))
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "10 10\n", ""), answer.stderr
    with closing(boto3.client("s3", endpoint_url=bucket, region_name="us-east-1")) as client:
        success = client.get_object(Bucket="lake", Key="files/_SUCCESS")["Body"].read()
        assert json.loads(success)["committer"] == "magic"
        keys = [entry["Key"] for entry in client.list_objects_v2(Bucket="lake")["Contents"]]
    assert not [key for key in keys if re.search("_temporary|__magic", key)]
    # Blocks wait for their upload where Spark has its files.
    assert (tmp_path / "scratch" / "s3a").is_dir()
