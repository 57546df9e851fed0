#!/bin/sh
# What the official image does at its first start, as far as the stack uses it.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  secret=$(mktemp) && printf '%s' "$POSTGRES_PASSWORD" >"$secret"
  initdb --username="${POSTGRES_USER:-postgres}" --pwfile="$secret" --auth-host=scram-sha-256 --auth-local=trust >/dev/null
  rm "$secret"
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  pg_ctl -w -o "-c listen_addresses=''" start >/dev/null
  for script in /docker-entrypoint-initdb.d/*.sh; do
    [ -f "$script" ] && . "$script"
  done
  pg_ctl -w -m fast stop >/dev/null
fi
exec "$@" -c listen_addresses='*'
