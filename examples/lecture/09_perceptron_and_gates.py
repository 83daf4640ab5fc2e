r"""
The perceptron: OR and AND, but not XOR
=======================================

A *perceptron* is the smallest neural network: a weighted sum of the inputs, sent through a function that squashes it,

.. math::

   \hat{p} = \sigma(b + w_1 x_1 + w_2 x_2), \qquad \sigma(z) = \frac{1}{1 + e^{-z}} .

It says "1" where :math:`\hat{p} > 0.5`, that is where :math:`b + w_1 x_1 + w_2 x_2 > 0`: on one side of a line, like
every linear classifier. `TorchMLPClassifier(hidden_layer_sizes=())` is one: no hidden layer between the inputs and the
output."""

# %%
# Three gates
# -----------
# Two inputs that are 0 or 1, and what the gate makes of them.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_svmdl import TorchMLPClassifier

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
GATES = {"OR": [0, 1, 1, 1], "AND": [0, 0, 0, 1], "XOR": [0, 1, 1, 0]}
# Exactly 500 epochs: no improvement counts as too small to go on.
EVERY_EPOCH = {"max_iter": 500, "tol": 0, "n_iter_no_change": np.inf}


def perceptron(y):
    """A trained perceptron."""
    return TorchMLPClassifier((), learning_rate_init=0.1, alpha=0, random_state=0, **EVERY_EPOCH).fit(X, y)


networks = {name: perceptron(y) for name, y in GATES.items()}
for name, network in networks.items():
    print(f"{name:3} wanted {GATES[name]}, got {network.predict(X).tolist()}")

# %%
# Where is the line?
# ------------------
# The shade is the probability of a 1. For XOR no line has both ones on one side and both zeros on the other, so the
# best that a perceptron can do in terms of its loss is to say 0.5 everywhere.

x1, x2 = np.meshgrid(np.linspace(-0.5, 1.5, 60), np.linspace(-0.5, 1.5, 60))
figure, panels = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", sharey=True)
for ax, (name, network) in zip(panels, networks.items(), strict=True):
    p = network.predict_proba(np.column_stack([x1.ravel(), x2.ravel()]))[:, 1].reshape(x1.shape)
    shade = ax.contourf(x1, x2, p, levels=np.linspace(0, 1, 11), cmap="cividis", alpha=0.8)
    if name != "XOR":
        ax.contour(x1, x2, p, levels=[0.5], colors="black")
    for value, marker in [(0, "o"), (1, "s")]:
        points = X[np.array(GATES[name]) == value]
        ax.scatter(*points.T, marker=marker, s=70, c="white", edgecolors="black", label=value)
    ax.set(title=name, xlabel="$x_1$", aspect="equal")
panels[0].set_ylabel("$x_2$")
figure.colorbar(shade, ax=panels, label="probability of 1")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, title="the gate's output")
plt.show()

# %%
# The weights tell the gate: the OR perceptron needs one 1 to get above zero, the AND perceptron two.

for name in ("OR", "AND"):
    (w,), (b,) = networks[name].coefs_[0].T, networks[name].intercepts_[0]
    print(f"{name:3} w = {w.round(1)}, b = {b:.1f}")

# %%
# Exercises
# ---------
#
# **1.** Find weights by hand for a perceptron that computes NAND (0 only if both inputs are 1).
#
# .. dropdown:: Answer
#
#    For instance :math:`w = (-2, -2)`, :math:`b = 3`: the sums are 3, 1, 1 and -1, positive except for (1, 1).
#
# **2.** Prove that no perceptron computes XOR.
#
# .. dropdown:: Answer
#
#    It would need :math:`b \leq 0` for (0, 0), :math:`b + w_1 > 0`, :math:`b + w_2 > 0` and :math:`b + w_1 + w_2 \leq
#    0`. Add the two in the middle: :math:`2b + w_1 + w_2 > 0`. Add the first and the last: :math:`2b + w_1 + w_2 \leq
#    0`. Both at once cannot be.
