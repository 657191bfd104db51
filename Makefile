# Each command sets up what it needs on a machine with Python and nothing else.
#   make demo      search, print the front and export three packages
#   make test      lint, types, import rules and every test that is not marked slow
#   make test-all  `make test`, then the slow tests and the documentation
PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs
OUT ?= exported/efficientnet_lite0
BIN := $(VENV)/bin
EXPERIMENT := experiments/efficientnet_lite0/experiment.toml

# Tests that start Ray clusters want the machine to themselves; all others run side by side, one thread each.
# Quick tests are shared out by file, which share what is set up once; slow ones one by one, as a file of them is long.
SIDE_BY_SIDE := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4
ALONE := $(BIN)/python -m pytest

# Compiled tests are kept between runs: their assertions take half of a run's start to compile.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-all test-slow lint docs install clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("Palettune needs Python 3.11, 3.12 or 3.13, not %d.%d (coremltools 9.0 has no wheel for 3.14): make PYTHON=python3.13" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	# Basic Pitch is used for the models it ships; the TensorFlow that it asks for is not needed.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'basic-pitch==0.4.0'
	touch $@

demo: install
	$(BIN)/palettune search $(EXPERIMENT) --root $(RUNS)
	$(BIN)/palettune export $(EXPERIMENT) --root $(RUNS) --out $(OUT) --pick spread:3
	@echo
	@echo "packages, and what is proven of each:  $(OUT)/manifest.json"
	@echo "journal, weight bank, MLflow's store:  $(RUNS)/efficientnet_lite0"
	@echo "all of it on one page:                 $(BIN)/palettune review $(EXPERIMENT) --root $(RUNS)"
	@echo "every trial, in MLflow:                $(BIN)/palettune ui $(EXPERIMENT) --root $(RUNS)"
	@echo "why each layer is as it is:            $(BIN)/palettune front $(EXPERIMENT) --root $(RUNS) --explain"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(SIDE_BY_SIDE) --dist loadfile -m "not slow and not ray"
	$(ALONE) -m "not slow and ray"

test-slow: install
	$(SIDE_BY_SIDE) --dist worksteal -m "slow and not ray"
	$(ALONE) -m "slow and ray"

test-all: test docs test-slow

docs: install
	$(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV)
