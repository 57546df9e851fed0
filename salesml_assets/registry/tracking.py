"""One MLflow run for each training, and the model that it registers."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from salesml_assets.forecasting.comparison import comparison_json
from salesml_assets.names import COMPARISON_FILE, SPARK_MODEL_FOLDER
from salesml_assets.registry.connection import Connection
from salesml_assets.registry.entry import Entry
from salesml_assets.registry.pyfunc import LOADER, signature
from salesml_assets.release import PACKAGE, release

if TYPE_CHECKING:
    from salesml_assets.reporting.data import ReportData

BUNDLE_TAG = "salesml.bundle"  # folder of the bundle: one training, whatever its versions' numbers
VERSION_TAG, CODE_TAG, DECISION_TAG = "salesml.version", "salesml.code_version", "salesml.decision"
MODEL = "model"  # folder of the run's artifacts
METRICS_AT_ONCE = 1000  # MLflow's limit for one request
MAX_TAG = 5000


def register(connection: Connection, entry: Entry) -> str:
    """Tracks a training and registers its model.

    A run of an earlier attempt that did not come to its end is deleted.

    Args:
        connection: The registry.
        entry: The training.

    Returns:
        The model's version in the registry.
    """
    client, folder = connection.client, entry.version.folder
    for run in client.search_runs([connection.experiment], f"tags.`{BUNDLE_TAG}` = '{folder}'"):
        client.delete_run(run.info.run_id)
    tags = {
        BUNDLE_TAG: folder,
        VERSION_TAG: entry.version.name if entry.version.challenger else str(entry.version.version),
        CODE_TAG: entry.bundle.code_version or "unknown",
        DECISION_TAG: str(entry.version.decision.get("reason", ""))[:MAX_TAG],
        "mlflow.runName": entry.version.name,
    }
    trained = entry.bundle.trained_at
    started = int(1000 * trained.timestamp())
    run = client.create_run(connection.experiment, start_time=started, tags=tags)
    run_id = run.info.run_id
    _log(connection, run_id, entry, started)
    with tempfile.TemporaryDirectory() as scratch:
        save_model(entry, Path(scratch) / MODEL, run_id)
        client.log_artifacts(run_id, str(Path(scratch) / MODEL), MODEL)
        if entry.spark_model:
            for name, content in entry.spark_model.items():
                file = Path(scratch) / SPARK_MODEL_FOLDER / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            client.log_artifacts(run_id, str(Path(scratch) / SPARK_MODEL_FOLDER), SPARK_MODEL_FOLDER)
    client.set_terminated(run_id, end_time=int(1000 * time.time()))
    model_tags = {name: tags[name] for name in (BUNDLE_TAG, VERSION_TAG, CODE_TAG)}
    made = client.create_model_version(
        connection.name,
        source=f"{run.info.artifact_uri}/{MODEL}",
        run_id=run_id,
        tags=model_tags,
        description=tags[DECISION_TAG],
    )
    return str(made.version)


def save_model(entry: Entry, folder: Path, run_id: str) -> None:
    """Writes a bundle as MLflow's pyfunc: the bundle's own files, the module that loads them, signature, example.

    Args:
        entry: The training.
        folder: The folder to create.
        run_id: The MLflow run, by which MLflow finds the example again.
    """
    import mlflow.pyfunc
    from mlflow.models import Model

    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "bundle"
        data.mkdir()
        for name, content in entry.bundle.to_files().items():
            (data / name).write_bytes(content)
        with_category = "category" in entry.example.columns and "category" not in entry.bundle.series_keys
        mlflow.pyfunc.save_model(
            str(folder),
            mlflow_model=Model(artifact_path=MODEL, run_id=run_id),
            loader_module=LOADER,
            data_path=str(data),
            signature=signature(entry.bundle, with_category),
            input_example=entry.example,
            pip_requirements=[f"{PACKAGE}=={release()}"],
            metadata={"version": entry.version.version, "code_version": entry.bundle.code_version},
        )


def _log(connection: Connection, run_id: str, entry: Entry, started: int) -> None:
    """Parameters, metrics, figures and JSON of a training."""
    from mlflow.entities import Metric, Param

    from salesml_assets.reporting.encode import figure_png
    from salesml_assets.reporting.figures import pictures

    client = connection.client
    client.log_batch(run_id, params=[Param(name, str(value)) for name, value in entry.parameters.items()])
    metrics = [Metric(name, value, started, step) for name, value, step in entry.metrics()]
    for start in range(0, len(metrics), METRICS_AT_ONCE):
        client.log_batch(run_id, metrics[start : start + METRICS_AT_ONCE])
    client.log_text(run_id, entry.decision_json, "decision.json")
    if entry.comparison is not None:
        summary = json.dumps(comparison_json(entry.comparison), indent=2, sort_keys=True)
        client.log_text(run_id, summary, COMPARISON_FILE)
        with tempfile.TemporaryDirectory() as scratch:
            for name, picture in pictures(_shown(entry)).items():
                (Path(scratch) / f"{name}.png").write_bytes(figure_png(picture.figure))
            client.log_artifacts(run_id, scratch, "figures")


def _shown(entry: Entry) -> ReportData:
    """What the report's figures show of a comparison and a model; those of the present tables are left out."""
    import pandas as pd

    from salesml_assets.reporting.data import ReportData

    bundle, comparison = entry.bundle, entry.comparison
    assert comparison is not None
    forecast, importance = bundle.settings["forecast"], bundle.model.importance()
    winner = comparison.decision.winner
    return ReportData(
        title=entry.version.name.capitalize(),
        source="",
        generated_for=bundle.cutoff,
        target=forecast["target"],
        frequency=forecast["frequency"],
        horizon=bundle.horizon,
        series_keys=bundle.series_keys,
        metrics=comparison.metrics,
        decision={**comparison.decision.model_dump(mode="json"), "version": entry.version.version},  # type: ignore[typeddict-item]
        coverage=comparison.coverage[comparison.coverage["algorithm"] == winner],
        importance=pd.DataFrame({"name": list(importance), "value": list(importance.values())}),
        importance_of=bundle.algorithm,
        sample=comparison.sample,
        sample_rows=comparison.sample_rows,
        residual_edges=comparison.residual_edges,
        residual_counts=comparison.residual_counts,
    )
