"""Quiet weeks and injected events through the evaluation, one row per evaluation."""

import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
import polars as pl

from benchmarks.drift.events import Event, a_third, inject
from benchmarks.drift.frames import drift_inputs, plain_ks_p
from benchmarks.drift.sales import Sales
from salesml_assets.drift.evaluate import evaluate
from salesml_assets.drift.measures import Measure, read
from salesml_assets.drift.parameters import DriftParameters
from salesml_assets.drift.windows import comparison, logarithm

OLDEST_MODEL = 4
WITHIN = 2


def quiet(sales: Sales, parameters: DriftParameters) -> Iterator[dict[str, object]]:
    """Every week from the first on, with a model trained 1 to 4 weeks before it."""
    for number, week in enumerate(range(sales.first, sales.weeks)):
        age = 1 + number % OLDEST_MODEL
        row = judged(sales, week, age, parameters)
        plain = plain_ks_p(sales, week, age, parameters.window, parameters.baseline)
        yield {**row, "plain_ks_p": plain, "plain_ks": plain < 0.05}


def injected(sales: Sales, event: Event, parameters: DriftParameters) -> dict[str, object]:
    """The first two evaluations after an event; what was found, and by what."""
    changed = inject(sales, event)
    rows = [judged(changed, event.week + week, event.age + week, parameters) for week in range(WITHIN)]
    plain = [
        plain_ks_p(changed, event.week + week, event.age + week, parameters.window, parameters.baseline) < 0.05
        for week in range(WITHIN)
    ]
    return {
        "kind": event.kind,
        "label": event.label,
        "size": event.size,
        "week": event.week,
        "found_after": next((number + 1 for number, row in enumerate(rows) if row["drifted"]), None),
        "tests": sorted({test for row in rows for test in row["tests"]}),
        "plain_ks": any(plain),
        "oracle": oracle(sales, changed, event, parameters),
    }


def judged(sales: Sales, week: int, age: int, parameters: DriftParameters) -> dict[str, object]:
    inputs = drift_inputs(sales, week, age)
    started = time.perf_counter()
    table = evaluate(inputs, parameters)
    seconds = time.perf_counter() - started
    found = table[table["drifted"]]
    tests = [f"{row.kind}: {row.test} of {row.subject}" for row in found.itertuples()]
    return {
        "week": week,
        "age": age,
        "drifted": bool(len(found)),
        "tests": tests,
        "count": len(table),
        "seconds": seconds,
    }


def oracle(sales: Sales, changed: Sales, event: Event, parameters: DriftParameters) -> bool:
    """Whether a single test that knows which series were hit sees them move against the others, at the same level.

    It looks at their sales and at their number of rows, and at the odds of those that gain against those that lose
    where the mix moved: the bound for tests that have to find the series first.
    """
    hit = a_third(sales.rows, event.week, np.random.default_rng([event.seed, event.week]))
    others = np.setdiff1d(changed.rows["series"].unique().to_numpy(), hit)
    if event.kind == "new category":
        hit = hit + sales.rows["series"].max() + 1
        others = np.setdiff1d(others, hit)
    elif event.kind == "product mix":
        hit, others = hit[::2], hit[1::2]
    amounts = (pl.col("quantity") * pl.col("price"), (pl.col("quantity") > 0).cast(pl.Float64))
    for last, age in ((event.week + week, event.age + week) for week in range(WITHIN)):
        at = comparison(last + 1, last - age, parameters)
        for amount in amounts:
            part, rest = (weekly(changed.rows, group, amount, last + 1) for group in (hit, others))
            change = at.recent(part) / at.recent(rest), at.earlier(part) / at.earlier(rest)
            if min(change[0][-1], change[1][-1]) <= 0:  # there were none before, or there are none left
                return True
            odds = logarithm(change[0]) - logarithm(change[1])
            measure = Measure("", "", "", odds - at.seasonal_part(odds), 1e-6, "", signed=True)
            if read(measure, at).p_value <= parameters.alpha / len(amounts):
                return True
    return False


def weekly(rows: pl.DataFrame, series: np.ndarray, amount: pl.Expr, weeks: int) -> np.ndarray:
    chosen = rows.filter(pl.col("series").is_in(series.tolist()))
    sums = chosen.group_by("week").agg(amount.sum().alias("sum"))
    return pd.Series(sums["sum"].to_numpy(), sums["week"].to_numpy()).reindex(range(weeks), fill_value=0.0).to_numpy()
