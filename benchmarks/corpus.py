"""Small and middling problems of every kind, eight budgets each, against SVC at the cost that buys the same budget.

For every data set, kernel and budget both sides take turns at the clock in one process; SVC keeps its own tolerance.
The performance profiles are those of Dolan and More (Mathematical Programming, 2002): the share of the cells that a
side solves within a factor of the faster one's time. No one tunes the solver on the held-out half.
``python -m benchmarks.corpus JOBS`` takes so many processes, of one BLAS thread each.
"""

import sys
import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
from joblib import Parallel, delayed
from sklearn import datasets as bundled
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_svmdl import BudgetSVC

from ._common import RESULTS, by_size, header, markdown, say, seconds, write
from ._quality import quality
from .defaults import HELD_OUT as ORDINARY_HELD_OUT
from .defaults import KNOWN as ORDINARY

_GAMMAS, _BUDGETS, _QUICK_ROWS = np.geomspace(0.01, 100.0, 5), 8, 60
_N_KERNELS = 3 + len(_GAMMAS)
# The smallest budget is this many times C_min, or this share of C_max where the classes are separable.
_ABOVE_LEAST, _LEAST_SHARE, _LARGEST_SHARE = 1.01, 1e-3, 0.9
# No cell is to take both so many times as long and so many seconds.
_MOST_RATIO, _MOST_SECONDS = 5.0, 0.2
# How often both sides of a cell are timed, by the processor's time: the cells are many, so that one tells enough.
_TURNS = 1
# Where libsvm takes more steps than these it is stopped, and said to be.
_MOST_STEPS = 2_000_000


def _scaled(load, *classes):
    """Standardised features; of the given classes only."""
    X, y = load()
    kept = np.isin(y, classes) if classes else np.ones(len(y), bool)
    return StandardScaler().fit_transform(X[kept]), y[kept]


def _one_feature(n, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 1))
    return X, X[:, 0] + rng.normal(size=n) > 0


def _duplicates(n, seed):
    """Every sample three times, once in ten with the other label."""
    rng = np.random.default_rng(seed)
    X = np.repeat(rng.normal(size=(n // 3, 3)), 3, axis=0)
    return X, (X.sum(axis=1) > 0) ^ (rng.random(len(X)) < 0.1)


def _unscaled(n, seed):
    """Columns of units from thousandths to thousands."""
    X, y = bundled.make_classification(n, 6, n_informative=4, flip_y=0.1, random_state=seed)
    return X * np.geomspace(1e-3, 1e3, 6), y


_made = partial(partial, bundled.make_classification)
_DATA = {
    "known": {
        "breast cancer": partial(_scaled, ORDINARY["breast cancer"]),
        "diabetes > median": partial(_scaled, ORDINARY["diabetes > median"]),
        "digits 3, 8": partial(_scaled, ORDINARY["digits"], 3, 8),
        "passengers": partial(_scaled, ORDINARY["passengers"]),
        "moons 500, .25": partial(bundled.make_moons, 500, noise=0.25, random_state=1),
        "circles 200": partial(bundled.make_circles, 200, noise=0.2, factor=0.5, random_state=2),
        "5 % flipped, 300 x 10": _made(300, 10, flip_y=0.05, random_state=3),
        "40 % flipped, 1,000 x 4": _made(1000, 4, flip_y=0.4, random_state=4),
        "blobs apart, 200 x 2": partial(bundled.make_blobs, 200, centers=2, cluster_std=1.5, random_state=5),
        "one feature, 150": partial(_one_feature, 150, 6),
        "1 : 100, 1,500 x 8": _made(1500, 8, n_informative=5, weights=[0.99], flip_y=0.0, random_state=7),
    },
    "held out": {
        "breast cancer, 2 features": partial(_scaled, ORDINARY_HELD_OUT["breast cancer, 2 features"]),
        "wine 1, 2": partial(_scaled, ORDINARY["wine"], 1, 2),
        "friedman > median": partial(_scaled, ORDINARY_HELD_OUT["friedman > median"]),
        "squares": partial(_scaled, ORDINARY_HELD_OUT["squares"]),
        "moons 2,000, .4": partial(bundled.make_moons, 2000, noise=0.4, random_state=101),
        "circles 400, balanced": partial(bundled.make_circles, 400, noise=0.3, factor=0.6, random_state=102),
        "20 % flipped, 400 x 6": _made(400, 6, flip_y=0.2, random_state=103),
        "30 % flipped, 3,000 x 10": _made(3000, 10, flip_y=0.3, random_state=104),
        "overlapping blobs, 800 x 3": partial(bundled.make_blobs, 800, 3, centers=2, cluster_std=6.0, random_state=105),
        "duplicates, 240 x 3": partial(_duplicates, 240, 106),
        "unscaled, 600 x 6": partial(_unscaled, 600, 107),
        "1 : 1,000, 2,000 x 5": _made(2000, 5, weights=[0.999], flip_y=0.0, random_state=108),
    },
}


def _kernels(X):
    """The parameters of each kernel, and what it is called."""
    scale = 1.0 / (X.shape[1] * X.var())
    yield "linear", {"kernel": "linear"}
    for degree in (2, 3):
        yield f"poly {degree}", {"kernel": "poly", "degree": degree, "gamma": scale, "coef0": 1.0}
    for times in _GAMMAS:
        yield f"rbf {times:g}", {"kernel": "rbf", "gamma": times * scale}


@dataclass(frozen=True)
class Cell:
    """One data set, kernel and budget: times, relative duality gaps, and how both ended."""

    data: str
    n: int
    kernel: str
    share: float
    cost: float
    ours: float
    theirs: float
    our_gap: float
    their_gap: float
    certified: bool
    stopped: bool

    @property
    def ratio(self):
        """Our time over that of SVC."""
        return self.ours / self.theirs

    @property
    def is_cliff(self):
        """Whether it takes far longer, both relatively and in seconds."""
        return self.ratio > _MOST_RATIO and self.ours > _MOST_SECONDS

    def row(self):
        """The cell as text."""
        times = [f"{1e3 * self.theirs:.1f}", f"{1e3 * self.ours:.1f}", f"{self.ratio:.1f}"]
        gaps = [f"{self.their_gap:.0e}{' (stopped)' if self.stopped else ''}", f"{self.our_gap:.0e}"]
        return [self.data, f"{self.n:,}", self.kernel, f"{self.share:.3f}", f"{self.cost:.2g}", *times, *gaps]


_HEADER = ["data", "n", "kernel", "C / C_max", "cost", "SVC ms", "ours ms", "ratio", "SVC gap", "our gap"]


def measure(name, X, y, kernel, params, share):
    """The cell of a budget, given as a share of C_max."""
    ours = BudgetSVC(C=share, unit="relative", **params).fit(X, y)
    theirs = SVC(C=float(ours.cost_[0]), max_iter=_MOST_STEPS, **params)
    turns = [(seconds(partial(ours.fit, X, y))[1], seconds(partial(theirs.fit, X, y))[1]) for _ in range(_TURNS)]
    our_time, their_time = np.median(turns, axis=0).tolist()
    gap = quality(X, np.where(y == ours.classes_[1], 1.0, -1.0), params, theirs, theirs.C).gap
    certified = bool(abs(ours.duality_gap_[0]) <= ours.tol)
    stopped = int(theirs.n_iter_.max()) >= _MOST_STEPS
    figures = our_time, their_time, float(abs(ours.duality_gap_[0])), gap
    return Cell(name, len(y), kernel, share, theirs.C, *figures, certified, stopped)


def cells_of(half, name, number, quick):
    """All cells of a data set and of one of its kernels."""
    X, y = _DATA[half][name]()
    if quick:
        X, y = np.concatenate([X[:_QUICK_ROWS], X[-_QUICK_ROWS:]]), np.concatenate([y[:_QUICK_ROWS], y[-_QUICK_ROWS:]])
    kernel, params = list(_kernels(X))[number]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        least, largest = (bound[0] for bound in BudgetSVC(**params).feasible_budget(X, y))
        smallest = max(_ABOVE_LEAST * least / largest, _LEAST_SHARE)
        if smallest >= _LARGEST_SHARE:
            return []
        shares = np.geomspace(smallest, _LARGEST_SHARE, 2 if quick else _BUDGETS)
        return [measure(name, X, y, kernel, params, float(share)) for share in shares]


def all_cells(half, quick, jobs):
    """All cells of a half; each data set and kernel in one of so many processes, which take turns in nothing."""
    names = list(_DATA[half])[: 2 if quick else None]
    given = [(half, name, number, quick) for name in names for number in range(_N_KERNELS)]
    if jobs == 1:
        found = map(cells_of, *zip(*given, strict=True))
    else:
        found = Parallel(jobs, return_as="generator")(delayed(cells_of)(*one) for one in given)
    cells = []
    for (_, name, number, _), some in zip(given, found, strict=True):
        say(f"corpus: {name}, kernel {number + 1} of {_N_KERNELS}")
        cells += some
    return cells


def summary(cells):
    """The goals, and what came of them."""
    lines = by_size([cell.n for cell in cells], [cell.ratio for cell in cells])
    cliffs, open_ = sum(cell.is_cliff for cell in cells), sum(not cell.certified for cell in cells)
    lines.append(f"* beyond {_MOST_RATIO:g} times SVC and {_MOST_SECONDS:g} s: {cliffs} cells (goal 0)")
    lines.append(f"* without a certificate within tol: {open_} cells of ours; SVC stopped: {_stopped(cells)}")
    return "\n".join(lines)


def _stopped(cells):
    return sum(cell.stopped for cell in cells)


def draw(halves):
    """The performance profiles of both halves, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(halves), figsize=(9, 3.6), sharey=True, layout="constrained")
    for ax, (name, cells) in zip(np.atleast_1d(axes), halves.items(), strict=True):
        times = np.array([[cell.ours, cell.theirs] for cell in cells])
        factors = times / times.min(axis=1, keepdims=True)
        share = np.arange(1, len(cells) + 1) / len(cells)
        for column, (label, style) in enumerate({"BudgetSVC": "-", "SVC": "--"}.items()):
            ax.step(np.sort(factors[:, column]), share, style, where="post", label=label)
        ax.set(xscale="log", xlim=(1.0, 30.0), ylim=(0.0, 1.02), xlabel="factor of the faster time", title=name)
        ax.grid(alpha=0.3)
    np.atleast_1d(axes)[0].set_ylabel("share of cells")
    np.atleast_1d(axes)[-1].legend(loc="lower right")
    figure.savefig(RESULTS / "corpus.png", dpi=120)
    plt.close(figure)


def main(quick=False, jobs=1):
    """Summaries and worst cells of both halves, as Markdown."""
    halves, parts = {half: all_cells(half, quick, jobs) for half in _DATA}, []
    for half, cells in halves.items():
        worst = sorted(cells, key=lambda cell: -cell.ratio)[:12]
        parts += [f"## {half.capitalize()}", summary(cells), "The worst cells:"]
        parts.append(markdown(_HEADER, [cell.row() for cell in worst]))
    if not quick:
        draw(halves)
        parts.insert(0, "![Performance profiles](corpus.png)")
    return "\n\n".join(parts)


if __name__ == "__main__":
    write("corpus", f"# corpus\n\n{header()}\n\n{main(jobs=int(sys.argv[1]))}\n")
