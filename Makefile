# The main commands are `make run` and `make test`; each does all its set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup run docs pictures airflow secrets test test-rest test-all test-long bench \
	measure-demo measure-erasure lint columns lock sbom release clean

PYTHON ?= python3
# The machine's uv if it exists, otherwise one installed below .tools.
UV := $(shell command -v uv || echo .tools/uv/bin/uv)
WORKBOOK ?=
ARGS ?=

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready ## Create the environment in .venv

.venv/.ready: pyproject.toml uv.lock
	@# pip warns of running as root and of newer versions of itself, which matters to no later step.
	@[ -x "$(UV)" ] || { echo "downloading uv (20 MiB)"; \
		$(PYTHON) -m pip install --quiet --target .tools/uv --disable-pip-version-check \
		--root-user-action=ignore --no-warn-script-location "uv>=0.9,<1"; }
	@echo "creating the environment in .venv: 1.2 GB to download, unless they are in uv's cache"
	@# Compile once here, so that every command starts seconds sooner.
	@set -o pipefail; "$(UV)" sync --frozen --compile-bytecode 2>&1 | $(PYTHON) -m lakehouse.uv_progress
	@touch $@

run: .venv/.ready ## Run the whole job: make run WORKBOOK=file.xlsx [ARGS="--extract-date 2025-01-01"], or without a workbook the demo
	@.venv/bin/churn $(if $(WORKBOOK),run "$(WORKBOOK)",demo) $(ARGS)

airflow: .venv/.ready ## Start Airflow on loopback, with the DAG 01_etl
	@.venv/bin/churn airflow up

docs: .venv/.ready ## Build the documentation site in site/; it needs no network
	@.venv/bin/python -m docsite

pictures: .venv/.ready ## Make the pictures of the README, in the demo's home; requires Chromium
	@.venv/bin/python -m docsite.pictures

secrets: .venv/.ready ## Write the stack's secrets to .env, to manage them yourself
	@.venv/bin/python -m lakehouse.stack_secrets .env

# One process per core; tests that share a home and its server stay in one process.
PYTEST := .venv/bin/python -m pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder

test: .venv/.ready ## Run lint, types, unit and component tests: is a change correct?
	@$(MAKE) --no-print-directory lint
	@$(PYTEST) tests/unit tests/component $(ARGS)

test-rest: .venv/.ready ## Run fuzzing and end-to-end tests: command line, Airflow, cluster, faults, browser
	@$(PYTEST) tests/fuzz tests/e2e $(ARGS)

test-all: test test-rest ## Run everything that CI runs

test-long: .venv/.ready ## Run the long tests: many seeds, load
	@.venv/bin/python -m pytest -m long $(ARGS)

bench: .venv/.ready ## Compare with alternatives: takes an hour, on an otherwise idle machine
	@"$(UV)" sync --frozen --quiet --group bench
	@# Additional servers are started with the tests' code.
	@PYTHONPATH=tests/support .venv/bin/python -m benchmarks $(ARGS)

measure-demo: .venv/.ready ## Measure what the demo needs, for the README; on an otherwise idle machine
	@PYTHONPATH=tests/support .venv/bin/python -m benchmarks.demo

measure-erasure: .venv/.ready ## Measure how long erasures take; on an otherwise idle machine
	@PYTHONPATH=tests/support .venv/bin/python -m benchmarks.erasure

LINTERS := lint-python lint-types lint-imports lint-dependencies lint-sql lint-columns lint-docker \
	lint-secrets lint-language lint-licenses lint-workflows
.PHONY: $(LINTERS)

lint: .venv/.ready ## Check code, types, imports, SQL, licences, secrets, Dockerfile, compose file and workflows
	@$(MAKE) --no-print-directory --jobs 2 --output-sync $(LINTERS)

lint-python:
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

lint-types:
	@.venv/bin/mypy

lint-imports:
	@.venv/bin/lint-imports

lint-dependencies:
	@.venv/bin/deptry --no-ansi .

lint-sql:
	@.venv/bin/sqlfluff lint models tests/gate

lint-columns:
	@.venv/bin/python -m lakehouse.dbt_project --check

lint-docker:
	@.venv/bin/hadolint docker/spark/Dockerfile
	@.venv/bin/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml

# Excluded files contain hashes, or the names of settings and of Kubernetes' objects that are secrets.
lint-secrets:
	@.venv/bin/detect-secrets-hook --exclude-files '^(uv.lock|lakehouse/jars.toml|docs/settings.md|docker/helm/.*|tests/unit/test_chart.py)$$' $$(git ls-files)

lint-language:
	@.venv/bin/codespell $$(git ls-files)
	@.venv/bin/python tests/lint_language.py

lint-licenses:
	@.venv/bin/python tests/lint_licenses.py

lint-workflows:
	@.venv/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@.venv/bin/check-jsonschema --quiet --builtin-schema vendor.gitlab-ci .gitlab-ci.yml

columns: .venv/.ready ## Write the columns that dbt_project.yml declares into the models' YAML
	@.venv/bin/python -m lakehouse.dbt_project

lock: ## Upgrade uv.lock
	@"$(UV)" lock --upgrade

sbom: .venv/.ready ## Write the bill of materials (CycloneDX) to dist/bom.cdx.json
	@mkdir -p dist
	@.venv/bin/python -m churn.reports.bill_of_materials > dist/bom.cdx.json

release: .venv/.ready ## Build and sign a release: make release VERSION=1.2.3 KEY=~/.ssh/id_ed25519 [ARGS=--image]
	@PATH="$(dir $(abspath $(UV))):$$PATH" .venv/bin/python .ci/release.py "$(VERSION)" --key "$(KEY)" $(ARGS)

clean: ## Remove everything that commands created, CHURN_HOME included
	@[ ! -x .venv/bin/churn ] || { .venv/bin/churn down && .venv/bin/churn --demo down; }
	@rm -rf .venv .tools .churn .churn-demo dist site target logs
