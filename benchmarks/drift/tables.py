"""The figures as Markdown."""

from typing import Any

import pandas as pd


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def summary(name: str, quiet: pd.DataFrame, events: pd.DataFrame) -> dict[str, Any]:
    found = events["found_after"].notna()
    by_label = events.assign(found=found, first=events["found_after"] == 1).groupby("label")
    shares = by_label[["found", "first", "oracle", "plain_ks"]].mean().assign(count=by_label.size())
    return {
        "history": name,
        "weeks": len(quiet),
        "alarms": int(quiet["drifted"].sum()),
        "alarm_tests": [test for tests in quiet["tests"] for test in tests],
        "plain_ks_alarms": int(quiet["plain_ks"].sum()),
        "tests": int(quiet["count"].median()),
        "median_seconds": round(float(quiet["seconds"].median()), 3),
        "events": len(events),
        "found": int(found.sum()),
        "found_at_first": int((events["found_after"] == 1).sum()),
        "by_event": shares.round(3).reset_index().to_dict("records"),
    }


def markdown(summaries: list[dict[str, Any]], parameters: dict[str, Any]) -> str:
    lines = [
        "# Drift: false alarms and detection",
        "",
        "Made by `python -m benchmarks.drift`.",
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
    lines += ["", "## Events on a third of the volume, 30 to 60 %", ""]
    for s in summaries:
        lines += [f"### {s['history']}: {s['found']} of {s['events']} found within two evaluations", ""]
        lines += [
            "| event | count | found | at the first evaluation | a test that knows the series | plain `ks_2samp` |",
            "|---|---|---|---|---|---|",
        ]
        for row in s["by_event"]:
            shares = " | ".join(percent(row[key]) for key in ("found", "first", "oracle", "plain_ks"))
            lines.append(f"| {row['label']} | {row['count']} | {shares} |")
        lines.append("")
    lines += ["## Parameters", "", ", ".join(f"`{name}` {value}" for name, value in parameters.items()), ""]
    return "\n".join(lines)
