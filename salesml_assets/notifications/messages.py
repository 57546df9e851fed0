"""The texts of notifications: messages for events, rendered as plain text, HTML and Slack markup.

Pure functions. Text from runs, assets and errors is cleaned and masked here, so that no name and no error text can add
a header, markup or a link.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from salesml_assets.names import AB_TEST_REPORT
from salesml_assets.notifications.slack import escaped
from salesml_assets.reporting.formats import duration, is_number, number, percent
from salesml_assets.runs.progress import MODEL_COLUMNS, SHARES
from salesml_assets.text import clean, masked

PREFIX = "[salesml]"
TITLE_WIDTH, FACT_WIDTH, ERROR_WIDTH, SLACK_WIDTH = 120, 600, 300, 600
ERROR_LINES = 4
_JAVA_STACK = re.compile(r"\n\s*(?:at [\w.$]+\(|(?:JVM|Driver) stacktrace:)")
_PYTHON_STACK = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*(?:\n|$))*")
_DAGSTER = re.compile(r"^Dagster\w+Error: ")  # says nothing that the message does not
_MODULE = re.compile(r"^(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_]\w*: )")


class Message(BaseModel):
    """A message that is delivered once.

    Attributes:
        key: Identity: there is one message for each key.
        time: When it happened, in seconds since the epoch.
        title: One line.
        facts: Names and values.
        columns: Titles of the table's columns; none where there is no table.
        rows: Cells of the table.
        links: Names and addresses.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    time: float
    title: str
    facts: list[tuple[str, str]] = []
    columns: list[str] = []
    rows: list[list[str]] = []
    links: list[tuple[str, str]] = []


@dataclass(frozen=True)
class RunInfo:
    """A run that ended.

    Attributes:
        run_id: Its id.
        job: Name of the job.
        ended: When it ended, in seconds since the epoch.
        seconds: How long it took; None where it never started.
        tags: The project's tags (`salesml/...`), which contain what started the run.
    """

    run_id: str
    job: str
    ended: float
    seconds: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """Results of a retrain, as far as it materialized them.

    Attributes:
        models: Records of the table of models.
        decision: The promotion decision in words.
        production: The model that serves now.
        delivered: Rows delivered by the source.
        quarantined: Rows in quarantine.
        report: Address of the report.
        ab_test: The state of the A/B test in words.
    """

    models: Sequence[Mapping[str, Any]] = ()
    decision: str | None = None
    production: str | None = None
    delivered: int | None = None
    quarantined: int | None = None
    report: str | None = None
    ab_test: str | None = None


def retrain_succeeded(run: RunInfo, outcome: Outcome, ui_url: str) -> Message:
    """Message for a successful retrain: models, decision, rows, report."""
    facts = {"Decision": outcome.decision, "In production": outcome.production, "A/B test": outcome.ab_test}
    if outcome.delivered is not None:
        facts["Rows delivered"] = number(outcome.delivered)
    if outcome.quarantined is not None:
        share = outcome.quarantined / outcome.delivered if outcome.delivered else None
        facts["Rows quarantined"] = number(outcome.quarantined) + (f" ({percent(share)})" if share is not None else "")
    facts["Report"] = outcome.report
    models = [dict(model) for model in outcome.models]
    return Message(
        key=f"{run.run_id}:succeeded",
        time=run.ended,
        title=_line(f"{run.job} succeeded", TITLE_WIDTH),
        facts=_facts(facts | _run_facts(run)),
        columns=list(MODEL_COLUMNS.values()) if models else [],
        rows=[[_cell(key, model.get(key)) for key in MODEL_COLUMNS] for model in models],
        links=[("Run", run_address(ui_url, run.run_id))],
    )


def ab_test_ended(run: RunInfo, test: Mapping[str, Any], ui_url: str) -> Message:
    """Message for a refresh that ended an A/B test.

    Args:
        run: The run.
        test: Metadata of the asset `ab_test_report`.
        ui_url: Address of the UI.
    """
    version = test.get("promoted_version")
    facts = {
        "Result": str(test.get("reason", "")),
        "In production": f"version {version}, {test.get('challenger')}" if version else None,
        "Champion's WAPE": percent(test.get("champion_wape"), 2),
        "Challenger's WAPE": percent(test.get("challenger_wape"), 2),
        "Days": str(test.get("days", "")),
    }
    return Message(
        key=f"{run.run_id}:A/B test ended",
        time=run.ended,
        title=_line(f"A/B test {test.get('test')}: challenger {test.get('outcome')}", TITLE_WIDTH),
        facts=_facts(facts | _run_facts(run)),
        links=[("Run", run_address(ui_url, run.run_id)), ("Test", asset_address(ui_url, [AB_TEST_REPORT]))],
    )


def run_failed(run: RunInfo, failures: Sequence[tuple[str, str]], reason: str, ui_url: str) -> Message:
    """Message for a failed run.

    Args:
        run: The run.
        failures: Failed steps with the text of the error.
        reason: Dagster's reason for the failure; shown if no step failed.
        ui_url: Address of the UI.
    """
    facts = [(f"Step {_line(step)}", short_error(error)) for step, error in failures]
    steps = ", ".join(step for step, _ in failures)
    return Message(
        key=f"{run.run_id}:failed",
        time=run.ended,
        title=_line(f"{run.job} failed" + (f" in {steps}" if steps else ""), TITLE_WIDTH),
        facts=[*(facts or [("Reason", short_error(reason))]), *_facts(_run_facts(run))],
        links=[("Run", run_address(ui_url, run.run_id))],
    )


def check_failed(
    asset: Sequence[str], check: str, run_id: str, time: float, description: str, partition: str | None, ui_url: str
) -> Message:
    """Message for a failed asset check of severity ERROR.

    Args:
        asset: Path of the asset's key.
        check: Name of the check.
        run_id: The run that evaluated the check; empty if there was none.
        time: When, in seconds since the epoch.
        description: Description in the check's result.
        partition: Partition that was checked.
        ui_url: Address of the UI.
    """
    name = "/".join(asset)
    # A retried step evaluates its checks again: same key. Without a run, each evaluation has its own key.
    key = ":".join([run_id or repr(time), name, check, partition or ""])
    run = [("Run", run_address(ui_url, run_id))] if run_id else []
    return Message(
        key=f"{key}:check failed",
        time=time,
        title=_line(f"check {check} of {name} failed", TITLE_WIDTH),
        facts=_facts({"Problem": description, "Partition": partition, "At": _moment(time)}),
        links=[("Check", f"{asset_address(ui_url, asset)}?view=checks&checkDetail={quote(check, safe='')}"), *run],
    )


def asset_stale(asset: Sequence[str], time: float, made: float | None, ui_url: str) -> Message:
    """Message for an asset that fails its freshness policy.

    Args:
        asset: Path of the asset's key.
        time: When its state changed, in seconds since the epoch.
        made: When it was last materialized; None if never.
        ui_url: Address of the UI.
    """
    name = "/".join(asset)
    return Message(
        key=f"{name}:{time!r}:stale",
        time=time,
        title=_line(f"{name} is stale", TITLE_WIDTH),
        facts=_facts({"Last materialized": "never" if made is None else _moment(made), "Stale since": _moment(time)}),
        links=[("Asset", asset_address(ui_url, asset))],
    )


def short_error(text: str) -> str:
    r"""The first lines of an error, without stacks and secrets.

    >>> short_error("org.apache.spark.SparkException: no s3a://key:secret@bucket\n\tat org.apache.Spark.run(S.java:1)")
    'SparkException: no s3a://***@bucket'
    """
    without_stacks = _JAVA_STACK.split(_PYTHON_STACK.sub("", masked(text)), maxsplit=1)[0]
    named = _DAGSTER.sub("", _MODULE.sub("", without_stacks.strip()))
    lines = [clean(line, ERROR_WIDTH) for line in named.splitlines()]
    return "\n".join([line for line in lines if line][:ERROR_LINES]) or "no reason given"


def run_address(ui_url: str, run_id: str) -> str:
    """Where the UI shows a run.

    >>> run_address("http://127.0.0.1:3000/", "0f1")
    'http://127.0.0.1:3000/runs/0f1'
    """
    return f"{_base(ui_url)}/runs/{quote(run_id, safe='')}"


def asset_address(ui_url: str, asset: Sequence[str]) -> str:
    """Where the UI shows an asset."""
    return "/".join([_base(ui_url), "assets", *(quote(part, safe="") for part in asset)])


def subject(message: Message) -> str:
    """The subject of the mail."""
    return f"{PREFIX} {message.title}"


def plain_text(message: Message) -> str:
    """The message as plain text."""
    return _template("message.txt.j2", escape=False).render(message=message, table=_aligned(message))


def html(message: Message) -> str:
    """The message as HTML; everything in it is escaped."""
    return _template("message.html.j2", escape=True).render(message=message)


def slack_text(message: Message) -> str:
    """The message as one short text in Slack's markup, with a link."""
    first = f": {message.facts[0][1]}" if message.facts else ""
    words = escaped(clean(f"{message.title}{first}", SLACK_WIDTH))
    return " ".join([f"{PREFIX} {words}", *(f"<{escaped(url)}|{escaped(name)}>" for name, url in message.links)])


@cache
def _template(name: str, escape: bool) -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("salesml_assets.notifications"),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _aligned(message: Message) -> list[str]:
    """The table's lines, columns aligned; names to the left, numbers to the right."""
    table = [message.columns, *message.rows] if message.columns else []
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(cells))
        for cells in (zip(row, widths, strict=True) for row in table)
    ]


def _run_facts(run: RunInfo) -> dict[str, str | None]:
    tags = {name.partition("/")[2].replace("_", " ").capitalize(): value for name, value in run.tags.items()}
    took = None if run.seconds is None else duration(run.seconds)
    return tags | {"Ended": _moment(run.ended), "Took": took}


def _facts(facts: Mapping[str, str | None]) -> list[tuple[str, str]]:
    return [(_line(name), _line(value)) for name, value in facts.items() if value]


def _line(text: str, width: int = FACT_WIDTH) -> str:
    # Mask before truncating: a truncated address would no longer be recognised as one with a password.
    return clean(masked(text), width)


def _base(ui_url: str) -> str:
    return masked(ui_url).rstrip("/")


def _moment(time: float) -> str:
    return f"{dt.datetime.fromtimestamp(time, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def _cell(key: str, value: object) -> str:
    if not is_number(value):
        return "-" if value is None else _line(str(value))
    if key in SHARES:
        return percent(value, sign=key == "bias")
    return number(value, 3 if key == "r2" else 1)
