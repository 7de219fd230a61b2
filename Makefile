# Everything a person or CI does here, by name. Needs make and Python 3.11 or newer; the rest goes into .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test lint format coverage check bench bench-protocol bench-relay bench-size five-minutes test-postgres vectors model clean sentinels fuzz mutation schedules any-relay crashes kills tor-network

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(VENV)/.complete ## create .venv with everything a developer needs

demo: $(VENV)/.runtime ## run a whole dialogue on this machine: relay, facilitator, participants
	$(BIN)/backchannel demo

test: $(VENV)/.complete ## run every test; fail too if protocol/ is not covered or a guarantee not tested
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --cov --cov-report= \
	    -p tests.support.traced -p tests.support.guarantees --guarantees docs/guarantees.md
	@$(MAKE) --no-print-directory coverage

# Only protocol/ must be complete: there an untried branch is an unproved claim.
coverage: $(VENV)/.complete ## report what of protocol/ the last `make test` covered: all of it
	@test -f .coverage || { echo "No coverage data yet; next: make test" >&2; exit 1; }
	@$(BIN)/python -m coverage report --fail-under=100 --precision=2

sentinels: $(VENV)/.complete ## break each claim in a copy of the tree, and see the tests that guard it turn red
	$(BIN)/python -m tests.sentinels.run

fuzz: $(VENV)/.fuzz ## try RUNS inputs on each decoder and door (RUNS=20000); see tests/fuzz/README.md
	$(BIN)/python -m tests.fuzz.run --runs $(or $(RUNS),20000)

mutation: $(VENV)/.mutation ## change each step of six modules, and see the tests notice: half an hour
	$(BIN)/python -m tests.mutation.run

schedules: $(VENV)/.complete ## try two years, then COUNT random schedules of a channel (COUNT=100000): hours
	$(BIN)/python -m tests.simulation.years
	$(BIN)/python -m tests.simulation --count $(or $(COUNT),100000)

any-relay: $(VENV)/.complete ## say 1,000 messages while relays are killed: a quarter of an hour
	BACKCHANNEL_MESSAGES=1000 $(BIN)/python -m pytest -n 0 -s tests/system/test_any_relay_dies.py

crashes: $(VENV)/.complete ## let relay and vault lose power 10,000 times: some five minutes
	BACKCHANNEL_CRASHES=3000 $(BIN)/python -m pytest -n auto --dist load \
	    tests/server/test_powerloss.py tests/client/vault/test_powerloss.py tests/client/vault/test_powerloss_halves.py

five-minutes: $(VENV)/.complete ## follow the operators' handbook in a clean copy and a new environment
	BACKCHANNEL_FRESH=1 $(BIN)/python -m pytest -n 0 tests/system/test_operators.py -k clean_copy

test-postgres: $(VENV)/.complete ## run what needs PostgreSQL, alone: the relay's tests on it, workers, moving, kills
	$(BIN)/python -m pytest -n auto --dist loadfile -m postgres tests/server

kills: $(VENV)/.complete ## kill a relay, a worker, its database server 200 times each, a client 1,000 times: an hour
	BACKCHANNEL_KILLS=200 $(BIN)/python -m pytest -n 2 --dist load tests/server/test_kills.py
	BACKCHANNEL_CLIENT_KILLS=1000 $(BIN)/python -m pytest -n 0 tests/client/rounds/test_outbox_killed.py

tor-network: $(VENV)/.complete ## talk over an onion address in a Tor network on this machine: wants Debian's tor
	BACKCHANNEL_TOR_NETWORK=1 $(BIN)/python -m pytest -n 0 -s -rs tests/tor

lint: $(VENV)/.complete ## style, formatting, types, import arrows, dead code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

format: $(VENV)/.complete ## rewrite the source the way `make lint` wants it
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

check: lint test ## what CI asks of a change: lint, then test

bench: $(VENV)/.complete ## measure this machine
	$(BIN)/python -m bench

bench-protocol: $(VENV)/.complete ## measure one block beside its floors and a peer; ends with one JSON object
	$(BIN)/python -m bench.protocol

bench-relay: $(VENV)/.complete ## measure a relay beside its floors and peers: twenty minutes; ends with one JSON object
	$(BIN)/python -m bench.relay

bench-size: $(VENV)/.complete ## measure the memory and disk that a relay takes, for an operator's sizing: a minute
	$(BIN)/python -m bench.size

vectors: $(VENV)/.complete ## write the test vectors anew: a change of the protocol, never a repair
	$(BIN)/python -m tests.support.make_vectors

model: $(VENV)/.complete ## prove the symbolic models anew, with ProVerif, and write the table of results
	$(BIN)/python -m tests.support.model

clean: ## remove .venv and everything that was made
	rm -rf $(VENV) build dist .coverage .coverage.* htmlcov .hypothesis
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find protocol server client migrations tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# Stamps: .python (the environment exists), .runtime (the two programs run), .complete (so do the tests and tools).

$(VENV)/.python:
	@command -v "$(PYTHON)" >/dev/null || { \
	    echo "Backchannel needs Python 3.11 or newer, and '$(PYTHON)' was not found." >&2; \
	    echo "next: install it, or say where it is: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Backchannel needs Python 3.11 or newer; '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1)." >&2; \
	    echo "next: say where a newer one is: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "This Python cannot make virtual environments: its venv or ensurepip module is missing." >&2; \
	    echo "next: on Debian or Ubuntu, install the package python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.runtime: pyproject.toml | $(VENV)/.python
	$(PIP) install -e '.[client,relay]'
	@touch $@

$(VENV)/.fuzz: pyproject.toml | $(VENV)/.complete
	$(PIP) install -e '.[fuzz]'
	@touch $@

$(VENV)/.mutation: pyproject.toml | $(VENV)/.complete
	$(PIP) install -e '.[mutation]'
	@touch $@

$(VENV)/.complete: pyproject.toml | $(VENV)/.python
	$(PIP) install -e '.[client,relay,test,quality]'
	@touch $(VENV)/.runtime $@
