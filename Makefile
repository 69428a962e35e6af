# Every command of the project. What it needs is installed into .venv when it is first asked for.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
# Four processes, also on two cores: most tests wait for others. ARGS=-n0 takes one.
SIDES  ?= -n 4 --dist worksteal

export PIP_DISABLE_PIP_VERSION_CHECK = 1

BIN := $(VENV)/bin
UV  := $(shell command -v uv 2>/dev/null)

ifdef UV
MAKE_VENV = uv venv -q --allow-existing --python "$(PYTHON)" $(VENV)
INSTALL   = uv pip install -q --python $(BIN)/python -c constraints.txt
else
MAKE_VENV = "$(PYTHON)" -m venv $(VENV)
INSTALL   = $(BIN)/python -m pip install -q -c constraints.txt
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint types crash bench fmt venv clean

help:  ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## Run the example on http://127.0.0.1:5001
	$(BIN)/python examples/photos/main.py

test: lint types  ## Check everything; a part of the tests with ARGS="-k word"
	$(BIN)/python -m pytest $(SIDES) $(ARGS)

lint: $(VENV)/.dev  ## Check style, format and the floors of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(VENV)/.dev  ## Check types
	$(BIN)/mypy

crash: $(VENV)/.dev  ## Kill servers under load: make crash KILLS=200
	KILLS=$(or $(KILLS),50) $(BIN)/python -m pytest tests/test_survival.py -k random_kills -s

bench: $(VENV)/.bench  ## Measure: run every script in benchmarks/
	@for script in $(wildcard benchmarks/*.py); do \
		echo "$$script"; $(BIN)/python "$$script" || exit 1; \
	done

fmt: $(VENV)/.dev  ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

venv: $(VENV)/.dev  ## Install everything for development into .venv

clean:  ## Remove .venv, caches and builds
	rm -rf $(VENV) dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# The stamps, and not .venv itself, tell what is done: a venv that was half made is made again.
$(VENV)/.made:
	$(MAKE_VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml constraints.txt
	$(INSTALL) -e ".[demo]"
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	$(INSTALL) -e ".[dev]"
	@touch $@ $(VENV)/.demo

$(VENV)/.bench: $(VENV)/.dev
	$(INSTALL) -e ".[dev,bench]"
	@touch $@
