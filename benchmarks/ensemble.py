"""Several networks side by side: what they cost, and what they gain on held-out rows.

Costs are fits of one network, in turns in one process. Gains are those of eight networks against one, and
against a bagging ensemble of eight MLPClassifiers, over data sets that scikit-learn ships or makes up. Half of
them were looked at when the weight decay of the third column was chosen, the other half not.
"""

import warnings
from functools import partial

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_circles,
    make_classification,
    make_gaussian_quantiles,
    make_hastie_10_2,
    make_moons,
)
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import TorchMLPClassifier

from ._common import compare, markdown, say

N_NETWORKS = 8
TARGET_COST = 3.0
TARGET_GAIN = 0.85
HIDDEN, BATCH = (64, 32), 32
# Chosen among 0.3, 0.5, 1, 3 and 10, dropout and early stopping on own rows, on the data sets in LOOKED_AT.
DECAY = {"solver": "adamw", "alpha": 0.3}
LOOKED_AT = {"wine", "diabetes > median", "moons", "clusters, 4 classes", "Hastie 10.2"}


def diabetes():
    """Whether the disease progresses faster than in half of the patients."""
    X, y = load_diabetes(return_X_y=True)
    return X, y > np.median(y)


def hastie():
    """Ten normal features, by the sum of their squares."""
    return make_hastie_10_2(1_000, random_state=0)


DATA = {
    "iris": partial(load_iris, return_X_y=True),
    "wine": partial(load_wine, return_X_y=True),
    "breast cancer": partial(load_breast_cancer, return_X_y=True),
    "digits": partial(load_digits, return_X_y=True),
    "diabetes > median": diabetes,
    "moons": partial(make_moons, 600, noise=0.3, random_state=0),
    "circles": partial(make_circles, 600, noise=0.2, factor=0.5, random_state=0),
    "clusters, 4 classes": partial(
        make_classification, 1_000, 15, n_informative=8, n_classes=4, flip_y=0.05, random_state=0
    ),
    "quantiles, 3 classes": partial(make_gaussian_quantiles, n_samples=800, n_features=6, n_classes=3, random_state=0),
    "Hastie 10.2": hastie,
}


def cost_rows(quick):
    """Fits of one that eight networks take, by the rows of the data."""
    for n in [570] if quick else [570, 2_000, 10_000]:
        X, y = make_classification(n, 30, n_informative=15, random_state=0)
        X = StandardScaler().fit_transform(X)
        epochs = 2 if quick else max(2, 28_500 // n)
        same = dict(hidden_layer_sizes=HIDDEN, batch_size=BATCH, max_iter=epochs, tol=0, n_iter_no_change=np.inf)
        for label, several, one in (
            ("default", {}, {}),
            ("float32", {}, {"dtype": "float32"}),
            ("float64", {"dtype": "float64"}, {}),
        ):
            ours = TorchMLPClassifier(n_networks=N_NETWORKS, random_state=0, **several, **same)
            alone = TorchMLPClassifier(random_state=0, **one, **same)
            times = compare(partial(ours.fit, X, y), partial(alone.fit, X, y), quick=quick)
            goal = f"<= {TARGET_COST:.1f}" if label == "default" else ""
            met = ("yes" if times.ratio <= TARGET_COST else "no") if goal else ""
            row = [f"{n} x 30", label, f"{times.theirs:.3f}", f"{times.ours:.3f}", f"{times.ratio:.2f}", goal, met]
            say(" | ".join(row))
            yield row


class Drawn(MLPClassifier):
    """MLPClassifier on rows that are drawn: with bootstrap weights a whole batch may weigh nothing, and it fails."""

    def fit(self, X, y):
        """Train without weights, so that bagging draws rows instead."""
        return super().fit(X, y)


def models(epochs, seed):
    """One network, several, several with weight decay, and scikit-learn's bagging of as many."""
    same = dict(hidden_layer_sizes=HIDDEN, batch_size=BATCH, max_iter=epochs, tol=0, n_iter_no_change=np.inf)
    bagging = BaggingClassifier(Drawn(**same), n_estimators=N_NETWORKS, random_state=seed)
    return [
        TorchMLPClassifier(random_state=seed, **same),
        TorchMLPClassifier(random_state=seed, n_networks=N_NETWORKS, **same),
        TorchMLPClassifier(random_state=seed, n_networks=N_NETWORKS, **DECAY, **same),
        bagging,
    ]


def quality(load, epochs, splits):
    """Mean accuracy and log-loss of each on held-out rows."""
    X, y = load()
    found = []
    for seed in range(splits):
        X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=seed, stratify=y)
        fitted = [make_pipeline(StandardScaler(), model).fit(X_train, y_train) for model in models(epochs, seed)]
        found.append([(m.score(X_test, y_test), log_loss(y_test, m.predict_proba(X_test))) for m in fitted])
    return np.mean(found, axis=0)


def quality_rows(quick):
    """A row a data set, and the means over those looked at and those held out."""
    found = {}
    for name, load in list(DATA.items())[: 2 if quick else None]:
        found[name] = quality(load, *((2, 1) if quick else (100, 5)))
        row = [name if name in LOOKED_AT else f"{name} (held out)", *cells(found[name], ratios(found[name]))]
        say(" | ".join(row))
        yield row
    groups = {"looked at": found.keys() & LOOKED_AT, "held out": found.keys() - LOOKED_AT, "all": found}
    for title, names in groups.items():
        those = [found[name] for name in names]
        geometric = np.exp(np.mean([np.log(ratios(each)) for each in those], axis=0))
        yield [f"mean, {title}", *cells(np.mean(those, axis=0), geometric)]


def ratios(scores):
    """Of log-losses: several and several with decay, to one network and to bagging."""
    one, several, decayed, bagged = scores[:, 1]
    return several / one, decayed / one, several / bagged, decayed / bagged


def cells(scores, ratios):
    """Accuracies, log-losses and ratios as text."""
    return [f"{v:.3f}" for v in (*scores[:, 0], *scores[:, 1])] + [f"{v:.2f}" for v in ratios]


def main(quick=False):
    """Both tables; that so many epochs do not converge is no matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        columns = ["rows", "precision", "one s", "eight s", "fits of one", "target", "met"]
        cost = markdown(columns, list(cost_rows(quick)))
        names = ["one", "eight", "eight, decay", "bagging"]
        names = [f"accuracy, {n}" for n in names] + [f"log-loss, {n}" for n in names]
        names += ["eight / one", "decay / one", "eight / bagging", "decay / bagging"]
        gain = markdown(["data", *names], list(quality_rows(quick)))
    return (
        f"## Cost\n\nNetworks of {HIDDEN}, batches of {BATCH}; {N_NETWORKS} side by side against one.\n\n{cost}\n\n"
        f"## Gain\n\nMeans over five splits, 40 % of rows held out; decay: `solver='adamw', alpha={DECAY['alpha']}`. "
        f"Goal: log-loss at most {TARGET_GAIN} of one network's and of bagging's on average (means of ratios are "
        f"geometric ones).\n\n{gain}"
    )
