"""Progress of a run in the terminal, its results at the end, and its summary file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from salesml_assets.names import FORECASTS, MODEL_COMPARISON, PRODUCTION_MODEL, REPORT
from salesml_assets.text import masked

MARKS = {
    "passed": "[green]✓[/green]",
    "warned": "[yellow]![/yellow]",
    "failed": "[red]✗[/red]",
    "skipped": "[dim]-[/dim]",
}
MODEL_COLUMNS = {
    "algorithm": "algorithm", "wape": "WAPE", "rmse": "RMSE", "mae": "MAE", "r2": "R²", "bias": "bias",
    "coverage80": "in 80 %", "seconds": "seconds",
}  # fmt: skip
WRAPPERS = re.compile(r"Dagster(Execution|ResourceFunction|UserCode)\w*Error$|Failure$|RetryRequestedFromPolicy$")
# Under a retry policy Dagster requests a retry after an interrupt, too; after an error, under the policy's name.
INTERRUPTIONS = {"DagsterExecutionInterruptedError", "KeyboardInterrupt", "RetryRequested"}
CHECK_FAILED = "DagsterAssetCheckFailedError"  # says how many checks failed, and not what is wrong
SHARES = {"wape", "bias", "coverage80"}


@dataclass(frozen=True)
class StepFailure:
    """A failed step: its name, the class of the exception, and the message."""

    step: str
    kind: str
    message: str


@dataclass
class Progress:
    """Follows the events of a run and prints one line for each asset and check.

    Attributes:
        console: Target of the lines; plain text without a terminal.
        seconds: Seconds by asset, in order of completion.
        metadata: The last metadata of each asset.
        failures: Steps that failed, in order.
        interrupted: Whether the run was interrupted from outside.
        current: The running step.
    """

    console: Console
    seconds: dict[str, float] = field(default_factory=dict)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: list[StepFailure] = field(default_factory=list)
    interrupted: bool = False
    current: str = ""
    _marks: dict[str, float] = field(default_factory=dict)
    _done: set[tuple[str, str]] = field(default_factory=set)
    _blocked: dict[str, list[str]] = field(default_factory=dict)

    def follow(self, event: dg.DagsterEvent, now: float) -> None:
        """Processes one event.

        Args:
            event: The event.
            now: Seconds on a monotonic clock.
        """
        step = event.step_key or ""
        if event.event_type == dg.DagsterEventType.STEP_START:
            self._marks[step], self.current = now, step
        elif event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            self._materialized(step, event.step_materialization_data.materialization, now)
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            self._checked(step, event.asset_check_evaluation_data, now)
        elif event.event_type == dg.DagsterEventType.STEP_SKIPPED:
            self._line("skipped", step, "", None)
        elif event.is_step_failure:
            self._failed(step, event, now)
        elif event.event_type == dg.DagsterEventType.RUN_FAILURE and not self.failures:
            error = event.job_failure_data.error
            self._note_failure("run", error, event.message or "the run failed")

    def _materialized(self, step: str, materialization: dg.AssetMaterialization, now: float) -> None:
        name = materialization.asset_key.to_user_string()
        self.metadata[name] = {key: value.value for key, value in materialization.metadata.items()}
        if (step, name) in self._done:  # one event for each month
            return
        self._done.add((step, name))
        self.seconds[name] = self._lap(step, now)
        rows = self.metadata[name].get("dagster/row_count")
        self._line("passed", name, f"{rows:,} rows" if rows is not None else "", self.seconds[name])

    def _checked(self, step: str, check: Any, now: float) -> None:
        name = f"{check.asset_key.to_user_string()}: {check.check_name}"
        seconds = self._lap(step, now)
        if check.passed:
            self._line("passed", f"  {name}", "", seconds)
        else:
            warned = check.severity == dg.AssetCheckSeverity.WARN
            if check.blocking and not warned:
                self._blocked.setdefault(step, []).append(f"{name}: {check.description or 'failed'}")
            self._line("warned" if warned else "failed", f"  {name}", check.description or "", seconds)

    def _failed(self, step: str, event: dg.DagsterEvent, now: float) -> None:
        self._line("failed", step, "", self._lap(step, now))
        self._note_failure(step, event.step_failure_data.error, event.message or "")

    def _note_failure(self, step: str, error: Any, otherwise: str) -> None:
        error = raised_error(error)
        kind = (error.cls_name or "") if error else ""
        if kind in INTERRUPTIONS:
            self.interrupted = True
        message = re.sub(rf"^[\w.]*{re.escape(kind)}: ", "", error.message.strip()) if error else otherwise
        if kind == CHECK_FAILED and step in self._blocked:
            message = ". ".join(self._blocked[step])
        self.failures.append(StepFailure(step, kind, masked(_without_java(message))))

    def _lap(self, step: str, now: float) -> float:
        """Seconds since the start of the step or its last printed line."""
        seconds = now - self._marks.get(step, now)
        self._marks[step] = now
        return round(seconds, 3)

    def _line(self, mark: str, name: str, note: str, seconds: float | None) -> None:
        time = "" if seconds is None else f"{seconds:.1f} s"
        text = f"{MARKS[mark]} {escape(f'{name:<52}')} {time:>8}"
        if note:
            text += f"  [dim]{escape(masked(note))}[/dim]"
        self.console.print(text, soft_wrap=True, highlight=False)


def raised_error(error: Any) -> Any:
    """The exception raised by a step, below Dagster's own wrappers; an interrupt is returned as it is.

    Args:
        error: Dagster's `SerializableErrorInfo`, or None.
    """
    while error is not None and error.cause is not None and WRAPPERS.match(error.cls_name or ""):
        if error.cls_name in INTERRUPTIONS:
            break
        error = error.cause
    return error


def print_models(console: Console, progress: Progress) -> None:
    """Prints the table of models, the decision, and the addresses of report and forecasts, as far as materialized."""
    found: dict[str, Any] = {}
    for name in (MODEL_COMPARISON, PRODUCTION_MODEL, REPORT):
        found |= progress.metadata.get(name, {})
    if models := _models(found.get("models")):
        # Without column borders the table fits into 80 characters.
        table = Table(title="Models, best first", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for key, title in MODEL_COLUMNS.items():
            table.add_column(title, justify="left" if key == "algorithm" else "right", no_wrap=True)
        for model in sorted(models, key=lambda model: (model.get("wape") is None, model.get("wape"))):
            table.add_row(*(_cell(key, model.get(key)) for key in MODEL_COLUMNS))
        console.print()
        console.print(table)
    lines = {
        "Decision": found.get("decision"),
        "Note": found.get("note"),
        "Report": found.get("report"),
        "Forecasts": progress.metadata.get(FORECASTS, {}).get("dagster/uri"),
    }
    for title, text in lines.items():
        if text:
            console.print(f"[bold]{title}:[/bold] {escape(masked(str(text)))}", soft_wrap=True, highlight=False)


def write_summary(file: Path, progress: Progress, run_id: str, seconds: float, success: bool) -> None:
    """Writes a run's times as JSON: {"seconds", "assets": {name: seconds}, "run_id", "success"}."""
    summary = {"seconds": round(seconds, 3), "assets": progress.seconds, "run_id": run_id, "success": success}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _without_java(message: str) -> str:
    """A message from Spark without its Java stack trace."""
    return re.split(r"\n\s*(?:at [\w.$]+\(|JVM stacktrace:)", message)[0].rstrip()


def _models(value: Any) -> list[dict[str, Any]]:
    return json.loads(value) if isinstance(value, str) else list(value or [])


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if not isinstance(value, (int, float)):
        return escape(str(value))
    if key in SHARES:
        return f"{value:+.1%}" if key == "bias" else f"{value:.1%}"
    return f"{value:.3f}" if key == "r2" else f"{value:,.1f}"
