"""The main job on real data: BudgetSVC in a pipeline, as it comes and tuned, next to scikit-learn's SVC.

Ends in a table of the tuned models, and two pictures: what the budget does in two dimensions, and bias and
variance against it.
"""

import warnings
from time import perf_counter

import numpy as np
from _common import axes, one_legend, save, table
from _progress import Progress
from _rows import HEADER, Row, cells
from demo_mlp import mlp_rows
from first_fit import first_fits, span
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine, make_moons
from sklearn.model_selection import GridSearchCV, ParameterGrid, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_svmdl import BudgetPathDisplay, BudgetSVC, BudgetSVCCV, BudgetWarning, MarginDisplay

FOLDS = 5
GAMMAS = [0.01, 0.03, 0.1, 0.3]
DEGREES = [2, 3]
# Each family has its own C: a share of the largest sensible budget here, a price of the slack there.
BUDGETS = [0.01, 0.03, 0.1, 0.3]
COSTS = [0.1, 1, 10, 100]


def digits_3_and_8():
    """The two digits that are most alike."""
    X, y = load_digits(return_X_y=True)
    chosen = (y == 3) | (y == 8)
    return X[chosen], y[chosen]


DATA = {
    "iris": lambda: load_iris(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "breast cancer": lambda: load_breast_cancer(return_X_y=True),
    "digits 3 and 8": digits_3_and_8,
}


def grids(C):
    """What to try: every kernel with the parameters that it has."""
    return [
        {"svm__kernel": ["linear"], "svm__C": C},
        {"svm__kernel": ["poly"], "svm__C": C, "svm__degree": DEGREES, "svm__gamma": GAMMAS},
        {"svm__kernel": ["rbf"], "svm__C": C, "svm__gamma": GAMMAS},
    ]


def families():
    """Name, model and grid of the two families."""
    return [
        ("BudgetSVC", BudgetSVC(unit="relative"), grids(BUDGETS)),
        ("SVC", SVC(coef0=1.0), grids(COSTS)),
    ]


def tune(name, model, grid, X, y, progress):
    """Grid search of a scaled model; returns it with the seconds it took."""

    def score(estimator, X, y):
        progress.tick()
        return estimator.score(X, y)

    pipeline = Pipeline([("scale", StandardScaler()), ("svm", model)])
    progress.begin(name, FOLDS * len(ParameterGrid(grid)))
    start = perf_counter()
    search = GridSearchCV(pipeline, grid, scoring=score, cv=FOLDS, error_score="raise").fit(X, y)
    seconds = perf_counter() - start
    progress.end()
    return search, seconds


def budget_columns(model):
    """What only a budget model can tell of itself."""
    if not isinstance(model, BudgetSVC):
        return {}
    return {
        "margin": span(model.margin_),
        "allowed": span(model.budget_),
        "used": span(np.nansum(model.slack_, axis=1)),
    }


def row(data_name, name, search, seconds, train, test):
    """The table row of a tuned model."""
    best = search.best_estimator_
    return Row(
        data=data_name,
        model=name,
        parameters=", ".join(f"{key[5:]}={value}" for key, value in sorted(search.best_params_.items())),
        cv_accuracy=search.best_score_,
        test_accuracy=best.score(*test),
        mistakes=int(np.sum(best.predict(train[0]) != train[1])),
        support_vectors=len(best["svm"].support_),
        seconds=seconds,
        **budget_columns(best["svm"]),
    )


def svm_rows():
    """Both families on every data set."""
    progress = Progress(len(DATA) * len(families()))
    rows = []
    for data_name, load in DATA.items():
        X, y = load()
        X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
        for name, model, grid in families():
            search, seconds = tune(f"{data_name}, {name}", model, grid, X_train, y_train, progress)
            rows.append(row(data_name, name, search, seconds, (X_train, y_train), (X_test, y_test)))
    return rows


def network_rows():
    """The networks on two of the data sets, in the same table."""
    print("Networks ...", flush=True)
    return [
        Row(data, model, parameters, float(cv_accuracy), float(test_accuracy), float(seconds))
        for data, model, parameters, cv_accuracy, test_accuracy, seconds in mlp_rows()
    ]


def margins():
    """Boundary, margins and support vectors for three budgets."""
    X, y = make_moons(120, noise=0.2, random_state=4)
    y = np.where(y == 1, "lower moon", "upper moon")
    figure, panels = axes(3)
    for ax, C in zip(panels, [0.06, 0.2, 0.4], strict=True):
        model = BudgetSVC(C=C, unit="relative", gamma=0.5).fit(X, y)
        MarginDisplay.from_estimator(model, X, y, ax=ax)
        used, mistakes = model.slack_.sum(), int(np.sum(model.slack_ > 1))
        ax.set_title(
            f"C = {C:g} $C_{{max}}$: slack {used:.3g}, margin {model.margin_[0]:.2g}\n"
            f"{len(model.support_)} support vectors, {mistakes} mistakes",
            fontsize=10,
        )
    one_legend(figure, panels)
    return save(figure, "budgets.png")


def bias_and_variance():
    """Errors, margin and support vectors of a row of budgets, and the one that cross-validation chose."""
    X, y = make_moons(150, noise=0.3, random_state=0)
    search = BudgetSVCCV(Cs=15, unit="relative", gammas=[5.0], cv=10).fit(X, y)
    display = BudgetPathDisplay.from_estimator(search, X, y)
    display.axes_[0].set_title("Bias and variance of the budget C", fontsize=10)
    return save(display.figure_, "bias_and_variance.png")


def main():
    """Tune, tell, draw."""
    start = perf_counter()
    print(f"At the defaults, a cost of 1:\n\n{first_fits()}\n\nTuned:\n", flush=True)
    # The grid offers every kernel every budget, also those that a plain plane cannot keep: these are relaxed.
    warnings.simplefilter("ignore", BudgetWarning)
    rows = svm_rows() + network_rows()
    print("\n" + table(HEADER, [cells(row) for row in rows]))
    print(
        "\nMargin, budget in force and slack used: of each pair of classes, from the least to the largest.\n"
        "BudgetSVC's C is a fraction of the largest sensible budget (more is softer), SVC's C the cost of\n"
        "slack (more is harder). A linear model whose budget is infeasible gets the least feasible one."
    )
    pictures = margins(), bias_and_variance()
    print(f"\n{perf_counter() - start:.0f} s in all. Pictures: {' and '.join(map(str, pictures))}")


if __name__ == "__main__":
    main()
