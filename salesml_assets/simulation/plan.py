"""What a simulation replays: the file that describes it, and the weeks that follow from it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from salesml_assets.config.loading import explain, read_yaml
from salesml_assets.config.settings import ConfigurationError, Section

WEEK = dt.timedelta(7)
SIZED = ("level_shift", "price_change", "product_mix")
Kind = Literal["level_shift", "price_change", "product_mix", "outage", "new_category", "stopped_feed"]


class Event(Section):
    """Something that happens to a part of the sales."""

    kind: Kind = Field(description="What happens.")
    week: int = Field(ge=1, description="The first replayed week that it is in, counted from 1.")
    weeks: int | None = Field(None, ge=1, description="How many weeks it lasts; default: to the end.")
    share: float = Field(1 / 3, gt=0, le=1, description="Share of the volume that it hits, as whole products.")
    size: float | None = Field(None, gt=-1, description="By how much: 0.4 is 40 % more, -0.4 is 40 % less.")

    @model_validator(mode="after")
    def _sized(self) -> Event:
        if self.kind in SIZED and not self.size:
            raise ValueError(f"size: {self.kind} needs one, such as 0.4")
        if self.kind not in SIZED and self.size is not None:
            raise ValueError(f"size: {self.kind} has none")
        if self.kind == "product_mix" and self.size is not None and abs(self.size) >= 1:
            raise ValueError("size: product_mix moves one half up and the other down, by less than 1")
        return self

    def in_force(self, week: int) -> bool:
        """Whether it is going on in a replayed week, counted from 1."""
        return self.week <= week and (self.weeks is None or week < self.week + self.weeks)


class RetrainPlan(Section):
    """What retrains during the replay."""

    on_drift: bool = Field(True, description="The sensor `drift_retrain` is on.")
    weekly: bool = Field(False, description="The schedule `weekly_retrain` is on.")


class Simulation(Section):
    """A simulation file."""

    weeks: int = Field(ge=1, le=520, description="Weeks that are replayed.")
    first_week: dt.date | None = Field(
        None, description="The Monday on which the first one begins; default: so that they end with the source."
    )
    seed: int = Field(1, description="Which products the events hit.")
    retrain: RetrainPlan = Field(default_factory=RetrainPlan, description="What retrains.")
    events: list[Event] = Field(default_factory=list, description="What happens to the sales.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Settings laid over those in force.")

    @model_validator(mode="after")
    def _events_are_replayed(self) -> Simulation:
        for number, event in enumerate(self.events):
            if event.week > self.weeks:
                raise ValueError(f"events.{number}.week: {event.week} lies after the {self.weeks} weeks of the replay")
        if self.first_week is not None and self.first_week.weekday():
            monday = self.first_week - dt.timedelta(self.first_week.weekday())
            raise ValueError(f"first_week: {self.first_week} is no Monday; the Monday before it is {monday}")
        return self

    def in_force(self, week: int) -> list[tuple[int, Event]]:
        """The events of a week with their numbers, in the order of the file."""
        return [(number, event) for number, event in enumerate(self.events) if event.in_force(week)]


def load_simulation(file: Path) -> Simulation:
    """Reads a simulation file.

    Raises:
        ConfigurationError: There is no such file, a key is unknown, or a value cannot work.
    """
    if not file.is_file():
        raise ConfigurationError(f"there is no simulation file {str(file)!r}")
    try:
        return Simulation.model_validate(read_yaml(file))
    except ValidationError as error:
        raise ConfigurationError(f"{file.name}: {explain(error)}") from None


def replayed_weeks(
    simulation: Simulation, first_day: dt.date, last_day: dt.date, weekdays: Collection[int], needed_days: int
) -> list[dt.date]:
    """The Mondays of the weeks that are replayed.

    Args:
        simulation: What is wanted.
        first_day: First day of the source.
        last_day: Last day of the source; a week that it does not complete is left out.
        weekdays: Weekdays (Monday is 0) on which the source ever sells: a week is complete without the others.
        needed_days: Days of history that the first training needs.

    Raises:
        ConfigurationError: The source has not so many weeks.
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
        most = max(0, ((end - first_day).days - needed_days) // 7)
        raise ConfigurationError(
            f"weeks: before the replay from {first} on there are {(first - first_day).days} days of sales, and the "
            f"first training needs {needed_days}; at most {most} weeks can be replayed"
        )
    return [first + number * WEEK for number in range(simulation.weeks)]
