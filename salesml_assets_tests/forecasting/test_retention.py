"""What retention keeps: whatever may serve again. Versions, folders and ages are drawn."""

from __future__ import annotations

import datetime as dt
import itertools

from hypothesis import given
from hypothesis import strategies as st

from salesml_assets.forecasting.retention import GROUPS, kept_bundles, removable
from salesml_assets.forecasting.versions import Version
from salesml_assets.names import MODELS_FOLDER, PRODUCTION_MODEL, REPORT

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
DAYS = 90


def version(number: int, age: float | None, *, repeats: int | None = None) -> Version:
    """A version that came into production some days ago; by hand where it repeats another one."""
    at = None if age is None else NOW - dt.timedelta(days=age)
    by_hand = {"action": "promote", "version": repeats, "by": "ana", "reason": "", "at": at.isoformat() if at else ""}
    folder = f"{repeats or number}-run{repeats or number}"
    return Version(
        version=number, algorithm="xgboost", parameters={}, path=f"s3a://lake/_files/production_model/{folder}",
        cutoff=dt.date(2026, 1, 1), trained_at=at, decision=by_hand if repeats else {}, lake_versions={}, settings={},
    )  # fmt: skip


def test_what_served_within_the_window_is_kept():
    versions = [version(1, 300), version(2, 200), version(3, 80), version(4, 10)]
    # 2 was replaced by 3 eighty days ago, 1 by 2 two hundred days ago.
    assert kept_bundles(versions, NOW, DAYS) == {"2-run2", "3-run3", "4-run4"}


def test_one_step_back_is_always_possible():
    assert kept_bundles([version(1, 900), version(2, 800), version(3, 700)], NOW, DAYS) == {"2-run2", "3-run3"}
    assert kept_bundles([version(1, 900)], NOW, DAYS) == {"1-run1"}
    assert kept_bundles([], NOW, DAYS) == set()


def test_a_version_put_back_by_hand_keeps_the_bundle_that_it_repeats():
    versions = [version(1, 900), version(2, 800), version(3, 700), version(4, 600, repeats=1)]
    assert kept_bundles(versions, NOW, DAYS) == {"1-run1", "3-run3"}


def test_a_version_of_unknown_time_is_kept():
    assert "1-run1" in kept_bundles([version(1, None), version(2, None), version(3, 500), version(4, 400)], NOW, DAYS)


@given(ages=st.lists(st.floats(0, 1000), min_size=1, max_size=12), days=st.integers(1, 400), now_age=st.floats(0, 50))
def test_no_version_that_may_serve_again_is_lost(ages, days, now_age):
    versions = [version(number, age) for number, age in enumerate(sorted(ages, reverse=True), 1)]
    kept = kept_bundles(versions, NOW, days)
    assert versions[-1].folder in kept
    assert versions[-2:][0].folder in kept
    for one, successor in itertools.pairwise(versions):
        if successor.in_production_since >= NOW - dt.timedelta(days):
            assert one.folder in kept
    # A later look keeps nothing that an earlier one let go.
    assert kept_bundles(versions, NOW + dt.timedelta(days=now_age), days) <= kept


FOLDERS = st.dictionaries(
    st.sampled_from(GROUPS),
    st.dictionaries(st.sampled_from(["1-a", "2-b", "3-c", "a", "b", "c", "d"]), st.floats(0, 400), max_size=7),
)


@given(folders=FOLDERS, bundles=st.sets(st.sampled_from(["1-a", "2-b", "3-c"])), runs=st.sets(st.sampled_from("abcd")))
def test_only_old_folders_go_that_nothing_needs(folders, bundles, runs):
    times = {
        group: {name: NOW - dt.timedelta(days=age) for name, age in names.items()} for group, names in folders.items()
    }
    gone = set(removable(times, bundles, runs, NOW, DAYS))
    for group, names in folders.items():
        for name, age in names.items():
            if age < DAYS or (group == PRODUCTION_MODEL and name in bundles):
                assert (group, name) not in gone
            if group != PRODUCTION_MODEL and (name in runs or name in {bundle[2:] for bundle in bundles}):
                assert (group, name) not in gone
        assert not names or set(names) - {name for where, name in gone if where == group}


def test_old_reports_and_models_go():
    old, young = NOW - dt.timedelta(days=100), NOW - dt.timedelta(days=3)
    folders = {
        REPORT: {"a": old, "b": young},
        MODELS_FOLDER: {"a": old, "b": old, "c": young},
        PRODUCTION_MODEL: {"1-a": old, "2-b": old, "3-c": young},
    }
    assert removable(folders, {"2-b", "3-c"}, {"c"}, NOW, DAYS) == [
        (MODELS_FOLDER, "a"),
        (PRODUCTION_MODEL, "1-a"),
        (REPORT, "a"),
    ]
