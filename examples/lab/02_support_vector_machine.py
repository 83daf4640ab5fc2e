r"""
Support vector machine
======================

Two hundred samples of two features, with a boundary that is no line: one class lies between the two heaps of the other.
"""

# %%

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import RocCurveDisplay, confusion_matrix
from sklearn.model_selection import train_test_split

from sklearn_svmdl import BudgetSVC, BudgetSVCCV, MarginDisplay

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 2))
X[:100] += 2
X[100:150] -= 2
y = np.repeat([1, 2], [150, 50])
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=0)

# %%
# The lab's radial kernel with ``gamma=1``, at a cost of 1 and of 100,000. The second makes fewer training mistakes,
# and looks like overfitting. The rings are those of the first part.

figure, panels = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained", sharey=True)
for ax, C in zip(panels, [1, 1e5], strict=True):
    svm = BudgetSVC(C=C, unit="cost", gamma=1).fit(X_train, y_train)
    MarginDisplay.from_estimator(svm, X_train, y_train, ax=ax)
    ax.get_legend().remove()
    mistakes = np.sum(svm.predict(X_train) != y_train)
    ax.set_title(f"cost {C:g} = budget {svm.budget_[0]:.3g}: {mistakes} training mistakes", fontsize=10)
plt.show()

# %%
# Cost and gamma by cross-validation, and the table of the test samples:

search = BudgetSVCCV([0.1, 1, 10, 100, 1000], gammas=[0.5, 1, 2, 3, 4]).fit(X_train, y_train)
print(search.best_params_, f"test error {1 - search.score(X_test, y_test):.2f}")
print(confusion_matrix(y_test, search.predict(X_test)))

# %%
# ROC curves
# ----------
# The curve needs the scores f(x), ``decision_function``. A very flexible model is perfect on the samples that it was
# trained on, and worse than the chosen one on the others.

flexible = BudgetSVC(C=search.C_, unit="cost", gamma=50).fit(X_train, y_train)
figure, panels = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
for ax, name, data in zip(panels, ["training", "test"], [(X_train, y_train), (X_test, y_test)], strict=True):
    for label, model, style in [("cross-validated", search, "-"), ("gamma = 50", flexible, "--")]:
        curve = {"linestyle": style}
        RocCurveDisplay.from_estimator(model, *data, name=label, ax=ax, curve_kwargs=curve)
    ax.set_title(name)
plt.show()
