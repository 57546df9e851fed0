#!/usr/bin/env bash
# Builds what docker-compose.yml pulls, from Debian packages and Go modules, under the same tags; for machines that
# reach package registries and no image registry. Prints one line per image: tag, and what it really contains.
# An image that exists already is kept. Needs a running Docker engine, debootstrap and Go; takes some ten minutes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
export DOCKER_BUILDKIT=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tag() { grep -oE "image: $1:[^ ]+" "$root/docker-compose.yml" | head -1 | cut -d' ' -f2; }
missing() { ! docker image inspect "$1" >/dev/null 2>&1; }

if missing debian:bookworm-slim; then
  mirror=$(grep -hoE '^(URIs:|deb) *(\[[^]]*\])? *[^ ]+' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    awk 'NR == 1 {print $NF}' || true)
  debootstrap --variant=minbase --include=ca-certificates bookworm "$work/root" "$mirror" >"$work/debootstrap.log" ||
    { tail -20 "$work/debootstrap.log" >&2; exit 1; }
  rm -rf "$work"/root/var/cache/apt/* "$work"/root/var/lib/apt/lists/* "$work"/root/usr/share/{doc,locale,man}/*
  tar -C "$work/root" -c . | docker import - debian:bookworm-slim >/dev/null
  rm -rf "$work/root"
fi
mkdir "$work/base"
cp /etc/ssl/certs/ca-certificates.crt "$work/base/"
if missing python:3.11-slim-bookworm; then
  docker build --quiet --network host --tag python:3.11-slim-bookworm --file "$here/base.Dockerfile" "$work/base" >/dev/null
fi

mkdir "$work/servers"
cp "$here"/*-entrypoint.sh "$work/servers/"
go_binary() { # package, version, name of the binary
  if [ ! -x "$here/.cache/$3" ]; then
    mkdir -p "$here/.cache"
    GOBIN="$work/bin" GOFLAGS=-mod=mod CGO_ENABLED=0 go install -trimpath "-ldflags=-s -w" "$1@$2" >&2
    mv "$work/bin/$3" "$here/.cache/"
  fi
  install -m 755 "$here/.cache/$3" "$work/servers/"
}
server() { # target of debian.Dockerfile, image
  local image
  image=$(tag "$2")
  if missing "$image"; then
    case $1 in
    minio) go_binary github.com/versity/versitygw/cmd/versitygw latest versitygw ;;
    mailpit) go_binary github.com/axllent/mailpit latest mailpit ;;
    esac
    touch "$work/servers/versitygw" "$work/servers/mailpit"
    docker build --quiet --network host --tag "$image" --target "$1" --file "$here/debian.Dockerfile" "$work/servers" >/dev/null
  fi
}
server postgres postgres
server haproxy haproxy
server prometheus prom/prometheus
server alertmanager prom/alertmanager
server mailpit axllent/mailpit
server minio minio/minio

contents() { docker run --rm --network none --entrypoint sh "$1" -c "$2" 2>&1 | head -1; }
package() { contents "$(tag "$1")" "dpkg-query -W -f '\${Package} \${Version}' $2"; }
echo "stand-in python:3.11-slim-bookworm: Debian $(contents python:3.11-slim-bookworm 'dpkg-query -W -f "\${Package} \${Version}" python3.11')"
echo "stand-in $(tag postgres): Debian $(package postgres postgresql-15)"
echo "stand-in $(tag haproxy): Debian $(package haproxy haproxy)"
echo "stand-in $(tag prom/prometheus): Debian $(package prom/prometheus prometheus)"
echo "stand-in $(tag prom/alertmanager): Debian $(package prom/alertmanager prometheus-alertmanager)"
module() { go version -m "$here/.cache/$1" | awk '$1 == "mod" {print $2, $3}'; }
echo "stand-in $(tag axllent/mailpit): Go module $(module mailpit)"
echo "stand-in $(tag minio/minio): another S3 server, Go module $(module versitygw)"
echo "not built: $(tag grafana/grafana): no registry here has it"
