"""What each part of the solver is worth: the same problems with one part after the other turned off.

A part is off where the constant that opens the way to it is out of reach. Every problem is solved with all parts and
without one, in turns; times are those of the processor, and the quickest of a few. A part touches a problem if its
counts of work are others without it. A part that changes nothing is to go.
``python -m benchmarks.parts JOBS`` takes so many processes.
"""

import sys
import warnings
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from time import process_time
from unittest.mock import patch

import numpy as np
from joblib import Parallel, delayed
from scipy import sparse
from sklearn import datasets as bundled
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import BudgetSVC, BudgetSVR, budget_path
from sklearn_svmdl.dual.kkt import spread_of
from sklearn_svmdl.dual.work import watched

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


def _unsettled(block, start, *given, **named):
    """In place of steps: where they would begin."""
    return replace(start, settled=False)


def _shows_nothing(*given, **named):
    """In place of what shows a lower bound: none."""
    return -np.inf


def _as_begun(problem, start, scale):
    """In place of better first sides: those that there are."""
    return start


PARTS = [
    Part("distinct", {"solve.Distinct.of": _none}),
    Part("growth: the samples between the classes", {"solve.between_classes": _none}),
    Part("levels: coarse to fine", {"solve._DIRECT": 4000, "solve._DIRECT_REGRESSION": 4000}),
    Part("levels: single precision", {"levels._MANY": _NEVER}),
    Part("levels: few of a class are all there", {"levels._FEW_OF_CLASS": 1}),
    Part("levels: counts carry over", {"levels._MOSTLY_FREE": 2.0}),
    Part("levels: first sides from the means", {"solve.between_means": _as_begun}),
    Part("levels: lam followed less far", {"levels._COARSE_REACH": 1.0}),
    Part("linear: features that are found", {"linear.pivoted_cholesky": _none}),
    Part("linear: ... more where lam is large", {"linear._HARDER": 1.0}),
    Part("linear: ... of any number of samples", {"solve.MOST_SAMPLES": _NEVER, "solve._MANY_NUMBERS": _NEVER}),
    Part("linear: ... finer of a budget", {"solve._FINER_OF_BUDGETS": 1.0}),
    Part("linear: ... believed well within their reach", {"linear._WELL_WITHIN": np.inf}),
    Part("linear: ... more where most samples are on the margin", {"solve._FACE_SHARE": np.inf}),
    Part("linear: ... finer of a regression", {"solve._FINER": 1.0}),
    Part("linear: ... given up off their course", {"linear._FIRST_LOOK": 97, "linear._OF_EACH": 0}),
    Part("linear: features that are known", {"linear.dense_features": _none}),
    Part(
        "linear: samples near the margin alone", {"linear._MANY": (_NEVER, 0), "linear._MANY_WITH_BUDGET": (_NEVER, 0)}
    ),
    Part("smooth: a share of the samples first", {"smooth._MANY": _NEVER}),
    Part("sparse", {"solve.is_sparse": _none}),
    Part("working_set: near samples join", {"working_set._NEAR_SHARE": 0.0}),
    Part("working_set: it moves", {"working_set._MOVES": _NEVER, "working_set._STEADY": _NEVER}),
    Part(
        "active_set: proximal weights that fall",
        {"active_set.pivot_ever_closer": _unsettled, "path.pivot_ever_closer": _unsettled},
    ),
    Part("active_set: ... with patience", {"active_set._LIGHTEST": 1e-2}),
    Part("active_set: ... exact where next to none are wrong", {"active_set._CLOSE": 0.0}),
    Part("active_set: ... at any lam", {"active_set._HARDEST": np.inf}),
    Part("active_set: ... begun anew", {"active_set._MOST_BACKS": 0}),
    Part("active_set: the scale of most samples", {"kkt.typical_spread": spread_of}),
    Part("active_set: the most wrong alone", {"active_set._CALM": 0.0}),
    Part("active_set: one freed where they crowd", {"active_set._crowds": _none}),
    Part("active_set: ... given up where they cycle", {"active_set._cycles": _none}),
    Part("active_set: pulled ones solved again", {"active_set.PULLED": np.inf}),
    Part("active_set: smooth loss", {"active_set.pivot_smoothly": _unsettled, "path.pivot_smoothly": _unsettled}),
    Part("factor: it follows the free samples", {"factor.SolverCache.factor": _none}),
    Part(
        "interior",
        {
            "active_set.step_inside": _unsettled,
            "together.features_of": _none,
            "solve.features_of": _none,
        },
    ),
    Part("interior: few columns of a block", {"interior._WORTH_FACTORING": _NEVER}),
    Part("interior: shorter duals at first", {"interior._LONGER": 1e30}),
    Part("interior: short steps tell of lam", {"interior._SHORT": 0.0}),
    Part("interior: ... begun anew", {"interior._LIFT": 1.0}),
    Part("solve: lam followed less far", {"solve._SHORTER": 1.0}),
    Part("solve: pair steps at last", {"solve._MOST_PAIR_STEPS": 0}),
    Part("feasibility: what duals show", {"solve.least_slack_shown": _shows_nothing}),
    Part("together", {"solve.SEVERAL": _NEVER}),
    Part("together: mixed classes whole", {"together._MIXED": np.inf}),
    Part("together: classes that are apart are grown", {"together._CHEAP": np.inf}),
    Part("together: faces by interior steps", {"together.MOST_FREE": _NEVER}),
    Part("path: steps", {"path._StoredSteps.next": _nowhere, "path._WorkingSetSteps.next": _nowhere}),
    Part("path: by way of easier problems", {"path._by_detour": _unsettled}),
    Part("path: ... at once where it was far", {"path._MANY_ROUNDS": _NEVER, "path.FEW_FREE": 0}),
]


@dataclass(frozen=True)
class Problem:
    """Some data, and what is done with it; `kind` sums up problems that are alike."""

    kind: str
    name: str
    load: object
    act: object

    def quickest(self, quick):
        """The run of the fewest seconds of up to three, fewer of long ones."""
        runs = [self.run(quick)]
        while len(runs) < 3 and not quick and runs[-1].seconds < _LONG:
            runs.append(self.run(quick))
        return min(runs, key=attrgetter("seconds"))

    def run(self, quick):
        """One `Run`."""
        given = self.load()
        step = max(1, len(given[1]) // _QUICK_ROWS) if quick else 1
        given = [part[::step] for part in given]
        with warnings.catch_warnings(), watched() as watch:
            warnings.simplefilter("ignore")
            begun = process_time()
            gap = self.act(*given)
            seconds = process_time() - begun
        return Run(seconds, [tally.done() for tally in watch.tallies], bool(np.max(gap) <= 1e-3))


@dataclass(frozen=True)
class Run:
    """Seconds of the processor, the counts of work, and whether every certificate holds."""

    seconds: float
    work: list
    held: bool


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


def _apart(seed):
    """Two classes that are apart, and many."""
    for n, d in ((700, 4), (2000, 10)):
        load = partial(_scaled, bundled.make_blobs, n, d, centers=2, cluster_std=2.0, random_state=seed)
        for kernel in ("rbf", "poly"):
            for C, unit in ((1.0, "cost"), (100.0, "cost"), (0.001, "relative")):
                act = partial(_fit, BudgetSVC(C=C, unit=unit, kernel=kernel))
                yield Problem("apart", f"two blobs {n:,} x {d}, {kernel}, {C:g} {unit}", load, act)
    for centers, n, d in ((20, 2000, 4), (10, 1500, 6)):
        load = partial(bundled.make_blobs, n, d, centers=centers, cluster_std=2.0, random_state=seed)
        for kernel in ("rbf", "poly"):
            act = partial(_fit, BudgetSVC(kernel=kernel))
            yield Problem("apart", f"{centers} blobs {n:,} x {d}, {kernel}, cost 1", load, act)


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
    for n in (300, 1200, 3000):
        load = partial(_scaled, bundled.make_friedman1, n, noise=1.0, random_state=seed)
        for cost in (1.0, 10.0):
            act = partial(_fit, BudgetSVR(C=cost * 5.0, unit="cost"))
            yield Problem("regression", f"friedman1 {n}, cost {cost:g} spreads", load, act)
        wide = partial(_fit, BudgetSVR(C=5.0, unit="cost", epsilon=2.5))
        yield Problem("regression", f"friedman1 {n}, half a spread wide", load, wide)
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


def _few_against_many(few, many, seed):
    """Two classes that overlap, one of few samples."""
    X, y = _MADE(20 * many, 7, random_state=seed)
    rows = np.concatenate([np.flatnonzero(y == 1)[:few], np.flatnonzero(y == 0)[:many]])
    return X[rows], y[rows]


def _whole_numbers(n, seed):
    """Two classes that overlap, of samples many of which are equal."""
    random = np.random.default_rng(seed)
    X = random.integers(0, 5, (n, 3))
    return X, X.sum(axis=1) + random.normal(0.0, 2.0, n) > 6.0


def _heavy_tails(n, d, k, seed):
    """One class of nine tenths, and others of what is left that differ from it by little; few samples are far off."""
    random = np.random.default_rng(seed)
    X, y = random.standard_t(2, (n, d)), random.choice(k, n, p=[0.9, *[0.1 / (k - 1)] * (k - 1)])
    X[:, 0] += y
    return StandardScaler().fit_transform(X), y


def _hard(seed):
    """What is slow or far from an answer without this or that."""
    for n, d, k in ((1800, 60, 2), (500, 1, 3), (900, 3, 4)):
        for kernel in ("rbf", "cubic"):
            act = partial(_fit, BudgetSVC(**_KERNELS[kernel]))
            yield Problem("hard", f"heavy tails {n} x {d}, {kernel}", partial(_heavy_tails, n, d, k, seed), act)
    far = partial(_scaled, bundled.make_moons, 3000, noise=0.3, random_state=seed)
    yield Problem("hard", "moons 3000, cost 1000", far, partial(_fit, BudgetSVC(C=1000.0, unit="cost")))
    for few in (4, 40):
        load = partial(_few_against_many, few, 1500, seed)
        for gamma in (0.2, 20.0):
            act = partial(_fit, BudgetSVC(gamma=gamma))
            yield Problem("hard", f"{few} against 1500, gamma {gamma:g}", load, act)
    for kernel, parameters in _KERNELS.items():
        act = partial(_fit, BudgetSVC(**parameters))
        yield Problem("hard", f"1000 of whole numbers, {kernel}", partial(_whole_numbers, 1000, seed), act)
    load = partial(_scaled, bundled.make_moons, 1500, noise=0.4, random_state=seed)
    for share in (0.1, 0.28):
        act = partial(_fit, BudgetSVC(C=share, unit="relative"))
        yield Problem("hard", f"moons 1500, {share:g} C_max", load, act)
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
    yield from _apart(seed)
    yield from _several(seed)
    yield from _numbers(seed)
    yield from _walks(seed)
    yield from _hard(seed)


KINDS = ["60 to 250 samples", "700", "3,000", "apart", "classes", "regression", "walks", "hard"]


@dataclass(frozen=True)
class Measured:
    """A problem's seconds with all parts, and for each part the run without it and whether its work is other work."""

    problem: Problem
    whole: Run
    without: list

    def ratio(self, number):
        """Seconds without a part over those with it."""
        return self.without[number].seconds / self.whole.seconds

    def is_touched(self, number):
        """Whether the work without a part is other work."""
        return self.without[number].work != self.whole.work

    def is_lost(self, number):
        """Whether a certificate is lost without a part."""
        return self.whole.held and not self.without[number].held


def measure(problem, parts, quick):
    """Solve a problem with all parts, before and after the others, and without each."""
    first, without = problem.quickest(quick), []
    for part in parts:
        with part.turned_off():
            without.append(problem.quickest(quick))
    return Measured(problem, min(first, problem.quickest(quick), key=attrgetter("seconds")), without)


def _mean(ratios):
    """The geometric mean, in words."""
    return f"{np.exp(np.mean(np.log(ratios))):.2f}" if len(ratios) else ""


def row_of(number, part, results):
    """A part's row: on how many problems the work is other work without it, the mean ratio of the times on these, the
    worst and the best of them, and how many certificates are lost."""
    touched = [result for result in results if result.is_touched(number)]
    ends = ["", ""]
    if touched:
        worst, best = (pick(touched, key=lambda result: result.ratio(number)) for pick in (max, min))
        ends = [f"{end.ratio(number):.3g} ({end.problem.name})" for end in (worst, best)]
    lost = sum(result.is_lost(number) for result in results)
    mean = _mean([one.ratio(number) for one in touched])
    return [part.name, f"{len(touched)} of {len(results)}", mean, *ends, str(lost)]


def kinds_of(number, part, results):
    """A part's mean ratios by kind, of the problems whose work it changes."""
    touched = [result for result in results if result.is_touched(number)]
    return [part.name, *(_mean([one.ratio(number) for one in touched if one.problem.kind == kind]) for kind in KINDS)]


def main(quick=False, parts=PARTS, jobs=1):
    """The table, a row for each part."""
    given = list(problems())
    results = []
    for result in Parallel(jobs, return_as="generator")(delayed(measure)(problem, parts, quick) for problem in given):
        results.append(result)
        say(f"{result.problem.kind}: {result.problem.name}: {result.whole.seconds * 1e3:.1f} ms")
    columns = ["without", "touched", "times the time", "at most", "at least", "certificates lost"]
    rows, kinds = ([row(number, part, results) for number, part in enumerate(parts)] for row in (row_of, kinds_of))
    return f"{markdown(columns, rows)}\n\n## By kind of problem\n\n{markdown(['without', *KINDS], kinds)}"


if __name__ == "__main__":
    write("parts", f"# parts\n\n{header()}\n\n{main(jobs=int(sys.argv[1]))}\n")
