"""Forecasts several sets of sales from several origins, by the product and by specialists, and compares the errors.

    python -m benchmarks.accuracy [--sets promotions cj_daily] [--ablation]

Writes results/accuracy.json and results/accuracy.md. The product's functions run without Spark, in the project's
environment; specialists (AutoETS, AutoTheta, tuned LightGBM and CatBoost) in the benchmark's.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.accuracy.backtests import KEYS, backtest, settings_of
from benchmarks.accuracy.sets import SETS, SalesSet
from benchmarks.accuracy.skill import errors_by_series, figures, lost_segments, ratios
from benchmarks.environment import PYTHON, ROOT, set_up

NAIVE = "seasonal_naive"
OWN = (NAIVE, "calendar_regression", "xgboost", "ensemble")
SPECIALISTS = ("AutoETS", "AutoTheta", "LightGBM, tuned", "CatBoost, tuned")
# Parts of the recipe, each switched off by itself.
PARTS: dict[str, dict[str, Any]] = {
    "without holidays": {"forecast": {"holidays": {}}},
    "without the calendar regression": {"forecast": {"calendar_regression": False}},
    "without means of plans": {"forecast": {"group_plans": False}},
}
RESULTS = Path(__file__).parents[1] / "results"


def measure(
    name: str, sales: SalesSet, ablation: bool, specialists: bool, work: Path
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The forecasts of all methods for one set, and what they took."""
    made = backtest(sales, settings_of(sales, {}), OWN)
    rows, seconds = made.rows, dict(made.seconds)
    if ablation:
        for part, overrides in PARTS.items():
            say(f"{name}: {part}")
            other = backtest(sales, settings_of(sales, overrides), ["xgboost"])
            rows = rows.join(
                other.rows.select(*KEYS, pl.col("xgboost").alias(part)), on=KEYS, how="left", validate="1:1"
            )
    chosen: dict[str, Any] = {}
    if specialists:
        say(f"{name}: specialists")
        theirs, found = by_specialists(sales, rows, work / name)
        rows = rows.join(theirs, on=["unique_id", "origin", "ds"], how="left", validate="1:1")
        seconds |= {method: values["seconds"] for method, values in found.items()}
        chosen = {method: values["chosen"] for method, values in found.items() if any(values["chosen"])}
    return rows, {"seconds": seconds, "chosen": chosen}


def by_specialists(sales: SalesSet, rows: pl.DataFrame, folder: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Forecasts from the same origins, cut off at zero as the product's are."""
    folder.mkdir(parents=True)
    sales.series.drop("closed").sort("unique_id", "ds").write_parquet(folder / "series.parquet")
    weekly = sales.forecast["frequency"] != "D"
    ends = sales.series["ds"].dt.weekday().unique()
    frequency = f"W-{('MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT', 'SUN')[ends[0] - 1]}" if weekly else "D"
    command = [
        PYTHON, "-m", "benchmarks.accuracy.specialists", folder / "series.parquet", folder / "out.parquet",
        "--horizon", str(sales.forecast["horizon"]), "--frequency", frequency,
        "--cutoffs", ",".join(str(day) for day in sorted(rows["origin"].unique())),
        "--methods", *SPECIALISTS,
    ]  # fmt: skip
    with (folder / "errors.log").open("w") as log:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True, check=True, cwd=ROOT)
    made = pl.read_parquet(folder / "out.parquet").with_columns(pl.col("ds", "origin").cast(pl.Date))
    return made.with_columns(pl.col(SPECIALISTS).clip(lower_bound=0)), json.loads(done.stdout.splitlines()[-1])


def compared(rows: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """Figures per set and method, ratios over all sets, and the segments in which the baseline is better.

    Rows that a method has no forecast for are left out of all.
    """
    sets, lost, about = {}, {}, {}
    for name, table in rows.items():
        methods = [
            column for column in table.columns if table[column].dtype == pl.Float64 and column not in {"y", "naive_mse"}
        ]
        complete = table.drop_nulls(methods)
        sets[name] = errors_by_series(complete, methods)
        lost[name] = lost_segments(complete, "ensemble", NAIVE)
        about[name] = {
            "rows": complete.height, "left out": table.height - complete.height,
            "series": complete["unique_id"].n_unique(),
            "origins": [str(day) for day in sorted(table["origin"].unique())],
        }  # fmt: skip
    methods = sorted(next(iter(sets.values()))["method"].unique())
    others = [name for name in methods if name != "ensemble"]
    return {
        "sets": about,
        "figures": {
            name: {row["method"]: row for row in figures(sums).iter_rows(named=True)} for name, sums in sets.items()
        },
        "ensemble to": {other: ratios(sets, "ensemble", other) for other in others},
        "xgboost to": {other: ratios(sets, "xgboost", other) for other in others if other != "xgboost"},
        "lost to the seasonal naive": lost,
    }


def document(found: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    sets = list(found["figures"])
    methods = sorted(found["figures"][sets[0]])
    lines = [
        "# Accuracy", "", f"Measured on {found['date']}. WAPE / RMSSE / bias over all origins of a set.", "",
        "| method | " + " | ".join(f"`{name}`" for name in sets) + " |", "|---" * (len(sets) + 1) + "|",
    ]  # fmt: skip
    for method in methods:
        cells = (found["figures"][name][method] for name in sets)
        row = (f"{cell['wape']:.3f} / {cell['rmsse']:.3f} / {cell['bias']:+.2f}" for cell in cells)
        lines.append(f"| {method} | " + " | ".join(row) + " |")
    for key in ("ensemble to", "xgboost to"):
        lines += [
            "",
            f"## {key.capitalize()} …",
            "",
            "| method | WAPE, 95 % interval | RMSSE, 95 % interval |",
            "|---|---|---|",
        ]
        for method, ratio in found[key].items():
            cells = (f"{value:.3f} ({low:.3f} to {high:.3f})" for value, low, high in (ratio["wape"], ratio["rmsse"]))
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
    lines += ["", "## Segments that the seasonal naive forecasts better than the ensemble", ""]
    worse = [
        f"- `{name}`: {dimension} {segment}, ratio {ratio:.3f}"
        for name, lost in found["lost to the seasonal naive"].items()
        for dimension, segment, ratio in lost
    ]
    lines += worse or ["None with more than 5 % of a set's volume."]
    lines += [
        "",
        "## Seconds for all origins, one thread",
        "",
        "| set | " + " | ".join(steps(found)) + " |",
        "|---" * (len(steps(found)) + 1) + "|",
    ]
    for name in sets:
        seconds = found["cost"][name]["seconds"]
        lines.append(
            f"| `{name}` | "
            + " | ".join(f"{seconds[step]:.1f}" if step in seconds else "" for step in steps(found))
            + " |"
        )
    return "\n".join(lines) + "\n"


def steps(found: Mapping[str, Any]) -> list[str]:
    """All that time was measured of."""
    return list(dict.fromkeys(step for cost in found["cost"].values() for step in cost["seconds"]))


def say(text: str) -> None:
    """A line of progress."""
    print(f"{dt.datetime.now():%H:%M:%S} {text}", flush=True)


def main(arguments: Iterable[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--ablation", action="store_true", help="also each part of the recipe switched off by itself")
    parser.add_argument("--no-specialists", action="store_true", help="only the product")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="folder with the two real files")
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    if not chosen.no_specialists:
        set_up()
    rows, cost = {}, {}
    with tempfile.TemporaryDirectory(prefix="salesml-accuracy-") as work:
        for name in chosen.sets:
            started = time.perf_counter()
            say(name)
            rows[name], cost[name] = measure(
                name, SETS[name](chosen.data), chosen.ablation, not chosen.no_specialists, Path(work)
            )
            say(f"{name}: {time.perf_counter() - started:.0f} s")
            found = {"date": f"{dt.date.today()}", "cost": cost, **compared(rows)}
            chosen.results.mkdir(parents=True, exist_ok=True)
            (chosen.results / "accuracy.json").write_text(json.dumps(found, indent=2) + "\n")
            (chosen.results / "accuracy.md").write_text(document(found))
    print(document(found))


main()
