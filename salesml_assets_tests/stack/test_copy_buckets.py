"""Backup of buckets: out and in again, byte for byte, with the log after the data."""

from __future__ import annotations

import runpy
from contextlib import closing
from pathlib import Path

import boto3
import pytest

copies = runpy.run_path(str(Path(__file__).parents[2] / "deploy" / "copy_buckets.py"))
OBJECTS = {
    "salesml/sales/_delta_log/00000000000000000000.json": b"{}",
    "salesml/sales/month=2011-01/part-0.parquet": b"PAR1",
    "salesml/_files/report/run/report.html": "Früh".encode(),
}


@pytest.fixture
def client(bucket):
    with closing(boto3.client("s3", endpoint_url=bucket, region_name="us-east-1")) as made:
        yield made


def stored(client, bucket):
    listed = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {entry["Key"]: client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read() for entry in listed}


def test_a_bucket_goes_out_and_comes_back(client, tmp_path):
    for key, body in OBJECTS.items():
        client.put_object(Bucket="lake", Key=key, Body=body)
    client.put_object(Bucket="lake", Key="salesml/features/3f2a/", Body=b"")  # a mark of a folder, as Hadoop makes them
    client.put_object(Bucket="lake", Key="salesml/sales/_delta_log/", Body=b"")
    assert copies["copy_out"](client, "lake", tmp_path) == len(OBJECTS)
    # A second copy takes the log again, and no data that it has.
    assert copies["copy_out"](client, "lake", tmp_path) == 1
    client.create_bucket(Bucket="other")
    assert copies["copy_in"](client, "other", tmp_path) == len(OBJECTS)
    assert stored(client, "other") == OBJECTS
    with pytest.raises(SystemExit, match="bucket other is not empty"):
        copies["copy_in"](client, "other", tmp_path)


def test_a_name_cannot_leave_the_folder(client, tmp_path):
    client.put_object(Bucket="lake", Key="a/../../../evil", Body=b"x")
    with pytest.raises(ValueError, match="outside"):
        copies["copy_out"](client, "lake", tmp_path / "backup")
    assert not list(tmp_path.rglob("evil"))
