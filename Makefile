# The commands for contributors. Each target first installs what it needs.
PYTHON ?= python3
BIN := .venv/bin
# When a requirements file is newer than its marker, make installs it again.
LOCAL := .venv/.installed-local
DEV := .venv/.installed-dev
# Lets `python -m local` and `python -m ops` start in every folder, and no other process import the clone.
CLONE := .venv/.installed-clone
# --system-certs: uses the system's certificates as pip does, for networks with their own.
INSTALL := $(BIN)/uv pip install --python $(BIN)/python --system-certs --require-hashes --requirement

.PHONY: help install demo run test proof check lint types coverage implementations references clients mutants bench docs lock clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-38s %s\n", "make " $$1, $$2 }' $(MAKEFILE_LIST)
	@echo; awk -F ' +## ' '/^# python -m .* ## / { printf "%-38s %s\n", substr($$1, 3), $$2 }' $(MAKEFILE_LIST)
	@echo; echo 'First: source .venv/bin/activate. Each "python -m" command has --help, or says what it does in its module.'

# python -m local              ## Start, use and stop a stack on this machine: up, outputs, logs, down
# python -m ops                ## Inspect and repair orders and dead letters of a stack
# python -m local.partners.fulfillment ## Run a fulfillment system that ships, refuses, calls or fails
# python -m local.partners.check ## Check a fulfillment system by its URL against docs/fulfillment.md
# python -m components.packaging ## Build the Lambda layer
# python -m bench              ## Measure speed, cost and growth; --help lists the measurements
# python -m bench.api          ## Send load to an API by its URL
# python -m bench.faults       ## Run orders while a share of all calls fails
# python -m tools.openapi      ## Write docs/openapi.json; --check compares it
# python -m tools.events       ## Write the schemas of the order events; --check compares them
# python -m tools.configuration ## Write docs/configuration.md; --check compares it
# python -m tools.states       ## Write docs/states.md; --check compares it
# python -m tools.prose        ## Check the words of everything that people read
# python -m tests.model        ## Print the states that the model of an order visits
# python -m tests.mutation     ## Run the tests against mutants
# python -m tests.times        ## Sum the test times of a JUnit report per suite

# The embedded AWS and its commands. pip installs uv, which installs the rest faster than pip.
$(LOCAL): requirements-uv.txt requirements-local.txt functions/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed, this is " + sys.version)'
	$(PYTHON) -m venv --without-pip .venv
	@# A Python without pip gets it from ensurepip. The layer needs only pip and is built in parallel.
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --default-pip >/dev/null
	@$(PYTHON) -m pip --version >/dev/null 2>&1 && with=$(PYTHON) || with=$(BIN)/python; \
	  $$with -m components.packaging & layer=$$!; \
	  $$with -m pip --python $(BIN)/python install --disable-pip-version-check --quiet --require-hashes \
	    --requirement requirements-uv.txt && $(INSTALL) requirements-local.txt && wait $$layer
	@touch $@

$(CLONE): local/clone.pth | $(LOCAL)
	@cp local/clone.pth "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/orderflow.pth"
	@touch $@

# The tests and checks.
$(DEV): $(LOCAL) requirements-dev.txt
	$(INSTALL) requirements-dev.txt
	@touch $@

install: $(DEV) $(CLONE) ## Make .venv, install the locked requirements, build the Lambda layer

demo: $(LOCAL) $(CLONE) ## Run the whole stack on this machine and process orders to every final status
	$(BIN)/python -m local demo

run: $(LOCAL) $(CLONE) ## Serve the API on this machine until Ctrl-C
	$(BIN)/python -m local up

# Three processes on two cores: a third of the time the tests wait. Free processes take tests of busy ones.
PYTEST := $(BIN)/python -m pytest --dist worksteal --numprocesses
# These need the real Pulumi CLI or implementations by others, and take longer than all others together.
PROOF := tests/engine tests/references
# DynamoDB Local must answer each call of these as the store in memory does.
COMPARED := tests/crashes/test_faults.py tests/interleavings

test: install ## Run the tests that hold for every change: all but those of `make proof`
	$(PYTEST) 3 $(addprefix --ignore=,$(PROOF))

proof: implementations ## Run the tests with the real Pulumi CLI and with other implementations
	$(PYTEST) 2 $(PROOF)
	$(PYTEST) 2 --dynamodb-local $(COMPARED)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/python -m tools.prose
	$(BIN)/lint-imports --no-logo

types: install
	$(BIN)/mypy .

check: lint types test ## Lint, types and tests: CI also runs `make proof`, `make clients` and mutants

coverage: install ## Measure the lines and branches of the product that the unit tests run
	$(PYTEST) 2 --cov --cov-report=term \
		$(addprefix --ignore=tests/,bench crashes e2e interleavings local)

implementations: install
	$(BIN)/python -m tests.references.implementations

references: implementations ## Compare the stand-ins with other implementations, which it installs
	$(PYTEST) 2 tests/references
	$(PYTEST) 2 --dynamodb-local $(COMPARED)

clients: install ## Generate clients from the contract, compile them, and place an order with each
	GENERATED_CLIENTS=1 $(BIN)/python -m pytest -rs tests/clients

mutants: install ## Run the tests against every mutant, or those of ONLY="--since main"
	$(BIN)/python -m tests.mutation $(ONLY)

bench: install ## Measure speed, cost and growth, and print them as tables
	$(BIN)/python -m bench all

docs: install ## Write the generated pages: the API's contract, the configuration, the statuses, the costs
	$(BIN)/python -m tools.openapi
	$(BIN)/python -m tools.events
	$(BIN)/python -m tools.configuration
	$(BIN)/python -m tools.states
	$(BIN)/python -m bench units

COMPILE := $(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock" --quiet

lock: ## Resolve the versions in pyproject.toml into the hash-locked requirements files
	$(COMPILE) --python-version 3.11 pyproject.toml --output-file requirements.txt
	$(COMPILE) --python-version 3.13 --group layer --output-file functions/requirements.txt
	$(COMPILE) --python-version 3.11 pyproject.toml --group layer --group local --group uv --group dev --output-file requirements-dev.txt
	$(COMPILE) --python-version 3.11 pyproject.toml --group layer --group local --constraint requirements-dev.txt --output-file requirements-local.txt
	$(COMPILE) --python-version 3.11 --group uv --constraint requirements-dev.txt --output-file requirements-uv.txt
	$(COMPILE) --python-version 3.11 --group policy --output-file policy/requirements.txt
	$(COMPILE) --python-version 3.13 --group runtime --output-file tests/references/requirements-runtime.txt
	$(COMPILE) --python-version 3.11 --group clients --output-file tests/clients/requirements-python.txt
	$(COMPILE) --python-version 3.13 --group localstack --output-file tests/references/requirements-localstack.txt

clean: ## Remove all installed and generated files
	rm -rf .venv .build .local .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
