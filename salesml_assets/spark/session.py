"""The Spark session: one per run, started when first needed, stopped with the run."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from salesml_assets.config.settings import Settings
from salesml_assets.lake.store import TABLE_PROPERTIES
from salesml_assets.spark.jars import jar_paths
from salesml_assets.spark.java import use_java

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STATE = Path(__file__).resolve().parents[2] / ".salesml"
JARS = STATE / "jars"
LOGGING = Path(__file__).with_name("log4j2.properties")
CLASS_ARCHIVE = "spark.jsa"
CREDENTIALS = "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider"
CLUSTER_SECRET = "_SPARK_AUTH_SECRET"  # Spark's own variable: who knows it may use the cluster
COMMITTERS = "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory"


def spark_config(settings: Settings) -> dict[str, str]:
    """All of Spark's settings, `spark.config` last. No secret is among them: S3A reads AWS_* from the environment.

    Raises:
        ConfigurationError: The jars have not been set up.
    """
    master = settings.spark.master
    local = is_local(master)
    jars = [str(path) for path in jar_paths(JARS)]
    values = {
        "spark.app.name": "salesml",
        "spark.master": master,
        "spark.driver.memory": settings.spark.driver_memory,
        "spark.driver.defaultJavaOptions": " ".join(f'"{option}"' for option in _java_options()),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.ansi.enabled": "false",  # a bad value becomes null, and is then rejected by a rule
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.legacy.timeParserPolicy": "CORRECTED",
        "spark.sql.sources.partitionColumnTypeInference.enabled": "false",  # a folder store=001 is not store 1
        "spark.sql.legacy.javaCharsets": "true",  # else CSV files of Windows cannot be read
        "spark.sql.timeType.enabled": "true",  # else a column with times of day ends every query on its file
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.warehouse.dir": (STATE / "warehouse").as_uri(),
        "spark.sql.debug.maxToStringFields": "200",
        # 100 by default: a run has some 800, and Java would compile again what it had just forgotten.
        "spark.sql.codegen.cache.maxEntries": "1000",
        # Each call on a column would tell Java from which line it comes: ten messages, for one of its own.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
    }
    if local:
        # On the class path at start, rather than copied into each session.
        values["spark.driver.extraClassPath"] = os.pathsep.join(jars)
        values |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    else:
        values["spark.jars"] = ",".join(jars)
    properties = {
        f"spark.databricks.delta.properties.defaults.{name.removeprefix('delta.')}": value
        for name, value in TABLE_PROPERTIES.items()
    }
    return values | properties | _partitions(settings) | _s3(settings) | settings.spark.config


def is_local(master: str) -> bool:
    """Whether a master means this machine's processor, and not a cluster.

    >>> is_local("local[*]"), is_local("spark://host:7077")
    (True, False)
    """
    return master.startswith("local")


def local_cores(master: str) -> int:
    """Cores of a local master.

    >>> local_cores("local"), local_cores("local[2]"), local_cores("local[4,3]")
    (1, 2, 4)
    """
    inside = master.partition("[")[2].partition("]")[0].split(",")[0]
    if inside == "*":
        return os.cpu_count() or 1
    return int(inside) if inside else 1


def cores_here(master: str) -> int:
    """Cores for what this process computes itself: those of a local master, else all of the machine."""
    return local_cores(master) if is_local(master) else os.cpu_count() or 1


def _partitions(settings: Settings) -> dict[str, str]:
    """Numbers of tasks: the defaults are made for tables of millions of files, and each task costs 10 ms."""
    wanted = settings.spark.shuffle_partitions
    if not is_local(settings.spark.master):
        # A cluster's size is not known before its executors are there; Spark joins small partitions by itself.
        return _listing_tasks(4, 64) | ({"spark.sql.shuffle.partitions": str(wanted)} if wanted else {})
    cores = local_cores(settings.spark.master)
    partitions = wanted or 2 * cores
    return _listing_tasks(min(cores, 4), partitions) | {"spark.sql.shuffle.partitions": str(partitions)}


def _listing_tasks(log: int, folders: int) -> dict[str, str]:
    return {
        "spark.databricks.delta.snapshotPartitions": str(log),  # 50 by default
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": str(folders),  # 10000 by default; VACUUM uses all
    }


def _java_options() -> list[str]:
    options = [
        "-XX:+UseParallelGC",
        "-Duser.timezone=UTC",
        f"-Dlog4j2.configurationFile={LOGGING.as_uri()}",
        f"-Dderby.system.home={STATE / 'derby'}",
    ]
    archive = Path(os.environ.get("JAVA_HOME", "")) / CLASS_ARCHIVE
    if archive.is_file():
        options += [f"-XX:SharedArchiveFile={archive}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
    return options


def _s3(settings: Settings) -> dict[str, str]:
    prefix = "spark.hadoop.fs.s3a"
    values = {
        f"{prefix}.aws.credentials.provider": CREDENTIALS,
        f"{prefix}.endpoint.region": settings.s3.region,
        f"{prefix}.path.style.access": str(settings.s3.path_style).lower(),
        # Blocks of 64 MB wait for their upload where Spark keeps its files, not in a /tmp that may be small.
        f"{prefix}.buffer.dir": "${env.SPARK_LOCAL_DIRS:-${hadoop.tmp.dir}}/s3a",
        # Files that are no Delta tables: the magic committer, since renaming in an object store is copying.
        f"{prefix}.committer.name": "magic",
        "spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3a": COMMITTERS,
        "spark.sql.sources.commitProtocolClass": "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol",
        "spark.sql.parquet.output.committer.class": "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter",
    }
    if settings.s3.endpoint:
        secure = str(settings.s3.endpoint.startswith("https://")).lower()
        values |= {f"{prefix}.endpoint": settings.s3.endpoint, f"{prefix}.connection.ssl.enabled": secure}
    return values


def start_session(settings: Settings) -> SparkSession:
    """Starts a session, or returns the one that runs in this process, with these settings as far as they can change.

    Raises:
        ConfigurationError: There is no Java that Spark can use, or the jars have not been set up.
    """
    use_java(STATE / "java")
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    pyspark = find_spec("pyspark")
    if pyspark and pyspark.origin:
        os.environ["SPARK_HOME"] = str(Path(pyspark.origin).parent)  # another Spark of the user's would be taken
    if is_local(settings.spark.master):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")  # no look-up of the machine's own name
    # XGBoost's idle threads would otherwise spin, and starve the other processes of the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from dagster_pyspark import LazyPySparkResource
    from pyspark.logger import PySparkLogger

    # These print every error in an expression, with its stack of calls, before it is raised.
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL)
    handler = signal.getsignal(signal.SIGINT)
    with _known_to_the_cluster(settings.spark.master):
        session: SparkSession = LazyPySparkResource(spark_config=spark_config(settings)).spark_session
    if threading.current_thread() is threading.main_thread():
        # Spark's own handler asks Java to cancel its jobs, on the connection that waits for an answer just then: what
        # comes out is an error of the connection, and no interrupt.
        signal.signal(signal.SIGINT, handler)
    return session


@contextmanager
def _known_to_the_cluster(master: str) -> Iterator[None]:
    """Gives the driver's JVM the cluster's secret, if the environment has one, while it starts.

    Nodes and executors take the secret from the variable, Spark's driver from its properties only. A file that only
    this user can read has it; as an option it would be shown by every list of processes.
    """
    secret = os.environ.get(CLUSTER_SECRET)
    if is_local(master) or not secret:
        yield
        return
    before = os.environ.get("SPARK_CONF_DIR")
    with tempfile.TemporaryDirectory(prefix="spark-conf-") as folder:
        (Path(folder) / "spark-defaults.conf").write_text(
            f"spark.authenticate true\nspark.authenticate.secret {secret}\n", encoding="utf-8"
        )
        os.environ["SPARK_CONF_DIR"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["SPARK_CONF_DIR"]
            else:
                os.environ["SPARK_CONF_DIR"] = before


def stop_session(session: SparkSession) -> None:
    """Stops a session. Java itself ends with this process, or serves the next session."""
    at_last(session, session.stop)


def at_last(session: SparkSession, call: Callable[[], None]) -> None:
    """Calls what ends the work with a session.

    A Java that is dead already (out of memory, killed) has stopped with all it had, and whatever asked it last has got
    an error: one more from here would hide that one. The call is made by a thread with a connection to Java of its own:
    an interrupt may have interrupted a call of this one, whose connection still holds the answer to that.
    """
    gateway = session.sparkContext._gateway
    if gateway is None or gateway.proc.poll() is None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(call).result()


@contextmanager
def spark_session(settings: Settings) -> Iterator[SparkSession]:
    """A session that is stopped at the end, whatever happens in between; one that ran before goes on running."""
    ours = not is_running()
    session = start_session(settings)
    try:
        yield session
    finally:
        if ours:
            stop_session(session)


def is_running() -> bool:
    """Whether this process has a session."""
    if "pyspark" not in sys.modules:
        return False
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession() is not None
