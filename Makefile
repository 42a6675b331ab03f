# Two commands do everything on a fresh machine with Python 3.11 or newer: `make demo`, `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= auto

.PHONY: help demo test docs test-golden bench bench-index bench-epoch bench-growth bench-plots bench-gpu lint clean

help:
	@echo "make demo         set up, then cluster, train and test on a small drawn town (minutes)"
	@echo "make test         set up, then lint, type-check and run the tests"
	@echo "make docs         build the site of docs/ into build/site"
	@echo "make test-golden  compare whole evaluations with pytorch-NetVlad's own (minutes; real data)"
	@echo "make bench        time ours against pytorch-NetVlad's way (NETVLAD_BENCH_DATA, NETVLAD_BENCH_WEIGHTS)"
	@echo "make bench-epoch  one whole epoch each way (hours; goes on where it was interrupted)"
	@echo "make bench-index  a place index: how right, how fast, and with a million places (minutes; real data)"
	@echo "make bench-growth how costs grow with clusters, images and dimensions"
	@echo "make bench-plots  draw docs/performance from what the benchmarks wrote"
	@echo "make bench-gpu    the rows of make bench on a GPU, and what bounds it"
	@echo "make clean        remove what these made"

demo: $(VENV)/.installed
	$(BIN)/python -m demo

# Real images and published lists do not ship; what they show is tested on made ones, too.
REAL := $(if $(NETVLAD_SHARED),$(NETVLAD_SHARED),../shared)
TESTS := $(if $(wildcard $(REAL)/data),not golden,not golden and not real)

# As many processes as there are cores; tests/conftest.py gives each one thread.
test: lint
	@test -d $(REAL)/data || echo "no real data at $(REAL): the tests marked real are left out"
	$(BIN)/pytest -q -n $(WORKERS) --dist worksteal -m "$(TESTS)"

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/commands.py > docs/reference/commands.md
	$(BIN)/zensical build --strict --config-file mkdocs.yml

test-golden: $(VENV)/.installed-dev
	$(BIN)/pytest -q -m golden

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.engines

bench-epoch: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.epoch

bench-index: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.places --json build/bench-places.json
	$(BIN)/python -m benchmarks.latency --json build/bench-latency.json
	$(BIN)/python -m benchmarks.large_index --json build/bench-large-index.json

bench-growth: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.growth

bench-plots: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.plots

bench-gpu: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.gpu

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build demo-output .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
