"""Tables in an object store: Spark writes through s3a, `deltalake` reads the same ones without Java."""

import pyarrow as pa
import pytest

from salesml_assets.config.settings import S3Settings
from salesml_assets.lake.maintenance import remove_old_files
from salesml_assets.lake.spark_tables import read_table, write_months, write_table
from salesml_assets.lake.store import LakeError, Lakehouse


@pytest.fixture
def lake(spark, bucket) -> Lakehouse:
    # The session of the tests was started without credentials and for no store: this bucket gets its own.
    values = {
        "endpoint": bucket,
        "endpoint.region": "us-east-1",
        "path.style.access": "true",
        "connection.ssl.enabled": "false",
        "aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        "access.key": "testing",
        "secret.key": "testing-secret",
    }
    for key, value in values.items():
        spark._jsc.hadoopConfiguration().set(f"fs.s3a.bucket.lake.{key}", value)
    return Lakehouse("s3a://lake/below", S3Settings(endpoint=bucket))


def test_months_in_an_object_store(spark, lake):
    schema = "product string, revenue double, month string"
    assert not lake.exists("sales")
    with pytest.raises(LakeError, match="no table 'sales' in s3a://lake/below"):
        lake.version("sales")

    first = [("a", 1.0, "2011-01"), ("a", 2.0, "2011-02"), ("u", 9.0, "undated")]
    write_table(spark.createDataFrame(first, schema), lake, "sales", month_column="month", run_id="one")
    commit = write_months(spark.createDataFrame([("b", 3.0, "2011-02")], schema), lake, "sales", "month", ["2011-02"])

    assert commit.version == lake.version("sales") == 1
    assert lake.version_of_run("sales", "one") == 0
    assert lake.size("sales").rows == 2
    expected = [("a", 1.0, "2011-01"), ("b", 3.0, "2011-02")]
    assert sorted(lake.read_pandas("sales").itertuples(index=False, name=None)) == expected
    assert sorted(tuple(row) for row in read_table(spark, lake, "sales").collect()) == expected
    assert read_table(spark, lake, "sales", version=0).count() == 3


def test_rows_in_memory_in_an_object_store(spark, lake):
    lake.write_arrow(pa.table({"n": [1, 2]}), "few", run_id="one")
    commit = lake.write_arrow(pa.table({"n": [3]}), "few", run_id="two")

    assert (commit.version, commit.rows_written, commit.run_id) == (1, 1, "two")
    assert read_table(spark, lake, "few").collect() == [(3,)]
    assert read_table(spark, lake, "few", version=0).count() == 2


def test_small_reads_run_no_python_in_threads_of_arrow(bucket, monkeypatch):
    """A process that ended while such a thread closed a file was aborted: `terminate called`, in 2 of 20 exports."""
    lake = Lakehouse("s3a://lake/a lake, 5% full", S3Settings(endpoint=bucket))
    lake.write_arrow(pa.table({"n": [1, 2]}), "few")
    monkeypatch.setattr("deltalake.fs.DeltaStorageHandler.from_table", lambda *_: pytest.fail("Python reads"))

    assert lake.read_arrow("few", filters=[("n", ">", 1)]).to_pydict() == {"n": [2]}


def test_old_files_in_an_object_store_are_removed(bucket):
    lake = Lakehouse("s3a://lake/below", S3Settings(endpoint=bucket))
    lake.write_arrow(pa.table({"n": [1]}), "few")
    lake.write_arrow(pa.table({"n": [2]}), "few")

    assert [remove_old_files(lake, "few", 0) for _ in range(2)] == [1, 0]
    assert lake.read_arrow("few").to_pydict() == {"n": [2]}
