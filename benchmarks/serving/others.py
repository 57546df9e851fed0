"""The same forecast by others: MLflow's server with the same model, and a model of MLlib called through Spark.

One request after the other: neither would keep up with the rate of the service's own load.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.serving.shop import HORIZON, history
from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms.mllib import LABEL, vector_frame
from salesml_assets.forecasting.model.bundle import Bundle
from salesml_assets.forecasting.versions import all_versions
from salesml_assets.lake.store import Lakehouse
from salesml_assets.registry.entry import Entry
from salesml_assets.registry.tracking import save_model
from salesml_assets.spark.session import spark_session
from salesml_assets_tests.serving.small_service import panel_of

PORT, REQUESTS = 18_766, 60


def mlflow_server(settings: Settings, bundle: Bundle, work: Path) -> dict[str, Any]:
    """Latency of `mlflow models serve`: one series, 400 days of history."""
    rows = history(1).select("product", "ds", "y").with_columns(pl.col("ds").cast(pl.Datetime("us")))
    version = all_versions(Lakehouse(settings.lake.root))[0]
    entry = Entry(version=version, bundle=bundle, comparison=None, example=rows.to_pandas(), spark_model={})
    save_model(entry, work / "pyfunc", "benchmark")
    split = {"columns": rows.columns, "data": [[n, str(ds), y] for n, ds, y in rows.iter_rows()]}
    body = json.dumps({"dataframe_split": split})
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "-m", str(work / "pyfunc"), "-p", str(PORT),
        "--env-manager", "local",
    ]  # fmt: skip
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]), "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # it calls uvicorn by its name
    }  # fmt: skip
    with (work / "mlflow.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        started = time.perf_counter()
        while not _answers("/ping", None):
            assert process.poll() is None, (work / "mlflow.log").read_text()
            assert time.perf_counter() - started < 120, (work / "mlflow.log").read_text()
            time.sleep(0.05)
        ready = time.perf_counter() - started

        def ask() -> None:
            assert _answers("/invocations", body)

        return {"start_to_ready_seconds": round(ready, 2), **_latencies(ask)}
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def mllib_through_spark(settings: Settings) -> dict[str, Any]:
    """Latency of 28 rows that are encoded already, predicted by 20 boosted trees of MLlib."""
    from pyspark.ml.regression import GBTRegressor

    panel = panel_of(history(), settings, share=0.01)
    from salesml_assets.forecasting.model.encoder import Encoder, PanelColumns

    rows = panel.filter(pl.col("kind") == "train")
    encoder = Encoder.fit(rows, PanelColumns.of(rows.columns))
    matrix, asked = encoder.encode(rows), encoder.encode(panel.filter(pl.col("kind") == "future").head(HORIZON))
    with spark_session(settings) as spark:
        training = vector_frame(spark, matrix, **{LABEL: (rows["y"] / rows["scale"]).to_numpy()})
        model = GBTRegressor(maxIter=20, maxDepth=5, labelCol=LABEL).fit(training)

        def ask() -> None:
            made = model.transform(vector_frame(spark, asked)).select("prediction").toArrow()
            assert made.num_rows == HORIZON

        return _latencies(ask)


def _answers(path: str, body: str | None) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    try:
        connection.request("POST" if body else "GET", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _latencies(ask: Callable[[], None]) -> dict[str, float]:
    for _ in range(5):
        ask()
    ms = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        ask()
        ms.append(1000 * (time.perf_counter() - started))
    return {f"p{q}_ms": round(float(np.percentile(ms, q)), 1) for q in (50, 99)}
