"""What each part of the solver is worth: the same problems with one part after the other turned off.

A part is off where the constant that opens the way to it is out of reach. Every problem is solved with all parts and
without one, in turns; times are those of the processor, and the quicker of a few. A part that changes nothing is to go.
``python -m benchmarks.parts JOBS`` takes so many processes.
"""

import sys
import warnings
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from time import process_time
from unittest.mock import patch

import numpy as np
from joblib import Parallel, delayed
from scipy import sparse
from sklearn import datasets as bundled
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetSVC, BudgetSVR, budget_path

from ._common import header, markdown, say, write

_NEVER = 10**9
# Seconds of a run that is not repeated.
_LONG = 0.2
# Rows, about, of every data set in a quick run.
_QUICK_ROWS = 40


@dataclass(frozen=True)
class Part:
    """A part of the solver: `off` are the names, in `sklearn_svmdl.dual`, and the values that turn it off."""

    name: str
    off: dict

    def turned_off(self):
        """A context without it."""
        stack = ExitStack()
        for name, value in self.off.items():
            stack.enter_context(patch(f"sklearn_svmdl.dual.{name}", value))
        return stack


def _none(*given, **named):
    """In place of what finds something: nothing."""


def _nowhere(*given, **named):
    """In place of what leads on: it fails."""
    raise np.linalg.LinAlgError


def _as_it_is(block, start, effort=None):
    """In place of interior steps: where they would begin."""
    return replace(start, settled=False)


PARTS = [
    Part("levels: coarse to fine", {"solve._DIRECT": 4000, "solve._DIRECT_REGRESSION": 4000}),
    Part("levels: single precision", {"levels._MANY": _NEVER}),
    Part("linear: features that are found", {"linear._MOST_SAMPLES": 0}),
    Part("linear: features that are known", {"linear.dense_features": _none}),
    Part("linear: a share of the samples first", {"linear._MANY": _NEVER}),
    Part("sparse", {"solve.is_sparse": _none}),
    Part("linear: lam begun larger", {"solve._LARGER": 1.0}),
    Part("working_set: pair steps before interior ones", {"working_set._FEWEST_PAIRED": _NEVER}),
    Part("active_set: proximal weights that fall", {"active_set._LIGHTEST": ()}),
    Part("active_set: the most wrong alone", {"active_set._CALM": 0.0}),
    Part("active_set: smooth loss", {"active_set._SMOOTHED": ()}),
    Part("factor: it follows the free samples", {"factor.SolverCache.factor": _none}),
    Part(
        "interior",
        {
            "active_set.step_inside": _as_it_is,
            "working_set.step_inside": _as_it_is,
            "together.features_of": _none,
            "solve.features_of": _none,
        },
    ),
    Part("interior: few columns of a block", {"interior._WORTH_FACTORING": _NEVER}),
    Part("interior: less of them at a cost", {"active_set._UNSEEN": 0.0}),
    Part("interior: room used again", {"interior._LARGE": _NEVER}),
    Part("interior: lam begun anew", {"interior._LIFT": 1.0}),
    Part("interior: the cost bisected", {"interior._MOST_COSTS": 1}),
    Part("solve: lam followed less far", {"solve._SHORTER": 1.0}),
    Part("solve: pair steps at last", {"solve._MOST_PAIR_STEPS": 0}),
    Part("together", {"solve.SEVERAL": _NEVER}),
    Part("path: steps", {"path._StoredSteps.next": _nowhere, "path._WorkingSetSteps.next": _nowhere}),
]


@dataclass(frozen=True)
class Problem:
    """Some data, and what is done with it; `kind` sums up problems that are alike."""

    kind: str
    name: str
    load: object
    act: object

    def quickest(self, quick):
        """The fewest seconds of up to three runs, fewer of long ones, and whether the certificates hold."""
        runs = [self.timed(quick)]
        while len(runs) < 3 and not quick and runs[-1][0] < _LONG:
            runs.append(self.timed(quick))
        return min(runs)[0], all(held for _, held in runs)

    def timed(self, quick):
        """Seconds of the processor, and whether every certificate holds."""
        given = self.load()
        step = max(1, len(given[1]) // _QUICK_ROWS) if quick else 1
        given = [part[::step] for part in given]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            begun = process_time()
            gap = self.act(*given)
            return process_time() - begun, bool(np.max(gap) <= 1e-3)


def _fit(estimator, X, y, weight=None):
    return estimator.fit(X, y, sample_weight=weight).duality_gap_


def _scaled(make, *sizes, **options):
    X, y = make(*sizes, **options)
    return StandardScaler().fit_transform(X), y


_MADE = partial(_scaled, bundled.make_classification, n_informative=5, flip_y=0.2, class_sep=0.8)
_DATA = {
    "moons {}": lambda n, seed: _scaled(bundled.make_moons, n, noise=0.4, random_state=seed),
    "noisy {} x 10": lambda n, seed: _MADE(n, 10, random_state=seed),
}
_KERNELS = {
    "rbf": {},
    "narrow": {"gamma": 2.0},
    "cubic": {"kernel": "poly", "coef0": 1.0},
    "linear": {"kernel": "linear"},
}
_UNITS = {"cost 1": (1.0, "cost"), "cost 100": (100.0, "cost"), "0.2 C_max": (0.2, "relative")}


def _one(kind, n, seed, units=_UNITS, kernels=_KERNELS):
    """Two classes, a problem for each data set, kernel and C."""
    for data, load in _DATA.items():
        for kernel, parameters in kernels.items():
            for unit, (C, its_unit) in units.items():
                act = partial(_fit, BudgetSVC(C=C, unit=its_unit, **parameters))
                yield Problem(kind, f"{data.format(n)}, {kernel}, {unit}", partial(load, n, seed), act)


def _several(seed):
    blobs = partial(_scaled, bundled.make_blobs, 720, 6, centers=6, cluster_std=5.0, random_state=seed)
    tiny = partial(_scaled, bundled.make_blobs, 120, 5, centers=40, cluster_std=2.0, random_state=seed)
    digits = partial(_scaled, bundled.load_digits, return_X_y=True)
    for name, load in (("6 blobs of 120", blobs), ("40 blobs of 3", tiny), ("digits", digits)):
        for kernel in ("rbf", "linear"):
            yield Problem("classes", f"{name}, {kernel}, cost 1", load, partial(_fit, BudgetSVC(kernel=kernel)))
    few = BudgetSVC(C=0.1, unit="relative", kernel="linear")
    yield Problem("classes", "40 blobs of 3, linear, 0.1 C_max", tiny, partial(_fit, few))


def _numbers(seed):
    for n in (300, 1200):
        load = partial(_scaled, bundled.make_friedman1, n, noise=1.0, random_state=seed)
        for cost in (1.0, 10.0):
            act = partial(_fit, BudgetSVR(C=cost * 5.0, unit="cost"))
            yield Problem("regression", f"friedman1 {n}, cost {cost:g} spreads", load, act)
        yield Problem("regression", f"friedman1 {n}, 0.2 C_max", load, partial(_fit, BudgetSVR(C=0.2, unit="relative")))


def _decades(n, d, seed):
    """Two classes that overlap, and sample weights over six decades."""
    X, y = _MADE(n, d, random_state=seed)
    return X, y, 10.0 ** np.random.default_rng(seed).uniform(-3.0, 3.0, n)


def _text(n, d, seed):
    """Sparse rows that have little in common, and a tenth of the labels wrong."""
    rng = np.random.default_rng(seed)
    X = sparse.random(n, d, density=0.01, format="csr", random_state=seed)
    return X, (X @ rng.normal(size=d) > 0) ^ (rng.random(n) < 0.1)


def _hard(seed):
    """What is slow or far from an answer without this or that."""
    for data, load in _DATA.items():
        for unit, (C, its_unit) in _UNITS.items():
            act = partial(_fit, BudgetSVC(C=C, unit=its_unit, gamma=50.0))
            yield Problem("hard", f"{data.format(700)}, nearly diagonal, {unit}", partial(load, 700, seed), act)
    for number in range(4):
        load = partial(_decades, 150, 8, seed + number)
        act = partial(_fit, BudgetSVC(C=0.05, unit="relative", kernel="linear"))
        yield Problem("hard", f"weights over six decades, {number}", load, act)
    for C, unit in ((1.0, "cost"), (0.2, "relative")):
        act = partial(_fit, BudgetSVC(C=C, unit=unit, kernel="linear"))
        yield Problem("hard", f"sparse 3000 x 5000, linear, {C:g} {unit}", partial(_text, 3000, 5000, seed), act)
    for n in (3000, 20_000):
        load = partial(_MADE, n, 30, n_redundant=5, random_state=seed)
        for C, unit, what in (
            (0.01, "relative", "infeasible"),
            (0.6, "relative", "0.6 C_max"),
            (1e-3, "cost", "cost 1e-3"),
        ):
            act = partial(_fit, BudgetSVC(C=C, unit=unit, kernel="linear"))
            yield Problem("hard", f"noisy {n} x 30, linear, {what}", load, act)


def _walks(seed):
    for unit in ("relative", "cost"):
        for n in (400, 1200):
            for data, load in _DATA.items():
                yield Problem(
                    "walks", f"{data.format(n)}, ten of unit {unit}", partial(load, n, seed), partial(_walk, unit)
                )


def _walk(unit, X, y):
    return budget_path(X, y, Cs=10, unit=unit).certificates


def problems(seed=3):
    """All problems."""
    yield from _one("60 to 250 samples", 60, seed)
    yield from _one("60 to 250 samples", 250, seed + 1)
    yield from _one("700", 700, seed + 2)
    yield from _one("3,000", 3000, seed + 3, {"cost 1": _UNITS["cost 1"]})
    yield from _several(seed)
    yield from _numbers(seed)
    yield from _walks(seed)
    yield from _hard(seed)


KINDS = ["60 to 250 samples", "700", "3,000", "classes", "regression", "walks", "hard"]


@dataclass(frozen=True)
class Measured:
    """A problem's seconds with all parts, and for each part without it seconds and whether a certificate was lost."""

    problem: Problem
    whole: float
    without: tuple
    lost: tuple


def measure(problem, parts, quick):
    """Solve a problem with all parts, before and after the others, and without each."""
    first, right = problem.quickest(quick)
    runs = []
    for part in parts:
        with part.turned_off():
            runs.append(problem.quickest(quick))
    whole = min(first, problem.quickest(quick)[0])
    without, held = zip(*runs, strict=True)
    return Measured(problem, whole, without, tuple(right and not one for one in held))


def row_of(number, part, results):
    """A part's row: means of the ratios by kind, the worst and the best problem, and how many certificates are lost."""
    ratios = np.array([result.without[number] / result.whole for result in results])
    kinds = np.array([result.problem.kind for result in results])
    means = [np.exp(np.log(ratios[kinds == kind]).mean()) for kind in KINDS]
    worst, best = (results[i].problem.name for i in (ratios.argmax(), ratios.argmin()))
    lost = sum(result.lost[number] for result in results)
    ends = [f"{ratios.max():.3g} ({worst})", f"{ratios.min():.2f} ({best})"]
    return [part.name, *(f"{mean:.2f}" for mean in means), *ends, str(lost)]


def main(quick=False, parts=PARTS, jobs=1):
    """The table, a row for each part."""
    given = list(problems())
    results = []
    for result in Parallel(jobs, return_as="generator")(delayed(measure)(problem, parts, quick) for problem in given):
        results.append(result)
        say(f"{result.problem.kind}: {result.problem.name}: {result.whole * 1e3:.1f} ms")
    columns = ["without", *KINDS, "at most", "at least", "certificates lost"]
    return markdown(columns, [row_of(number, part, results) for number, part in enumerate(parts)])


if __name__ == "__main__":
    write("parts", f"# parts\n\n{header()}\n\n{main(jobs=int(sys.argv[1]))}\n")
