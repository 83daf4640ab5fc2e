"""Strategies of hypothesis for problems of every kind that users bring.

Numbers come from a seed, their structure from hypothesis: what it makes smaller is the number of samples, columns and
classes, and how many things are odd at once.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import pairwise_kernels

from sklearn_svmdl import BudgetSVC, BudgetSVR, BudgetWarning, IndefiniteKernelWarning

# All that a fit may say.
TOLD = (BudgetWarning, ConvergenceWarning, IndefiniteKernelWarning)


def triangle(X, Y):
    """A kernel of the user's own: exp(-|x - x'|_1) by its values in each coordinate, (n, d), (m, d) -> (n, m)."""
    return np.exp(-np.abs(np.asarray(X)[:, None, :] - np.asarray(Y)[None, :, :]).sum(axis=2))


@dataclass(frozen=True)
class Problem:
    """Samples, and the parameters of the estimator that is to learn them.

    `X` are the samples; where the kernel is "precomputed" the estimator gets `gram(X, X)` in their place.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    params: dict
    estimator: type = BudgetSVC

    @property
    def n_samples(self):
        return len(self.y)

    @property
    def weights(self):
        """s_i, without class weights."""
        return np.ones(self.n_samples) if self.weight is None else self.weight

    def given(self, X=None):
        """What the estimator gets for samples X, the training samples if None."""
        X = self.X if X is None else X
        return pairwise_kernels(X, self.X, metric="laplacian", gamma=0.5) if self.precomputed else X

    @property
    def precomputed(self):
        return self.params.get("kernel") == "precomputed"

    def having(self, **params):
        """The same samples with other parameters."""
        return replace(self, params={**self.params, **params})

    def taking(self, rows):
        """Some of the samples, in this order."""
        weight = None if self.weight is None else self.weight[rows]
        return replace(self, X=self.X[rows], y=self.y[rows], weight=weight)

    def fit(self, X=None):
        """The model and the categories of its warnings; `X` in place of what the estimator would get."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = self.estimator(**self.params).fit(self.given() if X is None else X, self.y, self.weight)
        told = {warning.category for warning in caught}
        assert told <= set(TOLD), [str(warning.message) for warning in caught]
        return model, told

    def __repr__(self):
        """Python source of the problem, exact."""
        params = ", ".join(f"{name}={_literal(value)}" for name, value in self.params.items())
        samples = ", ".join(f"{name}={_literal(getattr(self, name))}" for name in ("X", "y", "weight"))
        return f"Problem({samples}, params=dict({params}), estimator={self.estimator.__name__})"


def _literal(value):
    """Python source of a value, exact."""
    if isinstance(value, np.ndarray):
        return f"array({value.tolist()})"
    if isinstance(value, np.generic):
        return repr(value.item())
    return value.__name__ if callable(value) else repr(value)


# Samples


def _column(kind, random, n, made, exponent):
    """One feature of n samples; `made` are those before it."""
    if kind == "copy" and made:
        return made[0].copy()
    if kind == "collinear" and made:
        return sum(random.randint(-2, 3) * column for column in made)
    return {
        "constant": lambda: np.full(n, random.randint(-2, 3) * 10.0**exponent),
        "integer": lambda: random.randint(-2, 3, n).astype(float),
        "scaled": lambda: 10.0**exponent * random.randn(n),
        "far": lambda: 10.0 ** abs(exponent) + random.randn(n),
        "clusters": lambda: random.randint(0, 2, n) * 10.0 ** abs(exponent) + random.randn(n),
    }.get(kind, lambda: random.randn(n))()


_COLUMNS = st.tuples(
    st.sampled_from(
        ["normal", "normal", "normal", "integer", "scaled", "far", "clusters", "copy", "collinear", "constant"]
    ),
    st.integers(-6, 6),
)


def _rows(columns, weights):
    return st.fixed_dictionaries(
        {
            "n": st.one_of(st.integers(2, 12), st.integers(2, 60), st.integers(2, 200)),
            "columns": st.lists(columns, min_size=1, max_size=6),
            "seed": st.integers(0, 2**32 - 1),
            # This share of the samples are copies of others; the labels of copies are drawn anew.
            "repeated": st.sampled_from([0.0, 0.0, 0.0, 0.3, 0.9]),
            "weights": st.sampled_from([None, None, *weights]),
        }
    )


_ROWS = _rows(_COLUMNS, ["ones", "few", "zeros", "decades"])
# What solvers in single precision, or with penalties on b, find their way with.
SCALED_ROWS = _rows(st.tuples(st.sampled_from(["normal", "normal", "integer", "copy"]), st.just(0)), ["few", "zeros"])


def _samples(rows, random):
    n, columns = rows["n"], []
    for kind, exponent in rows["columns"]:
        columns.append(_column(kind, random, n, columns, exponent))
    X = np.column_stack(columns)
    copies = random.rand(n) < rows["repeated"]
    X[copies] = X[random.randint(0, n, n)][copies]
    return X


def _weights(kind, random, n):
    return {
        None: lambda: None,
        "ones": lambda: np.ones(n),
        "few": lambda: random.choice([0.5, 1.0, 3.0], n),
        "zeros": lambda: random.choice([0.0, 1.0, 2.0], n),
        "decades": lambda: 10.0 ** random.uniform(-4, 4, n),
    }[kind]()


# Parameters

GAMMAS = st.one_of(st.sampled_from(["scale", "auto"]), st.sampled_from([1e-6, 0.03, 0.3, 1.0, 10.0, 1e4]))
_KERNELS = st.one_of(
    st.just({"kernel": "linear"}),
    st.builds(lambda gamma: {"kernel": "rbf", "gamma": gamma}, GAMMAS),
    st.builds(
        lambda degree, gamma, coef0: {"kernel": "poly", "degree": degree, "gamma": gamma, "coef0": coef0},
        st.integers(1, 4),
        GAMMAS,
        st.sampled_from([0.0, 1.0, 10.0]),
    ),
    st.builds(lambda gamma: {"kernel": "laplacian", "gamma": gamma}, GAMMAS),
    st.sampled_from([{"kernel": "cosine"}, {"kernel": "precomputed"}, {"kernel": triangle}]),
)
_INDEFINITE = st.builds(
    lambda gamma, coef0: {"kernel": "sigmoid", "gamma": gamma, "coef0": coef0},
    GAMMAS,
    st.sampled_from([-1.0, 0.0, 1.0]),
)
_CLASSES = st.one_of(st.just(2), st.integers(2, 6))
# From no slack at all to more than the constant needs.
_SHARES = st.one_of(st.sampled_from([0.0, 1e-6, 1e-3, 0.5, 0.999, 1.0, 2.0]), st.floats(0.01, 0.99))
_COSTS = st.builds(lambda exponent: 10.0**exponent, st.floats(-4, 5))


def _asked(draw, largest, spread=1.0):
    """C and its unit; total slacks are shares of `largest`, costs are multiples of `spread`."""
    unit = draw(st.sampled_from(["cost", "total", "relative", "auto"]))
    if unit == "auto":
        return {}
    if unit == "cost":
        return {"C": spread * draw(_COSTS), "unit": unit}
    share = draw(_SHARES)
    return {"C": share * largest if unit == "total" else min(share, 0.999), "unit": unit}


def _limits(draw):
    limits = {"tol": draw(st.sampled_from([1e-3, 1e-3, 1e-6]))}
    if draw(st.integers(0, 9)) == 9:
        limits |= {"solver": "smo", "max_iter": 3000}
    return limits


@st.composite
def classifications(draw, kernels=_KERNELS, rows=_ROWS, classes=_CLASSES):
    """Problems of `BudgetSVC` in which two classes at least have weight."""
    rows = draw(rows)
    random, n = np.random.RandomState(rows["seed"]), rows["n"]
    k = min(draw(classes), n)
    X = _samples(rows, random)
    kind = draw(st.sampled_from(["noisy", "separable", "random"]))
    if kind == "random":
        y = random.randint(0, k, n)
    else:
        spread = X.std(axis=0)
        f = ((X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)) @ random.randn(X.shape[1])
        f += (kind == "noisy") * f.std() * random.randn(n)
        y = np.searchsorted(np.quantile(f, np.sort(random.rand(k - 1))), f)
    y[random.permutation(n)[:k]] = np.arange(k)
    weight = _weights(rows["weights"], random, n)
    if weight is not None:
        for label in (0, 1):
            weight[np.flatnonzero(y == label)[0]] = 1.0
    params = {**_asked(draw, n if weight is None else weight.sum()), **draw(kernels), **_limits(draw)}
    if k > 2:
        params["multi_class"] = draw(st.sampled_from(["ovo", "ovr"]))
    class_weight = draw(st.sampled_from([None, None, None, "balanced", {0: 0.01}, {0: 100.0}]))
    if class_weight is not None:
        params["class_weight"] = class_weight
    return Problem(X, y, weight, params)


@st.composite
def regressions(draw, kernels=_KERNELS, rows=_ROWS):
    """Problems of `BudgetSVR`."""
    rows = draw(rows)
    random, n = np.random.RandomState(rows["seed"]), rows["n"]
    X = _samples(rows, random)
    spread = X.std(axis=0)
    f = ((X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)) @ random.randn(X.shape[1])
    kind = draw(st.sampled_from(["noisy", "exact", "integer", "constant", "outliers"]))
    y = {
        "noisy": lambda: f + random.randn(n),
        "exact": lambda: f,
        "integer": lambda: random.randint(0, 4, n).astype(float),
        "constant": lambda: np.full(n, 3.0),
        "outliers": lambda: f + 0.1 * random.standard_cauchy(n),
    }[kind]()
    scale = 10.0 ** draw(st.sampled_from([0, 0, 0, -6, 6]))
    y = scale * (y + draw(st.sampled_from([0.0, 0.0, 1e3])))
    weight = _weights(rows["weights"], random, n)
    if weight is not None:
        weight[0] = 1.0
    s = np.ones(n) if weight is None else weight
    params = {
        **_asked(draw, float(s @ np.abs(y - np.median(y))), scale),
        "epsilon": draw(st.sampled_from(["auto", 0.0, 0.1 * scale, scale, 10.0 * scale])),
        **draw(kernels),
        **_limits(draw),
    }
    return Problem(X, y, weight, params, BudgetSVR)


indefinite = classifications(kernels=_INDEFINITE)
