"""Where memory runs out it is said, with what to try; fits keep within bounds, and do not grow."""

import gc
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from allocations import allocations
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification

from sklearn_svmdl import (
    BudgetSVC,
    BudgetSVCCV,
    BudgetSVR,
    BudgetSVRCV,
    TorchMLPClassifier,
    TorchMLPRegressor,
    budget_path,
    leave_one_out_decisions,
)
from sklearn_svmdl._memory import memory_advice
from sklearn_svmdl.svm import _search

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
MEGABYTE = 2**20


# --- what is said

SHORT = {"hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}
FITS = {
    "BudgetSVC": (BudgetSVC(), "a smaller cache_size"),
    "BudgetSVR": (BudgetSVR(), "a smaller cache_size"),
    "BudgetSVCCV": (BudgetSVCCV(2, gammas=1, cv=2), "a smaller cache_size"),
    "BudgetSVRCV": (BudgetSVRCV(2, gammas=1, cv=2), "a smaller cache_size"),
    "TorchMLPClassifier": (TorchMLPClassifier(**SHORT), "a smaller batch_size"),
    "TorchMLPRegressor": (TorchMLPRegressor(**SHORT), "a smaller batch_size"),
}
# As few samples as make all of a fit necessary: there are thousands of allocations, and a fit for each.
SMALL = {
    **FITS,
    "BudgetSVCCV": (BudgetSVCCV([0.1, 1.0], gammas=1, cv=2), "a smaller cache_size"),
    "BudgetSVRCV": (BudgetSVRCV([0.1, 1.0], gammas=1, cv=2), "a smaller cache_size"),
    "BudgetSVC of two classes": (BudgetSVC(C=0.4, unit="relative", kernel="linear"), "a smaller cache_size"),
    "BudgetSVC by pair steps": (BudgetSVC(solver="smo"), "a smaller cache_size"),
    "BudgetSVCCV that leaves one out": (BudgetSVCCV([1.0], gammas=1, cv="loo"), "a smaller cache_size"),
}


def few(name, step=10):
    """Some samples of iris, and their classes or numbers."""
    X, y = load_iris(return_X_y=True)
    if "SVR" in name or "Regressor" in name:
        return X[::step, :3], X[::step, 3]
    return X[::step, :3], y[::step] > 0 if "two" in name or "leaves" in name else y[::step]


# A few epochs tell whether the network is as before.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("most", [12, pytest.param(10**6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SMALL)
def test_an_array_that_does_not_fit_is_told_and_nothing_is_lost(name, most):
    """Whichever array of numpy it is."""
    estimator, advice = SMALL[name]
    X, y = few(name)
    model = clone(estimator).fit(X[:, :2], y)
    before, state = model.predict(X[:, :2]), dict(vars(model))
    new = clone(estimator).fit(X, y).predict(X)
    with allocations() as counted:
        clone(estimator).fit(X, y)
    points = np.unique(np.linspace(1, counted.count, min(most, counted.count)).astype(int)).tolist()
    assert len(points) == min(most, counted.count) > 10
    asked = f"for an array with shape .*. (BudgetSVC|BudgetSVR|TorchMLP).* needs X, .* Try {advice}"
    for point in points:
        with pytest.raises(MemoryError, match=asked), allocations(fails_at=point):
            model.fit(X, y)
        assert all(vars(model)[key] is state[key] for key in state)
        assert_array_equal(model.predict(X[:, :2]), before)
    assert_array_equal(model.fit(X, y).predict(X), new)


@pytest.mark.parametrize("most", [12, pytest.param(10**6, marks=pytest.mark.slow)])
def test_an_array_that_does_not_fit_a_path_is_told(most):
    X, y = few("two")
    with allocations() as counted:
        budget_path(X, y, Cs=[0.5, 0.2], unit="relative")
    for point in np.unique(np.linspace(1, counted.count, min(most, counted.count)).astype(int)).tolist():
        with pytest.raises(MemoryError, match="BudgetSVC needs X, .* a smaller cache_size"), allocations(point):
            budget_path(X, y, Cs=[0.5, 0.2], unit="relative")


@pytest.mark.parametrize("error", [MemoryError(), MemoryError("much"), RuntimeError("can't allocate memory: 8 bytes")])
def test_the_advice_follows_the_need(error):
    with pytest.raises(MemoryError) as caught, memory_advice(lambda: "Try less."):
        raise error
    assert str(caught.value) == f"{str(error) or 'Memory ran out'}. Try less."


def test_advice_is_given_once_and_other_errors_are_left_alone():
    with pytest.raises(MemoryError) as caught, memory_advice(lambda: "Outer."), memory_advice(lambda: "Inner."):
        raise MemoryError("much")
    assert str(caught.value) == "much. Inner."
    with pytest.raises(RuntimeError, match="^mine$"), memory_advice(lambda: "Try less."):
        raise RuntimeError("mine")


def test_a_memory_error_that_was_wrapped_in_another_is_one():
    with pytest.raises(MemoryError, match="^much. Try less.$"), memory_advice(lambda: "Try less."):
        raise TypeError("missing 1 required positional argument: 'dtype'") from MemoryError("much")
    for cause in (None, ValueError("mine")):
        with pytest.raises(TypeError, match="^mine$"), memory_advice(lambda: "Try less."):
            raise TypeError("mine") from cause


def test_a_wrapped_memory_error_ends_a_search():
    def scorer(model, X, y):
        raise TypeError("missing 1 required positional argument: 'dtype'") from MemoryError("much")

    X, y = load_iris(return_X_y=True)
    for cv in (2, "loo"):
        with pytest.raises(MemoryError, match="^much. "):
            BudgetSVCCV(Cs=[1.0], cv=cv, scoring=scorer).fit(X, y)


def test_functions_give_advice_too(monkeypatch):
    X, y = load_iris(return_X_y=True)
    model = BudgetSVC().fit(X, y)

    def full(*args, **kwargs):
        raise MemoryError("much")

    monkeypatch.setattr(np, "empty", full)
    for call in (lambda: budget_path(X, y), lambda: leave_one_out_decisions(model, X, y)):
        with pytest.raises(MemoryError, match="much. BudgetSVC needs X.*cache_size"):
            call()


LIMITED = """
import resource, warnings
warnings.simplefilter("ignore")
import numpy as np
from sklearn_svmdl import BudgetSVC, TorchMLPClassifier
from sklearn.datasets import make_classification
X, y = make_classification(3000, 20, random_state=0)
few = X[:200], y[:200]
svc, mlp = BudgetSVC(), TorchMLPClassifier((3000,), max_iter=2, batch_size=3000)
old = svc.fit(*few).predict(X[:200]), mlp.fit(*few).predict(X[:200])
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + {room} * 2**20,) * 2)
for model, before in zip((svc, mlp), old):
    try:
        model.fit(X, y)
        print("fitted")
    except MemoryError as error:
        assert "Try a smaller" in str(error) and np.array_equal(model.predict(X[:200]), before)
        print("told")
try:
    mlp.predict(X)
except MemoryError as error:
    assert "fewer rows" in str(error)
    print("told")
# What it says helps.
print(svc.set_params(cache_size={cache}).fit(X, y).score(X, y) > 0.8)
"""


@linux
def test_a_process_of_little_memory_is_told_what_helps():
    code = LIMITED.format(room=24, cache=4)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["told", "told", "told", "True"]


# --- what a search asks for


@pytest.mark.parametrize("kernels, n_matrices", [("rbf", 3), (["linear", "rbf"], 4)])
def test_a_search_shares_a_matrix_where_it_fits(kernels, n_matrices, monkeypatch):
    X, y = make_classification(60, 4, random_state=0)
    made, shared = [], _search.SharedKernelMatrix
    monkeypatch.setattr(_search, "SharedKernelMatrix", lambda X: made.append(1) or shared(X))
    search = BudgetSVCCV([1.0], kernel=kernels, gammas=["scale"], cv=2)
    needed = 8 * n_matrices * 60**2 / MEGABYTE
    fits = search.set_params(cache_size=needed).fit(X, y)
    assert made == [1]
    beyond = clone(search).set_params(cache_size=0.999 * needed).fit(X, y)
    assert made == [1]
    assert_array_equal(fits.cv_results_["mean_test_score"], beyond.cv_results_["mean_test_score"])


@pytest.mark.parametrize("megabytes", [400, 60, 20])
def test_a_search_keeps_to_its_memory(megabytes):
    X, y = make_classification(1600, 10, flip_y=0.1, random_state=0)
    search = BudgetSVCCV([0.1, 1.0], gammas=["scale"], cv=2, cache_size=megabytes)
    search.fit(X[:100], y[:100])
    tracemalloc.start()
    try:
        search.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1] / MEGABYTE
    finally:
        tracemalloc.stop()
    # Blocks of kernel values that are being evaluated, 8 MB each, come on top.
    assert peak < megabytes + 40


# --- how much fits take


def peak_of(code):
    """How many megabytes the process grows by, at most, while it runs the code `fit()` after its set-up."""
    measure = """
import resource, warnings
warnings.simplefilter("ignore")
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
{code}
before = peak()
fit()
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", measure.format(code=code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


KERNEL = """
from sklearn.datasets import make_classification
from sklearn_svmdl import {name} as Model
X, y = make_classification({n}, 20, n_informative=10, flip_y=0.05, random_state=0)
# Whatever a first fit imports is there.
Model(cache_size={cache_size}).fit(X[:600], y[:600])
fit = lambda: Model({parameters}cache_size={cache_size}).fit(X, y)
"""


@linux
@pytest.mark.slow
@pytest.mark.parametrize("cache_size", [50, 200])
@pytest.mark.parametrize("name", ["BudgetSVC", "BudgetSVR"])
def test_many_samples_with_a_kernel_take_the_cache_and_little_more(name, cache_size):
    code = KERNEL.format(n=20_000, name=name, cache_size=cache_size, parameters='C=0.3, unit="relative", ')
    assert peak_of(code) < cache_size + 300


@linux
@pytest.mark.slow
@pytest.mark.parametrize("parameters", ['C=0.6, unit="relative", ', 'C=1.0, unit="cost", '])
def test_very_many_samples_and_a_linear_kernel_take_a_few_times_their_own(parameters):
    code = KERNEL.replace("20, n_inf", "30, n_inf").format(
        n=300_000, name="BudgetSVC", cache_size=200, parameters=f'kernel="linear", {parameters}'
    )
    own = 8 * 300_000 * 30 / MEGABYTE
    assert peak_of(code) < 200 + 300 + 4 * own


# --- many fits

REPEATED = {
    "BudgetSVC": BudgetSVC(C=0.5, unit="relative"),
    "BudgetSVC that tells": BudgetSVC(verbose=1),
    "BudgetSVC in threads": BudgetSVC(n_jobs=2, multi_class="ovr"),
    "BudgetSVCCV": BudgetSVCCV([1.0], gammas=1, cv=2),
    "BudgetSVR": BudgetSVR(),
    "TorchMLPClassifier": TorchMLPClassifier(**SHORT),
    "TorchMLPClassifier by lbfgs": TorchMLPClassifier(solver="lbfgs", **SHORT),
    "TorchMLPClassifier, several": TorchMLPClassifier(n_networks=2, **SHORT),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "name, n_fits",
    [
        ("BudgetSVC", 30),
        ("TorchMLPClassifier", 30),
        *(pytest.param(name, 300, marks=pytest.mark.slow) for name in REPEATED),
    ],
)
def test_many_fits_leave_nothing_behind(name, n_fits, capsys):
    X, y = load_iris(return_X_y=True)
    model = clone(REPEATED[name])

    def fit(n):
        for _ in range(n):
            model.fit(X[::3], y[::3])
        capsys.readouterr()
        gc.collect()

    fit(10)
    tracemalloc.start()
    try:
        fit(10)
        before = tracemalloc.get_traced_memory()[0]
        fit(n_fits)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # A copy of the samples of every fit would be more.
    assert grown < n_fits * X[::3].nbytes


GROWS = """
import warnings

from sklearn.datasets import load_iris
warnings.simplefilter("ignore")
from sklearn_svmdl import BudgetSVC, BudgetSVR, TorchMLPClassifier
X, y = load_iris(return_X_y=True)

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

def fit(n):
    for _ in range(n):
        BudgetSVC().fit(X, y)
        BudgetSVR().fit(X, y)
        TorchMLPClassifier(max_iter=3).fit(X, y)

fit(30)
before = resident()
fit(300)
print(resident() - before)
"""


@linux
@pytest.mark.slow
def test_three_hundred_fits_take_no_more_than_thirty():
    done = subprocess.run([sys.executable, "-c", GROWS], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 10
