# `make demo` and `make test` do their own set-up: they need Python, make and a package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# A plain torch may bring gigabytes of CUDA build; without a GPU take a version whose CPU build is known to work.
HAS_GPU := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1 && echo yes)
TORCH ?= $(if $(HAS_GPU),torch,torch==2.13.0)
EXTRAS ?= $(if $(HAS_GPU),gpu,cpu),gguf,dev,docs

# Two tests at a time, of one thread each; those of a file stay together, as they share models and
# runs. A worker takes 1 to 2 GB of memory.
WORKERS ?= -n 2 --dist loadfile --no-loadscope-reorder

# CPython 3.11 or 3.12: the oldest numpy has no wheels for a later one.
PYTHON_OLDEST ?= $(PYTHON)
OLDEST := .venv-oldest
# The tests that touch what changes between versions: models, training, stores, files, statistics.
OLDEST_TESTS ?= tests/training tests/crash/test_training.py tests/extraction tests/cache \
	tests/cli tests/experiments tests/reporting tests/test_labels.py \
	tests/metrics tests/comparison tests/test_tokens.py tests/integration/test_commands.py

.PHONY: help setup fetch demo smoke test test-oldest lint bench docs dist clean

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 13

setup: $(VENV)/.done ## Build .venv in the checkout

$(VENV)/.done: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet --editable ".[$(EXTRAS)]"
	touch $@

fetch: setup ## Fetch the demo's models and data, once
	$(BIN)/w2sprobe fetch demo

demo: fetch ## Real models, real text: probes over five cuts, then one finetuned student
	$(BIN)/w2sprobe run --preset demo
	$(BIN)/w2sprobe run --preset student

smoke: fetch ## The demo at its smallest size
	$(BIN)/w2sprobe run --preset smoke

lint: setup ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test test-oldest: export OMP_NUM_THREADS := 1

test: fetch lint ## Linters and all tests
	$(BIN)/python -m pytest $(WORKERS)

$(OLDEST)/.done: pyproject.toml tests/oldest.txt
	$(PYTHON_OLDEST) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install --quiet "$(TORCH)"
	$(OLDEST)/bin/pip install --quiet --constraint tests/oldest.txt --editable ".[$(EXTRAS)]"
	touch $@

test-oldest: fetch $(OLDEST)/.done ## Tests with the oldest versions of what w2sprobe builds on
	$(OLDEST)/bin/python -m pytest $(WORKERS) $(OLDEST_TESTS)

bench: setup ## Speed of the probes, beside their peers
	$(BIN)/python -m w2sprobe bench

docs: setup ## The documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

dist: setup ## Source distribution and wheel
	rm -rf dist
	$(BIN)/python -m build

clean: ## Delete what is built here; caches and results stay
	rm -rf $(VENV) $(OLDEST) build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
