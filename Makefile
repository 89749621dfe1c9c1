# Every target does its own set-up in .venv; all that is needed is Python 3.11 or newer, make and a package index.
# PYTHON=/path/to/python3 chooses the interpreter, TEST=tests/core narrows the tests, N=1 runs them in one process,
# SEEDS=500 plays that many sessions, SPEED=20 plays the session of KIS slower.

VENV := .venv
BIN := $(VENV)/bin
TEST ?= tests
N ?= 2
SEEDS ?= 20
KILLS ?= 200
SPEED ?= 60
INSTALL := sh tools/setup-venv.sh $(VENV)
REQUIREMENTS := pyproject.toml constraints.txt tools/setup-venv.sh

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all conformance check lint types imports sizes rules format bench sim kill kis-session clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.demo: $(REQUIREMENTS)
	@$(INSTALL) demo && touch $@

$(VENV)/.dev: $(REQUIREMENTS)
	@$(INSTALL) demo,korean,download,vectorbt,oracles,notebook,dev && touch $@ $(VENV)/.demo

setup: $(VENV)/.dev  ## everything a developer needs, in .venv

demo: $(VENV)/.demo  ## real prices, one strategy, a report to look at
	@$(BIN)/quantkit demo

test: $(VENV)/.dev  ## the test suite, without the slow tests
	$(BIN)/python -m pytest -n $(N) $(TEST)

test-all: $(VENV)/.dev  ## the test suite with the slow tests
	$(BIN)/python -m pytest -n $(N) -m "slow or not slow" $(TEST)

conformance: $(VENV)/.dev  ## clients of other people against the emulated KIS, each in its own environment
	$(BIN)/python -m tests.conformance.kis

check: lint types imports sizes rules  ## style, types, import rules, file sizes, house rules

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

sizes: $(VENV)/.dev
	$(BIN)/python tools/sizes.py

rules: $(VENV)/.dev
	$(BIN)/python tools/house_rules.py

format: $(VENV)/.dev  ## let ruff lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev  ## speed and memory against the peers, both sides in one run
	@for script in $(filter-out benchmarks/common.py benchmarks/kis_server.py,$(wildcard benchmarks/*.py)); do \
		echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

sim: $(VENV)/.dev  ## whole sessions on virtual time under faults and crashes (SEEDS=500; KIS=1: over KIS's wire)
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(if $(KIS),--kis)

kill: $(VENV)/.dev  ## kill -9 of real processes at random moments: no order lost, none sent twice (KILLS=200)
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m tests.kill --sqlite $(KILLS) --postgres 20 --kis 15

kis-session: $(VENV)/.dev  ## a whole session of 41 names over KIS's wire at 60 times its pace (SPEED=60)
	$(BIN)/python -m tests.brokers.kis.session --speed $(SPEED)

clean:  ## remove .venv, caches and reports; data/ stays
	rm -rf $(VENV) .venv-conformance .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis reports build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
