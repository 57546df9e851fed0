"""Whether an object store answers and takes the credentials, found out in seconds and without Java."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from salesml_assets.config.settings import ConfigurationError

if TYPE_CHECKING:
    from salesml_assets.config.settings import Settings

SECONDS = 5  # to connect, and to answer
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_REJECTED = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "Forbidden", "403", "401", "InvalidToken",
             "ExpiredToken", "TokenRefreshRequired"}  # fmt: skip
_NO_BUCKET = {"NoSuchBucket", "404"}


def check_store(settings: Settings, address: str, key: str) -> None:
    """Asks the object store for one name below an address; nothing happens for an address on disk.

    Args:
        settings: The settings; the section `s3` is used.
        address: Folder, or s3a://bucket/prefix.
        key: The key of the settings that names the address.

    Raises:
        ConfigurationError: The store does not answer, or rejects the credentials, or there is no such bucket.
    """
    if not address.startswith(("s3a://", "s3://")):
        return
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

    if not all(os.environ.get(name) for name in CREDENTIALS):  # Spark knows no other place of them
        raise ConfigurationError(f"{key}: {address!r} needs credentials: set {' and '.join(CREDENTIALS)}")
    bucket, _, prefix = address.partition("://")[2].partition("/")
    endpoint = settings.s3.endpoint or f"https://s3.{settings.s3.region}.amazonaws.com"
    config = Config(
        connect_timeout=SECONDS,
        read_timeout=SECONDS,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path" if settings.s3.path_style else "virtual"},
    )
    try:
        # A session of its own: boto3's default one keeps the credentials that it found first.
        session = boto3.session.Session()
        client = session.client("s3", endpoint_url=settings.s3.endpoint, region_name=settings.s3.region, config=config)
        with closing(client):
            client.list_objects_v2(Bucket=bucket, Prefix=prefix.split("*")[0], MaxKeys=1)
    except (ConnectionError, HTTPClientError) as error:
        raise ConfigurationError(
            f"s3.endpoint: {endpoint!r} does not answer ({type(error).__name__.removesuffix('Error')}), so {key} "
            f"({address}) cannot be reached; is the store up, and the address right?"
        ) from None
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _REJECTED:
            raise ConfigurationError(
                f"{key}: {endpoint!r} rejects the credentials for {address} ({code}): check {' and '.join(CREDENTIALS)}"
            ) from None
        if code in _NO_BUCKET:
            raise ConfigurationError(f"{key}: there is no bucket {bucket!r} in {endpoint!r}, for '{address}'") from None
        raise ConfigurationError(f"{key}: {endpoint!r} refuses to list {address} ({code})") from None
    except BotoCoreError as error:
        raise ConfigurationError(f"s3.endpoint: {endpoint!r} cannot be asked: {error}") from None
