# `make run`, `make test` and `make ui` need only Python 3.11 to 3.14; the set-up installs everything else, once.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null \
	&& command -v $$python && break; done)
ARGS ?=
BIN := .venv/bin
SETUP = $(if $(PYTHON),$(PYTHON) tools/setup.py,$(error There is no Python 3.11 to 3.14 on the PATH: \
	install one, or name it with `make PYTHON=/path/to/python3`))

.DEFAULT_GOAL := help
.PHONY: help run ui notebook test check docs audit benchmark format lock setup setup-dev clean image up down demo test-stack

help:  ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

run: setup  ## Materialize the whole graph with the settings of salesml.yaml (ARGS='--help' for options)
	@$(BIN)/salesml run $(ARGS)

ui: setup  ## Open the Dagster UI on the same state
	@$(BIN)/salesml ui $(ARGS)

notebook: setup  ## Run the validation notebook on the current results (ARGS=FOLDER for another place)
	@$(BIN)/salesml notebook $(ARGS)

test: setup-dev  ## Run all tests (ARGS='-k name' for a selection, ARGS='-n 0' without parallel workers)
	@$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup-dev  ## Lint, format, types, import contracts, secrets
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline

audit: setup-dev  ## Look the locked packages up in PyPI's list of known vulnerabilities; needs a network
	$(BIN)/pip-audit --require-hashes --disable-pip --requirement requirements.lock
	$(BIN)/pip-audit --require-hashes --disable-pip --requirement deploy/mlflow/requirements.lock

docs: setup-dev  ## Build the documentation site into build/site, with warnings as errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

benchmark: setup  ## Benchmark this project and two peers; takes hours (ARGS='--help' for parts)
	@$(BIN)/python -m benchmarks.run $(ARGS)

format: setup-dev  ## Format, and fix what can be fixed automatically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup:  ## Environment, packages and jars for runs
	@$(SETUP)

setup-dev:  ## Set-up, including the tools for tests and checks
	@$(SETUP) --dev

# Needs uv. The locks contain versions and hashes, no addresses; locked versions are kept where pyproject.toml allows.
COMPILE := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-header --extra build
lock:  ## Recompile the locks after a change of pyproject.toml (UPGRADE=--upgrade for new versions)
	$(COMPILE) $(UPGRADE) --output-file requirements.lock
	$(COMPILE) $(UPGRADE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock

# The production stack: docs/operations.md. Needs Docker with its compose plug-in, nothing else.
COMPOSE := docker compose
DEMO := DEMO=true SALES_PATH=s3a://sales/online_retail.parquet $(COMPOSE) --env-file .env.example

image:  ## Build the stack's images
	$(COMPOSE) --env-file .env.example build $(ARGS)

up:  ## Start the production stack with the values of .env, and wait until it is healthy
	@test -f .env || { echo 'There is no .env: copy .env.example, and set its secrets (docs/operations.md)' >&2; exit 2; }
	$(COMPOSE) up --detach --wait $(ARGS)

down:  ## Stop the production stack; its volumes stay (ARGS=--volumes removes them, and all data)
	@$(COMPOSE) --env-file .env.example --profile trial down $(ARGS)

demo:  ## Start the stack with placeholder secrets, on loopback only, and run the shipped sales through it
	$(DEMO) up --detach --wait $(ARGS)
	$(DEMO) run --rm --no-deps --volume ./data:/data:ro buckets python /opt/salesml/deploy/demo.py /data/online_retail.parquet
	@sed -n 's/^# page //p' docker-compose.yml

test-stack: setup-dev  ## Start the very stack from nothing, and test it; takes 25 minutes and a Docker engine
	@$(BIN)/pytest -m container --capture=no salesml_assets_tests/stack $(ARGS)

clean:  ## Remove the environment and the jars; keeps the lake
	rm -rf .venv .salesml/jars .salesml/java
