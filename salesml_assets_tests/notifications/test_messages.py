"""Texts of notifications: printable lines, escaped and without secrets, for any names and errors."""

from __future__ import annotations

import unicodedata
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from salesml_assets.notifications.messages import (
    Message,
    Outcome,
    RunInfo,
    asset_address,
    asset_stale,
    check_failed,
    html,
    plain_text,
    retrain_succeeded,
    run_failed,
    short_error,
    slack_text,
    subject,
)

UI = "http://127.0.0.1:3000"
RUN = RunInfo("0f1", "retrain", 1323432000.0, 75.0)
SPARK = """An error occurred while calling o57.save.
: org.apache.spark.SparkException: [TASK_WRITE_FAILED] Task failed while writing rows to s3a://key:secret@lake/sales.
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.taskFailedWhileWritingRowsError(QueryExecutionErrors.scala:784)
Caused by: java.lang.RuntimeException: boom
\tat java.base/java.lang.Thread.run(Thread.java:1583)
"""
WORKER = """pyspark.errors.exceptions.captured.PythonException: An exception was thrown from the Python worker:
Traceback (most recent call last):
  File "/opt/worker.py", line 3, in main
    process()
ValueError: no such column

JVM stacktrace:
org.apache.spark.api.python.PythonException
\tat org.apache.spark.X.y(X.scala:1)
"""


class Tags(HTMLParser):
    """The tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)


def messages(text: str) -> list[Message]:
    """One message of each kind, with the text wherever something comes from outside."""
    run = RunInfo(text, text, 1.5e9, None, {f"salesml/{text}": text})
    outcome = Outcome([{"algorithm": text, "wape": text}], text, text, 10, 1, text)
    return [
        retrain_succeeded(run, outcome, UI),
        run_failed(run, [(text, text)], text, UI),
        run_failed(run, [], text, UI),
        check_failed([text, text], text, text, 1.5e9, text, text, UI),
        asset_stale([text], 1.5e9, None, UI),
    ]


@given(st.text())
def test_nothing_from_outside_gets_through(text: str) -> None:
    for message, plain in zip(messages(text), messages("x"), strict=True):
        assert len(subject(message).splitlines()) == 1
        assert not {"Cc", "Cs"} & {unicodedata.category(char) for char in subject(message)}
        assert plain_text(message).encode()
        # Facts without a text are left out, so there may be fewer tags, but none of another kind.
        assert set(Tags(html(message)).tags) <= set(Tags(html(plain)).tags)
        words = slack_text(message)
        assert words.count("<") == words.count(">") == len(message.links)
        assert len(words.splitlines()) == 1


@given(st.text(alphabet="ab:/@. \n\t", max_size=40))
def test_no_password_in_an_address_gets_through(text: str) -> None:
    for message in messages(f"{text} s3a://user:hunter2@bucket/x?token=hunter2 {text}"):
        told = message.model_copy(update={"links": []})  # of the names of runs and assets, which are no secrets
        for rendered in (subject(told), plain_text(told), html(told), slack_text(told)):
            assert "hunter2" not in rendered


def test_a_cut_does_not_uncover_a_password() -> None:
    for length in range(0, 700, 7):
        text = "x" * length + " s3a://user:hunter2@bucket"
        for message in (
            run_failed(RUN, [(text, text)], "", UI),
            check_failed(["sales"], text, "", 0.0, text, None, UI).model_copy(update={"links": []}),
        ):
            for rendered in (subject(message), plain_text(message), html(message), slack_text(message)):
                assert "hunter" not in rendered


def test_errors_of_spark_are_short() -> None:
    assert short_error(SPARK).splitlines() == [
        "An error occurred while calling o57.save.",
        ": org.apache.spark.SparkException: [TASK_WRITE_FAILED] Task failed while writing rows to s3a://***@lake/sales.",
    ]
    assert short_error(WORKER).splitlines() == [
        "PythonException: An exception was thrown from the Python worker:",
        "ValueError: no such column",
    ]
    assert len(short_error("line\n" * 1000 + "x" * 10_000)) < 1500
    assert short_error("\n") == "no reason given"


def test_addresses_are_quoted() -> None:
    assert asset_address(f"{UI}/", ["a b", "c/d?e"]) == f"{UI}/assets/a%20b/c%2Fd%3Fe"


def test_the_whole_text() -> None:
    run = RunInfo("0f1", "retrain", 1323432000.0, 75.0, {"salesml/started_by": "schedule"})
    outcome = Outcome(
        [{"algorithm": "xgboost", "wape": 0.1067, "bias": -0.001}], "the champion stays", None, 1000, 0, None
    )
    assert plain_text(retrain_succeeded(run, outcome, UI)).splitlines() == [
        "retrain succeeded",
        "",
        "algorithm   WAPE  RMSE  MAE  R²   bias  in 80 %  seconds",
        "xgboost    10.7%     -    -   -  −0.1%        -        -",
        "",
        "Decision: the champion stays",
        "Rows delivered: 1,000",
        "Rows quarantined: 0 (0.0%)",
        "Started by: schedule",
        "Ended: 2011-12-09 12:00:00 UTC",
        "Took: 1 min 15 s",
        "",
        "Run: http://127.0.0.1:3000/runs/0f1",
    ]
    assert plain_text(asset_stale(["lake", "sales"], 1323432000.0, None, UI)).splitlines() == [
        "lake/sales is stale",
        "",
        "Last materialized: never",
        "Stale since: 2011-12-09 12:00:00 UTC",
        "",
        "Asset: http://127.0.0.1:3000/assets/lake/sales",
    ]
