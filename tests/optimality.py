"""What a fitted model is worth, from its public attributes and kernel values in extended precision alone.

Nothing here uses the package: kernel values, slacks, objectives and optimality conditions are computed anew from the
formulas in the docstrings of the estimators.
"""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

LONG = np.longdouble
EPS = float(np.finfo(float).eps)


def kernel_values(problem, A, B):
    """k(a, b) for all rows, (n, m), in extended precision but for kernels that are the user's."""
    params, name = problem.params, problem.params.get("kernel", "rbf")
    if callable(name) or problem.precomputed:
        values = name(A, B) if callable(name) else problem.given(A)[:, [_row(problem.X, b) for b in B]]
        return values.astype(LONG)
    A, B = A.astype(LONG), B.astype(LONG)
    gamma = _gamma(problem)
    if name == "linear":
        return A @ B.T
    if name == "poly":
        return (gamma * (A @ B.T) + LONG(params.get("coef0", 1.0))) ** params.get("degree", 3)
    if name == "sigmoid":
        return np.tanh(gamma * (A @ B.T) + LONG(params.get("coef0", 1.0)))
    if name == "cosine":
        return _unit(A) @ _unit(B).T
    power = {"rbf": 2, "laplacian": 1}[name]
    return np.exp(-gamma * (np.abs(A[:, None, :] - B[None, :, :]) ** power).sum(axis=2))


def _row(X, row):
    return int(np.flatnonzero((row == X).all(axis=1))[0])


def _unit(X):
    length = np.sqrt((X**2).sum(axis=1, keepdims=True))
    return X / np.where(length > 0, length, 1)


def _gamma(problem):
    gamma, X, d = problem.params.get("gamma", "scale"), problem.X.astype(LONG), problem.X.shape[1]
    if gamma == "auto":
        return LONG(1) / d
    if gamma != "scale":
        return LONG(gamma)
    share = problem.weights.astype(LONG)[:, None] / problem.weights.sum() / d
    variance = (share * (X - (share * X).sum()) ** 2).sum()
    return 1 / (d * variance) if variance > 0 else LONG(1)


@dataclass(frozen=True)
class Sides:
    """One problem of a model in signed form: which samples, p, the unit bounds' signs and sizes, twice for regressions.

    Parameters
    ----------
    rows : ndarray (m,), samples
    linear, sign, weight : ndarrays (m,)
    """

    rows: np.ndarray
    linear: np.ndarray
    sign: np.ndarray
    weight: np.ndarray


def problems_of(model, problem):
    """The binary problems of a classifier, or the one of a regressor."""
    s, y, kept = problem.weights, problem.y, np.flatnonzero(problem.weights > 0)
    if not hasattr(model, "classes_"):
        sign = np.repeat([1.0, -1.0], len(kept))
        linear = np.tile(y[kept], 2) - sign * model.epsilon_
        return [Sides(np.tile(kept, 2), linear, sign, np.tile(s[kept], 2))]
    s, classes = s * class_factors(problem), model.classes_
    if len(classes) == 2:
        targets = [np.where(y == classes[1], 1.0, -1.0)]
    elif problem.params.get("multi_class", "ovo") == "ovr":
        targets = [np.where(y == label, 1.0, -1.0) for label in classes]
    else:
        targets = [1.0 * (y == b) - 1.0 * (y == a) for a, b in combinations(classes, 2)]
    parts = [np.flatnonzero((s > 0) & (target != 0)) for target in targets]
    return [Sides(rows, target[rows], target[rows], s[rows]) for target, rows in zip(targets, parts)]


def class_factors(problem):
    """The factor of each sample by its class."""
    given, y, s = problem.params.get("class_weight"), problem.y, problem.weights
    if given is None:
        return np.ones(len(y))
    if given == "balanced":
        totals = {label: s[y == label].sum() for label in np.unique(y) if s[y == label].sum() > 0}
        given = {label: sum(totals.values()) / len(totals) / total for label, total in totals.items()}
    return np.array([given.get(label, 1.0) for label in y])


@dataclass(frozen=True)
class Worth:
    """The figures of one problem's solution.

    Parameters
    ----------
    duals : ndarray (n,), one for each sample
    values : ndarray (m,), f of the samples that take part
    slack : ndarray (m,)
    total : float, the weighted sum of slacks
    squared_norm : float, |w|^2
    infeasibility : float, excess of the duals over their bounds or their sum, over the largest
    violation : float, the largest g_i that can grow less the smallest that can shrink
    gap : float, primal less dual objective at the model's cost
    rounding : float, of a value f, at what doubles can do
    """

    duals: np.ndarray
    values: np.ndarray
    slack: np.ndarray
    total: float
    squared_norm: float
    infeasibility: float
    violation: float
    gap: float
    rounding: float


def _fit_and_squared_norm(model, problem, K, duals, p):
    """f - b of all samples and |w|^2; of a linear kernel from w, which is what predicts."""
    if problem.params.get("kernel") != "linear":
        fit = K @ duals
        return fit, duals @ fit
    X, w = problem.X.astype(LONG), model.coef_[p].astype(LONG)
    # Features are centred; what is left of the sum of the duals, which should be zero, a mean far off magnifies.
    sizes = np.abs(X) + np.abs(X.mean(axis=0))
    terms = 1e-12 * (np.abs(duals) @ sizes) + abs(duals.sum()) * np.abs(X).max(axis=0)
    assert (np.abs(w - duals @ X) <= terms).all()
    return X @ w, w @ w


def _digits_lost(problem):
    """The relative error of kernel values in doubles, in units of the last place.

    An exponent -gamma |x - x'|^2 is off by roundings of gamma |x - c|^2, or, of near samples very far from the
    centre c, of the coordinates.
    """
    if problem.params.get("kernel", "rbf") != "rbf":
        return 1.0
    X = problem.X.astype(LONG)
    far = float(_gamma(problem) * ((X - X.mean(axis=0)) ** 2).sum(axis=1).max())
    return 1.0 + min(far, 1e4) + 12.0 * np.sqrt(far)


def worth(model, problem, K, p=0):
    """The figures of problem p of a model; K are the kernel values between all samples."""
    part = problems_of(model, problem)[p]
    duals = np.zeros(problem.n_samples)
    duals[model.support_] = model.dual_coef_[p]
    b, lam = LONG(np.ravel(model.intercept_)[p]), LONG(np.ravel(model.cost_)[p])
    fit, squared_norm = _fit_and_squared_norm(model, problem, K, duals.astype(LONG), p)
    beta = duals[part.rows]
    if len(np.unique(part.rows)) < len(part.rows):
        # Of the two sides of a tube the one that the dual's sign names; the other is at zero.
        beta = np.where(part.sign * beta > 0, beta, 0.0)
    gradient = part.linear.astype(LONG) - fit[part.rows]
    slack = np.maximum(0, part.sign * (gradient - b))
    total = part.weight @ slack
    magnitude, upper = part.sign * beta, lam * part.weight
    # Duals within rounding of a bound are at it.
    near = 1e-12 * upper
    can_grow = np.where(part.sign > 0, magnitude < upper - near, magnitude > near)
    can_shrink = np.where(part.sign > 0, magnitude > near, magnitude < upper - near)
    highest = gradient[can_grow].max() if can_grow.any() else -np.inf
    lowest = gradient[can_shrink].min() if can_shrink.any() else np.inf
    excess = max((magnitude - upper).max(), (-magnitude).max(), abs(beta.sum()), 0.0)
    size = np.sqrt(np.abs(np.diagonal(K)))
    return Worth(
        duals=duals,
        values=(fit[part.rows] + b).astype(float),
        slack=slack.astype(float),
        total=float(total),
        squared_norm=float(squared_norm),
        infeasibility=float(excess / max(np.abs(beta).max(), np.finfo(float).tiny)),
        violation=float(max(0.0, highest - lowest)),
        gap=float(squared_norm + lam * total - part.linear @ beta),
        rounding=float(EPS * (_digits_lost(problem) * size.max() * (size @ np.abs(duals)) + abs(b))),
    )


def largest_slack_of_constant(part):
    """C_max: the total slack of the best constant, which is one of the p_i."""
    p, up = part.linear, part.sign > 0
    slacks = np.where(up, np.maximum(0.0, p - p[:, None]), np.maximum(0.0, p[:, None] - p))
    return float((slacks @ part.weight).min())


def asked_budgets(problem, part):
    """The total slack that is asked of a problem's part, None where a cost is."""
    C, unit = problem.params.get("C", "auto"), problem.params.get("unit", "total")
    if C == "auto" or unit == "cost":
        return None
    if unit == "total":
        return float(C)
    without = replace(part, weight=problem.weights[part.rows])
    return float(C) * max(largest_slack_of_constant(part), largest_slack_of_constant(without))


def spread_of_y(problem):
    """1.4826 times the weighted median absolute deviation of y, else the standard deviation, else 1."""
    y, s = problem.y[problem.weights > 0], problem.weights[problem.weights > 0]
    robust = 1.4826022185056018 * _median(np.abs(y - _median(y, s)), s)
    return robust or np.sqrt(np.cov(y, aweights=s, ddof=0)) or 1.0


def _median(values, weight):
    """The weighted median, the middle of all that are one."""
    order = np.argsort(values)
    values, below = values[order], np.cumsum(weight[order])
    half = 0.5 * below[-1]
    first = int(np.searchsorted(below, half * (1 - 1e-12)))
    last = int(np.searchsorted(below, half * (1 + 1e-12), side="right"))
    return 0.5 * (values[first] + values[min(last, len(values) - 1)])
