#!/usr/bin/env bash
# engine.sh up|down: a Docker engine with its compose plug-in, of the tests' own, on a Debian machine without one.
# `up` installs what is missing (Debian's docker.io; the plug-in as a Go module) and prints the variables of the shell.
# Needs root. Its data are in SALESML_ENGINE (default /var/lib/salesml-engine), so images are built once a machine.
set -euo pipefail
home=${SALESML_ENGINE:-/var/lib/salesml-engine}
export DOCKER_HOST=unix://$home/docker.sock
case ${1:-} in
up)
  mkdir -p "$home"
  if ! command -v dockerd >/dev/null || ! command -v debootstrap >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables debootstrap
  fi >"$home/install.log" 2>&1
  if ! docker compose version >/dev/null 2>&1; then
    bin=$(mktemp -d)
    GOBIN=$bin GOFLAGS=-mod=mod CGO_ENABLED=0 go install github.com/docker/compose/v2/cmd@v2.32.4 >>"$home/install.log" 2>&1
    mkdir -p ~/.docker/cli-plugins && mv "$bin/cmd" ~/.docker/cli-plugins/docker-compose && rmdir "$bin"
  fi
  if ! docker info >/dev/null 2>&1; then
    rm -f "$home/pid"
    setsid dockerd --data-root "$home/data" --exec-root "$home/exec" --host "$DOCKER_HOST" --pidfile "$home/pid" \
      --default-ulimit nofile=20000:20000 >"$home/log" 2>&1 </dev/null &
    for _ in $(seq 60); do
      docker info >/dev/null 2>&1 && break
      sleep 1
    done
  fi
  docker info >/dev/null || { tail -5 "$home/log" >&2; exit 1; }
  echo "export DOCKER_HOST=$DOCKER_HOST" ;;
down)
  [ ! -f "$home/pid" ] || kill "$(cat "$home/pid")" ;;
*)
  echo "usage: $0 up|down" >&2
  exit 2 ;;
esac
