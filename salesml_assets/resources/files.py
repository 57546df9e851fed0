"""Files beside the tables: reports, saved models, JSON. One folder per name and version under `{lake.root}/_files`."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg
from pydantic import Field

from salesml_assets.config.settings import Settings
from salesml_assets.text import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = "_files"


class FileStore(dg.ConfigurableResource):
    """Files of the lake, on disk or in an object store. A file is there as a whole, or not at all."""

    root: str = Field(description="The lake's root: a folder or s3a://bucket/prefix.")
    s3_endpoint: str | None = Field(None, description="Address of an object store that is not AWS.")
    s3_region: str = Field("us-east-1", description="Region of the object store.")

    @classmethod
    def from_settings(cls, settings: Settings) -> FileStore:
        """The files of the lake that the settings name."""
        return cls(root=settings.lake.root, s3_endpoint=settings.s3.endpoint, s3_region=settings.s3.region)

    def path(self, name: str, version: str | int, *parts: str) -> str:
        """The address of a file, or of a version's folder.

        >>> FileStore(root="s3a://bucket/lake").path("report", 3, "report.html")
        's3a://bucket/lake/_files/report/3/report.html'

        Raises:
            ValueError: A part is empty or leads out of the folder.
        """
        pieces = [name, str(version), *parts]
        for piece in "/".join(pieces).split("/"):
            if piece in {"", ".", ".."}:
                raise ValueError(f"{'/'.join(pieces)!r} is no path inside the store")
        return "/".join([self.root.rstrip("/"), FOLDER, *pieces])

    def write(self, content: bytes | str, name: str, version: str | int, *parts: str) -> str:
        """Writes a file, over the old one if there is one, and returns its address. Text is written as UTF-8."""
        data = content.encode() if isinstance(content, str) else content
        address = self.path(name, version, *parts)
        if _is_remote(address):
            bucket, key = _split(address)
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
        if not _is_remote(address):
            return Path(address).read_bytes()
        bucket, key = _split(address)
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
        if _is_remote(folder):
            return sorted(self._remote_names(folder))
        return sorted(
            file.relative_to(folder).as_posix()
            for file in Path(folder).rglob("*")
            if file.is_file() and not file.name.startswith(".")
        )

    def _remote_names(self, folder: str) -> Iterator[str]:
        bucket, key = _split(folder)
        with closing(self._client()) as client:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{key}/"):
                for entry in page.get("Contents", []):
                    yield entry["Key"].removeprefix(f"{key}/")

    def _client(self) -> Any:
        from dagster_aws.s3 import S3Resource

        # boto3 finds the credentials in the AWS_* variables, and puts the bucket into the path of any other endpoint.
        return S3Resource(endpoint_url=self.s3_endpoint, region_name=self.s3_region).get_client()


def _is_remote(address: str) -> bool:
    return "://" in address


def _split(address: str) -> tuple[str, str]:
    bucket, _, key = address.partition("://")[2].partition("/")
    return bucket, key


def _replace(file: Path, data: bytes) -> None:
    """Writes beside the file, then renames: who reads sees the old content or the new one."""
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
