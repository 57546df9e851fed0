"""The first start of Spark, at set-up: shows that Java, Spark and Delta work here, and makes later starts faster.

Half of what a short session computes is the loading of classes. Java can keep the loaded ones in an archive (class data
sharing) and map them into memory at the next start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.spark.session import CLASS_ARCHIVE, spark_session

BASE_ARCHIVE = "java.jsa"


def warm_up(home: Path) -> None:
    """Starts a session in a process of its own, writes and reads a table with it, and keeps its classes.

    Args:
        home: The home of the Java in use, which takes the archive.

    Raises:
        ConfigurationError: Spark does not work here; the message ends with what it said.
    """
    for name in (CLASS_ARCHIVE, BASE_ARCHIVE):
        (home / name).unlink(missing_ok=True)
    # Not every runtime comes with an archive of Java's own classes, on which the one of Spark's builds.
    _run(str(home / "bin" / "java"), "-Xshare:dump", f"-XX:SharedArchiveFile={home / BASE_ARCHIVE}")
    _run(sys.executable, "-m", "salesml_assets.spark.warmup", str(home))


def _run(*command: str) -> None:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        end = "\n".join((answer.stdout + answer.stderr).splitlines()[-30:])
        raise ConfigurationError(f"Spark does not work here. `{command[0]}` said:\n{end}")


def _first_session(home: Path) -> None:
    """What a run does with Spark, in small: Delta, SQL, aggregation, Arrow to Python."""
    fresh = home / f"{CLASS_ARCHIVE}.{os.getpid()}"
    options = f'"-XX:SharedArchiveFile={home / BASE_ARCHIVE}" "-XX:ArchiveClassesAtExit={fresh}" -Xlog:disable'
    config = {"spark.driver.extraJavaOptions": options}
    settings = Settings(spark={"master": "local[2]", "driver_memory": "1g", "config": config})
    with tempfile.TemporaryDirectory() as folder, spark_session(settings) as spark:
        columns = ["id % 7 as key", "cast(id as double) as value", "date_add('2020-01-01', int(id)) as day"]
        rows = spark.range(1_000).selectExpr(*columns)
        rows.write.format("delta").mode("overwrite").save(folder)
        sums = spark.read.format("delta").load(folder).groupBy("key").agg({"value": "sum"}).toPandas()
        total = sums["sum(value)"].sum()
        if total != sum(range(1_000)):
            raise AssertionError(f"Spark sums up to {total}")
        gateway = spark.sparkContext._gateway
    # The archive is written when Java ends, and it ends when nobody speaks to it any more.
    assert gateway is not None  # a classic session has one
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()
    fresh.replace(home / CLASS_ARCHIVE)


def main() -> None:
    """`python -m salesml_assets.spark.warmup HOME`: the first session, in its own process."""
    _first_session(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
