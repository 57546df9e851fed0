"""This project's feature step alone, with the project's own Python: reads series, adds features, writes the table.

    .venv/bin/python -m benchmarks.feature_step SERIES.parquet OUT_FOLDER

SERIES.parquet has the columns of the table `sales_series`. Settings come from SALESML_CONFIG. Prints one JSON object.
"""

from __future__ import annotations

import functools
import json
import sys
import time


def main() -> None:
    """Command line."""
    source, out = sys.argv[1:]
    from salesml_assets.config.loading import load_settings
    from salesml_assets.forecasting.features import add_features, feature_spec
    from salesml_assets.spark.partitions import map_series
    from salesml_assets.spark.session import spark_session

    started = time.perf_counter()
    settings = load_settings()
    with spark_session(settings) as spark:
        session_seconds = time.perf_counter() - started
        mark = time.perf_counter()
        series = spark.read.parquet(source)
        function = functools.partial(add_features, spec=feature_spec(settings, {}))
        features = map_series(series, function, series.count())
        features.write.format("delta").mode("overwrite").save(out)
        seconds = time.perf_counter() - mark
        rows = spark.read.format("delta").load(out).count()
    print(json.dumps({"session_seconds": session_seconds, "features_seconds": seconds, "rows": rows}))


if __name__ == "__main__":
    main()
