"""Names that are remembered are the same classes, and Java is not asked for them again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from py4j.clientserver import ClientServerConnection
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from salesml_assets.spark.hadoop import java_class
from salesml_assets.spark.java_names import CLASSES, PACKAGES


@contextmanager
def messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is sent to Java, but for news of objects that Python has let go."""
    sent: list[str] = []
    send = ClientServerConnection.send_command

    def listening(connection: ClientServerConnection, command: str) -> str:
        if not command.startswith("m\nd\n"):
            sent.append(command)
        return send(connection, command)

    with monkeypatch.context() as patch:
        patch.setattr(ClientServerConnection, "send_command", listening)
        yield sent


def test_a_column_is_one_message(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    _ = F.col("a") + F.col("b")  # the first one asks for Spark's settings
    with messages(monkeypatch) as sent:
        _ = F.col("a") + F.col("b")
    assert [command.split("\n")[2] for command in sent] == ["col", "col", "plus"]


def test_classes_and_packages_are_not_looked_up_again(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "org.apache.hadoop.fs.Path"
    java_class(spark, path)
    with messages(monkeypatch) as sent:
        assert all(getattr(spark._jvm, called)._fqn == name for called, name in CLASSES.items())
        assert java_class(spark, path)._fqn == path
    assert sent == []
    with messages(monkeypatch) as sent:
        VectorAssembler(inputCols=["a"], outputCol="b")
    looked_up = [command.split("\n")[2] for command in sent if command.startswith("r\nu\n")]
    assert [name for name in looked_up if "ml" in name] == ["org.apache.spark.ml.feature.VectorAssembler"]
    assert "org" not in looked_up


def test_packages_are_known_by_their_full_names(spark: SparkSession) -> None:
    for package in PACKAGES:
        inside = spark._jvm
        for part in package.split("."):
            inside = vars(inside)[part]
        assert inside._fqn == package
