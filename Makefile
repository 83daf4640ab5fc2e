# Each target does its own set-up: a virtual environment in this checkout, the pinned versions, then the work.
PYTHON ?= python3
VENV := .venv
VENV_OLDEST := .venv-oldest
VENV_DOCS := .venv-docs

.PHONY: demo demo-regression lint format test test-oldest mutants bench bench-quick docs docs-check clean

demo: $(VENV)/installed
	$(VENV)/bin/python examples/demo.py

demo-regression: $(VENV)/installed
	$(VENV)/bin/python examples/demo_regression.py

test: lint
	$(VENV)/bin/python -m pytest

lint: $(VENV)/installed
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check

format: $(VENV)/installed
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

test-oldest: $(VENV_OLDEST)/installed
	$(VENV_OLDEST)/bin/python -m pytest tests/test_common.py tests/test_common_mlp.py

# Wrong changes, each on a copy: which of them the tests notice. WORDS="smo path" tries those that mention one of them.
mutants: $(VENV)/installed
	$(VENV)/bin/python tests/mutants/run.py $(WORDS)

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
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[plots,tests]"
	touch $@

$(VENV_OLDEST)/installed: pyproject.toml tests/constraints-oldest.txt
	$(PYTHON) -m venv $(VENV_OLDEST)
	$(VENV_OLDEST)/bin/python -m pip install --quiet --constraint tests/constraints-oldest.txt --editable ".[plots,tests]"
	touch $@

$(VENV_DOCS)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV_DOCS)
	$(VENV_DOCS)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[plots,docs]"
	touch $@

clean:
	rm -rf $(VENV) $(VENV_OLDEST) $(VENV_DOCS) build dist *.egg-info demo_output docs/_build docs/api docs/lecture docs/lab
