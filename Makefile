# The habits of the house. `make` alone explains them; CONTRIBUTING.md says more.

VENV := .venv
BIN  := $(VENV)/bin
PYTHON ?=
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install serve test fuzz check wheel bench bench-growth docs fmt constraints clean

help: ## show this text
	@printf 'DataStore turns tables into an API. Start with:\n\n  make serve    and open http://127.0.0.1:8080\n\nEverything there is:\n\n'
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nPass options on with ARGS:\n\n  make serve ARGS="--port 9000 --no-demo"\n  make test  ARGS="-k upsert -x"\n\n'
	@printf 'PYTHON=/path/to/python3 chooses the Python (3.11 or newer), JOBS=4 the parallel test workers.\n'

install: $(VENV)/.installed ## make .venv with everything in it; quick when nothing changed

# Runs again only when one of these files is newer than the last complete installation.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { $(make-venv); }
	@echo "Installing into $(VENV): one or two minutes the first time."
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,dev]'
	@touch $@
	@echo "Installed. The command line is $(BIN)/datastore."

# Takes PYTHON if given, else the first Python that is new enough. Debian ships venv without pip's installer
# (ensurepip): ask before venv leaves half a folder behind.
define make-venv
set -e; \
python=; \
for candidate in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
    if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
done; \
if [ -z "$$python" ]; then \
    echo "DataStore needs Python 3.11 or newer; found: $$($(or $(PYTHON),python3) --version 2>&1 || true)" >&2; \
    echo "Install one, or name it: make install PYTHON=/path/to/python3.12" >&2; \
    exit 1; \
fi; \
if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
    package=$$($$python -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
    echo "$$($$python --version) is here, but not its venv module. On Debian and Ubuntu:" >&2; \
    echo "    apt-get install $$package" >&2; \
    exit 1; \
fi; \
$$python -m venv --clear $(VENV)
endef

serve: install ## start everything: PostgreSQL, the demo data, http://127.0.0.1:8080
	@$(BIN)/datastore serve $(ARGS)

test: install ## run all tests on a real PostgreSQL, in parallel
	@$(BIN)/pytest -n $(JOBS) --maxprocesses=8 --dist=worksteal $(ARGS)

fuzz: install ## try generated SQL on the gate for FUZZ_SECONDS (600), from SEED on
	@DATASTORE_FUZZ_SECONDS=$(or $(FUZZ_SECONDS),600) DATASTORE_FUZZ_SEED=$(or $(SEED),$(shell date +%s)) \
		$(BIN)/pytest -q -s tests/sqlgate/test_fuzz.py $(ARGS)

check: install ## format, lint, types, floors, generated pages, and the wheel
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m datastore.docs --check
	@$(MAKE) --no-print-directory wheel

# The working folder comes first in Python's path: what is imported is the unpacked wheel.
define import_wheel
import os, datastore.cli
from datastore.postgres.migrate import asset_folder, migrations
assert datastore.cli.__file__.startswith(os.getcwd()), datastore.cli.__file__
assert asset_folder("sql").is_relative_to(os.getcwd()), asset_folder("sql")
assert migrations()
endef
export import_wheel

# The wheel must carry the SQL files and work where no checkout is.
wheel: install ## build dist/*.whl and prove that it works by itself
	@rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null
	@$(BIN)/python -m zipfile -e dist/*.whl dist/unpacked
	@for folder in sql triggers; do [ ! -d $$folder ] || diff -r $$folder dist/unpacked/datastore/$$folder || exit 1; done
	@cd dist/unpacked && $(CURDIR)/$(BIN)/python -c "$$import_wheel"
	@rm -rf dist/unpacked
	@echo "Built $$(ls dist/*.whl)"

bench: install ## run the benchmarks; each prints a ratio to its physical floor
	@$(BIN)/python -m benchmarks $(ARGS)

bench-growth: install ## measure how cost grows with rows, columns and tables; draws the charts of docs/performance.md
	@$(BIN)/python -m benchmarks.growth $(ARGS)

docs: install ## write the generated pages of docs/ anew
	@$(BIN)/python -m datastore.docs $(ARGS)

fmt: install ## format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A fresh environment, so that only what the installation needs is pinned. Use the oldest Python that is supported
# (PYTHON=python3.11): the newest versions of some packages drop it.
constraints: ## pin the newest versions that pyproject.toml allows
	@rm -rf $(VENV)
	@$(make-venv)
	@$(BIN)/python -m pip install --quiet --upgrade --upgrade-strategy eager setuptools --editable '.[demo,dev]'
	@$(BIN)/python -m pip freeze --all --exclude-editable --exclude pip | tr 'A-Z_' 'a-z-' | LC_ALL=C sort >constraints.txt
	@touch $(VENV)/.installed
	@git diff --stat -- constraints.txt

clean: ## remove .venv, caches and builds (never your data)
	@rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
