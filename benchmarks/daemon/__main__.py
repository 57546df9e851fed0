"""`python -m benchmarks.daemon --work DIR`: events and kills through the real daemon; writes results/daemon.json.

Events that are left out keep the results that they had.
"""

import argparse
import json
from pathlib import Path
from typing import Any

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
    parser.add_argument("--later", action="store_true", help="follow each event for two months more")
    options = parser.parse_args()
    work = options.work.absolute()
    base = Platform(work / "base")
    if not (base.home / "prepared").is_file():
        prepare(base)
        (base.home / "prepared").touch()
    found = RESULTS / "daemon.json"
    for number, event in enumerate(EVENTS):
        if options.only is None or number in options.only:
            last = number == len(EVENTS) - 1
            folder = work / f"event{number}"
            result = trial(base, folder, event, number, options.kills, kill_a_run=last, later=options.later)
            print(json.dumps(result), flush=True)
            # Read again: other events may still be going on.
            results: dict[str, Any] = json.loads(found.read_text(encoding="utf-8")) if found.is_file() else {}
            results[str(number)] = result
            found.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")


main()
