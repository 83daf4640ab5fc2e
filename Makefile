# Each target does its own set-up: a virtual environment in this checkout, the pinned versions, then the work.
PYTHON ?= python3
VENV := .venv
VENV_OLDEST := .venv-oldest

.PHONY: demo test test-oldest bench bench-quick clean

demo: $(VENV)/installed
	$(VENV)/bin/python examples/demo.py

test: $(VENV)/installed
	$(VENV)/bin/python -m flake8 sklearn_svmdl tests benchmarks examples
	$(VENV)/bin/python -m pytest

test-oldest: $(VENV_OLDEST)/installed
	$(VENV_OLDEST)/bin/python -m pytest tests/test_common.py tests/test_common_mlp.py

bench: $(VENV)/installed
	$(VENV)/bin/python -m benchmarks

bench-quick: $(VENV)/installed
	$(VENV)/bin/python -m benchmarks --quick

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[plots,tests]"
	touch $@

$(VENV_OLDEST)/installed: pyproject.toml tests/constraints-oldest.txt
	$(PYTHON) -m venv $(VENV_OLDEST)
	$(VENV_OLDEST)/bin/python -m pip install --quiet --constraint tests/constraints-oldest.txt --editable ".[plots,tests]"
	touch $@

clean:
	rm -rf $(VENV) $(VENV_OLDEST) build dist *.egg-info demo_output
