"""Tuning by BudgetSVCCV against GridSearchCV, and what a user gets from it.

Times are medians of runs that take turns in one process. The budgets are those that the costs of the other side's grid
imply: the total slack of SVC at each cost, as a fraction of C_max, at gamma="scale" (and the least degree).
"""

import warnings
from functools import partial

import numpy as np
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from sklearn_svmdl import BudgetSVC, BudgetSVCCV, BudgetWarning

from . import datasets
from ._common import markdown, say, seconds

_TURNS, _FOLDS = 3, 5
_GAMMAS = np.array([0.25, 0.5, 1.0, 2.0, 4.0])
_RBF_COSTS, _POLY_COSTS = np.logspace(-2, 3, 10), np.logspace(-2, 3, 8)
_DEGREES = [2, 3, 4]
# Budgets that differ by less are one: at cost 1000 as at 100 the slack of separable classes is 0.
_SAME = 1e-6
# How much the best scores may differ, and the time goals by data set.
_SCORES_AGREE = 0.005
DATA = {
    "breast cancer": (datasets.breast_cancer, 0.3),
    "digits >= 5": (datasets.digits, 0.1),
    "made up, 2,000 x 20": (partial(datasets.made_up, 2000, 20), 0.1),
}
HEADER = ["data", "grid", "other side", "other s", "ours s", "ratio", "CPU ratio", "goal", "met", "best scores"]
USERS = {
    "breast cancer": datasets.breast_cancer,
    "digits >= 5": datasets.digits,
    "moons, 500": partial(datasets.moons, 500),
    "wine": partial(load_wine, return_X_y=True),
    "iris": partial(load_iris, return_X_y=True),
}


def scale(X):
    """gamma="scale"."""
    return 1.0 / (X.shape[1] * X.var())


def implied_budgets(X, y, costs, **kernel):
    """The slack of SVC at each cost as a fraction of C_max, without repetitions."""
    target = np.where(y == np.unique(y)[1], 1.0, -1.0)
    largest = 2.0 * min((target > 0).sum(), (target < 0).sum())
    fractions = []
    for cost in costs:
        decisions = SVC(C=cost, tol=1e-5, cache_size=1000, **kernel).fit(X, y).decision_function(X)
        fraction = np.maximum(0.0, 1.0 - target * decisions).sum() / largest
        if fraction < 1.0 - _SAME and all(abs(fraction - known) > _SAME for known in fractions):
            fractions.append(float(fraction))
    # What the tolerance of SVC leaves of no slack at all is no budget.
    return [0.0 if fraction < 1e-4 else fraction for fraction in fractions]


def alternate(ours, theirs, turns):
    """Median (wall, CPU) seconds of two calls that take turns."""
    times = [(seconds(ours), seconds(theirs)) for _ in range(turns)]
    return np.median(times, axis=0)


def rbf_grids(X, y):
    gammas = (_GAMMAS * scale(X)).tolist()
    budgets = implied_budgets(X, y, _RBF_COSTS, kernel="rbf", gamma="scale")
    ours = BudgetSVCCV(budgets, unit="relative", gammas=gammas, cv=_FOLDS, refit=False)
    svc = GridSearchCV(SVC(), {"C": _RBF_COSTS, "gamma": gammas}, cv=_FOLDS, refit=False)
    grid = {"C": budgets, "gamma": gammas}
    cold = GridSearchCV(BudgetSVC(unit="relative"), grid, cv=_FOLDS, refit=False)
    return ours, svc, cold


def poly_grids(X, y):
    shared = dict(kernel="poly", gamma="scale", coef0=1.0)
    budgets = implied_budgets(X, y, _POLY_COSTS, degree=_DEGREES[0], **shared)
    ours = BudgetSVCCV(
        budgets, unit="relative", kernel="poly", gammas=["scale"], degrees=_DEGREES, cv=_FOLDS, refit=False
    )
    svc = GridSearchCV(SVC(**shared), {"C": _POLY_COSTS, "degree": _DEGREES}, cv=_FOLDS, refit=False)
    cold = GridSearchCV(
        BudgetSVC(unit="relative", **shared), {"C": budgets, "degree": _DEGREES}, cv=_FOLDS, refit=False
    )
    return ours, svc, cold


def speed_rows(name, make, goal, quick):
    """Rows of the table of times for one data set."""
    X, y = make()
    if quick:
        X, y = X[::8], y[::8]
    rows = []
    for kernel, grids in (("rbf", rbf_grids), ("poly", poly_grids)):
        ours, svc, cold = grids(X, y)
        grid = f"{kernel}, {len(ours.Cs)} budgets"
        for other, search, aim, turns in (("SVC", svc, goal, _TURNS), ("BudgetSVC", cold, None, 1)):
            say(f"path: {name}, {kernel}, {other}")
            mine, theirs = alternate(partial(ours.fit, X, y), partial(search.fit, X, y), 1 if quick else turns)
            ratio, cpu = mine / theirs
            agree = abs(ours.best_score_ - search.best_score_) <= _SCORES_AGREE
            met = "" if aim is None else "yes" if ratio <= aim else "no"
            scores = f"{ours.best_score_:.4f} / {search.best_score_:.4f}{'' if agree else ' (!)'}"
            cells = [f"{theirs[0]:.2f}", f"{mine[0]:.2f}", f"{ratio:.2f}", f"{cpu:.2f}"]
            rows.append([name, grid, other, *cells, "" if aim is None else f"{aim:g}", met, scores])
    return rows


def contestants():
    """What a user may tune, each on a grid of its own."""
    costs, gammas = np.logspace(-2, 3, 6), ["scale", 0.01, 0.1, 1.0]
    return {
        "BudgetSVCCV": BudgetSVCCV(kernel=["linear", "rbf"], gammas=4, cv=_FOLDS),
        "GridSearchCV(SVC)": GridSearchCV(
            SVC(), [{"kernel": ["linear"], "C": costs}, {"gamma": gammas, "C": costs}], cv=_FOLDS
        ),
        "GridSearchCV(LinearSVC)": GridSearchCV(LinearSVC(max_iter=5000), {"C": costs}, cv=_FOLDS),
        "GridSearchCV(MLPClassifier)": GridSearchCV(
            MLPClassifier(max_iter=200, random_state=0), {"alpha": [1e-4, 1e-2, 1.0]}, cv=_FOLDS
        ),
    }


def user_rows(name, make, quick):
    """Best cross-validated accuracy and time of each contestant."""
    X, y = make()
    X = StandardScaler().fit_transform(X)
    if quick:
        X, y = X[::4], y[::4]
    cells = [name]
    for label, search in contestants().items():
        say(f"path: {name}, {label}")
        if quick:
            search.set_params(cv=2)
        time, _ = seconds(partial(search.fit, X, y))
        cells.append(f"{search.best_score_:.4f}, {time:.1f} s")
    return cells


def main(quick=False):
    """Both tables as Markdown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", BudgetWarning)
        times = [row for name, (make, goal) in DATA.items() for row in speed_rows(name, make, goal, quick)]
        users = [user_rows(name, make, quick) for name, make in USERS.items()]
    return f"{markdown(HEADER, times)}\n\n{markdown(['data', *contestants()], users)}"
