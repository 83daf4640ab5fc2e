r"""
Separating hyperplanes
======================

A *hyperplane* in two dimensions is a line, the set of points where a linear function is zero:

.. math::

   f(x) = b + w_1 x_1 + w_2 x_2 = 0

(ISLR writes :math:`\beta_0` for :math:`b` and :math:`\beta_j` for :math:`w_j`.) On one side of it :math:`f(x) > 0`, on
the other :math:`f(x) < 0`: the **sign** of f classifies, and the **size** of f says how far a sample is from the
boundary. With labels :math:`y_i = \pm 1` a hyperplane separates the classes if

.. math::

   y_i f(x_i) > 0 \quad \text{for all} \; i .

If there is one such line, there are infinitely many.
"""

# %%
# Three lines that separate
# -------------------------
# All three make no mistake on these samples. Which of them would you trust with the next one?

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_blobs

X, label = make_blobs(40, centers=[[-1.6, -1.0], [1.6, 1.0]], cluster_std=0.7, random_state=1)
y = 2 * label - 1

lines = {
    "steep": (0.0, [1.0, 0.1]),
    "middle": (0.0, [1.0, 0.8]),
    "flat": (0.1, [0.3, 1.0]),
}

# %%
# The distance of a sample from the line is :math:`|f(x)| / |w|`. The **margin** of a line is the distance of the
# nearest sample, with a sign: it is negative if a sample is on the wrong side.

for name, (b, w) in lines.items():
    f = X @ w + b
    distance = y * f / np.linalg.norm(w)
    print(f"{name:6}: {np.sum(y * f <= 0)} mistakes, margin {distance.min():.3f}")

# %%

figure, ax = plt.subplots(figsize=(6.4, 5.0), layout="constrained")
x1 = np.linspace(-3.5, 3.5, 2)
for (name, (b, (w1, w2))), style in zip(lines.items(), ["-", "--", ":"], strict=True):
    ax.plot(x1, -(b + w1 * x1) / w2, "k", linestyle=style, label=name)
for side, color, marker in [(-1, "#0072B2", "o"), (1, "#E69F00", "s")]:
    ax.scatter(*X[y == side].T, color=color, marker=marker, label=f"y = {side:+d}")
ax.set(xlim=(-3.5, 3.5), ylim=(-3.2, 3.2), xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
ax.set_title("Three hyperplanes that separate the classes")
ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
plt.show()

# %%
# Exercises
# ---------
#
# **1.** Take the line :math:`f(x) = 1 + 3 x_1 - x_2 = 0`. On which side are the points (0, 0), (1, 5) and (-1, -2)?
#
# .. dropdown:: Answer
#
#    f(0, 0) = 1 > 0: the positive side. f(1, 5) = 1 + 3 - 5 = -1 < 0: the negative side. f(-1, -2) = 1 - 3 + 2 = 0: on
#    the line itself, which decides nothing.
#
# **2.** Multiply b and w of a line by 10. What changes: the line, the predictions, f(x), the margin?
#
# .. dropdown:: Answer
#
#    Only f(x), which is ten times as large. Where f is zero and which sign it has stay the same, and so do the line and
#    the predictions. The distance :math:`|f(x)| / |w|` stays the same as well, since :math:`|w|` is ten times as large
#    too. This is why the next step has to fix the scale: it asks for :math:`|w| = 1`.
