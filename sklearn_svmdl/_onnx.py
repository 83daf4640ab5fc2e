"""Models as ONNX graphs, in the primitive operators that every runtime has.

A graph takes ``X``, doubles of shape (n, n_features). That of a classifier gives ``label`` and ``probability``
(networks) or ``scores`` (support vector machines), that of a regressor ``prediction``.
"""

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from onnx import ModelProto

# The operators used are in every release since this one; its models are read by all later runtimes.
OPSET = 17


def to_onnx(model: Any) -> "ModelProto":
    """Translate a fitted model into an ONNX graph.

    Parameters
    ----------
    model : TorchMLPClassifier, TorchMLPRegressor, BudgetSVC, BudgetSVR, StandardScaler or Pipeline of these
        Fitted. Networks must be the built-in ones, kernels named: "linear", "poly", "rbf", "sigmoid", "laplacian"
        or "cosine".

    Returns
    -------
    onnx.ModelProto
        Takes ``X``, doubles of shape (n, n_features). A classifier gives ``label`` (n,) and ``probability``
        (n, n_classes), a BudgetSVC ``scores`` in its place, a regressor ``prediction`` (n,) or
        (n, n_outputs).

    Raises
    ------
    ImportError
        If the package onnx is not installed: ``pip install sklearn-svmdl[onnx]``.
    TypeError
        If a model, a network or a kernel is of another kind.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_svmdl import TorchMLPRegressor, to_onnx
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = TorchMLPRegressor(learning_rate_init=0.01, tol=0, n_iter_no_change=float("inf"), random_state=0)
    >>> [output.name for output in to_onnx(model.fit(X, y)).graph.output]
    ['prediction']
    """
    graph = _Graph()
    check_is_fitted(model)
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    steps = [step for step in steps if step is not None and not isinstance(step, str)]
    X = "X"
    for step in steps[:-1]:
        X = _converter(step, _TRANSFORMERS)(graph, step, X)
    outputs = _converter(steps[-1], _PREDICTORS)(graph, steps[-1], X)
    return graph.model(steps[0].n_features_in_, outputs)


def _converter(step, converters):
    for kind in type(step).__mro__:
        if kind.__name__ in converters:
            return converters[kind.__name__]
    raise TypeError(
        f"to_onnx cannot translate {type(step).__name__} here; it knows {sorted(converters)}. Other steps of a "
        "pipeline can be translated by the package skl2onnx and put before this graph."
    )


class _Graph:
    """Nodes and constants under way to a graph."""

    def __init__(self):
        try:
            import onnx
        except ImportError as error:
            raise ImportError("to_onnx needs the package onnx: pip install sklearn-svmdl[onnx]") from error
        self.onnx = onnx
        self._nodes, self._constants = [], []

    def constant(self, value, dtype=None):
        """The name of a constant array; of strings if it holds objects or text."""
        value = np.asarray(value, dtype)
        value = value.astype(object) if value.dtype.kind in "US" else value
        name = f"constant_{len(self._constants)}"
        self._constants.append(self.onnx.numpy_helper.from_array(value, name))
        return name

    def __call__(self, operator, *inputs, **attributes):
        """The name of an operator's output."""
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(self.onnx.helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def cast(self, x, dtype):
        """x in another precision or type."""
        return self("Cast", x, to=self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def model(self, n_features, outputs):
        """The finished model, its outputs a dict of name -> (node, dtype, shape)."""
        helper = self.onnx.helper
        infos = []
        for name, (node, dtype, shape) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [node], [name]))
            is_text = np.dtype(dtype).kind in "OUS"
            kind = self.onnx.TensorProto.STRING if is_text else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
            infos.append(helper.make_tensor_value_info(name, kind, shape))
        X = helper.make_tensor_value_info("X", self.onnx.TensorProto.DOUBLE, ["n", n_features])
        graph = helper.make_graph(self._nodes, "sklearn_svmdl", [X], infos, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        self.onnx.checker.check_model(model)
        return model


def _labels(graph, scores, classes):
    """The class of the highest score in each row."""
    classes = classes.astype(np.int64) if classes.dtype.kind in "iub" else classes
    best = graph("ArgMax", scores, axis=1, keepdims=0)
    return graph("Gather", graph.constant(classes), best), classes.dtype, ["n"]


def _flat(graph, column):
    """A column as a vector, with what an output says of itself."""
    return graph("Squeeze", column, graph.constant([1])), np.float64, ["n"]


# --- scaling


def _scaler(graph, scaler, X):
    if scaler.with_mean:
        X = graph("Sub", X, graph.constant(scaler.mean_, np.float64))
    if scaler.with_std:
        X = graph("Div", X, graph.constant(scaler.scale_, np.float64))
    return X


# --- networks


def _silu(graph, z, dtype):
    return graph("Mul", z, graph("Sigmoid", z))


def _gelu(graph, z, dtype):
    """z Phi(z); erf is there in single precision only."""
    scaled = graph("Mul", z, graph.constant(np.sqrt(0.5), dtype))
    erf = graph.cast(graph("Erf", graph.cast(scaled, np.float32)), dtype)
    share = graph("Mul", graph("Add", erf, graph.constant(1.0, dtype)), graph.constant(0.5, dtype))
    return graph("Mul", z, share)


_ACTIVATIONS = {
    "identity": lambda graph, z, dtype: z,
    "logistic": lambda graph, z, dtype: graph("Sigmoid", z),
    "tanh": lambda graph, z, dtype: graph("Tanh", z),
    "relu": lambda graph, z, dtype: graph("Relu", z),
    "silu": _silu,
    "gelu": _gelu,
}
_LINKS = {
    "softmax": lambda graph, z: graph("Softmax", z, axis=1),
    "logistic": lambda graph, z: graph("Sigmoid", z),
    "identity": lambda graph, z: z,
    "exp": lambda graph, z: graph("Exp", z),
}


def _network(graph, network, X):
    """The head's prediction, the mean over the networks."""
    module = network.module_
    if type(module).__name__ != "MLPModule":
        raise TypeError(
            f"to_onnx translates the built-in network, not the module {type(module).__name__}: export it with "
            "torch.onnx.export."
        )
    weights, biases = network.coefs_, network.intercepts_
    if network.n_networks_ == 1:
        weights, biases = [w[np.newaxis] for w in weights], [b[np.newaxis] for b in biases]
    dtype = weights[0].dtype
    X = X if dtype == np.float64 else graph.cast(X, dtype)
    members = [_member(graph, module.activation, X, layers) for layers in zip(zip(*weights), zip(*biases))]
    linked = [_LINKS[network.out_activation_](graph, z) for z in members]
    total = linked[0]
    for other in linked[1:]:
        total = graph("Add", total, other)
    mean = total if len(linked) == 1 else graph("Div", total, graph.constant(len(linked), dtype))
    return graph.cast(mean, np.float64)


def _member(graph, activation, X, layers):
    weights, biases = layers
    for depth, (w, b) in enumerate(zip(weights, biases)):
        X = graph("Add", graph("MatMul", X, graph.constant(w)), graph.constant(b))
        if depth < len(weights) - 1:
            X = _ACTIVATIONS[activation](graph, X, w.dtype)
    return X


def _network_classifier(graph, network, X):
    probability = _network(graph, network, X)
    n_classes = len(network.classes_)
    if network.n_outputs_ == 1 and n_classes <= 2:
        other = graph("Sub", graph.constant(1.0), probability)
        probability = graph("Concat", other, probability, axis=1)
        if n_classes == 1:
            probability = graph("Mul", graph("Slice", probability, *_first_column(graph)), graph.constant(0.0))
            probability = graph("Add", probability, graph.constant(1.0))
    elif network.net_.task.head_name == "multilabel-indicator":
        chosen = graph.cast(graph("Greater", probability, graph.constant(0.5)), np.int64)
        return {
            "label": (chosen, np.int64, ["n", n_classes]),
            "probability": (probability, np.float64, ["n", n_classes]),
        }
    return {
        "label": _labels(graph, probability, network.classes_),
        "probability": (probability, np.float64, ["n", n_classes]),
    }


def _first_column(graph):
    return [graph.constant([value]) for value in (0, 1, 1)]


def _network_regressor(graph, network, X):
    task = network.net_.task
    y = graph("Mul", _network(graph, network, X), graph.constant(task.scale))
    y = graph("Add", y, graph.constant(task.center))
    if task.flat:
        return {"prediction": _flat(graph, y)}
    return {"prediction": (y, np.float64, ["n", task.n_outputs])}


# --- support vector machines


def _products(graph, X, basis):
    return graph("MatMul", X, graph.constant(basis.T))


def _poly(graph, X, basis, gamma, degree, coef0):
    inner = graph("Add", graph("Mul", _products(graph, X, basis), graph.constant(gamma)), graph.constant(coef0))
    return graph("Pow", inner, graph.constant(degree))


def _rbf(graph, X, basis, gamma):
    """Distances from inner products about the mean: far from the origin these would cancel nearly every digit."""
    centre = basis.mean(axis=0)
    X, basis = graph("Sub", X, graph.constant(centre)), basis - centre
    lengths = graph("ReduceSum", graph("Mul", X, X), graph.constant([1]), keepdims=1)
    own = graph.constant(np.square(basis).sum(axis=1))
    distances = graph("Add", graph("Sub", lengths, graph("Mul", _products(graph, X, basis), graph.constant(2.0))), own)
    return graph("Exp", graph("Mul", distances, graph.constant(-gamma)))


def _sigmoid(graph, X, basis, gamma, coef0):
    inner = graph("Mul", _products(graph, X, basis), graph.constant(gamma))
    return graph("Tanh", graph("Add", inner, graph.constant(coef0)))


def _laplacian(graph, X, basis, gamma):
    wide = graph("Unsqueeze", X, graph.constant([1]))
    apart = graph("Abs", graph("Sub", wide, graph.constant(basis)))
    distances = graph("ReduceSum", apart, graph.constant([2]), keepdims=0)
    return graph("Exp", graph("Mul", distances, graph.constant(-gamma)))


def _cosine(graph, X, basis):
    lengths = graph("Sqrt", graph("ReduceSum", graph("Mul", X, X), graph.constant([1]), keepdims=1))
    own = np.linalg.norm(basis, axis=1, keepdims=True)
    lengths = graph("Max", lengths, graph.constant(np.finfo(float).tiny))
    return _products(graph, graph("Div", X, lengths), basis / np.where(own > 0, own, 1.0))


_KERNELS = {
    "linear": _products,
    "poly": _poly,
    "polynomial": _poly,
    "rbf": _rbf,
    "sigmoid": _sigmoid,
    "laplacian": _laplacian,
    "cosine": _cosine,
}


def _decisions(graph, svm, X):
    """The decisions of all binary problems, (n, n_problems)."""
    kernel = svm._kernel
    if kernel.name not in _KERNELS:
        raise TypeError(f"to_onnx cannot translate the kernel {kernel.name!r}; it knows {sorted(_KERNELS)}.")
    basis = svm.support_vectors_
    basis = np.asarray(basis.toarray() if hasattr(basis, "toarray") else basis, np.float64)
    params = {name: float(value) for name, value in kernel.params.items()}
    if kernel.is_linear:
        products = graph("MatMul", X, graph.constant(np.asarray(svm.coef_, np.float64).T))
    elif not len(basis):
        products = graph("MatMul", X, graph.constant(np.zeros((svm.n_features_in_, len(svm.intercept_)))))
    else:
        K = _KERNELS[kernel.name](graph, X, basis, **params)
        products = graph("MatMul", K, graph.constant(np.asarray(svm.dual_coef_, np.float64).T))
    return graph("Add", products, graph.constant(svm.intercept_, np.float64))


def _budget_svc(graph, svm, X):
    decisions, n_classes = _decisions(graph, svm, X), len(svm.classes_)
    if n_classes == 2:
        scores = graph("Concat", graph("Neg", decisions), decisions, axis=1)
        return {"label": _labels(graph, scores, svm.classes_), "scores": _flat(graph, decisions)}
    scores = decisions if svm.multi_class == "ovr" else _votes(graph, decisions, n_classes)
    return {"label": _labels(graph, scores, svm.classes_), "scores": (scores, np.float64, ["n", n_classes])}


def _budget_svr(graph, svm, X):
    return {"prediction": _flat(graph, _decisions(graph, svm, X))}


def _votes(graph, decisions, n_classes):
    """Each pair's vote, plus a confidence in (-1/3, 1/3): matrix products with the pairs' signs."""
    pairs = list(combinations(range(n_classes), 2))
    signs = np.zeros((len(pairs), n_classes))
    for row, (i, j) in enumerate(pairs):
        signs[row, i], signs[row, j] = -1.0, 1.0
    confidence = graph("MatMul", decisions, graph.constant(signs))
    later = graph.cast(graph("Greater", decisions, graph.constant(0.0)), np.float64)
    votes = graph("Add", graph("MatMul", later, graph.constant(signs)), graph.constant((signs < 0).sum(0) * 1.0))
    scale = graph("Mul", graph("Add", graph("Abs", confidence), graph.constant(1.0)), graph.constant(3.0))
    return graph("Add", votes, graph("Div", confidence, scale))


_TRANSFORMERS = {StandardScaler.__name__: _scaler}
_PREDICTORS = {
    "TorchMLPClassifier": _network_classifier,
    "TorchMLPRegressor": _network_regressor,
    "BudgetSVC": _budget_svc,
    "BudgetSVR": _budget_svr,
}
