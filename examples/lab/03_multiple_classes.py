r"""
SVM with multiple classes
=========================

The lab adds a third class of fifty samples to the two hundred, and fits the same function: one-versus-one, as `SVC`
does it."""

# %%

import matplotlib.pyplot as plt
import numpy as np

from sklearn_svmdl import BudgetSVC, MarginDisplay

rng = np.random.default_rng(0)
X = rng.normal(size=(250, 2))
X[:100] += 2
X[100:150] -= 2
y = np.repeat([1, 2, 0], [150, 50, 50])
X[y == 0, 1] += 2.5

# %%
# Both ways from two classes to three, at the lab's cost of 10:

figure, panels = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained", sharey=True)
for ax, scheme in zip(panels, ["ovo", "ovr"], strict=True):
    svm = BudgetSVC(C=10, unit="cost", gamma=1, multi_class=scheme).fit(X, y)
    MarginDisplay.from_estimator(svm, X, y, ax=ax, support_vectors=[])
    ax.set_title(f'multi_class="{scheme}": training accuracy {svm.score(X, y):.2f}', fontsize=10)
panels[0].get_legend().remove()
plt.show()

# %%
# Each pair of classes has a margin, a budget and a number of mistakes of its own.

svm = BudgetSVC(C=10, unit="cost", gamma=1).fit(X, y)
for pair, budget, slack in zip(["0 vs 1", "0 vs 2", "1 vs 2"], svm.budget_, svm.slack_, strict=True):
    print(f"{pair}: budget {budget:.1f}, {np.nansum(slack > 1):.0f} training mistakes")
