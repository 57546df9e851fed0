#!/bin/sh
# One database and one user for each of Dagster and MLflow; run by the image at its first start.
set -eu
for name in dagster mlflow; do
  secret=$(printenv "$(echo $name | tr a-z A-Z)_POSTGRES_PASSWORD")
  psql --quiet --no-psqlrc -v ON_ERROR_STOP=1 -v name="$name" -v secret="$secret" --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE USER :"name" PASSWORD :'secret';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
