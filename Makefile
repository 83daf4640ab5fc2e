# Each target does its own set-up: a virtual environment in this checkout, the pinned versions, then the work.
PYTHON ?= python3
VENV := .venv
VENV_OLDEST := .venv-oldest
VENV_DOCS := .venv-docs
VENV_DIST := .venv-dist
# Tests run in two processes of one thread each: more threads than cores would wait for each other.
WORKERS ?= 2
PYTEST := -m pytest --numprocesses $(WORKERS) --dist worksteal
UNPACKED := build/unpacked
QUICK := tests/test_import.py tests/test_budget_svc.py tests/test_mlp_oracles.py tests/test_readme.py \
	tests/test_examples.py tests/test_trust.py
FUZZ_SECONDS ?= 300

.PHONY: demo demo-regression lint format test test-all test-oldest fuzz mutants coverage dist dist-check bench \
	bench-quick docs docs-check clean

test test-all test-oldest fuzz coverage dist-check: export OMP_NUM_THREADS := 1

demo: $(VENV)/installed
	$(VENV)/bin/python examples/demo.py

demo-regression: $(VENV)/installed
	$(VENV)/bin/python examples/demo_regression.py

# All but the tests marked slow, which are more of the same.
test: lint
	$(VENV)/bin/python $(PYTEST) -m "not slow"

test-all: lint
	$(VENV)/bin/python $(PYTEST)

coverage: $(VENV)/installed
	$(VENV)/bin/python $(PYTEST) --cov --cov-report=term --cov-report=html:build/coverage

# All properties on problems never seen before, for FUZZ_SECONDS; a failure prints a script that shows it again.
fuzz: $(VENV)/installed
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(VENV)/bin/python tests/fuzz.py

lint: $(VENV)/installed
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy

format: $(VENV)/installed
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

# What 'make test' runs but the linters, on the oldest supported versions.
test-oldest: $(VENV_OLDEST)/installed
	$(VENV_OLDEST)/bin/python $(PYTEST) -m "not slow"

dist: $(VENV_DIST)/installed
	rm -rf dist
	$(VENV_DIST)/bin/python -m build --outdir dist
	$(VENV_DIST)/bin/python -m twine check --strict dist/*

# What is built works: the wheel without torch in an environment of its own, which holds nothing else, and the sdist's
# own tests in an unpacked copy, of which all are collected and some are run.
dist-check: dist
	rm -rf $(UNPACKED) .venv-wheel .venv-sdist
	mkdir -p $(UNPACKED)
	tar -xzf dist/*.tar.gz --strip-components=1 -C $(UNPACKED)
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet --constraint constraints.txt dist/*.whl
	cd $(UNPACKED)/tests && "$(CURDIR)/.venv-wheel/bin/python" -W error svm_alone.py
	$(PYTHON) -m venv .venv-sdist
	cd $(UNPACKED) && "$(CURDIR)/.venv-sdist/bin/python" -m pip install --quiet --constraint constraints.txt ".[tests]"
	cd $(UNPACKED) && "$(CURDIR)/.venv-sdist/bin/python" -m pytest --quiet --collect-only > collected
	cd $(UNPACKED) && "$(CURDIR)/.venv-sdist/bin/python" $(PYTEST) $(QUICK)

# Wrong changes, each on a copy: which of them the tests notice. WORDS="smo path" tries those that mention one of them.
JOBS ?= 2
PART ?= 1/1
RESULTS ?=
mutants: $(VENV)/installed
	$(VENV)/bin/python tests/mutants/run.py --jobs $(JOBS) --part $(PART) $(if $(RESULTS),--results $(RESULTS)) $(WORDS)

bench: $(VENV)/installed
	$(VENV)/bin/python -m benchmarks

bench-quick: $(VENV)/installed
	$(VENV)/bin/python -m benchmarks --quick

# The site, in docs/_build/html: no network is needed once the environment is there, and a warning is an error.
docs: $(VENV_DOCS)/installed
	$(VENV_DOCS)/bin/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "The site: docs/_build/html/index.html"

# Links, anchors and pictures, then every page in a headless Chromium, which must be installed.
docs-check: docs
	$(VENV_DOCS)/bin/python docs/check.py

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[tests]"
	touch $@

$(VENV_OLDEST)/installed: pyproject.toml tests/constraints-oldest.txt
	$(PYTHON) -m venv $(VENV_OLDEST)
	$(VENV_OLDEST)/bin/python -m pip install --quiet --constraint tests/constraints-oldest.txt --editable ".[tests]"
	touch $@

$(VENV_DIST)/installed: constraints.txt
	$(PYTHON) -m venv $(VENV_DIST)
	$(VENV_DIST)/bin/python -m pip install --quiet --constraint constraints.txt build twine
	touch $@

$(VENV_DOCS)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV_DOCS)
	$(VENV_DOCS)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) $(VENV_OLDEST) $(VENV_DOCS) $(VENV_DIST) .venv-wheel .venv-sdist build dist *.egg-info demo_output docs/_build docs/api docs/lecture docs/lab
