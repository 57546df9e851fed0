"""`python -m benchmarks.drift`: measures the drift tests and writes benchmarks/results/drift.json and drift.md."""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import pandas as pd

from benchmarks.drift.events import MOVES, Event, draw
from benchmarks.drift.measure import injected, quiet
from benchmarks.drift.sales import Sales, generated, online_retail
from benchmarks.drift.tables import markdown, summary
from salesml_assets.drift.parameters import DriftParameters

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--events", type=int, default=102, help="events per history, of all six kinds in turn")
    parser.add_argument("--seed", type=int, default=11, help="seed of the events")
    options = parser.parse_args()
    parameters = DriftParameters()
    summaries, raw = [], {}
    for make in (online_retail, generated):
        sales = make()
        started = time.perf_counter()
        calm = pd.DataFrame(list(quiet(sales, parameters)))
        print(f"{sales.name}: {len(calm)} quiet weeks in {time.perf_counter() - started:.0f} s", flush=True)
        events = [measured(sales, draw(sales, options.events, options.seed), parameters)]
        if sales.whole:  # its rows are orders
            events.append(measured(sales, draw(sales, options.events // 3, options.seed, MOVES, "orders"), parameters))
        summaries.append(summary(sales.name, calm, *events))
        raw[sales.name] = {
            "quiet": json.loads(calm.to_json(orient="records")),
            "events": json.loads(pd.concat(events).to_json(orient="records")),
        }
    RESULTS.mkdir(exist_ok=True)
    settings = dataclasses.asdict(parameters)
    figures = {"parameters": settings, "seed": options.seed, "summaries": summaries, "evaluations": raw}
    (RESULTS / "drift.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    text = markdown(summaries, settings)
    (RESULTS / "drift.md").write_text(text, encoding="utf-8")
    print(text)


def measured(sales: Sales, events: list[Event], parameters: DriftParameters) -> pd.DataFrame:
    rows = []
    for number, event in enumerate(events, start=1):
        rows.append(injected(sales, event, parameters))
        if number % 10 == 0 or number == len(events):
            print(f"{sales.name}: {number} of {len(events)} events", flush=True)
    return pd.DataFrame(rows)


main()
