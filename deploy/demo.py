"""`python demo.py FILE`: puts a file of sales at the address of `sales.path`, and runs the job `retrain` to its end.

Runs in a container of the stack, against its store and its webserver.
"""

import sys
import time
from contextlib import closing
from pathlib import Path

from dagster import DagsterRunStatus
from dagster_graphql import DagsterGraphQLClient

from salesml_assets.automation.jobs import RETRAIN_JOB, partition_range_tags
from salesml_assets.config.loading import load_settings
from salesml_assets.config.settings import Settings
from salesml_assets.lake.s3 import boto_client, bucket_and_key

ENDED = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}


def upload(file: Path, settings: Settings) -> None:
    """Puts the file into the bucket."""
    bucket, key = bucket_and_key(settings.sales.path)
    with closing(boto_client(settings.s3)) as client:
        client.upload_file(str(file), bucket, key)
    print(f"{file.name} is at {settings.sales.path}", flush=True)


def retrain(settings: Settings, host: str = "webserver", port: int = 3000) -> bool:
    """Queues a run of the whole graph and waits for its end; whether it succeeded."""
    client = DagsterGraphQLClient(host, port_number=port)
    run = client.submit_job_execution(RETRAIN_JOB, tags=partition_range_tags(settings))
    print(f"run {run} of {RETRAIN_JOB}", flush=True)
    status, since = None, time.monotonic()
    while status not in ENDED:
        time.sleep(2)
        now = client.get_run_status(run)
        if now != status:
            print(f"{time.monotonic() - since:5.0f} s  {now.value.lower()}", flush=True)
            status = now
    return status == DagsterRunStatus.SUCCESS


if __name__ == "__main__":
    settings = load_settings()
    upload(Path(sys.argv[1]), settings)
    sys.exit(0 if retrain(settings) else 1)
