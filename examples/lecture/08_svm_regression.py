r"""
Support vector regression
=========================

The same idea for numbers: a function :math:`f(x) = b + \langle w, x \rangle` with a **tube** of half-width
:math:`\epsilon` around it. Errors within the tube cost nothing; what sticks out is slack, and all slack together has to
stay within a budget C. Of all functions that do, take the flattest:

.. math::

   \min_{b, w, \varepsilon} \; \frac{1}{2} |w|^2 \quad \text{subject to} \quad
   |y_i - f(x_i)| \leq \epsilon + \varepsilon_i, \quad \varepsilon_i \geq 0, \quad \sum_i \varepsilon_i \leq C

Kernels work as before: f is linear in the features of the kernel. `BudgetSVR` is this regression.
"""

# %%
# Four tubes
# ----------
# From left to right the tube gets wider; from top to bottom there is less slack to spend, and the function follows the
# samples more closely. Ringed samples are support vectors: those on the edge of the tube or outside it.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_svmdl import BudgetPathDisplay, BudgetSVR, BudgetSVRCV, TubeDisplay

rng = np.random.RandomState(0)
X = rng.uniform(0, 6, (80, 1))
y = np.sin(1.5 * X[:, 0]) + 0.3 * rng.randn(80)

figure, panels = plt.subplots(2, 2, figsize=(10, 7), layout="constrained", sharex=True, sharey=True)
for row, C in zip(panels, [16.0, 12.0], strict=True):
    for ax, epsilon in zip(row, [0.1, 0.3], strict=True):
        model = BudgetSVR(C=C, epsilon=epsilon).fit(X, y)
        TubeDisplay.from_estimator(model, X, y, ax=ax)
        ax.get_legend().remove()
        ax.set_title(f"epsilon = {epsilon:g}, C = {C:g}: {len(model.support_)} support vectors", fontsize=10)
plt.show()

# %%
# C is in the units of y here, and it is used up: the slack of the samples outside the tube adds up to it. `SVR` at the
# cost of that slack is the same model.

print(f"slack {model.slack_.sum():.4f} of {model.budget_:g}, the model of SVR(C={model.cost_:.4g}, epsilon=0.3)")

# %%
# Choosing C
# ----------
# As for classes: a small budget follows the samples (low bias, high variance), a large one is nearly constant. C_max is
# the total slack of the best constant.

search = BudgetSVRCV(Cs=12, unit="relative", gammas=[10.0], cv=10).fit(X, y)
BudgetPathDisplay.from_estimator(search, X, y, quantities=["error", "support"])
plt.show()

# %%
# Exercises
# ---------
#
# **1.** Which samples may be taken away without changing f?
#
# .. dropdown:: Answer
#
#    Those inside the tube, and not on its edge: they are no support vectors. The others hold f, by their slack or by
#    touching the edge.
#
# **2.** All of y is given in millimetres instead of metres. What happens to epsilon and C of the same function?
#
# .. dropdown:: Answer
#
#    Both are lengths in the units of y, so both become 1,000 times as large. The cost of a unit of slack becomes 1,000
#    times as large as well: :math:`|w|^2` grows by a factor of 1,000,000, the slack by 1,000. With ``epsilon="auto"``
#    and ``unit="relative"`` nothing has to be changed.
