"""A type checker accepts right uses of the public names and finds wrong ones; the package itself passes `make lint`."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import sklearn_svmdl
from sklearn_svmdl import _typing
from sklearn_svmdl.kernels import KERNELS

ROOT = Path(__file__).parents[1]

# What a user's file holds, and the mistakes that mypy must find: the codes at the end of a line, and no others.
RIGHT = """
import numpy as np
from scipy.sparse import csr_array
from sklearn_svmdl import BudgetPath, BudgetPathDisplay, BudgetSVC, BudgetSVCCV, BudgetSVR, BudgetSVRCV
from sklearn_svmdl import BudgetWarning, InfeasibleBudgetError, MarginDisplay, TorchMLPClassifier, TorchMLPRegressor
from sklearn_svmdl import TrainingHistoryDisplay, budget_path, leave_one_out_decisions

X, y = np.ones((4, 2)), ["a", "b", "a", "b"]
model = BudgetSVC().fit(X, y)
reveal_type(model)  # Revealed type is "sklearn_svmdl.svm._budget_svc.BudgetSVC"
labels = model.predict(csr_array(X)).astype(str)
decisions: np.ndarray = BudgetSVC(2, kernel="linear", n_jobs=2).fit([[1], [2]], [0, 1]).decision_function([[1.0]])
BudgetSVC(np.float32(0.5), unit="relative", degree=np.int64(2), gamma=0.1, kernel=lambda A, B: A @ B.T, verbose=True)
least, largest = BudgetSVC().feasible_budget(X, y, sample_weight=[1, 1, 2, 2])
top: float = largest[0]
BudgetSVCCV(Cs=[1, 2.0], kernel=["rbf", "linear"], gammas=["scale", 0.1], cv=3, scoring=["accuracy"], refit="accuracy")
tuned = BudgetSVRCV(Cs=np.logspace(-2, 2), epsilons=["auto", 0.1]).fit(X, [1, 2, 3, 4])
BudgetSVR(epsilon="auto").fit(X, np.arange(4)).predict(X).mean()
path: BudgetPath = budget_path(X, y, Cs=5, unit="cost")
path.margins.shape, path.at(path.Cs[0]).predict(X), leave_one_out_decisions(model, X, y).shape
network = TorchMLPClassifier((32, 16), solver="adamw", alpha=0, n_iter_no_change=np.inf, module__width=3).fit(X, y)
TorchMLPRegressor("poisson", 8, random_state=np.random.RandomState(0))
MarginDisplay.from_estimator(model, X, y).plot(support_kw={"s": 3})
TrainingHistoryDisplay.from_estimator(network, names=["one"]).plot()
"""
WRONG = """
from sklearn_svmdl import BudgetSVC, BudgetSVCCV, BudgetSVR, MarginDisplay, TorchMLPClassifier, TorchMLPRegressor
from sklearn_svmdl import budget_path
from sklearn_svmdl import BudgetSVD  # attr-defined
from sklearn_svmdl.svm import TorchMLPClassifier as Lost  # attr-defined
import sklearn_svmdl

sklearn_svmdl.NuBudget  # attr-defined
BudgetSVC(nonsense=3)  # call-arg
BudgetSVC(C="no")  # arg-type
BudgetSVC(1, "cost")  # call-arg
BudgetSVC(unit="relativ")  # arg-type
BudgetSVC(kernel="gauss")  # arg-type
BudgetSVC(gamma=None)  # arg-type
BudgetSVC(degree=2.5)  # arg-type
BudgetSVC(tol="1e-3")  # arg-type
BudgetSVC().fit([[1.0]])  # call-arg
BudgetSVC().fit([[1.0]], [1], weights=[1])  # call-arg
BudgetSVC().predict()  # call-arg
BudgetSVCCV(kernel=["rbf", "gauss"])  # list-item
BudgetSVCCV(Cs=None)  # arg-type
BudgetSVR(class_weight="balanced")  # call-arg
BudgetSVR(epsilon=None)  # arg-type
low: str = BudgetSVR().feasible_budget([[1.0]], [1.0])[0]  # assignment
budget_path([[1.0]], [1], 5)  # call-arg
budget_path([[1.0]], [1], unit="share").plot("margin")  # arg-type arg-type
TorchMLPClassifier(activation="swish")  # arg-type
TorchMLPClassifier(solver="rmsprop", dtype="float16")  # arg-type arg-type
TorchMLPClassifier(callbacks=3)  # arg-type
TorchMLPRegressor(loss="log_loss")  # arg-type
MarginDisplay.from_estimator(BudgetSVC(), [[1.0]])  # call-arg
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What mypy says of both files, with a user's settings."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "right.py").write_text(RIGHT)
    (folder / "wrong.py").write_text(WRONG)
    # torch is large, and nothing public depends on its types.
    (folder / "mypy.ini").write_text("[mypy]\nfollow_imports = silent\n[mypy-torch.*]\nfollow_imports = skip\n")
    command = [sys.executable, "-m", "mypy", "--ignore-missing-imports", "--show-error-codes", "right.py", "wrong.py"]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout.splitlines()


def test_right_uses_are_accepted(told):
    said = [line for line in told if line.startswith("right.py")]
    revealed = re.search(r"# (Revealed type is .*)", RIGHT)[1]
    assert [line.split("note: ")[1] for line in said if "note: " in line] == [revealed]
    assert not [line for line in said if ": error: " in line]


def test_wrong_uses_are_found(told):
    found = {}
    for line in told:
        if match := re.match(r"wrong.py:(\d+): error: .*\[([a-z-]+)\]$", line):
            found.setdefault(int(match[1]), []).append(match[2])
    expected = {
        number: line.split("  # ")[1].split()
        for number, line in enumerate(WRONG.splitlines(), start=1)
        if "  # " in line
    }
    assert found == expected


def test_every_kernel_has_its_name_in_the_types():
    assert set(get_args(_typing.KernelName)) == set(KERNELS)


def public_functions():
    """Functions that users call: those that are public, and the methods of those that are classes."""
    for name in sorted(set(sklearn_svmdl.__all__) - {"__version__"}):
        thing = getattr(sklearn_svmdl, name)
        if not inspect.isclass(thing):
            yield name, thing
        elif not issubclass(thing, (Warning, Exception)):
            for owner in inspect.getmro(thing):
                if owner.__module__.startswith("sklearn_svmdl"):
                    for method, function in vars(owner).items():
                        if not method.startswith("_") or method == "__init__":
                            yield f"{name}.{method}", inspect.unwrap(plain(function, owner))


def plain(function, owner):
    """The function behind a property, a class method or a method that is there on a condition."""
    function = getattr(function, "fget", None) or getattr(function, "fn", None) or function
    return getattr(function, "__func__", function)


PUBLIC = [(name, function) for name, function in public_functions() if inspect.isfunction(function)]


@pytest.mark.parametrize(("name", "function"), PUBLIC, ids=[name for name, _ in PUBLIC])
def test_every_public_parameter_and_return_has_its_type(name, function):
    signature = inspect.signature(function)
    parameters = [each for each in signature.parameters.values() if each.name not in ("self", "cls")]
    assert [each.name for each in parameters if each.annotation is each.empty] == []
    assert signature.return_annotation is not signature.empty
