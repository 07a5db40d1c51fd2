# Needs Python 3.11 to 3.13, make and git. The first target that needs the rest installs it, exactly
# as requirements.lock names it, into .venv.

VENV    ?= .venv
JOB     ?= lstm-mnist
WORKERS ?= 4
ARGS    ?=
FAULTS  ?= 200
SEED    ?= 1

# The interpreter that .venv is made with; `make PYTHON=/path/to/python3.12 ...` names another.
PYTHON  ?= python3.13 python3.12 python3.11 python3

BIN       := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup train test check format bench bench-full chaos lock clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "make train takes JOB=$(JOB) WORKERS=$(WORKERS) ARGS='--epochs 3'; make test takes ARGS too."

setup: $(INSTALLED)  ## Install everything into .venv (the others do this when it is needed)

train: $(INSTALLED)  ## Train a job on this machine
	@$(BIN)/launch-job $(JOB) --workers $(WORKERS) $(ARGS)

test: $(INSTALLED)  ## Run the tests
	@$(BIN)/python -m pytest $(ARGS)

check: $(INSTALLED)  ## Lint, check format, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(INSTALLED)  ## Format the code and mend what lint can mend by itself
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(INSTALLED)  ## Measure against the peers, side by side, in less than 15 minutes
	@$(BIN)/python benchmarks/bench.py

bench-full: $(INSTALLED)  ## Ask all questions at full length, and write docs/performance.md
	@$(BIN)/python benchmarks/bench.py --full

chaos: $(INSTALLED)  ## Strike small runs with FAULTS faults at random moments, by SEED, and judge their end
	@$(BIN)/python tests/chaos/campaign.py --faults $(FAULTS) --seed $(SEED)

lock: $(INSTALLED)  ## Write requirements.lock anew, with the newest versions pyproject.toml allows
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --group dev pyproject.toml \
	  --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" \
	  --output-file requirements.lock

clean:  ## Remove .venv, caches and builds; runs and their results stay
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Trying the interpreter, not only finding it: a name on PATH may be a shim without a Python behind
# it, and some systems ship one without venv.
$(INSTALLED): requirements.lock pyproject.toml
	@python=; for candidate in $(PYTHON); do \
	  if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	    >/dev/null 2>&1; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "No Python 3.11, 3.12 or 3.13 with venv was found (tried: $(PYTHON))." >&2; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 2; \
	fi; \
	echo "Installing launch-job's dependencies into $(VENV) with $$("$$python" --version) (once, takes minutes) ..." >&2; \
	"$$python" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
