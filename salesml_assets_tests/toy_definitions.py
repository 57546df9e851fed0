"""A small project with the shape of the real one: assets by month, whole assets, checks, models, a decision.

TOY_FAIL makes one asset fail (settings: with a ConfigurationError; secret: with an address in the message; sleep: it
waits to be interrupted; check: a blocking check fails).
"""

import os
import time
from collections.abc import Iterator

import dagster as dg

from salesml_assets.config.settings import ConfigurationError

MONTHS = dg.MonthlyPartitionsDefinition(start_date="2011-01-01", end_date="2011-05-01")
MODELS = [
    {"algorithm": "seasonal_naive", "wape": 0.5, "rmse": 12.0, "mae": 5.0, "r2": 0.1, "bias": -0.02, "seconds": 1.0},
    {"algorithm": "xgboost", "wape": 0.25, "rmse": 8.25, "mae": 3.0, "r2": None, "bias": 0.01, "coverage80": 0.81},
]


@dg.asset(partitions_def=MONTHS)
def lines() -> dg.Output[int]:
    return dg.Output(1, metadata={"dagster/row_count": 1234567})


@dg.multi_asset(
    name="sort_lines",
    partitions_def=MONTHS,
    outs={"good": dg.AssetOut(), "bad": dg.AssetOut()},
    check_specs=[dg.AssetCheckSpec("conserved", asset="good")],
)
def sort_lines(lines: int) -> Iterator[dg.Output | dg.AssetCheckResult]:
    yield dg.Output(lines, "good")
    yield dg.Output(lines, "bad")
    yield dg.AssetCheckResult(passed=True, check_name="conserved", asset_key="good")


@dg.asset(deps=["good"])
def series() -> dg.Output[int]:
    print("said by an asset")
    fail = os.environ.get("TOY_FAIL")
    if fail == "settings":
        raise ConfigurationError("forecast.horizon: 400 steps are more than the data carry")
    if fail == "secret":
        raise RuntimeError("cannot read s3a://key:hidden@bucket/lake")
    if fail == "sleep":
        print("asleep", flush=True)
        time.sleep(120)
    return dg.Output(1, metadata={"dagster/row_count": 7})


@dg.asset_check(asset=series, blocking=True)
def dense() -> dg.AssetCheckResult:
    passed = os.environ.get("TOY_FAIL") != "check"
    return dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.ERROR, description="3 gaps")


@dg.asset_check(asset=series)
def fresh() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description="40 days old")


@dg.asset
def model_comparison(series: int) -> dg.Output[int]:
    return dg.Output(
        series,
        metadata={
            "models": dg.MetadataValue.json(MODELS),
            "decision": "xgboost replaces seasonal_naive.",
        },
    )


@dg.asset
def forecasts(model_comparison: int) -> dg.Output[int]:
    return dg.Output(1, metadata={"dagster/uri": "/lake/forecasts"})


@dg.asset(deps=["forecasts"])
def report() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"report": dg.MetadataValue.path("/lake/_files/report/1/report.html")})


defs = dg.Definitions(
    assets=[lines, sort_lines, series, model_comparison, forecasts, report],
    asset_checks=[dense, fresh],
    jobs=[
        dg.define_asset_job(
            "retrain",
            selection=dg.AssetSelection.all(),
            executor_def=dg.in_process_executor,
            op_retry_policy=dg.RetryPolicy(max_retries=1, delay=300),  # which the command does not wait for
        )
    ],
    resources={"io_manager": dg.mem_io_manager},
)
