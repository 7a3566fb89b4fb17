# Needs Python 3.11 or newer with venv, and either Docker or Java 17 with Maven.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-peers
PRODUCERS := .venv-producers
KAFKA := $(BIN)/python -m infra.kafka.local

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check audit format chaos soak fuzz quality bench bench-growth bench-check picture peers producers lock clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create the environment in .venv (the other targets do it when needed)

$(STAMP): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "pivotwatch needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 3; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "Python has no venv: apt-get install python3-venv" >&2; exit 3; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## Run a local Kafka, the workers, and a simulated launch with a hidden campaign
	$(KAFKA) run -- $(BIN)/pivotwatch demo

test: $(STAMP) ## Run every test and doctest, against a real broker
	$(BIN)/python -m pytest --doctest-modules models streams infra tests

check: $(STAMP) ## Check format, lint, types, imports, dependencies, and run the fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy models streams infra
	$(BIN)/lint-imports
	$(BIN)/python -m tests.audit
	$(BIN)/python -m pytest --quiet --numprocesses auto --dist worksteal --doctest-modules \
		-m "not kafka and not chaos and not browser and not slow" \
		models streams infra tests

audit: $(STAMP) ## Look for known vulnerabilities of dependencies; fail when the database is unreachable
	$(BIN)/python -m tests.audit --required

format: $(STAMP) ## Format the code and apply safe lint fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

chaos: $(STAMP) ## Inject every fault into real workers, and run every test that kills (SEED=1)
	$(BIN)/python -m tests.chaos faults --seed $(or $(SEED),1)
	PIVOTWATCH_TEST_LONG=1 $(BIN)/python -m pytest -m chaos tests
	$(BIN)/python -m tests.chaos timing --seed $(or $(SEED),1) --accounts 150000 --kills 7

soak: $(STAMP) ## Run a steady load; fail unless resident memory is flat (MINUTES=30)
	$(BIN)/python -m tests.chaos soak --minutes $(or $(MINUTES),30)

fuzz: $(STAMP) ## Fuzz every decoder (SECONDS=60), then every reader of a topic (CASES=1000000)
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60)
	$(BIN)/python -m tests.fuzz.rule --cases $(or $(CASES),1000000)

quality: $(STAMP) ## Run every scenario with several seeds; fail when a target is missed (SEEDS=2)
	$(BIN)/python -m tests.quality --seeds $(or $(SEEDS),2)

bench: $(STAMP) ## Measure throughput and latency beside other engines (SIZE=small|1m|10m RUNS=3)
	@$(MAKE) --no-print-directory peers || echo "Quix Streams and Bytewax cannot be installed here; measuring without them" >&2
	$(KAFKA) run -- $(BIN)/python -m tests.bench run --size $(or $(SIZE),small) --runs $(or $(RUNS),3) $(FLAGS)

bench-growth: $(STAMP) ## Measure cost by accounts, networks, models and partitions (RUNS=3 FLAGS=--write)
	$(KAFKA) run -- $(BIN)/python -m tests.bench growth --runs $(or $(RUNS),3) $(FLAGS)

bench-check: $(STAMP) ## Fail when something became slower than tests/bench/ratios.json
	$(KAFKA) run -- $(BIN)/python -m tests.bench check --runs $(or $(RUNS),3) $(FLAGS)

picture: $(STAMP) ## Renew the pictures of the page in the README (needs Chromium)
	$(BIN)/python -m tests.browser.picture

peers: $(PEERS)/.installed ## Create the environment of the other engines of bench, in .venv-peers

$(PEERS)/.installed: tests/bench/peers.txt
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/bench/peers.txt
	@touch $@

producers: $(PRODUCERS)/.installed ## Create the environment of real producers for the tests, in .venv-producers

$(PRODUCERS)/.installed: tests/producers/producers.txt
	@test -x $(PRODUCERS)/bin/python || $(PYTHON) -m venv $(PRODUCERS)
	$(PRODUCERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		--only-binary :all: -r tests/producers/producers.txt
	@touch $@

lock: ## Renew the lock files from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" pyproject.toml --output-file requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --constraint requirements.txt --extra dev pyproject.toml \
		--output-file requirements-dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" tests/bench/peers.in --output-file tests/bench/peers.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" tests/producers/producers.in --output-file tests/producers/producers.txt

clean: ## Remove the environments and all build results
	rm -rf $(VENV) $(PEERS) $(PRODUCERS) build dist ./*.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find models streams infra tests -name __pycache__ -type d -prune -exec rm -rf {} +
