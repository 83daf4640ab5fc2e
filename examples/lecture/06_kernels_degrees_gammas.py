r"""
The kernels, their degrees and gammas
=====================================

=========  ==================================================  =======================================================
kernel     K(x, x')                                            what its parameters do
=========  ==================================================  =======================================================
linear     :math:`\langle x, x' \rangle`                       none: straight boundaries
poly       :math:`(\gamma \langle x, x' \rangle + c)^d`        a higher **degree** d bends more; c is ``coef0``
rbf        :math:`\exp(-\gamma |x - x'|^2)`                    a larger **gamma** sees shorter distances
=========  ==================================================  =======================================================

With the radial kernel (rbf) a sample has a say within a distance of about :math:`1 / \sqrt{\gamma}`. Like a small
budget, a large gamma or degree means **low bias and high variance**: the boundary can follow every sample."""

# %%
# Degrees
# -------
# The same budget for all, 0.25 C_max. No straight line can keep it: the least that one spends is 0.37 C_max. Full rings
# are on the margin, dashed ones inside it, crosses misclassified.

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons

from sklearn_svmdl import BudgetSVC, BudgetSVCCV, MarginDisplay

X, y = make_moons(150, noise=0.25, random_state=0)
X_new, y_new = make_moons(2_000, noise=0.25, random_state=1)


def draw(C, kernels):
    """A picture of each model, with its error on the training samples and on new ones."""
    figure, panels = plt.subplots(1, len(kernels), figsize=(12, 3.4), layout="constrained", sharey=True)
    for ax, (name, kernel) in zip(panels, kernels.items(), strict=True):
        model = BudgetSVC(C=C, unit="relative", **kernel).fit(X, y)
        MarginDisplay.from_estimator(model, X, y, ax=ax)
        ax.get_legend().remove()
        errors = f"training {1 - model.score(X, y):.3f}, new {1 - model.score(X_new, y_new):.3f}"
        ax.set_title(f"{name}\nerror: {errors}", fontsize=10)
    plt.show()


draw(0.25, {f"poly, degree {d}": {"kernel": "poly", "degree": d, "gamma": 1.0} for d in (3, 5, 8)})

# %%
# Gammas
# ------
# From a smooth boundary to islands around single samples: no error in training, and a
# high one on new samples.

draw(0.25, {f"rbf, gamma {gamma:g}": {"gamma": gamma} for gamma in (0.1, 2.0, 200.0)})

# %%
# Let cross-validation choose
# ---------------------------
# `BudgetSVCCV` crosses each kernel with the parameters that it has, and C.

search = BudgetSVCCV(kernel=["linear", "poly", "rbf"], degrees=[2, 3, 5], gammas=[0.1, 0.5, 2.0, 10.0]).fit(X, y)
print(search.best_params_, f"error on new samples {1 - search.score(X_new, y_new):.3f}")

# %%
# Features need a common scale first: a kernel sees distances and inner products, and a feature in millimetres counts
# a thousand times as much as the same one in metres. Put `StandardScaler` in front, in a pipeline, so that each fold
# scales by its own training samples. ``gamma="scale"``, the default, is 1 over the number of features times their
# variance.
#
# Exercises
# ---------
#
# **1.** What does the radial kernel matrix of the training samples look like when gamma is huge, and when it is tiny?
# What does this mean for the fit?
#
# .. dropdown:: Answer
#
#    Huge: the identity matrix, since every sample is like itself alone. Any labels can be fitted, and far from all
#    samples f(x) = b: nothing has been learnt about the space between them. Tiny: all entries are nearly 1, samples
#    are hardly told apart, and the differences that are left are those of a straight line: the boundary becomes
#    linear.
#
# **2.** The poly kernel of degree 1 with ``gamma=1`` and ``coef0=1`` and the linear kernel: are their models the same?
#
# .. dropdown:: Answer
#
#    Yes: :math:`1 + \langle x, x' \rangle` only adds the constant feature 1, and a constant feature adds the same
#    number to every f(x), which b does already. Since the duals :math:`\alpha_i y_i` add up to 0, the constant in K
#    drops out of f.
