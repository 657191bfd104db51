# Two commands do all the set-up on a machine with Python and nothing else: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs
OUT ?= exported/efficientnet_lite0
BIN := $(VENV)/bin
EXPERIMENT := experiments/efficientnet_lite0/experiment.toml

.PHONY: demo test lint install clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Palettune needs Python 3.11 or newer; set PYTHON=..."'
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
	@echo "every trial, the front, the layer map: $(BIN)/palettune ui $(EXPERIMENT) --root $(RUNS)"
	@echo "why each layer is as it is:            $(BIN)/palettune front $(EXPERIMENT) --root $(RUNS) --explain"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	# Searches start Ray clusters that want the machine to themselves; all other tests run side by side.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --ignore tests/search
	$(BIN)/python -m pytest tests/search

clean:
	rm -rf $(VENV)
