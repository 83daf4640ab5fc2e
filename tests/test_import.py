"""Importing the package is cheap: no torch, no matplotlib."""

import subprocess
import sys

import pytest

import sklearn_svmdl

HEAVY = ("torch", "skorch", "matplotlib")


@pytest.mark.parametrize(
    "statement",
    [
        "import sklearn_svmdl",
        "from sklearn_svmdl import BudgetSVC",
        "from sklearn_svmdl import MarginDisplay",
    ],
)
def test_import_costs_no_heavy_library(statement):
    code = f"import sys\n{statement}\nprint([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_exist():
    for name in sklearn_svmdl.__all__:
        assert getattr(sklearn_svmdl, name) is not None
    assert set(sklearn_svmdl.__all__) <= set(dir(sklearn_svmdl))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'BudgetSVD'"):
        sklearn_svmdl.BudgetSVD
