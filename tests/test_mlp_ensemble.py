"""Several networks side by side: each is the network trained alone, and their mean is what is predicted."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import TorchMLPClassifier, TorchMLPRegressor
from sklearn_svmdl.neural_network import _base

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
FOREVER = {"tol": 0, "n_iter_no_change": np.inf, "random_state": 0}
QUICK = {"hidden_layer_sizes": (8, 6), "max_iter": 6, "batch_size": 32, "learning_rate_init": 0.01, **FOREVER}


def data(load):
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.fixture(scope="module")
def cancer():
    return data(load_breast_cancer)


def members_alone(ensemble, X, y, monkeypatch, fit="fit", **parameters):
    """Networks trained one by one, each from the seed of a member of the ensemble."""
    for seed in ensemble.net_.seeds:
        with monkeypatch.context() as patch:
            patch.setattr(_base, "draw_seed", lambda random_state, seed=seed: seed)
            yield getattr(clone(ensemble).set_params(n_networks=1), fit)(X, y, **parameters)


CHOICES = [
    {},
    {"solver": "sgd"},
    {"solver": "sgd", "learning_rate": "invscaling"},
    {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.03, "n_iter_no_change": 1, "max_iter": 60},
    {"solver": "adamw", "alpha": 0.1},
    {"solver": "lbfgs", "max_iter": 20},
    {"alpha": 1.0},
    {"activation": "gelu"},
    {"activation": "logistic", "hidden_layer_sizes": ()},
    {"learning_rate": "cosine"},
    {"shuffle": False},
    {"batch_size": 142},
    {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 40},
    {"tol": 0.02, "n_iter_no_change": 2, "max_iter": 60},
    {"monitor_validation": True},
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("load", [load_breast_cancer, load_iris, load_diabetes])
def test_each_member_is_the_network_trained_alone(load, choice, weighted, monkeypatch):
    X, y = data(load)
    kind = TorchMLPRegressor if load is load_diabetes else TorchMLPClassifier
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y)) if weighted else None
    ensemble = kind(n_networks=3, dtype="float64", **QUICK | choice).fit(X, y, sample_weight=weight)
    alone = list(members_alone(ensemble, X, y, monkeypatch, sample_weight=weight))
    for i, member in enumerate(alone):
        for ours, theirs in zip(ensemble.coefs_ + ensemble.intercepts_, member.coefs_ + member.intercepts_):
            assert_allclose(ours[i], theirs, rtol=1e-6, atol=1e-8)
    assert ensemble.n_iter_ == max(member.n_iter_ for member in alone)
    assert_allclose(ensemble.loss_, np.mean([member.loss_ for member in alone]), rtol=1e-7)
    predict = "predict" if kind is TorchMLPRegressor else "predict_proba"
    mean = np.mean([getattr(member, predict)(X) for member in alone], axis=0)
    assert_allclose(getattr(ensemble, predict)(X), mean, rtol=1e-6, atol=1e-12)
    if choice.get("early_stopping") and not weighted:
        assert len({member.n_iter_ for member in alone}) > 1 or load is load_diabetes  # each stops by itself


def test_partial_fits_are_those_of_the_members_alone(cancer, monkeypatch):
    X, y = cancer
    ensemble = TorchMLPClassifier(n_networks=3, dtype="float64", **QUICK)
    for step in range(4):
        ensemble = pickle.loads(pickle.dumps(ensemble.partial_fit(X, y, **({} if step else {"classes": [0, 1]}))))
    for i, seed in enumerate(ensemble.net_.seeds):
        with monkeypatch.context() as patch:
            patch.setattr(_base, "draw_seed", lambda random_state, seed=seed: seed)
            member = clone(ensemble).set_params(n_networks=1)
            for step in range(4):
                member.partial_fit(X, y, **({} if step else {"classes": [0, 1]}))
        assert_allclose(ensemble.coefs_[0][i], member.coefs_[0], rtol=1e-7, atol=1e-10)
    again = ensemble.set_params(warm_start=True).fit(X, y)
    assert len(again.loss_curve_) == 10


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_members_start_and_shuffle_differently_and_reproducibly(cancer, dropout):
    first, second = (TorchMLPClassifier(n_networks=4, dropout=dropout, **QUICK).fit(*cancer) for _ in range(2))
    for w, again in zip(first.coefs_, second.coefs_):
        assert_array_equal(w, again)
        assert len(np.unique(w[:, 0, 0])) == 4


def test_what_is_predicted_is_the_mean_of_the_members(cancer):
    for X, y in (cancer, data(load_iris)):
        model = TorchMLPClassifier(n_networks=3, activation="tanh", **QUICK).fit(X, y)
        members = []
        for i in range(3):
            a = X.astype(np.float32)
            for w, b in zip(model.coefs_[:-1], model.intercepts_[:-1]):
                a = np.tanh(a @ w[i] + b[i])
            z = a @ model.coefs_[-1][i] + model.intercepts_[-1][i]
            members.append(softmax(z, 1) if z.shape[1] > 1 else np.hstack([1 - expit(z), expit(z)]))
        assert_allclose(model.predict_proba(X), np.mean(members, axis=0), atol=1e-5)
        assert_array_equal(model.predict(X), model.classes_[model.predict_proba(X).argmax(1)])
        assert_allclose(model.predict_spread(X), np.std(members, axis=0), atol=1e-5)
        assert_allclose(model.net_.predict_proba(X), model.predict_proba(X), atol=1e-6)


def test_spread_of_a_regression_is_in_the_units_of_y():
    X, y = data(load_diabetes)
    model = TorchMLPRegressor(n_networks=5, **QUICK | {"max_iter": 40}).fit(X, y)
    spread = model.predict_spread(X)
    assert spread.shape == y.shape and 0 < spread.mean() < y.std()
    wide = TorchMLPRegressor(n_networks=5, **QUICK | {"max_iter": 40}).fit(X, np.column_stack([y, 1000 * y]))
    ratio = wide.predict_spread(X).mean(0)
    assert 300 < ratio[1] / ratio[0] < 3000
    outside = model.predict_spread(10 * X)
    assert outside.mean() > 2 * spread.mean()  # they agree where there are data
    with pytest.raises(AttributeError, match="predict_spread"):
        TorchMLPRegressor(**QUICK).fit(X, y).predict_spread(X)


def test_other_kinds_of_targets_and_input():
    X, y = make_multilabel_classification(200, n_classes=4, random_state=0)
    model = TorchMLPClassifier(n_networks=3, **QUICK).fit(X, y)
    assert_array_equal(model.predict(X), (model.predict_proba(X) > 0.5).astype(int))
    csr = clone(model).fit(sparse.csr_array(X), y)
    assert_array_equal(csr.coefs_[0], model.coefs_[0])
    only = TorchMLPClassifier(n_networks=2, **QUICK).fit(X, np.full(200, "only"))
    assert_array_equal(only.predict_proba(X), np.ones((200, 1)))
    assert np.all(only.predict_spread(X) == 0)


def test_single_precision_is_the_default_and_double_can_be_had(cancer):
    assert TorchMLPClassifier(n_networks=2, **QUICK).fit(*cancer).coefs_[0].dtype == np.float32
    assert TorchMLPClassifier(n_networks=2, dtype="float64", **QUICK).fit(*cancer).coefs_[0].dtype == np.float64


def test_an_ensemble_has_a_lower_log_loss_on_held_out_rows():
    X, y = data(load_breast_cancer)
    single, several = [], []
    for split in range(3):
        X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=split, stratify=y)
        same = {"hidden_layer_sizes": (32,), "learning_rate_init": 0.01, "max_iter": 60, "random_state": split}
        for k, losses in ((1, single), (8, several)):
            model = TorchMLPClassifier(n_networks=k, **same).fit(X_train, y_train)
            losses.append(log_loss(y_test, model.predict_proba(X_test)))
    assert np.mean(several) < np.mean(single)


def test_all_members_are_watched_for_failure(cancer):
    with warnings.catch_warnings(), pytest.warns(ConvergenceWarning, match="training loss ended"):
        warnings.simplefilter("always")
        TorchMLPClassifier(n_networks=3, **QUICK | {"learning_rate_init": 1e3, "activation": "tanh"}).fit(*cancer)
