"""Parts of the networks one by one: first weights, dropout, batches, the order of rows, which loop, what is put back.

Each is held to an identity, or to scikit-learn.
"""

from copy import deepcopy
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, mean_poisson_deviance, r2_score
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_svmdl import TorchMLPClassifier, TorchMLPRegressor
from sklearn_svmdl.neural_network import _net, _rows, _runtime
from sklearn_svmdl.neural_network._columns import PiecewiseLinearEncoder, as_numbers, cardinalities, fit_columns
from sklearn_svmdl.neural_network._heads import HEADS
from sklearn_svmdl.neural_network._module import dropout_mask
from sklearn_svmdl.neural_network._rows import Batches, make_rows

pytestmark = pytest.mark.filterwarnings("ignore:The training loss ended")
EVERY_EPOCH = dict(tol=0, n_iter_no_change=np.inf, random_state=0)
# So small a step that the first weights are what is left.
NO_STEP = dict(solver="sgd", learning_rate_init=1e-300, max_iter=1, **EVERY_EPOCH)


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def weights_of(network):
    return np.concatenate([part.ravel() for part in network.coefs_ + network.intercepts_])


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu", "silu", "gelu"])
def test_the_first_weights_are_as_wide_as_scikit_learns(activation):
    X, y = np.zeros((4, 300)), [0, 1, 0, 1]
    network = TorchMLPClassifier((200,), activation=activation, **NO_STEP).fit(X, y)
    bound = np.sqrt((2.0 if activation == "logistic" else 6.0) / (300 + 200))
    # The largest of 60,000 uniform numbers is within a thousandth of the end.
    assert 0.999 * bound < np.abs(network.coefs_[0]).max() <= bound
    assert_allclose(network.coefs_[0].mean(), 0.0, atol=4 * bound / np.sqrt(3 * 60_000))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_dropout_keeps_the_expected_activation(share):
    mask = dropout_mask(torch.empty(200_000, dtype=torch.float64), share, torch.Generator().manual_seed(0)).numpy()
    assert_allclose(np.unique(mask), [0.0, 1.0 / (1.0 - share)], rtol=1e-12)
    deviation = np.sqrt(share / (1.0 - share) / len(mask))
    assert abs(mask.mean() - 1.0) < 4 * deviation


def test_dropout_ends_with_the_training(cancer):
    X, y = cancer
    network = TorchMLPClassifier((8,), dropout=0.5, max_iter=2, **EVERY_EPOCH).fit(X, y)
    module = network.module_.eval()
    with torch.no_grad():
        z = module(torch.from_numpy(X)).numpy()[:, 0]
    assert_allclose(network.predict_proba(X)[:, 1], 1 / (1 + np.exp(-z)), rtol=1e-12)


def test_lbfgs_drops_nothing(cancer):
    X, y = cancer
    options = dict(solver="lbfgs", max_iter=15, random_state=0)
    with pytest.warns(UserWarning, match="max_iter=15"):
        plain, dropping = (TorchMLPClassifier((4,), dropout=share, **options).fit(X, y) for share in (0.0, 0.5))
    assert_array_equal(weights_of(plain), weights_of(dropping))


def test_weights_that_are_no_whole_numbers_weigh_the_loss_of_lbfgs():
    random = np.random.RandomState(0)
    X = random.randn(300, 4)
    y, weight = (X[:, 0] + random.randn(300) > 0).astype(int), random.uniform(0.2, 3.0, 300)
    options = dict(solver="lbfgs", alpha=2.0, tol=1e-9, max_iter=2000, random_state=0)
    network = TorchMLPClassifier((), **options).fit(X, y, weight)
    oracle = LogisticRegression(C=0.5, solver="newton-cholesky", tol=1e-10).fit(X, y, weight)
    # scipy's L-BFGS ends where the loss falls by less than 2e-9 of itself: the root of that is what numbers may be off.
    assert_allclose(network.coefs_[0].ravel(), oracle.coef_.ravel(), atol=2e-4)
    assert_allclose(network.intercepts_[0], oracle.intercept_, atol=2e-4)
    unweighted = LogisticRegression(C=0.5, solver="newton-cholesky", tol=1e-10).fit(X, y)
    assert np.abs(unweighted.coef_ - oracle.coef_).max() > 0.02


# --- losses and steps


@pytest.mark.parametrize("solver, alpha", [("adam", 3.0), ("sgd", 3.0), ("adamw", 3.0), ("adam", 0.0)])
def test_the_loss_of_an_epoch_is_that_before_its_step_and_the_penalty_that_of_its_end(solver, alpha, cancer):
    X, y = cancer
    options = dict(EVERY_EPOCH, batch_size=len(y), alpha=alpha)
    first = TorchMLPClassifier((4,), **{**NO_STEP, **options}).fit(X, y)
    network = TorchMLPClassifier((4,), solver=solver, max_iter=1, **options).fit(X, y)
    squares = sum(np.sum(weights**2) for weights in network.coefs_)
    # adamw shrinks the weights outside of the loss.
    penalty = 0.0 if solver == "adamw" else 0.5 * alpha / len(y) * squares
    assert_allclose(network.loss_curve_, [log_loss(y, first.predict_proba(X)) + penalty], rtol=1e-10)
    assert network.loss_ == network.best_loss_ == network.loss_curve_[0]


@pytest.mark.parametrize("learning_rate", ["invscaling", "adaptive"])
def test_adam_keeps_its_rate(learning_rate, cancer):
    # As in scikit-learn these schedules are those of SGD.
    network = TorchMLPClassifier((4,), learning_rate=learning_rate, tol=1e9, n_iter_no_change=3, max_iter=50)
    network.fit(*cancer)
    assert network.n_iter_ == 5
    assert {row["lr"] for row in network.history_} == {0.001}


@pytest.mark.parametrize("patience", [1, 3])
def test_each_rate_of_an_adaptive_training_has_the_same_patience(patience, cancer):
    options = dict(learning_rate="adaptive", learning_rate_init=0.01, tol=1e9, n_iter_no_change=patience)
    network = TorchMLPClassifier((4,), solver="sgd", max_iter=200, random_state=0, **options).fit(*cancer)
    rates, epochs = np.unique([row["lr"] for row in network.history_], return_counts=True)
    # .01 / 5^k, down to the first below 1e-6; only the very first epoch is better than what was before.
    assert_allclose(rates[::-1], 0.01 / 5.0 ** np.arange(7), rtol=1e-12)
    assert_array_equal(epochs[::-1], [patience + 2] + [patience + 1] * 6)


def test_a_changed_momentum_begins_without_velocity(cancer):
    X, y = cancer
    options = dict(solver="sgd", learning_rate_init=0.1, nesterovs_momentum=False, batch_size=len(y))
    network = TorchMLPClassifier((4,), momentum=0.9, **options, **EVERY_EPOCH)
    for _ in range(3):
        network.partial_fit(X, y, classes=[0, 1])
    ends = []
    for momentum in (0.0, 0.5):
        # The first step from rest is that of plain descent.
        changed = deepcopy(network).set_params(momentum=momentum)
        ends.append(weights_of(changed.partial_fit(X, y)))
    assert_array_equal(*ends)
    assert np.abs(ends[0] - weights_of(network.partial_fit(X, y))).max() > 1e-3


class StillBiases(Callback):
    """Gives the biases a rate of zero."""

    def on_epoch_begin(self, net, **kwargs):
        net.optimizer_.param_groups[1]["lr"] = 0.0


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_weights_and_biases_may_have_rates_of_their_own(solver, cancer):
    options = dict(EVERY_EPOCH, max_iter=2)
    first = TorchMLPClassifier((4,), **NO_STEP).fit(*cancer)
    network = TorchMLPClassifier((4,), solver=solver, callbacks=[StillBiases()], **options).fit(*cancer)
    for ours, before in zip(network.intercepts_, first.intercepts_, strict=True):
        assert_array_equal(ours, before)
    for ours, before in zip(network.coefs_, first.coefs_, strict=True):
        assert (ours != before).any()


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_and_scores_of_the_heads_are_scikit_learns(weighted):
    random = np.random.RandomState(0)
    z = random.randn(40, 3)
    weight = random.uniform(0.2, 2.0, 40) if weighted else None
    given = {"sample_weight": weight}

    def of_head(name, *arrays):
        given = [None if part is None else torch.from_numpy(part) for part in (*arrays, weight)]
        return [HEADS[name].loss(*given), HEADS[name].score(*given)]

    labels = random.randint(0, 2, (40, 3)).astype(float)
    p = 1 / (1 + np.exp(-z))
    loss = sum(log_loss(labels[:, k], p[:, k], **given) for k in range(3))
    assert_allclose(of_head("multilabel-indicator", z, labels), [loss, accuracy_score(labels, z > 0, **given)])
    codes = random.randint(0, 3, 40)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    found = of_head("multiclass", z, np.eye(3)[codes])
    assert_allclose(found, [log_loss(codes, p, **given), accuracy_score(codes, z.argmax(axis=1), **given)])
    counts = random.poisson(2.0, (40, 1)).astype(float)
    found = of_head("poisson", z[:, :1], counts)
    expected = [mean_poisson_deviance(counts, np.exp(z[:, 0]), **given) / 2, r2_score(counts, np.exp(z[:, 0]), **given)]
    assert_allclose(found, expected)
    # The second target is constant and hit, the third constant and missed.
    y, hit = z + random.randn(40, 3), z.copy()
    y[:, 1], hit[:, 1], y[:, 2] = 2.0, 2.0, 5.0
    found = of_head("squared_error", hit, y)
    half = 0.5 * np.average(np.square(y - hit).sum(axis=1), weights=weight)
    assert_allclose(found, [half, r2_score(y, hit, **given)])


@pytest.mark.parametrize("name", ["multiclass", "multilabel-indicator", "squared_error", "poisson"])
def test_weights_are_repetition_in_the_loss_of_the_best_constant(name):
    random = np.random.RandomState(0)
    targets = (
        np.eye(3)[random.randint(0, 3, 20)] if name == "multiclass" else random.randint(0, 2, (20, 3)).astype(float)
    )
    weight = random.randint(1, 5, 20)
    repeated = torch.from_numpy(np.repeat(targets, weight, axis=0))
    found = HEADS[name].constant_loss(torch.from_numpy(targets), torch.from_numpy(weight.astype(float)))
    assert_allclose(found, HEADS[name].constant_loss(repeated), rtol=1e-12)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_partial_fit_that_loses_the_weights_leaves_those_before(solver, cancer):
    X, y = cancer
    network = TorchMLPClassifier((4,), solver=solver, **EVERY_EPOCH)
    for _ in range(2):
        network.partial_fit(X, y, classes=[0, 1])
    before, rows = weights_of(network).copy(), len(network.history_)
    with pytest.raises(ValueError, match="non-finite weights"):
        network.set_params(learning_rate_init=1e308).partial_fit(X, y)
    assert_array_equal(weights_of(network), before)
    assert len(network.history_) == rows == 2


def test_a_module_of_ones_own_is_put_back_as_well(cancer):
    X, y = cancer
    network = TorchMLPClassifier(module=torch.nn.Linear, solver="sgd", **EVERY_EPOCH)
    for _ in range(2):
        network.partial_fit(X, y, classes=[0, 1])
    before = network.module_.weight.detach().numpy().copy()
    with pytest.raises(ValueError, match="non-finite weights"):
        network.set_params(learning_rate_init=1e308).partial_fit(X, y)
    assert_array_equal(network.module_.weight.detach().numpy(), before)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_of_several_networks_any_that_learnt_nothing_is_told(lost, cancer, monkeypatch):
    runs, own = [], TorchMLPClassifier._warn_of_failure
    monkeypatch.setattr(TorchMLPClassifier, "_warn_of_failure", lambda *args: (runs.append(args), own(*args))[1])
    TorchMLPClassifier((4,), n_networks=3, max_iter=20, **EVERY_EPOCH).fit(*cancer)
    ((network, net, run),) = runs
    run.progresses[lost].data_loss = np.nan
    with pytest.warns(ConvergenceWarning, match="training loss ended at nan"):
        own(network, net, run)


@pytest.mark.parametrize(
    "missing, held_as",
    [*product([None, np.nan, pd.NA], [None, object, "string", "category"]), (None, "array"), (np.nan, "array")],
)
def test_missing_categories_of_the_training_rows_have_no_embedding(missing, held_as):
    def table(values):
        dtype = object if held_as == "array" else held_as
        frame = pd.DataFrame({"a": pd.Series(values, dtype=dtype), "b": np.arange(float(len(values)))})
        return frame.to_numpy(object) if held_as == "array" else frame

    columns = fit_columns(table(["x", missing, "y", "x"]), [0], None, False)
    assert cardinalities(columns) == [2 + 1]  # scikit-learn counts nan, whose code is -1
    assert_array_equal(as_numbers(columns, table(["x", missing, "y", "x"]))[:, -1], [0, -1, 1, 0])
    assert_array_equal(as_numbers(columns, table(["z", missing, None]))[:, -1], [-1, -1, -1])


def test_the_outer_bins_of_a_piecewise_encoding_go_on():
    encoder = PiecewiseLinearEncoder(n_bins=4).fit(np.arange(9.0)[:, None])
    # Bins of width 2 from 0 to 8.
    beyond = encoder.transform([[-1.0], [3.0], [10.0]])
    assert_allclose(beyond, [[-0.5, 0, 0, 0], [1, 0.5, 0, 0], [1, 1, 1, 2]])


# --- rows and batches


@pytest.mark.parametrize("n_rows", [5000, 2049, 3])
def test_many_rows_are_predicted_as_few(n_rows, cancer):
    network = TorchMLPClassifier((4,), max_iter=2, **EVERY_EPOCH).fit(*cancer)
    rows = np.random.RandomState(0).randn(n_rows, 30)
    pieces = [network.predict_proba(piece) for piece in np.array_split(rows, max(1, n_rows // 700))]
    assert_allclose(network.predict_proba(rows), np.vstack(pieces), rtol=1e-12)


@pytest.mark.parametrize("batch_size", [7, 10])
def test_an_epoch_has_every_row_once_however_many_are_fetched_at_a_time(batch_size, monkeypatch):
    monkeypatch.setattr(_rows, "BLOCK_SIZE", 60)
    X, y = np.arange(303.0).reshape(101, 3), np.arange(101.0)
    batches = Batches(make_rows(X, y, canonical=False), batch_size)
    for generators in (None, [torch.Generator().manual_seed(0)]):
        seen = np.concatenate([y.numpy() for _, y, _ in batches.epoch(generators)])
        assert_array_equal(np.sort(seen), y)
        assert (seen == y).all() == (generators is None)


def test_batches_are_of_200_rows_unless_told_otherwise(cancer):
    by_default, told = (TorchMLPClassifier((4,), batch_size=size, max_iter=2, **EVERY_EPOCH) for size in ("auto", 200))
    assert_array_equal(weights_of(by_default.fit(*cancer)), weights_of(told.fit(*cancer)))
    with pytest.warns(UserWarning, match="batch_size=1000 is larger than the 569 rows"):
        TorchMLPClassifier((4,), batch_size=1000, max_iter=1, **EVERY_EPOCH).fit(*cancer)


def test_rows_that_are_equal_but_for_their_label_or_a_signed_zero_have_one_order():
    random = np.random.RandomState(0)
    X, y = np.repeat(random.randint(0, 3, (10, 2)).astype(float), 4, axis=0), random.randint(0, 2, 40)
    network = TorchMLPClassifier((3,), batch_size=4, max_iter=3, **EVERY_EPOCH)
    expected = weights_of(network.fit(X, y))
    for seed in range(3):
        order = np.random.RandomState(seed).permutation(40)
        assert_array_equal(weights_of(network.fit(X[order], y[order])), expected)
    assert (X == 0).any()
    assert_array_equal(weights_of(network.fit(np.where(X == 0, -0.0, X), y)), expected)


def test_every_partial_fit_has_an_order_of_its_own(cancer, monkeypatch):
    orders, own = [], torch.randperm
    monkeypatch.setattr(torch, "randperm", lambda *a, **k: (orders.append(own(*a, **k)), orders[-1])[1])
    network = TorchMLPClassifier((4,), **EVERY_EPOCH)
    for _ in range(3):
        network.partial_fit(*cancer, classes=[0, 1])
    assert len(orders) == 3
    assert not any(torch.equal(orders[i], orders[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


# --- decisions at the edge


def all_zero(network):
    """The network with all its numbers set to zero."""
    for part in network.coefs_ + network.intercepts_:
        part[...] = 0.0
    return network


def test_undecided_is_the_first_class_and_no_label(cancer):
    X, y = cancer
    network = all_zero(TorchMLPClassifier((4,), max_iter=1, **EVERY_EPOCH).fit(X, np.array(["a", "b"])[y]))
    assert_array_equal(network.predict_proba(X[:2]), np.full((2, 2), 0.5))
    assert set(network.predict(X)) == {"a"}
    labels = all_zero(TorchMLPClassifier((4,), max_iter=1, **EVERY_EPOCH).fit(X, np.column_stack([y, 1 - y])))
    assert not labels.predict(X).any()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_prediction_is_certain(dtype, cancer):
    X, y = cancer
    network = all_zero(TorchMLPClassifier((4,), max_iter=1, **EVERY_EPOCH).fit(X.astype(dtype), y))
    network.intercepts_[-1][...] = 1000.0
    probability = network.predict_proba(X.astype(dtype))
    assert (probability > 0.0).all() and (probability < 1.0).all()


def test_poisson_regression_refuses_negative_y():
    with pytest.raises(ValueError, match="needs y >= 0, but the smallest y is -1"):
        TorchMLPRegressor(loss="poisson").fit(np.zeros((3, 1)), [2.0, -1.0, 0.0])


def test_y_is_standardised_by_its_weighted_moments():
    random = np.random.RandomState(0)
    X, y, weight = random.randn(50, 2), 3.0 * random.randn(50) + 7.0, random.uniform(0.1, 2.0, 50)
    task = TorchMLPRegressor(hidden_layer_sizes=2, **NO_STEP).fit(X, y, weight).net_.task
    assert_allclose(task.center, np.average(y, weights=weight), rtol=1e-6)
    assert_allclose(task.scale, np.sqrt(np.cov(y, aweights=weight, ddof=0)), rtol=1e-6)


def test_a_constant_y_keeps_its_unit():
    X, y = np.random.RandomState(0).randn(20, 2), np.full(20, 7.0)
    network = TorchMLPRegressor(hidden_layer_sizes=2, **NO_STEP).fit(X, y)
    assert (network.net_.task.center, network.net_.task.scale) == (7.0, 1.0)
    assert np.isfinite(network.predict(X)).all()


# --- which loop, and what is put back


class OfEpochs(Callback):
    """Looks at epochs only."""

    def on_epoch_end(self, net, **kwargs):
        self.epochs_ = len(net.history)


class OfBatches(Callback):
    """Looks at batches, too."""

    def on_batch_end(self, net, **kwargs):
        self.last_ = net.history[-1, "batches", -1]


@pytest.mark.parametrize(
    "callbacks, whole, epochs",
    [([], 1, 3), ([OfEpochs()], 0, 3), ([OfBatches()], 0, 0)],
    ids=["none", "epochs", "batches"],
)
def test_epochs_that_nobody_looks_into_are_fast_ones(callbacks, whole, epochs, cancer, monkeypatch):
    trained, run, own_training, own_run = [], [], _net.train_fast, _net.FastEpochs.run
    monkeypatch.setattr(_net, "train_fast", lambda *args: (trained.append(1), own_training(*args))[1])
    monkeypatch.setattr(_net.FastEpochs, "run", lambda *args: (run.append(1), own_run(*args))[1])
    TorchMLPClassifier((4,), callbacks=callbacks, max_iter=3, **EVERY_EPOCH).fit(*cancer)
    assert (len(trained), len(run)) == (whole, epochs)


def test_the_number_of_threads_is_what_it_was(cancer):
    def threads():
        return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "openmp"]

    with threadpool_limits(2, user_api="openmp"):
        before = threads()
        assert set(before) == {2}
        network = TorchMLPClassifier((4,), max_iter=2, **EVERY_EPOCH).fit(*cancer)
        network.predict(cancer[0])
        assert threads() == before


def test_a_network_of_another_machine_predicts_on_the_cpu(cancer, monkeypatch):
    monkeypatch.setattr(_runtime, "available_devices", lambda: ["cpu"])
    network = TorchMLPClassifier((4,), max_iter=2, **EVERY_EPOCH).fit(*cancer)
    expected = network.predict_proba(cancer[0])
    network.set_params(device="cuda")
    assert_array_equal(network.predict_proba(cancer[0]), expected)
    with pytest.raises(ValueError, match="device='cuda' is not available here"):
        network.fit(*cancer)


# --- early stopping


@pytest.mark.parametrize("patience", [2, 5])
def test_early_stopping_ends_after_so_many_epochs_without_a_better_score_and_one(patience, cancer):
    # Scores of 57 rows are .0175 apart: one row more is less than tol.
    tol = 0.03
    network = TorchMLPClassifier((4,), early_stopping=True, tol=tol, n_iter_no_change=patience, random_state=0)
    scores = np.array(network.fit(*cancer).validation_scores_)
    best_before = np.maximum.accumulate(np.concatenate([[-np.inf], scores[:-1]]))
    improved = np.flatnonzero(scores >= best_before + tol)
    # Some epochs are better, but not by so much.
    assert np.any((scores > best_before) & (scores < best_before + tol))
    assert len(scores) - 1 - improved[-1] == patience + 1
    assert np.diff(improved).max(initial=0) <= patience + 1


def test_a_warm_start_has_the_best_epoch_of_the_last_fit_to_beat(cancer):
    X, y = cancer
    watched = dict(X_val=X[400:], y_val=y[400:])
    network = TorchMLPClassifier((8,), early_stopping=True, warm_start=True, learning_rate_init=0.02, random_state=0)
    best = weights_of(network.fit(X[:400], y[:400], **watched)).copy()
    score = network.best_validation_score_
    # Nothing that such steps lead to is better.
    network.set_params(learning_rate_init=1e3, max_iter=2, n_iter_no_change=np.inf).fit(X[:400], y[:400], **watched)
    assert max(network.validation_scores_[-2:]) < score == network.best_validation_score_
    assert_array_equal(weights_of(network), best)
