"""Writes what was measured as Markdown."""

from __future__ import annotations

from typing import Any


def table(header: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table; numbers to the right.

    >>> print(table(["a", "b"], [["x", 1.25], ["y", None]]))
    | a | b |
    |---|---:|
    | x | 1.25 |
    | y | – |
    """
    numeric = [
        bool(column) and all(value is None or isinstance(value, int | float) for value in column)
        for column in ([row[i] for row in rows] for i in range(len(header)))
    ]
    lines = [
        "| " + " | ".join(header) + " |",
        "|" + "|".join("---:" if right else "---" for right in numeric) + "|",
        *("| " + " | ".join(_text(value) for value in row) + " |" for row in rows),
    ]
    return "\n".join(lines)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def document(results: dict[str, Any]) -> str:
    """The page `results.md` from the content of `results.json`."""
    parts = [
        "# Benchmark",
        "Each part ran in one go on one machine. Seconds are wall time from process start to process end; memory is "
        "the peak of all processes of a run together, shared pages counted once.",
        _goals(results),
    ]
    titles = {
        "retail": _retail,
        "subset": _retail,
        "lean": _lean,
        "growth": _growth,
        "generated": _generated,
        "features": _features,
    }
    for part, write in titles.items():
        if part in results:
            parts += [write(results[part]), _measured_on(results[part])]
    return "\n\n".join(parts) + "\n"


def _measured_on(part: dict[str, Any]) -> str:
    machine = part["machine"]
    return (
        f"Measured on {part['date']}: {machine['cores']} cores, {machine['memory_gib']} GiB, Python "
        f"{machine['python']}, load at the start {machine['load']:.1f}."
    )


def goals(results: dict[str, Any]) -> list[list[Any]]:
    """Each goal with the figure measured and whether it was met."""
    rows: list[list[Any]] = []
    for key in ("retail", "subset"):
        if part := results.get(key):
            bound = "at most " if part["reference_timed_out"] else ""
            ratio = part["time_ratio"]
            name = f"time of this project / reference pipeline, {part['label']}"
            rows.append([name, "≤ 0.28", f"{bound}{ratio:.3f}", ratio <= 0.28])
    if retail := results.get("retail"):
        seconds, peak = retail["project"]["seconds"], retail["project"]["peak_mib"] / 1024
        rows.append(["seconds on all lines", "≤ 300", f"{seconds:.0f}", seconds <= 300])
        rows.append(["peak memory of all processes", "< 3 GiB", f"{peak:.2f} GiB", peak < 3])
    for key, name in (("retail", "online_retail"), ("generated", "generated series")):
        if key in results and results[key].get("accuracy"):
            own, peer = _own_and_peer(results[key]["accuracy"])
            if own is not None and peer is not None:
                rows.append([f"WAPE on {name}", f"≤ {peer:.4f} (mlforecast)", f"{own:.4f}", own <= peer])
    if lean := results.get("lean"):
        ratio = lean["time_ratio"]
        rows.append(["lean set: time of this project / mlforecast", "≤ 0.8", f"{ratio:.2f}", ratio <= 0.8])
    if growth := results.get("growth"):
        runs = growth["runs"]
        factor, times = runs[-1]["rows"] / runs[0]["rows"], runs[-1]["seconds"] / runs[0]["seconds"]
        wanted, name = 1.2 * factor, f"growth: time for {factor:.0f} × the rows"
        rows.append([name, f"≤ {wanted:.0f} ×", f"{times:.1f} ×", times <= wanted])
    if features := results.get("features"):
        ratio = features["project_seconds"] / features["reference_seconds"]
        name = f"feature step, {features['rows']:,} rows: this project / reference"
        rows.append([name, "≤ 1", f"{ratio:.2f}", ratio <= 1])
    return rows


def _own_and_peer(accuracy: list[dict[str, Any]]) -> tuple[float | None, float | None]:
    own = [row["wape"] for row in accuracy if row["role"] == "best"]
    peers = [row["wape"] for row in accuracy if row["role"] == "peer"]
    return (own[0] if own else None), (min(peers) if peers else None)


def _goals(results: dict[str, Any]) -> str:
    rows = [[name, goal, value, "yes" if met else "**no**"] for name, goal, value, met in goals(results)]
    return table(["goal", "wanted", "measured", "met"], rows)


def _accuracy(rows: list[dict[str, Any]]) -> str:
    columns = ["wape", "bias", "rmse", "rmsse", "rows", "missing", "seconds", "peak_mib"]
    titles = ["forecast", "WAPE", "bias", "RMSE", "RMSSE", "rows", "rows without a forecast", "seconds", "peak MiB"]
    return table(titles, [[row["name"], *[row.get(name) for name in columns]] for row in rows])


def _retail(retail: dict[str, Any]) -> str:
    parts = [f"## online_retail, {retail['label']}\n\nBoth sides get the same {retail['lines']:,} invoice lines."]
    header = ["run", "lines", "seconds", "peak MiB", "what it does"]
    names = ["name", "lines", "seconds", "peak_mib", "does"]
    parts.append(table(header, [[run[name] for name in names] for run in retail["runs"]]))
    if retail["reference_timed_out"]:
        parts.append(
            "The reference pipeline was still training when it was ended, so the ratio of times is an upper bound."
        )
    steps = [list(step) for step in retail["reference_steps"]]
    parts.append("Reference pipeline, seconds per finished step:\n\n" + table(["step", "seconds"], steps))
    parts.append(
        "This project, seconds per asset:\n\n"
        + table(["asset", "seconds"], [[name, float(value)] for name, value in retail["project"]["assets"].items()])
    )
    if retail.get("accuracy"):
        parts.append(
            "### Accuracy on the same rows\n\nAll scored days of the rolling origins.\n\n"
            + _accuracy(retail["accuracy"])
        )
    if honest := retail.get("reference_models"):
        header = ["model of the reference pipeline", "split", "RMSE", "MAE", "R²", "WAPE"]
        rows = [[m["model"], m["split"], m["rmse"], m["mae"], m["r2"], m["wape"]] for m in honest]
        parts.append(
            "### What the random split hides\n\nThe reference pipeline forecasts a product's next transaction, not its "
            "days, so these errors compare with each other, not with those above. The honest split trains on the "
            "first 80 % of the time and tests on the rest, with the parameters that the random split chose.\n\n"
            + table(header, rows)
        )
    return "\n\n".join(parts)


def _generated(generated: dict[str, Any]) -> str:
    assets = table(["asset", "seconds"], [[name, float(value)] for name, value in generated["assets"].items()])
    return "\n\n".join(
        [
            f"## {generated['series']} generated series over {generated['years']} years\n\nTrend, weekly and yearly "
            f"season, noise; {generated['rows']:,} days.",
            _accuracy(generated["accuracy"]),
            "This project, seconds per asset:\n\n" + assets,
        ]
    )


def _lean(lean: dict[str, Any]) -> str:
    assets = table(["asset", "seconds"], [[name, float(value)] for name, value in lean["assets"].items()])
    title = f"## Seasonal naive and XGBoost, {lean['series']} generated series over {lean['years']} years"
    return "\n\n".join(
        [
            title,
            "Both sides fit at each origin of the backtest and once on all data; this project's time is that of a "
            "whole run, from file to report.",
            _accuracy(lean["accuracy"]),
            "This project, seconds per asset:\n\n" + assets,
        ]
    )


def _growth(growth: dict[str, Any]) -> str:
    names = list(growth["runs"][0]["assets"])
    header = ["step", *[f"{run['series']:,} series, {run['rows']:,} rows" for run in growth["runs"]]]
    rows: list[list[Any]] = [[name, *[float(run["assets"][name]) for run in growth["runs"]]] for name in names]
    rows.append(["whole run (s)", *[float(run["seconds"]) for run in growth["runs"]]])
    rows.append(["peak of all processes (MiB)", *[float(run["peak_mib"]) for run in growth["runs"]]])
    return f"## Growth: seasonal naive and XGBoost over {growth['years']} years\n\n" + table(header, rows)


def _features(features: dict[str, Any]) -> str:
    rows = [["reference pipeline", *features["reference_all"]], ["this project", *features["project_all"]]]
    header = ["feature step", *[f"run {n} (s)" for n in range(1, len(features["project_all"]) + 1)]]
    return (
        f"## Features of {features['rows']:,} rows\n\nFrom a Parquet file to the written table, session start aside; "
        f"the median of {len(features['project_all'])} alternating runs counts.\n\n" + table(header, rows)
    )
