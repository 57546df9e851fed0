#!/bin/sh
# deploy/backup.sh FOLDER: databases and buckets of the running stack. Arguments of `docker compose`: COMPOSE_ARGS.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
mkdir -p "$1" && folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
umask 077
for name in dagster mlflow; do
  # shellcheck disable=SC2086
  docker compose ${COMPOSE_ARGS:-} exec -T postgres pg_dump --username postgres --format custom "$name" >"$folder/$name.dump.part"
  mv "$folder/$name.dump.part" "$folder/$name.dump"
done
# shellcheck disable=SC2086
docker compose ${COMPOSE_ARGS:-} run --rm --no-deps -T --user "$(id -u):$(id -g)" --volume "$folder:/backup" buckets \
  python /opt/salesml/deploy/copy_buckets.py out /backup sales lake mlflow
