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


HIDE = """
import sys

class Hidden:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden)
"""


def run_without(hidden, code):
    """Run code in a process that does not find some packages."""
    code = f"HIDDEN = {hidden}\n{HIDE}\n{code}"
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)


def test_support_vector_machines_need_no_torch():
    done = run_without(
        ["torch", "skorch"],
        "import pickle\n"
        "from sklearn_svmdl import BudgetSVC, BudgetSVCCV, BudgetSVR, BudgetSVRCV\n"
        "from sklearn_svmdl import MarginDisplay, budget_path, leave_one_out_decisions, to_onnx\n"
        "models = [BudgetSVC(), BudgetSVCCV(Cs=2, gammas=1, cv=2), BudgetSVR(), BudgetSVRCV(Cs=2, gammas=1, cv=2)]\n"
        "X, y = [[0.0], [1.0], [3.0], [5.0]], [0, 0, 1, 1]\n"
        "for model in models:\n"
        "    print(*pickle.loads(pickle.dumps(model.fit(X, y))).predict(X).round())\n"
        "print(budget_path(X, y, Cs=[0.5, 0.0]).margins.shape, leave_one_out_decisions(models[0], X, y).shape)\n",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("absent", ["torch", "skorch"])
@pytest.mark.parametrize("name", ["TorchMLPClassifier", "TorchMLPRegressor"])
@pytest.mark.parametrize("home", ["sklearn_svmdl", "sklearn_svmdl.neural_network"])
def test_a_network_without_torch_says_what_to_install(home, name, absent):
    done = run_without([absent], f"from {home} import {name}")
    *before, last = done.stderr.strip().splitlines()
    assert last.startswith("ImportError: ") and f"need {absent}" in last
    assert 'pip install "sklearn-svmdl[torch]"' in last
    assert not any("Error: " in line for line in before)
