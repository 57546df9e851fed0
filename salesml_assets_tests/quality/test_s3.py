"""Sources behind s3a:// addresses, read from a real S3 server on loopback."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pyspark.sql import SparkSession

from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.quality.mapping import with_month
from salesml_assets.quality.source import preflight, read_source
from salesml_assets_tests.quality import defects
from salesml_assets_tests.quality.defects import SETTINGS, TODAY
from salesml_assets_tests.quality.summary import split

pytestmark = pytest.mark.stack
BUCKET = "processed-data"


@pytest.fixture(scope="module")
def bucket(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[defects.Delivery]:
    """A bucket with the same delivery in three formats; the session reaches it by settings of this bucket alone."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    store = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    store.create_bucket(Bucket=BUCKET)
    made, folder = defects.delivery(3, good=60, bad_of_each=1), tmp_path_factory.mktemp("s3")
    for kind, write in (("parquet", defects.write_parquet), ("csv", defects.write_csv), ("json", defects.write_json)):
        write(made, folder / kind)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        store.put_object(Bucket=BUCKET, Key=f"sales/{file.relative_to(folder)}", Body=file.read_bytes())
    conf = spark._jsc.hadoopConfiguration()  # type: ignore[union-attr]
    for bucket in (BUCKET, "elsewhere"):
        provider = "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider"
        for key, value in {
            "endpoint": endpoint,
            "endpoint.region": "us-east-1",
            "path.style.access": "true",
            "connection.ssl.enabled": "false",
            "aws.credentials.provider": provider,
            "access.key": "test",
            "secret.key": "test",
        }.items():
            conf.set(f"fs.s3a.bucket.{bucket}.{key}", value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("S3_OF_THE_TEST", endpoint)
        yield made
    store.close()
    server.stop()


def settings_of(settings_for: Callable[..., Settings], path: str, kind: str) -> Settings:
    """The settings of the planned defects for another path."""
    store = {"endpoint": os.environ["S3_OF_THE_TEST"]}
    return settings_for(**SETTINGS | {"sales": SETTINGS["sales"] | {"path": path, "format": kind}, "s3": store})


@pytest.mark.parametrize("kind", ["parquet", "csv", "json"])
def test_sources_on_s3(
    kind: str, bucket: defects.Delivery, spark: SparkSession, settings_for: Callable[..., Settings]
) -> None:
    settings = settings_of(settings_for, f"s3a://{BUCKET}/sales/{kind}", kind)
    broken = {"parquet": 0, "csv": len(defects.CSV_BROKEN), "json": len(defects.JSON_BROKEN)}[kind]
    assert preflight(spark, settings).rows == len(bucket.rows) + broken
    accepted, quarantined = split(with_month(read_source(spark, settings), settings, TODAY), settings, TODAY)
    good = {row["line"] for row in bucket.rows} - bucket.reasons.keys()
    assert accepted.count() == len(good)
    assert quarantined.count() == len(bucket.rows) + broken - len(good)


def test_delta_on_s3(bucket: defects.Delivery, spark: SparkSession, settings_for: Callable[..., Settings]) -> None:
    path = f"s3a://{BUCKET}/delta/sales"
    parquet = settings_of(settings_for, f"s3a://{BUCKET}/sales/parquet", "parquet")
    read_source(spark, parquet).write.format("delta").save(path)
    assert read_source(spark, settings_of(settings_for, path, "delta")).count() == len(bucket.rows)


def test_what_is_not_on_s3(
    bucket: defects.Delivery, spark: SparkSession, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    for path in (f"s3a://{BUCKET}/nothing/here", "s3a://elsewhere/sales"):
        with pytest.raises(ConfigurationError, match=rf"^sales\.path: .*'{path}'") as caught:
            preflight(spark, settings_of(settings_for, path, "parquet"))
        assert "\n" not in str(caught.value)
