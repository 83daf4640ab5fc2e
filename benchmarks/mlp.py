"""Time of fit and of predict_proba against MLPClassifier: same architecture, epochs, batches and solver.

Both sides run interleaved in one process; the ratio is that of the medians. Each row also shows what the
training reached, so that no speed is bought with quality.
"""

import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sklearn_svmdl import TorchMLPClassifier

from ._common import markdown, say


@dataclass(frozen=True)
class Case:
    """One question: data, network, epochs, and the ratios to reach in the two precisions."""

    name: str
    data: object
    hidden: tuple
    batch_size: int
    epochs: int
    repeats: int
    target: float
    target_float32: float | None = None


def small(n_samples, n_features):
    """A made-up binary problem."""
    return make_classification(n_samples, n_features, n_informative=n_features // 2, random_state=0)


LARGE = partial(small, 100_000, 30)
CASES = [
    Case("570x10", partial(small, 570, 10), (32, 16), 10, 50, 9, 0.30),
    Case("breast cancer", partial(load_breast_cancer, return_X_y=True), (64, 32), 32, 50, 9, 0.38),
    Case("digits", partial(load_digits, return_X_y=True), (100,), 32, 20, 9, 0.45),
    Case("100,000x30", LARGE, (64, 32), 256, 3, 5, 0.55, 0.35),
    Case("100,000x30", LARGE, (256, 256), 256, 2, 3, 0.80, 0.45),
]
HEADER = [
    "what",
    "precision",
    "MLPClassifier s",
    "ours s",
    "ratio",
    "target",
    "met",
    "their loss, accuracy",
    "ours",
]
# Rows of every data set in a quick run.
_QUICK_ROWS = 300
TARGET_PREDICT = 0.9
TARGET_LOOP = 2.5
TARGET_FIRST_FIT = 0.050


def seconds(call):
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def interleaved(calls, repeats):
    """Median wall time of each call, taking turns."""
    times = [[seconds(call) for call in calls] for _ in range(repeats)]
    return np.median(times, axis=0)


def compare_fits(case, quick):
    """Table rows of one case, one a precision."""
    X, y = case.data()
    rows = slice(_QUICK_ROWS) if quick else slice(None)
    X, y = StandardScaler().fit_transform(X[rows]), y[rows]
    epochs, repeats = (2, 3) if quick else (case.epochs, case.repeats)
    same = dict(hidden_layer_sizes=case.hidden, batch_size=case.batch_size, max_iter=epochs, tol=0)
    same.update(n_iter_no_change=np.inf, random_state=0)
    theirs, ours, ours32 = MLPClassifier(**same), TorchMLPClassifier(**same), TorchMLPClassifier(**same)
    X32 = X.astype(np.float32)
    calls = [partial(theirs.fit, X, y), partial(ours.fit, X, y), partial(ours32.fit, X32, y)]
    times = interleaved(calls, repeats)
    label = f"fit {case.name}, {case.hidden}, batch {case.batch_size}, {epochs} epochs"
    quality = [
        f"{model.loss_:.4f} / {model.score(data, y):.4f}" for model, data in ((theirs, X), (ours, X), (ours32, X32))
    ]
    yield label, "float64", times[0], times[1], case.target, quality[0], quality[1]
    yield label, "float32", times[0], times[2], case.target_float32, quality[0], quality[2]


class BatchListener(Callback):
    """Does nothing after every batch, so that skorch must take every step."""

    def on_batch_end(self, net, **kwargs):
        """Nothing."""


def compare_loops(case, callback, quick):
    """The table row of skorch's own loop, with a callback that does nothing, against the fast one."""
    X, y = case.data()
    rows = slice(_QUICK_ROWS) if quick else slice(None)
    X, y = StandardScaler().fit_transform(X[rows]), y[rows]
    epochs, repeats = (2, 3) if quick else (case.epochs, case.repeats)
    same = dict(hidden_layer_sizes=case.hidden, batch_size=case.batch_size, max_iter=epochs, tol=0)
    same.update(n_iter_no_change=np.inf, random_state=0)
    fast, ordinary = TorchMLPClassifier(**same), TorchMLPClassifier(callbacks=[callback()], **same)
    times = interleaved([partial(fast.fit, X, y), partial(ordinary.fit, X, y)], repeats)
    told_of = "batches" if callback is BatchListener else "epochs"
    label = f"a callback told of {told_of} / none, {case.name}, {case.hidden}, batch {case.batch_size}"
    return label, "float64", *times, TARGET_LOOP, f"{fast.loss_:.4f}", f"{ordinary.loss_:.4f}"


def compare_predictions(hidden, quick):
    """The table row of predict_proba on 100,000 rows."""
    X, y = small(_QUICK_ROWS if quick else 100_000, 30)
    same = dict(hidden_layer_sizes=hidden, batch_size=256, max_iter=1, random_state=0)
    theirs, ours = MLPClassifier(**same).fit(X, y), TorchMLPClassifier(**same).fit(X, y)
    times = interleaved([partial(theirs.predict_proba, X), partial(ours.predict_proba, X)], 3 if quick else 15)
    label = f"predict_proba 100,000x30, {hidden}"
    return label, "float64", *times, TARGET_PREDICT, f"{theirs.score(X, y):.4f}", f"{ours.score(X, y):.4f}"


FIRST_FIT = """
import time, warnings
import numpy as np
import sklearn_svmdl.neural_network, sklearn.neural_network
X = np.random.default_rng(0).normal(size=(570, 10))
y = X[:, 0] > 0
for network in (sklearn_svmdl.neural_network.TorchMLPClassifier, sklearn.neural_network.MLPClassifier):
    model = network((32, 16), max_iter=1, tol=0, n_iter_no_change=np.inf)
    with warnings.catch_warnings(action="ignore"):
        start = time.perf_counter()
        model.fit(X, y)
        print(time.perf_counter() - start)
"""


def first_fit(quick):
    """Median seconds of the first fit of a fresh process, imports aside, of ours and of MLPClassifier."""
    runs = [
        subprocess.run([sys.executable, "-c", FIRST_FIT], capture_output=True, text=True, check=True)
        for _ in range(1 if quick else 5)
    ]
    return np.median([[float(line) for line in run.stdout.split()] for run in runs], axis=0)


def cells(label, dtype, theirs, ours, target, quality, our_quality):
    """One row of the table as text."""
    ratio, goal = ours / theirs, "" if target is None else f"<= {target:.2f}"
    verdict = "" if target is None else ("yes" if ratio <= target else "no")
    return label, dtype, f"{theirs:.3f}", f"{ours:.3f}", f"{ratio:.2f}", goal, verdict, quality, our_quality


def measured_rows(quick):
    """Every question in turn."""
    for case in CASES:
        yield from compare_fits(case, quick)
    for callback in (Callback, BatchListener):
        for case in CASES:
            yield compare_loops(case, callback, quick)
    for hidden in ((64, 32), (256, 256)):
        yield compare_predictions(hidden, quick)


def table(quick):
    """The rows as Markdown."""
    rows = []
    for row in measured_rows(quick):
        rows.append(cells(*row))
        say(" | ".join(rows[-1]))
    return markdown(HEADER, rows)


def main(quick=False):
    """The table; that a few epochs do not converge is the point, so nobody is warned of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        shown = table(quick)
        ours, theirs = first_fit(quick)
    met = "yes" if ours <= TARGET_FIRST_FIT else "no"
    return (
        f"{shown}\n\nFirst fit of a fresh process, imports aside: {1e3 * ours:.1f} ms (target < 50 ms: {met};"
        f" MLPClassifier {1e3 * theirs:.1f} ms)."
    )
