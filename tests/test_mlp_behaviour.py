"""What a user of MLPClassifier and MLPRegressor expects, and what skorch's own nets do not give."""

import io
import pickle
import subprocess
import sys
import threading
import tracemalloc
import warnings

import numpy as np
import pytest
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_multilabel_classification,
)
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_svmdl import TorchMLPClassifier, TorchMLPRegressor

# A few epochs are enough for what is tested here, not for a network that has learnt something.
pytestmark = pytest.mark.filterwarnings("ignore:The training loss ended:sklearn.exceptions.ConvergenceWarning")
FOREVER = {"tol": 0, "n_iter_no_change": np.inf}
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0, **FOREVER}
ignore_convergence = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def weights_of(network):
    return np.concatenate([a.ravel() for a in network.coefs_ + network.intercepts_])


# --- the same parameters


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(TorchMLPClassifier, MLPClassifier), (TorchMLPRegressor, MLPRegressor)],
    ids=["classifier", "regressor"],
)
def test_parameters_and_defaults_are_scikit_learns(ours, theirs):
    peers = theirs().get_params()
    assert {name: ours().get_params()[name] for name in peers} == peers


def test_attributes_are_scikit_learns(iris):
    X, y = iris
    for extra in ({}, {"early_stopping": True}, {"solver": "lbfgs", "max_iter": 500}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            peer = MLPClassifier((5,), random_state=0, **extra).fit(X, y)
            network = TorchMLPClassifier((5,), random_state=0, **extra).fit(X, y)
        for name in vars(peer):
            if name.endswith("_") and not name.startswith("_"):
                ours, theirs = getattr(network, name), getattr(peer, name)
                assert type(ours) is type(theirs) or np.isscalar(ours) and np.isscalar(theirs), name
        assert [w.shape for w in network.coefs_] == [w.shape for w in peer.coefs_]
        assert (network.n_layers_, network.n_outputs_, network.out_activation_) == (3, 3, "softmax")


# --- what fails in skorch


@pytest.mark.parametrize("labels", [np.array(["a", "b", "c"]), np.array([1, 2, 7])], ids=["text", "numbers"])
def test_labels_of_any_kind(iris, labels):
    X, y = iris
    network = TorchMLPClassifier(**QUICK).fit(X, labels[y])
    assert_array_equal(network.classes_, labels)
    assert_array_equal(network.predict(X), labels[TorchMLPClassifier(**QUICK).fit(X, y).predict(X)])


def test_labels_1_and_2(cancer):
    X, y = cancer
    network = TorchMLPClassifier(learning_rate_init=0.05, **QUICK).fit(X, y + 1)
    assert set(network.predict(X)) == {1, 2}
    assert network.score(X, y + 1) > 0.9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_follows_X(iris, dtype):
    X, y = iris
    network = TorchMLPClassifier(**QUICK).fit(X.astype(dtype), y)
    assert network.coefs_[0].dtype == network.predict_proba(X).dtype == dtype
    assert TorchMLPClassifier(dtype="float32", **QUICK).fit(X, y).coefs_[0].dtype == np.float32


def test_targets_of_one_and_two_dimensions():
    X, y = load_diabetes(return_X_y=True)
    assert TorchMLPRegressor(**QUICK).fit(X, y).predict(X).shape == y.shape
    assert TorchMLPRegressor(**QUICK).fit(X, np.column_stack([y, y])).predict(X).shape == (len(y), 2)


@pytest.mark.parametrize(
    "extra",
    [{}, {"class_weight": "balanced"}, {"dtype": "float32"}, {"batch_size": 7}, {"solver": "sgd"}],
    ids=str,
)
def test_whole_number_weights_are_repeated_rows(iris, extra):
    X, y = iris
    weight = np.random.default_rng(0).integers(0, 4, len(y))
    repeated = TorchMLPClassifier(**QUICK | extra).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    weighted = TorchMLPClassifier(**QUICK | extra).fit(X, y, sample_weight=weight)
    assert_array_equal(weights_of(weighted), weights_of(repeated))


def test_weights_of_a_regression_are_repeated_rows():
    X, y = load_diabetes(return_X_y=True)
    weight = np.random.default_rng(0).integers(0, 4, len(y))
    repeated = TorchMLPRegressor(**QUICK).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert_array_equal(TorchMLPRegressor(**QUICK).fit(X, y, sample_weight=weight).predict(X), repeated.predict(X))


def test_large_weights_do_not_lengthen_the_epoch(iris):
    X, y = iris
    network = TorchMLPClassifier(**QUICK).fit(X, y, sample_weight=np.full(len(y), 1000))
    assert network.t_ == 5 * len(y)


def test_balanced_class_weights_are_the_weights_they_stand_for(cancer):
    X, y = cancer
    counts = np.bincount(y)
    stated = {label: len(y) / (2 * counts[label]) for label in (0, 1)}
    balanced = TorchMLPClassifier(class_weight="balanced", **QUICK).fit(X, y)
    assert_array_equal(weights_of(balanced), weights_of(TorchMLPClassifier(class_weight=stated, **QUICK).fit(X, y)))
    spelled_out = TorchMLPClassifier(**QUICK).fit(X, y, sample_weight=np.array([stated[0], stated[1]])[y])
    assert_allclose(weights_of(balanced), weights_of(spelled_out), rtol=1e-12)


def test_a_class_of_weight_zero_is_left_out(iris):
    X, y = iris
    left_out = TorchMLPClassifier(class_weight={0: 0.0}, batch_size=5, **QUICK).fit(X, y)
    without = TorchMLPClassifier(batch_size=5, **QUICK).fit(X, y, sample_weight=np.where(y == 0, 0.0, 1.0))
    assert_allclose(weights_of(left_out), weights_of(without), rtol=1e-10)
    with pytest.raises(ValueError, match="counting class_weight"):
        TorchMLPClassifier(class_weight={0: 0.0, 1: 0.0, 2: 0.0}, **QUICK).fit(X, y)


def test_class_weights_enter_the_validation_score(cancer):
    X, y = cancer
    network = TorchMLPClassifier(class_weight={0: 5.0, 1: 1.0}, **QUICK)
    network.fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
    expected = network.score(X[400:], y[400:], sample_weight=np.where(y[400:] == 0, 5.0, 1.0))
    assert_allclose(network.validation_scores_[-1], expected)


# --- random numbers and threads


@pytest.fixture
def two_threads():
    """torch may use two threads, however many the environment says."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "extra", [{}, {"dropout": 0.2}, {"early_stopping": True}, {"solver": "lbfgs", "max_iter": 500}], ids=str
)
def test_an_int_random_state_reproduces_every_bit_and_global_generators_rest(iris, extra, two_threads):
    X, y = iris
    fit = lambda: TorchMLPClassifier(**QUICK | extra).fit(X, y)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = weights_of(fit())
    torch.rand(3)
    middle = torch.get_rng_state()
    assert_array_equal(weights_of(fit()), first)
    assert torch.equal(torch.get_rng_state(), middle)
    torch.set_rng_state(before[0])
    assert_array_equal(np.random.get_state()[1], before[1])
    assert torch.get_num_threads() == 2


def test_order_of_the_rows_does_not_matter(iris):
    X, y = iris
    order = np.random.default_rng(0).permutation(len(y))
    base = TorchMLPClassifier(batch_size=7, **QUICK).fit(X, y)
    assert_array_equal(weights_of(TorchMLPClassifier(batch_size=7, **QUICK).fit(X[order], y[order])), weights_of(base))


def dropout_module(n, k):
    return torch.nn.Sequential(torch.nn.Linear(n, 8), torch.nn.Dropout(0.3), torch.nn.Linear(8, k))


@pytest.mark.parametrize("module", [None, dropout_module])
def test_fits_in_threads_are_fits_one_by_one(iris, module, two_threads):
    X, y = iris
    base = TorchMLPClassifier((8,), dropout=0.2, max_iter=20, module=module, **FOREVER)
    networks = [clone(base).set_params(random_state=seed) for seed in range(4)]
    alone = [clone(network).fit(X, y).predict_proba(X) for network in networks]
    workers = [threading.Thread(target=network.fit, args=(X, y)) for network in networks]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert torch.get_num_threads() == 2
    for network, expected in zip(networks, alone):
        assert_array_equal(network.predict_proba(X), expected)


def test_a_custom_module_leaves_the_global_generator_alone(iris):
    X, y = iris
    before = torch.get_rng_state()
    first, second = (TorchMLPClassifier(module=dropout_module, **QUICK).fit(X, y).predict_proba(X) for _ in range(2))
    assert_array_equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


# --- stopping and watching


def test_early_stopping_restores_the_best_epoch(cancer):
    X, y = cancer
    network = TorchMLPClassifier(
        (16,), learning_rate_init=0.05, early_stopping=True, n_iter_no_change=8, random_state=0
    )
    network.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    assert network.n_iter_ < network.max_iter
    assert network.best_validation_score_ == max(network.validation_scores_) == network.score(X[300:], y[300:])
    assert network.best_loss_ is None


def test_of_epochs_with_the_same_score_the_first_is_kept(cancer):
    X, y = cancer
    options = dict(learning_rate_init=0.05, early_stopping=True, n_iter_no_change=5, random_state=0)
    watched = dict(X_val=X[300:340], y_val=y[300:340])
    network = TorchMLPClassifier((16,), **options).fit(X[:300], y[:300], **watched)
    scores = network.validation_scores_
    assert scores.count(max(scores)) > 1
    # The same training, ended there.
    first = scores.index(max(scores))
    ended = TorchMLPClassifier((16,), max_iter=first + 1, **{**options, "n_iter_no_change": np.inf})
    ended.fit(X[:300], y[:300], **watched)
    assert_array_equal(weights_of(network), weights_of(ended))


def test_watching_changes_nothing(cancer):
    X, y = cancer
    alone = TorchMLPClassifier(**QUICK).fit(X[:400], y[:400])
    watched = TorchMLPClassifier(**QUICK).fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
    assert_array_equal(weights_of(alone), weights_of(watched))
    assert len(watched.validation_scores_) == 5


def test_monitor_validation_holds_out_a_part_and_trains_every_epoch(cancer, capsys):
    X, y = cancer
    network = TorchMLPClassifier(monitor_validation=True, validation_fraction=0.2, verbose=1, **QUICK).fit(X, y)
    assert network.n_iter_ == 5 and network.t_ == 5 * 455
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    for word in ("loss", "accuracy", "val_loss", "val_accuracy", "Epoch 1/5"):
        assert word in lines[0]
    assert set(network.history_[0]) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "dur"}
    assert [row["loss"] for row in network.history_] == network.loss_curve_


def test_a_users_validation_set_in_a_grid_search(cancer):
    X, y = cancer
    network = TorchMLPClassifier((8,), early_stopping=True, n_iter_no_change=3, learning_rate_init=0.01, random_state=0)
    search = GridSearchCV(network, {"alpha": [1e-4, 1e-1]}, cv=2).fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
    best = search.best_estimator_
    assert best.best_validation_score_ == best.score(X[400:], y[400:]) > 0.9


def test_adaptive_rate_falls_until_training_ends(iris):
    X, y = iris
    network = TorchMLPClassifier(
        (5,),
        solver="sgd",
        learning_rate="adaptive",
        learning_rate_init=0.1,
        tol=0.01,
        n_iter_no_change=2,
        max_iter=2000,
        random_state=0,
    ).fit(X, y)
    rates = np.array([row["lr"] for row in network.history_])
    falls = rates[1:][np.diff(rates) < 0] / rates[:-1][np.diff(rates) < 0]
    assert_allclose(falls, 0.2)
    assert rates[-1] <= 1e-6


def test_invscaling_and_cosine_rates(iris):
    X, y = iris
    inverse = TorchMLPClassifier(solver="sgd", learning_rate="invscaling", power_t=0.3, **QUICK).fit(X, y)
    seen = 150.0 * np.arange(5)
    assert_allclose([row["lr"] for row in inverse.history_], 0.001 / (seen + 1) ** 0.3)
    cosine = TorchMLPClassifier(learning_rate="cosine", **QUICK).fit(X, y)
    assert_allclose([row["lr"] for row in cosine.history_], 0.0005 * (1 + np.cos(np.pi * np.arange(5) / 5)))


def test_cosine_starts_anew_with_every_warm_fit(iris):
    network = TorchMLPClassifier(learning_rate="cosine", warm_start=True, **QUICK).fit(*iris).fit(*iris)
    rates = [row["lr"] for row in network.history_]
    assert rates[:5] == rates[5:]


def test_partial_fit_continues_and_warm_start_keeps_the_weights(iris):
    X, y = iris
    whole = TorchMLPClassifier(shuffle=False, **QUICK).fit(X, y)
    parts = TorchMLPClassifier(shuffle=False, **QUICK)
    for step in range(5):
        parts.partial_fit(X, y, classes=[0, 1, 2] if step == 0 else None)
        parts = pickle.loads(pickle.dumps(parts))
    assert_array_equal(weights_of(parts), weights_of(whole))
    assert parts.t_ == whole.t_ and parts.loss_curve_ == whole.loss_curve_
    again = TorchMLPClassifier(warm_start=True, **QUICK).fit(X, y)
    loss = again.loss_
    assert again.fit(X, y).loss_ < loss
    assert len(again.loss_curve_) == 10
    with pytest.raises(ValueError, match="same classes"):
        again.fit(X[:100], y[:100])
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        again.set_params(hidden_layer_sizes=(3,)).fit(X, y)


# --- kinds of targets


def test_multilabel_is_one_logistic_loss_a_label():
    X, y = make_multilabel_classification(200, n_classes=4, random_state=0)
    network = TorchMLPClassifier((30,), learning_rate_init=0.01, alpha=0, max_iter=100, random_state=0, **FOREVER).fit(
        X, y
    )
    probability = network.predict_proba(X)
    assert probability.shape == (200, 4)
    assert_array_equal(network.predict(X), (probability > 0.5).astype(int))
    losses = [log_loss(y[:, k], probability[:, k]) for k in range(4)]
    watched = network.fit(X, y, X_val=X, y_val=y).history_[-1]["val_loss"]
    assert_allclose(watched, np.sum(losses))
    assert np.all(losses < 0.7 * np.array([log_loss(column, np.full(200, column.mean())) for column in y.T]))


def test_one_class_has_probability_1(iris):
    network = TorchMLPClassifier(**QUICK).fit(iris[0], np.full(150, "only"))
    assert_array_equal(network.predict_proba(iris[0]), np.ones((150, 1)))
    assert set(network.predict(iris[0])) == {"only"}


def test_log_proba_is_the_logarithm(iris):
    network = TorchMLPClassifier(**QUICK).fit(*iris)
    assert_allclose(np.exp(network.predict_log_proba(iris[0])), network.predict_proba(iris[0]))


# --- sparse input


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@ignore_convergence
def test_csr_is_dense_to_the_last_bit(solver):
    X, y = load_digits(return_X_y=True)
    dense, csr = (TorchMLPClassifier(**QUICK | {"solver": solver}).fit(data, y) for data in (X, sparse.csr_array(X)))
    assert_array_equal(weights_of(dense), weights_of(csr))
    assert_array_equal(dense.predict_proba(X), csr.predict_proba(sparse.csr_matrix(X)))


@pytest.mark.parametrize(
    "extra", [{}, {"solver": "lbfgs", "max_iter": 1}, {"early_stopping": True, "max_iter": 2}], ids=str
)
@ignore_convergence
def test_csr_is_never_made_dense_as_a_whole(extra):
    X = sparse.random(20_000, 2_000, density=0.002, format="csr", random_state=0)
    y = np.asarray(X[:, :10].sum(axis=1) > 0).ravel()
    network = TorchMLPClassifier(**QUICK | {"max_iter": 1} | extra)
    tracemalloc.start()
    network.fit(X, y).predict_proba(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.35 * X.shape[0] * X.shape[1] * 8


# --- pickles


def test_pickle_is_small_and_equal(iris):
    X, y = iris
    network = TorchMLPClassifier((64, 32), max_iter=20, random_state=0, **FOREVER).fit(X, y)
    data = pickle.dumps(network)
    numbers = weights_of(network).nbytes
    assert len(data) < numbers + 16_000
    assert_array_equal(pickle.loads(data).predict_proba(X), network.predict_proba(X))
    with_callbacks = TorchMLPClassifier((64, 32), max_iter=20, random_state=0, callbacks=[], **FOREVER)
    assert len(pickle.dumps(with_callbacks.fit(X, y))) < numbers + 16_000


def test_no_graph_hook_generator_or_optimizer_stays_behind(iris):
    network = TorchMLPClassifier(dropout=0.1, callbacks=[], **QUICK).fit(*iris)
    assert network.module_.generator is None
    assert not hasattr(network.net_, "optimizer_")
    for parameter in network.module_.parameters():
        assert parameter.grad is None and parameter.grad_fn is None and parameter.device.type == "cpu"
        assert parameter.untyped_storage().nbytes() == parameter.numel() * parameter.element_size()


# --- errors


def test_lost_weights_end_in_advice(iris):
    X, y = load_diabetes(return_X_y=True)
    network = TorchMLPRegressor(solver="sgd", learning_rate_init=1e6, max_iter=50, **FOREVER, random_state=0)
    with pytest.raises(ValueError, match="learning_rate_init=1000000.0.*StandardScaler"):
        network.fit(X * 1e3, y)


def test_early_stopping_restores_finite_weights(iris):
    class Explode(torch.nn.Linear):
        calls = 0

        def forward(self, X):
            if self.training:
                self.calls += 1
            return super().forward(X) * (float("nan") if self.calls > 4 else 1.0)

    X, y = iris
    network = TorchMLPClassifier(module=Explode, early_stopping=True, max_iter=20, random_state=0).fit(X, y)
    assert np.isfinite(network.module_.weight.detach().numpy()).all()
    assert network.n_iter_ < 20


@pytest.mark.parametrize(
    ("parameters", "fit_parameters", "message"),
    [
        ({"hidden_layer_sizes": (5, 0)}, {}, r"hidden_layer_sizes must be integers > 0, got \[5, 0\]"),
        ({"hidden_layer_sizes": (2.5,)}, {}, r"hidden_layer_sizes must be integers > 0, got \[2.5\]"),
        ({"device": "abacus"}, {}, "device='abacus' is not available.*cpu"),
        ({}, {"X_val": np.ones((2, 4))}, "X_val and y_val must be given together"),
        ({}, {"X_val": np.ones((2, 3)), "y_val": [0, 1]}, "features"),
        ({}, {"X_val": np.ones((2, 4)), "y_val": [0, 9]}, "classes not in"),
        ({}, {"sample_weight": np.zeros(150)}, "at least one non-zero number"),
        ({}, {"sample_weight": -np.ones(150)}, "Negative values in sample_weight"),
        ({"early_stopping": True, "validation_fraction": 0.001}, {}, "validation_fraction=0.001 of 150 rows"),
        ({"module": lambda n, k: torch.nn.Linear(n, k + 1)}, {}, r"n_outputs\) = \(150, 3\), got \(150, 4\)"),
        ({"module": lambda n, k: torch.nn.Linear(n, 1)}, {}, r"= \(150, 3\), got \(150, 1\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_bad_input_is_named(iris, parameters, fit_parameters, message):
    with pytest.raises(ValueError, match=message):
        TorchMLPClassifier(**QUICK | parameters).fit(*iris, **fit_parameters)


def test_bad_modules_and_calls_are_named(iris):
    with pytest.raises(TypeError, match="got an instance of Linear"):
        TorchMLPClassifier(module=torch.nn.Linear(4, 3)).fit(*iris)
    with pytest.raises(TypeError, match="must make a torch.nn.Module, got list"):
        TorchMLPClassifier(module=lambda n, k: []).fit(*iris)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping"):
        TorchMLPClassifier(early_stopping=True).partial_fit(*iris, classes=[0, 1, 2])
    with pytest.raises(AttributeError, match="partial_fit"):
        TorchMLPClassifier(solver="lbfgs").partial_fit
    with pytest.raises(ValueError, match="smallest y is -1"):
        TorchMLPRegressor("poisson").fit(iris[0], iris[1] - 1)
    with pytest.raises(AttributeError, match="built-in network only"):
        TorchMLPClassifier(module=torch.nn.Linear, **QUICK).fit(*iris).coefs_


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_targets_that_overflow_are_named(loss):
    X, y = load_diabetes(return_X_y=True)
    with pytest.raises(ValueError, match=r"of y overflows: the largest \|y\| is 1e\+308"):
        TorchMLPRegressor(loss, **QUICK).fit(X, y / y.max() * 1e308)


def test_not_converged_is_said_unless_asked_for(iris):
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(3\) reached"):
        TorchMLPClassifier(max_iter=3).fit(*iris)
    with pytest.warns(ConvergenceWarning, match="lbfgs stopped after 2 iterations"):
        TorchMLPClassifier(max_iter=2, solver="lbfgs").fit(*iris)
    with pytest.warns(UserWarning, match="batch_size=1000 is larger than the 150 rows"):
        TorchMLPClassifier(batch_size=1000, **QUICK).fit(*iris)


# --- in company


@ignore_convergence
def test_grid_search_in_a_pipeline_with_two_jobs(iris):
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), TorchMLPClassifier(max_iter=30, random_state=0))
    name = "torchmlpclassifier__"
    grid = {"hidden_layer_sizes": [(8,), (8, 8)], "alpha": [1e-4, 1e-2], "learning_rate_init": [0.01, 0.05]}
    grid = {name + parameter: values for parameter, values in grid.items()}
    search = GridSearchCV(pipeline, grid, n_jobs=2, cv=2).fit(X, y)
    assert search.best_score_ > 0.93
    alone = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])


def test_a_pipeline_can_scale_the_validation_set():
    X, y = load_breast_cancer(return_X_y=True)
    network = TorchMLPClassifier(learning_rate_init=0.05, **QUICK)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = network.set_fit_request(X_val=True, y_val=True)
        pipeline = Pipeline([("scale", StandardScaler()), ("network", routed)], transform_input=["X_val"])
        pipeline.fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
        assert_allclose(pipeline[-1].validation_scores_[-1], pipeline.score(X[400:], y[400:]))


@ignore_convergence
def test_company_of_meta_estimators(iris, cancer):
    X, y = cancer
    calibrated = CalibratedClassifierCV(TorchMLPClassifier(learning_rate_init=0.05, **QUICK), ensemble=False, cv=3).fit(
        X, y
    )
    assert calibrated.score(X, y) > 0.9
    assert cross_val_predict(TorchMLPClassifier(**QUICK), *iris, method="predict_proba").shape == (150, 3)
    stopping = TorchMLPClassifier((8,), early_stopping=True, learning_rate_init=0.01, random_state=0)
    assert cross_val_score(stopping, X, y, cv=3).mean() > 0.9
    X, y = load_diabetes(return_X_y=True)
    bagging = BaggingRegressor(
        TorchMLPRegressor(learning_rate_init=0.02, **QUICK | {"max_iter": 100}),
        n_estimators=3,
        random_state=0,
    )
    assert bagging.fit(X, y).score(X, y) > 0.3


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_digits])
@ignore_convergence
def test_accuracy_is_mlpclassifiers_within_noise(load):
    """At equal settings the 5-fold means differ by less than two standard errors, or 1 %."""
    X, y = load(return_X_y=True)
    same = dict(hidden_layer_sizes=(32,), learning_rate_init=0.01, max_iter=40, random_state=0)
    ours, theirs = (
        cross_val_score(make_pipeline(StandardScaler(), network(**same)), X, y, cv=5)
        for network in (TorchMLPClassifier, MLPClassifier)
    )
    noise = 2 * np.sqrt((ours.var(ddof=1) + theirs.var(ddof=1)) / 5)
    assert ours.mean() > theirs.mean() - max(noise, 0.01)


# --- imports


def run_fresh(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_neither_torch_nor_matplotlib():
    run_fresh("import sys, sklearn_svmdl; assert not {'torch', 'skorch', 'matplotlib'} & set(sys.modules)")


def test_first_fit_imports_no_compiler():
    """Making a torch optimizer would import torch._dynamo, and sympy with it: most of a second."""
    run_fresh(
        "import sys, numpy as np\n"
        "from sklearn_svmdl import TorchMLPClassifier\n"
        "before = {'torch._dynamo', 'sympy'} & set(sys.modules)\n"
        "TorchMLPClassifier(max_iter=2, tol=0, n_iter_no_change=np.inf).fit(np.eye(20), np.arange(20) % 2)\n"
        "assert {'torch._dynamo', 'sympy'} & set(sys.modules) == before"
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_gives_the_same_network_and_pickles_to_the_cpu(iris):
    X, y = iris
    on_gpu = TorchMLPClassifier(device="cuda", **QUICK).fit(X, y)
    assert_allclose(weights_of(on_gpu), weights_of(TorchMLPClassifier(**QUICK).fit(X, y)), rtol=1e-6, atol=1e-9)
    on_cpu = torch.load(io.BytesIO(torch_bytes(on_gpu.module_)), map_location="cpu", weights_only=False)
    assert all(p.device.type == "cpu" for p in on_cpu.parameters())


def torch_bytes(module):
    buffer = io.BytesIO()
    torch.save(module, buffer)
    return buffer.getvalue()
