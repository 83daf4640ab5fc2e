r"""
Support vector classifier
=========================

Twenty samples of two features in two classes, first overlapping, then separable.
"""

# %%
# Overlapping classes
# -------------------
# ``rng.normal(size=(20, 2))``, and the second class is moved by 1.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from sklearn_svmdl import BudgetSVC, BudgetSVCCV, MarginDisplay

rng = np.random.default_rng(4)
X = rng.normal(size=(20, 2))
y = np.repeat([-1, 1], 10)
X[y == 1] += 1

# %%
# The lab fits costs of 10 and 0.1: the smaller cost has the wider margin and more support vectors. Full rings are
# support vectors on the margin, dashed ones inside it, dotted ones with a cross on the wrong side of the boundary.

figure, panels = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained", sharey=True)
for ax, C in zip(panels, [10, 0.1], strict=True):
    svm = BudgetSVC(C=C, unit="cost", kernel="linear").fit(X, y)
    MarginDisplay.from_estimator(svm, X, y, ax=ax)
    ax.get_legend().remove()
    ax.set_title(f"cost {C:g} = budget {svm.budget_[0]:.2f}: {len(svm.support_)} support vectors", fontsize=10)
plt.show()

# %%
# These are the models of scikit-learn's `SVC`:

for C in (10, 0.1):
    ours = BudgetSVC(C=C, unit="cost", kernel="linear").fit(X, y)
    theirs = SVC(C=C, kernel="linear", tol=1e-8).fit(X, y)
    print(f"C = {C:g}: w = {ours.coef_[0].round(4)} and {theirs.coef_[0].round(4)}")

# %%
# The book's own C, a budget
# --------------------------
# Which budgets are feasible? Below ``least`` no line has so little slack. Between ``least`` and ``largest`` every
# budget has its hyperplane, and its cost.

(least,), (largest,) = BudgetSVC(kernel="linear").feasible_budget(X, y)
print(f"feasible: {least:.3f} <= C < {largest:g}")
for C in (8.5, 10, 14, 19):
    svm = BudgetSVC(C=C, kernel="linear").fit(X, y)
    print(f"budget {C:4}: cost {svm.cost_[0]:.4f}, M = {svm.margin_[0]:.3f}, {len(svm.support_)} support vectors")

# %%
# Cross-validation
# ----------------
# ``tune()`` in R, ``GridSearchCV`` in Python; `BudgetSVCCV` finds the same, by one walk over the costs for each fold.

costs = [0.001, 0.01, 0.1, 1, 5, 10, 100]
grid = GridSearchCV(BudgetSVC(unit="cost", kernel="linear"), {"C": costs}).fit(X, y)
search = BudgetSVCCV(costs, kernel="linear").fit(X, y)
assert np.allclose(grid.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"])
print("mean accuracy:", dict(zip(costs, search.cv_results_["mean_test_score"].round(2).tolist(), strict=True)))
print(f"best cost {search.C_:g}, a budget of {search.budget_[0]:.2f}")

# %%
# New samples of the same kind:

X_test = rng.normal(size=(20, 2))
y_test = np.repeat([-1, 1], 10)
X_test[y_test == 1] += 1
print(f"accuracy on new samples {search.score(X_test, y_test):.2f}")

# %%
# Separable classes
# -----------------
# Move the second class further. A budget of 0 is the maximal margin classifier, which the lab approximates by a cost of
# 100,000.

X[y == 1] += 2.5
hard = BudgetSVC(C=0, kernel="linear").fit(X, y)
soft = BudgetSVC(C=2, kernel="linear").fit(X, y)
costly = SVC(C=1e5, kernel="linear").fit(X, y)
print(f"M = {hard.margin_[0]:.4f}, that of SVC(C=1e5) is {1 / np.linalg.norm(costly.coef_):.4f}")

figure, panels = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained", sharey=True)
for ax, svm in zip(panels, [hard, soft], strict=True):
    MarginDisplay.from_estimator(svm, X, y, ax=ax)
    ax.get_legend().remove()
    ax.set_title(f"budget {svm.C}: M = {svm.margin_[0]:.2f}, {len(svm.support_)} support vectors", fontsize=10)
plt.show()
