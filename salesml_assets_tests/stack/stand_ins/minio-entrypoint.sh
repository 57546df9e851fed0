#!/bin/sh
# `server FOLDER ...` with MinIO's variables, carried out by the Versity S3 gateway on the same folder and port.
set -eu
[ "$1" = server ] || exec "$@"
export ROOT_ACCESS_KEY="$MINIO_ROOT_USER" ROOT_SECRET_KEY="$MINIO_ROOT_PASSWORD"
exec versitygw --port :9000 --health /minio/health/live --keep-alive --quiet posix "$2"
