# What people and CI run. Needs Python 3.11 or newer, and nothing installed.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DASHBOARD := .venv-dashboard

# Two processes, as CI has two cores; all tests of a file in the same one. `make test TESTS="-n 0 tests/models"` debugs.
PYTEST := $(BIN)/python -m pytest
TESTS ?=
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-slow torture fuzz check ui dashboard requirements clean

demo: $(INSTALLED)  ## the whole pipeline on the built-in phantoms
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

clean:  ## what was made in this folder, results included; ZenML's own store lies elsewhere and stays
	rm -rf .venv $(DASHBOARD) .zen artifacts mlflow.db mlruns .mlflow.lock .pytest_cache .mypy_cache .ruff_cache .hypothesis

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
