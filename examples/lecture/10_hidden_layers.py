r"""
Hidden layers
=============

XOR needs two lines. A **hidden layer** has several perceptrons side by side, and the output is a perceptron of *their*
outputs:

.. math::

   h = g(W_1^\top x + b_1), \qquad \hat{p} = \sigma(w_2^\top h + b_2)

The activation g must not be linear: a linear function of linear functions is linear, and nothing would be gained.
"""

# %%
# XOR with three hidden units
# ---------------------------
# Training starts from random weights and walks downhill. It does not always arrive: ten random starts.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from sklearn_svmdl import TorchMLPClassifier

EVERY_EPOCH = {"tol": 0, "n_iter_no_change": np.inf}
X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


def network(hidden, seed, activation="tanh"):
    """A trained network for the gate."""
    options = {"learning_rate_init": 0.1, "alpha": 0, "max_iter": 500, "random_state": seed, **EVERY_EPOCH}
    return TorchMLPClassifier(hidden, activation, **options).fit(X, y)


for hidden in [(), (2,), (3,), (8,)]:
    right = sum(network(hidden, seed).score(X, y) == 1 for seed in range(10))
    print(f"hidden layer {hidden!s:5}: {right:2} of 10 starts compute XOR")

# %%
# What the hidden units see
# -------------------------
# Each hidden unit draws a line, where its weighted sum is zero (dotted). The output combines the sides of these lines.

trained = next(net for net in (network((3,), seed) for seed in range(10)) if net.score(X, y) == 1)
x1, x2 = np.meshgrid(np.linspace(-0.5, 1.5, 100), np.linspace(-0.5, 1.5, 100))
points = np.column_stack([x1.ravel(), x2.ravel()])

figure, ax = plt.subplots(figsize=(6.2, 4.4), layout="constrained")
p = trained.predict_proba(points)[:, 1].reshape(x1.shape)
shade = ax.contourf(x1, x2, p, levels=np.linspace(0, 1, 11), cmap="cividis", alpha=0.8)
ax.contour(x1, x2, p, levels=[0.5], colors="black")
for unit in (points @ trained.coefs_[0] + trained.intercepts_[0]).T:
    ax.contour(x1, x2, unit.reshape(x1.shape), levels=[0], colors="black", linestyles="dotted")
for value, marker in [(0, "o"), (1, "s")]:
    ax.scatter(*X[y == value].T, marker=marker, s=80, c="white", edgecolors="black", label=f"XOR = {value}")
ticks = [-0.5, 0, 0.5, 1, 1.5]
ax.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal", title="Three hidden units", xticks=ticks, yticks=ticks)
figure.colorbar(shade, label="probability of 1")
figure.legend(loc="outside lower center", ncols=2)
plt.show()

# %%
# More units, more freedom
# ------------------------
# On two moons: one unit is a line, a few bend it, many follow the samples.

X_moons, y_moons = make_moons(150, noise=0.25, random_state=0)
X_new, y_new = make_moons(2_000, noise=0.25, random_state=1)
x1, x2 = np.meshgrid(np.linspace(-2, 3, 100), np.linspace(-1.5, 2, 100))
figure, panels = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained", sharey=True)
for ax, hidden in zip(panels, [(1,), (8,), (100, 100)], strict=True):
    options = {"solver": "lbfgs", "alpha": 0, "max_iter": 200, "tol": 1e-12, "random_state": 0}
    net = TorchMLPClassifier(hidden, "tanh", **options).fit(X_moons, y_moons)
    p = net.predict_proba(np.column_stack([x1.ravel(), x2.ravel()]))[:, 1].reshape(x1.shape)
    ax.contourf(x1, x2, p, levels=np.linspace(0, 1, 11), cmap="cividis", alpha=0.6)
    ax.contour(x1, x2, p, levels=[0.5], colors="black")
    for value, marker in [(0, "o"), (1, "s")]:
        ax.scatter(*X_moons[y_moons == value].T, marker=marker, s=18, c="white", edgecolors="black", linewidths=0.6)
    errors = f"error: training {1 - net.score(X_moons, y_moons):.3f}, new {1 - net.score(X_new, y_new):.3f}"
    ax.set_title(f"hidden {hidden}\n{errors}", fontsize=10)
plt.show()

# %%
# Exercises
# ---------
#
# **1.** How many weights and biases has a network with 2 inputs, hidden layers of 32 and 16 units and 1 output?
#
# .. dropdown:: Answer
#
#    (2 * 32 + 32) + (32 * 16 + 16) + (16 * 1 + 1) = 96 + 528 + 17 = 641. Of a fitted network:
#    ``sum(w.size for w in net.coefs_) + sum(b.size for b in net.intercepts_)``.
#
# **2.** What do you expect of ``network((8,), seed=0, activation="identity")`` on XOR, and why?
#
# .. dropdown:: Answer
#
#    It cannot compute XOR, however many hidden units it has: with the identity as activation the output is
#    :math:`\sigma(w_2^\top (W_1^\top x + b_1) + b_2)`, a perceptron with the weights :math:`W_1 w_2`. It draws one
#    line.
