"""The simulation file: what is wrong with it is said before any work."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from salesml_assets.config.loading import overlay_settings
from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.simulation.plan import Event, Simulation, load_simulation, replayed_weeks

FIRST, LAST = dt.date(2024, 1, 3), dt.date(2024, 12, 12)  # a Wednesday and a Thursday
DAILY = range(7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "weeks: Field required"),
        ("weeks: 0", "weeks: Input should be greater than or equal to 1"),
        ("{weeks: 3, retrian: {}}", "retrian: there is no such key"),
        ("{weeks: 3, events: [{kind: storm, week: 1}]}", "events.0.kind: Input should be"),
        ("{weeks: 3, events: [{kind: outage, week: 4}]}", "events.0.week: 4 is after the 3 weeks of the replay"),
        ("{weeks: 3, events: [{kind: outage, week: 1, size: 2}]}", "events.0: size: not allowed for outage"),
        ("{weeks: 3, events: [{kind: level_shift, week: 1}]}", "events.0: size: required for level_shift, such as 0.4"),
        ("{weeks: 3, events: [{kind: product_mix, week: 1, size: 1}]}", "one half up and the other down"),
        ("{weeks: 3, first_week: 2024-05-01}", "2024-05-01 is not a Monday; the Monday before is 2024-04-29"),
        ("[1]", "has to contain"),
        ("{", "is not YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as error:
        load_simulation(file)
    assert "plan.yaml" in str(error.value)
    assert message in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no simulation file"):
        load_simulation(tmp_path / "plan.yaml")


def test_the_last_whole_weeks_are_replayed() -> None:
    weeks = replayed_weeks(Simulation(weeks=3), FIRST, LAST, DAILY, 100)
    assert weeks == [dt.date(2024, 11, 18), dt.date(2024, 11, 25), dt.date(2024, 12, 2)]
    assert replayed_weeks(Simulation(weeks=1), FIRST, dt.date(2024, 12, 15), DAILY, 100) == [dt.date(2024, 12, 9)]


def test_a_week_is_whole_without_the_weekdays_on_which_nothing_is_ever_sold() -> None:
    friday, saturday = dt.date(2024, 12, 13), dt.date(2024, 12, 14)
    but_sundays = range(6)
    assert replayed_weeks(Simulation(weeks=1), FIRST, saturday, but_sundays, 100) == [dt.date(2024, 12, 9)]
    assert replayed_weeks(Simulation(weeks=1), FIRST, friday, but_sundays, 100) == [dt.date(2024, 12, 2)]
    assert replayed_weeks(Simulation(weeks=1), FIRST, saturday, DAILY, 100) == [dt.date(2024, 12, 2)]


def test_a_first_week_can_be_named() -> None:
    named = Simulation(weeks=2, first_week=dt.date(2024, 7, 1))
    assert replayed_weeks(named, FIRST, LAST, DAILY, 100) == [dt.date(2024, 7, 1), dt.date(2024, 7, 8)]
    with pytest.raises(ConfigurationError, match="the last whole week of the source, which ends on 2024-12-08"):
        replayed_weeks(Simulation(weeks=2, first_week=dt.date(2024, 12, 2)), FIRST, LAST, DAILY, 100)


def test_too_many_weeks_are_refused_with_the_most_that_work() -> None:
    with pytest.raises(ConfigurationError, match="at most 34 weeks can be replayed") as error:
        replayed_weeks(Simulation(weeks=40), FIRST, LAST, DAILY, 100)
    assert "there are 61 days of sales, and the first training needs 100" in str(error.value)
    assert replayed_weeks(Simulation(weeks=34), FIRST, LAST, DAILY, 100)


def test_events_begin_and_end() -> None:
    event = Event(kind="outage", week=3, weeks=2)
    assert [week for week in range(1, 8) if event.in_force(week)] == [3, 4]
    assert [week for week in range(1, 8) if Event(kind="outage", week=6).in_force(week)] == [6, 7]


def test_settings_are_laid_over_those_in_force(tmp_path: Path) -> None:
    below = Settings.model_validate({"forecast": {"horizon": 7, "target": "quantity"}, "lake": {"root": "/lake"}})
    over = {"forecast": {"horizon": 14}, "sales": {"path": "sales.csv"}}
    made = overlay_settings(below, over, tmp_path)
    assert (made.forecast.horizon, made.forecast.target) == (14, "quantity")
    assert (made.sales.path, made.lake.root) == (str(tmp_path / "sales.csv"), "/lake")
    with pytest.raises(ConfigurationError, match=r"forecast\.horizont: there is no such key"):
        overlay_settings(below, {"forecast": {"horizont": 14}}, tmp_path)
