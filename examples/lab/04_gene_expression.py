r"""
Gene expression data
====================

The lab's last data have many more features than samples: 63 tissues of four kinds of tumour, 2,308 genes each. Made
data of that shape: thirty genes tell a kind apart, a little, and the rest is noise."""

# %%

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import confusion_matrix

from sklearn_svmdl import BudgetSVC, BudgetSVCCV

rng = np.random.default_rng(0)
n_genes, n_kinds = 2_308, 4
profiles = np.zeros((n_kinds, n_genes))
for kind in range(n_kinds):
    profiles[kind, rng.choice(n_genes, 30, replace=False)] = rng.normal(0, 1.8, 30)


def tissues(counts):
    """Expression levels and kinds of so many tissues of each kind."""
    kinds = np.repeat(np.arange(n_kinds), counts)
    return profiles[kinds] + rng.normal(size=(len(kinds), n_genes)), kinds


X_train, y_train = tissues([8, 23, 12, 20])
X_test, y_test = tissues([3, 6, 6, 5])

# %%
# With so many features *any* labels are separable by a hyperplane, so a linear kernel is all that is needed; what more
# flexibility would do is overfit. C = 0, no slack at all, is feasible:

least, largest = BudgetSVC(kernel="linear").feasible_budget(X_train, y_train)
print("C_min of the six pairs:", least)
hard = BudgetSVC(C=0, kernel="linear").fit(X_train, y_train)
print(f"no training mistakes: {np.all(hard.predict(X_train) == y_train)}")
print(confusion_matrix(y_test, hard.predict(X_test)))

# %%
# Shuffled labels are separated just as well: a training error of 0 means nothing here.

shuffled = rng.permutation(y_train)
print("C_min with shuffled labels:", BudgetSVC(kernel="linear").feasible_budget(X_train, shuffled)[0])

# %%
# A search over budgets costs next to nothing for 63 samples: the features enter only through one matrix of inner
# products. The bars are one standard error of five folds.

search = BudgetSVCCV(np.linspace(0, 0.9, 10), unit="relative", kernel="linear").fit(X_train, y_train)
results = search.cv_results_
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.errorbar(
    [params["C"] for params in results["params"]],
    results["mean_test_score"],
    yerr=results["std_test_score"] / np.sqrt(search.n_splits_ - 1),
    color="#0072B2",
    marker="o",
    capsize=3,
)
ax.set(xlabel="C as a fraction of $C_{max}$", ylabel="cross-validated accuracy")
plt.show()
print(f"chosen C = {search.C_:.2f} C_max, test accuracy {search.score(X_test, y_test):.2f}")
