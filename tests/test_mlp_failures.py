"""Nothing goes wrong in silence: lost trainings, interrupts, changed parameters, numpy's scalars, failed fits."""

import signal
import warnings
from contextlib import nullcontext
from itertools import count

import numpy as np
import pytest
import torch
from names import name_of
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback

from sklearn_svmdl import TorchMLPClassifier, TorchMLPRegressor
from sklearn_svmdl.neural_network import _runtime
from sklearn_svmdl.neural_network._training import Supervisor

FOREVER = {"tol": 0, "n_iter_no_change": np.inf, "random_state": 0}
LEARNS = {"hidden_layer_sizes": (8,), "max_iter": 20, "learning_rate_init": 0.05, "batch_size": 50, **FOREVER}


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def weights_of(network):
    return np.concatenate([p.detach().numpy().ravel() for p in network.module_.parameters()])


class Listener(Callback):
    """Makes skorch's loop necessary, step by step."""

    def on_batch_end(self, net, **kwargs):
        """Nothing."""


class Interrupting(Callback):
    """Ctrl-C in the third epoch."""

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt


# --- trainings that came to nothing


@pytest.mark.parametrize("callbacks", [None, [Callback()], [Listener()]])
@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
def test_a_diverged_training_is_said(iris, solver, callbacks):
    huge = LEARNS | {"learning_rate_init": 1e4, "activation": "tanh"}
    network = TorchMLPClassifier(solver=solver, callbacks=callbacks, **huge)
    with pytest.warns(ConvergenceWarning, match=r"training loss ended at .*above the 1\.099 of always.*StandardScaler"):
        network.fit(*iris)


class Huge(torch.nn.Linear):
    """Its outputs are finite numbers, their squares in single precision are not."""

    def forward(self, X):
        return super().forward(X) * 0 + 1e25


def test_a_loss_that_is_not_finite_is_said(diabetes):
    X, y = diabetes
    network = TorchMLPRegressor(module=Huge, dtype="float32", max_iter=2, **FOREVER)
    with pytest.warns(ConvergenceWarning, match="training loss ended at inf"):
        network.fit(X, y)
    with pytest.warns(ConvergenceWarning, match="training loss ended at inf"):
        network.partial_fit(X, y)
    assert np.isfinite(weights_of(network)).all()


@pytest.mark.parametrize("kind", [TorchMLPClassifier, TorchMLPRegressor])
def test_a_training_that_learns_is_not_complained_of(iris, diabetes, kind):
    X, y = iris if kind is TorchMLPClassifier else diabetes
    kind(**LEARNS).fit(X, y)
    kind(**LEARNS).fit(X, np.zeros(len(y)))  # nothing to learn, and nothing to complain of
    kind(**LEARNS, n_networks=3).fit(X, y, sample_weight=np.linspace(0.5, 2, len(y)))


def test_noise_is_not_complained_of():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 5)), rng.normal(size=400)
    TorchMLPRegressor(max_iter=30, alpha=100.0, **FOREVER).fit(X, y)
    TorchMLPClassifier(max_iter=30, alpha=100.0, **FOREVER).fit(X, y > 0)


@pytest.mark.parametrize(
    ("head", "y", "expected"),
    [
        (TorchMLPClassifier, np.repeat([0, 1, 2], [20, 30, 50]), None),
        (TorchMLPClassifier, np.repeat([0, 1], [20, 80]), None),
        (TorchMLPRegressor, np.arange(100.0), 0.5),
    ],
    ids=["multiclass", "binary", "squared"],
)
def test_the_constant_predictor_is_the_best_constant(head, y, expected):
    """Trained on features that say nothing, a network can do no better."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network = head(hidden_layer_sizes=(), solver="lbfgs", alpha=0, tol=1e-10, random_state=0)
        network.fit(np.zeros((100, 2)), y)
    shares = np.bincount(y) / 100 if expected is None else None
    best = -(shares * np.log(shares)).sum() if expected is None else expected
    rows = network._rows(np.zeros((100, 2)), network._encoded(y), None)
    assert_allclose(network.net_.constant_loss(rows), best)
    assert_allclose(network.loss_, best, rtol=1e-6)


def test_one_warning_says_both_that_epochs_were_too_few_and_that_nothing_was_learnt(iris):
    with pytest.warns(ConvergenceWarning) as record:
        TorchMLPClassifier(max_iter=1, learning_rate_init=1e4, random_state=0).fit(*iris)
    (warning,) = record
    assert "Maximum iterations (1)" in str(warning.message) and "training loss ended" in str(warning.message)


# --- Ctrl-C


@pytest.mark.parametrize("early_stopping", [False, True])
def test_ctrl_c_keeps_what_is_learnt(iris, early_stopping):
    network = TorchMLPClassifier(callbacks=[Interrupting()], early_stopping=early_stopping, **LEARNS)
    with pytest.warns(UserWarning, match="interrupted by user"):
        network.fit(*iris)
    assert network.n_iter_ == 2 and len(network.loss_curve_) == 2
    assert network.predict(iris[0]).shape == (150,)


class Waiting(Callback):
    """Does something at the ends of epochs in which Ctrl-C strikes at the third, or asks to stop there."""

    def __init__(self, asks):
        self.asks = asks

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 3:
            if self.asks:
                raise KeyboardInterrupt
            # What Python calls as the signal arrives: no `raise` of the callback's own.
            signal.default_int_handler(signal.SIGINT, None)


@pytest.mark.parametrize("asks", [False, True])
def test_ctrl_c_within_a_callback_is_no_wish_to_stop(iris, asks):
    network = TorchMLPClassifier(callbacks=[Waiting(asks)], **LEARNS)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        network.fit(*iris)
    assert [str(warning.message) for warning in told] == ([] if asks else ["Training interrupted by user."])
    assert network.n_iter_ == 3


class Pool:
    """A library with threads, in the form of threadpoolctl; Ctrl-C strikes as the n-th number is set."""

    def __init__(self, num_threads, countdown):
        self.num_threads, self.countdown = num_threads, countdown

    def set_num_threads(self, number):
        """Set it."""
        self.num_threads = number
        if next(self.countdown) == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("moment", range(-1, 4))
def test_threads_are_as_before_wherever_ctrl_c_strikes(moment, monkeypatch):
    countdown = count(moment, -1)
    pools = [Pool(4, countdown), Pool(7, countdown)]
    monkeypatch.setattr(_runtime, "_openmp", lambda: pools)
    within = None
    with pytest.raises(KeyboardInterrupt) if moment >= 0 else nullcontext(), _runtime.fitting_threads(1):
        within = [pool.num_threads for pool in pools]
    assert within == (None if moment in (0, 1) else [1, 1])
    assert [pool.num_threads for pool in pools] == [4, 7]


@pytest.mark.parametrize("moment", ["begin_epoch", "end_epoch", "see"])
@pytest.mark.parametrize(
    "parameters", [{}, {"n_networks": 2}, {"callbacks": [Callback()]}, {"callbacks": [Listener()]}], ids=name_of
)
def test_ctrl_c_at_any_moment_is_said(iris, parameters, moment, monkeypatch):
    original, calls = getattr(Supervisor, moment), []

    def interrupted(self, *args, **kwargs):
        calls.append(moment)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Supervisor, moment, interrupted)
    network = TorchMLPClassifier(**parameters, **LEARNS)
    with pytest.warns(UserWarning, match="interrupted by user"):
        network.fit(*iris)
    assert len(calls) == 5 and network.n_iter_ == len(network.loss_curve_) < 5
    assert network.predict(iris[0]).shape == (150,)


@pytest.mark.parametrize("parameters", [{}, {"module": torch.nn.Linear}, {"n_networks": 2}], ids=str)
def test_ctrl_c_in_lbfgs_keeps_the_last_iterate(iris, parameters, monkeypatch):
    from sklearn_svmdl.neural_network import _lbfgs

    calls = []
    original = _lbfgs._Objective.__call__

    def interrupted(self, vector):
        calls.append(original(self, vector)[0])
        if len(calls) == 15:
            raise KeyboardInterrupt
        return original(self, vector)

    monkeypatch.setattr(_lbfgs._Objective, "__call__", interrupted)
    network = TorchMLPClassifier(solver="lbfgs", random_state=0, **parameters)
    with pytest.warns(UserWarning, match="interrupted by user"):
        network.fit(*iris)
    assert 1 <= network.n_iter_ < 15
    if network.n_networks == 1:
        squares = sum(p.square().sum().item() for p in network.module_.parameters() if p.ndim > 1)
        penalty = 0.5 * network.alpha / 150 * squares
        assert_allclose(network.loss_, log_loss(iris[1], network.predict_proba(iris[0])) + penalty, rtol=1e-9)
        assert network.loss_ < calls[0]


# --- going on with another network than the parameters describe


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"activation": "tanh"}, "activation='relu'.*ask for 'tanh'.*Keep activation"),
        ({"hidden_layer_sizes": (9,)}, r"layer_units=\[4, 8, 3\].*Keep hidden_layer_sizes"),
        ({"dtype": "float32"}, "dtype='float64'.*ask for 'float32'"),
        ({"module": torch.nn.Linear}, "module=.*MLPModule.*Linear.*Keep module"),
        ({"n_networks": 2}, "n_networks=1.*ask for 2"),
    ],
    ids=["activation", "layers", "dtype", "module", "networks"],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_warm_start_refuses_what_it_cannot_use(iris, method, changed, message):
    network = TorchMLPClassifier(warm_start=True, **LEARNS).fit(*iris)
    before = weights_of(network)
    with pytest.raises(ValueError, match=message):
        getattr(network.set_params(**changed), method)(*iris)
    assert_array_equal(weights_of(network), before)


def test_a_warm_start_refuses_another_loss_or_module_parameter(iris, diabetes):
    X, y = diabetes
    network = TorchMLPRegressor(warm_start=True, **LEARNS).fit(X, y)
    with pytest.raises(ValueError, match="loss='squared_error'.*ask for 'poisson'"):
        network.set_params(loss="poisson").fit(X, y)
    network = TorchMLPClassifier(warm_start=True, module=torch.nn.Linear, module__bias=True, **LEARNS).fit(*iris)
    with pytest.raises(ValueError, match="module__bias=True.*ask for False"):
        network.set_params(module__bias=False).fit(*iris)


def test_a_warm_start_uses_the_rest(iris):
    network = TorchMLPClassifier(warm_start=True, **LEARNS).fit(*iris)
    dropping = clone(network).fit(*iris).set_params(dropout=0.5).fit(*iris)
    assert np.abs(weights_of(dropping) - weights_of(network.fit(*iris))).max() > 1e-3
    heard = network.set_params(callbacks=[Interrupting()], max_iter=2)
    assert len(heard.fit(*iris).net_.callbacks_) == 1


# --- batches of one row


@pytest.mark.parametrize("callbacks", [None, [Listener()]])
def test_a_last_batch_of_one_row_joins_the_one_before(iris, callbacks):
    class Normed(torch.nn.Sequential):
        def __init__(self, n, k):
            super().__init__(torch.nn.Linear(n, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, k))

    X, y = iris[0][:101], iris[1][:101]
    network = TorchMLPClassifier(module=Normed, callbacks=callbacks, **LEARNS).fit(X, y)
    assert network.score(X, y) > 0.9
    plain = TorchMLPClassifier(batch_size=50, shuffle=False, max_iter=1, hidden_layer_sizes=(), **FOREVER)
    larger = TorchMLPClassifier(batch_size=51, shuffle=False, max_iter=1, hidden_layer_sizes=(), **FOREVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        plain.fit(X, y), larger.fit(np.roll(X, 51, axis=0), np.roll(y, 51))
    assert plain.t_ == larger.t_ == 101


# --- numpy's scalars


SCALARS = {
    "hidden_layer_sizes": np.int64(5),
    "activation": np.str_("tanh"),
    "solver": np.str_("adamw"),
    "alpha": np.float32(0.25),
    "batch_size": np.int32(64),
    "learning_rate": np.str_("cosine"),
    "learning_rate_init": np.float32(0.0625),
    "power_t": np.float32(0.5),
    "max_iter": np.int64(7),
    "shuffle": np.bool_(False),
    "random_state": np.int64(3),
    "tol": np.float32(0.0),
    "verbose": np.int64(0),
    "warm_start": np.bool_(False),
    "momentum": np.float32(0.5),
    "nesterovs_momentum": np.bool_(False),
    "early_stopping": np.bool_(True),
    "validation_fraction": np.float32(0.25),
    "beta_1": np.float32(0.5),
    "beta_2": np.float32(0.75),
    "epsilon": np.float32(2**-20),
    "n_iter_no_change": np.float64(np.inf),
    "max_fun": np.int64(1000),
    "dropout": np.float32(0.25),
    "device": np.str_("cpu"),
    "dtype": np.str_("float64"),
    "n_networks": np.int64(2),
    "label_smoothing": np.float32(0.125),
    "allow_missing": np.bool_(True),
    "monitor_validation": np.bool_(True),
    "class_weight": {0: np.float32(2.0), 1: np.int64(1), 2: np.float64(1.0)},
}
NOT_SCALARS = {"callbacks", "module", "criterion", "optimizer", "iterator_train", "iterator_valid"}
NOT_SCALARS |= {"categorical_features", "numeric_embedding"}


def test_the_list_of_scalars_is_complete():
    assert set(TorchMLPClassifier().get_params(deep=False)) == set(SCALARS) | NOT_SCALARS


@pytest.mark.parametrize("name", list(SCALARS))
@pytest.mark.parametrize(
    "extra", [{}, {"solver": "sgd"}, {"solver": "lbfgs"}, {"callbacks": [Listener()]}], ids=name_of
)
def test_every_parameter_takes_numpys_scalars(iris, name, extra):
    value = SCALARS[name]
    pythons = {k: v.item() for k, v in value.items()} if isinstance(value, dict) else value.item()
    if name == "n_networks" and "callbacks" in extra or name == "learning_rate" and "sgd" in extra:
        return
    parameters = LEARNS | {"max_iter": 8} | extra
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours = TorchMLPClassifier(**parameters | {name: value}).fit(*iris)
        theirs = TorchMLPClassifier(**parameters | {name: pythons}).fit(*iris)
    assert_array_equal(weights_of(ours), weights_of(theirs))


# --- a fit that fails


@pytest.mark.parametrize("kind", [TorchMLPClassifier, TorchMLPRegressor])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_after_a_failed_first_fit_nothing_is_fitted(iris, kind, method):
    X, y = iris
    classes = {"classes": [0, 1, 2]} if method == "partial_fit" and kind is TorchMLPClassifier else {}
    for parameters in ({"hidden_layer_sizes": (0,)}, {"module": lambda n, k: torch.nn.Linear(n, k + 2)}):
        network = kind(**LEARNS | parameters)
        with pytest.raises(ValueError, match="hidden_layer_sizes|raw outputs"):
            getattr(network, method)(X, y, **classes)
        with pytest.raises(NotFittedError):
            check_is_fitted(network)
        assert not [name for name in vars(network) if name.endswith("_")]


def test_a_failed_refit_leaves_the_fitted_network(iris):
    X, y = iris
    network = TorchMLPClassifier(**LEARNS).fit(X, y)
    before = network.predict_proba(X)
    with pytest.raises(ValueError, match="non-zero"):
        network.fit(X[:, :2], y > 1, sample_weight=np.zeros(150))
    assert_array_equal(network.predict_proba(X), before)
    assert_array_equal(network.classes_, [0, 1, 2])


def test_a_warm_start_that_loses_its_weights_goes_back(diabetes):
    X, y = diabetes
    network = TorchMLPRegressor(solver="sgd", warm_start=True, **LEARNS | {"learning_rate_init": 0.01}).fit(X, y)
    before = network.predict(X)
    with pytest.raises(ValueError, match="non-finite weights"):
        network.set_params(learning_rate_init=1e30, max_iter=50).fit(X, y)
    assert_array_equal(network.predict(X), before)


def test_a_partial_fit_that_fails_leaves_no_trace(diabetes):
    X, y = diabetes
    network, twin = (TorchMLPRegressor(solver="sgd", **LEARNS).partial_fit(X, y) for _ in range(2))
    with pytest.raises(ValueError, match="non-finite weights"):
        network.set_params(learning_rate_init=1e200).fit(X, y)
    with pytest.raises(ValueError, match="negative|Negative"):
        network.partial_fit(X, y, sample_weight=-np.ones(len(y)))
    network.set_params(learning_rate_init=LEARNS["learning_rate_init"])
    assert len(network.history_) == 1
    assert_array_equal(network.partial_fit(X, y).predict(X), twin.partial_fit(X, y).predict(X))


# --- words of other libraries


@pytest.mark.parametrize(
    ("parameters", "hint"),
    [
        ({"activation": "sigmoid"}, "Got 'sigmoid' instead.*called 'logistic' here"),
        ({"learning_rate": 0.01}, "Got 0.01 instead.*the number is learning_rate_init"),
        ({"solver": torch.optim.Adam}, "optimizer goes into the parameter optimizer"),
    ],
    ids=str,
)
def test_other_names_point_to_ours(iris, parameters, hint):
    with pytest.raises(ValueError, match=hint):
        TorchMLPClassifier(**parameters).fit(*iris)


@pytest.mark.parametrize("last", [torch.nn.Sigmoid(), torch.nn.Softmax(1)], ids=str)
@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
def test_a_module_that_ends_in_probabilities_is_noticed(load, last):
    X, y = load(return_X_y=True)
    if load is load_breast_cancer and isinstance(last, torch.nn.Softmax):
        return  # the softmax of one output is 1
    X = StandardScaler().fit_transform(X)
    squashed = lambda n, k: torch.nn.Sequential(torch.nn.Linear(n, k), last)
    with pytest.warns(UserWarning, match="outputs of module look like probabilities"):
        TorchMLPClassifier(module=squashed, **LEARNS).fit(X, y)
    TorchMLPClassifier(module=torch.nn.Linear, **LEARNS).fit(X, y)  # no warning


# --- one seed, one network


@pytest.mark.parametrize("kind", [TorchMLPClassifier, TorchMLPRegressor])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("extra", [{}, {"dropout": 0.3}, {"early_stopping": True}, {"n_networks": 3}], ids=str)
def test_one_seed_is_one_network_in_both_precisions(iris, diabetes, kind, weighted, extra):
    X, y = iris if kind is TorchMLPClassifier else diabetes
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y)) if weighted else None
    parameters = LEARNS | {"batch_size": 7, "max_iter": 3, "learning_rate_init": 0.01} | extra
    double = kind(dtype="float64", **parameters).fit(X, y, sample_weight=weight)
    single = kind(dtype="float32", **parameters).fit(X.astype(np.float32), y, sample_weight=weight)
    assert_allclose(weights_of(single), weights_of(double), atol=2e-4)
    assert_allclose(single.loss_curve_, double.loss_curve_, rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_regressor_predicts_in_the_precision_of_its_data(diabetes, dtype):
    X, y = diabetes
    assert TorchMLPRegressor(**LEARNS).fit(X.astype(dtype), y).predict(X).dtype == dtype
    pandas = pytest.importorskip("pandas")
    assert TorchMLPRegressor(**LEARNS).fit(pandas.DataFrame(X.astype(dtype)), y).predict(X).dtype == dtype


# --- whatever the caller has set


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("parameters", [{}, {"callbacks": [Listener()]}, {"module": torch.nn.Linear}], ids=name_of)
def test_a_fit_within_a_mode_without_gradients(iris, parameters, mode):
    plain, within = (TorchMLPClassifier(**parameters, **LEARNS) for _ in range(2))
    with mode():
        within.fit(*iris)
    assert_array_equal(weights_of(within), weights_of(plain.fit(*iris)))
    assert_array_equal(weights_of(within.partial_fit(*iris)), weights_of(plain.partial_fit(*iris)))


@pytest.mark.parametrize(
    "parameters", [{}, {"callbacks": [Listener()]}, {"n_networks": 2}, {"solver": "lbfgs"}], ids=name_of
)
def test_numpy_may_be_set_to_raise(iris, parameters):
    X, y = iris
    tiny = np.where(np.arange(4) < 2, 1e-160, 1.0) * X  # products of the first columns underflow
    network = TorchMLPClassifier(dtype="float64", **parameters, **LEARNS | {"max_iter": 200})
    expected = clone(network).fit(tiny, y).predict_proba(tiny)
    with np.errstate(all="raise"):
        assert_array_equal(network.fit(tiny, y).predict_proba(tiny), expected)
