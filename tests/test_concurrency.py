"""Fits in threads and processes give the same to the last bit, and change nothing that the process shares."""

import ctypes
import inspect
import multiprocessing
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import sklearn.utils.multiclass
import sklearn.utils.parallel
import sklearn.utils.validation
from faults import global_state
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.utils.parallel import Parallel, delayed
from skorch.callbacks import Callback

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

# Searches run in scikit-learn's loops, each job of which sets the filters of the whole process for as long as it runs.
IT_SETS_FILTERS = "catch_warnings" in inspect.getsource(sklearn.utils.parallel)
SHORT = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}
ESTIMATORS = {
    "BudgetSVC": BudgetSVC(C=0.5, unit="relative"),
    "BudgetSVC, pair steps": BudgetSVC(solver="smo"),
    "BudgetSVC in threads": BudgetSVC(C=5.0, n_jobs=2, infeasible="relax", unit="cost"),
    "BudgetSVR": BudgetSVR(),
    "BudgetSVCCV": BudgetSVCCV(2, gammas=2, cv=2),
    "BudgetSVCCV that leaves one out": BudgetSVCCV([1.0], gammas=1, cv="loo"),
    "BudgetSVRCV": BudgetSVRCV(2, gammas=2, cv=2),
    "TorchMLPClassifier": TorchMLPClassifier(**SHORT),
    "TorchMLPClassifier with dropout": TorchMLPClassifier(dropout=0.3, callbacks=[Callback()], **SHORT),
    "TorchMLPClassifier by lbfgs": TorchMLPClassifier(solver="lbfgs", **SHORT),
    "TorchMLPClassifier, several": TorchMLPClassifier(n_networks=3, **SHORT),
    "TorchMLPRegressor": TorchMLPRegressor(early_stopping=True, **SHORT),
}
# A few epochs tell whether the same comes of them.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def data(name, seed=0):
    """Samples in an order of their own, and their classes or numbers."""
    X, y = load_iris(return_X_y=True)
    order = np.random.RandomState(seed).permutation(len(y))[:90]
    return (X[order, :3], X[order, 3]) if "SVR" in name or "Regressor" in name else (X[order], y[order])


def fitted(name, seed=0):
    """What a fit finds, as arrays."""
    X, y = data(name, seed)
    model = clone(ESTIMATORS[name]).fit(X, y)
    found = {"predicted": model.predict(X)}
    if "TorchMLP" in name:
        found.update({f"weight {k}": p.detach().numpy() for k, p in enumerate(model.module_.parameters())})
    else:
        found.update(duals=model.dual_coef_, intercepts=np.asarray(model.intercept_))
    if hasattr(model, "cv_results_"):
        found["scores"] = model.cv_results_["mean_test_score"]
    return found


def fitted_in_silence(name):
    """`fitted`, in a process that knows no filters of pytest's."""
    warnings.simplefilter("ignore")
    return fitted(name)


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name in expected:
        assert_array_equal(found[name], expected[name], err_msg=name)


def leaving_filters_alone():
    """The module warnings, but for what sets filters for a while."""
    own = {"catch_warnings": lambda **options: nullcontext(), "simplefilter": lambda *which: None}
    return SimpleNamespace(**{**vars(warnings), **own})


@pytest.mark.parametrize("name", ESTIMATORS)
def test_threads_that_fit_at_once_find_what_one_finds(name, monkeypatch):
    monkeypatch.setattr(warnings, "filters", list(warnings.filters))
    # scikit-learn's checks of X and y set filters and set them back, which threads may undo for each other.
    for module in (sklearn.utils.validation, sklearn.utils.multiclass):
        monkeypatch.setattr(module, "warnings", leaving_filters_alone())
    seeds = [0, 1, 2, 3] * 2
    alone = {seed: fitted(name, seed) for seed in set(seeds)}
    before = global_state()
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda seed: fitted(name, seed), seeds))
    after = global_state()
    if "CV" in name and IT_SETS_FILTERS:
        before.pop("warning filters"), after.pop("warning filters")
    assert after == before
    for seed, found in zip(seeds, together, strict=True):
        assert_same(found, alone[seed])


@pytest.mark.skipif(not IT_SETS_FILTERS, reason="this scikit-learn leaves warning filters alone")
def test_threads_in_scikit_learns_loops_undo_each_others_filters(monkeypatch):
    """What the searches above are excused for, without any code of ours: its jobs set filters, and set them back."""
    monkeypatch.setattr(warnings, "filters", list(warnings.filters))
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def loop(enter, wait):
        Parallel(n_jobs=1)([delayed(lambda: (enter.set(), wait.wait(60)))()])

    def first():
        loop(first_is_in, second_is_in)
        first_is_out.set()

    def second():
        first_is_in.wait(60)
        loop(second_is_in, first_is_out)

    before = warnings.filters
    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(first), threads.submit(second)]:
            done.result()
    assert warnings.filters is not before


def test_threads_may_predict_with_one_model_at_once():
    for name in ESTIMATORS:
        X, y = data(name)
        model = clone(ESTIMATORS[name]).fit(X, y)
        expected = model.predict(X)
        with ThreadPoolExecutor(4) as threads:
            for found in threads.map(lambda _, model=model, X=X: model.predict(X), range(8)):
                assert_array_equal(found, expected)


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("name", [name for name in ESTIMATORS if "CV" in name])
def test_searches_with_jobs_find_what_one_finds(name, n_jobs, backend):
    X, y = data(name)
    alone = clone(ESTIMATORS[name]).fit(X, y)
    with joblib.parallel_config(backend):
        shared = clone(ESTIMATORS[name]).set_params(n_jobs=n_jobs).fit(X, y)
    for key, values in alone.cv_results_.items():
        if "_time" not in key:
            assert_array_equal(shared.cv_results_[key], values, err_msg=key)
    assert shared.best_params_ == alone.best_params_
    assert_array_equal(shared.dual_coef_, alone.dual_coef_)
    assert_array_equal(shared.predict(X), alone.predict(X))


# Python warns that a process with threads, as BLAS has them, should not fork.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_processes_find_what_one_finds(method):
    names = list(ESTIMATORS)
    expected = [fitted(name) for name in names]
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as processes:
        for found, of_one in zip(processes.map(fitted_in_silence, names), expected, strict=True):
            assert_same(found, of_one)


# --- what the process shares

CALLS = {
    **{name: lambda X, y, name=name: clone(ESTIMATORS[name]).fit(X, y).predict(X) for name in ESTIMATORS},
    "BudgetSVC that tells": lambda X, y: BudgetSVC(verbose=1).fit(X, y),
    "feasible_budget": lambda X, y: BudgetSVC().feasible_budget(X, y),
    "budget_path": lambda X, y: budget_path(X, y, Cs=3),
    "leave_one_out_decisions": lambda X, y: leave_one_out_decisions(BudgetSVC().fit(X, y), X, y),
    "partial_fit": lambda X, y: TorchMLPClassifier(**SHORT).partial_fit(X, y, classes=[0, 1, 2]),
    "predict_proba": lambda X, y: TorchMLPClassifier(**SHORT).fit(X, y).predict_proba(X),
}


@pytest.mark.parametrize("way", ["quiet", "strict"])
@pytest.mark.parametrize("name", CALLS)
def test_global_state_is_as_before(name, way):
    """Whatever the caller has set: numpy may raise, torch may be in another precision and without gradients."""
    import torch

    X, y = data(name)
    precision, generator = torch.get_default_dtype(), np.random.get_state()
    with np.errstate(all="raise" if way == "strict" else "warn"), torch.set_grad_enabled(way == "quiet"):
        try:
            torch.set_default_dtype(torch.float64 if way == "strict" else torch.float32)
            before = global_state()
            CALLS[name](X, y)
            assert global_state() == before
            with pytest.raises(ValueError):
                CALLS[name](np.full_like(X, np.nan), y)
            assert global_state() == before
        finally:
            torch.set_default_dtype(precision)
    assert all(np.array_equal(a, b) for a, b in zip(generator, np.random.get_state(), strict=True))


MALLOC = """
import warnings
warnings.simplefilter("ignore")
import numpy as np
from sklearn.datasets import make_classification
from sklearn_svmdl import BudgetSVC, BudgetSVCCV, TorchMLPClassifier

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

X, y = make_classification(2000, 10, random_state=0)
for model in (BudgetSVC(), BudgetSVCCV([1.0], gammas=1, cv=2), TorchMLPClassifier(max_iter=2)):
    model.fit(X, y)
before = resident()
# Above the largest size from which on malloc by itself gives every block pages of its own, and them back.
blocks = [np.ones(40 * 2**17) for _ in range(8)]
during = resident()
last = np.ones(1000)
del blocks
print(before, during, resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, and knows glibc's malloc")
def test_malloc_gives_memory_back_as_before():
    done = subprocess.run([sys.executable, "-c", MALLOC], capture_output=True, text=True, check=True)
    before, during, after = map(float, done.stdout.split())
    # Some of the blocks may lie on pages that were there.
    assert during - before > 200 and after - before < 40


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="knows glibc's malloc")
def test_that_test_would_notice():
    # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD, as a solver that keeps its pages would set them.
    keep = "import ctypes\nctypes.CDLL(None).mallopt(-3, 2**30)\nctypes.CDLL(None).mallopt(-1, 2**31 - 1)\n"
    done = subprocess.run([sys.executable, "-c", keep + MALLOC], capture_output=True, text=True, check=True)
    before, during, after = map(float, done.stdout.split())
    assert after - before > 40
