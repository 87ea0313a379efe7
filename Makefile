# Every target is a command you could type; `make` alone lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
WORKERS ?= -n 2 --dist worksteal   # processes; `WORKERS=` for one, which a debugger wants
# What Python compiles is kept, or each of the hundreds of processes of a test run compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-all test-npu lint bench clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## create .venv and install pinned dependencies into it

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "anypose needs Python 3.10 or newer, found " + sys.version.split()[0] + " as $(PYTHON). Try: make setup PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing torch and what else constraints.txt names into $(VENV): minutes, once."
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup  ## train, evaluate and draw on the embedded dataset: minutes on two CPU cores
	$(BIN)/python train.py model=baseline3d pictures=true
	$(BIN)/python evaluate.py model=baseline3d pictures=true
	@echo "Everything is in $$(ls -td runs/baseline3d/*/ | head -n 1): checkpoints, log, results.json, results.csv, pictures."

test: setup  ## what every change must pass, under three minutes on two cores; `make test ARGS="-k camera"` for a part
	$(BIN)/python -m pytest $(WORKERS) $(ARGS)

test-all: setup  ## that and the tests that take longer, under twenty minutes
	$(BIN)/python -m pytest $(WORKERS) -m "not cuda and not npu" $(ARGS)

test-npu: setup  ## the real torch_npu without a chip: every model over stand-in CANN libraries
	$(BIN)/python -m tests.npu_stub.run $(ARGS)

lint: setup  ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: setup  ## our hot paths beside what you would otherwise use
	$(BIN)/python -m benchmarks $(ARGS)

clean:  ## remove what was built: environments and caches, never runs/
	rm -rf $(VENV) $(VENV)-npu build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
