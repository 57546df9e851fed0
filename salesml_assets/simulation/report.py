"""The report of a replay: HTML page, JSON, and lines for the terminal."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Lines

from salesml_assets.config.settings import Settings
from salesml_assets.reporting.encode import figure_svg
from salesml_assets.reporting.figures.replay import replay_figure
from salesml_assets.reporting.formats import DASH, algorithm_label, counted, day, duration, number, percent
from salesml_assets.reporting.html import template
from salesml_assets.reporting.tables import Table
from salesml_assets.simulation.plan import WEEK, Simulation
from salesml_assets.simulation.state import State, WeekRecord
from salesml_assets.simulation.summary import after_first_retrain, event_summaries, mean
from salesml_assets.text import masked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE, DATA = "report.html", "report.json"
HEADER = [
    "Week", "From", "Events", "Drift", "Retrain", "Model", "WAPE", "without retraining", "Bias",
    "without retraining", "Rows", "Time",
]  # fmt: skip
ERRORS = ("wape", "bias", "first_wape", "first_bias")
TITLE = "Error, drift and retrains by week"


def print_week(console: Console, simulation: Simulation, state: State) -> None:
    """Prints one line about the last replayed week."""
    if not state.weeks:
        console.print(f"First model trained on all sales before {state.mondays[0]}.", highlight=False)
        return
    week = state.weeks[-1]
    parts = [
        f"{week.rows:,} rows",
        *([f"[yellow]{', '.join(week.events).replace('_', ' ')}[/yellow]"] if week.events else []),
        f"drift: {_drift(week)}",
        *(["[bold]retrained[/bold]"] if week.retrain else []),
        f"WAPE {percent(week.wape)} (without retraining {percent(week.first_wape)})",
        *[f"[red]{escape(masked(f'{run.what} failed: {run.failure}'))}[/red]" for run in week.runs if run.failure],
    ]
    place = f"{len(state.weeks):>3}/{simulation.weeks}  {week.monday}"
    console.print(f"{place}  {' · '.join(parts)}  [dim]{week.seconds:.0f} s[/dim]", soft_wrap=True, highlight=False)


def print_weeks(console: Console, simulation: Simulation, state: State) -> None:
    """Prints the table of all weeks and the outcome of each event."""
    lines = Lines(title="Weeks", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown = [0, 1, 2, 3, 4, 6, 7]
    for column in shown:
        lines.add_column(HEADER[column], justify="right" if column > 5 else "left")
    for place, week in enumerate(state.weeks, 1):
        cells = _cells(place, week)
        lines.add_row(*(escape(cells[column]) for column in shown))
    console.print()
    console.print(lines)
    for row in _events(simulation, state).rows:
        outcome = f"drift detected in week {row[2]} ({row[3]}), retrained in week {row[4]}"
        console.print(f"{row[0]}, from week {row[1]}: {outcome}", soft_wrap=True, highlight=False)


def write_report(root: Path, simulation: Simulation, state: State, settings: Settings) -> Path:
    """Writes page and JSON into the simulation's folder; returns the path of the page."""
    data = {
        "simulation": simulation.model_dump(mode="json"),
        "weeks": [week.model_dump(mode="json") for week in state.weeks],
        "events": [summary.model_dump(mode="json") for summary in event_summaries(simulation, state.weeks)],
        "wape_after_the_first_retrain": dict(zip(("with", "without"), _gain(state), strict=True)),
    }
    (root / DATA).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    page = root / PAGE
    page.write_text(render(simulation, state, settings), encoding="utf-8")
    return page


def render(simulation: Simulation, state: State, settings: Settings) -> str:
    """The self-contained HTML page."""
    rows = [_cells(place, week) for place, week in enumerate(state.weeks, 1)]
    first = dt.date.fromisoformat(state.mondays[0])
    last = first + len(state.weeks) * WEEK - dt.timedelta(1)
    drawn = figure_svg(_figure(simulation, state), "replay", TITLE) if state.weeks else ""
    return template("replay.html.j2").render(
        title=f"Simulation of {counted('{count} week', '{count} weeks', len(state.weeks))}",
        subtitle=f"{settings.forecast.target} per {' × '.join(settings.forecast.series)} · {day(first)} to {day(last)}",
        cards=_cards(simulation, state),
        figure={"title": TITLE, "svg": Markup(drawn)},
        events=_events(simulation, state),
        weeks=Table("All weeks", HEADER, rows, text_columns=set(range(6))),
        facts=_facts(simulation, state, settings),
    )


def _figure(simulation: Simulation, state: State) -> Figure:
    columns = {"monday", *ERRORS}
    weeks = [
        week.model_dump(include=columns) | {"retrained": week.retrain is not None, "drifted": week.drifted or []}
        for week in state.weeks
    ]
    first = dt.date.fromisoformat(state.mondays[0])
    end = first + len(weeks) * WEEK
    events = [
        {
            "label": event.kind.replace("_", " "),
            "begins": first + (event.week - 1) * WEEK,
            "ends": end if event.weeks is None else min(end, first + (event.week - 1 + event.weeks) * WEEK),
        }
        for event in simulation.events
        if event.week <= len(weeks)
    ]
    frame = pd.DataFrame(weeks).astype(dict.fromkeys(ERRORS, float))
    return replay_figure(frame, pd.DataFrame(events, columns=["label", "begins", "ends"]))


def _cards(simulation: Simulation, state: State) -> list[tuple[str, str, str]]:
    weeks = state.weeks
    evaluated = [week for week in weeks if week.drifted is not None]
    drifted = [week for week in evaluated if week.drifted]
    runs = [run for week in weeks for run in week.runs]
    retrains = [week.retrain for week in weeks if week.retrain]
    ours, without = _gain(state)
    gain = f"{percent(without)} without" if ours is not None else "no retrain"
    return [
        (
            "Weeks replayed",
            f"{len(weeks)} of {simulation.weeks}",
            counted("{count} run of Dagster", "{count} runs of Dagster", len(runs)),
        ),
        (
            "Weeks with drift",
            str(len(drifted)),
            counted("of {count} evaluated week", "of {count} evaluated weeks", len(evaluated)),
        ),
        ("Retrains", str(len(retrains)), ", ".join(sorted({run.asked_by for run in retrains})) or "none requested"),
        ("WAPE after the first retrain", percent(ours), gain),
    ]


def _gain(state: State) -> tuple[float | None, float | None]:
    """Mean WAPE since the first retrain, with and without retraining."""
    after = after_first_retrain(state.weeks)
    return mean([week.wape for week in after]), mean([week.first_wape for week in after])


def _events(simulation: Simulation, state: State) -> Table:
    rows = []
    for summary in event_summaries(simulation, state.weeks):
        weeks = [DASH if value is None else str(value) for value in (summary.seen, summary.retrained)]
        errors = [summary.wape_before, summary.wape_first, summary.wape_after, summary.without_after]
        seen = [weeks[0], ", ".join(summary.kinds) or DASH, weeks[1]]
        rows.append([summary.label, str(summary.week), *seen, *map(percent, errors)])
    header = [
        "Event", "From week", "Drift detected in week", "Kinds", "Retrained in week", "WAPE before",
        "in its first week", "after the retrain", "without retraining",
    ]  # fmt: skip
    return Table("Events, detection and retrains", header, rows, text_columns={0, 3})


def _cells(place: int, week: WeekRecord) -> list[str]:
    failed = [f"{run.what} failed" for run in week.runs if run.failure]
    retrain = "" if week.retrain is None else (week.retrain.reason.split(" in the week")[0] or week.retrain.asked_by)
    return [
        str(place),
        day(dt.date.fromisoformat(week.monday)),
        ", ".join(week.events).replace("_", " "),
        _drift(week),
        "; ".join([*([retrain] if retrain else []), *failed]),
        f"{week.version} ({algorithm_label(week.algorithm)})",
        percent(week.wape),
        percent(week.first_wape),
        percent(week.bias, sign=True),
        percent(week.first_bias, sign=True),
        number(week.rows),
        duration(week.seconds),
    ]


def _drift(week: WeekRecord) -> str:
    return "not evaluated" if week.drifted is None else ", ".join(week.drifted) or "none"


def _facts(simulation: Simulation, state: State, settings: Settings) -> list[tuple[str, Any]]:
    plan = simulation.retrain
    asked = [name for name, on in (("drift", plan.on_drift), ("the weekly schedule", plan.weekly)) if on]
    seconds = [week.seconds for week in state.weeks]
    return [
        ("Source", masked(settings.sales.path)),
        ("Retrain triggers", " and ".join(asked) or "nothing"),
        ("Algorithms", ", ".join(map(algorithm_label, settings.training.algorithms))),
        ("Maximum training rows", number(settings.training.max_rows)),
        ("Recent weeks, baseline weeks", f"{settings.drift.window_weeks}, {settings.drift.baseline_weeks}"),
        ("False discovery rate", percent(settings.drift.alpha)),
        ("Seed of the events", simulation.seed),
        ("Time per week", duration(mean(seconds))),
    ]
