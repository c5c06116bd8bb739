# Needs Python 3.11 or newer and make, nothing else. `make run` and `make demo` install only what production needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LINT := .venv-lint/bin

.PHONY: help setup setup-lint run demo test prove prove-admin prove-books prove-memory prove-image screenshots bench lint lint-code lint-ecs lock clean

help:
	@echo "make run    serve on 127.0.0.1:8080 with SQLite in var/"
	@echo "make demo   the same with stand-ins for Anthropic and Bedrock, and traffic that falls back"
	@echo "make setup  production and development dependencies into .venv"
	@echo "make test   every test this machine allows; what it cannot run is skipped by name"
	@echo "make prove  the long proofs: a million records, 100,000 requests, thirty kills; minutes"
	@echo "make prove-admin  of these what the admin takes, with its tables: pages, event loop, developers beside it"
	@echo "make prove-books  of these what the ledger takes: a million records, 100,000 requests, thirty kills"
	@echo "make prove-memory  of these whether a worker grows with what strangers ask of it"
	@echo "make prove-image  the container image, built and run; needs root, podman, crun and debootstrap"
	@echo "make lint   ruff and mypy --strict; after make setup-lint also cfn-lint, checkov, shellcheck, hadolint"
	@echo "make screenshots   pictures of every page into docs/screenshots, with a team at work"
	@echo "make bench  latency, throughput and memory against a direct call and nginx"
	@echo "make lock   resolve the dependencies of pyproject.toml into the hashed lock files"

run: $(VENV)/.production
	$(BIN)/python -m admin_app serve --first-run

demo: $(VENV)/.production
	$(BIN)/python -m sandbox demo

setup: $(VENV)/.development

# As many as CI has cores: twice as many kept both busy all the time, took no less, and made what waits late.
test: $(VENV)/.development
	$(BIN)/python -m pytest -n $(or $(TEST_PROCESSES),2) --dist loadfile --no-loadscope-reorder

# Parts that may run at the same time (make --jobs=2 --output-sync=target prove): what measures time, the books, and memory.
prove: prove-admin prove-books prove-memory

screenshots: $(VENV)/.development
	$(BIN)/python -m tests.browser.screenshots

lint: lint-code
	@if [ -e .venv-lint/.linters ]; then $(MAKE) --no-print-directory lint-ecs; \
		else echo "Templates, scripts and Dockerfile were not linted: make setup-lint"; fi

lint-code: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# In a folder of their own, because checkov does not install beside our boto3.
setup-lint: .venv-lint/.linters

lint-ecs: .venv-lint/.linters
	$(LINT)/cfn-lint -- ecs/*.yaml
	$(LINT)/checkov --config-file ecs/checkov.yml
	$(LINT)/shellcheck ecs/deploy.sh .ci/run
	$(LINT)/hadolint Dockerfile

prove-admin: $(VENV)/.development
	$(BIN)/python -m pytest -q -s -m prove tests/prove/test_admin_speed.py tests/prove/test_hub_gaps.py \
		tests/prove/test_reports_beside_requests.py

prove-books: $(VENV)/.development
	$(BIN)/python -m pytest -q -m prove tests/prove/test_million.py tests/prove/test_hundred_thousand.py tests/prove/test_kills.py

prove-memory: $(VENV)/.development
	$(BIN)/python -m pytest -q -m prove tests/prove/test_memory.py

prove-image: $(VENV)/.development
	$(BIN)/python -m pytest tests/prove/test_image.py -m image

bench: $(VENV)/.development
	$(BIN)/python -m benchmarks

lock: $(VENV)/.development
	$(PIP) install uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --upgrade pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-deps \
		--custom-compile-command "make lock" --upgrade requirements-assets.in -o requirements-assets.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --upgrade --group dev pyproject.toml -c requirements.txt -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --upgrade --group pyproject.toml:lint -o requirements-lint.txt

clean:
	rm -rf $(VENV) .venv-lint .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.production: requirements.txt requirements-assets.txt | $(VENV)/bin/python
	$(PIP) install --require-hashes -r requirements.txt
	$(PIP) install --require-hashes --no-deps -r requirements-assets.txt
	@touch $@

$(VENV)/.development: requirements-dev.txt $(VENV)/.production
	$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

.venv-lint/.linters: requirements-lint.txt
	$(PYTHON) -m venv .venv-lint
	$(LINT)/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-lint.txt
	@touch $@
