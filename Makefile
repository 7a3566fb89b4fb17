# Set-up needs Python 3.11 or newer with venv, and either Docker or Java 17 with Maven.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-peers
KAFKA := $(BIN)/python -m infra.kafka.local

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check audit format chaos soak fuzz quality bench bench-growth bench-check picture peers lock clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make the environment in .venv (every other target does it by itself)

$(STAMP): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "pivotwatch needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 3; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "Python has no venv: apt-get install python3-venv" >&2; exit 3; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## A local Kafka, the workers and a simulated launch with a hidden campaign
	$(KAFKA) run -- $(BIN)/pivotwatch demo

test: $(STAMP) ## Every test, doctests too, against a real broker
	$(BIN)/python -m pytest --doctest-modules models streams infra tests

check: $(STAMP) ## Format, lint, types, known weaknesses of dependencies and the fast tests, some 75 s on two cores
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy models streams infra
	$(BIN)/python -m tests.audit
	$(BIN)/python -m pytest --quiet --numprocesses auto --dist worksteal --doctest-modules \
		-m "not kafka and not chaos and not browser and not slow" \
		models streams infra tests

audit: $(STAMP) ## Known weaknesses of the locked dependencies; fails when the database is out of reach
	$(BIN)/python -m tests.audit --required

format: $(STAMP) ## Put the code in the form that check wants
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

chaos: $(STAMP) ## Every fault against real workers, 24 kills and more, and every test that kills (SEED=1)
	$(BIN)/python -m tests.chaos faults --seed $(or $(SEED),1)
	PIVOTWATCH_TEST_LONG=1 $(BIN)/python -m pytest -m chaos tests
	$(BIN)/python -m tests.chaos timing --seed $(or $(SEED),1) --accounts 150000 --kills 7

soak: $(STAMP) ## Steady load, resident memory must be flat (MINUTES=30)
	$(BIN)/python -m tests.chaos soak --minutes $(or $(MINUTES),30)

fuzz: $(STAMP) ## Look for input that stops a step (SECONDS=60)
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60)

quality: $(STAMP) ## Every scenario over several seeds, one table; fails when a target is missed (SEEDS=2)
	$(BIN)/python -m tests.quality --seeds $(or $(SEEDS),2)

bench: $(STAMP) ## Throughput and latency against a real broker and other engines (SIZE=small|1m|10m RUNS=3)
	@$(MAKE) --no-print-directory peers || echo "Quix Streams and Bytewax do not install here: without them" >&2
	$(KAFKA) run -- $(BIN)/python -m tests.bench run --size $(or $(SIZE),small) --runs $(or $(RUNS),3) $(FLAGS)

bench-growth: $(STAMP) ## Cost by accounts, networks, models, partitions, with a plot (RUNS=3 FLAGS=--write)
	$(KAFKA) run -- $(BIN)/python -m tests.bench growth --runs $(or $(RUNS),3) $(FLAGS)

bench-check: $(STAMP) ## Has anything become slower? Compares ratios with tests/bench/ratios.json
	$(KAFKA) run -- $(BIN)/python -m tests.bench check --runs $(or $(RUNS),3) $(FLAGS)

picture: $(STAMP) ## The picture of the page in the README, anew, from a pipeline that runs (needs Chromium)
	$(BIN)/python -m tests.browser.picture

peers: $(PEERS)/.installed ## The environment of what bench compares with, in .venv-peers

$(PEERS)/.installed: tests/bench/peers.txt
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/bench/peers.txt
	@touch $@

lock: ## Write the lock files anew from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" pyproject.toml --output-file requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --constraint requirements.txt --extra dev pyproject.toml \
		--output-file requirements-dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" tests/bench/peers.in --output-file tests/bench/peers.txt

clean: ## Remove the environment and everything that was built
	rm -rf $(VENV) $(PEERS) build dist ./*.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find models streams infra tests -name __pycache__ -type d -prune -exec rm -rf {} +
