"""`python -m salesml_assets.spark.standalone master`, or `worker spark://host:7077`: a node of a Spark cluster.

The node runs with the Java and the Spark of this environment, which are those of the driver. With the variable
`_SPARK_AUTH_SECRET` (Spark's own) driver, nodes and executors that do not know it are refused.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from salesml_assets.config.settings import ConfigurationError
from salesml_assets.spark.java import use_java
from salesml_assets.spark.session import CLUSTER_SECRET, STATE

CLASSES = {"master": "org.apache.spark.deploy.master.Master", "worker": "org.apache.spark.deploy.worker.Worker"}
PROMETHEUS = "org.apache.spark.metrics.sink.PrometheusServlet"
COMMON = f"-Dspark.authenticate=true -Dspark.metrics.conf.*.sink.prometheusServlet.class={PROMETHEUS}"
# The master's REST server takes programs from anybody: it does not ask for the secret, and is on by default.
OPTIONS = {
    "master": "-Dspark.master.rest.enabled=false"
    " -Dspark.metrics.conf.master.sink.prometheusServlet.path=/metrics/master/prometheus",
    "worker": "-Dspark.worker.cleanup.enabled=true -Dspark.worker.cleanup.appDataTtl=86400"
    " -Dspark.metrics.conf.worker.sink.prometheusServlet.path=/metrics/prometheus",
}


def node_command(role: str, arguments: list[str], environment: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """The command of a node, and its environment.

    Args:
        role: `master` or `worker`.
        arguments: Arguments of Spark's class: for a worker the master's address.
        environment: The environment of this process.

    Raises:
        ConfigurationError: There is no such role, or no secret.
    """
    if role not in CLASSES:
        raise ConfigurationError(f"a node is {' or '.join(CLASSES)}, not {role!r}")
    if not environment.get(CLUSTER_SECRET):
        raise ConfigurationError(f"{CLUSTER_SECRET} is not set: anybody who reaches the node could run code on it")
    import pyspark

    home = Path(pyspark.__file__).parent
    name = f"SPARK_{role.upper()}_OPTS"
    variables = environment | {
        "SPARK_HOME": str(home),
        name: f"{COMMON} {OPTIONS[role]} {environment.get(name, '')}".strip(),
        "SPARK_DAEMON_MEMORY": environment.get("SPARK_DAEMON_MEMORY", "512m"),
        "SPARK_WORKER_DIR": environment.get("SPARK_WORKER_DIR", f"{environment.get('SPARK_LOCAL_DIRS', '.')}/work"),
    }
    return [str(home / "bin" / "spark-class"), CLASSES[role], *arguments], variables


def main() -> None:
    """Becomes the node."""
    role = sys.argv[1] if len(sys.argv) > 1 else ""
    use_java(STATE / "java")
    command, variables = node_command(role, sys.argv[2:], dict(os.environ))
    os.execve(command[0], command, variables)


if __name__ == "__main__":
    main()
