"""The problems of the solver benchmark and the ratios aimed at."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
from sklearn.svm import SVC, LinearSVC

from sklearn_svmdl import BudgetSVC

from . import datasets

RBF = {"kernel": "rbf", "gamma": "scale"}
LINEAR = {"kernel": "linear"}
CUBIC = {"kernel": "poly", "degree": 3, "gamma": "scale", "coef0": 1.0}
# Tolerance of the fit whose slack becomes the budget: at the default one the slack is off by up to a tenth.
_EXACT = 1e-5
# Rows of every data set in a quick run.
_QUICK_ROWS = 120


def svc(C, kernel, **options):
    """The competitor of most cases."""
    return SVC(C=C, cache_size=2000, **kernel, **options)


def linear_svc(C, kernel, **options):
    """The competitor where SVC takes minutes."""
    return LinearSVC(C=C, **options)


@dataclass(frozen=True)
class Case:
    """One problem: data, kernel, and one of three ways to state the budget.

    Parameters
    ----------
    name : str
    load : callable that returns X, y
    goal : float or None, the ratio aimed at
    kernel : dict of kernel parameters
    cost : float, the budget is the slack of the competitor at this cost
    relative : float, the budget as a fraction of C_max
    above_least : float, the budget is this part of the way from C_min to C_max
    growth : bool, also a point of the growth plot
    competitor : callable (C, kernel) -> unfitted model
    """

    name: str
    load: object
    goal: float | None
    kernel: dict = field(default_factory=lambda: RBF)
    cost: float | None = None
    relative: float | None = None
    above_least: float | None = None
    growth: bool = False
    competitor: object = svc

    def data(self, quick):
        """X and the targets -1.0 and +1.0; a few rows only in a quick run."""
        X, y = self.load()
        rows = slice(_QUICK_ROWS) if quick else slice(None)
        return X[rows], np.where(y == np.max(y), 1.0, -1.0)[rows]

    def budget(self, X, target):
        """The budget as total slack."""
        if self.cost is not None:
            exact = self.competitor(self.cost, self.kernel, tol=_EXACT)
            return slack_of(exact.fit(X, target), X, target)
        if self.relative is not None:
            return self.relative * largest_budget(target)
        (least,), (largest,) = BudgetSVC(**self.kernel).feasible_budget(X, target)
        return least + self.above_least * (largest - least)


def slack_of(model, X, target):
    """Total slack of a fitted model."""
    return float(np.maximum(0.0, 1.0 - target * model.decision_function(X)).sum())


def largest_budget(target):
    """C_max without weights."""
    return 2.0 * min((target > 0).sum(), (target < 0).sum())


def _made_up(n_samples, n_features=20):
    return partial(datasets.made_up, n_samples, n_features)


def _moons(n_samples):
    return partial(datasets.moons, n_samples)


def _two_clusters(n_samples):
    return partial(datasets.two_clusters, n_samples, 30)


CASES = [
    Case("n = 50, rbf, cost 1", _made_up(50), 1.0, cost=1),
    Case("n = 50, linear, cost 1", _made_up(50), 1.0, LINEAR, cost=1),
    Case("n = 100, rbf, cost 1", _made_up(100), 1.0, cost=1),
    Case("n = 100, linear, cost 1", _made_up(100), 1.0, LINEAR, cost=1),
    Case("breast cancer, rbf, 0.1 C_max", datasets.breast_cancer, 1.0, relative=0.1),
    Case("breast cancer, rbf, 0.3 C_max", datasets.breast_cancer, 0.6, relative=0.3),
    Case("digits >= 5, rbf, cost 1", datasets.digits, 0.8, cost=1),
    Case("1,000 x 20, rbf, cost 1", _made_up(1_000), None, cost=1, growth=True),
    Case("2,000 x 20, rbf, cost 1", _made_up(2_000), 0.6, cost=1, growth=True),
    Case("2,000 x 20, rbf, cost 100", _made_up(2_000), 0.8, cost=100),
    Case("moons 200, rbf, cost 10", _moons(200), 1.5, cost=10),
    Case("moons 2,000, rbf, cost 10", _moons(2_000), 1.5, cost=10),
    Case("moons 10,000, rbf, cost 10", _moons(10_000), 1.0, cost=10),
    Case("breast cancer, linear, cost 1,000", datasets.breast_cancer, 0.1, LINEAR, cost=1000),
    Case("2,000 x 20, linear, 0.004 above C_min", _made_up(2_000), 0.5, LINEAR, above_least=0.004),
    Case("2,000 x 20, poly of degree 3, cost 10", _made_up(2_000), 0.7, CUBIC, cost=10),
    Case("5,000 x 20, rbf, cost 1", _made_up(5_000), 0.5, cost=1, growth=True),
    Case("10,000 x 20, rbf, cost 1", _made_up(10_000), 0.3, cost=1, growth=True),
    Case("10,000 x 20, rbf, cost 100", _made_up(10_000), 0.6, cost=100),
    Case("10,000 x 100, rbf, cost 1", _made_up(10_000, 100), 0.6, cost=1),
    Case("20,000 x 20, rbf, cost 1", _made_up(20_000), 0.2, cost=1, growth=True),
    Case("50,000 x 20, rbf, cost 1", _made_up(50_000), 0.1, cost=1, growth=True),
    Case("20,000 x 30, linear, cost 1", _two_clusters(20_000), 0.1, LINEAR, cost=1),
    Case(
        "100,000 x 30, linear, 0.3 C_max",
        _two_clusters(100_000),
        3.0,
        LINEAR,
        relative=0.3,
        competitor=linear_svc,
    ),
]
