"""A tiny platform for the tests of notifications: a job `retrain`, another one, a check, a freshness policy."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator

import dagster as dg

TROUBLE = "SHOP_TEST_TROUBLE"  # what goes wrong: an error's text, or "check"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
MODELS = [
    {"algorithm": "xgboost", "wape": 0.1067, "rmse": 1234.56, "mae": 100.0, "r2": 0.9123, "bias": 0.012, "rmsse": 0.8,
     "coverage80": 0.79, "coverage95": 0.95, "seconds": 12.5, "rows": 1000},
    {"algorithm": "<b>naive</b>", "wape": 0.193, "rmse": None, "mae": 200.0, "r2": 0.5, "bias": -0.02, "rmsse": 1.0,
     "coverage80": 0.8, "coverage95": 0.95, "seconds": None, "rows": 0},
]  # fmt: skip
DECISION = "xgboost replaces seasonal_naive: its WAPE is 44.7 % lower (p < 0.001)"


@dg.asset
def raw_sales() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"dagster/row_count": 12_000})


@dg.asset(deps=["raw_sales"])
def quarantined_sales() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"dagster/row_count": 300})


@dg.asset(deps=["quarantined_sales"])
def model_comparison() -> dg.MaterializeResult:
    trouble = os.environ.get(TROUBLE)
    if trouble and trouble != "check":
        raise RuntimeError(trouble)
    return dg.MaterializeResult(metadata={"models": dg.JsonMetadataValue(MODELS), "decision": DECISION})


@dg.asset(deps=["model_comparison"])
def production_model() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"algorithm": "xgboost", "model version": 4})


@dg.asset(deps=["production_model"])
def report() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"report": dg.PathMetadataValue("s3a://key:secret@lake/report.html")})


@dg.multi_asset_check(
    specs=[dg.AssetCheckSpec("volume", asset="raw_sales"), dg.AssetCheckSpec("newness", asset="raw_sales")]
)
def raw_sales_checks() -> Iterator[dg.AssetCheckResult]:
    bad = os.environ.get(TROUBLE) == "check"
    yield dg.AssetCheckResult(
        asset_key="raw_sales", check_name="volume", passed=not bad, description="the month is <empty>"
    )
    yield dg.AssetCheckResult(
        asset_key="raw_sales", check_name="newness", passed=False, severity=dg.AssetCheckSeverity.WARN
    )


@dg.asset(freshness_policy=dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=1)))
def prices() -> None:
    pass


defs = dg.Definitions(
    assets=[raw_sales, quarantined_sales, model_comparison, production_model, report, prices],
    asset_checks=[raw_sales_checks],
    jobs=[
        dg.define_asset_job(
            "retrain",
            dg.AssetSelection.assets(raw_sales, quarantined_sales, model_comparison, production_model, report),
        ),
        dg.define_asset_job("other", [raw_sales]),
    ],
    executor=dg.in_process_executor,
)


def run(
    instance: dg.DagsterInstance, job: str = "retrain", tags: dict[str, str] | None = None, only: str | None = None
) -> str:
    """Runs a job, or one asset of it, in this process, to its end or failure: the run's id."""
    selection = None if only is None else [dg.AssetKey(only)]
    return (
        defs.resolve_job_def(job)
        .execute_in_process(
            instance=instance, raise_on_error=False, run_config=QUIET, tags=tags, asset_selection=selection
        )
        .run_id
    )
