"""The MLPs against algorithms that must give the same: convex solvers, MLPClassifier's steps, autograd."""

from inspect import signature

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sklearn_svmdl import TorchMLPClassifier, TorchMLPRegressor
from sklearn_svmdl.neural_network import _gradient
from sklearn_svmdl.neural_network._activations import ACTIVATIONS
from sklearn_svmdl.neural_network._gradient import WrittenOutGradient
from sklearn_svmdl.neural_network._heads import HEADS
from sklearn_svmdl.neural_network._module import MLPModule, draw_weights
from sklearn_svmdl.neural_network._recipe import Recipe
from sklearn_svmdl.neural_network._solvers import FLAT_SOLVERS, FlatAdam, _fused_adam, _plain_adam, fused_adam_works

# A few epochs are enough for what is tested here, not for a network that has learnt something.
pytestmark = pytest.mark.filterwarnings("ignore:The training loss ended:sklearn.exceptions.ConvergenceWarning")
FOREVER = {"tol": 0, "n_iter_no_change": np.inf}
EXACT = {"solver": "lbfgs", "tol": 1e-9, "max_iter": 5000, "random_state": 0}


class Listener(Callback):
    """A callback that does nothing: it only makes the ordinary path necessary, step by step."""

    def on_batch_end(self, net, **kwargs):
        """Nothing."""


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.mark.parametrize("n_classes", [2, 3])
def test_perceptron_by_lbfgs_is_logistic_regression(iris, n_classes):
    X, y = iris[0][iris[1] < n_classes], iris[1][iris[1] < n_classes]
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    perceptron = TorchMLPClassifier((), alpha=0.7, **EXACT).fit(X, y, sample_weight=weight)
    regression = LogisticRegression(C=1 / 0.7, tol=1e-10, max_iter=5000).fit(X, y, sample_weight=weight)
    assert_allclose(perceptron.predict_proba(X), regression.predict_proba(X), atol=1e-4)


def test_linear_regressor_by_lbfgs_is_ridge(diabetes):
    X, y = diabetes
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    network = TorchMLPRegressor(hidden_layer_sizes=(), alpha=3.0, **EXACT).fit(X, y, sample_weight=weight)
    ridge = Ridge(alpha=3.0).fit(X, y, sample_weight=weight)
    assert_allclose(network.predict(X), ridge.predict(X), rtol=1e-4)


def test_poisson_regressor_by_lbfgs_is_poisson_regression(diabetes):
    X, y = diabetes
    network = TorchMLPRegressor("poisson", (), alpha=1.0, **EXACT).fit(X, y)
    peer = PoissonRegressor(alpha=y.mean() / len(y), tol=1e-8, max_iter=1000).fit(X, y)
    assert_allclose(network.predict(X), peer.predict(X), rtol=1e-4)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_predictions_are_those_of_mlpclassifier_with_the_same_weights(iris, activation):
    X, y = iris
    network = TorchMLPClassifier((7, 5), activation, max_iter=5, random_state=0, **FOREVER).fit(X, y)
    peer = MLPClassifier((7, 5), activation=activation, max_iter=1, **FOREVER)
    with pytest.warns(match="Maximum iterations"):
        peer.fit(X, y)
    peer.coefs_, peer.intercepts_ = network.coefs_, network.intercepts_
    assert_allclose(network.predict_proba(X), peer.predict_proba(X), rtol=1e-10)
    assert np.array_equal(network.predict(X), peer.predict(X))


@pytest.mark.parametrize(
    "solver",
    [
        {"solver": "sgd", "nesterovs_momentum": True},
        {"solver": "sgd", "nesterovs_momentum": False},
        {"solver": "sgd", "momentum": 0.0},
        {"solver": "sgd", "alpha": 0.1},
        {"solver": "adam", "alpha": 0.1, "epsilon": 1e-12},
    ],
    ids=str,
)
@pytest.mark.parametrize("weighted", [False, True])
def test_training_steps_are_those_of_mlpclassifier(iris, solver, weighted):
    """From the same weights, over the same batches, both must end at the same weights."""
    if weighted and "sample_weight" not in signature(MLPClassifier.fit).parameters:
        pytest.skip("this scikit-learn has no sample_weight in MLPClassifier")
    X, y = iris
    same = dict(
        hidden_layer_sizes=(6,),
        batch_size=40,
        shuffle=False,
        learning_rate_init=0.01,
        random_state=0,
        **solver,
    )
    weight = {"sample_weight": np.random.default_rng(0).uniform(0.5, 2.0, len(y))} if weighted else {}
    network = TorchMLPClassifier(max_iter=20, **same, **FOREVER)
    peer = MLPClassifier(**same)
    start = TorchMLPClassifier(max_iter=1, **same, **FOREVER).fit(X, y)
    peer.partial_fit(X, y, classes=np.unique(y))
    del peer._optimizer
    peer.coefs_ = [w.copy() for w in start.coefs_]
    peer.intercepts_ = [b.copy() for b in start.intercepts_]
    network.set_params(warm_start=True, max_iter=1).fit(X, y)  # the same start: same seed, same data
    network.set_params(max_iter=15).fit(X, y, **weight)
    for _ in range(15):
        peer.partial_fit(X, y, **weight)
    for ours, theirs in zip(network.coefs_ + network.intercepts_, peer.coefs_ + peer.intercepts_):
        assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("head_name", list(HEADS))
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("by_numpy", [False, True])
def test_written_out_gradient_is_autograd(activation, head_name, weighted, by_numpy, monkeypatch):
    if not by_numpy:
        monkeypatch.setattr(_gradient, "SMALL_PRODUCT", 0)
    generator = torch.Generator().manual_seed(0)
    n_outputs = 1 if head_name == "binary" else 3
    module = MLPModule([4, 6, 5, n_outputs], activation, 0.0, "float64")
    draw_weights(module, [generator])
    X = torch.randn(9, 4, dtype=torch.float64, generator=generator)
    targets = torch.nn.functional.one_hot(torch.arange(9) % 3)[:, :n_outputs].double()
    weight = torch.rand(9, dtype=torch.float64, generator=generator) + 0.5 if weighted else None
    head = HEADS[head_name]
    z_autograd = module(X)
    total = 9 if weight is None else weight.sum()
    loss = (head.row_losses(z_autograd, targets) * (1 if weight is None else weight)).sum()
    (loss + 0.15 * sum(layer.weight.square().sum() for layer in module.layers)).div(total).backward()
    expected = [layer.weight.grad for layer in module.layers] + [layer.bias.grad for layer in module.layers]
    written_out = WrittenOutGradient(module, head, penalty=0.3)
    z = written_out.evaluate(X, targets, weight)
    assert_allclose(z.numpy(), z_autograd.detach().numpy(), rtol=1e-12)
    assert_allclose(written_out.grad.numpy(), torch.cat([g.ravel() for g in expected]).numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("by_numpy", [False, True])
def test_written_out_gradient_of_what_dropout_leaves_is_autograd(activation, by_numpy, monkeypatch):
    if not by_numpy:
        monkeypatch.setattr(_gradient, "SMALL_PRODUCT", 0)
    module = MLPModule([4, 6, 5, 3], activation, 0.4, "float64")
    draw_weights(module, [torch.Generator().manual_seed(0)])
    X = torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    targets = torch.nn.functional.one_hot(torch.arange(9) % 3).double()
    # The same masks for both.
    module.generator = torch.Generator().manual_seed(2)
    HEADS["multiclass"].row_losses(module(X), targets).mean().backward()
    expected = [layer.weight.grad for layer in module.layers] + [layer.bias.grad for layer in module.layers]
    written_out = WrittenOutGradient(module, HEADS["multiclass"], penalty=0.0)
    module.generator = torch.Generator().manual_seed(2)
    written_out.evaluate(X, targets, None)
    assert_allclose(written_out.grad.numpy(), torch.cat([g.ravel() for g in expected]).numpy(), rtol=1e-10, atol=1e-14)


def test_decoupled_decay_shrinks_the_weights_alone():
    recipe = Recipe.of(TorchMLPClassifier(solver="adamw", alpha=0.3, learning_rate_init=0.1))
    flat = torch.ones(5, dtype=torch.float64)
    # A gradient of zero moves nothing: what is left is the decay of the first three.
    FLAT_SOLVERS["adamw"](flat, flat[:3], recipe).step(torch.zeros(5, dtype=torch.float64))
    assert_allclose(flat.numpy(), [0.97, 0.97, 0.97, 1.0, 1.0], rtol=1e-15)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("by_numpy", [False, True])
@pytest.mark.parametrize("rows_differ", [False, True])
def test_the_gradient_of_several_networks_is_that_of_each(activation, by_numpy, rows_differ, monkeypatch):
    if not by_numpy:
        monkeypatch.setattr(_gradient, "SMALL_PRODUCT", 0)
    generators = [torch.Generator().manual_seed(seed) for seed in range(3)]
    module = MLPModule([4, 6, 5, 2], activation, 0.0, "float64", n_networks=3)
    draw_weights(module, generators)
    members = [module.member(i) for i in range(3)]
    X, targets = (torch.rand(3, 9, width, dtype=torch.float64, generator=generators[0]) for width in (4, 2))
    if not rows_differ:
        X, targets = (part[:1].expand(3, -1, -1) for part in (X, targets))
    together = WrittenOutGradient(module, HEADS["squared_error"], penalty=0.3)
    z = together.evaluate(X, targets, None)
    for i, member in enumerate(members):
        alone = WrittenOutGradient(member, HEADS["squared_error"], penalty=0.3)
        assert_allclose(alone.evaluate(X[i], targets[i], None), z[i], rtol=1e-12)
        assert_allclose(alone.grad, together.grad[i], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"dropout": 0.3},
        {"activation": "gelu"},
        {"learning_rate": "cosine"},
        {"early_stopping": True},
        {"hidden_layer_sizes": ()},
    ],
    ids=str,
)
def test_both_paths_give_the_same_weights(iris, solver, choice):
    X, y = iris
    weight = np.random.default_rng(1).uniform(0.5, 2.0, len(y))
    parameters = {
        "hidden_layer_sizes": (8, 6),
        "solver": solver,
        "alpha": 0.01,
        "batch_size": 16,
        "max_iter": 12,
        "random_state": 3,
        "learning_rate_init": 0.01,
        **FOREVER,
        **choice,
    }
    fast = TorchMLPClassifier(**parameters).fit(X, y, sample_weight=weight)
    ordinary = TorchMLPClassifier(callbacks=[Listener()], **parameters).fit(X, y, sample_weight=weight)
    assert fast.n_iter_ == ordinary.n_iter_
    for a, b in zip(fast.coefs_ + fast.intercepts_, ordinary.coefs_ + ordinary.intercepts_):
        assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    assert_allclose(fast.loss_curve_, ordinary.loss_curve_, rtol=1e-6)


@pytest.mark.parametrize("callbacks", [None, [Listener()]])
def test_the_loss_is_that_before_the_step_with_the_penalty_after_it(iris, callbacks):
    """Of epochs of one step: the cross-entropy of the network of an epoch before, and its own weights."""
    X, y = iris
    parameters = dict(
        hidden_layer_sizes=(8,), solver="sgd", alpha=0.3, batch_size=150, random_state=0, callbacks=callbacks, **FOREVER
    )
    networks = [TorchMLPClassifier(max_iter=k, learning_rate_init=0.1, **parameters).fit(X, y) for k in (1, 2, 3)]
    for before, network in zip(networks, networks[1:]):
        penalty = 0.5 * network.alpha / 150 * sum((w**2).sum() for w in network.coefs_)
        assert_allclose(network.loss_, log_loss(y, before.predict_proba(X)) + penalty, rtol=1e-6)
        assert network.loss_curve_[:-1] == before.loss_curve_


def test_both_paths_give_the_same_regression(diabetes):
    X, y = diabetes
    targets = np.column_stack([y, X @ np.arange(10.0)])
    parameters = dict(hidden_layer_sizes=(8,), max_iter=10, random_state=3, **FOREVER)
    fast = TorchMLPRegressor(**parameters).fit(X, targets)
    ordinary = TorchMLPRegressor(callbacks=[Listener()], **parameters).fit(X, targets)
    assert_allclose(fast.predict(X), ordinary.predict(X), rtol=1e-6)


def test_plain_adam_is_the_fused_kernel():
    generator = torch.Generator().manual_seed(0)
    assert fused_adam_works(torch.device("cpu"), torch.float64)
    recipe = Recipe.of(TorchMLPClassifier())
    start = torch.randn(50, dtype=torch.float64, generator=generator)
    ends = []
    for update in (_fused_adam, _plain_adam):
        solver = FlatAdam(start.clone(), start[:0], recipe)
        solver._update = update
        for step in range(20):
            solver.step(torch.sin(start * (step + 1)))
        ends.append(solver.flat)
    assert_allclose(ends[0].numpy(), ends[1].numpy(), rtol=1e-12)


@pytest.mark.parametrize("solver", ["adam", "adamw"])
def test_every_step_of_adam_is_one_call_of_the_fused_kernel(solver, monkeypatch):
    X, y = load_breast_cancer(return_X_y=True)
    steps, own = [], torch._fused_adam_

    def counted(*args, **settings):
        steps.append(settings["lr"])
        return own(*args, **settings)

    monkeypatch.setattr(torch, "_fused_adam_", counted)
    network = TorchMLPClassifier((4,), solver=solver, batch_size=100, max_iter=3, random_state=0, **FOREVER)
    network.fit(StandardScaler().fit_transform(X), y)
    assert len(steps) == 3 * 6


def test_loss_is_the_log_loss_and_scores_are_scikit_learns():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    X_val, y_val, weight = X[400:], y[400:], np.random.default_rng(0).uniform(0.5, 2, 169)
    network = TorchMLPClassifier((8,), alpha=0.0, max_iter=3, random_state=0, monitor_validation=True, **FOREVER)
    network.fit(X[:400], y[:400], X_val=X_val, y_val=y_val, sample_weight_val=weight)
    last = network.history_[-1]
    assert_allclose(last["val_loss"], log_loss(y_val, network.predict_proba(X_val), sample_weight=weight))
    assert_allclose(last["val_accuracy"], accuracy_score(y_val, network.predict(X_val), sample_weight=weight))


def test_watched_r2_is_scikit_learns(diabetes):
    X, y = diabetes
    targets = np.column_stack([y, X @ np.arange(10.0)])
    weight = np.random.default_rng(0).uniform(0.5, 2, 142)
    network = TorchMLPRegressor(hidden_layer_sizes=(8,), max_iter=3, random_state=0, **FOREVER)
    network.fit(X[:300], targets[:300], X_val=X[300:], y_val=targets[300:], sample_weight_val=weight)
    expected = r2_score(targets[300:], network.predict(X[300:]), sample_weight=weight)
    assert_allclose(network.history_[-1]["val_r2"], expected)
    assert network.validation_scores_[-1] == network.history_[-1]["val_r2"]


def test_regression_does_not_depend_on_the_units_of_y(diabetes):
    X, y = diabetes
    network = TorchMLPRegressor(hidden_layer_sizes=(8,), max_iter=5, random_state=0, **FOREVER)
    base = network.fit(X, y).predict(X)
    assert_allclose(network.fit(X, 1024 * y + 2.0**20).predict(X), 1024 * base + 2.0**20, rtol=1e-9)


def test_regressor_defaults_fit_diabetes_where_mlpregressor_does_not():
    X, y = load_diabetes(return_X_y=True)
    ours = TorchMLPRegressor(random_state=0)
    with pytest.warns(match="Maximum iterations"):
        assert cross_val_score(ours, X, y).mean() >= 0.40
    with pytest.warns(match="Maximum iterations"):
        assert cross_val_score(MLPRegressor(random_state=0), X, y).mean() < 0
