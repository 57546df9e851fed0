"""This project, the reference pipeline and mlforecast + LightGBM on the same input, in one go."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from benchmarks import inputs, measure, peer_runs, project, scores, tables
from benchmarks.environment import PROJECT_PYTHON, ROOT

RESULTS = Path(__file__).with_name("results")
RETAIL = ROOT / "data" / "online_retail.parquet"
FULL_RUN = "whole graph: quality, features, six algorithms with grids and backtests, report, forecasts"


def options() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__)
    parser.add_argument(
        "--parts", default="retail,generated,features", help="which parts to run (subset: where retail hits the limit)"
    )
    parser.add_argument("--limit", type=float, default=3600, help="seconds for the reference pipeline on all lines")
    parser.add_argument("--best-sellers", type=int, default=300, help="products of the part subset")
    parser.add_argument("--memory", default="6g", help="driver memory of the reference pipeline")
    parser.add_argument("--series", type=int, default=500, help="generated series")
    parser.add_argument("--growth", default="500,3000,10000", help="numbers of series of the part growth")
    parser.add_argument("--years", type=int, default=5, help="their years")
    parser.add_argument("--seed", type=int, default=42, help="seed of the generator")
    parser.add_argument("--objectives", default="regression", help="LightGBM objectives of the mlforecast peer")
    parser.add_argument("--repeat", type=int, default=3, help="alternating runs of the feature steps")
    parser.add_argument("--work", type=Path, help="folder for lakes and logs, kept; default: a temporary one")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results")
    return parser.parse_args()


def retail(chosen: argparse.Namespace, work: Path) -> dict[str, Any]:
    """All lines of the shipped sales; ending the reference pipeline at the limit still bounds the ratio."""
    base = folder(work / "retail")
    result, run, sales = on_retail(chosen, base, None, chosen.limit)
    if not result["reference_timed_out"]:
        result |= honest_split(chosen, base, sales)
    horizon = run.settings["forecast"]["horizon"]
    return result | {"accuracy": compare_accuracy(run, base, horizon, chosen.objectives.split(","), True)}


def subset(chosen: argparse.Namespace, work: Path) -> dict[str, Any]:
    """The best-selling products on both sides, the reference pipeline to its end and on an honest split."""
    base = folder(work / "subset")
    result, _, sales = on_retail(chosen, base, chosen.best_sellers, None)
    return result | honest_split(chosen, base, sales)


def honest_split(chosen: argparse.Namespace, base: Path, sales: Path) -> dict[str, Any]:
    """Errors of the reference pipeline's models on a split in time and on its own split."""
    say("reference pipeline: the honest split")
    honest = peer_runs.reference(sales, base / "reference", "honest", chosen.memory, None)
    return {"reference_models": reference_models(honest.report)}


def on_retail(
    chosen: argparse.Namespace, base: Path, best_sellers: int | None, limit: float | None
) -> tuple[dict[str, Any], project.ProjectRun, Path]:
    """Both sides on the shipped sales: what was measured, this project's run, the reference pipeline's input."""
    exclude = project.shipped_settings(RETAIL)["quality"]["exclude_products"]
    own, theirs = inputs.online_retail(RETAIL, base, best_sellers, exclude)
    lines = len(pd.read_parquet(own, columns=["Quantity"]))
    label = f"the {best_sellers} best-selling products" if best_sellers else "all lines"
    say(f"online_retail, {label} ({lines:,} lines): this project")
    run = project.run(project.shipped_settings(own), base / "project")
    say(f"online_retail, {label}: reference pipeline")
    peer = reference(theirs, base / "reference", chosen, limit)
    result = {
        "label": label,
        "lines": lines,
        "project": asset_seconds(run),
        "runs": [
            line(f"this project, {label}", lines, run.measured, FULL_RUN),
            line(f"reference pipeline, {label}", lines, peer.measured, reference_does(peer)),
        ],
        "reference_timed_out": peer.measured.timed_out,
        "time_ratio": run.measured.seconds / peer.measured.seconds,
        "reference_steps": reference_steps(peer.report),
    }
    return result, run, theirs


def reference(sales: Path, out: Path, chosen: argparse.Namespace, limit: float | None) -> peer_runs.PeerRun:
    """The reference pipeline's own steps."""
    return peer_runs.reference(sales, out, "features,training", chosen.memory, limit)


def reference_does(peer: peer_runs.PeerRun) -> str:
    """What a run of the reference pipeline got done, in words."""
    done = list(peer.report.get("random_split", {}))
    if peer.measured.timed_out:
        return f"ended by the time limit; had finished: features{''.join(f', {name}' for name in done)}"
    return "features, three algorithms with cross-validated grids"


def reference_steps(report: dict[str, Any]) -> list[list[Any]]:
    """Seconds of each step of the reference pipeline."""
    steps = [["Spark session", report["session_seconds"]], ["features", report["features_seconds"]]]
    return steps + [[name, values["seconds"]] for name, values in report.get("random_split", {}).items()]


def reference_models(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Errors of the reference pipeline's models on both splits."""
    splits = {"random 80/20": "random_split", "in time, last 20 %": "split_in_time"}
    return [
        {"model": model, "split": split} | {name: report[key][model][name] for name in ("rmse", "mae", "r2", "wape")}
        for model in report["random_split"]
        for split, key in splits.items()
    ]


def generated(chosen: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Generated series: accuracy compared with the mlforecast peer."""
    sales = inputs.generated_file(
        folder(work / "generated") / "sales.parquet", chosen.series, chosen.years, chosen.seed
    )
    say(f"{chosen.series} generated series over {chosen.years} years: this project")
    settings = project.generated_settings(sales)
    run = project.run(settings, work / "generated" / "project")
    rows = compare_accuracy(
        run, work / "generated", settings["forecast"]["horizon"], chosen.objectives.split(","), True
    )
    days = 365 * chosen.years + 1
    return asset_seconds(run) | {
        "series": chosen.series,
        "years": chosen.years,
        "seed": chosen.seed,
        "rows": chosen.series * days,
        "accuracy": rows,
    }


def features(chosen: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Both feature steps on the same generated days, in turn."""
    base = folder(work / "features")
    sales = inputs.generated_file(base / "sales.parquet", chosen.series, chosen.years, chosen.seed)
    series = inputs.series_file(sales, base / "series.parquet")
    config = base / "salesml.yaml"
    config.write_text(json.dumps(project.generated_settings(sales) | {"lake": {"root": str(base / "lake")}}))
    own, theirs, rows = [], [], 0
    for number in range(chosen.repeat):
        say(f"feature steps, round {number + 1} of {chosen.repeat}")
        command = [PROJECT_PYTHON, "-m", "benchmarks.feature_step", series, base / f"table_{number}"]
        run = measure.run(command, base / f"own_{number}.log", {"SALESML_CONFIG": str(config)}, ROOT)
        run.require_success("this project's feature step")
        found = json.loads(run.log.read_text().strip().splitlines()[-1])
        own.append(found["features_seconds"])
        rows = found["rows"]
        peer = peer_runs.reference(sales, base / f"reference_{number}", "features", chosen.memory, None)
        theirs.append(peer.report["features_seconds"])
    return {
        "rows": rows, "project_seconds": statistics.median(own), "reference_seconds": statistics.median(theirs),
        "project_all": own, "reference_all": theirs,
    }  # fmt: skip


def lean(chosen: argparse.Namespace, work: Path) -> dict[str, Any]:
    """What a user would pick instead: XGBoost and the baseline here, mlforecast with the same origins there."""
    base = folder(work / "lean")
    sales = inputs.generated_file(base / "sales.parquet", chosen.series, chosen.years, chosen.seed)
    say(f"{chosen.series} generated series, seasonal naive and XGBoost: this project")
    settings = lean_settings(sales)
    run = project.run(settings, base / "project")
    rows = compare_accuracy(run, base, settings["forecast"]["horizon"], chosen.objectives.split(","), True)
    peer = min(row["seconds"] for row in rows if row["role"] == "peer")
    return asset_seconds(run) | {
        "series": chosen.series,
        "years": chosen.years,
        "rows": chosen.series * (365 * chosen.years + 1),
        "accuracy": rows,
        "time_ratio": run.measured.seconds / peer,
    }


def lean_settings(sales: Path) -> dict[str, Any]:
    """Generated sales with the baseline and one learner."""
    return project.generated_settings(sales) | {"training": {"algorithms": ["seasonal_naive", "xgboost"]}}


def growth(chosen: argparse.Namespace, work: Path) -> dict[str, Any]:
    """The lean set on more and more series: seconds and memory."""
    runs = []
    for series in map(int, chosen.growth.split(",")):
        base = folder(work / f"growth_{series}")
        sales = inputs.generated_file(base / "sales.parquet", series, chosen.years, chosen.seed)
        say(f"{series:,} generated series over {chosen.years} years: this project, lean set")
        run = project.run(lean_settings(sales), base / "project")
        runs.append(asset_seconds(run) | {"series": series, "rows": series * (365 * chosen.years + 1)})
        shutil.rmtree(base)
    return {"years": chosen.years, "runs": runs}


def compare_accuracy(
    run: project.ProjectRun, work: Path, horizon: int, objectives: list[str], non_negative: bool
) -> list[dict[str, Any]]:
    """This project's best algorithm, its seasonal naive and the mlforecast peer on the same rows."""
    best = run.best
    own = scores.backtest_rows(run.lake, best)
    naive = scores.backtest_rows(run.lake, "seasonal_naive")
    long = scores.long_series(run.lake, work / "long.parquet")
    cutoffs = sorted({f"{day:%Y-%m-%d}" for day in pd.to_datetime(own["cutoff"])})
    # The last day is one more cutoff: the forecasts that a user wants.
    last = f"{pd.read_parquet(long, columns=['ds'])['ds'].max():%Y-%m-%d}"
    rows = [
        {"role": "best", "name": f"this project: {best}", **scores.accuracy(own), "missing": 0},
        {"role": "naive", "name": "seasonal naive", **scores.accuracy(naive), "missing": 0},
    ]
    rows[0] |= {"seconds": run.measured.seconds, "peak_mib": run.measured.peak_mib}
    for objective in objectives:
        say(f"mlforecast + LightGBM ({objective})")
        peer = peer_runs.mlforecast(
            long, work / f"mlforecast_{objective}", [*cutoffs, last], horizon, objective, os.cpu_count() or 1
        )
        joined, missing = scores.on_same_rows(own, peer.forecasts, non_negative)
        note = f"; {peer.note}" if peer.note else ""
        rows.append(
            {
                "role": "peer",
                "name": f"mlforecast + LightGBM ({objective}{note})",
                **scores.accuracy(joined),
                "missing": missing,
                "seconds": peer.measured.seconds,
                "peak_mib": peer.measured.peak_mib,
            }
        )
    return rows


def asset_seconds(run: project.ProjectRun) -> dict[str, Any]:
    """Seconds and memory of a run of this project."""
    return {
        "seconds": run.measured.seconds,
        "peak_mib": run.measured.peak_mib,
        "assets": run.summary["assets"],
        "best": run.best,
    }


def line(name: str, lines: int, measured: measure.Measured, does: str) -> dict[str, Any]:
    """A row of the table of runs."""
    return {"name": name, "lines": lines, "seconds": measured.seconds, "peak_mib": measured.peak_mib, "does": does}


def folder(path: Path) -> Path:
    """The folder, made where it is missing."""
    path.mkdir(parents=True, exist_ok=True)
    return path


def say(text: str) -> None:
    """A line of progress."""
    print(f"{dt.datetime.now():%H:%M:%S} {text}", flush=True)


PARTS = {
    "retail": retail,
    "generated": generated,
    "features": features,
    "subset": subset,
    "lean": lean,
    "growth": growth,
}


def main() -> None:
    """Runs the wanted parts and writes the results after each; those of other parts stay as they were measured."""
    chosen = options()
    work = chosen.work or Path(tempfile.mkdtemp(prefix="salesml-benchmark-"))
    machine = {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }
    found = chosen.results / "results.json"
    results: dict[str, Any] = json.loads(found.read_text()) if found.is_file() else {}
    try:
        for part in chosen.parts.split(","):
            results[part] = PARTS[part](chosen, work) | {"date": f"{dt.date.today()}", "machine": machine}
            folder(chosen.results)
            found.write_text(json.dumps(results, indent=2) + "\n")
            (chosen.results / "results.md").write_text(tables.document(results))
    finally:
        if chosen.work is None:
            shutil.rmtree(work, ignore_errors=True)
    print((chosen.results / "results.md").read_text())
