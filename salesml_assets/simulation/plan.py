"""The simulation file, and the weeks that it replays."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from salesml_assets.config.loading import explain_validation_error, read_yaml
from salesml_assets.config.settings import ConfigurationError, Section

WEEK = dt.timedelta(7)
SIZED = ("level_shift", "price_change", "product_mix")
Kind = Literal["level_shift", "price_change", "product_mix", "outage", "new_category", "stopped_feed"]


class Event(Section):
    """A change to a part of the sales."""

    kind: Kind = Field(description="Kind of event.")
    week: int = Field(ge=1, description="First replayed week of the event, counted from 1.")
    weeks: int | None = Field(None, ge=1, description="Duration in weeks; default: to the end.")
    share: float = Field(1 / 3, gt=0, le=1, description="Share of the volume that is hit, in whole products.")
    size: float | None = Field(None, gt=-1, description="Relative change: 0.4 is 40 % more, -0.4 is 40 % less.")

    @model_validator(mode="after")
    def _sized(self) -> Event:
        if self.kind in SIZED and not self.size:
            raise ValueError(f"size: required for {self.kind}, such as 0.4")
        if self.kind not in SIZED and self.size is not None:
            raise ValueError(f"size: not allowed for {self.kind}")
        if self.kind == "product_mix" and self.size is not None and abs(self.size) >= 1:
            raise ValueError("size: has to be between -1 and 1: product_mix scales one half up and the other down")
        return self

    def in_force(self, week: int) -> bool:
        """Whether the event is active in a replayed week, counted from 1."""
        return self.week <= week and (self.weeks is None or week < self.week + self.weeks)


class RetrainPlan(Section):
    """Triggers of retrains during the replay."""

    on_drift: bool = Field(True, description="The sensor `drift_retrain` is on.")
    weekly: bool = Field(False, description="The schedule `weekly_retrain` is on.")


class Simulation(Section):
    """A simulation file."""

    weeks: int = Field(ge=1, le=520, description="Number of replayed weeks.")
    first_week: dt.date | None = Field(
        None, description="Monday of the first replayed week; default: the replay ends with the source."
    )
    seed: int = Field(1, description="Seed for the products that the events hit.")
    retrain: RetrainPlan = Field(default_factory=RetrainPlan, description="Triggers of retrains.")
    events: list[Event] = Field(default_factory=list, description="Events.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Settings that override those in force.")

    @model_validator(mode="after")
    def _events_are_replayed(self) -> Simulation:
        for number, event in enumerate(self.events):
            if event.week > self.weeks:
                raise ValueError(f"events.{number}.week: {event.week} is after the {self.weeks} weeks of the replay")
        if self.first_week is not None and self.first_week.weekday():
            monday = self.first_week - dt.timedelta(self.first_week.weekday())
            raise ValueError(f"first_week: {self.first_week} is not a Monday; the Monday before is {monday}")
        return self

    def in_force(self, week: int) -> list[tuple[int, Event]]:
        """The events of a week with their numbers, in the order of the file."""
        return [(number, event) for number, event in enumerate(self.events) if event.in_force(week)]


def load_simulation(file: Path) -> Simulation:
    """Reads a simulation file.

    Raises:
        ConfigurationError: The file does not exist, a key is unknown, or a value is invalid.
    """
    if not file.is_file():
        raise ConfigurationError(f"there is no simulation file {str(file)!r}")
    try:
        return Simulation.model_validate(read_yaml(file))
    except ValidationError as error:
        raise ConfigurationError(f"{file.name}: {explain_validation_error(error)}") from None


def replayed_weeks(
    simulation: Simulation, first_day: dt.date, last_day: dt.date, weekdays: Collection[int], needed_days: int
) -> list[dt.date]:
    """The Mondays of the weeks that are replayed.

    Args:
        simulation: The simulation file.
        first_day: First day of the source.
        last_day: Last day of the source; an incomplete last week is left out.
        weekdays: Weekdays (Monday is 0) with any sale in the source; the others are not needed for a complete week.
        needed_days: Days of history that the first training needs.

    Raises:
        ConfigurationError: The source is too short.
    """
    end = last_day + dt.timedelta(1)
    while end.weekday() and end.weekday() not in weekdays:
        end += dt.timedelta(1)
    end -= dt.timedelta(end.weekday())
    first = simulation.first_week or end - simulation.weeks * WEEK
    if first + simulation.weeks * WEEK > end:
        raise ConfigurationError(
            f"first_week: {simulation.weeks} weeks from {first} on go beyond the last whole week of the source, which "
            f"ends on {end - dt.timedelta(1)}"
        )
    if (first - first_day).days < needed_days:
        max_weeks = max(0, ((end - first_day).days - needed_days) // 7)
        raise ConfigurationError(
            f"weeks: before the replay from {first} on there are {(first - first_day).days} days of sales, and the "
            f"first training needs {needed_days}; at most {max_weeks} weeks can be replayed"
        )
    return [first + number * WEEK for number in range(simulation.weeks)]
