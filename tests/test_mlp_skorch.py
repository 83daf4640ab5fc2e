"""skorch's contract: its own loop, every callback that it ships, own parts, and a net that goes on working."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
import skorch.callbacks
import torch
from names import name_of
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.metrics import f1_score, get_scorer, log_loss, make_scorer, mean_absolute_error
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNet
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    Initializer,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    ParamMapper,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    TrainEndCheckpoint,
    Unfreezer,
    WarmRestartLR,
)
from torch import nn

from sklearn_svmdl import TorchMLPClassifier, TorchMLPRegressor

# A few epochs are enough for what is tested here, not for a network that has learnt something.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
EPOCHS = {"tol": 0, "n_iter_no_change": np.inf, "random_state": 0, "learning_rate_init": 0.01}
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 5, "batch_size": 64, **EPOCHS}


def data(load):
    X, y = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return StandardScaler().fit_transform(X)[order], y[order]


@pytest.fixture(scope="module")
def cancer():
    return data(load_breast_cancer)


@pytest.fixture(scope="module")
def iris():
    return data(load_iris)


@pytest.fixture(scope="module")
def diabetes():
    return data(load_diabetes)


def fit(network, X, y, **parameters):
    """Train on the first two thirds, watch the rest."""
    cut = len(y) * 2 // 3
    return network.fit(X[:cut], y[:cut], X_val=X[cut:], y_val=y[cut:], **parameters)


def column(network, name):
    return [row[name] for row in network.net_.history]


class Listener(Callback):
    """Hears everything and does nothing."""

    def on_batch_end(self, net, **kwargs):
        """Nothing."""


class Diary(Callback):
    """Keeps what it is told."""

    def initialize(self):
        self.told = []
        return self

    def on_train_begin(self, net, X, y, **kwargs):
        self.told.append(("train", X, y))

    def on_epoch_begin(self, net, dataset_train, dataset_valid, **kwargs):
        self.told.append(("epoch", dataset_train, dataset_valid))

    def on_batch_end(self, net, batch, training, y_pred, loss, **kwargs):
        self.told.append(("training" if training else "watching", batch, float(loss)))

    def of(self, moment):
        return [entry for entry in self.told if entry[0] == moment]


def weights_of(network):
    return np.concatenate([p.detach().numpy().ravel() for p in network.module_.parameters()])


# --- one training, two loops


class Twin(nn.Module):
    """The built-in network as a user would write it, with first weights drawn as the built-in ones are."""

    def __init__(self, n_features, n_outputs, width=8):
        super().__init__()
        units = [n_features, width, n_outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b, dtype=torch.float64) for a, b in pairwise(units))

    def forward(self, X):
        return self.layers[1](torch.relu(self.layers[0](X)))


def make_twin(n_features, n_outputs, width=8):
    state = torch.get_rng_state()
    twin = Twin(n_features, n_outputs, width)
    torch.set_rng_state(state)
    with torch.no_grad():
        for layer in twin.layers:
            bound = (6 / (layer.in_features + layer.out_features)) ** 0.5
            layer.weight.uniform_(-bound, bound)
            layer.bias.uniform_(-bound, bound)
    return twin


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("own", ["callbacks", "onlooker", "module", "module and callbacks"])
@pytest.mark.parametrize("load", [load_iris, load_breast_cancer, load_diabetes])
def test_skorchs_loop_trains_the_very_same_network(load, solver, weighted, own):
    X, y = data(load)
    kind = TorchMLPRegressor if load is load_diabetes else TorchMLPClassifier
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y) * 2 // 3) if weighted else None
    parameters = dict(QUICK, solver=solver, alpha=0.1, max_iter=4)
    parts = {}
    if "callbacks" in own:
        parts["callbacks"] = [Listener()]
    if own == "onlooker":
        parts["callbacks"] = [Callback()]
    if "module" in own:
        parts["module"] = make_twin
    fast = fit(kind(**parameters), X, y, sample_weight=weight)
    ordinary = fit(kind(**parts, **parameters), X, y, sample_weight=weight)
    assert_allclose(weights_of(ordinary), weights_of(fast), rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(fast.history_, ordinary.history_, strict=True):
        assert list(ours) == list(theirs)
        assert_allclose([ours[k] for k in ours if k != "dur"], [theirs[k] for k in ours if k != "dur"], rtol=1e-10)


@pytest.mark.parametrize(
    "choice",
    [
        {"dropout": 0.3},
        {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 40},
        {"learning_rate": "cosine"},
        {"learning_rate": "invscaling", "solver": "sgd"},
        {"learning_rate": "adaptive", "solver": "sgd", "tol": 0.5, "n_iter_no_change": 2, "max_iter": 40},
        {"shuffle": False},
        {"batch_size": 284},  # 569 rows: the last batch would be of one row
        {"label_smoothing": 0.1},
        {"class_weight": "balanced"},
        {"activation": "gelu"},
    ],
    ids=str,
)
def test_every_choice_means_the_same_in_both_loops(cancer, choice):
    parameters = QUICK | choice
    ordinary = TorchMLPClassifier(callbacks=[Listener()], **parameters).fit(*cancer)
    for callbacks in (None, [Callback()]):
        fast = TorchMLPClassifier(callbacks=callbacks, **parameters).fit(*cancer)
        assert fast.n_iter_ == ordinary.n_iter_
        assert_allclose(weights_of(ordinary), weights_of(fast), rtol=1e-12, atol=1e-12)
        assert_allclose(fast.loss_curve_, ordinary.loss_curve_, rtol=1e-12)
        assert fast.validation_scores_ == ordinary.validation_scores_


@pytest.mark.parametrize("solver", ["adam", "adamw"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("load", [load_iris, load_breast_cancer, load_diabetes])
def test_the_history_of_batches_is_the_same_whether_callbacks_look_at_them(load, solver, weighted):
    X, y = data(load)
    kind = TorchMLPRegressor if load is load_diabetes else TorchMLPClassifier
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y) * 2 // 3) if weighted else None
    parameters = dict(QUICK, solver=solver, alpha=0.1)
    onlooker, listener = (
        fit(kind(callbacks=[callback], **parameters), X, y, sample_weight=weight)
        for callback in (Callback(), Listener())
    )
    for name in ("train_loss", "train_batch_size", "valid_loss", "valid_batch_size"):
        ours, theirs = (network.net_.history[:, "batches", :, name] for network in (onlooker, listener))
        assert_allclose(np.concatenate(ours), np.concatenate(theirs), rtol=1e-12)
    for ours, theirs in zip(onlooker.net_.history, listener.net_.history, strict=True):
        assert list(ours) == list(theirs)
        assert_allclose(*([row[k] for k in ours if k not in ("batches", "dur")] for row in (ours, theirs)), rtol=1e-12)


class Thaw(Callback):
    """Freezes the first layer for the third epoch, and takes note of what parameters show at the end of epochs."""

    def initialize(self):
        self.grads, self.biases = [], []
        return self

    def on_epoch_begin(self, net, **kwargs):
        for parameter in net.module_.layers[0].parameters():
            parameter.requires_grad_(len(self.grads) != 2)

    def on_epoch_end(self, net, **kwargs):
        self.grads.append([None if p.grad is None else p.grad.numpy().copy() for p in net.module_.parameters()])
        self.biases.append(net.module_.layers[0].bias.detach().numpy().copy())


class ListeningThaw(Listener, Thaw):
    """The same, told of batches."""


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_what_callbacks_do_and_see_between_epochs(cancer, solver):
    networks = [TorchMLPClassifier(solver=solver, callbacks=[kind()], **QUICK) for kind in (Thaw, ListeningThaw)]
    onlooker, listener = (network.fit(*cancer).net_.callbacks_[0][1] for network in networks)
    assert_array_equal(onlooker.biases[2], onlooker.biases[1])
    assert np.abs(onlooker.biases[3] - onlooker.biases[2]).min() > 0
    assert_allclose(onlooker.biases, listener.biases, rtol=1e-12)
    for ours, theirs in zip(onlooker.grads, listener.grads, strict=True):
        for grad, other in zip(ours, theirs, strict=True):
            assert (grad is None) == (other is None)
            assert grad is None or np.allclose(grad, other, rtol=1e-9, atol=1e-15)


def test_the_work_is_done_by_skorchs_own_loop(cancer, monkeypatch):
    called = []
    for name in ("fit_loop", "run_single_epoch", "train_step", "validation_step", "notify"):
        original = getattr(NeuralNet, name)

        def spy(self, *args, original=original, name=name, **kwargs):
            called.append(name)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(NeuralNet, name, spy)
    fit(TorchMLPClassifier(callbacks=[Listener()], **QUICK), *cancer)
    assert set(called) == {"fit_loop", "run_single_epoch", "train_step", "validation_step", "notify"}
    assert called.count("train_step") == 5 * 6 and called.count("validation_step") == 5


# --- what callbacks are told


@pytest.mark.parametrize("weighted", [False, True])
def test_callbacks_get_the_real_rows(cancer, weighted):
    X, y = cancer
    cut = len(y) * 2 // 3
    names = np.array(["malignant", "benign"])
    weight = np.linspace(0.5, 2, cut) if weighted else None
    network = fit(TorchMLPClassifier(callbacks=[Diary()], **QUICK), X, names[y], sample_weight=weight)
    diary = network.net_.callbacks_[0][1]
    codes = np.searchsorted(network.classes_, names[y])
    ((_, X_told, y_told),) = diary.of("train")
    assert_array_equal(X_told, X[:cut])
    assert_array_equal(y_told, codes[:cut])
    _, train, valid = diary.of("epoch")[0]
    assert (len(train), len(valid)) == (cut, len(y) - cut)
    rows = [item[0]["X"] if weighted else item[0] for item in (train[i] for i in range(len(train)))]
    assert_array_equal(np.sort(rows, axis=0), np.sort(X[:cut], axis=0))
    batches = [batch for _, batch, _ in diary.of("training")][:6]
    seen = torch.cat([batch[0]["X"] if weighted else batch[0] for batch in batches])
    assert_array_equal(np.sort(seen, axis=0), np.sort(X[:cut], axis=0))
    (_, (X_watched, y_watched), loss) = diary.of("watching")[-1]
    order = np.lexsort(X_watched.numpy().T)
    assert_array_equal(y_watched.numpy()[order], codes[cut:][np.lexsort(X[cut:].T)])
    assert_allclose(loss, log_loss(names[y][cut:], network.predict_proba(X[cut:])))


def test_regression_callbacks_are_told_the_users_units(diabetes):
    X, y = diabetes
    network = fit(TorchMLPRegressor(callbacks=[Diary()], **QUICK), X, y)
    ((_, _, y_told),) = network.net_.callbacks_[0][1].of("train")
    assert_array_equal(y_told, y[: len(y_told)])


# --- scores


SCORERS = ["accuracy", "roc_auc", "neg_log_loss", "f1", f1_score, make_scorer(f1_score), None]


@pytest.mark.parametrize("use_caching", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scoring", SCORERS, ids=name_of)
def test_epoch_scoring_of_held_out_rows_is_the_estimators(cancer, scoring, weighted, use_caching):
    X, y = cancer
    cut = len(y) * 2 // 3
    score = EpochScoring(scoring, name="s", use_caching=use_caching, lower_is_better=False)
    weight = np.linspace(0.5, 2, cut) if weighted else None
    network = fit(TorchMLPClassifier(callbacks=[score], **QUICK), X, y, sample_weight=weight)
    scorer = make_scorer(f1_score) if callable(scoring) else get_scorer(scoring or "accuracy")
    assert_allclose(column(network, "s")[-1], scorer(network, X[cut:], y[cut:]), rtol=1e-10)
    assert network.history_[-1]["s"] == column(network, "s")[-1]
    assert any(column(network, "s_best"))


@pytest.mark.parametrize("use_caching", [True, False])
def test_epoch_scoring_of_training_rows(cancer, use_caching):
    scorings = [EpochScoring(s, on_train=True, name=s, use_caching=use_caching) for s in ("accuracy", "roc_auc")]
    network = TorchMLPClassifier(callbacks=scorings, **QUICK).fit(*cancer)
    if use_caching:  # what each batch gave before its step
        assert_allclose(column(network, "accuracy"), [row["accuracy"] for row in network.history_], rtol=1e-12)
    else:  # the network as it stands
        assert_allclose(column(network, "accuracy")[-1], network.score(*cancer))
        assert_allclose(column(network, "roc_auc")[-1], get_scorer("roc_auc")(network, *cancer))


@pytest.mark.parametrize("use_caching", [True, False])
def test_epoch_scoring_of_a_regression_is_in_the_users_units(diabetes, use_caching):
    X, y = diabetes
    cut = len(y) * 2 // 3
    scorings = [
        EpochScoring("neg_mean_absolute_error", name="mae", use_caching=use_caching),
        EpochScoring("r2", name="R2", use_caching=use_caching),
    ]
    network = fit(TorchMLPRegressor(callbacks=scorings, **QUICK), X, y)
    assert_allclose(-column(network, "mae")[-1], mean_absolute_error(y[cut:], network.predict(X[cut:])), rtol=1e-10)
    assert_allclose(column(network, "R2")[-1], network.score(X[cut:], y[cut:]), rtol=1e-10)
    assert_allclose(column(network, "R2"), [row["val_r2"] for row in network.history_], rtol=1e-10)


@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("use_caching", [True, False])
@pytest.mark.parametrize("on_train", [True, False])
def test_batch_scoring(load, on_train, use_caching, weighted):
    X, y = data(load)
    scoring = BatchScoring("accuracy", name="s", on_train=on_train, use_caching=use_caching, lower_is_better=False)
    weight = np.linspace(0.5, 2, len(y) * 2 // 3) if weighted else None
    network = fit(TorchMLPClassifier(callbacks=[scoring], **QUICK), X, y, sample_weight=weight)
    name = "accuracy" if on_train else "val_accuracy"
    ours = [row[name] for row in network.history_]
    if use_caching and not (on_train and weighted):  # skorch does not weight its batch scores
        assert_allclose(column(network, "s"), ours, rtol=1e-10)
    assert len(column(network, "s_best")) == 5


def test_passthrough_scoring_averages_what_batches_say(cancer):
    passing = [PassthroughScoring("valid_loss"), PassthroughScoring("train_loss", on_train=True)]
    network = fit(TorchMLPClassifier(callbacks=passing, **QUICK, alpha=0), *cancer)
    for skorchs, ours in (("valid_loss", "val_loss"), ("train_loss", "loss")):
        assert_allclose(column(network, skorchs), [row[ours] for row in network.history_], rtol=1e-10)


# --- checkpoints and stopping


def test_checkpoint_loads_the_best_epoch(cancer, tmp_path):
    X, y = cancer
    cut = len(y) * 2 // 3
    parameters = QUICK | {"learning_rate_init": 0.3, "max_iter": 15}
    network = fit(TorchMLPClassifier(callbacks=[Checkpoint(dirname=tmp_path, load_best=True)], **parameters), X, y)
    losses = [row["val_loss"] for row in network.history_]
    assert np.argmin(losses) < 14
    assert_allclose(log_loss(y[cut:], network.predict_proba(X[cut:])), min(losses), rtol=1e-10)
    assert column(network, "event_cp") == column(network, "valid_loss_best")
    assert {path.name for path in tmp_path.iterdir()} == {"params.pt", "optimizer.pt", "criterion.pt", "history.json"}


def test_training_goes_on_from_a_checkpoint_as_if_never_stopped(cancer, tmp_path):
    parameters = QUICK | {"shuffle": False}
    whole = TorchMLPClassifier(callbacks=[Listener()], **parameters | {"max_iter": 10}).fit(*cancer)
    TorchMLPClassifier(callbacks=[TrainEndCheckpoint(dirname=tmp_path)], **parameters).fit(*cancer)
    resumed = LoadInitState(TrainEndCheckpoint(dirname=tmp_path).initialize())
    second = TorchMLPClassifier(callbacks=[resumed], **parameters).fit(*cancer)
    assert_allclose(weights_of(second), weights_of(whole), rtol=1e-10, atol=1e-12)
    assert [row["epoch"] for row in second.history_] == list(range(1, 11))


def test_early_stopping_loads_the_best_epoch(cancer):
    X, y = cancer
    cut = len(y) * 2 // 3
    stop = EarlyStopping(patience=3, load_best=True, sink=_silent)
    network = fit(TorchMLPClassifier(callbacks=[stop], **QUICK | {"learning_rate_init": 0.3, "max_iter": 60}), X, y)
    losses = [row["val_loss"] for row in network.history_]
    assert network.n_iter_ == len(losses) < 60
    best = np.argmin(losses)
    assert_allclose(log_loss(y[cut:], network.predict_proba(X[cut:])), losses[best], rtol=1e-10)
    assert len(losses) >= best + 4


def _silent(text):
    """Say nothing."""


# --- rates, gradients, parameters


def test_lr_scheduler_and_the_history_agree(cancer):
    halving = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    network = TorchMLPClassifier(callbacks=[halving], **QUICK).fit(*cancer)
    rates = [row["lr"] for row in network.history_]
    assert_allclose(rates, 0.01 * 0.5 ** np.arange(5))
    assert rates == column(network, "event_lr")


@pytest.mark.parametrize("policy", ["WarmRestartLR", WarmRestartLR])
def test_warm_restarts(cancer, policy):
    network = TorchMLPClassifier(callbacks=[LRScheduler(policy, min_lr=0.001, max_lr=0.1, base_period=2)], **QUICK).fit(
        *cancer
    )
    expected = [0.1, 0.0505, 0.001, 0.1, 0.1 - 0.0495 * (1 - np.cos(np.pi / 4))]
    assert_allclose([row["lr"] for row in network.history_], expected)


def test_schedulers_of_batches_and_of_plateaus(cancer):
    cyclic = LRScheduler(
        torch.optim.lr_scheduler.CyclicLR, base_lr=0.001, max_lr=0.1, step_size_up=4, step_every="batch"
    )
    for solver in ("sgd", "adam"):
        network = TorchMLPClassifier(solver=solver, callbacks=[cyclic], **QUICK).fit(*cancer)
        assert_allclose(network.history_[0]["lr"], 0.001)
    plateau = LRScheduler("ReduceLROnPlateau", monitor="train_loss", patience=0, threshold=1e9, factor=0.5)
    network = TorchMLPClassifier(callbacks=[plateau], **QUICK).fit(*cancer)
    assert_allclose([row["lr"] for row in network.history_], 0.01 * 0.5 ** np.arange(5))


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd"])
def test_gradient_clipping_is_that_of_autograd(cancer, solver):
    clip = {"callbacks": [GradientNormClipping(0.05)], "solver": solver, **QUICK}
    ours = TorchMLPClassifier(**clip).fit(*cancer)
    assert_allclose(weights_of(ours), weights_of(TorchMLPClassifier(module=make_twin, **clip).fit(*cancer)), rtol=1e-9)
    assert np.abs(weights_of(ours) - weights_of(TorchMLPClassifier(solver=solver, **QUICK).fit(*cancer))).max() > 1e-4


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd"])
def test_a_frozen_layer_stays_and_the_others_move_as_under_torch(cancer, solver):
    frozen = {"callbacks": [Freezer("layers.0.*", at=2), Unfreezer("layers.0.*", at=4)], "solver": solver, **QUICK}
    ours, twin = (TorchMLPClassifier(**frozen, **own).fit(*cancer) for own in ({}, {"module": make_twin}))
    assert_allclose(weights_of(ours), weights_of(twin), rtol=1e-9, atol=1e-12)
    start = TorchMLPClassifier(solver=solver, **QUICK | {"max_iter": 1}).fit(*cancer)
    still = TorchMLPClassifier(solver=solver, callbacks=[Freezer("layers.0.*", at=2)], **QUICK).fit(*cancer)
    assert_allclose(still.coefs_[0], start.coefs_[0], rtol=1e-14)
    assert np.abs(still.coefs_[1] - start.coefs_[1]).max() > 1e-3


def test_parameters_are_mapped_and_initialised(cancer):
    before = torch.get_rng_state()
    constant = TorchMLPClassifier(
        callbacks=[ParamMapper("*.bias", _fill, at=1), Initializer("layers.0.weight", nn.init.normal_)],
        **QUICK | {"learning_rate_init": 1e-12, "max_iter": 1},
    )
    network, again = clone(constant).fit(*cancer), clone(constant).fit(*cancer)
    assert_allclose(np.concatenate(network.intercepts_), 0.25, atol=1e-9)
    assert 0.8 < network.coefs_[0].std() < 1.2
    assert_array_equal(network.coefs_[0], again.coefs_[0])
    assert torch.equal(torch.get_rng_state(), before)


def _fill(parameter):
    nn.init.constant_(parameter, 0.25)


def test_gradients_that_a_callback_replaces_are_taken(cancer):
    network = TorchMLPClassifier(solver="sgd", callbacks=[NoGradients()], **QUICK).fit(*cancer)
    start = TorchMLPClassifier(solver="sgd", **QUICK | {"learning_rate_init": 1e-13}).fit(*cancer)
    assert_allclose(weights_of(network), weights_of(start), atol=1e-9)


class NoGradients(Callback):
    """Puts zeros in the place of all gradients."""

    def on_grad_computed(self, net, named_parameters, **kwargs):
        for _, parameter in named_parameters:
            parameter.grad = torch.zeros_like(parameter)


def test_hooks_on_the_module_are_heard(cancer):
    network = TorchMLPClassifier(callbacks=[Hooked()], **QUICK).fit(*cancer)
    assert network.net_.callbacks_[0][1].passes >= 5 * 9
    assert_allclose(weights_of(network), weights_of(TorchMLPClassifier(**QUICK).fit(*cancer)), rtol=1e-9)


class Hooked(Callback):
    """Counts the passes through the first layer."""

    passes = 0

    def on_train_begin(self, net, **kwargs):
        self.handle_ = net.module_.layers[0].register_forward_hook(self.count)

    def count(self, module, inputs, output):
        self.passes += 1

    def on_train_end(self, net, **kwargs):
        self.handle_.remove()


# --- what is shown


def test_logs_bars_and_timers(cancer, capsys):
    callbacks = [PrintLog(sink=print), ProgressBar(), EpochTimer()]
    network = fit(TorchMLPClassifier(callbacks=callbacks, verbose=1, **QUICK), *cancer)
    shown = capsys.readouterr()
    header = next(line for line in shown.out.splitlines() if "train_loss" in line).split()
    assert {"epoch", "train_loss", "valid_loss", "val_accuracy", "dur"} <= set(header)
    assert shown.err.count("0/7") >= 5  # six batches to train on and one to watch, five times
    assert all(0 < row["dur"] < 60 for row in network.history_)


class Shaped(nn.Module):
    """A module that wants to be told its input dimension by skorch's own callback."""

    def __init__(self, n_features, n_outputs, input_dim=1):
        super().__init__()
        self.input_dim = input_dim
        self.layer = nn.Linear(n_features, n_outputs)

    def forward(self, X):
        return self.layer(X)


@pytest.mark.parametrize("name", ["input_dim", "n_features"])
def test_input_shapes_are_set(cancer, name):
    network = TorchMLPClassifier(module=Shaped, callbacks=[InputShapeSetter(param_name=name)], **QUICK).fit(*cancer)
    assert network.module_.input_dim == (30 if name == "input_dim" else 1)
    assert network.net_.get_params()[f"module__{name}"] == 30
    assert network.score(*cancer) > 0.9


def test_no_callback_of_skorch_is_left_out():
    needs_another_service = {"NeptuneLogger", "WandbLogger", "TensorBoard", "SacredLogger", "MlflowLogger"}
    shipped = {name for name in skorch.callbacks.__all__ if name != "Callback"}
    assert shipped - needs_another_service <= {name for name in globals() if name[0].isupper()}


# --- parts of one's own, set and searched as in skorch


def test_nested_parameters_are_set_cloned_and_searched(cancer):
    network = TorchMLPClassifier(module=Twin, module__width=3, callbacks=[("stop", EarlyStopping())], **QUICK)
    network.set_params(module__width=4, callbacks__stop__patience=7, callbacks__stop__monitor="train_loss")
    for model in (network, clone(network), pickle.loads(pickle.dumps(network))):
        parameters = model.get_params()
        assert parameters["module__width"] == 4
        assert parameters["callbacks__stop__patience"] == 7
        model.fit(*cancer)
        assert model.module_.layers[0].out_features == 4
        assert model.net_.callbacks_[0][1].patience == 7
    search = GridSearchCV(
        make_pipeline(StandardScaler(), network),
        {"torchmlpclassifier__module__width": [2, 5], "torchmlpclassifier__callbacks__stop__patience": [3]},
        cv=2,
    ).fit(*cancer)
    chosen = search.best_params_["torchmlpclassifier__module__width"]
    assert search.best_estimator_[-1].module_.layers[0].out_features == chosen


@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
def test_own_criteria_optimizers_and_iterators(load):
    X, y = data(load)
    criterion = nn.CrossEntropyLoss if load is load_iris else nn.BCEWithLogitsLoss
    network = TorchMLPClassifier(
        criterion=criterion,
        optimizer=torch.optim.RMSprop,
        optimizer__momentum=0.5,
        iterator_train=torch.utils.data.DataLoader,
        iterator_train__drop_last=True,
        **QUICK | {"batch_size": 40, "max_iter": 15},
    )
    before = torch.get_rng_state()
    first, second = clone(network).fit(X, y), clone(network).fit(X, y)
    assert_array_equal(weights_of(first), weights_of(second))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.score(X, y) > 0.9
    assert len(first.net_.history[0, "batches"]) == len(y) // 40
    weighted = clone(network).fit(X, y, sample_weight=np.linspace(0.5, 2, len(y)))
    assert weighted.score(X, y) > 0.9
    watched = fit(clone(network), X, y)
    assert watched.history_[-1]["val_loss"] < watched.history_[0]["val_loss"]


def test_an_own_criterion_like_ours_gives_our_network(iris):
    weight = np.random.default_rng(0).uniform(0.5, 2, 100)
    for load, criterion in ((load_iris, nn.CrossEntropyLoss), (load_breast_cancer, nn.BCEWithLogitsLoss)):
        X, y = (part[::5][:100] if load is load_breast_cancer else part[25:125] for part in data(load))
        for sample_weight in (None, weight):
            ours = TorchMLPClassifier(**QUICK).fit(X, y, sample_weight)
            theirs = TorchMLPClassifier(criterion=criterion, **QUICK).fit(X, y, sample_weight)
            assert_allclose(weights_of(theirs), weights_of(ours), rtol=1e-8, atol=1e-10)
            assert_allclose(theirs.loss_curve_, ours.loss_curve_, rtol=1e-3)  # the penalty's weights differ in time


def test_settings_of_the_built_in_optimizer(cancer):
    network = TorchMLPClassifier(optimizer__amsgrad=True, **QUICK).fit(*cancer)
    plain = TorchMLPClassifier(**QUICK).fit(*cancer)
    assert 1e-9 < np.abs(weights_of(network) - weights_of(plain)).max() < 0.1
    groups = [("layers.0.*", {"lr": 0.0})]
    split = TorchMLPClassifier(optimizer__param_groups=groups, **QUICK).fit(*cancer)
    start = TorchMLPClassifier(**QUICK | {"learning_rate_init": 1e-13}).fit(*cancer)
    assert_allclose(split.coefs_[0], start.coefs_[0], atol=1e-9)
    assert np.abs(split.coefs_[1] - start.coefs_[1]).max() > 1e-3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"module__width": 3}, "module__width is set, but module is not"),
        ({"criterion__weight": 3}, "criterion__weight is set, but criterion is not"),
        ({"n_networks": 2, "callbacks": [Listener()]}, "n_networks=2 trains several.*without callbacks"),
        ({"callbacks": [("stop", EarlyStopping())], "callbacks__go__patience": 3}, "callback"),
    ],
    ids=["module", "criterion", "networks", "callbacks"],
)
def test_parts_that_do_not_go_together_are_named(cancer, parameters, message):
    with pytest.raises(ValueError, match=message):
        TorchMLPClassifier(**parameters, **QUICK).fit(*cancer)


def test_unknown_parameters_are_named():
    with pytest.raises(TypeError, match="has no parameter 'modul__width'.*module__"):
        TorchMLPClassifier(modul__width=3)
    with pytest.raises(ValueError, match="no callback named 'go', only"):
        TorchMLPClassifier(callbacks=[("stop", EarlyStopping())]).set_params(callbacks__go__patience=3)


# --- the net afterwards


@pytest.mark.parametrize("callbacks", [None, [Listener()]])
def test_the_net_is_a_fitted_skorch_net(cancer, iris, diabetes, callbacks, tmp_path):
    for kind, (X, y) in ((TorchMLPClassifier, cancer), (TorchMLPClassifier, iris), (TorchMLPRegressor, diabetes)):
        network = kind(callbacks=callbacks, **QUICK).fit(X, y)
        net = network.net_
        assert_allclose(net.predict(X), network.predict(X), rtol=1e-10)
        assert_allclose(net.score(X, y), network.score(X, y))
        net.save_params(tmp_path / "p.pt", tmp_path / "o.pt", tmp_path / "c.pt", tmp_path / "h.json")
        before, score = weights_of(network), net.score(X, y)
        net.partial_fit(X, y)
        assert len(net.history) == 10
        assert np.abs(weights_of(network) - before).max() > 1e-4
        net.load_params(tmp_path / "p.pt", tmp_path / "o.pt", tmp_path / "c.pt", tmp_path / "h.json")
        assert_array_equal(weights_of(network), before)
        assert len(net.history) == 5 and net.score(X, y) == score
        assert_allclose(pickle.loads(pickle.dumps(net)).predict(X), net.predict(X))
        net.fit(X, y)
        assert_allclose(weights_of(network), before, rtol=1e-9, atol=1e-12)  # from the same seed, the same network
        assert net.score(X, y) == pytest.approx(score)


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("kind", [Callback, Listener])
def test_partial_fits_of_both_loops_go_on_from_each_other(cancer, solver, stored, kind):
    whole, parts = (TorchMLPClassifier(solver=solver, **QUICK) for _ in range(2))
    for step in range(5):
        whole.partial_fit(*cancer, classes=[0, 1])
        parts.set_params(callbacks=[kind()] if step % 2 else None).partial_fit(*cancer, classes=[0, 1])
        assert len(parts.net_.callbacks_) == step % 2
        parts = pickle.loads(pickle.dumps(parts)) if stored else parts
    assert_allclose(weights_of(parts), weights_of(whole), rtol=1e-10)
    assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-10)


def test_settings_of_several_numbers_can_be_kept_and_changed(iris):
    parts = {"criterion": nn.CrossEntropyLoss, "criterion__weight": torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)}
    network = TorchMLPClassifier(**parts, **QUICK).partial_fit(*iris, classes=[0, 1, 2])
    net = network.net_
    assert network.partial_fit(*iris).net_ is net
    network.set_params(criterion__weight=torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)).partial_fit(*iris)
    assert network.net_ is not net and len(network.history_) == 3


def test_callbacks_live_through_partial_fits(cancer):
    network = TorchMLPClassifier(callbacks=[Diary()], **QUICK)
    for _ in range(3):
        network.partial_fit(*cancer, classes=[0, 1])
    assert len(network.net_.callbacks_[0][1].of("epoch")) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"solver": "sgd"},
        {"learning_rate_init": 0.3},
        {"beta_1": 0.1},
        {"dropout": 0.5},
        {"alpha": 10.0},
        {"label_smoothing": 0.3},
        {"batch_size": 7},
        {"criterion": nn.BCEWithLogitsLoss, "criterion__pos_weight": torch.tensor([3.0])},
        {"optimizer": torch.optim.SGD},
        {"optimizer__weight_decay": 3.0},
        {"iterator_train__shuffle": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("callbacks", [None, [Listener()]])
def test_what_changes_between_partial_fits_is_used(cancer, change, callbacks):
    network = TorchMLPClassifier(callbacks=callbacks, **QUICK).partial_fit(*cancer, classes=[0, 1])
    same, changed = (pickle.loads(pickle.dumps(network)) for _ in range(2))
    same.partial_fit(*cancer)
    changed.set_params(**change).partial_fit(*cancer)
    assert np.abs(weights_of(changed) - weights_of(same)).max() > 1e-6


@pytest.mark.parametrize("callback", [Callback, Listener])
def test_partial_fits_of_other_sizes_have_batches_of_their_own(cancer, callback):
    X, y = cancer
    parameters = QUICK | {"batch_size": "auto"}
    plain, heard = (TorchMLPClassifier(callbacks=c, **parameters) for c in (None, [callback()]))
    for rows in (slice(100), slice(100, None)):
        for network in (plain, heard):
            network.partial_fit(X[rows], y[rows], classes=[0, 1])
    assert_allclose(weights_of(heard), weights_of(plain), rtol=1e-10)


class Replace(Callback):
    """Puts other memory in the place of the parameters', as careless callbacks do."""

    def on_epoch_begin(self, net, **kwargs):
        for parameter in net.module_.parameters():
            parameter.data = parameter.data.clone()


class ListeningReplace(Listener, Replace):
    """The same, told of batches."""


@pytest.mark.parametrize("callback", [Replace, ListeningReplace])
def test_parameters_whose_memory_is_replaced_are_trained(cancer, callback):
    network = TorchMLPClassifier(callbacks=[callback()], **QUICK).fit(*cancer)
    assert_allclose(weights_of(network), weights_of(TorchMLPClassifier(**QUICK).fit(*cancer)), rtol=1e-10)


def test_history_has_the_same_columns_with_and_without_callbacks(cancer):
    plain, heard = (fit(TorchMLPClassifier(callbacks=c, **QUICK), *cancer) for c in (None, [Listener()]))
    assert list(plain.history_[0]) == list(heard.history_[0])
    for name in ("train_loss", "train_loss_best", "valid_loss", "valid_loss_best"):
        assert_allclose(column(plain, name), column(heard, name))
