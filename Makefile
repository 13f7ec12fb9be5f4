# Millrace. `make demo` runs it, `make test` proves it; both set up what they need.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CASE   ?=
ARGS   ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo test fast soak servers check format bench lock clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.development ## Make the environment in .venv, with all tools

demo: $(VENV)/.product ## Run everything on this machine with simulated devices
	$(BIN)/millrace up --demo $(ARGS)

test: $(VENV)/.development ## Install the servers the tests need where possible, run all tests
	@scripts/test-servers
	$(BIN)/python -m pytest $(ARGS)

fast: $(VENV)/.development ## Run the tests that need no server and no patience
	$(BIN)/python -m pytest -q -m "not services and not browser and not slow" $(ARGS)

soak: $(VENV)/.development ## Kill everything again and again for ten minutes; SOAK_S=180 for three
	SOAK_S=$${SOAK_S:-600} $(BIN)/python -m pytest -q tests/faults/test_kill_processes.py -k f6 $(ARGS)

servers: $(VENV)/.development ## Run the servers of the tests until Ctrl-C, and print their URLs
	@scripts/test-servers
	@$(BIN)/python -m tests.servers

check: $(VENV)/.development ## Format, lint, types, import contracts, documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config .importlinter.toml
	$(BIN)/python -m pytest -q tests/architecture

format: $(VENV)/.development ## Put the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.development ## Measure; CASE=B2 for one case
	@scripts/test-servers
	$(BIN)/python -m bench $(CASE) $(ARGS)

lock: ## Resolve the newest allowed versions into the lock files
	scripts/lock "$(PYTHON)"

clean: ## Remove the environment and all caches; data stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Millrace needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.product: requirements.lock pyproject.toml | $(VENV)/.python
	$(BIN)/pip install -q --no-deps -r requirements.lock
	$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.development: requirements-dev.lock $(VENV)/.product
	$(BIN)/pip install -q --no-deps -r requirements-dev.lock
	@touch $@
