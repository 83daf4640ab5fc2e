r"""
The maximal margin classifier
=============================

Of all separating hyperplanes take the one that is **farthest from the samples** (ISLR 9.9-9.11):

.. math::

   \max_{b, w} \; M \quad \text{subject to} \quad |w| = 1, \quad y_i (b + w^\top x_i) \geq M \; \text{for all} \; i .

With :math:`|w| = 1` the left side is the distance of sample *i* from the line, so every sample is at least M away.
`BudgetSVC(C=0, kernel="linear")` is this classifier: a budget of zero allows no slack.
"""

# %%
# Two species of iris
# -------------------
# They are separable by the length and the width of their petals.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

from sklearn_svmdl import BudgetSVC, MarginDisplay

iris = load_iris(as_frame=True)
chosen = iris.target < 2
X = iris.data.loc[chosen, ["petal length (cm)", "petal width (cm)"]]
y = iris.target_names[iris.target[chosen]]

model = BudgetSVC(C=0, kernel="linear").fit(X, y)
print(f"margin M = {model.margin_[0]:.4f} cm, held by {len(model.support_)} of {len(X)} samples")

# %%
# The samples that touch the margin are the **support vectors**. The dashed lines are the margins, at distance M on
# either side of the boundary.

display = MarginDisplay.from_estimator(model, X, y)
display.ax_.set_title(f"C = 0: M = {model.margin_[0]:.2f} cm")
plt.show()

# %%
# Only the support vectors count
# ------------------------------
# Take the other samples away: the boundary stays where it is. Take a support vector away: it moves.

support = model.support_
alone = BudgetSVC(C=0, kernel="linear").fit(X.iloc[support], y[support])
without = BudgetSVC(C=0, kernel="linear").fit(X.drop(index=X.index[support[0]]), np.delete(y, support[0]))
for name, fit in [("all samples", model), ("support vectors only", alone), ("without one of them", without)]:
    print(f"{name:21} M = {fit.margin_[0]:.4f}, w = {fit.coef_[0].round(3)}, b = {fit.intercept_[0]:.3f}")

# %%
# The fitted ``coef_`` and ``intercept_`` are scaled such that f = +1 and f = -1 on the margins, which is how software
# writes f; then :math:`M = 1 / |w|`.

print(model.decision_function(X.iloc[support]).round(4), 1 / np.linalg.norm(model.coef_))

# %%
# Exercises
# ---------
#
# **1.** What is the maximal margin of the four samples 0, 1 (class A) and 3, 5 (class B) on a line? Which are the
# support vectors? Check with ``BudgetSVC(C=0, kernel="linear").fit([[0], [1], [3], [5]], ["A", "A", "B", "B"])``.
#
# .. dropdown:: Answer
#
#    The boundary is in the middle between the nearest samples of the two classes, at 2, and M = 1. The support vectors
#    are the samples 1 and 3: ``margin_`` is 1 and ``support_`` is ``[1, 2]``, their positions.
#
# **2.** Does the maximal margin grow or shrink when a sample is added?
#
# .. dropdown:: Answer
#
#    It never grows: every sample adds a condition that the hyperplane has to meet. If the new sample is outside the
#    margin and on its own side nothing changes; if it is inside the margin, M shrinks; if the classes are no longer
#    separable, there is no maximal margin classifier at all, which is where the next step begins.
