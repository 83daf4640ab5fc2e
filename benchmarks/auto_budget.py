"""Which fraction of C_max does well across data sets? The measurement behind C="auto"."""

import warnings

import numpy as np
from sklearn import datasets as bundled
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetSVC, BudgetWarning

from ._common import markdown

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)
KERNELS = ("rbf", "linear", "poly")


def data_sets(quick):
    """Name, X and y of each data set; two small ones in a quick run."""
    yield "iris", *bundled.load_iris(return_X_y=True)
    yield "wine", *bundled.load_wine(return_X_y=True)
    if quick:
        return
    yield "breast cancer", *bundled.load_breast_cancer(return_X_y=True)
    X, y = bundled.load_digits(return_X_y=True)
    yield "digits", X[:600], y[:600]
    yield "digits >= 5", X[:600], y[:600] >= 5
    X, y = bundled.load_diabetes(return_X_y=True)
    yield "diabetes above its median", X, y > np.median(y)
    for noise in (0.15, 0.3, 0.5):
        yield f"moons, noise {noise}", *bundled.make_moons(300, noise=noise, random_state=0)
    yield "circles", *bundled.make_circles(300, noise=0.2, factor=0.5, random_state=0)
    for noise in (0.0, 0.05, 0.2):
        yield f"classification, flip {noise}", *bundled.make_classification(
            300, 20, n_informative=5, flip_y=noise, random_state=1
        )
    yield "1 : 9 classes", *bundled.make_classification(
        500, 20, n_informative=5, weights=[0.9], flip_y=0.05, random_state=2
    )


def accuracies(X, y, kernel):
    """Cross-validated accuracy at each fraction, on the same folds."""
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    models = (make_pipeline(StandardScaler(), BudgetSVC(C, budget="relative", kernel=kernel)) for C in FRACTIONS)
    with warnings.catch_warnings():
        # Small fractions are infeasible for rigid kernels on overlapping classes: that is part of the question.
        warnings.simplefilter("ignore", BudgetWarning)
        return np.array([cross_val_score(model, X, y, cv=folds).mean() for model in models])


def main(quick):
    """The table of regrets: the best accuracy of any fraction minus that of this one, averaged over data sets."""
    regrets = {kernel: [] for kernel in KERNELS}
    for _, X, y in data_sets(quick):
        for kernel in KERNELS:
            accuracy = accuracies(X, y, kernel)
            regrets[kernel].append(accuracy.max() - accuracy)
    everything = np.concatenate([regrets[kernel] for kernel in KERNELS])
    rows = [[kernel, *(f"{regret:.4f}" for regret in np.mean(regrets[kernel], axis=0))] for kernel in KERNELS]
    rows.append(["all", *(f"{regret:.4f}" for regret in everything.mean(axis=0))])
    rows.append(["worst", *(f"{regret:.3f}" for regret in everything.max(axis=0))])
    return markdown(["kernel", *(f"{C:g}" for C in FRACTIONS)], rows)
