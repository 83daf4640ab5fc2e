"""What C does: the larger the budget of slack, the wider the margin and the more samples support it.

The picture repeats figure 9.7 of "An Introduction to Statistical Learning": one data set, four budgets.
"""

from _common import axes, one_legend, save, table
from sklearn.datasets import make_blobs

from sklearn_svmdl import BudgetSVC, MarginDisplay

BUDGETS = [9.5, 15, 30, 50]
HEADER = ["C", "slack used", "margin", "support vectors", "mistakes", "w2 / w1", "b / |w|", "cost of SVC"]


def describe(C, model):
    """The table row of a fitted model."""
    w1, w2 = model.coef_[0]
    return [
        f"{C:g}",
        f"{model.slack_.sum():.3f}",
        f"{model.margin_[0]:.3f}",
        len(model.support_),
        int((model.slack_ > 1).sum()),
        f"{w2 / w1:.3f}",
        f"{model.intercept_[0] * model.margin_[0]:.3f}",
        f"{model.cost_[0]:.4f}",
    ]


def main():
    """Fit, draw and tabulate one model for each budget."""
    X, y = make_blobs(80, centers=[[-1.4, -0.7], [1.4, 0.7]], random_state=3)
    figure, panels = axes(2, rows=2)
    rows = []
    for ax, C in zip(panels.flat, BUDGETS, strict=True):
        model = BudgetSVC(C=C, kernel="linear").fit(X, y)
        MarginDisplay.from_estimator(model, X, y, ax=ax)
        title = f"C = {C:g}: margin {model.margin_[0]:.2f}, {len(model.support_)} support vectors"
        ax.set_title(title, fontsize=10)
        rows.append(describe(C, model))
    print(table(HEADER, rows))
    print("\nTraining mistakes never exceed C: each uses up more than 1 of the budget.")
    one_legend(figure, panels.flat)
    save(figure, "budget_and_margin.png")


if __name__ == "__main__":
    main()
