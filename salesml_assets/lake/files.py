"""Files next to the tables: reports, saved models, JSON. One folder per name and version under `{root}/_files`."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from salesml_assets.config.settings import S3Settings
from salesml_assets.lake.s3 import boto_client, bucket_and_key, is_remote
from salesml_assets.text import masked

FOLDER = "_files"


@dataclass(frozen=True)
class Files:
    """Files of the lake, on disk or in an object store. A file is there as a whole, or not at all.

    Attributes:
        root: The lake's root: a folder or s3a://bucket/prefix.
        s3: The object store behind s3a:// addresses. Credentials come from the AWS_* variables, never from here.
        connect: Makes a boto3 client; default: by `lake.s3`.
    """

    root: str
    s3: S3Settings = field(default_factory=S3Settings)
    connect: Callable[[], Any] | None = None

    def path(self, name: str, version: str | int, *parts: str) -> str:
        """The address of a file, or of a version's folder.

        >>> Files("s3a://bucket/lake").path("report", 3, "report.html")
        's3a://bucket/lake/_files/report/3/report.html'

        Raises:
            ValueError: A part is empty or leads out of the folder.
        """
        pieces = [name, str(version), *parts]
        for piece in "/".join(pieces).split("/"):
            if piece in {"", ".", ".."}:
                raise ValueError(f"{'/'.join(pieces)!r} is not a valid path inside the store")
        return "/".join([self.root.rstrip("/"), FOLDER, *pieces])

    def write(self, content: bytes | str, name: str, version: str | int, *parts: str) -> str:
        """Writes a file, replacing an older one, and returns its address. Text is written as UTF-8."""
        data = content.encode() if isinstance(content, str) else content
        address = self.path(name, version, *parts)
        if is_remote(address):
            bucket, key = bucket_and_key(address)
            with closing(self._client()) as client:
                client.put_object(Bucket=bucket, Key=key, Body=data)
        else:
            _replace(Path(address), data)
        return address

    def read(self, name: str, version: str | int, *parts: str) -> bytes:
        """The content of a file.

        Raises:
            FileNotFoundError: There is no such file.
        """
        address = self.path(name, version, *parts)
        if not is_remote(address):
            return Path(address).read_bytes()
        bucket, key = bucket_and_key(address)
        with closing(self._client()) as client:
            try:
                content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
            except client.exceptions.NoSuchKey:
                raise FileNotFoundError(masked(address)) from None
        return content

    def read_text(self, name: str, version: str | int, *parts: str) -> str:
        """The content of a text file.

        Raises:
            FileNotFoundError: There is no such file.
        """
        return self.read(name, version, *parts).decode()

    def list(self, name: str, version: str | int) -> list[str]:
        """The files of a version, as paths below its folder, sorted; none if there is no such version."""
        folder = self.path(name, version)
        if is_remote(folder):
            return sorted(self._remote_names(folder))
        return sorted(
            file.relative_to(folder).as_posix()
            for file in Path(folder).rglob("*")
            if file.is_file() and not file.name.startswith(".")
        )

    def folders(self, name: str) -> dict[str, dt.datetime]:
        """The versions of a name and when each was last written, UTC; none if there is no such name."""
        root = f"{self.root.rstrip('/')}/{FOLDER}/{name}"
        found: dict[str, dt.datetime] = {}
        for version, written in self._remote_times(root) if is_remote(root) else _local_times(Path(root)):
            found[version] = max(written, found.get(version, written))
        return found

    def remove(self, name: str, version: str | int) -> None:
        """Removes a version with all its files."""
        folder = self.path(name, version)
        if not is_remote(folder):
            shutil.rmtree(folder)
            return
        bucket, key = bucket_and_key(folder)
        with closing(self._client()) as client:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{key}/"):
                keys = [{"Key": entry["Key"]} for entry in page.get("Contents", [])]
                if keys:
                    answer = client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
                    if answer.get("Errors"):
                        raise OSError(f"{masked(folder)}: {answer['Errors'][0]['Message']}")

    def _remote_times(self, root: str) -> Iterator[tuple[str, dt.datetime]]:
        bucket, key = bucket_and_key(root)
        with closing(self._client()) as client:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{key}/"):
                for entry in page.get("Contents", []):
                    yield entry["Key"].removeprefix(f"{key}/").partition("/")[0], entry["LastModified"]

    def _remote_names(self, folder: str) -> Iterator[str]:
        bucket, key = bucket_and_key(folder)
        with closing(self._client()) as client:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{key}/"):
                for entry in page.get("Contents", []):
                    yield entry["Key"].removeprefix(f"{key}/")

    def _client(self) -> Any:
        return self.connect() if self.connect else boto_client(self.s3)


def _local_times(root: Path) -> Iterator[tuple[str, dt.datetime]]:
    for file in root.rglob("*"):
        if file.is_file():
            written = dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC)
            yield file.relative_to(root).parts[0], written


def _replace(file: Path, data: bytes) -> None:
    """Writes to a temporary file in the same folder, then renames: a reader sees the old content or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        with fresh.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
