"""The files of the lake in Dagster; see `lake.files`."""

from __future__ import annotations

from typing import Any

import dagster as dg
from pydantic import Field

from salesml_assets.config.settings import S3Settings, Settings
from salesml_assets.lake.files import Files


class FileStore(dg.ConfigurableResource):
    """Files of the lake, on disk or in an object store. A file is there as a whole, or not at all."""

    root: str = Field(description="The lake's root: a folder or s3a://bucket/prefix.")
    s3_endpoint: str | None = Field(None, description="Address of an object store that is not AWS.")
    s3_region: str = Field("us-east-1", description="Region of the object store.")

    @classmethod
    def from_settings(cls, settings: Settings) -> FileStore:
        """The files of the lake that the settings name."""
        return cls(root=settings.lake.root, s3_endpoint=settings.s3.endpoint, s3_region=settings.s3.region)

    @property
    def files(self) -> Files:
        """The same files without Dagster."""
        return Files(self.root, S3Settings(endpoint=self.s3_endpoint, region=self.s3_region), self._client)

    def path(self, name: str, version: str | int, *parts: str) -> str:
        """The address of a file, or of a version's folder; see `Files.path`."""
        return self.files.path(name, version, *parts)

    def write(self, content: bytes | str, name: str, version: str | int, *parts: str) -> str:
        """Writes a file and returns its address; see `Files.write`."""
        return self.files.write(content, name, version, *parts)

    def read(self, name: str, version: str | int, *parts: str) -> bytes:
        """The content of a file; see `Files.read`."""
        return self.files.read(name, version, *parts)

    def read_text(self, name: str, version: str | int, *parts: str) -> str:
        """The content of a text file; see `Files.read_text`."""
        return self.files.read_text(name, version, *parts)

    def list(self, name: str, version: str | int) -> list[str]:
        """The files of a version; see `Files.list`."""
        return self.files.list(name, version)

    def _client(self) -> Any:
        from dagster_aws.s3 import S3Resource

        # boto3 finds the credentials in the AWS_* variables, and puts the bucket into the path of any other endpoint.
        return S3Resource(endpoint_url=self.s3_endpoint, region_name=self.s3_region).get_client()
