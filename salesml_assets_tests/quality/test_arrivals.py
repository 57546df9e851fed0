"""New, late and corrected months, by files on disk and in an object store."""

from __future__ import annotations

import datetime as dt
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from salesml_assets.config.settings import ConfigurationError, S3Settings, Settings
from salesml_assets.quality.arrivals import (
    LARGEST_BYTES,
    Changes,
    FileState,
    SourceFile,
    SourceScan,
    last_month,
    list_source,
    month_changes,
    read_state,
    scan_source,
)

LATER = 1e12  # long after any file was written


def settings(path: Path | str, **sales: Any) -> Settings:
    return Settings.model_validate({"sales": {"path": str(path), "columns": {"date": "day"}} | sales})


def write(file: Path, days: list[str], amounts: list[float] | None = None) -> None:
    dates = [dt.date.fromisoformat(day) for day in days]
    file.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"Day": dates, "amount": amounts or [1.0] * len(days)}).write_parquet(file)


def see(known: dict[str, FileState], chosen: Settings, seconds: float = 5.0) -> tuple[dict[str, FileState], Changes]:
    found = scan_source(known, list_source(chosen), chosen, seconds, {}, lambda: LATER)
    assert found.waiting == {}
    return found.files, found.changes


def test_new_late_and_corrected_months_are_told_apart(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    write(tmp_path / "a.parquet", ["2024-01-05", "2024-02-05", "2024-02-06"])
    known, changes = see({}, chosen)
    assert changes == Changes(new=("2024-01", "2024-02"))
    assert see(known, chosen) == (known, Changes())

    write(tmp_path / "b.parquet", ["2024-02-07", "2024-03-01", "2024-01-09"])
    known, changes = see(known, chosen)
    assert changes == Changes(new=("2024-02", "2024-03"), late=("2024-01",))

    write(tmp_path / "a.parquet", ["2024-01-05", "2024-02-05", "2024-02-06"], [1.0, 9.0, 1.0])
    known, changes = see(known, chosen)
    assert changes == Changes(corrected=("2024-02",))

    (tmp_path / "b.parquet").unlink()
    known, changes = see(known, chosen)
    assert changes == Changes(corrected=("2024-01", "2024-02", "2024-03"))


def test_the_same_rows_in_other_files_and_another_order_are_no_change(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    write(tmp_path / "a.parquet", ["2024-01-05", "2024-02-05", "2024-02-06"], [1.0, 2.0, 3.0])
    known, _ = see({}, chosen)
    (tmp_path / "a.parquet").unlink()
    write(tmp_path / "b.parquet", ["2024-02-06", "2024-01-05"], [3.0, 1.0])
    write(tmp_path / "c.parquet", ["2024-02-05"], [2.0])
    _, changes = see(known, chosen)
    assert changes == Changes()


@given(
    st.lists(st.tuples(st.sampled_from(["2024-01", "2024-02", "2024-03"]), st.integers(0, 2**32)), max_size=6),
    st.lists(st.tuples(st.sampled_from(["2024-01", "2024-02", "2024-03"]), st.integers(0, 2**32)), max_size=6),
)
def test_each_month_that_differs_is_of_one_kind(old: list[tuple[str, int]], new: list[tuple[str, int]]) -> None:
    def state(rows: list[tuple[str, int]]) -> FileState:
        months: dict[str, tuple[int, int]] = {}
        for month, content in rows:
            count, total = months.get(month, (0, 0))
            months[month] = (count + 1, total + content)
        return FileState(stamp="x", months=months)

    before, after = state(old), state(new)
    changes = month_changes({"f": before}, {"f": after}, last_month([before]))
    assert before.months is not None
    assert after.months is not None
    different = {m for m in before.months.keys() | after.months.keys() if before.months.get(m) != after.months.get(m)}
    assert set(changes.months) == different
    assert len(changes.new) + len(changes.late) + len(changes.corrected) == len(different)


@pytest.mark.parametrize(
    ("name", "text", "chosen", "months"),
    [
        ("a.csv", "day;amount\n2024-01-05;1\n2024-02-01 10:00:00;2\nnever;3\n", {"options": {"sep": ";"}},
         {"2024-01": 1, "2024-02": 1, "undated": 1}),
        ("a.json", '{"day": "2024-01-05", "x": 1}\n{"day": null, "x": 2}\n', {}, {"2024-01": 1, "undated": 1}),
        ("day=2024-05-06/a.csv", "amount\n1\n2\n", {}, {"2024-05": 2}),
    ],
)  # fmt: skip
def test_formats(tmp_path: Path, name: str, text: str, chosen: dict[str, Any], months: dict[str, int]) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    found, changes = see({}, settings(tmp_path, format=file.suffix[1:], **chosen))
    state = found[str(file)].months
    assert state is not None
    assert {month: rows for month, (rows, _) in state.items()} == months
    assert set(changes.new) == set(months)


@pytest.mark.parametrize(
    ("text", "sales"),
    [
        ("day,amount\n2024-01-05,1\n", {"columns": {"date": "to_date(day, 'dd.MM.yyyy')"}}),
        ("day,amount\n2024-01-05,1\n", {"options": {"multiLine": "true"}}),
        ("day,amount\n2024-01-05,1,2,3\n", {}),
    ],
)
def test_what_cannot_be_told_is_everything(tmp_path: Path, text: str, sales: dict[str, Any]) -> None:
    (tmp_path / "a.csv").write_text(text)
    known, changes = see({}, settings(tmp_path, format="csv", **sales))
    assert changes == Changes(unknown=True)
    assert see(known, settings(tmp_path, format="csv", **sales))[1] == Changes()


def test_large_files_are_not_read(tmp_path: Path) -> None:
    state = read_state("nowhere", SourceFile("s", LARGEST_BYTES + 1, 0.0), settings(tmp_path), None)
    assert state == FileState(stamp="s", tried=True)


def test_a_file_that_is_still_written_waits(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    write(tmp_path / "a.parquet", ["2024-01-05"])
    assert scan_source({}, list_source(chosen), chosen, 5.0, {}) == SourceScan({}, Changes(), {})


def test_files_beyond_the_time_wait_for_the_next_look_and_all_for_the_last(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    for month in range(1, 5):
        write(tmp_path / f"{month}.parquet", [f"2024-0{month}-05"])
    waiting: dict[str, FileState] = {}
    for number in range(1, 4):
        found = scan_source({}, list_source(chosen), chosen, 0.0, waiting, lambda: LATER)
        waiting = found.waiting
        assert (found.files, found.changes, len(waiting)) == ({}, Changes(), number)
    write(tmp_path / "2.parquet", ["2024-07-05", "2024-08-05"])  # changed since it was read
    found = scan_source({}, list_source(chosen), chosen, 0.0, waiting, lambda: LATER)
    assert (found.changes, len(found.waiting)) == (Changes(), 3)
    found = scan_source({}, list_source(chosen), chosen, 0.0, found.waiting, lambda: LATER)
    assert found.waiting == {}
    assert found.changes.months == ["2024-01", "2024-03", "2024-04", "2024-07", "2024-08"]
    assert see(found.files, chosen) == (found.files, Changes())


def test_files_known_by_their_stamp_only_are_read_when_there_is_time(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    write(tmp_path / "a.parquet", ["2024-01-05"])
    (address, file), = list_source(chosen).items()  # fmt: skip
    known, changes = see({address: FileState(stamp=file.stamp)}, chosen)
    assert changes == Changes()
    assert known[address].months is not None
    write(tmp_path / "a.parquet", ["2024-01-05", "2024-02-01"])
    assert see(known, chosen)[1] == Changes(new=("2024-02",))


def test_patterns_and_hidden_files(tmp_path: Path) -> None:
    write(tmp_path / "shop1" / "a.parquet", ["2024-01-05"])
    write(tmp_path / "shop2" / "a.parquet", ["2024-01-05"])
    write(tmp_path / "other" / "a.parquet", ["2024-01-05"])
    (tmp_path / "shop1" / "_SUCCESS").write_text("")
    found = list_source(settings(tmp_path / "shop*"))
    assert sorted(Path(address).parent.name for address in found) == ["shop1", "shop2"]
    with pytest.raises(ConfigurationError, match=r"sales\.path: there are no files"):
        list_source(settings(tmp_path / "nothing*"))


def test_what_is_no_data_is_no_change(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", ["2024-01-05"])
    for name in ("desktop.ini", "~$a.parquet", "readme.txt", "b.parquet.part"):
        (tmp_path / name).write_text("no data")
    assert [Path(address).name for address in list_source(settings(tmp_path))] == ["a.parquet"]


@pytest.mark.parametrize(("zone", "month"), [(None, "2024-02"), ("America/Sao_Paulo", "2024-01")])
def test_instants_are_of_the_shops_months(tmp_path: Path, zone: str | None, month: str) -> None:
    moment = dt.datetime(2024, 2, 1, 1, 30, tzinfo=dt.UTC)
    pl.DataFrame({"day": [moment]}).write_parquet(tmp_path / "a.parquet")
    assert see({}, settings(tmp_path, timezone=zone))[1] == Changes(new=(month,))
    # Of text with offsets it is not told here.
    (tmp_path / "a.parquet").unlink()
    (tmp_path / "a.csv").write_text("day,x\n2024-02-01T01:30:00Z,1\n")
    changes = see({}, settings(tmp_path, timezone=zone, format="csv"))[1]
    assert changes == (Changes(unknown=True) if zone else Changes(new=(month,)))


def test_a_delta_table(tmp_path: Path) -> None:
    from deltalake import write_deltalake

    chosen = settings(tmp_path / "sales", format="delta")
    rows = pl.DataFrame({"day": [dt.date(2024, 1, 5)], "amount": [1.0]})
    write_deltalake(tmp_path / "sales", rows.to_arrow())
    known, changes = see({}, chosen)
    assert changes == Changes(new=("2024-01",))
    write_deltalake(tmp_path / "sales", rows.with_columns(amount=pl.lit(2.0)).to_arrow(), mode="overwrite")
    assert see(known, chosen)[1] == Changes(corrected=("2024-01",))


def test_five_years_of_days_in_less_than_a_second(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    first = dt.date(2019, 1, 1)
    for number in range(5 * 365):
        day = first + dt.timedelta(number)
        write(tmp_path / f"{day}.parquet", [f"{day}"])
    listed = list_source(chosen)
    known = {address: read_state(address, file, chosen, None) for address, file in listed.items()}
    write(tmp_path / "2024-01-01.parquet", ["2024-01-01"])
    begun = time.perf_counter()
    _, changes = see(known, chosen)
    assert changes.months == ["2024-01"]
    assert time.perf_counter() - begun < 1


@pytest.mark.stack
def test_an_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    with closing(boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")) as store:
        store.create_bucket(Bucket="sales")

        def put(key: str, text: str) -> None:
            store.put_object(Bucket="sales", Key=key, Body=text.encode())

        put("shops/1/a.csv", "day,amount\n2024-01-05,1\n")
        put("shops/1/_SUCCESS", "x")
        put("shopslist.csv", "day,amount\n2019-01-05,1\n")
        chosen = settings("s3a://sales/shops", format="csv").model_copy(update={"s3": S3Settings(endpoint=endpoint)})
        known, changes = see({}, chosen)
        assert list(known) == ["s3a://sales/shops/1/a.csv"]
        assert changes == Changes(new=("2024-01",))
        put("shops/1/a.csv", "day,amount\n2024-01-05,2\n")
        put("shops/2/a.csv", "day,amount\n2024-02-05,1\n")
        known, changes = see(known, chosen)
        assert changes == Changes(new=("2024-02",), corrected=("2024-01",))
        pattern = chosen.model_copy(
            update={"sales": chosen.sales.model_copy(update={"path": "s3a://sales/shops/*/a*"})}
        )
        assert see(known, pattern) == (known, Changes())
        put("_landing/a.csv", "day,amount\n2024-03-05,1\n")
        landing = chosen.model_copy(update={"sales": chosen.sales.model_copy(update={"path": "s3a://sales/_landing"})})
        assert list(list_source(landing)) == ["s3a://sales/_landing/a.csv"], "only names below the path hide a file"
    server.stop()
