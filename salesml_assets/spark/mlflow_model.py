"""A model of MLlib in MLflow's own format, as files: `mlflow.spark.load_model` reads them."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.ml import Model


def mlflow_files(model: Model, scratch: str) -> dict[str, bytes]:
    """The files that `mlflow.spark.save_model` writes of a fitted model.

    Args:
        model: The model; a Spark session has to run.
        scratch: Address of a folder that Spark can write to; what is written there is removed again.

    Returns:
        The content of each file by its path below the model's folder.
    """
    import mlflow.spark
    import pyspark

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's remarks on its own type hints
        root = Path(folder) / "model"
        # Given, because MLflow would find them out by loading the model in another process with another Spark.
        requirements = [f"pyspark=={pyspark.__version__}"]
        mlflow.spark.save_model(model, str(root), dfs_tmpdir=scratch, pip_requirements=requirements)
        return {file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*") if file.is_file()}
