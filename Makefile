# What people and CI run. Needs Python 3.11 or newer, and nothing installed.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DASHBOARD := .venv-dashboard
RESULTS := artifacts mlflow.db mlruns .mlflow.lock .zen
# What ZenML keeps of every project of this user: its database, and the artifacts that a further run goes on from.
CONFIG_HOME := $(if $(filter Darwin,$(shell uname)),$(HOME)/Library/Application Support,$(or $(XDG_CONFIG_HOME),$(HOME)/.config))
ZENML_STORE := $(or $(ZENML_CONFIG_PATH),$(CONFIG_HOME)/zenml)

# Two processes, as CI has two cores; all tests of a file in the same one. `make test TESTS="-n 0 tests/models"` debugs.
PYTEST := $(BIN)/python -m pytest
TESTS ?=
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help demo test test-slow torture fuzz check ui dashboard requirements clean clean-results

help:  ## this list
	@echo 'make TARGET; what runs Python first makes .venv (2.6 GB without CUDA, once)'
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "  %-14s %s\n", $$1, $$2 }'
	@echo 'On your own data: python run_pipeline.py --help'

demo: $(INSTALLED)  ## the whole pipeline on the built-in phantoms: minutes; results are in artifacts/demo
	$(BIN)/python run_pipeline.py --config configs/demo.yaml --out_dir artifacts/demo

test: $(INSTALLED)  ## what guards every promise, in less than ten minutes on two cores
	$(PYTEST) $(SIDE_BY_SIDE) -m "not slow and not torture" $(TESTS)

test-slow: $(INSTALLED)  ## the rest: full products of geometries, long trainings, rare ways to run
	$(PYTEST) $(SIDE_BY_SIDE) -m "slow and not torture" $(TESTS)

torture: $(INSTALLED)  ## an hour or two of attempts to break it: kills, signals, crowds, full disks, servers that go
	$(PYTEST) tests/torture -m torture

fuzz: $(INSTALLED)  ## ten minutes of damaged annotation files, then 10,000 damaged folders
	$(BIN)/python -m tests.fuzz --minutes 10 --folders 10000

check: $(INSTALLED)  ## lint, format, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

ui: $(INSTALLED)  ## the MLflow UI on http://127.0.0.1:5000
	MLFLOW_DISABLE_TELEMETRY=true $(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db

dashboard: $(DASHBOARD)/.installed  ## the ZenML dashboard on http://127.0.0.1:8237
	$(DASHBOARD)/bin/python -m tracking.dashboard

requirements: $(INSTALLED)  ## pin requirements.in; torch without the name of its build, which differs by platform
	$(BIN)/pip-compile --quiet --strip-extras --no-header --no-annotate --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host --output-file .venv/pinned.txt requirements.in
	{ echo '# Pinned by `make requirements` from requirements.in; do not edit.'; \
	  sed -e '/^#/d' -e '/^$$/d' -e 's/+[a-z0-9]*$$//' .venv/pinned.txt; } > requirements.txt

clean:  ## remove .venv and the caches of tools; keeps results, and says how much they and ZenML hold
	rm -rf .venv $(DASHBOARD) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@echo 'kept, as it may be all that is left of your runs (make clean-results asks, and removes it):'
	@found="$$(ls -d $(RESULTS) 2>/dev/null)"; [ -z "$$found" ] && echo '  nothing here' || du -sh $$found | sed 's/^/  /'
	@$(MAKE) --no-print-directory -s .zenml-store

clean-results:  ## remove the results here, after asking (YES=1 does not ask): artifacts/, MLflow's runs, .zen
	@found="$$(ls -d $(RESULTS) 2>/dev/null)"; \
	if [ -z "$$found" ]; then echo 'there are no results in this folder'; exit 0; fi; \
	du -shc $$found; \
	if [ '$(YES)' != 1 ]; then \
		if [ ! -t 0 ]; then echo 'nothing is removed: there is no terminal to ask; make clean-results YES=1' >&2; exit 2; fi; \
		printf 'Remove these for good? [y/N] '; read -r answer; \
		case "$$answer" in [yY]|[yY]es) ;; *) echo 'nothing is removed'; exit 0;; esac; \
	fi; \
	rm -rf $$found && echo 'removed; results in another --out_dir stay'
	@$(MAKE) --no-print-directory -s .zenml-store

.PHONY: .zenml-store
.zenml-store:
	@if [ -d "$(ZENML_STORE)" ]; then echo "ZenML's store, of all your projects, stays; docs/disk.md says how to free it:"; \
		du -sh "$(ZENML_STORE)" | sed 's/^/  /'; fi

$(INSTALLED): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.txt)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(DASHBOARD)/.installed: requirements-dashboard.txt | $(INSTALLED)
	$(BIN)/python -m venv $(DASHBOARD)
	$(DASHBOARD)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dashboard.txt
	touch $@
