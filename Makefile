# Two commands matter: `make demo` and `make test`. Each builds .venv on first use and is quick afterwards.
PYTHON ?= python3
PROMPT ?= a red rocket rising over the snow at night
# Another model than the one that is configured: make demo MODEL=testcard
MODEL ?=
# Another package index for torch alone, for example PyTorch's own CPU wheels: make demo TORCH_INDEX=https://...
TORCH_INDEX ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# As it was typed: make would read a dollar sign in it as a variable of its own.
export DEMO_PROMPT := $(value PROMPT)
export PIP_NO_INPUT := 1

.PHONY: demo run test lint format bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed  ## one clip, here and now: make demo PROMPT="a red rocket"
	@$(BIN)/matinee make "$$DEMO_PROMPT" $(if $(MODEL),--model $(MODEL)) --sheet

run: $(VENV)/installed  ## the studio, with every chat that has a token
	@$(BIN)/matinee run

# Compiled files are kept whatever the shell says: the suite starts a few hundred processes of ours.
test: $(VENV)/installed-dev  ## the whole suite, on all cores
	@PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: $(VENV)/installed-dev  ## style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/installed-dev
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: $(VENV)/installed-dev  ## every benchmark, ours beside its peer
	@$(BIN)/python -m benchmarks

clean:  ## everything that was built here; data/ and clips/ stay
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Matinee needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Setting up $(VENV); this takes a few minutes, once."
	@$(PYTHON) -m venv $(VENV)
	@$(if $(TORCH_INDEX),$(PIP) --index-url $(TORCH_INDEX) torch,$(PIP) torch)
	@touch $@

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/python
	@$(PIP) --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/python
	@$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/installed
