"""Ctrl-C ends the fit that is under way: a signal to another process and where it stopped."""

import signal
import subprocess
import sys
from time import sleep

import pytest

LONG_FIT = """
from sklearn.datasets import make_classification
from sklearn_svmdl import BudgetSVC
X, y = make_classification(4000, 20, flip_y=0.3, random_state=0)
model = BudgetSVC(solver={solver!r}, kernel={kernel!r}, C=0.05, unit="relative", tol=1e-15, max_iter=10**9)
print("fitting", flush=True)
while True:
    model.fit(X, y)
"""


@pytest.mark.parametrize("solver, kernel", [("smo", "rbf"), ("auto", "rbf"), ("auto", "poly")])
def test_an_interrupt_ends_the_fit_that_is_under_way(solver, kernel):
    code = LONG_FIT.format(solver=solver, kernel=kernel)
    command = [sys.executable, "-W", "ignore", "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout.readline().strip() == b"fitting"
        sleep(0.7)
        process.send_signal(signal.SIGINT)
        # What hangs is ended by the time limit, and is no success.
        _, errors = process.communicate(timeout=20)
        assert process.returncode != 0
        lines = errors.splitlines()
        assert lines[-1].strip() == b"KeyboardInterrupt"
        # It came from within a fit.
        assert any(b"sklearn" in line for line in lines)
    finally:
        process.kill()
