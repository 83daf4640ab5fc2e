"""Tables: categories by embeddings, missing numbers, piecewise linear encodings, smoothed labels."""

import pickle

import numpy as np
import pytest
import skops.io
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_svmdl import TorchMLPClassifier, TorchMLPRegressor
from sklearn_svmdl.neural_network._columns import PiecewiseLinearEncoder

pandas = pytest.importorskip("pandas")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 40, "learning_rate_init": 0.02, "random_state": 0}
QUICK |= {"tol": 0, "n_iter_no_change": np.inf}


@pytest.fixture(scope="module")
def table():
    """Columns of every kind, and labels that depend on two of them."""
    rng = np.random.default_rng(0)
    n, towns = 400, np.array(["Aix", "Bonn", "Cork", "Davos", "Essen"])
    town = rng.integers(0, 5, n)
    X = pandas.DataFrame(
        {
            "size": rng.normal(100, 30, n),
            "town": towns[town],
            "kind": pandas.Categorical(rng.choice(["a", "b"], n)),
            "grade": pandas.Categorical(rng.choice([1, 2, 3], n)),
            "new": rng.random(n) < 0.5,
            "count": rng.integers(0, 9, n),
        }
    )
    y = np.array([-1, 1, 0.3, -0.5, 0.8])[town] + (X["size"].to_numpy() - 100) / 60 > 0
    return X, y


def test_columns_of_categories_go_in_directly(table):
    X, y = table
    network = TorchMLPClassifier(**QUICK).fit(X, y)
    assert network.score(X, y) > 0.95
    assert network.n_features_in_ == 6 and list(network.feature_names_in_) == list(X.columns)
    sizes = [embedding.num_embeddings for embedding in network.module_.embeddings]
    assert sizes == [6, 3, 4]  # five towns, two kinds, three grades, and one place for unknown values each
    with pytest.raises(ValueError, match="feature names"):
        network.predict(X[X.columns[::-1]])


def test_unknown_and_missing_categories_are_embedded_as_zeros(table):
    X, y = table
    network = TorchMLPClassifier(**QUICK).fit(X, y)
    strange, missing = X.copy(), X.copy()
    strange["town"] = "Zug"
    missing["town"] = None
    with torch.no_grad():
        assert torch.all(network.module_.embeddings[0].weight[0] == 0)
    assert_array_equal(network.predict_proba(strange), network.predict_proba(missing))
    assert np.isfinite(network.predict_proba(strange)).all()


def test_embeddings_begin_small_beside_standardised_numbers():
    X = pandas.DataFrame({"a": [f"category {i % 400}" for i in range(800)]})
    one_small_step = QUICK | {"max_iter": 1, "learning_rate_init": 1e-9}
    network = TorchMLPClassifier(**one_small_step).fit(X, np.arange(800) % 2)
    first = network.module_.embeddings[0].weight.detach().numpy()
    assert np.all(first[0] == 0)
    assert_allclose(first[1:].std(), 0.1, rtol=0.05)
    assert abs(first[1:].mean()) < 0.01


def test_the_order_of_categories_and_rows_does_not_matter(table):
    X, y = table
    order = np.random.default_rng(0).permutation(len(y))
    base = TorchMLPClassifier(**QUICK).fit(X, y)
    assert_allclose(
        TorchMLPClassifier(**QUICK).fit(X.iloc[order], y[order]).predict_proba(X), base.predict_proba(X), rtol=1e-6
    )


def test_which_columns_hold_categories_can_be_said(table):
    X, y = table
    auto = TorchMLPClassifier(**QUICK).fit(X, y).predict_proba(X)
    for chosen in (["town", "kind", "grade"], [1, 2, 3], np.isin(np.arange(6), [1, 2, 3])):
        assert_array_equal(TorchMLPClassifier(categorical_features=chosen, **QUICK).fit(X, y).predict_proba(X), auto)
    with pytest.raises(ValueError, match="could not convert string to float"):
        TorchMLPClassifier(categorical_features=None, **QUICK).fit(X, y)
    with pytest.raises(ValueError, match=r"names \['city'\].*columns of X: \['size'"):
        TorchMLPClassifier(categorical_features=["city"], **QUICK).fit(X, y)
    with pytest.raises(ValueError, match="mask of 2 columns, but X has 6"):
        TorchMLPClassifier(categorical_features=[True, False], **QUICK).fit(X, y)
    codes = np.column_stack([X["size"], np.searchsorted(np.unique(X["town"]), X["town"])])
    array = TorchMLPClassifier(categorical_features=[1], **QUICK).fit(codes, y)
    assert array.module_.embeddings[0].num_embeddings == 6 and array.score(codes, y) > 0.95


def test_a_frame_of_numbers_is_taken_as_it_is():
    X, y = load_iris(return_X_y=True)
    frame = pandas.DataFrame(X, columns=list("abcd"))
    plain = TorchMLPClassifier(**QUICK).fit(X, y)
    assert_array_equal(TorchMLPClassifier(**QUICK).fit(frame, y).coefs_[0], plain.coefs_[0])
    numbers_as_objects = TorchMLPClassifier(**QUICK).fit(frame.astype(object), y)
    assert_array_equal(numbers_as_objects.coefs_[0], plain.coefs_[0])


def test_missing_numbers_are_marked(table):
    X, y = table
    rng = np.random.default_rng(1)
    gone = rng.random(len(y)) < 0.3
    X = X[["size", "count"]].astype(float).mask(np.column_stack([gone, np.zeros_like(gone)]))
    for given in (X, X.assign(kind=pandas.Categorical(y))):
        with pytest.raises(ValueError, match="(?s)Input X contains NaN.*Fit dense X with allow_missing=True"):
            TorchMLPClassifier(**QUICK).fit(given, y)
    whole = TorchMLPClassifier(**QUICK).fit(X.fillna(0.0), y)
    with pytest.raises(ValueError, match="(?s)Input X contains NaN.*Fit dense X with allow_missing=True"):
        whole.predict(X)
    network = TorchMLPClassifier(allow_missing=True, **QUICK).fit(X, y)
    assert network.coefs_[0].shape == (3, 8)
    told = TorchMLPClassifier(allow_missing=True, **QUICK).fit(X, gone)  # whether a number is missing can be learnt
    assert told.score(X, gone) == 1.0
    array = TorchMLPClassifier(allow_missing=True, **QUICK).fit(X.to_numpy(), y)
    assert_array_equal(array.predict_proba(X.to_numpy()), network.predict_proba(X))
    complete = X.fillna(1.0)
    assert_allclose(
        TorchMLPClassifier(allow_missing=True, **QUICK).fit(complete, y).coefs_[0],
        TorchMLPClassifier(**QUICK).fit(StandardScaler().fit_transform(complete), y).coefs_[0],
        rtol=1e-9,
    )


def test_piecewise_encoding_is_that_of_the_paper():
    """Gorishniy et al. (2022), equation 1, entry by entry."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=50), rng.integers(0, 3, 50), np.full(50, 7.0)])
    encoder = PiecewiseLinearEncoder(n_bins=4).fit(X)
    encoded = encoder.transform(X)
    start = 0
    for column, edges in zip(X.T, encoder.edges_):
        for t in range(max(1, len(edges) - 1)):
            for row, x in enumerate(column):
                if len(edges) == 1 or x < edges[t] and t > 0:
                    expected = 0.0
                elif x >= edges[t + 1] and t < len(edges) - 2:
                    expected = 1.0
                else:
                    expected = (x - edges[t]) / (edges[t + 1] - edges[t])
                assert encoded[row, start + t] == pytest.approx(expected)
        start += max(1, len(edges) - 1)
    assert encoded.shape[1] == start


def test_piecewise_embedding_learns_a_staircase():
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 8, (600, 1))
    y = np.floor(X[:, 0]) % 2
    plain, piecewise = (
        cross_val_score(TorchMLPClassifier(numeric_embedding=kind, **QUICK), X, y, cv=3).mean()
        for kind in (None, "piecewise")
    )
    assert piecewise > plain + 0.1
    several = TorchMLPClassifier(numeric_embedding="piecewise", n_networks=3, **QUICK).fit(X, y)
    assert several.predict_spread(X).shape == (600, 2)


def test_tables_in_company(table):
    X, y = table
    search = GridSearchCV(TorchMLPClassifier(**QUICK), {"numeric_embedding": [None, "piecewise"]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.85
    for network in (
        TorchMLPClassifier(numeric_embedding="piecewise", allow_missing=True, early_stopping=True, **QUICK),
        TorchMLPRegressor(**QUICK),
    ):
        fitted = clone(network).fit(X, y.astype(float))
        expected = fitted.predict(X)
        assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(X), expected)
        data = skops.io.dumps(fitted)
        untrusted = skops.io.get_untrusted_types(data=data)
        of_scikit_learn = {"numpy.dtype"}  # its imputer remembers one
        assert all(name.startswith("sklearn_svmdl.") for name in set(untrusted) - of_scikit_learn), untrusted
        assert_array_equal(skops.io.loads(data, trusted=untrusted).predict(X), expected)
        with config_context(transform_output="pandas"):
            assert_array_equal(clone(network).fit(X, y.astype(float)).predict(X), expected)
    parts = TorchMLPClassifier(**QUICK)
    for _ in range(3):
        parts.partial_fit(X, y, classes=[False, True])
    assert len(parts.loss_curve_) == 3
    with pytest.raises(ValueError, match="n_networks=2 trains networks of numbers, but 3 columns of X"):
        TorchMLPClassifier(n_networks=2, **QUICK).fit(X, y)


def test_embeddings_can_do_what_one_hot_columns_can(table):
    X, y = table
    encoded = np.hstack(
        [
            StandardScaler().fit_transform(X[["size", "new", "count"]]),
            OneHotEncoder(sparse_output=False).fit_transform(X[["town", "kind", "grade"]]),
        ]
    )
    one_hot = TorchMLPClassifier(**QUICK).fit(encoded, y)
    assert TorchMLPClassifier(**QUICK).fit(X, y).loss_ < one_hot.loss_ + 0.05


# --- smoothed labels


def test_smoothed_labels_are_those_of_torch():
    X, y = load_iris(return_X_y=True)
    criterion = {"criterion": torch.nn.CrossEntropyLoss, "criterion__label_smoothing": 0.2}
    ours = TorchMLPClassifier(label_smoothing=0.2, **QUICK).fit(X, y)
    theirs = TorchMLPClassifier(**criterion, **QUICK).fit(X, y)
    assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-6, atol=1e-9)
    assert ours.predict_proba(X).max() < TorchMLPClassifier(**QUICK).fit(X, y).predict_proba(X).max()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_smoothed_labels_are_the_share_that_a_network_learns(solver):
    """Without features that say anything, the probability is the share of the smoothed labels."""
    X, y = np.zeros((300, 1)), np.arange(300) % 3 == 0
    choice = {"hidden_layer_sizes": (), "solver": solver, "alpha": 0, "label_smoothing": 0.3, "max_iter": 500}
    choice |= {"learning_rate": "cosine", "batch_size": 300}
    network = TorchMLPClassifier(**QUICK | choice).fit(X, y)
    assert_allclose(network.predict_proba(X)[0, 1], 0.7 / 3 + 0.15, atol=1e-3)


def test_the_defaults_are_scikit_learns():
    X, y = load_diabetes(return_X_y=True)
    assert TorchMLPRegressor(**QUICK).fit(X, y).coefs_[0].shape == (10, 8)
