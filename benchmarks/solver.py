"""Fit times of BudgetSVC against SVC at the equivalent cost, with the quality of both answers.

Every ratio is ours / theirs, medians of runs that take turns in one process. The budget of a case is the
slack of SVC at the stated cost, so both solve the same problem.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import brentq

from sklearn_svmdl import BudgetSVC

from ._cases import CASES, largest_budget, slack_of, svc
from ._common import RESULTS, compare, markdown, say, seconds
from ._growth import draw
from ._memory import peak_megabytes
from ._quality import expand, quality

COMPARED = ["SVC s", "ours s", "ratio", "CPU ratio", "goal", "met", "turns"]
HEADER = [
    "problem",
    "SVs",
    "cost",
    *COMPARED,
    "violation / gap / budget error, SVC",
    "ours",
    "ours / floor",
]
# Cases whose budget a root-find over the cost of SVC has to find as well, and the ratios aimed at.
ROOT_FINDS = {
    "breast cancer, rbf, 0.1 C_max": 0.1,
    "2,000 x 20, rbf, cost 1": 0.1,
    "10,000 x 20, rbf, cost 1": 0.02,
}
MEMORY_CASE, MEMORY_ROWS = "50,000 x 20, rbf, cost 1", 50_000
PREDICTION_CASE = "10,000 x 20, rbf, cost 1"
_CACHE = 200
_TOL = 1e-3
# Where the root-find starts: anywhere but at the answer, which is 1 in some cases.
_START = 20.0


@dataclass(frozen=True)
class Measured:
    """A finished case."""

    case: object
    n_samples: int
    budget: float
    times: object
    floor: float
    row: list


def compared(times, goal):
    """The cells of `COMPARED`: times, ratios, the goal and whether it was met."""
    ratios = [f"{ratio:.3f}" if ratio < 0.1 else f"{ratio:.2f}" for ratio in (times.ratio, times.cpu_ratio)]
    met = ["", ""] if goal is None else [f"{goal:g}", "yes" if times.ratio <= goal else "no"]
    return [f"{times.theirs:.4f}", f"{times.ours:.4f}", *ratios, *met, str(times.turns)]


def numbers(kernel, X):
    """The kernel parameters with gamma="scale" worked out."""
    return {**kernel, "gamma": 1.0 / (X.shape[1] * X.var())} if "gamma" in kernel else kernel


def quality_text(X, target, kernel, model, penalty, budget):
    """Quality of a model that has duals, as text."""
    if not hasattr(model, "dual_coef_"):
        return "-"
    return quality(X, target, kernel, model, penalty).text(budget, largest_budget(target))


def measure(case, quick):
    """Time and certify both sides of a case."""
    X, target = case.data(quick)
    budget = case.budget(X, target)
    ours = BudgetSVC(C=budget, **case.kernel).fit(X, target)
    theirs = case.competitor(ours.cost_[0], case.kernel)
    times = compare(lambda: ours.fit(X, target), lambda: theirs.fit(X, target), quick=quick)
    kernel = numbers(case.kernel, X)
    texts = [quality_text(X, target, kernel, model, ours.cost_[0], budget) for model in (theirs, ours)]
    once = partial(expand, X, ours.support_, ours.dual_coef_[0], kernel)
    floor = np.median([seconds(once)[0] for _ in range(3 if case.growth else 1)])
    row = [case.name, str(len(ours.support_)), f"{ours.cost_[0]:.3g}"]
    row += [*compared(times, case.goal), *texts, f"{times.ours / floor:.1f}"]
    say(" | ".join(row))
    return Measured(case, len(X), budget, times, floor, row)


def root_find(X, target, kernel, budget):
    """Find the cost at which SVC uses up the budget, as exactly as BudgetSVC; tells the number of fits."""
    scale, errors = largest_budget(target), {}

    def excess(log_cost):
        if log_cost not in errors:
            model = svc(np.exp(log_cost), kernel).fit(X, target)
            error = slack_of(model, X, target) - budget
            errors[log_cost] = 0.0 if abs(error) <= _TOL * scale else error
        return errors[log_cost]

    # More slack than the budget: the cost is too small.
    start = np.log(_START)
    step = np.copysign(np.log(10.0), excess(start))
    end = start + step
    while excess(start) * excess(end) > 0:
        start, end = end, end + step
    brentq(excess, start, end)
    return len(errors)


def root_find_row(measured, quick):
    """Our time against the root-find's on the same problem."""
    case = measured.case
    X, target = case.data(quick)
    ours = BudgetSVC(C=measured.budget, **case.kernel)
    n_fits = []
    times = compare(
        lambda: ours.fit(X, target),
        lambda: n_fits.append(root_find(X, target, case.kernel, measured.budget)),
        quick=quick,
    )
    return [case.name, str(n_fits[0]), *compared(times, ROOT_FINDS[case.name])]


def prediction_row(measured, quick):
    """decision_function on 10,000 rows."""
    case = measured.case
    X, target = case.data(quick)
    ours = BudgetSVC(C=measured.budget, **case.kernel).fit(X, target)
    theirs = svc(ours.cost_[0], case.kernel).fit(X, target)
    times = compare(lambda: ours.decision_function(X), lambda: theirs.decision_function(X), quick=quick)
    difference = np.abs(ours.decision_function(X) - theirs.decision_function(X)).max()
    sizes = [f"{len(X):,} rows", str(len(ours.support_)), str(len(theirs.support_))]
    return [*sizes, *compared(times, 0.5), f"{difference:.0e}"]


def memory_text(measured, quick):
    """Peak memory of the largest fit, in words."""
    rows = 200 if quick else MEMORY_ROWS
    peak = peak_megabytes(rows, measured.budget, _CACHE)
    if peak is None:
        return "Memory: not measured on this system."
    goal = _CACHE + 300
    met = "yes" if peak <= goal else "no"
    return (
        f"Memory of the fit of {rows:,} x 20 (cost 1) above the start: {peak:.0f} MB "
        f"(goal: cache_size {_CACHE} + 300 MB; met: {met})."
    )


def growth(results, quick):
    """The growth plot, and a table of its points."""
    points = [(m.n_samples, m.times.ours, m.times.theirs, m.floor) for m in results if m.case.growth]
    figure = draw(points)
    if not quick:
        RESULTS.mkdir(exist_ok=True)
        figure.savefig(RESULTS / "growth.png", dpi=120)
    rows = [
        [f"{n:,}", f"{ours:.4f}", f"{theirs:.4f}", f"{floor:.4f}", f"{ours / floor:.1f}"]
        for n, ours, theirs, floor in points
    ]
    table = markdown(["samples", "ours s", "SVC s", "floor s", "ours / floor"], rows)
    return f"{table}\n\n![Growth](growth.png)"


def main(quick=False):
    """Every table, as Markdown."""
    results = [measure(case, quick) for case in CASES]
    named = {measured.case.name: measured for measured in results}
    root_finds = [root_find_row(named[name], quick) for name in ROOT_FINDS]
    root_header = ["problem", "SVC fits", *COMPARED]
    predict_header = ["decision_function", "our SVs", "SVC's", *COMPARED, "difference"]
    predictions = [prediction_row(named[PREDICTION_CASE], quick)]
    parts = [
        "## Fit",
        markdown(HEADER, [measured.row for measured in results]),
        "## The same budgets by a root-find over SVC",
        markdown(root_header, root_finds),
        "## Prediction",
        markdown(predict_header, predictions),
        "## Memory",
        memory_text(named[MEMORY_CASE], quick),
        "## Growth",
        growth(results, quick),
    ]
    return "\n\n".join(parts)
