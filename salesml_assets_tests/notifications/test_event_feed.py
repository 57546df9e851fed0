"""Every event is read once, in whatever order the database shows them."""

from __future__ import annotations

import logging

import dagster as dg
import pytest

from salesml_assets.notifications.event_feed import BATCH, Position, first_position, read_feed

LOG = logging.getLogger("test_event_feed")
KIND = dg.DagsterEventType.ASSET_CHECK_EVALUATION


def report(instance: dg.DagsterInstance, *names: str) -> None:
    for name in names:
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=dg.AssetKey("sales"), check_name=name, passed=True, metadata={})
        )
        instance.report_runless_asset_event(dg.AssetMaterialization("sales"))  # another kind, with a number of its own


def read(instance: dg.DagsterInstance, position: Position) -> tuple[list[str], Position]:
    entries, position = read_feed(instance, KIND, position, LOG)
    return [entry.get_dagster_event().asset_check_evaluation_data.check_name for entry in entries], position


def test_each_event_once(instance: dg.DagsterInstance) -> None:
    report(instance, "before")
    position = first_position(instance)
    seen = []
    for names in (["a"], [], ["b", "c"], [], [], ["d"]):
        report(instance, *names)
        found, position = read(instance, position)
        assert found == names
        seen += found
    assert seen == ["a", "b", "c", "d"]


def test_a_long_log_is_read_in_batches(instance: dg.DagsterInstance) -> None:
    names = [str(number) for number in range(BATCH + 3)]
    position = first_position(instance)
    report(instance, *names)
    first, position = read(instance, position)
    second, position = read(instance, position)
    assert (first, second) == (names[:BATCH], names[BATCH:])
    assert read(instance, position)[0] == []


def test_an_event_that_shows_late_is_read(instance: dg.DagsterInstance) -> None:
    """Another writer's event has a lower number than one that was read already."""
    begin = first_position(instance)
    report(instance, "a", "late", "b")
    _, after_all = read(instance, begin)
    late = sorted(after_all.recent)[1]
    without = Position(after=after_all.after, recent=[number for number in after_all.recent if number != late])
    assert read(instance, without)[0] == ["late"]


def test_a_log_that_was_emptied_begins_anew(instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture) -> None:
    report(instance, "a", "b")
    _, position = read(instance, first_position(instance))
    instance.event_log_storage.wipe()
    found, position = read(instance, position)
    assert (found, "emptied" in caplog.text) == ([], True)
    report(instance, "c")
    assert read(instance, position)[0] == ["c"]
