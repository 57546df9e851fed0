"""`python -m benchmarks.daemon --work DIR`: events and kills through the real daemon; writes results/daemon.json."""

import argparse
import json
from pathlib import Path

from benchmarks.daemon.platform import Platform
from benchmarks.daemon.trial import prepare, trial
from salesml_assets.simulation.plan import Event

RESULTS = Path(__file__).parents[1] / "results"
EVENTS = [
    Event(kind="level_shift", week=1, size=0.5),
    Event(kind="level_shift", week=1, size=-0.4),
    Event(kind="price_change", week=1, size=0.4),
    Event(kind="price_change", week=1, size=-0.3),
    Event(kind="product_mix", week=1, size=0.5),
    Event(kind="product_mix", week=1, size=0.4),
    Event(kind="outage", week=1),
    Event(kind="new_category", week=1),
    Event(kind="stopped_feed", week=1),
    Event(kind="level_shift", week=1, size=0.3),
]


def main() -> None:
    """Prepares once, then one trial after another; what is known is written after each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.daemon", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the projects")
    parser.add_argument("--kills", type=int, default=2, help="how often the daemon is killed in each trial")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the events, from 0; default: all")
    options = parser.parse_args()
    work = options.work.absolute()
    base = Platform(work / "base")
    if not (base.home / "prepared").is_file():
        prepare(base)
        (base.home / "prepared").touch()
    rows = []
    for number, event in enumerate(EVENTS):
        if options.only is None or number in options.only:
            last = number == len(EVENTS) - 1
            rows.append(trial(base, work / f"event{number}", event, number, options.kills, kill_a_run=last))
            print(json.dumps(rows[-1]), flush=True)
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / "daemon.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


main()
