# Two commands do everything on a fresh machine with Python 3.11 or newer: `make demo`, `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help demo test test-golden lint clean

help:
	@echo "make demo         set up, then cluster, train and test on a small rendered town (minutes)"
	@echo "make test         set up, then lint, type-check and run the tests"
	@echo "make test-golden  compare whole evaluations with pytorch-NetVlad's own (minutes; real data)"
	@echo "make clean        remove what these made"

demo: $(VENV)/.installed
	$(BIN)/netvlad demo

test: lint
	$(BIN)/pytest -q

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-golden: $(VENV)/.installed-dev
	$(BIN)/pytest -q -m golden

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build demo-output .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
