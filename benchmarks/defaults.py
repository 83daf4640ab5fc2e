"""The first fit: BudgetSVC() against SVC(), as they come, on ordinary data.

Five folds; features are standardised on the training part. Both sides take turns at the clock in one process; the time
is that of the fits on all folds, the median of several turns. With kernel="poly" SVC gets coef0=1, the textbooks' and
ours.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn import datasets as bundled
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_svmdl import BudgetSVC

from ._common import compare, markdown, say

KERNELS = ("rbf", "linear", "poly")
HEADER = ["data", "n x d, classes", "kernel", "SVC acc.", "ours acc.", "alike", "SVC s", "ours s", "ratio", "warnings"]
# What is aimed at: accuracy lower by at most this much on any set, the median ratio of the times, the largest one.
_LOWER, _MEDIAN, _LARGEST = 0.01, 1.2, 3.0
_QUICK_ROWS = 100


def _above_median(load, **options):
    X, y = load(**options)
    return X, y > np.median(y)


def _columns(load, columns):
    X, y = load(return_X_y=True)
    return X[:, columns], y


def _passengers():
    """Like the Titanic's: integers, two binary columns, noise, and equal passengers with opposite fates."""
    rng = np.random.default_rng(0)
    X = np.hstack([rng.integers([1, 0, 0, 1], [4, 2, 2, 75], (640, 4)), rng.poisson([0.6, 30.0], (640, 2))])
    y = (2.0 * X[:, 1] - 0.8 * X[:, 0] - 0.02 * X[:, 3] + 1.2 > 0) ^ (rng.random(640) < 0.2)
    return np.vstack([X, X[:60]]), np.concatenate([y, ~y[:60]])


def _squares():
    """A checkerboard of 3 x 3 squares; every tenth label is wrong."""
    rng = np.random.default_rng(1)
    X = rng.uniform(0.0, 3.0, (900, 2))
    return X, (np.floor(X).sum(axis=1) % 2 == 1) ^ (rng.random(900) < 0.1)


def _counts():
    """Word counts of two kinds of short texts: many zeros."""
    rng = np.random.default_rng(2)
    rates = rng.gamma(0.3, 1.0, (2, 60))
    y = rng.random(700) < 0.4
    return rng.poisson(np.where(y[:, None], 0.5 * rates[1] + 0.5 * rates[0], rates[0])).astype(float), y


_made = partial(partial, bundled.make_classification)
_bundled = partial(partial, return_X_y=True)
KNOWN = {
    "iris": _bundled(bundled.load_iris),
    "wine": _bundled(bundled.load_wine),
    "breast cancer": _bundled(bundled.load_breast_cancer),
    "digits": _bundled(bundled.load_digits),
    "diabetes > median": partial(_above_median, bundled.load_diabetes, return_X_y=True),
    "passengers": _passengers,
    "moons, noise .4": partial(bundled.make_moons, 2000, noise=0.4, random_state=1),
    "noisy 1,000 x 4": _made(1000, 4, flip_y=0.3, random_state=0),
    "noisy 3,000 x 10": _made(3000, 10, flip_y=0.4, random_state=1),
}
# No one tunes the solver on these.
HELD_OUT = {
    "breast cancer, 2 features": partial(_columns, bundled.load_breast_cancer, [0, 1]),
    "iris, 1 feature": partial(_columns, bundled.load_iris, [1]),
    "circles, noise .3": partial(bundled.make_circles, 1200, noise=0.3, factor=0.5, random_state=79),
    "hastie": partial(bundled.make_hastie_10_2, 1500, random_state=3),
    "quantiles, 3 classes": partial(bundled.make_gaussian_quantiles, n_samples=900, n_features=3, random_state=4),
    "1 : 9 classes": _made(1500, 20, n_informative=6, weights=[0.9], flip_y=0.1, random_state=5),
    "friedman > median": partial(_above_median, bundled.make_friedman1, n_samples=800, noise=3.0, random_state=6),
    "8 blobs": partial(bundled.make_blobs, 1000, centers=8, cluster_std=2.5, random_state=7),
    "squares": _squares,
    "counts": _counts,
}


@dataclass(frozen=True)
class Cell:
    """One data set and kernel: accuracies, how many predictions are alike, times and warnings."""

    data: str
    shape: str
    kernel: str
    theirs: float
    ours: float
    alike: float
    their_seconds: float
    our_seconds: float
    warnings: int

    @property
    def ratio(self):
        """Our time over that of SVC."""
        return self.our_seconds / self.their_seconds

    def row(self):
        """The cell as text, in the order of `HEADER`."""
        accuracies = [f"{self.theirs:.4f}", f"{self.ours:.4f}", f"{self.alike:.4f}"]
        times = [f"{self.their_seconds:.4f}", f"{self.our_seconds:.4f}", f"{self.ratio:.2f}"]
        return [self.data, self.shape, self.kernel, *accuracies, *times, str(self.warnings)]


def folds_of(X, y):
    """Standardised training and test parts."""
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(X, y):
        scaler = StandardScaler().fit(X[train])
        yield scaler.transform(X[train]), y[train], scaler.transform(X[test]), y[test]


def compared(theirs, ours, X_train, y_train, X_test, y_test):
    """Both accuracies of a fold, and the share of predictions that are alike."""
    answers = [model.fit(X_train, y_train).predict(X_test) for model in (theirs, ours)]
    return [*(np.mean(answer == y_test) for answer in answers), np.mean(answers[0] == answers[1])]


def fit_all(model, folds):
    """What is timed."""
    for X_train, y_train, _, _ in folds:
        model.fit(X_train, y_train)


def measure(name, X, y, kernel, quick):
    """The cell of a data set and a kernel."""
    theirs, ours = SVC(kernel=kernel, coef0=1.0), BudgetSVC(kernel=kernel)
    folds = list(folds_of(X, y))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figures = [compared(theirs, ours, *fold) for fold in folds]
        shown = len(caught)
        turns = compare(partial(fit_all, ours, folds), partial(fit_all, theirs, folds), quick=quick)
    shape = f"{X.shape[0]:,} x {X.shape[1]}, {len(np.unique(y))}"
    return Cell(name, shape, kernel, *np.mean(figures, axis=0), turns.theirs, turns.ours, shown)


def summary(cells):
    """Which of the goals are met."""
    loss = np.array([cell.theirs - cell.ours for cell in cells])
    ratios = np.array([cell.ratio for cell in cells])
    goals = {
        f"accuracy lower by {loss.max():.4f} at most (goal {_LOWER})": loss.max() <= _LOWER,
        f"by {loss.mean():+.5f} on average (goal 0)": loss.mean() <= 1e-12,
        f"median time ratio {np.median(ratios):.2f} (goal {_MEDIAN})": np.median(ratios) <= _MEDIAN,
        f"largest {ratios.max():.2f} (goal {_LARGEST:g})": ratios.max() <= _LARGEST,
        f"{sum(cell.warnings for cell in cells)} warnings (goal 0)": not any(cell.warnings for cell in cells),
    }
    return "\n".join(f"* {text}: {'met' if met else 'missed'}" for text, met in goals.items())


def run(loaders, quick, tell=say):
    """The table of some data sets and what is left to do; every row is told as soon as it is there."""
    cells = []
    for name, load in loaders.items():
        X, y = load()
        step = max(1, len(X) // _QUICK_ROWS) if quick else 1
        for kernel in KERNELS:
            cells.append(measure(name, X[::step], y[::step], kernel, quick))
            tell(" | ".join(cells[-1].row()))
    return f"{markdown(HEADER, [cell.row() for cell in cells])}\n\n{summary(cells)}"


def main(quick=False):
    """Both tables, as Markdown."""
    return f"## Known\n\n{run(KNOWN, quick)}\n\n## Held out\n\n{run(HELD_OUT, quick)}"
