r"""
More than two classes
=====================

A hyperplane has two sides. For K classes there are two ways out (ISLR 9.4):

* **one versus one**: a classifier for each of the K(K-1)/2 pairs of classes, on the samples of these two alone. A new
  sample is put into the class that wins the most of its duels.
* **one versus all**: a classifier for each of the K classes against all the rest. A new sample is put into the class
  whose f(x) is the largest.

`BudgetSVC` does both, ``multi_class="ovo"`` (the default) and ``multi_class="ovr"``. Each binary problem has a margin,
a slack and a budget of its own."""

# %%
# Three species of iris
# ---------------------

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

from sklearn_svmdl import BudgetSVC, MarginDisplay

iris = load_iris(as_frame=True)
X = iris.data[["petal length (cm)", "petal width (cm)"]]
y = iris.target_names[iris.target]

figure, panels = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
for ax, scheme in zip(panels, ["ovo", "ovr"], strict=True):
    model = BudgetSVC(C=0.4, unit="relative", multi_class=scheme).fit(X, y)
    MarginDisplay.from_estimator(model, X, y, ax=ax, aspect="auto")
    ax.set_title(f'multi_class="{scheme}": {np.sum(model.predict(X) != y)} mistakes', fontsize=10)
panels[0].get_legend().remove()
plt.show()

# %%
# The binary problems, one by one
# -------------------------------
# Setosa is far from the others, so its duels have wide margins; versicolor against virginica is the hard one.
# ``unit="relative"`` gives each problem the same fraction of its own C_max = 2 min(n+, n-).

model = BudgetSVC(C=0.4, unit="relative").fit(X, y)
pairs = ["setosa - versicolor", "setosa - virginica", "versicolor - virginica"]
for pair, margin, budget, slack in zip(pairs, model.margin_, model.budget_, model.slack_, strict=True):
    # Samples of the third class take no part: their slack is nan.
    print(f"{pair:22} M = {margin:.3f}, budget {budget:.0f}, {np.nansum(slack > 1):.0f} mistakes")

# %%
# The scores of the classes
# -------------------------
# ``decision_function`` gives one score for each class, and the largest one is the prediction. In one-versus-one it is
# the number of duels won, plus a part between -1/3 and 1/3 that breaks ties by how clearly they were won.

print(model.classes_, model.decision_function(X.iloc[[0, 77, 149]]).round(2), sep="\n")

# %%
# Exercises
# ---------
#
# **1.** How many binary problems are there for the ten digits in each scheme? Which of them sees more samples in each
# problem?
#
# .. dropdown:: Answer
#
#    One versus one: 10 * 9 / 2 = 45, each on the samples of two digits. One versus all: 10, each on all samples. Since
#    the price of a fit grows faster than the number of samples, 45 small problems are often the cheaper ones.
#
# **2.** Three classes, one versus one: can every class win exactly one duel? What then?
#
# .. dropdown:: Answer
#
#    Yes: A beats B, B beats C, and C beats A. Each class has one vote. Then the part of the score that tells how
#    clearly the duels were won decides.
