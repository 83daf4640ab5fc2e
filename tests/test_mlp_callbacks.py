"""skorch callbacks and custom modules."""

import pickle
import re

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
    ProgressBar,
)

from sklearn_svmdl import TorchMLPClassifier, TorchMLPRegressor

# A few epochs are enough for what is tested here, not for a network that has learnt something.
pytestmark = pytest.mark.filterwarnings("ignore:The training loss ended:sklearn.exceptions.ConvergenceWarning")
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0, "tol": 0, "n_iter_no_change": np.inf}


class Diary(Callback):
    """Writes down what it is told."""

    def initialize(self):
        self.moments = []
        return self

    def on_train_begin(self, net, **kwargs):
        self.moments.append("train begins")

    def on_epoch_end(self, net, **kwargs):
        self.moments.append("epoch ends")

    def on_batch_end(self, net, batch=None, **kwargs):
        self.moments.append(f"batch of {len(batch[0])}")


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def test_callbacks_are_told_of_epochs_and_batches_and_stay_clean(cancer):
    X, y = cancer
    diary = Diary()
    network = TorchMLPClassifier(callbacks=[diary], batch_size=300, **QUICK).fit(X, y)
    told = network.net_.callbacks_[0][1].moments
    assert told == ["train begins"] + 5 * ["batch of 300", "batch of 269", "epoch ends"]
    assert not hasattr(diary, "moments")


@pytest.mark.parametrize("item", ["x", ("diary", "x"), (1, Diary), dict, None], ids=str)
def test_what_is_no_callback_is_named(cancer, item):
    message = f"callbacks must hold skorch.callbacks.Callback objects.*got {re.escape(repr(item))}"
    with pytest.raises(TypeError, match=message):
        TorchMLPClassifier(callbacks=[item], **QUICK).fit(*cancer)


def test_callbacks_may_be_classes_or_have_names(cancer):
    network = TorchMLPClassifier(callbacks=[("mine", Diary()), Diary], **QUICK).fit(*cancer)
    assert [name for name, _ in network.net_.callbacks_] == ["mine", "Diary"]


def test_partial_fit_continues_with_callbacks(cancer):
    whole = TorchMLPClassifier(callbacks=[Diary()], shuffle=False, **QUICK).fit(*cancer)
    parts = TorchMLPClassifier(callbacks=[Diary()], shuffle=False, **QUICK)
    for _ in range(5):
        parts = pickle.loads(pickle.dumps(parts.partial_fit(*cancer, classes=[0, 1])))
    assert_allclose(parts.coefs_[0], whole.coefs_[0], rtol=1e-10)


def test_lr_scheduler_moves_the_rate(cancer):
    scheduler = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.0)
    short = TorchMLPClassifier(**QUICK | {"max_iter": 1}).fit(*cancer)
    frozen = TorchMLPClassifier(callbacks=[scheduler], **QUICK).fit(*cancer)
    for a, b in zip(short.coefs_, frozen.coefs_):
        assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_lr_scheduler_sets_the_first_rate(cancer):
    warm_up = LRScheduler(torch.optim.lr_scheduler.LambdaLR, lr_lambda=_no_rate)
    frozen = TorchMLPClassifier(callbacks=[warm_up], **QUICK).fit(*cancer)
    start = TorchMLPClassifier(learning_rate_init=1e-13, **QUICK).fit(*cancer)
    assert_allclose(frozen.coefs_[0], start.coefs_[0], atol=1e-9)


def _no_rate(epoch):
    return 0.0


def test_progress_bar_runs(cancer, capsys):
    TorchMLPClassifier(callbacks=[ProgressBar()], batch_size=100, **QUICK).fit(*cancer)
    assert capsys.readouterr().err.count("0/6") >= 5  # 569 rows in batches of 100, five times


def test_checkpoint_keeps_the_best_epoch(cancer, tmp_path):
    X, y = cancer
    network = TorchMLPClassifier(callbacks=[Checkpoint(dirname=tmp_path, monitor="valid_loss_best")], **QUICK)
    network.fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
    saved = torch.load(tmp_path / "params.pt", weights_only=True)
    assert saved["layers.0.weight"].shape == (8, 30)


def test_skorch_early_stopping_stops(cancer):
    X, y = cancer
    stopper = EarlyStopping(monitor="valid_loss", patience=2, threshold=10.0, sink=lambda text: None)
    network = TorchMLPClassifier(callbacks=[stopper], **QUICK | {"max_iter": 50})
    network.fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
    assert network.n_iter_ == 3


def test_epoch_scoring_reads_labels(cancer):
    X, y = cancer
    scoring = EpochScoring("accuracy", on_train=True, name="seen", use_caching=True)
    network = TorchMLPClassifier(callbacks=[scoring], **QUICK).fit(X, y)
    seen = [row["seen"] for row in network.net_.history]
    assert_allclose(seen, [row["accuracy"] for row in network.history_])


def test_gradient_clipping_hears_the_gradients(cancer):
    still = TorchMLPClassifier(solver="sgd", callbacks=[GradientNormClipping(1e-12)], **QUICK).fit(*cancer)
    start = TorchMLPClassifier(solver="sgd", learning_rate_init=1e-12, **QUICK).fit(*cancer)
    assert_allclose(still.coefs_[0], start.coefs_[0], atol=1e-9)


class TwoTowers(torch.nn.Module):
    """A module no plain MLP can be."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.wide = torch.nn.Linear(n_features, n_outputs)
        self.deep = torch.nn.Sequential(
            torch.nn.Linear(n_features, 16),
            torch.nn.BatchNorm1d(16),
            torch.nn.ReLU(),
            torch.nn.Linear(16, n_outputs),
        )

    def forward(self, X):
        return self.wide(X) + self.deep(X)


@pytest.mark.parametrize("solver", ["adam", "sgd", "adamw", "lbfgs"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_module_of_ones_own(cancer, solver):
    X, y = cancer
    network = TorchMLPClassifier(module=TwoTowers, solver=solver, **QUICK | {"max_iter": 20}).fit(X, y)
    assert isinstance(network.module_, TwoTowers)
    assert network.score(X, y) > 0.85


def test_a_regression_module(cancer):
    X, y = load_diabetes(return_X_y=True)
    network = TorchMLPRegressor(module=TwoTowers, learning_rate_init=0.01, **QUICK | {"max_iter": 30}).fit(X, y)
    assert network.score(X, y) > 0.4


def test_the_net_predicts_by_itself(cancer):
    X, y = cancer
    network = TorchMLPClassifier(**QUICK).fit(X, y)
    assert_allclose(network.net_.predict_proba(X), network.predict_proba(X), rtol=1e-12)
    assert np.array_equal(network.net_.predict(X), network.predict(X))
