"""MLlib's learners as data: compared with MLlib's own predictions, and refused where they differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pyspark.sql import SparkSession

from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.algorithms import ALGORITHMS
from salesml_assets.forecasting.algorithms.base import Engines, Fit
from salesml_assets.forecasting.algorithms.mllib import LABEL, WEIGHT, ParityError, parity, vector_frame
from salesml_assets.forecasting.model.models import Learned
from salesml_assets.forecasting.model.regressors import Linear, Trees
from salesml_assets.forecasting.training.sample import Sample, TrainingPanel
from salesml_assets_tests.forecasting.small_lake import training_panel


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(forecast={"horizon": 7}, training={"max_rows": 2_000, "tree_rows": 1_000})


@pytest.fixture(scope="module")
def panel(settings: Settings) -> TrainingPanel:
    return training_panel(settings)


@pytest.fixture(scope="module")
def sample(panel: TrainingPanel) -> Sample:
    return panel.up_to(panel.last)


@pytest.fixture
def engines(spark: SparkSession, tmp_path: Path) -> Engines:
    return Engines(2, lambda: spark, str(tmp_path / "scratch"))


def fits(name: str, sample: Sample, settings: Settings, engines: Engines, *candidates: dict[str, object]) -> list[Fit]:
    """Fits of an algorithm on a sample."""
    return list(ALGORITHMS[name].fit(sample, candidates, settings.training, engines, sample.matrix))


def regressor(fit: Fit) -> Trees:
    """The only regressor of a forest or of boosted trees."""
    assert isinstance(fit.model, Learned)
    (only,) = fit.model.regressors
    assert isinstance(only, Trees)
    return only


@pytest.mark.parametrize(("name", "trees"), [("random_forest", "numTrees"), ("gradient_boosting", "maxIter")])
def test_the_first_trees_of_an_ensemble_are_a_smaller_one(
    name: str, trees: str, sample: Sample, settings: Settings, engines: Engines
) -> None:
    sizes: list[dict[str, object]] = [{trees: count, "maxDepth": 3} for count in (1, 2, 5)]
    cut = fits(name, sample, settings, engines, *sizes)
    assert [regressor(fit).booster.num_boosted_rounds() for fit in cut] == [1, 2, 5]
    values = [regressor(fit).predict(sample.matrix) for fit in cut]
    (grown,) = fits(name, sample, settings, engines, sizes[1])
    if name == "gradient_boosting":  # a tree knows only those before it, so growing fewer gives the same
        np.testing.assert_array_equal(regressor(grown).predict(sample.matrix), values[1])
    else:  # the mean of the first trees
        parts = [regressor(cut[2]).booster[number] for number in range(2)]
        total = sum(part.inplace_predict(sample.matrix).astype(float) for part in parts)
        np.testing.assert_allclose(values[1], total * 5 / 2, rtol=1e-5)
    assert sum(cut[1].model.importance().values()) == pytest.approx(1.0)
    assert not list(Path(engines.scratch).iterdir())


def test_mllib_gets_the_rows_in_order_with_labels_and_weights(sample: Sample, spark: SparkSession) -> None:
    frame = vector_frame(spark, sample.matrix, **{LABEL: sample.labels, WEIGHT: sample.weights})
    rows = frame.collect()
    assert frame.rdd.getNumPartitions() == 1
    np.testing.assert_array_equal([row[LABEL] for row in rows], sample.labels)
    np.testing.assert_array_equal([row[WEIGHT] for row in rows], sample.weights)
    np.testing.assert_array_equal([row["features"].toArray() for row in rows], sample.matrix.astype(float))


def test_a_linear_model_is_the_weighted_ridge(sample: Sample, settings: Settings, engines: Engines) -> None:
    (fit,) = fits("linear_regression", sample, settings, engines, {"regParam": 0.1})
    assert isinstance(fit.model, Learned)
    (found,) = fit.model.regressors
    assert isinstance(found, Linear)
    taken = sample.at_most(settings.training.max_rows)
    scaled = taken.matrix / taken.encoder.deviations
    weights = taken.weights / taken.weights.sum()
    centred = scaled - weights @ scaled
    label = taken.labels - weights @ taken.labels
    # MLlib divides the penalty by the deviation of the label.
    penalty = 0.1 / np.sqrt(weights @ label**2)
    gram = (centred * weights[:, None]).T @ centred + penalty * np.eye(scaled.shape[1])
    slopes = np.linalg.solve(gram, (centred * weights[:, None]).T @ taken.labels)
    np.testing.assert_allclose(found.coefficients, slopes, atol=1e-6)  # neighbouring windows are nearly collinear


def test_a_model_that_differs_from_mllib_is_refused(
    sample: Sample, spark: SparkSession, settings: Settings, engines: Engines
) -> None:
    from pyspark.ml.regression import LinearRegression

    training = vector_frame(spark, sample.matrix, **{LABEL: sample.labels, WEIGHT: sample.weights})
    fitted = LinearRegression(standardization=False).fit(training)
    encoder, size = sample.encoder, sample.matrix.shape[1]
    same = Linear(fitted.coefficients.toArray(), fitted.intercept, encoder.means, np.ones(size))
    assert parity(fitted, same, sample, sample.matrix, False, spark) < 1e-9
    other = Linear(fitted.coefficients.toArray(), fitted.intercept + 1e-3, encoder.means, np.ones(size))
    with pytest.raises(ParityError, match=r"differs from MLlib's predictions by up to 0\.001"):
        parity(fitted, other, sample, sample.matrix, False, spark)


def test_batches_in_this_process_and_on_sparks_workers_give_the_same_digits(
    panel: TrainingPanel, sample: Sample, spark: SparkSession, settings: Settings, engines: Engines
) -> None:
    from functools import partial

    from salesml_assets.forecasting.model.predict import predict_folds
    from salesml_assets.spark.partitions import map_rows

    (forest,) = fits("random_forest", sample, settings, engines, {"numTrees": 3, "maxDepth": 5})
    (line,) = fits("linear_regression", sample, settings, engines, {"regParam": 0.1})
    (boosted,) = ALGORITHMS["xgboost"].fit(
        sample,
        [{"objective": "reg:tweedie+reg:absoluteerror", "n_estimators": 20}],
        settings.training,
        engines,
        sample.matrix,
    )
    models = {1: forest.model, 2: line.model, 3: boosted.model}
    function = partial(predict_folds, models, panel.fold_profiles, non_negative=True)
    rows = pl.concat(panel.to_score())
    order = ["fold", "unique_id", "ds"]
    here = pl.concat(map(function, rows.iter_slices(37))).sort(order)
    frame = spark.createDataFrame(rows.to_arrow()).repartition(5)
    there = pl.DataFrame(pl.from_arrow(map_rows(frame, function).toArrow())).sort(order)
    assert here["yhat"].to_list() == there["yhat"].to_list()
    assert here.select(order).equals(there.select(order))


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_the_original_is_a_model_for_mlflow(
    sample: Sample, spark: SparkSession, settings: Settings, engines: Engines, tmp_path: Path
) -> None:
    import mlflow.spark

    from salesml_assets.spark.mlflow_model import mlflow_files

    (fit,) = fits("random_forest", sample, settings, engines, {"numTrees": 3, "maxDepth": 3})
    for name, content in mlflow_files(fit.original, engines.scratch).items():
        file = tmp_path / "model" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    loaded = mlflow.spark.load_model(str(tmp_path / "model"), dfs_tmpdir=str(tmp_path / "loading"))
    own = loaded.transform(vector_frame(spark, sample.matrix)).select("prediction").toArrow()["prediction"].to_numpy()
    np.testing.assert_allclose(own, regressor(fit).predict(sample.matrix), rtol=1e-5)
    assert not list(Path(engines.scratch).iterdir())
