"""Regression with a budget: the tube, and how epsilon and C change it.

From left to right the tube gets wider, from top to bottom there is less slack to spend: the function follows the
samples more closely.
"""

import numpy as np
from _common import axes, one_legend, save, table

from sklearn_svmdl import BudgetSVR, TubeDisplay

EPSILONS = [0.1, 0.3]
BUDGETS = [16.0, 12.0]
HEADER = ["epsilon", "C", "slack used", "largest error", "support vectors", "1 / |w|", "cost of SVR"]


def describe(model, y, predicted):
    """The table row of a fitted model."""
    return [
        f"{model.epsilon:g}",
        f"{model.C:g}",
        f"{model.slack_.sum():.3f}",
        f"{np.abs(y - predicted).max():.2f}",
        len(model.support_),
        f"{model.margin_:.3f}",
        f"{model.cost_:.4f}",
    ]


def main():
    """Fit, draw and tabulate one model for each epsilon and budget."""
    random = np.random.RandomState(0)
    X = np.sort(random.uniform(0.0, 6.0, (80, 1)), axis=0)
    y = np.sin(1.5 * X[:, 0]) + 0.3 * random.randn(80)
    figure, panels = axes(len(EPSILONS), rows=len(BUDGETS))
    rows = []
    for of_budget, C in zip(panels, BUDGETS, strict=True):
        for ax, epsilon in zip(of_budget, EPSILONS, strict=True):
            model = BudgetSVR(C=C, epsilon=epsilon).fit(X, y)
            TubeDisplay.from_estimator(model, X, y, ax=ax)
            ax.set_title(f"epsilon = {epsilon:g}, C = {C:g}: {len(model.support_)} support vectors", fontsize=10)
            rows.append(describe(model, y, model.predict(X)))
    print(table(HEADER, rows))
    print("\nSamples within the tube have no part in the function; the slack of the others adds up to C.")
    one_legend(figure, panels.flat)
    save(figure, "tube.png")


if __name__ == "__main__":
    main()
