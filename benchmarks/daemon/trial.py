"""One event through the daemon: what was loaded, refreshed and retrained, and the error before and after."""

import random
import shutil
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import polars as pl

from benchmarks.daemon.platform import Platform
from benchmarks.daemon.shop import START, WEEK, sales, weeks_of
from salesml_assets.config.settings import Settings
from salesml_assets.lake.store import Lakehouse
from salesml_assets.simulation.events import apply_event, hit_products
from salesml_assets.simulation.plan import Event
from salesml_assets.simulation.source import WEEKS_OF_VOLUME

HISTORY, QUIET = 78, 2  # weeks: learned from, and without an event
WITHIN = 2  # weeks in which an event has to be found
# Weeks delivered together after the retrain. The last one shows what the retrain brought: before, most of what features
# look back at is of the time before the event. A fourth week would end the cool-down.
AFTER = (2, 1)
# And then two months on: by now the weeks that most features look back at are weeks after the event.
LATER = (5, 1)
WEEKS = HISTORY + QUIET + WITHIN + sum(AFTER) + sum(LATER)
HORIZON = 14
BY_SALES = (
    "raw_sales,sales,quarantined_sales,sales_series,features,panel,forecasts,forecast_accuracy,drift_report,report"
)
SETTINGS: dict[str, Any] = {
    "sales": {"path": "sales", "first_month": "2022-09"},
    "forecast": {"horizon": HORIZON},
    "training": {"algorithms": ["seasonal_naive", "moving_average", "linear_regression"], "max_rows": 5_000},
    "clock": {"today": "2024-06-10"},
    "spark": {
        "driver_memory": "2g",
        "config": {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"},
    },
    "automation": {"retry_minutes": 0.2},
}


def prepare(base: Platform) -> None:
    """A model on the history, and its forecasts joined with the quiet weeks."""
    base.create(SETTINGS)
    parts = dict(weeks_of(sales(WEEKS)))
    base.deliver("history", pl.concat([parts[week] for week in range(HISTORY)]))
    base.salesml("run")
    base.deliver("quiet", pl.concat([parts[HISTORY + week] for week in range(QUIET)]))
    base.salesml("run", "--select", BY_SALES)


def trial(
    base: Platform, home: Path, event: Event, number: int, kills: int, kill_a_run: bool, later: bool
) -> dict[str, Any]:
    """Copies the prepared project and lets an event come in, week by week.

    Args:
        base: The prepared project.
        home: Where the copy goes.
        event: The event; its week counts from the first one after the quiet ones.
        number: Number of the trial, and seed of the chance in it.
        kills: How often the daemon is killed meanwhile.
        kill_a_run: Whether a run is killed, too.
        later: Whether the event is followed for two months more.
    """
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(base.home, home)
    platform = Platform(home)
    settings = Settings(**SETTINGS)
    parts = dict(weeks_of(sales(WEEKS)))
    first = HISTORY + QUIET
    before = pl.concat([parts[first - back] for back in range(1, WEEKS_OF_VOLUME + 1)])
    hit = hit_products(before, event, number, number, settings)
    chance = random.Random(number)
    started, known = time.monotonic(), set(platform.ask(_run_ids))
    platform.start()
    done = threading.Event()
    killer = threading.Thread(target=_killer, args=(platform, kills, kill_a_run, chance, done))
    killer.start()
    week, found_after, rows = 0, None, sum(parts[past].height for past in range(first))

    def deliver(*counts: int) -> None:
        nonlocal week, rows
        for count in counts:
            drop = pl.concat(
                apply_event(parts[first + week + more], event, hit, number, settings) for more in range(count)
            )
            week += count
            rows += drop.height
            platform.deliver(f"week{week}", drop)
            platform.settle(rows)

    try:
        while week < WITHIN and found_after is None:
            deliver(1)
            if any(name == "retrain" for name, _ in _runs(platform, known)):
                found_after = week
        deliver(*AFTER)
        runs, errors = _counted(_runs(platform, known)), _errors(platform, first, week)
        known |= set(platform.ask(_run_ids))
        if later:
            deliver(*LATER)
    finally:
        done.set()
        killer.join()
        platform.stop()
    result = {
        "kind": event.kind,
        "size": event.size,
        "products": len(hit),
        "found_after": found_after,
        "drops": (found_after or WITHIN) + len(AFTER),
        "runs": runs,
        "killed": platform.kills,
        "run_killed": platform.run_killed,
        "versions": _versions(platform),
        **errors,
        "seconds": round(time.monotonic() - started),
    }
    if later:
        result |= {
            "runs_later": _counted(_runs(platform, known)),
            "error_later": _errors(platform, first, week)["error_after"],
        }
    return result


def _killer(platform: Platform, kills: int, kill_a_run: bool, chance: random.Random, done: threading.Event) -> None:
    """Kills the daemon at random moments, first while it starts to load, and a run when there is one."""
    for _ in range(kills):
        if done.wait(chance.uniform(10, 100)):
            return
        platform.kill_daemon()
    while kill_a_run and not platform.run_killed and not done.wait(2):
        platform.kill_run()


def _run_ids(instance: dg.DagsterInstance) -> list[str]:
    return [run.run_id for run in instance.get_runs()]


def _runs(platform: Platform, known: set[str]) -> list[tuple[str, str]]:
    """Job (or the assets' common name) and status of the runs since the start."""
    runs: list[dg.DagsterRun] = platform.ask(lambda instance: instance.get_runs())
    return [
        ("refresh" if run.job_name.startswith("__") else run.job_name, run.status.value)
        for run in runs
        if run.run_id not in known
    ]


def _counted(runs: list[tuple[str, str]]) -> dict[str, int]:
    return {f"{name} {status}": count for (name, status), count in sorted(Counter(runs).items())}


def _versions(platform: Platform) -> int:
    return int(
        Lakehouse(str(platform.home / ".salesml" / "lake")).read_pandas("production_model", ["version"]).max().item()
    )


def _errors(platform: Platform, first: int, weeks: int) -> dict[str, float]:
    """WAPE of the first model in the quiet weeks, and of the model in production in the last week."""
    accuracy = Lakehouse(str(platform.home / ".salesml" / "lake")).read_pandas("forecast_accuracy")
    number = (pd.to_datetime(accuracy["week"]) - pd.Timestamp(START)).dt.days // WEEK
    before = accuracy[number.between(first - QUIET, first - 1) & (accuracy["model_version"] == 1)]
    last = accuracy[number == first + weeks - 1]
    after = last[last["model_version"] == last["model_version"].max()]
    return {
        "error_before": _wape(before),
        "error_after": _wape(after),
        "first_event_week": _wape(accuracy[number == first]),
    }


def _wape(rows: pd.DataFrame) -> float:
    return round(float((rows["wape"] * rows["volume"]).sum() / rows["volume"].sum()), 4)
