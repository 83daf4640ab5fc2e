"""C = 0 allows no slack at all: the maximal margin classifier, held by the few samples that touch the margin.

On two species of iris: to remove any other samples changes nothing.
"""

import numpy as np
from _common import axes, one_legend, save, table
from sklearn.datasets import load_iris

from sklearn_svmdl import BudgetSVC, MarginDisplay


def main():
    """Fit on all samples, on the support vectors alone, and on those with a few others."""
    iris = load_iris(as_frame=True)
    chosen = iris.target < 2
    X = iris.data.loc[chosen, ["petal length (cm)", "petal width (cm)"]]
    y = iris.target_names[iris.target[chosen]]
    model = BudgetSVC(C=0, kernel="linear").fit(X, y)
    held = model.support_
    fits = {
        "all samples": model,
        "support vectors only": BudgetSVC(C=0, kernel="linear").fit(X.iloc[held], y[held]),
        "these and a few others": BudgetSVC(C=0, kernel="linear").fit(*with_some_others(X, y, held)),
    }
    rows = [
        [name, len(fit.slack_[0]), len(fit.support_), f"{fit.margin_[0]:.4f}", fit.coef_[0].round(3)]
        for name, fit in fits.items()
    ]
    print(table(["fitted on", "samples", "support vectors", "margin (cm)", "w"], rows))
    print("\nf at the support vectors, on the margins:", model.decision_function(X.iloc[held]).round(4))
    figure, ax = axes(1)
    MarginDisplay.from_estimator(model, X, y, ax=ax)
    ax.set_title(f"C = 0: margin {model.margin_[0]:.2f} cm", fontsize=10)
    one_legend(figure, [ax])
    save(figure, "maximal_margin.png")


def with_some_others(X, y, held):
    """The support vectors and every tenth sample."""
    rows = np.union1d(held, np.arange(0, len(y), 10))
    return X.iloc[rows], y[rows]


if __name__ == "__main__":
    main()
