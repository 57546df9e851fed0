"""`python -m benchmarks.serving --work DIR`: the service under load; writes results/serving.json and serving.md."""

import argparse
import asyncio
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.serving.load import Load, request, run
from benchmarks.serving.others import mlflow_server, mllib_through_spark
from benchmarks.serving.shop import HORIZON, SERIES, history, make_shop, settings_of, swap
from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.model.bundle import Bundle

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PORT = 18_765
SWAPS, OUTAGE = 20, (24.0, 34.0)  # the lake is away between these seconds


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the lake")
    parser.add_argument("--seconds", type=float, default=30.0, help="duration of each load")
    parser.add_argument("--swap-seconds", type=float, default=60.0, help="duration of the load over model swaps")
    options = parser.parse_args()
    work = options.work.absolute()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    settings = settings_of(work)
    bundle = make_shop(settings)
    starts = []
    for _ in range(3):
        with serving(settings, work) as (_, seconds):
            starts.append(seconds)
    results: dict[str, Any] = {
        "series": SERIES, "start_to_ready_seconds": [round(seconds, 2) for seconds in starts],
        "start_to_ready_median_seconds": round(statistics.median(starts), 2),
    }  # fmt: skip
    names = [f"P{number % 100:05d}-{number % 50:02d}" for number in range(997)]
    gets = [request("GET", f"/forecasts/{name}") for name in names]
    posts = [request("POST", "/predict", body) for body in bodies(50)]
    with serving(settings, work) as (process, _):
        results["memory_at_start_mib"] = memory(process)
        asyncio.run(run(PORT, [Load(gets, 50), Load(posts, 10)], 3.0))  # warm
        for name, load in (("get", Load(gets, 300)), ("predict", Load(posts, 50))):
            asyncio.run(run(PORT, [load], options.seconds))
            results[name] = load.summary()
        results["memory_after_load_mib"] = memory(process)
        loads = [Load(gets, 100), Load(posts, 10)]
        changes = threading.Thread(target=change, args=(settings, bundle, options.swap_seconds))
        changes.start()
        asyncio.run(run(PORT, loads, options.swap_seconds))
        changes.join()
        results["swaps"] = {"get": loads[0].summary(), "predict": loads[1].summary(), "swaps": SWAPS}
        results["swaps"]["model_swaps_seen"] = metric("model_swaps")
        results["swaps"]["model_version"] = metric("model_version")
        results["memory_after_swaps_mib"] = memory(process)
    results["mlflow_server"] = mlflow_server(settings, bundle, work)
    results["mllib_through_spark"] = mllib_through_spark(settings)
    print(json.dumps(results, indent=1))
    (RESULTS / "serving.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "serving.md").write_text(markdown(results), encoding="utf-8")


def bodies(count: int) -> list[bytes]:
    """Requests for /predict: one series, 400 days, 28 steps."""
    made = []
    for (name,), rows in history(count).partition_by("unique_id", as_dict=True, maintain_order=True).items():
        past = [{"ds": day.isoformat(), "y": y} for day, y in rows.select("ds", "y").iter_rows()]
        body = {"series": [{"keys": {"product": name}, "history": past}], "horizon": HORIZON}
        made.append(json.dumps(body).encode())
    return made


def change(settings: Settings, bundle: Bundle, duration: float) -> None:
    """Swaps the model again and again, and takes the lake away for a while."""
    lake, start = Path(settings.lake.root), time.monotonic()
    away = lake.with_name("away")
    first, last = (duration * second / 60 for second in OUTAGE)
    # Nobody can promote a model while the lake is away.
    slots = [duration * (number + 0.5) / (SWAPS + 8) for number in range(SWAPS + 8)]
    moments = [moment for moment in slots if not first - 1 < moment < last + 1][:SWAPS]
    assert len(moments) == SWAPS
    events = sorted([*((moment, "swap") for moment in moments), (first, "away"), (last, "back")])
    version = 1
    for moment, event in events:
        time.sleep(max(0.0, start + moment - time.monotonic()))
        if event == "swap":
            version += 1
            swap(settings, bundle, version)
        elif event == "away":
            lake.rename(away)
        else:
            away.rename(lake)


@contextmanager
def serving(settings: Settings, work: Path) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The running service, and the seconds from its start until it was ready."""
    file = work / "salesml.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_unset=True)), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SALESML_")}
    environment |= {"SALESML_CONFIG": str(file), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from salesml_assets.cli import main; main()", "serve", "--port", str(PORT)]
    started = time.perf_counter()
    with (work / "service.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
    try:
        while not is_ready():
            if process.poll() is not None:
                raise RuntimeError((work / "service.log").read_text())
            time.sleep(0.01)
        yield process, time.perf_counter() - started
    finally:
        process.terminate()
        process.wait(30)


def ask(path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def is_ready() -> bool:
    try:
        return ask("/health/ready")[0] == 200
    except OSError:
        return False


def metric(name: str) -> float:
    lines = ask("/metrics")[1].splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"salesml_serving_{name} "))


def memory(process: subprocess.Popen[bytes]) -> float:
    """Resident memory of the service, in MiB."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024, 1)


def markdown(results: dict[str, Any]) -> str:
    get, predict, swaps = results["get"], results["predict"], results["swaps"]
    memories = [value for name, value in results.items() if name.startswith("memory")]
    failed = swaps["get"]["failed"] + swaps["predict"]["failed"]
    rows = [
        ("start to ready", f"{results['start_to_ready_median_seconds']} s", "under 3 s"),
        (f"memory of a worker with {SERIES:,} series, at most", f"{max(memories):.0f} MiB", "under 300 MiB"),
        ("GET /forecasts/{series} at 300/s, p50", f"{get['p50_ms']} ms", ""),
        ("GET /forecasts/{series} at 300/s, p99", f"{get['p99_ms']} ms", "under 5 ms"),
        ("POST /predict at 50/s, p50", f"{predict['p50_ms']} ms", "under 8 ms"),
        ("POST /predict at 50/s, p99", f"{predict['p99_ms']} ms", "under 30 ms"),
        (
            "the same model in `mlflow models serve`, one request after the other, p50 / p99",
            f"{results['mlflow_server']['p50_ms']} / {results['mlflow_server']['p99_ms']} ms",
            "",
        ),
        (
            "28 encoded rows by 20 trees of MLlib through Spark, p50 / p99",
            f"{results['mllib_through_spark']['p50_ms']} / {results['mllib_through_spark']['p99_ms']} ms",
            "",
        ),
        (f"failed requests over {SWAPS} model swaps and an outage of the lake", str(failed), "0"),
    ]
    lines = ["| figure | measured | target |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} | {target} |" for name, value, target in rows)]) + "\n"


if __name__ == "__main__":
    main()
