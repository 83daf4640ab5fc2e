"""Which budgets make sense: from C_min, the least slack of any plane, to C_max, that of none at all.

Below C_min no plane keeps the budget: "relax" fits the least slack and warns, "raise" refuses. From C_max
on the margin is infinite.
"""

import warnings

from _common import table
from sklearn.datasets import load_iris
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetSVC, BudgetWarning, InfeasibleBudgetError

KERNELS = {
    "linear": {"kernel": "linear"},
    "poly, degree 2": {"kernel": "poly", "degree": 2},
    "rbf": {"kernel": "rbf"},
}


def ranges(X, y, names):
    """C_min and C_max of each class against the rest, for each kernel; nothing is fitted."""
    rows = []
    for label, parameters in KERNELS.items():
        least, largest = BudgetSVC(multi_class="ovr", **parameters).feasible_budget(X, y)
        for name, low, high in zip(names, least, largest, strict=True):
            rows.append([label, f"{name} against the rest", f"{low:.2f}", f"{high:.0f}", f"{low / high:.3f}"])
    return table(["kernel", "problem", "C_min", "C_max", "C_min / C_max"], rows)


def outcome(C, policy, X, y):
    """What a fit with this budget and policy does, in words."""
    with warnings.catch_warnings(record=True, action="always") as caught:
        try:
            model = BudgetSVC(C=C, kernel="linear", infeasible=policy).fit(X, y)
        except InfeasibleBudgetError as error:
            return f"refused: {error}"
    warned = any(issubclass(warning.category, BudgetWarning) for warning in caught)
    return f"budget in force {model.budget_[0]:.4g}, margin {model.margin_[0]:.3g}{', warned' * warned}"


def main():
    """Feasible ranges of iris, then budgets below, within and above one."""
    iris = load_iris()
    X = StandardScaler().fit_transform(iris.data)
    print(ranges(X, iris.target, iris.target_names))
    print("\nversicolor against the rest, linear kernel:")
    y = iris.target_names[iris.target] == "versicolor"
    for C, policy in [(40, "relax"), (40, "raise"), (90, "relax"), (120, "relax")]:
        print(f"* C={C}, infeasible={policy!r}: {outcome(C, policy, X, y)}")


if __name__ == "__main__":
    main()
