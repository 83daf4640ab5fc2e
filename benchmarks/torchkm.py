"""Tuning the cost: BudgetSVCCV, GridSearchCV(SVC) and TorchKM on the same folds, costs and kernel.

TorchKM (exact cross-validation along a path of costs) is an extra of the benchmarks: ``pip install
torchkm``. It solves two classes at a time, without weights.
"""

from functools import partial
from importlib.util import find_spec

import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import SVC

from sklearn_svmdl import BudgetSVCCV

from . import search
from ._common import markdown, say, seconds

_SETS, _FOLDS, _COSTS = ("breast cancer", "TorchKM's, 1,125 x 20"), 5, np.geomspace(1e-2, 1e3, 20)


def _fold_of(X, y):
    """The number, from 1 on, of the fold that each sample is tested in."""
    fold = np.empty(len(y))
    for k, (_, tested) in enumerate(StratifiedKFold(_FOLDS).split(X, y)):
        fold[tested] = k + 1
    return fold


def rows_of(name, quick):
    """Wall and processor time and the best score of each on one data set."""
    X, y = search.DATA[name][0]()
    if quick:
        X, y = X[::8], y[::8]
    gamma = 1.0 / (X.shape[1] * X.var())
    searches = {
        "GridSearchCV(SVC)": GridSearchCV(SVC(gamma=gamma), {"C": _COSTS}, cv=_FOLDS),
        "BudgetSVCCV": BudgetSVCCV(_COSTS, gammas=[gamma], cv=_FOLDS),
    }
    if find_spec("torchkm"):
        from torchkm import TorchKMSVC

        # Its kernel is exp(-2 sigma |x - x'|^2).
        searches["TorchKMSVC"] = TorchKMSVC(Cs=_COSTS, rbf_sigma=gamma / 2, foldid=_fold_of(X, y), device="cpu")
    rows = []
    for title, model in searches.items():
        say(f"{name}: {title}")
        wall, cpu = seconds(partial(model.fit, X, y))
        score = model.best_score_ if hasattr(model, "best_score_") else 1.0 - model.cv_mis_.min()
        rows.append([name, title, f"{wall:.2f}", f"{cpu:.2f}", f"{score:.4f}"])
    return rows


def main(quick=False):
    """The table as Markdown."""
    rows = [row for name in _SETS for row in rows_of(name, quick)]
    notes = (
        "20 costs from 0.01 to 1,000, gamma at scale, the same 5 folds, with the final fit. TorchKM is not installed."
        if find_spec("torchkm") is None
        else "20 costs from 0.01 to 1,000, gamma at scale, the same 5 folds, with the final fit; all on the processor."
    )
    return notes + "\n\n" + markdown(["data", "search", "s", "CPU s", "best score"], rows)
