"""Three kernels, two problems that no straight line solves, and the kernel's explicit features.

The polynomial kernel (1 + <x, x'>)^2 is the linear kernel on all products of two features, suitably scaled.
"""

import numpy as np
from _common import axes, one_legend, save, table
from sklearn.datasets import make_circles, make_moons

from sklearn_svmdl import BudgetSVC, MarginDisplay

KERNELS = {
    "linear": {"kernel": "linear"},
    "poly, degree 2": {"kernel": "poly", "degree": 2, "gamma": 1.0},
    "rbf": {"kernel": "rbf", "gamma": 2.0},
}
DATA = {
    "circles": make_circles(150, noise=0.12, factor=0.45, random_state=0),
    "moons": make_moons(150, noise=0.15, random_state=0),
}


def fit(kernel, X, y):
    """A budget that this kernel can keep: a tenth of the way from C_min to C_max."""
    (least,), (largest,) = BudgetSVC(**kernel).feasible_budget(X, y)
    return BudgetSVC(C=least + 0.1 * (largest - least), **kernel).fit(X, y)


def products(X):
    """The features whose inner products are (1 + <x, x'>)^2 in two dimensions."""
    x1, x2 = X.T
    return np.column_stack([2**0.5 * x1, 2**0.5 * x2, x1**2, x2**2, 2**0.5 * x1 * x2])


def main():
    """Draw all pairs of a problem and a kernel, then compare kernel and explicit features."""
    figure, panels = axes(len(KERNELS), rows=len(DATA))
    rows = []
    for line, (data_name, (X, y)) in zip(panels, DATA.items(), strict=True):
        for ax, (name, kernel) in zip(line, KERNELS.items(), strict=True):
            model = fit(kernel, X, y)
            MarginDisplay.from_estimator(model, X, y, ax=ax)
            accuracy = model.score(X, y)
            ax.set_title(f"{data_name}, {name}: accuracy {accuracy:.2f}", fontsize=10)
            numbers = [f"{model.budget_[0]:.1f}", f"{accuracy:.3f}", len(model.support_)]
            rows.append([data_name, name, *numbers, f"{model.margin_[0]:.3g}"])
    print(table(["data", "kernel", "budget", "accuracy", "support vectors", "margin"], rows))
    X, y = DATA["circles"]
    implicit = BudgetSVC(C=10, kernel="poly", degree=2, gamma=1.0).fit(X, y)
    explicit = BudgetSVC(C=10, kernel="linear").fit(products(X), y)
    difference = implicit.decision_function(X) - explicit.decision_function(products(X))
    print(f"\nDegree 2 against its explicit features: decisions differ by {np.abs(difference).max():.1e}")
    one_legend(figure, panels.flat)
    save(figure, "kernels.png")


if __name__ == "__main__":
    main()
