# `make run` starts the service, `make test` runs all tests; both set up what they need first.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

# Names as an operator knows them; the service reads them with its prefix.
export NETHVOICE_HOST := $(or $(HOST),$(NETHVOICE_HOST))
export NETHVOICE_PORT := $(or $(PORT),$(NETHVOICE_PORT))
export NETHVOICE_DATA_DIR := $(or $(DATA_DIR),$(NETHVOICE_DATA_DIR))

.PHONY: run install test services fuzz lint release-spec lock sdk bench clean help

help:
	@echo "make run      set up and start the service on its embedded database"
	@echo "make test     set up and run all tests"
	@echo "make sdk      the Python and TypeScript clients, in build/sdk"
	@echo "make bench    requests per second beside bare baselines"
	@echo "make fuzz     100 valid and 100 wrong requests for each operation, or EXAMPLES=n"
	@echo "make lint     style, types, imports, generated files"
	@echo "make lock     renew the lock files"

# For a person at a terminal; device files hold SIP passwords, so they go no further than the API.
run: export NETHVOICE_LOG_FORMAT := $(or $(NETHVOICE_LOG_FORMAT),text)
run: export NETHVOICE_TFTP_HOST := $(or $(TFTP_HOST),$(NETHVOICE_TFTP_HOST),$(NETHVOICE_HOST),127.0.0.1)
run: install
	@exec $(BIN)/nethvoice serve --tftp

install: $(VENV)/.installed

$(VENV)/.installed: requirements.txt pyproject.toml
	@PYTHON="$(PYTHON)" scripts/venv $(VENV)
	@echo "installing NethVoice REST into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.tested: requirements-test.txt $(VENV)/.installed
	@echo "installing what the tests need into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-test.txt
	@touch $@

services:
	@scripts/services

test: $(VENV)/.tested services
	$(BIN)/python -m pytest -n $(or $(JOBS),auto) --dist worksteal $(PYTEST)
	@$(if $(PYTEST),,scripts/fuzz $(BIN)/python -q)

# A long run: at least 100 valid and 100 wrong requests for each operation, other ones each time.
fuzz: $(VENV)/.tested services
	NETHVOICE_FUZZ_EXAMPLES=$(or $(EXAMPLES),100) scripts/fuzz $(BIN)/python $(PYTEST)

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m codegen --check
	$(BIN)/nethvoice spec validate
	scripts/lint-spec

sdk: $(VENV)/.tested
	$(BIN)/nethvoice sdk python --out build/sdk/python
	$(BIN)/nethvoice sdk typescript --out build/sdk/typescript

bench: $(VENV)/.tested services
	$(BIN)/python -m bench $(BENCH)

# What is released stays true: later documents are held against this copy.
release-spec: install
	cp openapi/nethvoice.yaml openapi/released/$$($(BIN)/python -c 'import nethvoice; print(nethvoice.__version__)').yaml

lock: $(VENV)/.tested
	$(BIN)/pip install --quiet pip-tools
	PIP_TOOLS="--quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links" \
	  BIN=$(BIN) scripts/lock

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
