"""The command of a Spark node; that nodes work together is tested with the stack of containers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from salesml_assets.config.settings import ConfigurationError
from salesml_assets.spark.standalone import node_command

SECRET = {"_SPARK_AUTH_SECRET": "s3cret-of-the-test"}


def test_a_worker_knows_its_master_and_asks_for_the_secret():
    command, variables = node_command("worker", ["spark://master:7077"], SECRET | {"SPARK_LOCAL_DIRS": "/scratch"})
    assert os.access(command[0], os.X_OK)
    assert command[1:] == ["org.apache.spark.deploy.worker.Worker", "spark://master:7077"]
    assert "-Dspark.authenticate=true" in variables["SPARK_WORKER_OPTS"].split()
    assert variables["SPARK_WORKER_DIR"] == "/scratch/work"
    assert Path(variables["SPARK_HOME"]).name == "pyspark"


def test_options_of_the_environment_are_kept():
    _, variables = node_command("master", [], SECRET | {"SPARK_MASTER_OPTS": "-Dx=y", "SPARK_DAEMON_MEMORY": "1g"})
    assert variables["SPARK_MASTER_OPTS"].split()[-1] == "-Dx=y"
    assert "-Dspark.authenticate=true" in variables["SPARK_MASTER_OPTS"].split()
    assert variables["SPARK_DAEMON_MEMORY"] == "1g"


def test_the_master_takes_no_programs_without_the_secret():
    _, variables = node_command("master", [], SECRET)
    assert "-Dspark.master.rest.enabled=false" in variables["SPARK_MASTER_OPTS"].split()


def test_a_node_without_a_secret_does_not_start():
    with pytest.raises(ConfigurationError, match="_SPARK_AUTH_SECRET"):
        node_command("master", [], {})


def test_there_are_two_roles():
    with pytest.raises(ConfigurationError, match="master or worker, not 'driver'"):
        node_command("driver", [], SECRET)
