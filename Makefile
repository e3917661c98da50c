# `make demo` and `make test` need Python 3.11+ and Java 17 or 21; everything else they bring.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-bench
DATA ?=
PORT ?= 3000

.PHONY: help setup demo ui test test-lakefs lint bench chaos clean constraints java
help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

setup: $(STAMP) ## make the environment in .venv

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $$($(PYTHON) -V) was found: install it, or name it: make PYTHON=python3.12"; exit 1; }
	@echo "setting up $(VENV), once; about a minute"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "venv is missing: install it (Debian: apt-get install python3-venv)"; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt \
	  --editable '.[dagster,features,kubernetes,lakefs,onnx,spark,tensorflow,train]' --group dev
	@touch $(STAMP)

java:
	@$(PYTHON) spark_jobs/java.py

demo: setup ## run the main job; DATA=folder runs it on your own data
	@$(BIN)/python -m assets.demo $(if $(DATA),--data "$(DATA)")

ui: setup ## Dagster's UI on 127.0.0.1:$(PORT)
	@$(BIN)/python -m assets.ui --port $(PORT)

test: setup java ## every test, linters included
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/pytest -n auto --dist loadfile

test-lakefs: setup ## the lakeFS suites on the real server that LAKECTL_… or ~/.lakectl.yaml names
	@$(BIN)/python -m tests.lakefs

chaos: setup ## 10,000 kills at random points
	@$(BIN)/python -m tests.faults.chaos --kills 10000

bench: setup ## every benchmark beside its peers; results in bench/results
	@test -x $(PEERS)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(PEERS)
	@$(BIN)/uv pip install --quiet --python $(PEERS)/bin/python --constraint bench/constraints.txt \
	  --editable . --group bench
	@PATH="$(CURDIR)/$(PEERS)/bin:$$PATH" $(PEERS)/bin/python -m bench

constraints: setup ## resolve the pins again; the peers have an environment of their own
	@$(BIN)/uv pip compile --quiet pyproject.toml --all-extras --group dev \
	  --no-emit-index-url --no-header --no-annotate --output-file constraints.txt
	@$(BIN)/uv pip compile --quiet pyproject.toml --group bench \
	  --no-emit-index-url --no-header --no-annotate --output-file bench/constraints.txt

clean: ## remove the environment and the demo's lake
	rm -rf $(VENV) $(PEERS) .eolab
