"""Ctrl-C at random moments of long fits: they end within a second of work, and nothing is left of them."""

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from functools import cache
from itertools import count

import numpy as np
import pytest
import scipy.linalg
from faults import dropped, strike
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import make_blobs, make_classification, make_regression
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
from sklearn_svmdl.dual.work import Tally
from sklearn_svmdl.svm import _solving

# --- in this process: the signal comes once so much work is done


@cache
def second_of_work():
    """The processor time of what takes about a second: forty factorisations of order 1,000, in turns with noise."""
    matrix = np.eye(1000) + np.full((1000, 1000), 0.5)
    times = []
    for _ in range(8):
        start = time.process_time()
        scipy.linalg.cholesky(matrix)
        times.append(time.process_time() - start)
    return 40 * np.median(times)


def interrupted_after(call, work):
    """Run `call` with a KeyboardInterrupt from a signal once it took `work` seconds of the processor.

    Where Python drops it, as in a callback of the garbage collector, another comes two milliseconds later.

    Returns
    -------
    float : processor seconds from the signal to the end; None where the call ended first
    """
    armed, struck, start = True, False, time.process_time()

    def interrupt(number, frame):
        nonlocal struck
        if armed:
            struck = True
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGPROF, interrupt)
    try:
        with dropped(KeyboardInterrupt, lambda: signal.setitimer(signal.ITIMER_PROF, 0.002)):
            signal.setitimer(signal.ITIMER_PROF, work)
            call()
            armed = False
        ended = time.process_time() - start
    except KeyboardInterrupt:
        armed = False
        ended = time.process_time() - start
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    # The timer counts in ticks: it may strike some milliseconds early.
    return max(ended - work, 0.0) if struck else None


class Dropping:
    """A finalizer that works for a tenth of a second; Python drops what is raised in it."""

    def __del__(self):
        end = time.process_time() + 0.1
        while time.process_time() < end:
            abs(0)


def loses_what_strikes_first():
    """Spends its first moments in a finalizer."""
    Dropping()
    end = time.process_time() + 10
    while time.process_time() < end:
        time.process_time()


def test_what_python_drops_strikes_again():
    assert interrupted_after(loses_what_strikes_first, 0.05) < 1
    # Functions are entered by Python alone: this one, the finalizer, and in the end `sorted`'s key.
    outcome = strike(lambda: (Dropping() is None, sorted([1], key=lambda value: value)), 2)
    assert outcome.struck and outcome.through


def hard_classes(n_samples=3000, n_classes=2):
    return make_classification(n_samples, 20, n_informative=10, n_classes=n_classes, flip_y=0.3, random_state=0)


def numbers():
    return make_regression(3000, 20, noise=50.0, random_state=0)


class Listener(Callback):
    """Makes skorch's loop necessary, step by step."""

    def on_batch_end(self, net, **kwargs):
        """Nothing."""


ENDLESS = {"tol": 1e-15, "max_iter": 10**9}
TRAINS = {"hidden_layer_sizes": (100,), "max_iter": 10**6, "tol": 0, "n_iter_no_change": np.inf, "random_state": 0}
FITS = {
    "classes": (BudgetSVC(C=0.05, unit="relative", **ENDLESS), lambda: hard_classes(8000)),
    "pair steps": (BudgetSVC(solver="smo", C=0.05, unit="relative", **ENDLESS), hard_classes),
    "regression": (BudgetSVR(C=1e3, unit="cost", **ENDLESS), numbers),
    "several classes": (BudgetSVC(C=1e4, unit="cost", **ENDLESS), lambda: hard_classes(3000, 5)),
    "many classes": (
        BudgetSVC(C=10.0, unit="cost"),
        lambda: make_blobs(6000, 30, centers=100, cluster_std=8.0, random_state=0),
    ),
    "linear": (
        BudgetSVC(C=0.2, unit="relative", kernel="linear", **ENDLESS),
        lambda: make_classification(100_000, 30, n_informative=15, flip_y=0.05, class_sep=0.8, random_state=11),
    ),
    "search": (BudgetSVCCV(10, gammas=5, cv=5), hard_classes),
    "search of a regression": (BudgetSVRCV(10, gammas=5, cv=5), numbers),
    "search that leaves one out": (BudgetSVCCV([1.0], gammas=5, cv="loo"), lambda: hard_classes(1000)),
    "training": (TorchMLPClassifier(**TRAINS), hard_classes),
    "training of a regression": (TorchMLPRegressor(**TRAINS), numbers),
    "training with callbacks": (TorchMLPClassifier(callbacks=[Listener()], **TRAINS), hard_classes),
    "lbfgs": (TorchMLPClassifier(solver="lbfgs", max_fun=10**9, **TRAINS | {"alpha": 0}), hard_classes),
    "several networks": (TorchMLPClassifier(n_networks=4, **TRAINS), hard_classes),
}
QUICK = ("classes", "regression", "many classes", "training")


def slow_but_for(quick, names):
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", slow_but_for(QUICK, FITS))
def test_a_fit_ends_within_a_second_of_work(name):
    estimator, make = FITS[name]
    X, y = make()
    rng, n_ended = np.random.RandomState(0), 0
    for work in rng.uniform(0.01, 0.4, 3 if name in QUICK else 6):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = clone(estimator).set_params(max_iter=5).fit(X[:60], y[:60])
            model.set_params(max_iter=estimator.max_iter)
            state, old, threads = dict(vars(model)), model.predict(X[:60]), threading.active_count()
            left = interrupted_after(lambda model=model: model.fit(X, y), work)
        assert threading.active_count() == threads
        if left is None:
            continue
        n_ended += 1
        assert left < second_of_work()
        if "TorchMLP" not in type(model).__name__ or all(vars(model)[key] is state[key] for key in state):
            assert all(vars(model)[key] is state[key] for key in state)
            assert_array_equal(model.predict(X[:60]), old)
        else:
            assert np.isfinite(model.loss_) and model.n_iter_ >= 1
    assert n_ended > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["path", "leave one out"])
def test_a_function_ends_within_a_second_of_work(name):
    X, y = hard_classes(3000)
    model = BudgetSVC(C=1.0, unit="cost").fit(X, y)
    call = {
        "path": lambda: budget_path(X, y, Cs=100),
        "leave one out": lambda: leave_one_out_decisions(model, X, y),
    }[name]
    ends = [interrupted_after(call, work) for work in np.random.RandomState(0).uniform(0.01, 0.4, 6)]
    ends = [left for left in ends if left is not None]
    assert ends and max(ends) < second_of_work()


# --- in another process: where the signal stops it


PRELUDE = """
import signal, warnings
# What starts in the background of a shell inherits that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
warnings.simplefilter("ignore")
from sklearn.datasets import make_classification
X, y = make_classification(4000, 20, flip_y=0.3, random_state=0)
"""
FIT = """
from sklearn_svmdl import BudgetSVC
model = BudgetSVC(solver={solver!r}, kernel={kernel!r}, C=0.05, unit="relative", tol=1e-15, max_iter=10**9)
print("working", flush=True)
while True:
    model.fit(X, y)
"""
SEARCH = """
from sklearn_svmdl import BudgetSVCCV
search = BudgetSVCCV([0.05], unit="relative", kernel="laplacian", gammas=1, cv=2, tol=1e-15, max_iter=10**9, n_jobs=2)
print("working", flush=True)
search.fit(X, y)
"""
# What hangs is ended by a limit, and is no success.
LIMIT = 120


@pytest.fixture
def start():
    """Starts Python with some code in a session of its own; what is left of it at the end is ended."""
    processes = []

    def started(code):
        process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        processes.append(process)
        assert process.stdout.readline().strip() == b"working", process.stderr.read()
        return process

    yield started
    for process in processes:
        for number in _session(process.pid):
            os.kill(number, signal.SIGKILL)
        process.kill()
        process.communicate()


def _session(leader):
    """The processes of a session."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(name)) == leader:
                found.append(int(name))
        except ProcessLookupError:
            pass
    return found


@pytest.mark.parametrize("solver, kernel", [("smo", "rbf"), ("auto", "rbf"), ("auto", "poly")])
def test_an_interrupt_ends_the_fit_that_is_under_way(solver, kernel, start):
    process = start(FIT.format(solver=solver, kernel=kernel))
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode != 0
    lines = errors.splitlines()
    assert lines[-1].strip() == b"KeyboardInterrupt"
    # It came from within a fit.
    assert any(b"sklearn" in line for line in lines)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs /proc to find processes")
def test_an_interrupt_of_a_search_leaves_no_process(start):
    process = start(SEARCH)
    end = time.monotonic() + LIMIT
    # The leader, its two workers, and who tracks their resources.
    while len(_session(process.pid)) < 4 and time.monotonic() < end:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode != 0 and b"KeyboardInterrupt" in errors
    while _session(process.pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert _session(process.pid) == []


def test_solves_in_other_threads_end_with_the_fit(monkeypatch):
    """One thread fails, as the one that Ctrl-C reaches would; the other goes on only until it is told."""
    X, y = make_blobs(400, centers=3, cluster_std=4.0, random_state=0)
    both, ended, numbers = threading.Barrier(2), threading.Event(), count()

    def solve(problem, **limits):
        """The second of two fails once both are at it."""
        tally, number = Tally(), next(numbers)
        if number < 2:
            both.wait(60)
        if number == 1:
            raise ZeroDivisionError
        for _ in range(6000):
            if tally.left == 0:
                ended.set()
                break
            time.sleep(0.01)
        return real(problem, **limits)

    real = _solving.solve
    monkeypatch.setattr(_solving, "solve", solve)
    monkeypatch.setattr(_solving, "solve_many", lambda stack, **limits: [None] * len(stack))
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        BudgetSVC(multi_class="ovr", n_jobs=2).fit(X, y)
    assert ended.wait(60)
    # Threads that still run would set the warning filters of the tests that follow.
    for _ in range(6000):
        if threading.active_count() <= before:
            break
        time.sleep(0.01)
    assert threading.active_count() <= before
