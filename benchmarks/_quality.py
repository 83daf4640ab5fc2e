"""How good an answer is, from nothing but the data, the duals and the intercept, in double precision."""

from dataclasses import dataclass

import numpy as np

# Kernel values in memory at a time: 16 MB.
_BLOCK = 2_000_000
# Duals this close to a bound, relative to it, are at the bound.
_AT_BOUND = 1e-12


@dataclass(frozen=True)
class Quality:
    """What is left to gain: the three quantities of the table."""

    violation: float
    gap: float
    slack: float

    def text(self, budget, largest):
        """Violation, relative duality gap and budget error (relative to C_max)."""
        return f"{self.violation:.0e} / {self.gap:.0e} / {abs(self.slack - budget) / largest:.0e}"


def kernel_values(X, Y, kernel):
    """Kernel values in double precision; gamma is "scale" where the kernel has one."""
    products = X @ Y.T
    if kernel["kernel"] == "linear":
        return products
    if kernel["kernel"] == "poly":
        return (kernel["gamma"] * products + kernel["coef0"]) ** kernel["degree"]
    squares = (X**2).sum(axis=1)[:, None] + (Y**2).sum(axis=1) - 2.0 * products
    return np.exp(-kernel["gamma"] * np.maximum(squares, 0.0))


def expand(X, support, beta, kernel):
    """sum_i beta_i k(x_i, x) over the support vectors, for every row of X, block after block."""
    vectors = X[support]
    step = max(1, _BLOCK // len(support))
    blocks = [kernel_values(X[i : i + step], vectors, kernel) @ beta for i in range(0, len(X), step)]
    return np.concatenate(blocks)


def quality(X, target, kernel, model, penalty):
    """Certificate of a fitted binary model of cost `penalty`, SVC's or ours.

    Parameters
    ----------
    X, target : the training samples and their targets -1.0 and +1.0
    kernel : dict, kernel name and the values of its parameters
    model : fitted classifier with support_, dual_coef_ and intercept_
    penalty : float, the cost of slack

    Returns
    -------
    Quality
        Violation: libsvm's stopping quantity. Gap: (primal - dual) / (|w|^2 / 2) at the intercept given.
    """
    beta = model.dual_coef_[0]
    fit = expand(X, model.support_, beta, kernel)
    everywhere = np.zeros(len(X))
    everywhere[model.support_] = beta
    alpha = target * everywhere
    gradient = target - fit
    above, below = alpha > _AT_BOUND * penalty, alpha < penalty * (1.0 - _AT_BOUND)
    positive = target > 0
    increasable, decreasable = np.where(positive, below, above), np.where(positive, above, below)
    violation = gradient[increasable].max() - gradient[decreasable].min()
    slack = np.maximum(0.0, 1.0 - target * (fit + model.intercept_[0])).sum()
    energy = 0.5 * beta @ fit[model.support_]
    gap = (2.0 * energy + penalty * slack - alpha.sum()) / energy
    return Quality(float(violation), float(abs(gap)), float(slack))
