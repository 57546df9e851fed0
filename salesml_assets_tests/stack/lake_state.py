"""The lake of a stack as its own code reads it, in a container: sizes, conservation, models."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import polars as pl

from salesml_assets_tests.stack.compose import Stack

RANGE_TAGS = """
import json
from salesml_assets.automation.jobs import partition_range_tags
from salesml_assets.config.loading import load_settings
print(json.dumps(partition_range_tags(load_settings())))
"""
# Every table is read whole, every row of production models with its bundle and checksums.
STATE = """
import json
import polars as pl
from salesml_assets.config.loading import load_settings
from salesml_assets.forecasting.versions import all_versions, read_version
from salesml_assets.lake.export import lake_of
from salesml_assets.lake.files import Files
settings = load_settings()
lake, files = lake_of(settings), Files(settings.lake.root, settings.s3)
names = ["raw_sales", "sales", "quarantined_sales", "sales_series", "features", "panel", "seasonal_naive",
         "random_forest", "xgboost", "model_comparison", "production_model", "forecasts"]
rows = {name: lake.read_polars(name).height for name in names if lake.exists(name)}
versions = {name: lake.version(name) for name in rows}
writes = {name: [commit.run_id for commit in lake.history(name) if commit.rows_written] for name in rows}
models = all_versions(lake)
for model in models:
    read_version(files, model)
forecasts = lake.read_polars("forecasts")
wape = lake.read_polars("model_comparison", ["algorithm", "dimension", "segment", "metric", "value"]).filter(
    (pl.col("dimension") == "total") & (pl.col("metric") == "wape")).sort("algorithm")
print(json.dumps({"rows": rows, "versions": versions, "writes": writes,
                  "models": [[model.version, model.algorithm, model.folder] for model in models],
                  "series": forecasts["unique_id"].n_unique(),
                  "doubled": forecasts.height - forecasts.select("unique_id", "ds").n_unique(),
                  "total": float(forecasts.sort("unique_id", "ds")["yhat"].sum()),
                  "wape": dict(zip(wape["algorithm"], wape["value"]))}))
"""
# All metrics and all forecasts.
RESULTS = """
import polars as pl
from salesml_assets.config.loading import load_settings
from salesml_assets.lake.export import lake_of
lake = lake_of(load_settings())
metrics, forecasts = lake.read_polars("model_comparison"), lake.read_polars("forecasts", ["unique_id", "ds", "yhat"])
print(pl.DataFrame({"metrics": [metrics.write_json()], "forecasts": [forecasts.write_json()]}).write_json())
"""
# The same image with the same settings on one machine: Spark in this process, a lake in a folder.
ALONE = """
set -e
mkdir /scratch/alone && cd /scratch/alone && cp /opt/salesml/salesml_assets/project_files/* .
export DAGSTER_HOME=$PWD SALESML_LAKE__ROOT=$PWD/lake SALESML_REGISTRY__ENABLED=false
export SALESML_SPARK__MASTER='local[2]' SALESML_SPARK__CONFIG='{}'
salesml run >&2
python -c "$0"
"""


@dataclass(frozen=True)
class LakeState:
    """What the lake holds.

    Attributes:
        rows: Rows of each table.
        versions: Version of each table.
        writes: Per table the runs that wrote it, newest first.
        models: Number, algorithm and folder of each production model; all of them could be read.
        series: Series with forecasts.
        doubled: Rows of the forecasts beyond one for each series and day.
        total: Sum of all forecasts.
        wape: WAPE of each algorithm.
    """

    rows: dict[str, int]
    versions: dict[str, int]
    writes: dict[str, list[str]]
    models: list[list[Any]]
    series: int
    doubled: int
    total: float
    wape: dict[str, float]


def lake_state(stack: Stack) -> LakeState:
    """Reads all tables."""
    return LakeState(**json.loads(stack.python(STATE)))


def cluster_results(stack: Stack) -> dict[str, pl.DataFrame]:
    """All metrics and forecasts of the stack's lake."""
    return _frames(stack.python(RESULTS))


def local_results(stack: Stack) -> dict[str, pl.DataFrame]:
    """The same of a run of the same sales on one machine, without the cluster."""
    return _frames(stack.compose("run", "--rm", "--no-deps", "-T", "code", "sh", "-c", ALONE, RESULTS, seconds=900))


def _frames(printed: str) -> dict[str, pl.DataFrame]:
    (row,) = json.loads(printed.strip().splitlines()[-1])
    return {name: pl.read_json(io.StringIO(text), infer_schema_length=None) for name, text in row.items()}


def retrain(stack: Stack) -> str:
    """Queues a run of the whole graph; its id."""
    return stack.launch("retrain", json.loads(stack.python(RANGE_TAGS)))


def check_conserved(state: LakeState, delivered: int) -> None:
    """Nothing is lost or doubled, and models are numbered without gaps."""
    assert state.rows["raw_sales"] == delivered
    assert state.rows["sales"] + state.rows["quarantined_sales"] == delivered
    assert state.doubled == 0
    assert [number for number, *_ in state.models] == list(range(1, len(state.models) + 1))
    for table, runs in state.writes.items():
        again = {run for run in runs if run and runs.count(run) > 1}
        assert not again or table == "production_model", f"{table} was written twice by {again}"
