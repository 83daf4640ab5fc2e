r"""
Bias and variance of C
======================

Which budget? A *small* one makes a narrow margin that few samples hold: it follows these very samples, and other
samples of the same kind would lead to another boundary. That is **low bias and high variance**. A *large* one makes a
wide margin that many samples hold: it hardly changes with the samples, but may miss the shape of the boundary. That is
**high bias and low variance** (ISLR 9.2.2).

The training error is no help in choosing: a smaller budget allows fewer mistakes. Cross-validation is.

.. note::

   Software for support vector machines usually calls a *cost* C, for which small and large swap their roles.
   :doc:`/two_cs` has both.
"""

# %%
# The curve
# ---------
# `BudgetSVCCV` tries a row of budgets, here as fractions of the largest sensible one, by 10-fold cross-validation. The
# smallest one that it tries by itself is feasible in every fold.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from sklearn_svmdl import BudgetPathDisplay, BudgetSVC, BudgetSVCCV

X, y = make_moons(150, noise=0.3, random_state=0)
search = BudgetSVCCV(Cs=15, unit="relative", gammas=[5.0], cv=10).fit(X, y)

BudgetPathDisplay.from_estimator(search, X, y)
plt.show()

# %%
# From left to right the training error rises, the cross-validated error falls, then rises; the margin widens, and
# more samples become support vectors, until the margin is so wide that all are in it. The band is one standard error
# of the mean over the folds. Within it candidates cannot be told apart, and the simplest of them, the one of the
# widest margin, is a good choice: ``refit="one_standard_error"``.

wider = BudgetSVCCV(Cs=15, unit="relative", gammas=[5.0], cv=10, refit="one_standard_error").fit(X, y)
for name, model in [("best", search), ("one standard error", wider)]:
    print(f"{name:18} C = {model.C_:.3f}, error {1 - model.best_score_:.3f}, {len(model.support_)} support vectors")

# %%
# Variance, seen
# --------------
# Twenty training sets of 60 samples from the same source: where does the boundary of each run?

x1, x2 = np.meshgrid(np.linspace(-2, 3, 80), np.linspace(-1.5, 2, 80))
grid = np.column_stack([x1.ravel(), x2.ravel()])
training_sets = [make_moons(60, noise=0.3, random_state=seed) for seed in range(1, 21)]

figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
for ax, C in zip(panels, [0.15, 0.5], strict=True):
    for few, labels in training_sets:
        model = BudgetSVC(C=C, unit="relative", gamma=2.0).fit(few, labels)
        f = model.decision_function(grid).reshape(x1.shape)
        ax.contour(x1, x2, f, levels=[0], colors="black", linewidths=0.7, alpha=0.6)
    ax.set(title=f"C = {C:g} $C_{{max}}$, twenty training sets", xlabel="$x_1$", aspect="equal")
panels[0].set_ylabel("$x_2$")
plt.show()

# %%
# Bias and variance, counted
# --------------------------
# For classification one can count them (Domingos, 2000). Let the twenty models vote on new samples. How often the
# *vote* is wrong is the bias, together with the noise of the labels, which no model can do anything about; how often
# a single model *disagrees* with the vote is the variance.

X_new, y_new = make_moons(2_000, noise=0.3, random_state=1_000)
budgets = [0.15, 0.2, 0.25, 0.3, 0.4, 0.6]
bias, variance, error = [], [], []
for C in budgets:
    models = [BudgetSVC(C=C, unit="relative", gamma=2.0).fit(*training_set) for training_set in training_sets]
    predictions = np.array([model.predict(X_new) for model in models])
    vote = predictions.mean(axis=0) > 0.5
    bias.append(np.mean(vote != y_new))
    variance.append(np.mean(predictions != vote))
    error.append(np.mean(predictions != y_new))

figure, ax = plt.subplots(figsize=(7.4, 3.8), layout="constrained")
ax.plot(budgets, error, "s-", color="#D55E00", label="mean error of a model")
ax.plot(budgets, bias, "o--", color="#0072B2", label="bias and noise: error of the vote")
ax.plot(budgets, variance, "^:", color="#009E73", label="variance: disagreement with the vote")
ax.set(xlabel="C as a fraction of $C_{max}$ (right: softer)", ylim=(0, None))
ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
plt.show()

# %%
# Exercises
# ---------
#
# **1.** A colleague reports a training error of 0 with ``BudgetSVC(C=0, gamma=100)`` and concludes that the model is
# perfect. What do you answer, and which number would you ask for?
#
# .. dropdown:: Answer
#
#    A radial kernel with a large gamma separates any samples that are not at the same place, so a training error of 0
#    says nothing about new samples. Ask for the cross-validated error (or that on a test set): it is the error on
#    samples that the model has not seen.
#
# **2.** You get ten times as many samples of the same kind. Would you expect the best budget, *as a fraction of*
# C_max, to become smaller or larger?
#
# .. dropdown:: Answer
#
#    Smaller, as a rule: with more samples the variance of a narrow margin falls, so less bias can be afforded. But it
#    does not go to zero where the classes overlap: the slack of samples on the wrong side of even the best boundary
#    has to be paid for, and their number grows with the samples, as C_max does. On the moons of the last picture the
#    best fraction is about 0.29 for 60 samples and 0.23 for 600.
