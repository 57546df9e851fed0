"""The table of all metrics for the documentation: `python -m salesml_assets.exporter.reference`."""

from __future__ import annotations

import sys

from salesml_assets.exporter.catalogue import METRICS


def reference() -> str:
    """All metrics as a Markdown table, in the catalogue's order."""
    rows = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.help} |"
        for metric in METRICS
    ]
    return "\n".join(["| metric | type | labels | meaning |", "|---|---|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
