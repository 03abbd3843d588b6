PYTHON ?= python3
BIN = .venv/bin
SECONDS = 60

.PHONY: run test test-long test-all chaos fuzz flood bench audit lint format browser

run: .venv/run
	$(BIN)/python app.py

test: .venv/test browser
	$(BIN)/python -m pytest

test-long: .venv/test browser
	$(BIN)/python -m pytest -m long

test-all: .venv/test browser
	$(BIN)/python -m pytest -m 'not alone'

chaos: .venv/test
	$(BIN)/python -m tests.jobs.chaos --kills 200
	$(BIN)/python -m tests.jobs.chaos --kills 200 --signal TERM

fuzz: .venv/test
	$(BIN)/python -m tests.photo.fuzz --files 100000

flood: .venv/test
	S2V_FLOOD_SECONDS=$(SECONDS) $(BIN)/python -m pytest -n 0 -m alone -s tests/server/test_flood.py

# Beside MiniMax's own command, where npm can install it.
bench: .venv/test browser
	! command -v npm >/dev/null || npm install --silent --prefix .venv/mmx mmx-cli@1.0.27
	S2V_MMX=$(CURDIR)/.venv/mmx/node_modules/.bin/mmx $(BIN)/python -m tests.bench

# Of what is installed; it asks a service for the known vulnerabilities.
audit: .venv/run
	$(BIN)/python -m pip freeze --quiet > .venv/installed.txt
	test -x .venv/audit/bin/pip-audit || ($(PYTHON) -m venv .venv/audit && .venv/audit/bin/pip install --quiet "pip-audit>=2.9,<3")
	.venv/audit/bin/pip-audit --strict --disable-pip --no-deps --requirement .venv/installed.txt

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict s2v_core

format: .venv/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

browser: .venv/test
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh tests/browser.sh

.venv/run: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	touch $@

.venv/test: tests/requirements.txt requirements-mcp.txt .venv/run
	$(BIN)/python -m pip install --quiet --requirement tests/requirements.txt
	touch $@
