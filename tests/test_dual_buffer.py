"""Memory that one solve leaves to the next: lent to one at a time, without a trace in what is found."""

import mmap
import os
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.preprocessing import scale

from sklearn_svmdl import BudgetSVC, BudgetSVR
from sklearn_svmdl.dual.buffer import Buffer, lent
from sklearn_svmdl.dual.problem import classification, regression
from sklearn_svmdl.dual.solve import solve
from sklearn_svmdl.kernels import Kernel


def in_a_thread(function, *args):
    """What the function returns in a thread of its own, which has kept nothing."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()


def test_what_is_lent_is_nobody_elses():
    # Something is kept from now on.
    with lent(50), lent(50):
        pass
    with lent(5, 4) as first, lent(20) as second:
        assert first.shape == (5, 4) and second.shape == (20,)
        assert not np.shares_memory(first, second)
        with lent(3) as third:
            assert not np.shares_memory(third, first) and not np.shares_memory(third, second)
            with ThreadPoolExecutor(1) as pool:

                def elsewhere():
                    with lent(20) as other:
                        return any(np.shares_memory(other, mine) for mine in (first, second, third))

                assert not pool.submit(elsewhere).result()


def test_what_was_lent_is_lent_again_even_after_an_error():
    def lend():
        with pytest.raises(KeyError), lent(30) as first:
            raise KeyError
        with lent(20) as again:
            assert np.shares_memory(first, again)
        # What is too small serves the next.
        with lent(31) as larger, lent(30) as smaller:
            assert not np.shares_memory(first, larger) and np.shares_memory(first, smaller)

    in_a_thread(lend)


def test_little_memory_is_kept():
    def kept(*sizes):
        borrowed = []
        for size in sizes:
            with lent(size) as array:
                borrowed.append(weakref.ref(array.base))
            del array
        return [memory() is not None for memory in borrowed]

    assert in_a_thread(kept, 10, 2**20) == [True, True]
    assert in_a_thread(kept, 2**20 + 1) == [False]
    assert in_a_thread(kept, 1, 2, 3, 4) == [False, False, True, True]


def test_a_lent_buffer_has_the_capacity_of_its_own():
    for megabytes, n in ((0.1, 10**6), (20.0, 50)):
        with Buffer.lent(megabytes, n) as buffer:
            assert buffer.capacity == Buffer.of(megabytes, n).capacity
            m = buffer.most(np.dtype(np.float32))
            assert buffer.square(m, np.dtype(np.float32)).shape == (m, m)


def problems(n):
    """Problems on n samples, of all kinds that take lent memory."""
    X, y = load_breast_cancer(return_X_y=True)
    X, y = scale(X)[:n], 2.0 * y[:n] - 1.0
    kernels = [Kernel("rbf", {"gamma": 0.03}), Kernel("poly", {"gamma": 0.03, "degree": 3, "coef0": 1.0})]
    for source in (kernel.source(X) for kernel in [*kernels, Kernel("linear", {})]):
        yield classification(source, y, np.ones(n), cost=1.0)
        yield classification(source, y, np.ones(n), budget=0.3 * n)
        yield regression(source, X[:, 0] + y, np.ones(n), 0.1, cost=1.0)


def poison():
    """Leave nothing but nan to the next solve."""
    with lent(700, 700) as first, lent(700, 700) as second:
        first.fill(np.nan)
        second.fill(np.nan)


@pytest.mark.parametrize("n", [40, 200, 450])
@pytest.mark.parametrize("solver", ["auto", "smo"])
def test_what_was_left_changes_nothing(n, solver):
    def after_others(problem):
        poison()
        return solve(problem, solver=solver, max_iter=2000)

    def alone(problem):
        return solve(problem, solver=solver, max_iter=2000)

    for problem in problems(n):
        expected, found = in_a_thread(alone, problem), in_a_thread(after_others, problem)
        assert found.work == expected.work
        for name in ("beta", "intercept", "lam", "slack", "duality_gap"):
            assert_array_equal(getattr(found, name), getattr(expected, name))


def test_many_problems_at_once_take_what_was_left_as_well():
    X, y = load_iris(return_X_y=True)

    def after_others(C):
        poison()
        return BudgetSVC(C, unit="relative").fit(X, y)

    for C in (0.3, 0.6):
        expected, found = in_a_thread(BudgetSVC(C, unit="relative").fit, X, y), in_a_thread(after_others, C)
        assert_array_equal(found.dual_coef_, expected.dual_coef_)


@pytest.mark.parametrize("model", [BudgetSVC(), BudgetSVC(kernel="poly"), BudgetSVR(0.1, unit="relative")])
def test_a_model_keeps_nothing_that_was_lent(model):
    X, y = load_breast_cancer(return_X_y=True)

    def shared():
        model.fit(scale(X), y)
        arrays = [value for value in vars(model).values() if isinstance(value, np.ndarray)]
        assert len(arrays) > 5
        with lent(1) as first, lent(1) as second:
            return [np.shares_memory(array, memory.base) for array in arrays for memory in (first, second)]

    assert not any(in_a_thread(shared))


FAULTS = """
import resource
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale
from sklearn_svmdl import BudgetSVC
X, y = load_breast_cancer(return_X_y=True)
X, y = scale(X)[:450], y[:450]
for _ in range(2):
    BudgetSVC({parameters}).fit(X, y)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    BudgetSVC({parameters}).fit(X, y)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults of glibc's malloc")
@pytest.mark.parametrize("parameters", ["", "kernel='poly'", "0.3, unit='relative'"])
def test_fits_one_after_the_other_touch_no_fresh_memory(parameters):
    # In a process whose malloc has seen nothing large, which would make it hold on to more. (dask makes it let go.)
    code = FAULTS.format(parameters=parameters)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    of_the_gram_matrix = 8 * 450**2 / mmap.PAGESIZE
    assert float(done.stdout) < 0.5 * of_the_gram_matrix
