r"""
Feature expansion, and why it equals a kernel
=============================================

A circle is no line. But it is a *hyperplane* in the right features: with :math:`x_1^2` and :math:`x_2^2` added, the
circle :math:`x_1^2 + x_2^2 = r^2` is linear in them (ISLR 9.3.1). Two ways lead there:

* **expand** the features, :math:`x \to \phi(x)`, and fit a linear model;
* note that a support vector machine needs **inner products** only,

  .. math::

     f(x) = b + \sum_i \alpha_i y_i \langle \phi(x), \phi(x_i) \rangle ,

  and compute these by a function of the original features, the **kernel** :math:`K(x, x') = \langle \phi(x), \phi(x')
  \rangle`, without ever making the features.

The polynomial kernel of degree 2 shows that it is the same:

.. math::

   (1 + \langle x, x' \rangle)^2 = 1 + 2 x_1 x_1' + 2 x_2 x_2' + x_1^2 x_1'^2 + x_2^2 x_2'^2 + 2 x_1 x_2 x_1' x_2'

is the inner product of :math:`\phi(x) = (1, \sqrt{2} x_1, \sqrt{2} x_2, x_1^2, x_2^2, \sqrt{2} x_1 x_2)` with
:math:`\phi(x')`.
"""

# %%
# A circle
# --------

from math import comb

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_circles
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_svmdl import BudgetSVC, MarginDisplay

X, y = make_circles(120, noise=0.12, factor=0.45, random_state=0)


def phi(X):
    """The features whose inner products are (1 + <x, x'>)^2, without the constant: b takes its place."""
    x1, x2 = np.asarray(X).T
    root = np.sqrt(2)
    return np.column_stack([root * x1, root * x2, x1**2, x2**2, root * x1 * x2])


kernel = BudgetSVC(C=10, kernel="poly", degree=2, gamma=1.0, coef0=1.0).fit(X, y)
expanded = make_pipeline(FunctionTransformer(phi), BudgetSVC(C=10, kernel="linear")).fit(X, y)

difference = np.abs(kernel.decision_function(X) - expanded.decision_function(X)).max()
print(f"margins {kernel.margin_[0]:.6f} and {expanded[-1].margin_[0]:.6f}, decisions differ by {difference:.1e}")

# %%
# The same boundary by both ways, and a straight line for comparison. For it no budget below C_min is feasible, which is
# hardly less than what the constant classifier spends: lines are of no use here. (Full rings are on the margin, dashed
# ones inside it, crosses misclassified.)

(least,), (largest,) = BudgetSVC(kernel="linear").feasible_budget(X, y)
print(f"straight lines: total slack of at least {least:.1f}, a constant classifier {largest:.0f}")
linear = BudgetSVC(C=118, kernel="linear").fit(X, y)
figure, panels = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained", sharey=True)
models = {"linear, C = 118": linear, "expanded features, C = 10": expanded, "kernel, C = 10": kernel}
for ax, (name, model) in zip(panels, models.items(), strict=True):
    MarginDisplay.from_estimator(model, X, y, ax=ax)
    ax.get_legend().remove()
    ax.set_title(f"{name}: accuracy {model.score(X, y):.2f}", fontsize=10)
plt.show()

# %%
# Why not always expand?
# ----------------------
# A kernel value of degree d costs one inner product and one power, however many features it stands for. Their number
# grows with the degree; for 100 features and degree 5 it is about 97 million. The radial kernel stands for infinitely
# many.

for d in (2, 3, 5):
    print(f"degree {d}: {comb(100 + d, d) - 1:,} features of 100")

# %%
# Exercises
# ---------
#
# **1.** Which features belong to :math:`K(x, x') = (1 + x x')^3` with a single feature x?
#
# .. dropdown:: Answer
#
#    :math:`(1 + x x')^3 = 1 + 3 x x' + 3 x^2 x'^2 + x^3 x'^3`, so :math:`\phi(x) = (1, \sqrt{3} x, \sqrt{3} x^2, x^3)`.
#
# **2.** Is :math:`K(x, x') = \langle x, x' \rangle^2`, without the 1, as flexible as :math:`(1 + \langle x, x'
# \rangle)^2`? Think of samples at x and at -x.
#
# .. dropdown:: Answer
#
#    No: its features are the products of degree 2 only, :math:`(x_1^2, x_2^2, \sqrt{2} x_1 x_2)`. They are the same
#    for x and -x, so f is the same for both: two classes that lie opposite each other cannot be told apart.
#    ``coef0=0`` makes this kernel; with ``coef0=1``, the default here, all lower degrees are in it.
