"""The process from which Spark forks its Python workers on this machine: ready sooner, and quicker between two tasks.

Spark puts its own Python files on the path a second time, as archives. They are compiled anew by each such process, and
their directories (5,000 names in Spark's core jar) are read anew by a worker before each task. After each task a worker
collects garbage among all that it ever imported. So the archives are left out, the installed package is used, and what
workers need is imported here, once, and kept out of the collection.

Spark starts this module by its name (`spark.python.daemon.module`).
"""

import gc
import os
import sys
from collections.abc import Callable
from io import BufferedReader, BufferedWriter
from pathlib import Path

Worker = Callable[[BufferedReader, BufferedWriter], None]


def leave_archives_out(spark_home: str) -> None:
    """Takes Spark's archives off the path on which modules are looked for."""
    for entry in list(sys.path):
        if Path(entry).is_relative_to(spark_home) and Path(entry).is_file():
            sys.path.remove(entry)
            sys.path_importer_cache.pop(entry, None)


def until_spark_is_gone(worker: Worker) -> Worker:
    """A worker that waits for its next task, and ends without a word if Spark has ended meanwhile.

    Spark's own takes the end for an error and reports it, to a socket that nobody reads.
    """

    def one_task(task: BufferedReader, answer: BufferedWriter) -> None:
        if not task.peek(1):
            sys.exit(1)
        worker(task, answer)

    return one_task


def main() -> None:
    """Forks workers until Spark closes the standard input."""
    leave_archives_out(os.environ["SPARK_HOME"])

    # Not polars: it starts threads, which a fork does not copy.
    import pandas  # noqa: F401
    import pyarrow  # noqa: F401
    from pyspark import daemon

    daemon.worker_main = until_spark_is_gone(daemon.worker_main)
    gc.collect()
    gc.freeze()
    daemon.manager()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
