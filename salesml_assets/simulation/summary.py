"""Summary of a replay: for each event the weeks of detection and retrain, and the errors before and after."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from pydantic import BaseModel

from salesml_assets.simulation.plan import Simulation
from salesml_assets.simulation.platform import DRIFT_RETRAIN
from salesml_assets.simulation.state import WeekRecord

WEEKS_BEFORE = 4


class EventSummary(BaseModel):
    """Outcome of an event; weeks are counted from 1.

    Attributes:
        label: The event in words.
        week: First week of the event.
        seen: First week since then with drift.
        kinds: The kinds of drift in that week.
        retrained: First week since then with a retrain started by drift.
        wape_before: Mean WAPE of up to four weeks before it.
        wape_first: WAPE in its first week.
        wape_after: Mean WAPE of the weeks after that retrain.
        without_after: The same for the first model.
    """

    label: str
    week: int
    seen: int | None
    kinds: list[str]
    retrained: int | None
    wape_before: float | None
    wape_first: float | None
    wape_after: float | None
    without_after: float | None


def event_summaries(simulation: Simulation, weeks: Sequence[WeekRecord]) -> list[EventSummary]:
    """A summary of each event that has started, in the order of the file."""
    summaries = []
    for event in simulation.events:
        if event.week > len(weeks):
            continue
        since = list(enumerate(weeks[event.week - 1 :], event.week))
        seen = next(((number, week) for number, week in since if week.drifted), None)
        retrained = next((number for number, week in since if _by_drift(week)), None)
        after = [] if retrained is None else weeks[retrained:]
        before = weeks[max(0, event.week - 1 - WEEKS_BEFORE) : event.week - 1]
        size = "" if event.size is None else f" of {event.size:+.0%}"
        summaries.append(
            EventSummary(
                label=f"{event.kind.replace('_', ' ')}{size} on {event.share:.0%} of the volume",
                week=event.week,
                seen=seen[0] if seen else None,
                kinds=(seen[1].drifted or []) if seen else [],
                retrained=retrained,
                wape_before=mean([week.wape for week in before]),
                wape_first=weeks[event.week - 1].wape,
                wape_after=mean([week.wape for week in after]),
                without_after=mean([week.first_wape for week in after]),
            )
        )
    return summaries


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of the known values; None if there are none."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def after_first_retrain(weeks: Sequence[WeekRecord]) -> Sequence[WeekRecord]:
    """The weeks whose forecasts come from a later model than the first."""
    first = next((number for number, week in enumerate(weeks) if week.version > 1), len(weeks))
    return weeks[first + 1 :]


def _by_drift(week: WeekRecord) -> bool:
    return any(run.asked_by == DRIFT_RETRAIN for run in week.runs)
