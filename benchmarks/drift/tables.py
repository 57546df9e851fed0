"""The figures as Markdown."""

from typing import Any

import pandas as pd


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def summary(name: str, quiet: pd.DataFrame, events: pd.DataFrame, orders: pd.DataFrame | None = None) -> dict[str, Any]:
    return {
        "history": name,
        "weeks": len(quiet),
        "alarms": int(quiet["drifted"].sum()),
        "alarm_tests": [test for tests in quiet["tests"] for test in tests],
        "plain_ks_alarms": int(quiet["plain_ks"].sum()),
        "tests": int(quiet["count"].median()),
        "median_seconds": round(float(quiet["seconds"].median()), 3),
        "events": detection(events),
        "orders": None if orders is None else detection(orders),
    }


def detection(events: pd.DataFrame) -> dict[str, Any]:
    """How many of some events were found, and of each kind the shares."""
    found, first = events["found_after"].notna(), events["found_after"] == 1
    by_label = events.assign(found=found, first=first).groupby("label")
    shares = by_label[["found", "first", "oracle", "plain_ks"]].mean().assign(count=by_label.size())
    return {
        "count": len(events),
        "found": int(found.sum()),
        "found_at_first": int(first.sum()),
        "by_kind": shares.round(3).reset_index().to_dict("records"),
    }


def markdown(summaries: list[dict[str, Any]], parameters: dict[str, Any]) -> str:
    lines = [
        "# Drift: false alarms and detection",
        "",
        "Written by `python -m benchmarks.drift`.",
        "",
        "## Quiet weeks",
        "",
    ]
    lines += [
        "| history | weeks | weeks with an alarm | with plain `ks_2samp`, p < 0.05 | tests | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for s in summaries:
        alarms = [f"{s[key]} ({percent(s[key] / s['weeks'])})" for key in ("alarms", "plain_ks_alarms")]
        lines.append(
            f"| {s['history']} | {s['weeks']} | {alarms[0]} | {alarms[1]} | {s['tests']} | {s['median_seconds']} |"
        )
    weeks, alarms, plain = (sum(s[key] for s in summaries) for key in ("weeks", "alarms", "plain_ks_alarms"))
    lines.append(f"| both | {weeks} | {alarms} ({percent(alarms / weeks)}) | {plain} ({percent(plain / weeks)}) | | |")
    lines += ["", "## Events on a third of the volume, 30 to 60 %", "", f"Both histories: {found_in(summaries)}.", ""]
    for s in summaries:
        lines += [f"### {s['history']}: {found_in([s])}", "", *event_table(s["events"])]
        if s["orders"]:
            text = f"The same shifts as more or fewer orders: {s['orders']['found']} of {s['orders']['count']} found."
            lines += [text, "", *event_table(s["orders"])]
    lines += ["## Parameters", "", ", ".join(f"`{name}` {value}" for name, value in parameters.items()), ""]
    return "\n".join(lines)


def found_in(summaries: list[dict[str, Any]]) -> str:
    """The events of the simulator's kinds that were found."""
    found, count = (sum(s["events"][key] for s in summaries) for key in ("found", "count"))
    return f"{found} of {count} found within two evaluations ({percent(found / count)})"


def event_table(events: dict[str, Any]) -> list[str]:
    lines = [
        "| event | count | found | at the first evaluation | a test that knows the series | plain `ks_2samp` |",
        "|---|---|---|---|---|---|",
    ]
    for row in events["by_kind"]:
        shares = " | ".join(percent(row[key]) for key in ("found", "first", "oracle", "plain_ks"))
        lines.append(f"| {row['label']} | {row['count']} | {shares} |")
    return [*lines, ""]
