"""Cliffs: problems on which the solver was once found far slower than its rivals, or away from its answer.

Times are medians of three fits, of one where it takes over five seconds; the rival gets the cost that our fit found.
Of many classes, cost is the median and budget the largest. A fit that takes longer than the limit is given up, the
rival's when it returns to Python (inf). Cases alone: ``python -m benchmarks.cliffs [--limit SECONDS] [SUBSTRING]``.
"""

import argparse
import signal
import warnings
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from sklearn import datasets as bundled
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from sklearn_svmdl import BudgetSVC

from ._common import markdown, say, seconds
from ._quality import quality

_COLUMNS = "problem|ours s|rival s|ratio|goal s|met|SVs|cost|C / C_max|gap|violation|ours warns|rival warns"
HEADER = _COLUMNS.split("|")
_LIMIT, _LONG = 120.0, 5.0
# Rows, about, of every data set in a quick run; rows from which on the certificate takes longer than most fits.
_QUICK_ROWS, _MOST_CERTIFIED = 30, 30_000


@dataclass(frozen=True)
class Case:
    """One problem, and the time aimed at: the larger of `least` seconds and `times` the rival's time.

    `relative` is the budget as a fraction of C_max, None for the default C; `scale` is gamma in units of "scale";
    `feasible` a relative budget at which our own time replaces the rival's in the goal; `goal` replaces the goal;
    `large` is for LinearSVC.
    """

    name: str
    load: object
    relative: float | None = 0.1
    kernel: str = "rbf"
    scale: float = 1.0
    times: float = 3.0
    least: float = 0.3
    feasible: float | None = None
    goal: float | None = None
    large: bool = False

    def data(self, quick):
        """X and y; a few rows only in a quick run."""
        X, y = self.load()
        rows = slice(None, None, max(1, len(X) // _QUICK_ROWS) if quick else None)
        return X[rows, rows] if self.kernel == "precomputed" else X[rows], y[rows]

    def parameters(self, X):
        """The kernel parameters, as numbers."""
        return {"kernel": self.kernel, "gamma": self.scale / (X.shape[1] * X.var()), "coef0": 1.0, "degree": 3}

    def ours(self, X, relative):
        """Our unfitted model."""
        asked = {} if relative is None else {"C": relative, "unit": "relative"}
        return BudgetSVC(**asked, **self.parameters(X))

    def rival(self, X, cost):
        """The rival at a cost: LinearSVC where SVC takes minutes. Both end also where they do not converge."""
        if self.large:
            return LinearSVC(loss="hinge", C=cost, max_iter=10_000)
        return SVC(C=cost, cache_size=2000, max_iter=2_000_000, **self.parameters(X))

    def certificate(self, X, y, model):
        """The violation of our fitted binary model, as text."""
        cost, several = model.cost_[0], len(model.cost_) > 1
        if several or self.kernel == "precomputed" or len(X) > _MOST_CERTIFIED or not 0 < cost < np.inf:
            return "-"
        return f"{quality(X, np.where(y == np.max(y), 1.0, -1.0), self.parameters(X), model, cost).violation:.0e}"


def timed(model, X, y, limit):
    """Median seconds of a fit (infinite where the limit ended it) and its warnings, as text."""

    def ring(number, frame):
        raise TimeoutError

    walls = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = signal.signal(signal.SIGALRM, ring)
        try:
            while len(walls) < 3 and (not walls or walls[-1] <= _LONG):
                signal.setitimer(signal.ITIMER_REAL, limit)
                walls.append(seconds(lambda: model.fit(X, y))[0])
        except TimeoutError:
            walls.append(np.inf)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)
    return float(np.median(walls)), ", ".join(sorted({warning.category.__name__ for warning in caught}))


def measure(case, quick, limit):
    """The row of a case."""
    X, y = case.data(quick)
    model = case.ours(X, case.relative)
    ours, status = timed(model, X, y, limit)
    if np.isinf(ours):
        return [case.name, f"> {limit:g}", *["-"] * 3, "no", *["-"] * 5, "gave up", "-"]
    cost = np.median(model.cost_)
    theirs, rival_status = timed(case.rival(X, cost if 0 < cost < np.inf else 1.0), X, y, limit)
    unit = theirs if case.feasible is None else timed(case.ours(X, case.feasible), X, y, limit)[0]
    goal = max(case.times * min(unit, limit), case.least) if case.goal is None else case.goal
    pairs = combinations(np.unique(y, return_counts=True)[1], 2)
    fraction = np.max(model.budget_ / [2.0 * min(pair) for pair in pairs])
    row = [case.name, f"{ours:.4f}", f"{theirs:.4f}", f"{ours / theirs:.3g}", f"{goal:.3g}"]
    row += ["yes" if ours <= goal else "no", str(len(model.support_)), f"{cost:.4g}", f"{fraction:.4g}"]
    return [*row, f"{np.max(model.duality_gap_):.0e}", case.certificate(X, y, model), status, rival_status]


def _scaled(make, *sizes, change=lambda X, y: (X, y), **options):
    X, y = change(*make(*sizes, **options))
    return StandardScaler().fit_transform(X), y


_moons = partial(partial, _scaled, bundled.make_moons)
_made = partial(partial, _scaled, bundled.make_classification)
_blobs = partial(partial, _scaled, bundled.make_blobs, n_features=5, cluster_std=2.0)
_bundled = partial(partial, _scaled, return_X_y=True)
_overlapping = partial(_made, flip_y=0.05, class_sep=0.8)


def _fold(seed, number):
    """The training rows of a fold, as many of either class."""
    X, y = _overlapping(2000, 20, n_informative=10, n_redundant=5, random_state=seed)()
    rows = list(StratifiedKFold(5, shuffle=True, random_state=0).split(X, y))[number][0]
    rows = np.sort(np.concatenate([rows[y[rows] == label][: np.bincount(y[rows]).min()] for label in (0, 1)]))
    return X[rows], y[rows]


def _passengers():
    """Like the Titanic's: integers, two binary columns, noise, and equal passengers with opposite fates."""
    rng = np.random.default_rng(0)
    X = np.hstack([rng.integers([1, 0, 0, 1], [4, 2, 2, 75], (640, 4)), rng.poisson([0.6, 30.0], (640, 2))])
    y = (2.0 * X[:, 1] - 0.8 * X[:, 0] - 0.02 * X[:, 3] + 1.2 > 0) ^ (rng.random(640) < 0.2)
    return StandardScaler().fit_transform(np.vstack([X, X[:60]])), np.concatenate([y, ~y[:60]])


def _line(precomputed=False):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(200)
    y = np.where(rng.random(200) < 0.3, -np.sign(x), np.sign(x))
    X = StandardScaler().fit_transform(x[:, None])
    return (np.exp(-((X - X.T) ** 2)) if precomputed else X), y


def _heavy_tails(counts, d, shift=1.0, seed=0):
    """Classes of these sizes of samples that have heavy tails and hardly differ."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    X = rng.standard_t(2, (len(y), d))
    X[:, 0] += shift * y
    return StandardScaler().fit_transform(X), y


def _few_against_many(few, many, d, shift=0.5, seed=0):
    """Classes of so many normal samples that hardly differ, or not at all."""
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((few + many, d)), np.arange(few + many) < few
    X[y, 0] += shift
    return X, y.astype(int)


def _whole_numbers(n, d, most, seed=0):
    """Few distinct samples, noisy labels."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, most, (n, d)).astype(float)
    return X, (X.sum(axis=1) + rng.normal(0.0, 1.0, n) > 0.5 * d * (most - 1)).astype(int)


_SMALL, _FALLING = (0.0089, 0.0159, 0.0282), (0.3, 0.29, 0.25, 0.22, 0.2, 0.1)
_noisy = _made(3000, 10, flip_y=0.4, random_state=1)
_circles = partial(_scaled, bundled.make_circles, 1200, noise=0.3, factor=0.5, random_state=79)
_20_000 = _overlapping(20_000, 30, n_informative=15, n_redundant=7, random_state=11)
_100_000 = _overlapping(100_000, 30, n_informative=15, n_redundant=7, random_state=11)
_30_000 = _overlapping(30_000, 25, n_informative=12, n_redundant=6, random_state=81)
_two_columns = _bundled(bundled.load_breast_cancer, change=lambda X, y: (X[:, :2], y))
_classes = partial(Case, times=10.0, least=0.0)
_diagonal = partial(Case, scale=31.6)
_large = partial(Case, kernel="linear", large=True)
_infeasible = partial(_large, feasible=0.6, times=2.0, least=0.0)
KNOWN = [
    Case("moons 2,000", _moons(2000, noise=0.4, random_state=1)),
    Case("moons 2,000, 0.1", _moons(2000, noise=0.4, random_state=1), 0.1),
    Case("noisy 3,000 x 10", _noisy),
    *(Case(f"noisy 3,000 x 10, gamma {g:g}, 0.3", _noisy, 0.3, scale=g, times=2.0) for g in (0.1, 0.01)),
    Case("noisy 1,000 x 4", _made(1000, 4, flip_y=0.3, random_state=0)),
    Case("passengers 700 x 6", _passengers),
    Case("diabetes > median", _bundled(bundled.load_diabetes, change=lambda X, y: (X, y > np.median(y)))),
    *(_diagonal(f"nearly diagonal, fold {k}, {C:g}", partial(_fold, 7, k), C) for k in (1, 3) for C in _SMALL),
    _infeasible("linear 20,000 x 30, infeasible 0.35", _20_000, 0.35),
    _infeasible("linear 100,000 x 30, infeasible 0.35", _100_000, 0.35),
    *(_large(f"linear 100,000 x 30, {C:g}", _100_000, C, goal=5.0) for C in (0.5329, 0.5324)),
    *(_classes(f"{k} classes x {m}", _blobs(k * m, centers=k, random_state=0)) for k, m in ((100, 3), (50, 10))),
    *(Case(f"breast cancer 2 features, linear, {C:g}", _two_columns, C, "linear") for C in _FALLING),
    *(Case(f"breast cancer 2 features, rbf, {C:g}", _two_columns, C) for C in _FALLING),
    Case("iris, linear, 0.3", _bundled(bundled.load_iris), 0.3, "linear"),
    Case("a noisy line", _line),
    Case("a noisy line, precomputed", partial(_line, precomputed=True), kernel="precomputed"),
]
_apart = _made(300, 8, n_redundant=0, class_sep=3.0, flip_y=0.0, random_state=1)
# Found on random data of many kinds, later than all others.
LATER = [
    Case("no slack, linear 300 x 8", _apart, 0.0, "linear"),
    *(Case(f"whole numbers 1,800 x {d}", partial(_whole_numbers, 1800, d, 4), None) for d in (1, 3)),
    *(Case(f"45 against 855, {d} features", partial(_few_against_many, 45, 855, d), None) for d in (1, 2)),
    Case("15 against 600, 4 features, cubic", partial(_few_against_many, 15, 600, 4), None, "poly"),
    Case("15 against 2,985, 6 features", partial(_few_against_many, 15, 2985, 6), None),
    Case("5 against 2,495, 4 features, gamma 5, 0.3", partial(_few_against_many, 5, 2495, 4), 0.3, scale=5.0),
    *(
        Case(f"noise, {few} against {3000 - few:,}", partial(_few_against_many, few, 3000 - few, 5, 0.0), None)
        for few in (60, 300)
    ),
    *(Case(f"heavy tails 1,500 x {d}", partial(_heavy_tails, (1360, 140), d), None) for d in (1, 2)),
    Case("heavy tails, ten classes, linear", partial(_heavy_tails, (1500, *range(12, 30, 2)), 2), None, "linear"),
    Case("heavy tails, ten classes, rbf", partial(_heavy_tails, (900, *range(6, 24, 2)), 2), None),
    Case("24 classes x 40, linear", _blobs(960, centers=24, random_state=5), 0.05, "linear"),
    Case("50 classes x 10, linear", _blobs(500, centers=50, random_state=5), None, "linear"),
]
# No one tunes the solver on these.
HELD_OUT = [
    *(Case(f"moons 1,500, {C:g}", _moons(1500, noise=0.35, random_state=77), C) for C in (0.1, 0.2)),
    *(Case(f"noisy 2,500 x 8, {C:g}", _made(2500, 8, flip_y=0.35, random_state=78), C) for C in (0.1, 0.3)),
    Case("circles 1,200, 0.2", _circles, 0.2),
    *(_diagonal(f"nearly diagonal, other seed, {C:g}", partial(_fold, 80, 1), C) for C in (0.01, 0.02)),
    _infeasible("linear 30,000 x 25, infeasible 0.3", _30_000, 0.3, feasible=0.78),
    _classes("60 classes x 4", _blobs(240, centers=60, random_state=82)),
]


def run(cases, quick, limit=_LIMIT, tell=say):
    """The table of some cases; every row is told as soon as it is there."""
    rows = []
    for case in cases:
        rows.append(measure(case, quick, limit))
        tell(" | ".join(rows[-1]))
    met = sum(row[HEADER.index("met")] == "yes" for row in rows)
    return f"{markdown(HEADER, rows)}\n\n{met} of {len(rows)} goals met."


def main(quick=False):
    """The tables, as Markdown."""
    tables = {"Known": KNOWN, "Found later": LATER, "Held out": HELD_OUT}
    return "\n\n".join(f"## {title}\n\n{run(cases, quick)}" for title, cases in tables.items())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cliffs", description="A line for each case.")
    parser.add_argument("substring", nargs="?", default="", help="run the cases with this in their names alone")
    parser.add_argument("--limit", type=float, default=_LIMIT, help="most seconds of one fit")
    options = parser.parse_args()
    print(" | ".join(HEADER), flush=True)
    chosen = [case for case in KNOWN + LATER + HELD_OUT if options.substring in case.name]
    run(chosen, False, options.limit, partial(print, flush=True))
