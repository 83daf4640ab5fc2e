"""Ctrl-C ends a fit at once: a signal to another process, and a clock."""

import signal
import subprocess
import sys
from time import perf_counter, sleep

import pytest

LONG_FIT = """
from sklearn.datasets import make_classification
from sklearn_svmdl import BudgetSVC
X, y = make_classification(4000, 20, flip_y=0.3, random_state=0)
model = BudgetSVC(solver={solver!r}, kernel={kernel!r}, C=0.05, budget="relative", tol=1e-15, max_iter=10**9)
print("fitting", flush=True)
while True:
    model.fit(X, y)
"""


@pytest.mark.parametrize("solver, kernel", [("smo", "rbf"), ("auto", "rbf"), ("auto", "poly")])
def test_an_interrupt_ends_a_fit_within_a_second(solver, kernel):
    code = LONG_FIT.format(solver=solver, kernel=kernel)
    command = [sys.executable, "-W", "ignore", "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout.readline().strip() == b"fitting"
        sleep(0.7)
        process.send_signal(signal.SIGINT)
        start = perf_counter()
        _, errors = process.communicate(timeout=20)
        assert perf_counter() - start < 1.0
        assert b"KeyboardInterrupt" in errors
    finally:
        process.kill()
