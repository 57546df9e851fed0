"""`python -m benchmarks.sensors --work DIR`: evaluations of all sensors; writes results/sensors.json."""

import argparse
import datetime as dt
import io
import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import yaml
from dagster._core.scheduler.instigation import InstigatorTick
from moto.server import ThreadedMotoServer

from benchmarks.daemon.platform import Platform
from benchmarks.daemon.shop import START, sales
from benchmarks.daemon.trial import SETTINGS
from benchmarks.sensors.past import stories, write_past
from benchmarks.sensors.watch import SENSORS, durations, ended, watch

RESULTS = Path(__file__).parents[1] / "results" / "sensors.json"
WEEKS = 262
EARLIER = dt.timedelta(weeks=156)  # all of it is over
FIRST = START - EARLIER
BUCKET = "shop"
EVALUATIONS = 5  # of each sensor, while nothing changes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sensors", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the projects")
    work = parser.parse_args().work.absolute()
    rows = sales(WEEKS).with_columns(pl.col("data_venda") - EARLIER)
    week = Platform(work / "week")
    if not (week.home / "prepared").is_file():
        prepare(week, rows)
        (week.home / "prepared").touch()
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "NO_PROXY": "127.0.0.1"}
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    with closing(boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")) as store:
        store.create_bucket(Bucket=BUCKET)
        files = days(rows, 0, WEEKS - 1)
        for name, part in files:  # before the loads, which then have seen them
            put(store, name, part)
        past = Platform(work / "past")
        copy(week, past, but=("dagster", "daemon.log"))
        results: dict[str, Any] = {"files": len(files)} | write_past(past, stories(week), WEEKS - 1)
        disk, objects = Platform(work / "disk"), Platform(work / "objects")
        new = days(rows, WEEKS - 1, WEEKS)[0]
        copy(past, disk)
        results["disk"] = measured(disk, lambda: disk.deliver(*new))
        copy(past, objects)
        read_from_store(objects, endpoint)
        results["object store"] = measured(objects, lambda: put(store, *new))
    server.stop()
    print(json.dumps(results, indent=1))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def copy(source: Platform, to: Platform, but: tuple[str, ...] = ()) -> None:
    """Copies a project's folder, without what has these names."""
    shutil.rmtree(to.home, ignore_errors=True)
    shutil.copytree(source.home, to.home, ignore=shutil.ignore_patterns(*but))


def days(rows: pl.DataFrame, first: int, last: int) -> list[tuple[str, pl.DataFrame]]:
    """Name and rows of each day's file, by number of the week, the last one excluded."""
    begin, end = (FIRST + dt.timedelta(weeks=week) for week in (first, last))
    chosen = rows.filter(pl.col("data_venda").is_between(begin, end, closed="left")).sort("data_venda")
    return [(str(key[0]), part) for key, part in chosen.group_by("data_venda", maintain_order=True)]


def prepare(week: Platform, rows: pl.DataFrame) -> None:
    """A model on all files but those of the last week but one, which the daemon then loads and judges."""
    clock = {"today": str(FIRST + dt.timedelta(weeks=WEEKS))}
    week.create(SETTINGS | {"sales": {"path": "sales", "first_month": f"{FIRST:%Y-%m}"}, "clock": clock})
    for name, part in days(rows, 0, WEEKS - 2):
        week.deliver(name, part)
    week.salesml("run")
    new = days(rows, WEEKS - 2, WEEKS - 1)
    for name, part in new:
        week.deliver(name, part)
    week.start()
    try:
        week.settle(rows.filter(pl.col("data_venda") < FIRST + dt.timedelta(weeks=WEEKS - 1)).height)
    finally:
        week.stop()


def measured(platform: Platform, deliver: Callable[[], None]) -> dict[str, Any]:
    """While nothing changes; then with a new day, until the sensor has asked for its load."""
    platform.start()
    try:
        java = watch(platform, calm, 10)
        deliver()
        watch(platform, asked, 5)
    finally:
        platform.stop()
    return {"java": java, "sensors": durations(ended(platform))}


def read_from_store(platform: Platform, endpoint: str) -> None:
    """Lets a project read its files from the store."""
    settings = yaml.safe_load((platform.home / "salesml.yaml").read_text(encoding="utf-8"))
    changed = {"sales": settings["sales"] | {"path": f"s3a://{BUCKET}/sales"}, "s3": {"endpoint": endpoint}}
    (platform.home / "salesml.yaml").write_text(yaml.safe_dump(settings | changed), encoding="utf-8")


def put(store: Any, name: str, rows: pl.DataFrame) -> None:
    content = io.BytesIO()
    rows.write_parquet(content)
    store.put_object(Bucket=BUCKET, Key=f"sales/{name}.parquet", Body=content.getvalue())


def calm(ticks: dict[str, list[InstigatorTick]]) -> bool:
    return len(ticks) == len(SENSORS) and all(len(each) > EVALUATIONS for each in ticks.values())


def asked(ticks: dict[str, list[InstigatorTick]]) -> bool:
    return any(tick.run_ids for tick in ticks["new_sales"])


main()
