"""The report of a replay: what was seen when, and errors with and without retraining."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from salesml_assets.config.settings import ColumnSettings, Settings
from salesml_assets.simulation.plan import Event, Simulation
from salesml_assets.simulation.report import print_week, print_weeks, render, write_report
from salesml_assets.simulation.state import RunRecord, State, WeekRecord
from salesml_assets.simulation.summary import after_first_retrain, event_summaries

PLAN = Simulation(
    weeks=6, events=[Event(kind="outage", week=3, share=0.25), Event(kind="level_shift", week=6, size=-0.5)]
)


def week(place: int, wape: float | None, first: float | None, version: int = 1, **values: object) -> WeekRecord:
    runs = [RunRecord(run_id=f"r{place}", what="load_sales", asked_by="new_sales", seconds=3.0)]
    record = {"monday": f"2024-01-{7 * place - 6:02}", "rows": 1000, "events": [], "runs": runs, "drifted": [],
              "version": version, "algorithm": "xgboost", "wape": wape, "bias": 0.1, "first_wape": first,
              "first_bias": -0.2, "volume": 9.0, "seconds": 20.0}  # fmt: skip
    return WeekRecord.model_validate(record | values)


@pytest.fixture
def state() -> State:
    seen = "the drift seen first on 2024-01-22, which no retrain has answered before"
    reason = f"drift of series in the week from 2024-01-22: {seen}"
    retrain = RunRecord(run_id="x", what="retrain", asked_by="drift_retrain", reason=reason, seconds=60)
    failed = RunRecord(run_id="y", what="load_sales", asked_by="new_sales", seconds=1, failure="<b>disk</b> full")
    weeks = [
        week(1, 0.2, 0.2),
        week(2, 0.3, 0.3, drifted=["mix"]),
        week(3, 0.5, 0.5, events=["outage"]),
        week(4, 0.5, 0.5, 2, events=["outage"], drifted=["series", "error"], runs=[retrain]),
        week(5, 0.3, 0.6, 2, events=["outage"]),
        week(1, None, None, 2, monday="2024-02-05", events=["outage", "level_shift"], drifted=None, runs=[failed]),
    ]
    return State(settings="", mondays=["2024-01-01"], columns=ColumnSettings(), first_model="1-a", weeks=weeks)


def test_an_event_is_seen_by_the_first_drift_since_it_began(state: State) -> None:
    outage, shift = event_summaries(PLAN, state.weeks)
    assert outage.label == "outage on 25% of the volume"
    assert (outage.seen, outage.kinds, outage.retrained) == (4, ["series", "error"], 4)
    assert (outage.wape_before, outage.wape_first) == (pytest.approx(0.25), 0.5)
    assert (outage.wape_after, outage.without_after) == (0.3, 0.6)
    assert shift.label == "level shift of -50% on 33% of the volume"
    assert (shift.seen, shift.retrained, shift.wape_after) == (None, None, None)
    assert len(event_summaries(PLAN, state.weeks[:5])) == 1, "the second one has not begun"


def test_forecasts_made_before_a_retrain_are_the_first_models(state: State) -> None:
    assert after_first_retrain(state.weeks) == state.weeks[4:]
    assert after_first_retrain(state.weeks[:3]) == []


def test_the_page_needs_nothing_but_itself_and_escapes(state: State, tmp_path: Path) -> None:
    page = render(PLAN, state, Settings())
    assert page.count("<svg") == 1
    assert "http" not in page.replace("http://www.w3.org", "")
    for text in ("outage on 25% of the volume", "drift of series", "load_sales failed", "30.0%", "60.0% without", "–"):
        assert text in page
    assert page == render(PLAN, state, Settings())
    file = write_report(tmp_path, PLAN, state, Settings())
    assert file.read_text(encoding="utf-8") == page
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["wape_after_the_first_retrain"] == {"with": 0.3, "without": 0.6}
    assert len(told["weeks"]) == 6


def test_a_replay_that_has_just_begun_has_a_report(state: State) -> None:
    assert "Simulation of 0 weeks" in render(PLAN, state.model_copy(update={"weeks": []}), Settings())


def test_the_terminal_says_what_happened(state: State) -> None:
    text = StringIO()
    console = Console(file=text, width=120)
    print_week(console, PLAN, state.model_copy(update={"weeks": []}))
    for number in range(1, 7):
        print_week(console, PLAN, state.model_copy(update={"weeks": state.weeks[:number]}))
    print_weeks(console, PLAN, state)
    lines = text.getvalue()
    assert "First model trained on all sales before 2024-01-01." in lines
    assert "4/6  2024-01-22  1,000 rows · outage · drift: series, error · retrained" in lines
    assert "load_sales failed: <b>disk</b> full" in lines
    assert (
        "outage on 25% of the volume, from week 3: drift detected in week 4 (series, error), retrained in week 4"
        in lines
    )
