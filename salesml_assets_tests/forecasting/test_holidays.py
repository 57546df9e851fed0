"""Public holidays: dates by region, distances, and effects against a plain loop."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.features import feature_spec
from salesml_assets.forecasting.holiday_calendar import holidays_of
from salesml_assets.forecasting.holiday_features import (
    FIRST_OFFSET,
    LAST_OFFSET,
    Days,
    daily_distances,
    effects,
    weekly_counts,
)
from salesml_assets.forecasting.pooled import days_of, region_of

FIRST = dt.date(2019, 1, 1).toordinal()


def feasts(*days: str, name: str = "Feast") -> Days:
    ordinals = sorted(dt.date.fromisoformat(day).toordinal() for day in days)
    return Days(np.array(ordinals, np.int64), (name,) * len(ordinals))


def test_regions_of_stores_have_their_own_dates() -> None:
    chosen = Settings(
        sales={"first_month": "2023-01"},
        forecast={"holidays": {"country": "DE", "stores": {"7": "DE-BY", "9": "AT"}}},
        clock={"today": "2024-06-30"},
    )
    found, stores, region = holidays_of(chosen)
    assert (stores, region) == ((("7", "DE-BY"), ("9", "AT")), "DE")
    by_region = {name: {day for place, day, _ in found if place == name} for name in ("DE", "DE-BY", "AT")}
    assert "2024-10-03" in by_region["DE"] & by_region["DE-BY"]
    assert "2024-10-26" in by_region["AT"]
    assert "2024-01-06" in by_region["DE-BY"] - by_region["DE"]
    assert max(by_region["DE"]) == "2026-12-26"
    spec = feature_spec(chosen, {})
    assert [region_of(spec, store) for store in ("7", "9", "1", None)] == ["DE-BY", "AT", "DE", "DE"]
    assert len(days_of(spec)["AT"].ordinals) == len(by_region["AT"])


def test_no_country_means_no_holidays() -> None:
    assert holidays_of(Settings()) == ((), (), "")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"country": "XX"}, "country: 'XX' is not known"),
        ({"country": "DE", "subdivision": "QQ"}, "country: 'DE-QQ' is not known"),
        ({"country": "DE", "stores": {"7": "YY"}}, "stores.7: 'YY' is not known"),
        ({"subdivision": "BY"}, "country is missing"),
    ],
)
def test_unknown_regions_are_refused_before_anything_runs(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings(forecast={"holidays": given})


def test_distances() -> None:
    days = feasts("2024-05-01", "2024-12-25")
    targets = np.array([dt.date.fromisoformat(day).toordinal() for day in ("2024-04-28", "2024-05-01", "2024-12-31")])
    found = daily_distances(days, targets)
    assert found["is"].tolist() == [0, 1, 0]
    assert found["to"].tolist() == [3, 0, 15]
    assert found["since"].tolist() == [15, 0, 6]
    assert found["to_month_end"].tolist() == [2, 30, 0]
    assert found["to_payday"].tolist() == [2, 0, 0]
    assert found["from_christmas"].tolist() == [40, 40, 6]


def test_weeks_count_their_holidays() -> None:
    days = feasts("2024-05-01", "2024-05-09", "2024-12-25")
    ends = np.array([dt.date.fromisoformat(day).toordinal() for day in ("2024-05-05", "2024-05-12", "2024-12-29")])
    found = weekly_counts(days, ends)
    assert found["in_week"].tolist() == [1, 1, 1]
    assert found["next_week"].tolist() == [1, 0, 0]
    assert found["last_week"].tolist() == [0, 1, 0]
    assert found["from_christmas"].tolist() == [8, 8, 0]


@given(seed=st.integers(0, 1_000), origin=st.integers(1_000, 1_700), horizon=st.integers(1, 28))
@settings(max_examples=60, deadline=None)
def test_effects_are_those_of_a_plain_loop(seed: int, origin: int, horizon: int) -> None:
    """Ratios of the years before, each known two weeks later, shrunk to those of all series."""
    random = np.random.default_rng(seed)
    y = random.gamma(3.0, 5.0, 1_800)
    y[random.random(1_800) < 0.1] = np.nan
    of_all = {FIRST + day: float(random.gamma(5.0, 0.2)) for day in range(1_800)}
    days = feasts(*[f"{year}-{day}" for year in range(2019, 2025) for day in ("05-01", "12-25")])
    target = origin + horizon

    def look(steps: np.ndarray) -> np.ndarray:
        place = origin - steps
        return np.where((place >= 0) & (place <= origin), y[np.clip(place, 0, origin)], np.nan)

    found = effects(days, np.array([FIRST + target]), np.array([FIRST + origin]), look, of_all)

    near = [
        (abs(FIRST + target - day), -(day - FIRST - target > 0), day)
        for day in days.ordinals.tolist()
        if FIRST_OFFSET <= FIRST + target - day <= LAST_OFFSET
    ]
    own, every = [], []
    if near:
        (_, _, day) = min(near)
        offset = FIRST + target - day
        # Both feasts have one name: the ones before this one, the latest three.
        before = [other for other in days.ordinals.tolist() if other < day][-3:]
        for other in before:
            past = other + offset - FIRST
            if past + 14 > origin:
                continue
            every.append(of_all[FIRST + past]) if 0 <= past < 1_800 else None
            around = [y[past + shift] for shift in (-14, -7, 7, 14) if past + shift >= 0]
            known = [value for value in around if not np.isnan(value)]
            if past >= 0 and known and not np.isnan(y[past]):
                own.append(min(y[past] / np.mean(known), 10.0))
    total = np.mean(every) if every else 1.0
    assert found["effect_total"][0] == pytest.approx(total, rel=1e-9)
    assert found["effect"][0] == pytest.approx((sum(own) + 2 * total) / (len(own) + 2), rel=1e-9)
