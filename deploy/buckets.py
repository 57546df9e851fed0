"""`python buckets.py NAME...`: creates the buckets that are missing in the store of the settings."""

import sys
from contextlib import closing

from salesml_assets.config.loading import load_settings
from salesml_assets.lake.s3 import boto_client

with closing(boto_client(load_settings().s3)) as client:
    existing = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for name in sys.argv[1:]:
        if name not in existing:
            client.create_bucket(Bucket=name)
            print(f"bucket {name} created")
