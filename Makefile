# Needs git, make and Python 3.10 or newer; everything else goes to .venv, once per change of what
# setup.py and pyproject.toml ask for. Another Python: make PYTHON=python3.12 test

PYTHON ?= python3
VENV ?= .venv

# How much of each long proof `make test-all` runs. Alone, each target runs its full size.
TEST_ALL_RUNS ?= 300
TEST_ALL_KILLS ?= 3
TEST_ALL_REQUESTS ?= 1000

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Hosts over SSH and container engines need root, and what Debian has; what is measured elsewhere
# leaves them out.
WITH_HOSTS := $(shell [ "$$(id -u)" != 0 ] || ! command -v apt-get > /dev/null || echo scripts/with_ssh_hosts.sh scripts/with_docker.sh)

# A name for what has to be installed: it changes with the requirements and with the Python.
# The web pages are built by installing, so what they are made of counts, too.
FRONTEND := buildbot_drydock/www/frontend
PAGES := $(shell find $(FRONTEND)/src -type f | LC_ALL=C sort) $(addprefix $(FRONTEND)/,package.json package-lock.json vite.config.ts tsconfig.json)
FINGERPRINT := $(shell { cat setup.py pyproject.toml build_backend/*.py $(PAGES); $(PYTHON) --version; } 2>/dev/null | cksum | tr ' ' '-')
BIN := $(VENV)/bin
READY_TO_RUN := $(VENV)/ready-run-$(FINGERPRINT)
READY_TO_TEST := $(VENV)/ready-dev-$(FINGERPRINT)

# npm among the sources of the web pages, with the Node of this machine or of $(VENV).
NPM := $(BIN)/python build_backend/drydock_bundle.py npm

# On all cores; tests/conftest.py says which tests stay together.
PYTEST := $(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --durations 25

# Where both test and test-all are run: PASSED=FILE for both, and none runs twice.
RUN_TESTS := $(PYTEST) $(if $(PASSED),--passed $(PASSED))

# Those on a Kubernetes cluster have a target of their own: building one takes its time.
WITHOUT_PODS := tests --ignore tests/kubernetes

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/ready-%-$(FINGERPRINT): | scripts/make_venv.sh
	@scripts/make_venv.sh "$(PYTHON)" "$(VENV)"
	@echo "installing into $(VENV), once"
	@rm -f $(VENV)/ready-$*-*
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

.PHONY: run
run: $(READY_TO_RUN)  ## start a master whose build runs on a leased worker; Ctrl-C ends it
	@$(BIN)/python scripts/run_demo.py

.PHONY: test
test: $(READY_TO_TEST)  ## run the tests that need no servers
	$(NPM) test
	$(RUN_TESTS) $(WITHOUT_PODS)

.PHONY: test-all
test-all: $(READY_TO_TEST)  ## run all tests on real databases, and a short form of each proof
	$(NPM) test
	$(BIN)/python build_backend/drydock_bundle.py
	scripts/with_browser.sh scripts/with_databases.sh scripts/with_ssh_hosts.sh scripts/with_docker.sh $(RUN_TESTS) $(WITHOUT_PODS)
	DRYDOCK_RUNS=$(TEST_ALL_RUNS) $(MAKE) sim
	$(MAKE) mutants
	DRYDOCK_KILLS=$(TEST_ALL_KILLS) $(MAKE) torture
	DRYDOCK_REQUESTS=$(TEST_ALL_REQUESTS) $(MAKE) fuzz-api
	DRYDOCK_KILLS=$(TEST_ALL_KILLS) $(MAKE) torture-ec2
	BENCH_OPTIONS=--forgive-times $(MAKE) bench
	$(BIN)/python scripts/run_demo.py --once --directory "$$(mktemp -d)/demo"
	$(MAKE) dist

.PHONY: test-kubernetes
test-kubernetes: $(READY_TO_TEST)  ## run the tests of pods, on a cluster of this machine
	scripts/with_kubernetes.sh $(PYTEST) tests/kubernetes

.PHONY: lint
lint: $(READY_TO_TEST)  ## check style, types, shell syntax and news fragments
	$(NPM) run --silent types
	$(NPM) run --silent lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for script in scripts/*.sh .ci/run; do bash -n "$$script"; done
	$(BIN)/towncrier build --draft --version draft > /dev/null

.PHONY: format
format: $(READY_TO_TEST)  ## let ruff put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: sim
sim: $(READY_TO_TEST)  ## simulate DRYDOCK_RUNS=10000 seeds: two masters, a storm, then a calm
	DRYDOCK_RUNS=$${DRYDOCK_RUNS:-10000} $(BIN)/python scripts/simulate.py

.PHONY: mutants
mutants: $(READY_TO_TEST)  ## plant bugs, and see each of them caught
	$(BIN)/python scripts/mutants.py

.PHONY: torture
torture: $(READY_TO_TEST)  ## kill a real master DRYDOCK_KILLS=30 times; writes build/torture.json
	DRYDOCK_KILLS=$${DRYDOCK_KILLS:-30} $(BIN)/python scripts/torture.py

.PHONY: fuzz-api
fuzz-api: $(READY_TO_TEST)  ## ask a real master DRYDOCK_REQUESTS=10000 odd things; writes build/fuzz-api.json
	DRYDOCK_REQUESTS=$${DRYDOCK_REQUESTS:-10000} $(BIN)/python scripts/fuzz_api.py

.PHONY: torture-ec2
torture-ec2: $(READY_TO_TEST)  ## kill one with EC2 instances DRYDOCK_KILLS=50 times; writes build/torture-ec2.json
	DRYDOCK_KILLS=$${DRYDOCK_KILLS:-50} $(BIN)/python scripts/torture_ec2.py

.PHONY: bench
bench: $(READY_TO_TEST)  ## measure; writes build/bench.json
	$(WITH_HOSTS) $(BIN)/python scripts/bench.py $(BENCH_OPTIONS)

.PHONY: browser
browser: $(READY_TO_TEST)  ## run the tests of the web pages in a real browser
	$(BIN)/python build_backend/drydock_bundle.py
	scripts/with_browser.sh $(PYTEST) tests/browser

.PHONY: screenshots
screenshots: $(READY_TO_TEST)  ## take pictures of all web pages; writes docs/screenshots
	$(BIN)/python build_backend/drydock_bundle.py
	scripts/with_browser.sh $(BIN)/python scripts/screenshots.py

.PHONY: dist
dist: $(READY_TO_TEST)  ## build sdist and wheel, and see that nothing is missing in them
	rm -rf build/dist build/lib
	mkdir -p build
	$(BIN)/python -m build --outdir build/dist > build/dist.log 2>&1 || { cat build/dist.log; exit 1; }
	$(BIN)/python scripts/check_dist.py build/dist

.PHONY: clean
clean:  ## remove what the other targets made, .venv included
	rm -rf $(VENV) $(FRONTEND)/node_modules buildbot_drydock/www/static build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis _trial_temp*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
