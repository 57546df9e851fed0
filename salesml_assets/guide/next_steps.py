"""What to do when an asset or a check fails, in a sentence or two."""

from __future__ import annotations

from salesml_assets.names import (
    DRIFT_REPORT,
    EXPLANATIONS,
    FEATURES,
    FORECAST_ACCURACY,
    FORECASTS,
    HIERARCHY_FORECASTS,
    MODEL_COMPARISON,
    MODEL_REGISTRY,
    PANEL,
    PRODUCTION_MODEL,
    QUARANTINED_SALES,
    RAW_SALES,
    REPORT,
    SALES,
    SALES_SERIES,
    VALIDATION_NOTEBOOK,
)

ASSETS = {
    RAW_SALES: "run `salesml check`: it reads the source and names the key of the settings that does not fit it.",
    SALES: "read the reasons in `quarantined_sales`, then change `sales.columns` or the rules in `quality`.",
    QUARANTINED_SALES: "read the reasons in its rows, then change `sales.columns` or the rules in `quality`.",
    SALES_SERIES: "look at the planned values (`forecast.known_future`) and at the keys in `forecast.series`.",
    FEATURES: "the message names the series; the sales in it are usually the cause, so look at `sales_series` first.",
    PANEL: "often the history is too short: lower `forecast.horizon` or `training.folds`.",
    MODEL_COMPARISON: "materialize it in one run with all algorithms: they have to be scored on the same rows.",
    PRODUCTION_MODEL: "the version before stays in production; fix the cause and run the job `retrain`.",
    MODEL_REGISTRY: "forecasts do not need the registry; look at `registry.tracking_uri`. The next run catches up.",
    FORECASTS: "the published forecasts stay; if the model cannot be read, run `retrain` or `salesml models rollback`.",
    HIERARCHY_FORECASTS: "look at `forecast.hierarchy.levels`; then materialize `forecasts` and this asset again.",
    FORECAST_ACCURACY: "materialize `sales_series` and `forecasts`, then this asset again.",
    DRIFT_REPORT: "a failure here is no drift: materialize `production_model`, `forecasts` and `sales_series` first.",
    EXPLANATIONS: "materialize the algorithms and `forecasts` in one run, then this asset again.",
    REPORT: "everything that it shows is in the tables; the message names the one that is missing.",
    VALIDATION_NOTEBOOK: "the message has the cell that failed; `salesml notebook` runs it on this machine.",
}
ALGORITHM = "its parameters are in `training.grids`; leave it out of `training.algorithms` to go on without it."

CHECKS = {
    "volume": "compare the months in the source with the last delivery; a part may be missing or delivered twice.",
    "schema": "a column is missing or has another type: materialize the asset and its upstream assets again.",
    "row_conservation": "do not use the result; load the months again, and report it if it stays.",
    "required_values": "look at the mapping in `sales.columns` for the columns that are named.",
    "freshness": "ask for the newest sales, or raise `checks.max_age_days` if this delay is normal.",
    "rejected_share": "read the reasons in `quarantined_sales`; most often one column is mapped or parsed wrongly.",
    "outlier_weight": "correct the largest flagged rows of `sales` in the source, or set `quality.outlier_share`.",
    "quarantine_share": "read the reasons in its rows: fix the source, or name a rule in `quality.disable`.",
    "unique_keys": "materialize the asset again; if it stays, the keys in `forecast.series` do not tell series apart.",
    "amount_conservation": "do not use the series: the amounts of `sales` are not all in them. Report it if it stays.",
    "complete_calendar": "materialize `sales_series` again from `sales`.",
    "reasons": "report it: a rejected row has no reason, or one that is not known.",
    "plan_coverage": "complete the file of planned values for the steps that are named.",
    "complete": "materialize the asset and the one before it again.",
    "finite": "look at the extreme values of `sales` in the series that are named.",
    "no_leakage": "do not trust the backtest: a feature looks ahead. Undo the latest change of a feature.",
    "same_rows": "materialize `panel` and all algorithms in one run.",
    "metrics_finite": "look at the algorithm that is named: its predictions are not finite or nothing was sold.",
    "beats_baseline": "the seasonal naive serves, which is safe; look for missing covariates or too short a history.",
    "interval_coverage": "use the intervals with care, and retrain when new sales are in; sales may have changed.",
    "adds_up": "materialize `forecasts` and `explanations` again, in this order.",
    "sums_agree": "do not publish the totals: materialize `forecasts` and `hierarchy_forecasts` in one run.",
    "versions": "run the job `retrain`; versions chosen by hand are listed by `salesml models list`.",
    "ordered_intervals": "do not publish the forecasts; run `retrain`, and report it if it stays.",
    "plausible": "compare the total with last year's; if it is wrong, run `salesml models rollback`.",
    "in_step": "look at the registry's address and credentials; the next run catches up.",
}
DRIFT = "read `drift_report`, most significant first; the sensor `drift_retrain` starts a retrain where one helps."


def asset_advice(asset: str) -> str:
    """What to do when an asset fails."""
    return f"If it fails: {ASSETS.get(asset, ALGORITHM)}"


def check_advice(check: str) -> str | None:
    """What to do when a check fails; None of a check that is not known."""
    found = DRIFT if check.endswith("_drift") else CHECKS.get(check)
    return found and f"If it fails: {found}"
