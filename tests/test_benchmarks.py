"""The benchmarks still run; nothing is said about their times."""

import operator
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sklearn_svmdl import dual

pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[1]


def test_quick_run_prints_every_table():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-m", "benchmarks", "--quick", "--only", "solver"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    titles = [line[3:] for line in done.stdout.splitlines() if line.startswith("## ")]
    assert titles == ["Fit", "The same budgets by a root-find over SVC", "Prediction", "Memory", "Growth"]


@pytest.fixture
def quality(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return pytest.importorskip("benchmarks._quality")


@pytest.mark.parametrize("tol", [1e-1, 1e-6])
def test_quality_is_what_libsvm_stopped_at(quality, tol):
    """SVC's violation is below its tolerance, and not by orders of magnitude."""
    from sklearn.datasets import make_classification
    from sklearn.svm import SVC

    X, y = make_classification(300, random_state=0)
    model = SVC(C=2.0, gamma=0.1, tol=tol).fit(X, y)
    found = quality.quality(X, np.where(y == 1, 1.0, -1.0), {"kernel": "rbf", "gamma": 0.1}, model, 2.0)
    assert 0.01 * tol < found.violation <= tol * 1.1
    assert 0 <= found.gap < 10 * tol


def test_every_part_of_the_solver_can_be_turned_off(monkeypatch):
    """The names that the table of parts patches are those of the code, and are put back."""
    monkeypatch.syspath_prepend(str(ROOT))
    parts = pytest.importorskip("benchmarks.parts")
    for part in parts.PARTS:
        before = [operator.attrgetter(name)(dual) for name in part.off]
        with part.turned_off():
            assert [operator.attrgetter(name)(dual) for name in part.off] != before
        assert [operator.attrgetter(name)(dual) for name in part.off] == before
