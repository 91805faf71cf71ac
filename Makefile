# `make help` lists the targets. The first call of a target creates .venv, which takes a few minutes.
PYTHON ?= python3
PROMPT ?= a red rocket rising over the snow at night
# A model other than the configured default: make demo MODEL=testcard
MODEL ?=
# The package index for torch, for example PyTorch's CPU wheels: make demo TORCH_INDEX=https://...
TORCH_INDEX ?=
# The folder of the virtual environment. A second one tests another Python: make quick PYTHON=python3.13 VENV=.venv-3.13
VENV ?= .venv

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Bytecode files are kept even if the shell forbids them: the tests start a few hundred Python processes.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder
# `value` keeps a dollar sign in the prompt, which make would otherwise expand as a variable.
export DEMO_PROMPT := $(value PROMPT)
export PIP_NO_INPUT := 1

.PHONY: help demo run test quick check lint format bench layers transcripts clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed  ## Make one clip in ./clips: make demo PROMPT="a red rocket"
	@$(BIN)/matinee make "$$DEMO_PROMPT" $(if $(MODEL),--model $(MODEL)) --sheet

run: $(VENV)/installed  ## Run the bot on every chat that has a token
	@$(BIN)/matinee run

check: lint quick  ## Lint and the quick tests, in under two minutes: run it before every commit

test: $(VENV)/installed-dev  ## Run all tests on all cores
	@$(PYTEST)

quick: $(VENV)/installed-dev  ## Run the tests that are not marked slow
	@$(PYTEST) -m "not slow"

lint: $(VENV)/installed-dev  ## Check style, types and the import layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/installed-dev  ## Fix style where a tool can
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: $(VENV)/installed-dev  ## Run all benchmarks, each next to a comparable tool
	@$(BIN)/python -m benchmarks

layers: $(VENV)/installed-dev  ## Update the layer picture in docs/architecture.md
	@$(BIN)/python -m tests.architecture.layer_picture docs/architecture.md

transcripts: $(VENV)/installed-dev  ## Update the two chat transcripts in docs/
	@$(BIN)/python -m tests.fakes.discord_transcript docs
	@$(BIN)/python -m tests.fakes.telegram_transcript docs

clean:  ## Delete everything that was built here; data/ and clips/ stay
	@rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Matinee needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Creating $(VENV); this takes a few minutes, once."
	@$(PYTHON) -m venv $(VENV)
	@$(if $(TORCH_INDEX),$(PIP) --index-url $(TORCH_INDEX) torch,$(PIP) torch)
	@touch $@

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/python
	@$(PIP) --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/python
	@$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/installed
