"""The linear kernel against LinearSVC, and a large problem with all that a user would pick for it.

Both sides solve the same problem but for LinearSVC's intercept, which it counts as a weight: the objective of both is
evaluated with the intercept free of charge. LinearSVC keeps its own tolerance and limit on iterations; where it ran
into the limit its row says so.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from sklearn_svmdl import BudgetSVC

from ._common import compare, markdown, say, seconds
from ._memory import resident_memory

_FEATURES, _FLIPPED, _QUICK_ROWS = 30, 0.1, 200
# From this many of LinearSVC's iterations on the budget, too, is to take no longer than it.
_MANY_ITERATIONS = 300
_HEADER = ["problem", "given", "LinearSVC s", "ours s", "ratio", "CPU ratio", "goal", "met", "its iterations"]
_HEADER += ["objective, LinearSVC over ours - 1", "our gap"]


def dense(n, seed=0):
    """n samples of 30 features; a plane through noise, with one label in ten flipped."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, _FEATURES))
    side = X @ rng.normal(size=_FEATURES) + rng.normal(size=n) > 0
    return X, np.where(side ^ (rng.random(n) < _FLIPPED), 1.0, -1.0)


def text_like(n, n_words=30_000, per_row=100, seed=0):
    """Rows of `per_row` words drawn by Zipf's law, weighted by rarity, of length 1; a plane, labels flipped."""
    rng = np.random.default_rng(seed)
    often = 1.0 / np.arange(1, n_words + 1)
    often /= often.sum()
    words = rng.choice(n_words, size=(n, per_row), p=often)
    weights = -np.log(often[words])
    X = sparse.csr_matrix((weights.ravel(), words.ravel(), np.arange(0, n * per_row + 1, per_row)), shape=(n, n_words))
    X.sum_duplicates()
    X = sparse.diags_array(1.0 / sparse.linalg.norm(X, axis=1)) @ X
    side = X @ rng.normal(size=n_words)
    return sparse.csr_matrix(X), np.where((side > np.median(side)) ^ (rng.random(n) < _FLIPPED), 1.0, -1.0)


@dataclass(frozen=True)
class Case:
    """A data set, what is given, and the ratio aimed at."""

    name: str
    data: object
    cost: float
    given: str
    goal: float | None


def _cases():
    for n, goal in ((2000, 3.0), (20_000, 2.0), (100_000, 2.0)):
        for cost in (1e-3, 1.0):
            for given in ("cost", "budget"):
                yield Case(f"{n:,} x {_FEATURES}, cost {cost:g}", partial(dense, n), cost, given, goal)
    for cost in (0.1, 1.0, 10.0):
        for given in ("cost", "budget"):
            yield Case(f"text, 10,000 x 30,000, cost {cost:g}", partial(text_like, 10_000), cost, given, 5.0)


def objective(X, y, w, b, cost):
    """1/2 |w|^2 + cost times the total slack."""
    return 0.5 * float(w @ w) + cost * float(np.maximum(0.0, 1.0 - y * (X @ w + b)).sum())


def _best(X, y, model, cost):
    """The objective of a model's weights with the best intercept for them: LinearSVC's own is a compromise."""
    w = np.asarray(model.coef_).ravel()
    kinks = y - X @ w
    order = np.argsort(kinks)
    falls = -np.count_nonzero(y > 0) + np.cumsum(np.ones(len(y)))
    return objective(X, y, w, kinks[order[np.searchsorted(falls, 0.0)]], cost)


def measure(case, quick):
    """The row of a case."""
    X, y = case.data()
    if quick:
        X, y = X[:_QUICK_ROWS], y[:_QUICK_ROWS]
    by_cost = BudgetSVC(case.cost, unit="cost", kernel="linear").fit(X, y)
    ours = by_cost if case.given == "cost" else BudgetSVC(float(by_cost.budget_[0]), kernel="linear")
    theirs = LinearSVC(loss="hinge", C=case.cost, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        times = compare(partial(ours.fit, X, y), partial(theirs.fit, X, y), quick=quick)
    iterations, goal = int(theirs.n_iter_), case.goal
    if case.given == "budget" and not sparse.issparse(X):
        goal = 1.0 if iterations >= _MANY_ITERATIONS else None
    worse = _best(X, y, theirs, case.cost) / _best(X, y, ours, case.cost) - 1.0
    met = ["-", "-"] if goal is None else [f"{goal:g}", "yes" if times.ratio <= goal else "no"]
    stopped = " (its limit)" if iterations >= theirs.max_iter else ""
    figures = [f"{times.theirs:.4f}", f"{times.ours:.4f}", f"{times.ratio:.2f}", f"{times.cpu_ratio:.2f}", *met]
    return [case.name, case.given, *figures, f"{iterations}{stopped}", f"{worse:.0e}", f"{ours.duality_gap_[0]:.0e}"]


def _million(quick):
    """What a million samples take."""
    n = _QUICK_ROWS if quick else 1_000_000
    X, y = dense(n)
    model = BudgetSVC(1.0, unit="cost", kernel="linear")
    with resident_memory() as memory:
        wall, cpu = seconds(partial(model.fit, X, y))
    return (
        f"{n:,} x {_FEATURES} at cost 1: {wall:.1f} s ({cpu:.1f} s of the processor), {memory.most:.0f} MB above X, "
        f"gap {model.duality_gap_[0]:.0e}."
    )


def _rivals(quick):
    """Accuracy on held-out rows and time of all that would be tried on a large problem of a smooth boundary."""
    n = _QUICK_ROWS if quick else 30_000
    rng = np.random.default_rng(1)
    X = rng.normal(size=(2 * n, 10))
    y = (np.sin(2.0 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.5 * rng.normal(size=2 * n) > 0).astype(int)
    models = {
        "BudgetSVC()": BudgetSVC(),
        "SVC()": SVC(),
        "Nystroem(300) + LinearSVC()": make_pipeline(
            Nystroem(gamma=0.1, n_components=min(300, n), random_state=0), LinearSVC()
        ),
        'BudgetSVC(kernel="linear")': BudgetSVC(kernel="linear"),
        "LinearSVC()": LinearSVC(),
        "SGDClassifier()": SGDClassifier(random_state=0),
    }
    rows = []
    for name, model in models.items():
        say(name)
        pipeline = make_pipeline(StandardScaler(), model)
        wall, cpu = seconds(partial(pipeline.fit, X[:n], y[:n]))
        rows.append([name, f"{wall:.2f}", f"{cpu:.2f}", f"{pipeline.score(X[n:], y[n:]):.4f}"])
    return f"{n:,} x 10, a curved boundary:\n\n" + markdown(["model", "s", "CPU s", "accuracy"], rows)


def main(quick):
    """All tables as Markdown."""
    rows = []
    for case in _cases():
        say(f"{case.name}, {case.given}")
        rows.append(measure(case, quick))
    notes = (
        'Each ratio is ours over that of `LinearSVC(loss="hinge")`, medians of turns in one process. Where the '
        "budget is given it is the one that the cost buys; its goal holds where LinearSVC takes 300 iterations or more."
    )
    return "\n\n".join([notes, markdown(_HEADER, rows), _million(quick), _rivals(quick)])
