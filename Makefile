# Two commands matter: `make up` and `make test`. Both install what they need into .venv.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 9090
ARGS ?=

.PHONY: up test check nightly bench format lock docs clean

.venv/ready: requirements.lock pyproject.toml
	@deployment/bootstrap.sh "$(PYTHON)" .venv run
	@touch $@

.venv/dev: .venv/ready requirements-dev.lock
	@deployment/bootstrap.sh "$(PYTHON)" .venv dev
	@touch $@

up: .venv/ready  ## ARK in PAPER mode on the embedded market data; Ctrl-C stops it
	@exec $(BIN)/ark run --port $(PORT) $(ARGS)

test: .venv/dev  ## the whole suite
	@$(BIN)/pytest -n auto -m "not nightly" $(ARGS)

check: .venv/dev  ## format, lint, types, imports, docs fresh
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m docs --check

nightly: .venv/dev  ## everything, the long runs too
	@$(BIN)/pytest -n auto --timeout 3600 $(ARGS)

bench: .venv/dev
	@$(BIN)/python -m benchmarks $(ARGS)

docs: .venv/dev  ## write the generated tables again
	@$(BIN)/python -m docs

format: .venv/dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: .venv/dev  ## resolve dependencies again; nothing younger than a week
	@deployment/lock.sh

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
