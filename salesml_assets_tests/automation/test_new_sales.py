"""The sensor of new sales on a real instance, with files dropped into the source."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path

import dagster as dg
import polars as pl
import pyarrow as pa
import pytest

from salesml_assets.automation.new_sales import Cursor, load_requests, new_sales_sensor
from salesml_assets.config.settings import Settings
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import MONTHS_TAGS, RANGE_TAGS
from salesml_assets.quality.arrivals import Changes, FileState

FIRST, LAST = RANGE_TAGS


def shop(folder: Path, **sales: str) -> Settings:
    return Settings.model_validate(
        {
            "sales": {"path": str(folder), "first_month": "2024-01", "columns": {"date": "day"}} | sales,
            "clock": {"today": "2024-06-15"},
            "lake": {"root": str(folder.with_name("lake"))},
        }
    )


def write(file: Path, *days: str, age: float = 60.0) -> None:
    pl.DataFrame({"day": [dt.date.fromisoformat(day) for day in days]}).write_parquet(file)
    os.utime(file, (time.time() - age,) * 2)


def tick(settings: Settings, instance: dg.DagsterInstance, cursor: str | None) -> tuple[list[dg.RunRequest], str]:
    begun = time.monotonic()
    with dg.build_sensor_context(instance, cursor=cursor) as context:
        result = new_sales_sensor(settings).evaluate_tick(context)
    assert time.monotonic() - begun < 2
    return list(result.run_requests or []), str(result.cursor)


def loaded(settings: Settings) -> None:
    """Makes the table of raw sales, as the first run does."""
    Lakehouse(settings.lake.root).write_arrow(pa.table({"x": [1]}), "raw_sales", run_id="first")


def ranges(requests: list[dg.RunRequest]) -> list[tuple[str, str]]:
    return [(request.tags[FIRST], request.tags[LAST]) for request in requests]


def test_nothing_is_done_before_the_first_load(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    write(tmp_path / "a.parquet", "2024-01-05")
    assert tick(shop(tmp_path), instance, None)[0] == []


def test_a_file_dropped_in_loads_its_months_once(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    source, settings = tmp_path / "sales", shop(tmp_path / "sales")
    source.mkdir()
    write(source / "a.parquet", "2024-01-05", "2024-02-05", "2024-03-05")
    loaded(settings)
    requests, cursor = tick(settings, instance, None)
    assert requests == []
    write(source / "b.parquet", "2024-04-01", "2024-01-09", "2024-05-02", age=-10)
    requests, waiting = tick(settings, instance, cursor)
    assert requests == [], "it may still be written"
    write(source / "b.parquet", "2024-04-01", "2024-01-09", "2024-05-02")
    requests, after = tick(settings, instance, waiting)
    assert ranges(requests) == [("2024-01-01", "2024-01-01"), ("2024-04-01", "2024-05-01")]
    assert {request.tags[MONTHS_TAGS["late"]] for request in requests} == {"2024-01"}
    assert {request.tags[MONTHS_TAGS["new"]] for request in requests} == {"2024-04, 2024-05"}
    assert tick(settings, instance, after)[0] == []
    # The daemon died before it kept the cursor: the same change has the same run keys.
    again, _ = tick(settings, instance, waiting)
    assert [request.run_key for request in again] == [request.run_key for request in requests]


def test_what_came_after_the_load_is_new_to_the_first_evaluation(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    source = tmp_path / "sales"
    source.mkdir()
    write(source / "a.parquet", "2024-01-05")
    loaded(shop(source))
    write(source / "b.parquet", "2024-02-05", age=-60)
    os.utime(source / "b.parquet", (time.time() + 60,) * 2)
    requests, cursor = tick(shop(source), instance, None)
    assert requests == []
    assert list(Cursor.model_validate_json(cursor).files) == [str(source / "a.parquet")]


def test_another_lake_begins_anew(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """Another shop in the same instance: what its lake holds says nothing of this one's source."""
    for name, days in {"one": ["2024-01-05"], "other": ["2024-01-05", "2024-02-05"]}.items():
        (tmp_path / name / "sales").mkdir(parents=True)
        write(tmp_path / name / "sales" / "a.parquet", *days)
    one, other = (shop(tmp_path / name / "sales") for name in ("one", "other"))
    loaded(one)
    _, cursor = tick(one, instance, None)
    with dg.build_sensor_context(instance, cursor=cursor) as context:
        result = new_sales_sensor(other).evaluate_tick(context)
    assert "Nothing has been loaded yet" in str(result.skip_message)
    loaded(other)
    requests, moved = tick(other, instance, cursor)
    assert requests == [], "its first run has loaded what was there"
    write(tmp_path / "other" / "sales" / "c.parquet", "2024-03-05")
    assert ranges(tick(other, instance, moved)[0]) == [("2024-03-01", "2024-03-01")]


@pytest.mark.parametrize(
    ("changes", "sales", "expected"),
    [
        (Changes(new=("2024-06",)), {}, [("2024-06-01", "2024-06-01")]),
        (Changes(unknown=True), {}, [("2024-01-01", "2024-06-01")]),
        (Changes(new=("undated",)), {}, [("2024-06-01", "2024-06-01")]),
        (Changes(corrected=("1999-01", "2024-02")), {}, [("2024-02-01", "2024-02-01")]),
        (Changes(), {}, []),
    ],
)
def test_requests(changes: Changes, sales: dict[str, str], expected: list[tuple[str, str]]) -> None:
    state = {"a": FileState(stamp="1")}
    assert ranges(load_requests(changes, state, shop(Path("x"), **sales))) == expected


def test_a_full_load_has_no_months(tmp_path: Path) -> None:
    (request,) = load_requests(Changes(new=("2024-02",)), {}, shop(tmp_path, load="full"))
    assert FIRST not in request.tags
