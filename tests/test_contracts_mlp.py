"""What scikit-learn's tests of its MLPs promise and its own words cannot say of ours, in our own.

tests/test_mlp_scikit_learn.py runs the originals on our classes; those on its list, which read private attributes or
other wordings, are held here. docs/contracts.md lists every contract.
"""

import numpy as np
import pytest
from sklearn.datasets import make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.preprocessing import scale
from skorch.callbacks import Callback

from sklearn_svmdl import TorchMLPClassifier, TorchMLPRegressor
from sklearn_svmdl.neural_network._activations import ACTIVATIONS

EVERY_EPOCH = dict(tol=0, n_iter_no_change=np.inf, random_state=0)
# A few epochs teach nothing, which is said.
FEW_EPOCHS = pytest.mark.filterwarnings("ignore:The training loss ended")


def numbers_of(network):
    """All weights and biases of a network, as arrays that share its memory."""
    return network.coefs_ + network.intercepts_


def test_a_step_worked_out_by_hand():
    X, y = np.array([[0.6, 0.8, 0.7]]), [0]
    network = TorchMLPClassifier(
        (2,), activation="logistic", solver="sgd", momentum=0, learning_rate_init=0.1, alpha=0.1, max_iter=1
    ).partial_fit(X, y, classes=[0, 1])
    first, second = np.array([[0.1, 0.2], [0.3, 0.1], [0.5, 0.0]]), np.array([[0.1], [0.2]])
    for mine, given in zip(numbers_of(network), (first, second, np.array([0.1, 0.1]), np.array([1.0])), strict=True):
        mine[...] = given
    network.partial_fit(X, y)
    # Hidden units: sigmoid(0.75) and sigmoid(0.3); output: sigmoid(1.18).
    h = 1 / (1 + np.exp([-0.75, -0.3]))
    p = 1 / (1 + np.exp(-(h @ second[:, 0] + 1.0)))
    below = p * second[:, 0] * h * (1 - h)
    # Each moves by -0.1 times its gradient; of the weights also by -0.1 * 0.1 times themselves.
    expected = (
        first - 0.1 * (np.outer(X[0], below) + 0.1 * first),
        second - 0.1 * (p * h[:, None] + 0.1 * second),
        0.1 - 0.1 * below,
        [1.0 - 0.1 * p],
    )
    for mine, value in zip(numbers_of(network), expected, strict=True):
        np.testing.assert_allclose(mine, value, rtol=1e-12)
    assert network.predict_proba(X)[0, 1] == pytest.approx(0.739, abs=5e-4)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_step_follows_the_slope_of_the_loss(activation, n_classes):
    random, alpha, rate = np.random.RandomState(0), 0.3, 1e-3
    X, y = random.rand(6, 3), np.arange(6) % n_classes
    network = TorchMLPClassifier(
        (4,), activation=activation, solver="sgd", momentum=0, learning_rate_init=rate, alpha=alpha, random_state=0
    ).partial_fit(X, y, classes=np.arange(n_classes))

    def loss():
        penalty = 0.5 * alpha / len(X) * sum(np.sum(weights**2) for weights in network.coefs_)
        return log_loss(y, network.predict_proba(X), labels=np.arange(n_classes)) + penalty

    slopes = []
    for numbers in numbers_of(network):
        slope = np.empty(numbers.shape)
        for at, value in np.ndenumerate(numbers.copy()):
            ends = []
            for change in (1e-5, -1e-5):
                numbers[at] = value + change
                ends.append(loss())
            slope[at], numbers[at] = (ends[0] - ends[1]) / 2e-5, value
        slopes.append(slope)
    before = [numbers.copy() for numbers in numbers_of(network)]
    network.partial_fit(X, y)
    for was, now, slope in zip(before, numbers_of(network), slopes, strict=True):
        np.testing.assert_allclose((was - now) / rate, slope, rtol=1e-5, atol=1e-8)


@pytest.fixture(scope="module")
def noisy_line():
    X, y = make_regression(200, 10, bias=20.0, noise=100.0, random_state=7)
    return X, scale(y)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_lbfgs_fits_a_regression(activation, noisy_line):
    # tol is that of a standardised y, here of the same size as y.
    network = TorchMLPRegressor(
        hidden_layer_sizes=50, activation=activation, solver="lbfgs", max_iter=400, tol=1e-4, random_state=1
    )
    assert network.fit(*noisy_line).score(*noisy_line) > (0.80 if activation == "identity" else 0.98)


@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu"])
def test_max_fun_limits_lbfgs_whatever_max_iter(activation, noisy_line):
    network = TorchMLPRegressor(
        hidden_layer_sizes=50, activation=activation, solver="lbfgs", max_fun=10, max_iter=150, tol=0.0, random_state=0
    )
    with pytest.warns(ConvergenceWarning, match="max_fun=10"):
        network.fit(*noisy_line)
    assert network.n_iter_ <= 10


def test_max_iter_limits_lbfgs(noisy_line):
    network = TorchMLPRegressor(hidden_layer_sizes=50, solver="lbfgs", max_iter=7, tol=0.0, random_state=0)
    with pytest.warns(ConvergenceWarning, match="max_iter=7"):
        network.fit(*noisy_line)
    assert network.n_iter_ == 7


def test_tol_ends_lbfgs_earlier(noisy_line):
    loose, strict = (
        TorchMLPRegressor(
            hidden_layer_sizes=5, activation="tanh", solver="lbfgs", max_iter=2000, tol=tol, random_state=0
        )
        for tol in (1e-1, 1e-4)
    )
    assert loose.fit(*noisy_line).n_iter_ < strict.fit(*noisy_line).n_iter_


@FEW_EPOCHS
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling"])
def test_a_warm_start_goes_on_with_the_rows_seen(learning_rate):
    X, y = np.array([[3.0, 2.0], [1.0, 6.0], [5.0, 6.0], [-2.0, -4.0]]), [1, 1, 1, 0]
    network = TorchMLPClassifier(
        (4,), solver="sgd", learning_rate=learning_rate, power_t=0.25, max_iter=1, warm_start=True, **EVERY_EPOCH
    )
    rates = []
    for _ in range(3):
        network.fit(X, y)
        rates.append(network.history_[-1]["lr"])
    # An epoch sees four rows, and takes the rate of those seen before it.
    seen = np.array([0, 4, 8]) if learning_rate == "invscaling" else np.zeros(3)
    np.testing.assert_allclose(rates, network.learning_rate_init / (seen + 1) ** 0.25, rtol=1e-12)


@pytest.mark.parametrize("patience", [2, 5, 10])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_training_ends_after_so_many_epochs_without_improvement_and_one(patience, solver, digits):
    tol = 0.01
    network = TorchMLPClassifier(
        (10,), solver=solver, learning_rate_init=0.01, tol=tol, max_iter=3000, n_iter_no_change=patience, random_state=0
    )
    curve = np.array(network.fit(*digits).loss_curve_)
    best_before = np.minimum.accumulate(np.concatenate([[np.inf], curve[:-1]]))
    improved = np.flatnonzero(curve <= best_before - tol)
    assert len(curve) - 1 - improved[-1] == patience + 1
    # And nowhere before were there so many in a row.
    assert np.diff(improved).max(initial=0) <= patience + 1


@FEW_EPOCHS
def test_an_infinite_patience_takes_every_epoch_and_does_not_complain(digits):
    network = TorchMLPClassifier((10,), solver="sgd", tol=1e9, max_iter=30, n_iter_no_change=np.inf, random_state=0)
    assert network.fit(*digits).n_iter_ == 30


@FEW_EPOCHS
@pytest.mark.parametrize("network", [TorchMLPClassifier, TorchMLPRegressor])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_warm_start_takes_max_iter_epochs_again(network, solver, digits):
    model = network(
        hidden_layer_sizes=5, solver=solver, warm_start=True, max_iter=10, n_iter_no_change=np.inf, random_state=0
    )
    assert model.fit(*digits).n_iter_ == 10
    assert model.set_params(max_iter=20).fit(*digits).n_iter_ == 20


class HeldOut(Callback):
    """Remembers y of the rows that are watched."""

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        HeldOut.y = dataset_valid.all_y()


@FEW_EPOCHS
@pytest.mark.parametrize("seed", range(3))
def test_held_out_rows_are_stratified_where_every_class_has_two(seed):
    X, y = np.random.RandomState(seed).randn(100, 2), np.repeat([0, 1, 2], [60, 30, 10])
    options = dict(early_stopping=True, max_iter=1, random_state=seed, callbacks=[HeldOut()], n_iter_no_change=np.inf)
    TorchMLPClassifier((2,), **options).fit(X, y)
    np.testing.assert_array_equal(np.bincount(HeldOut.y), [6, 3, 1])
    # A class of one row cannot be in both parts; scikit-learn refuses it.
    y[-10:] = [1] * 9 + [2]
    TorchMLPClassifier((2,), **options).fit(X, y)
    assert len(HeldOut.y) == 10


@FEW_EPOCHS
def test_verbose_says_a_line_an_epoch(capsys):
    X, y = np.array([[3.0, 2.0], [1.0, 6.0]]), [1, 0]
    network = TorchMLPClassifier((2,), solver="sgd", max_iter=2, verbose=1, **EVERY_EPOCH).fit(X, y)
    network.partial_fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/2", "Epoch 2/2", "Epoch 1/1"]


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    X, y = load_digits(n_class=2, return_X_y=True)
    return X[:100] / 16, y[:100]
