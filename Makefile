# Everything a developer or a first-time user runs. `make help` lists it.
# Needs only Python 3.11 or newer with venv: each target sets up .venv by itself, and is quick the second time.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	$$name -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
TORCH := $(shell grep '^torch==' constraints.txt)
BIN := .venv/bin
STAMP := .venv/.installed
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --quiet
WORKERS ?= auto
DEMO ?= demo
STORE ?= stores/chains
RUN ?= runs/protein

.PHONY: help
help: ## Show the targets.
	@sed -n 's/^\([a-z][a-z%-]*\):.*## \(.*\)/\1\t\2/p' Makefile | awk -F '\t' '{ printf "  make %-14s %s\n", $$1, $$2 }'

# torch goes first, so that pip takes the build of it that this machine is set up for and then leaves it alone.
# The stamp is made last: an installation that was interrupted is taken up again.
$(STAMP): pyproject.toml constraints.txt
	@if ! $(BIN)/python -m pip --version &> /dev/null; then
		[[ -n "$(PYTHON)" ]] || { echo "error: no Python 3.11 or newer with venv found; name one: make PYTHON=..." >&2; exit 2; }
		$(PYTHON) -m venv --clear .venv
	fi
	echo "Setting up .venv: torch ..."
	$(PIP) $(TORCH)
	echo "Setting up .venv: everything else; the first time this takes some minutes ..."
	$(PIP) --constraint constraints.txt --editable '.[dev]'
	touch $@

.PHONY: venv
venv: $(STAMP) ## Set up .venv with everything that users and developers need.
	@echo ".venv is ready: source .venv/bin/activate"

.PHONY: demo
demo: $(STAMP) ## Both workflows from end to end: protein backbones, and responses of simulated cells; prints both reports.
	@$(BIN)/helicell run protein --directory $(DEMO)
	$(BIN)/helicell run cells --directory $(DEMO)/cells
	echo "Report on proteins: $(abspath $(DEMO))/results/report.html"
	echo "Report on cells:    $(abspath $(DEMO))/cells/results/report.html"

.PHONY: picture
picture: demo ## Make the pictures of the documentation from the reports of the demo; needs Chromium.
	@$(BIN)/python docs/pictures.py $(DEMO)/results/report.html docs/images/protein-report.png
	$(BIN)/python docs/pictures.py $(DEMO)/cells/results/report.html docs/images/cells-report.png

.PHONY: train-protein
train-protein: $(STAMP) ## Train the embedded model again: STORE= of `helicell protein import`, RUN= folder to make or resume.
	@$(BIN)/helicell protein train --store $(STORE) --out $(RUN) --resume

.PHONY: test
test: $(STAMP) ## Run the default test suite.
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

.PHONY: test-all
test-all: $(STAMP) ## Run all tests, the slow ones too.
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile -m ""

.PHONY: lint
lint: $(STAMP) ## Check format, style, types, import contracts and workflows.
	@$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check workflows

.PHONY: format
format: $(STAMP) ## Format the code and the workflows, and mend what can be mended.
	@$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt workflows

.PHONY: docs
docs: $(STAMP) ## Build the documentation; a warning is an error.
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --builder html docs docs/_build/html
	echo "docs/_build/html/index.html"

.PHONY: schemas
schemas: $(STAMP) ## Write the schemas of the workflows' configurations again, after a change of their settings.
	@$(BIN)/python -m helicell.protein.pipeline workflows/protein/workflow/schemas/config.schema.yaml
	$(BIN)/python -m helicell.cells.pipeline workflows/cells/workflow/schemas/config.schema.yaml
	$(BIN)/python -m helicell.core.samplers.pipeline workflows/samplers/workflow/schemas/config.schema.yaml

bench-%: $(STAMP) ## Run one benchmark, such as `make bench-cli`.
	@$(BIN)/python benchmarks/bench_$*.py

.PHONY: constraints
constraints: $(STAMP) ## Pin in constraints.txt what is installed in .venv now.
	@{ echo "# What continuous integration passed with; made by \`make constraints\`."
	$(BIN)/python -m pip freeze --exclude-editable --exclude helicell | sed 's/+cpu$$//'; } > constraints.new
	mv constraints.new constraints.txt

.PHONY: clean
clean: ## Remove caches and built documentation, but neither .venv nor results.
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache docs/_build
