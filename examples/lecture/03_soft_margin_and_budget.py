r"""
The soft margin: slack and its budget
=====================================

Classes that overlap have no separating hyperplane. The *support vector classifier* lets samples be on the wrong side of
their margin, and bounds by how much in total (ISLR 9.12-9.15):

.. math::

   \max_{b, w, \varepsilon} \; M \quad \text{subject to} \quad |w| = 1,

.. math::

   y_i (b + w^\top x_i) \geq M (1 - \varepsilon_i), \quad \varepsilon_i \geq 0,

.. math::

   \sum_i \varepsilon_i \leq C .

The **slack** :math:`\varepsilon_i` says where sample *i* is:

* :math:`\varepsilon_i = 0`: on the right side of its margin, or on it;
* :math:`0 < \varepsilon_i \leq 1`: inside the margin, on the right side of the boundary;
* :math:`\varepsilon_i > 1`: on the wrong side of the boundary, a mistake.

C is a **budget** that all slacks share. Every mistake costs more than 1 of it, so **no more than C training samples are
misclassified**.
"""

# %%
# Slack, sample by sample
# -----------------------
# The picture writes the slack beside each sample that has some. Full rings are on the margin, dashed ones inside it,
# dotted ones on the wrong side of the boundary.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_blobs

from sklearn_svmdl import BudgetSVC, MarginDisplay

X, y = make_blobs(24, centers=[[-1.3, -0.7], [1.3, 0.7]], random_state=2)
model = BudgetSVC(C=6, kernel="linear").fit(X, y)

display = MarginDisplay.from_estimator(model, X, y, include_slack=True)
display.ax_.set_title(f"C = 6: M = {model.margin_[0]:.2f}")
plt.show()

# %%
# The budget is used up to the last bit: a wider margin costs slack, so none is left over.

slack = model.slack_[0]
print(f"total slack {slack.sum():.4f} of 6, {np.sum(slack > 1)} mistakes, {len(model.support_)} support vectors")

# %%
# Support vectors are the samples on the margin and those with slack. All others could be taken away.
#
# Four budgets
# ------------
# This is figure 9.7 of ISLR: the larger the budget, the wider the margin and the more samples support it.

X, y = make_blobs(80, centers=[[-1.4, -0.7], [1.4, 0.7]], random_state=3)
figure, panels = plt.subplots(2, 2, figsize=(9, 8), layout="constrained")
for ax, C in zip(panels.flat, [9.5, 15, 30, 50], strict=True):
    model = BudgetSVC(C=C, kernel="linear").fit(X, y)
    MarginDisplay.from_estimator(model, X, y, ax=ax)
    ax.get_legend().remove()
    mistakes = np.sum(model.slack_ > 1)
    title = f"C = {C:g}: M = {model.margin_[0]:.2f}, {len(model.support_)} support vectors, {mistakes} mistakes"
    ax.set_title(title, fontsize=10)
plt.show()

# %%
# Exercises
# ---------
#
# **1.** A budget of C = 7.5 is given. At most how many training samples can be misclassified? Can it be that none is,
# although the whole budget is used?
#
# .. dropdown:: Answer
#
#    At most 7: each mistake has a slack above 1, and eight of them would need more than 8. And yes: the budget can be
#    spent on samples inside the margin that are on the right side, each with a slack up to 1.
#
# **2.** Write every sample down twice. Which budget leads to the same hyperplane as C did before?
#
# .. dropdown:: Answer
#
#    2 C: the two copies of a sample have the same slack, so the total doubles. This is what `unit="relative"` is for:
#    as a fraction of the largest sensible budget, C_max, which doubles too, the budget stays what it was.
