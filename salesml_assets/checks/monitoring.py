"""One check for each kind of drift."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from salesml_assets.checks.base import ERROR, WARN, Finding, table_checks
from salesml_assets.config.settings import Settings
from salesml_assets.lake.store import Lakehouse
from salesml_assets.names import DRIFT_REPORT

SHOWN = 20
COLUMNS = {
    "test": "string", "subject": "string", "effect": "float", "min_effect": "float", "p_adjusted": "float",
    "drifted": "string",
}  # fmt: skip
DESCRIPTIONS = {
    "input": "Rows, prices, quantities and features are distributed as when the model was trained.",
    "target": "The sales that are forecast are of the size they were.",
    "prediction": "Predictions are distributed as they were.",
    "mix": "Products and categories have the shares that they had.",
    "series": "No series has fallen silent, and none has come from nowhere.",
    "error": "Past forecasts miss by no more than the backtests did.",
}


def monitoring_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks of the group."""
    checks = {f"no_{kind}_drift": text for kind, text in DESCRIPTIONS.items()}
    return [table_checks(DRIFT_REPORT, checks, measure_drift, settings)]


def measure_drift(lake: Lakehouse, settings: Settings) -> Iterator[Finding]:
    """The results of each kind of test in the table `drift_report`."""
    from salesml_assets.drift.evaluate import summaries

    report = lake.read_pandas(DRIFT_REPORT)
    found = {summary.kind: summary for summary in summaries(report)}
    for kind in DESCRIPTIONS:
        tests = report[report["kind"] == kind]
        shown = tests.sort_values("p_adjusted").head(SHOWN)[list(COLUMNS)].round(4).astype({"drifted": str})
        rows: list[dict[str, Any]] = shown.to_dict("records")  # type: ignore[assignment]
        summary = found.get(kind)
        yield Finding(
            f"no_{kind}_drift",
            summary is None or summary.passed,
            {
                "tests": len(tests),
                "drifted": int(tests["drifted"].sum()),
                "table": dg.TableMetadataValue(
                    [dg.TableRecord(row) for row in rows],
                    dg.TableSchema.from_name_type_dict(COLUMNS),
                ),
            },
            ERROR if kind in settings.drift.errors else WARN,
            summary.sentence if summary else "",
        )
