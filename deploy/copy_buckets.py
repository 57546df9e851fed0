"""`python copy_buckets.py out|in FOLDER BUCKET...`: copies buckets to a folder, or from it; objects that match stay.

Copied to a folder: objects of a Delta log last, so that no version is in the copy without its files.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from salesml_assets.config.loading import load_settings
from salesml_assets.lake.s3 import boto_client

THREADS = 8


def copy_out(client: Any, bucket: str, folder: Path) -> int:
    """Copies a bucket to a folder; the number of objects copied."""

    def listed(log: bool) -> list[tuple[str, int]]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        found = [(entry["Key"], entry["Size"]) for page in pages for entry in page.get("Contents", [])]
        # Hadoop's marks of folders have no content and no place among files.
        return [(key, size) for key, size in found if ("/_delta_log/" in key) == log and not key.endswith("/")]

    logs = listed(log=True)
    data = listed(log=False)

    def fetch(entry: tuple[str, int]) -> int:
        key, size = entry
        file = folder / key
        if not file.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{bucket}/{key} would be copied to a place outside of {folder}")
        if file.is_file() and file.stat().st_size == size and "/_delta_log/" not in key:
            return 0  # of an earlier copy: data files are never changed
        file.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, key, str(file))
        return 1

    # The log was listed first: what it names is in the list of data, and in the copy before the log is.
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(fetch, data)) + sum(pool.map(fetch, logs))


def copy_in(client: Any, bucket: str, folder: Path) -> int:
    """Copies a folder into a bucket; the number of objects copied.

    Raises:
        SystemExit: The bucket has objects already.
    """
    if client.list_objects_v2(Bucket=bucket, MaxKeys=1).get("KeyCount"):
        raise SystemExit(f"bucket {bucket} is not empty: restore into a stack with empty volumes")
    files = [file for file in folder.rglob("*") if file.is_file()]
    files.sort(key=lambda file: ("_delta_log" in file.parts, file))
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda file: client.upload_file(str(file), bucket, file.relative_to(folder).as_posix()), files))
    return len(files)


if __name__ == "__main__":
    direction, root, *buckets = sys.argv[1:]
    with closing(boto_client(load_settings().s3)) as store:
        for name in buckets:
            place = Path(root) / "buckets" / name
            place.mkdir(parents=True, exist_ok=True)
            count = (copy_out if direction == "out" else copy_in)(store, name, place)
            print(f"{name}: {count:,} objects copied", flush=True)
