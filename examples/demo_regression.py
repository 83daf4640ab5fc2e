"""Regression with a budget: BudgetSVR as it comes and tuned, next to scikit-learn's SVR, and what the budget does.

Ends in a table, and two pictures: the tube of a regression in one dimension, and bias and variance against the budget.
"""

from functools import partial
from time import perf_counter

import numpy as np
from _common import axes, one_legend, save, table
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from sklearn_svmdl import BudgetPathDisplay, BudgetSVR, BudgetSVRCV, TubeDisplay

COSTS, GAMMAS = [1.0, 10.0, 100.0, 1000.0], [0.01, 0.03, 0.1, 0.3]
HEADER = ("data", "model", "test R2 as it comes", "test R2 tuned", "best parameters", "budget", "SVs", "search s")


def noisy_sine(n=80):
    """A sine with noise, in one dimension."""
    random = np.random.RandomState(0)
    X = random.uniform(0, 6, (n, 1))
    return X, np.sin(1.5 * X[:, 0]) + 0.3 * random.randn(n)


DATA = {
    "diabetes": partial(load_diabetes, return_X_y=True),
    "friedman": partial(make_friedman1, 400, noise=1.0, random_state=0),
    "sine": partial(noisy_sine, 200),
}


def row(name, X, y, plain, search):
    """One line of the table: a model with its defaults, and with C and gamma chosen by cross-validation."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    as_it_comes = make_pipeline(StandardScaler(), plain).fit(X_train, y_train).score(X_test, y_test)
    begin = perf_counter()
    tuned = make_pipeline(StandardScaler(), search).fit(X_train, y_train)
    seconds, best = perf_counter() - begin, search.best_estimator_
    parameters = f"C={best.C:.3g}, gamma={best.gamma:.3g}"
    budget = f"{best.budget_:.4g}" if hasattr(best, "budget_") else "-"
    scores = f"{as_it_comes:.3f}", f"{tuned.score(X_test, y_test):.3f}"
    return [name, type(plain).__name__, *scores, parameters, budget, len(best.support_), f"{seconds:.1f}"]


def main():
    """Print the table and draw the pictures."""
    rows = []
    for name, load in DATA.items():
        X, y = load()
        rows.append(row(name, X, y, BudgetSVR(), BudgetSVRCV(10, gammas=GAMMAS)))
        rows.append(row(name, X, y, SVR(), GridSearchCV(SVR(), {"C": COSTS, "gamma": GAMMAS})))
    print(table(HEADER, rows))
    X, y = noisy_sine()
    figure, panels = axes(2)
    for ax, share in zip(panels, (0.3, 0.6), strict=True):
        model = BudgetSVR(C=share, unit="relative").fit(X, y)
        TubeDisplay.from_estimator(model, X, y, ax=ax)
        ax.set_title(f"C = {share:g} C_max: {len(model.support_)} support vectors")
    one_legend(figure, panels)
    tube = save(figure, "tube.png")
    search = BudgetSVRCV(Cs=12, unit="relative", gammas=[10.0], cv=10).fit(X, y)
    display = BudgetPathDisplay.from_estimator(search, X, y, quantities=["error", "support"])
    print(f"\nPictures: {tube} and {save(display.figure_, 'regression_budget.png')}")


if __name__ == "__main__":
    main()
