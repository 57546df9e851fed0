#!/bin/sh
# deploy/restore.sh FOLDER: databases and buckets of a backup, into a stack whose volumes are empty.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
# shellcheck disable=SC2086
compose() { docker compose ${COMPOSE_ARGS:-} "$@"; }
compose up --detach --wait --no-build postgres minio
compose run --rm --no-deps -T buckets
compose run --rm --no-deps -T --user "$(id -u):$(id -g)" --volume "$folder:/backup" buckets \
  python /opt/salesml/deploy/copy_buckets.py in /backup sales lake mlflow
for name in dagster mlflow; do
  compose exec -T postgres pg_restore --username postgres --dbname "$name" --exit-on-error <"$folder/$name.dump"
done
echo "restored from $folder; now: make up"
