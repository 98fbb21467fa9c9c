# Handover. Every target does its own set-up: a bare machine needs `make` and Python 3.11 or newer, nothing else.

PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,$(if $(shell $(p) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo yes),$(p))))
ORDERS ?= 200
TEST_ARGS ?= -n auto --dist loadfile
BIN := .venv/bin
STAMP := .venv/.installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore
LOCK = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 pyproject.toml

.PHONY: help setup demo up env test test-containers test-fresh simulate test-planted faults bench check docs lock clean
.DEFAULT_GOAL := help

help: ## What can be made
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 26

setup: $(STAMP) ## The environment in .venv, from requirements.lock (the other targets do it by themselves)
	@:

$(STAMP): requirements.lock pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
	  echo "Handover needs Python 3.11 or newer with its venv module; python3 here is: $$(python3 --version 2>&1 || true)." >&2; \
	  echo "Install one (on Debian and Ubuntu also python3-venv), or say which to take: make PYTHON=/path/to/python3.13 ..." >&2; \
	  exit 1; fi
	@echo "Setting up .venv with $$($(PYTHON) --version): once, and when the lock file changes; this takes a minute or two."
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@$(PIP) --only-binary :all: --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## Play a day in a shop on this machine: ORDERS=200
	@$(BIN)/handover demo --orders $(ORDERS)

up: $(STAMP) ## The whole system, kept running; Ctrl-C stops it, data stays in .handover
	@$(BIN)/handover up

env: $(STAMP) ## Secrets for the containers, in .env; then: docker compose up --wait
	@if [ -e .env ]; then echo ".env is there already; it stays as it is."; else \
	  umask 077 && $(BIN)/handover env > .env && echo "Wrote .env with fresh secrets."; fi

test: $(STAMP) ## All tests that need nothing but this machine
	@$(BIN)/pytest $(TEST_ARGS)

test-containers: $(STAMP) ## The tests that need Docker: real Kafka and PostgreSQL
	@HANDOVER_CONTAINERS=required $(BIN)/pytest -m containers

test-fresh: $(STAMP) ## Requests, events and bytes drawn from a fresh seed: HANDOVER_FUZZ_SEED=… repeats one
	@$(BIN)/pytest -m fresh $(TEST_ARGS)

simulate: $(STAMP) ## Ten thousand orders in memory, everything around the services breaking
	@$(BIN)/handover simulate

test-planted: $(STAMP) ## That the simulator finds faults: each of many put into the code, one at a time
	@$(BIN)/pytest -m planted -n auto

faults: $(STAMP) ## Break the system on real parts for half an hour and judge it (Docker): FAULTS="--short", "--seed 7 --rounds 3"
	@$(BIN)/python -m tests.faults $(FAULTS)

bench: $(STAMP) .venv/.bench ## Measure against real Kafka and PostgreSQL: ARGS="throughput scan --kafka 127.0.0.1:9092"
	@$(BIN)/python -m benchmarks $(ARGS)

.venv/.bench: benchmarks/requirements.lock $(STAMP)
	@$(PIP) --only-binary :all: --require-hashes -r benchmarks/requirements.lock
	@touch $@

check: $(STAMP) ## Style, types, import rules, generated documents
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/handover docs --check

docs: $(STAMP) ## Write the generated documents again
	@$(BIN)/handover docs

lock: $(STAMP) ## Take the newest versions that pyproject.toml allows into the lock files
	@$(LOCK) --upgrade --extra embedded --extra dev -o requirements.lock
	@$(LOCK) --constraint requirements.lock -o deploy/requirements.lock
	@$(LOCK) --constraint requirements.lock --extra embedded --extra bench -o benchmarks/requirements.lock
	@echo "Wrote requirements.lock, deploy/requirements.lock and benchmarks/requirements.lock; run make test, then commit them."

clean: ## Remove the environment and caches; data in .handover stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
