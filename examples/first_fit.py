"""The first line of a new user: BudgetSVC() predicts what SVC() predicts, and tells it in terms of the budget."""

from statistics import median
from time import perf_counter

import numpy as np
from _common import table
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_svmdl import BudgetSVC

DATA = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer}
HEADER = ["data", "same predictions", "test acc.", "BudgetSVC() ms", "SVC() ms", "margin", "budget", "of C_max", "cost"]
_TURNS = 7


def milliseconds(models, X, y):
    """Median times of the models' fits, which take turns."""
    times = []
    for _ in range(_TURNS):
        times.append([])
        for model in models:
            start = perf_counter()
            model.fit(X, y)
            times[-1].append(1e3 * (perf_counter() - start))
    return [median(of_one) for of_one in zip(*times, strict=True)]


def span(values):
    """The one value, or the range of several binary problems'."""
    low, high = f"{np.min(values):.3g}", f"{np.max(values):.3g}"
    return low if low == high else f"{low} to {high}"


def row(name, X, y):
    """Both models on one data set."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
    ours, theirs = (make_pipeline(StandardScaler(), model) for model in (BudgetSVC(), SVC()))
    times = milliseconds([ours, theirs], X_train, y_train)
    predicted = ours.predict(X_test)
    alike = np.sum(predicted == theirs.predict(X_test))
    model = ours[-1]
    _, largest = model.feasible_budget(X_train, y_train)
    told = [span(model.margin_), span(model.budget_), span(model.budget_ / largest), span(model.cost_)]
    return [
        name,
        f"{alike} of {len(y_test)}",
        f"{np.mean(predicted == y_test):.3f}",
        *(f"{time:.1f}" for time in times),
        *told,
    ]


def first_fits(names=tuple(DATA)):
    """The table of some data sets."""
    return table(HEADER, [row(name, *DATA[name](return_X_y=True)) for name in names])


if __name__ == "__main__":
    print(first_fits())
    print("\nBudgetSVC(C=1, unit='cost') is the same model; BudgetSVC(C=<budget>) as well, of two classes.")
