"""A peer: the pipeline that a team has before it adopts this project, three Spark steps as commonly written.

    python -m benchmarks.peers.reference_pipeline SALES.parquet OUT_FOLDER [--steps features,training,honest]

* features: window features per product over its transactions, indexed, scaled; the target is the next transaction.
* training: a random 80/20 split and a 3-fold cross-validated grid for each of three MLlib regressors.
* honest: the parameters that `training` chose, fitted again on the transactions of the first 80 % of the time and
  scored on those of the rest. Not part of what the team runs; it shows what the random split hides.

SALES.parquet has produto, categoria_valor, quantidade, valor_total, data_venda. Writes what it found to
OUT_FOLDER/report.json after every step.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.ml import Estimator, Model
    from pyspark.ml.param import Param
    from pyspark.sql import DataFrame, SparkSession

FEATURES = [
    "produto_idx", "categoria_idx", "quantidade", "sazonalidade", "vendas_lag_1", "vendas_lag_7", "vendas_lag_30",
    "media_movel_7", "media_movel_30", "tendencia",
]  # fmt: skip
COLUMNS = {"featuresCol": "features", "labelCol": "target"}
TEST_SHARE = 0.2


def build_features(spark: SparkSession, sales: str, out: str) -> None:
    """Step `features`: the table of features and the fitted indexes and scaling."""
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import StandardScaler, StringIndexer, VectorAssembler
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    by_product = Window.partitionBy("produto").orderBy("data_venda")
    value = F.col("valor_total")
    windowed = spark.read.parquet(sales).withColumns(
        {
            **{f"vendas_lag_{n}": F.lag(value, n).over(by_product) for n in (1, 7, 30)},
            **{f"media_movel_{n}": F.avg(value).over(by_product.rowsBetween(1 - n, 0)) for n in (7, 30)},
            "sazonalidade": F.dayofweek("data_venda"),
            "target": F.lead(value, 1).over(by_product),
        }
    )
    rows = windowed.withColumn("tendencia", value - F.col("media_movel_30")).where(F.col("vendas_lag_30").isNotNull())
    fitted = Pipeline(
        stages=[
            StringIndexer(inputCol="produto", outputCol="produto_idx"),
            StringIndexer(inputCol="categoria_valor", outputCol="categoria_idx"),
            VectorAssembler(inputCols=FEATURES, outputCol="features_raw"),
            StandardScaler(inputCol="features_raw", outputCol="features"),
        ]
    ).fit(rows)
    ready = fitted.transform(rows).where(F.col("target").isNotNull())
    ready.select("features", "target", "data_venda", "produto").write.mode("overwrite").parquet(f"{out}/features")
    fitted.write().overwrite().save(f"{out}/feature_pipeline")


def grids() -> dict[str, tuple[Estimator, list[dict[Param[Any], Any]]]]:
    """The three regressors with the parameters among which cross-validation chooses."""
    from pyspark.ml.regression import GBTRegressor, LinearRegression, RandomForestRegressor
    from pyspark.ml.tuning import ParamGridBuilder

    linear, boosted, forest = LinearRegression(**COLUMNS), GBTRegressor(**COLUMNS), RandomForestRegressor(**COLUMNS)
    builder = ParamGridBuilder
    return {
        "linear_regression": (linear, builder().addGrid(linear.regParam, [0.01, 0.1, 1.0]).build()),
        "gradient_boosting": (
            boosted,
            builder().addGrid(boosted.maxIter, [10, 20]).addGrid(boosted.maxDepth, [5, 10]).build(),
        ),
        "random_forest": (
            forest,
            builder().addGrid(forest.numTrees, [10, 20, 30]).addGrid(forest.maxDepth, [5, 10, 15]).build(),
        ),
    }


def score(model: Model, rows: DataFrame) -> dict[str, float]:
    """RMSE, MAE and R² as the reference reports them, and WAPE."""
    from pyspark.ml.evaluation import RegressionEvaluator
    from pyspark.sql import functions as F

    predicted = model.transform(rows).select("prediction", "target").persist()
    evaluator = RegressionEvaluator(labelCol="target")
    result = {metric: evaluator.setMetricName(metric).evaluate(predicted) for metric in ("rmse", "mae", "r2")}
    wrong, volume = predicted.agg(
        F.sum(F.abs(F.col("prediction") - F.col("target"))), F.sum(F.abs("target"))
    ).collect()[0]
    predicted.unpersist()
    return result | {"wape": wrong / volume}


def train(spark: SparkSession, out: str, note: dict[str, Any]) -> None:
    """Step `training`: random split, cross-validated grids."""
    from pyspark.ml.evaluation import RegressionEvaluator
    from pyspark.ml.tuning import CrossValidator

    train_rows, test_rows = spark.read.parquet(f"{out}/features").randomSplit([1 - TEST_SHARE, TEST_SHARE], seed=42)
    for name, (estimator, grid) in grids().items():
        started = time.perf_counter()
        validator = CrossValidator(
            estimator=estimator,
            estimatorParamMaps=grid,
            evaluator=RegressionEvaluator(labelCol="target", metricName="rmse"),
            numFolds=3,
        ).fit(train_rows)
        best = validator.bestModel
        result: dict[str, Any] = score(best, test_rows)
        best.write().overwrite().save(f"{out}/{name}_model")
        chosen = min(range(len(grid)), key=validator.avgMetrics.__getitem__)
        result["parameters"] = {parameter.name: value for parameter, value in grid[chosen].items()}
        result["seconds"] = time.perf_counter() - started
        note.setdefault("random_split", {})[name] = result
        write(out, note)


def train_honestly(spark: SparkSession, out: str, note: dict[str, Any]) -> None:
    """Step `honest`: the chosen parameters on a split in time."""
    from pyspark.sql import functions as F

    rows = spark.read.parquet(f"{out}/features").withColumn("_time", F.unix_timestamp(F.to_timestamp("data_venda")))
    first, last = rows.agg(F.min("_time"), F.max("_time")).collect()[0]
    boundary = last - TEST_SHARE * (last - first)
    before, after = rows.where(F.col("_time") < boundary), rows.where(F.col("_time") >= boundary)
    for name, (estimator, grid) in grids().items():
        chosen = note["random_split"][name]["parameters"]
        parameters = next(each for each in grid if {key.name: value for key, value in each.items()} == chosen)
        note.setdefault("split_in_time", {})[name] = score(estimator.fit(before, parameters), after)
        write(out, note)


def write(out: str, note: dict[str, Any]) -> None:
    """Keeps what is known so far, should the time limit end the process."""
    Path(out, "report.json").write_text(json.dumps(note, indent=2))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sales")
    parser.add_argument("out")
    parser.add_argument("--steps", default="features,training")
    parser.add_argument("--memory", default="6g")
    parser.add_argument("--master", default="local[*]")
    options = parser.parse_args()
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    Path(options.out).mkdir(parents=True, exist_ok=True)
    note: dict[str, Any] = {}
    known = Path(options.out, "report.json")
    if known.is_file():
        note = json.loads(known.read_text())
    started = time.perf_counter()
    spark = (
        SparkSession.builder.master(options.master)
        .config("spark.driver.memory", options.memory)
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    note["session_seconds"] = time.perf_counter() - started
    steps = {
        "features": lambda: build_features(spark, options.sales, options.out),
        "training": lambda: train(spark, options.out, note),
        "honest": lambda: train_honestly(spark, options.out, note),
    }
    for step in options.steps.split(","):
        mark = time.perf_counter()
        steps[step]()
        note[f"{step}_seconds"] = time.perf_counter() - mark
        write(options.out, note)
    spark.stop()


if __name__ == "__main__":
    main()
