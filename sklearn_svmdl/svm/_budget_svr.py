"""The support vector regressor with a budget on the total slack."""

from numbers import Real
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin

from .._callbacks import fit_task, steps_of
from .._memory import advising_on_memory
from .._sklearn_private import Interval, StrOptions
from .._typing import Array, Gamma, Infeasible, KernelLike, MatrixLike, Number, Unit, Whole, fit_context
from ..kernels import spec_of
from ._base import BudgetEstimator
from ._fitted import fitted_attributes
from ._ranges import ranges_of
from ._regression import regression_task
from ._training import checked_samples, weigh_numbers
from ._units import unit_and_value

# Of one regression these are numbers, not arrays of one.
_NUMBERS = {"margin_": float, "budget_": float, "cost_": float, "duality_gap_": float, "n_iter_": int}


class BudgetSVR(RegressorMixin, BudgetEstimator):
    """Support vector regression with a budget C on the total slack.

    Finds the flattest function that leaves a tube of half-width epsilon around it by no more than the budget in all::

        min 1/2 |w|^2   s.t.   |y_i - f(x_i)| <= epsilon + e_i,   e_i >= 0,   sum_i s_i e_i <= C

    with f(x) = w.x + b, slacks e_i and sample weights s_i, for x in the feature space of the kernel. C is in the units
    of y: the *larger*, the *flatter* the function. Budgets are feasible and not trivial for C_min <= C < C_max: C_min
    is the least total slack of any function (0 where the kernel can follow every y), C_max that of the best constant.

    To every budget belongs a cost of slack with the same solution, and to every cost > 0 a budget. With
    unit="cost", C is that cost, and the model is the one of `SVR(C)`::

        min 1/2 |w|^2 + C sum_i s_i e_i   s.t.   |y_i - f(x_i)| <= epsilon + e_i,   e_i >= 0

    Whatever the unit, the fitted model tells both: `budget_` and `cost_`. The defaults are in proportion to y: to
    measure it in other units, or from another zero, changes nothing else.

    Parameters
    ----------
    C : float >= 0 or "auto", default="auto"
        How much slack, in the unit that `unit` says. "auto" is, in every unit, the budget that a cost of 1 buys where y
        is scaled to a spread of 1: a cost as large as the spread of y, see `epsilon`.
    unit : {"total", "relative", "cost"}, default="total"
        "total": C >= 0 is the total slack allowed, in the units of y. "relative": C in [0, 1) is a fraction of C_max;
        it means the same for any number of samples, sample weights and unit of y. "cost": C > 0 is the cost of a unit
        of slack, the C of `sklearn.svm.SVR`: *larger* follows y more closely, and every value is feasible.
    epsilon : float >= 0 or "auto", default="auto"
        Half-width of the tube in which errors cost nothing, in the units of y. "auto" is 0.1 times the spread of y: its
        weighted median absolute deviation times 1.48, which is the standard deviation where y is normal, or the
        standard deviation itself where half of y is one number. `sklearn.svm.SVR` has 0.1 whatever the units are.
    kernel : str or callable, default="rbf"
        "linear" `<x, x'>`, "poly" `(gamma <x, x'> + coef0)^degree`, "rbf" `exp(-gamma |x - x'|^2)`, "sigmoid",
        "laplacian", "cosine", "chi2", "additive_chi2" as in `sklearn.metrics.pairwise`; "precomputed" where X
        holds the kernel values; or a function k(X, Y) of two matrices (n, d), (m, d) that returns the (n, m)
        values.
    degree : int >= 1, default=3
        Degree of the polynomial kernel. Ignored by other kernels.
    gamma : {"scale", "auto"} or float > 0, default="scale"
        "scale" is 1 / (n_features * variance of X), with sample_weight; "auto" is 1 / n_features.
    coef0 : float, default=1.0
        Constant term of the polynomial and the sigmoid kernel.
    infeasible : {"relax", "raise"}, default="relax"
        For C < C_min, and for budgets that only functions too steep for doubles keep: fit the closest function within
        reach and warn, or raise `InfeasibleBudgetError`.
    solver : {"auto", "smo"}, default="auto"
        "smo" takes pair steps, with the multiplier of the budget as one more coordinate. "auto" chooses.
    tol : float > 0, default=1e-3
        Largest violation of the optimality conditions in units of the spread of y, relative error of the budget and
        relative duality gap.
    max_iter : int >= 1, default=100_000
        Most iterations: pivoting rounds, interior point steps and pair steps together, as for `BudgetSVC`. When they
        are used up the best point so far is the model, `duality_gap_` tells how good it is, and there is a
        `ConvergenceWarning`.
    cache_size : float > 0, default=200
        Megabytes of kernel values kept in memory.
    verbose : bool or int, default=0
        From 1 on, prints a line when the fit is solved, and one a second while it is being solved.

    Attributes
    ----------
    support_ : ndarray of shape (n_SV,)
        Sorted indices of the samples on or outside the tube.
    support_vectors_ : ndarray or CSR matrix of shape (n_SV, n_features)
        `X[support_]`; empty for precomputed kernels.
    n_support_ : ndarray of shape (1,)
        Their number.
    dual_coef_ : ndarray of shape (1, n_SV)
        Signed duals, positive above the tube; `f(x) = K(x, support_vectors_) @ dual_coef_[0] + intercept_`.
    intercept_ : ndarray of shape (1,)
        Intercept b.
    coef_ : ndarray of shape (1, n_features)
        w, the slopes of f. Linear kernel only.
    epsilon_ : float
        Half-width of the tube.
    slack_ : ndarray of shape (n_samples,)
        Slacks e_i = max(0, `|y_i - f(x_i)|` - epsilon); nan where a sample has no weight.
    margin_ : float
        `M = 1 / |w|`: how far x may move in feature space before f changes by 1; infinite where C >= C_max.
    budget_ : float
        The budget in force: the total slack sum_i s_i e_i allowed, or that of the model where a cost is given, or where
        C is infeasible or out of numerical reach.
    cost_ : float
        The cost in force, the multiplier of the budget: `sklearn.svm.SVR` with this C finds the same function. 0 where
        C >= C_max.
    duality_gap_ : float
        `(primal - dual objective) / (|w|^2 / 2)`: how far the solution may be from the optimum. Where a cost is given,
        or the budget could not be kept, relative to the objective of that cost, `|w|^2 / 2 + cost_ * total slack`.
    n_iter_ : int
        Iterations taken.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit, where X has names that are all strings.

    See Also
    --------
    sklearn.svm.SVR : The same family of functions, with a cost in place of the budget.
    BudgetSVC : The classifier.
    budget_path : Its solutions along decreasing budgets.

    References
    ----------
    .. [1] Smola, Schoelkopf, "A tutorial on support vector regression", Statistics and Computing 14, 2004.
    .. [2] Vapnik, "The Nature of Statistical Learning Theory", Springer, 1995.

    Examples
    --------
    >>> from sklearn_svmdl import BudgetSVR
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 5.0]
    >>> model = BudgetSVR(C=3, epsilon=0, kernel="linear").fit(X, y)
    >>> model.predict([[4.0]]).round(3), model.slack_.round(3)
    (array([3.375]), array([0.375, 0.125, 0.125, 2.375]))

    The cost of slack that asks for the same:

    >>> round(model.cost_, 4)
    0.1875

    A tube of half-width 1 around the flattest function that needs no slack:

    >>> model = BudgetSVR(C=0, epsilon=1, kernel="linear").fit(X, y)
    >>> model.coef_.round(3), model.slack_.round(3)
    (array([[1.]]), array([0., 0., 0., 0.]))
    """

    _parameter_constraints = {
        **BudgetEstimator._shared_constraints,
        "epsilon": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
    }

    def __init__(
        self,
        C: Number | Literal["auto"] = "auto",
        *,
        unit: Unit = "total",
        epsilon: Number | Literal["auto"] = "auto",
        kernel: KernelLike = "rbf",
        degree: Whole = 3,
        gamma: Gamma = "scale",
        coef0: Number = 1.0,
        infeasible: Infeasible = "relax",
        solver: Literal["auto", "smo"] = "auto",
        tol: Number = 1e-3,
        max_iter: Whole = 100_000,
        cache_size: Number = 200,
        verbose: Whole = 0,
    ) -> None:
        self.C = C
        self.unit = unit
        self.epsilon = epsilon
        self.kernel = kernel
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.infeasible = infeasible
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.cache_size = cache_size
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    @fit_task(lambda self: None)
    @advising_on_memory
    def fit(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the regressor.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training samples, or their kernel values (n_samples, n_samples) if kernel="precomputed".
        y : array-like of shape (n_samples,)
            Target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights s_i >= 0 of the slacks, 1 if None. A weight of 2 equals a repeated sample, 0 equals its
            removal.

        Returns
        -------
        self : BudgetSVR
            The fitted regressor.

        Raises
        ------
        InfeasibleBudgetError
            C < C_min and infeasible="raise"; never with unit="cost".
        ValueError
            Bad input, a C that its unit does not allow, or kernel values that overflow.
        MemoryError
            Memory runs out; says what was needed, and what to try.
        """
        training, seen = self._training(X, y, sample_weight)
        unit, C = self._unit_and_value(training)
        self._solve(training, seen, C, unit, steps_of(self, X, y, sample_weight, "a second of solving"))
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def feasible_budget(
        self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        """The range of budgets C_min <= C < C_max for this epsilon and kernel; nothing is fitted.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples, or their kernel values (n_samples, n_samples) if kernel="precomputed".
        y : array-like of shape (n_samples,)
            Target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the slacks, 1 if None.

        Returns
        -------
        least : float
            C_min, the least total slack of any function; 0 where one keeps all of y within its tube.
        largest : float
            C_max, the total slack of the best constant.
        """
        ranges = ranges_of(self, X, y, sample_weight)
        return float(ranges.least[0]), float(ranges.largest[0])

    def predict(self, X: MatrixLike) -> Array:
        """Predict the target value of each sample.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples, or their kernel values with the training samples if kernel="precomputed".

        Returns
        -------
        y : ndarray of shape (n_samples,)
            f(x).
        """
        return self._decisions(X)[:, 0]

    def _training(self, X, y, sample_weight):
        """All that precedes a C, and what the input says of itself; the estimator stays as it is."""
        X, y, weight, seen = checked_samples(self, X, y, sample_weight, y_numeric=True)
        return self._prepared(X, y.astype(float, copy=False), weight), seen

    def _tasks_of(self, X, y, weight):
        """The samples that count and the regression."""
        data = weigh_numbers(X, y, weight, pairwise=spec_of(self.kernel).pairwise)
        return data, [regression_task(data.y, data.weight, self.epsilon)]

    def _unit_and_value(self, training):
        """The unit and the number behind the parameters C and unit."""
        return unit_and_value(self.C, self.unit, training.tasks[0].auto_cost)

    def _attributes(self, training, solutions):
        """The fitted attributes by name, those of the input aside."""
        attributes, support = fitted_attributes(training, solutions)
        for name, number in _NUMBERS.items():
            attributes[name] = number(attributes[name][0])
        (task,), (slack,) = training.tasks, attributes["slack_"]
        return {**attributes, "slack_": slack, "n_support_": np.array([len(support)]), "epsilon_": task.epsilon}

    def _values(self, X):
        """f(x), (n_samples, 1)."""
        return self._decisions(X)

    def _values_of(self, decisions):
        """The same of the decisions (n_samples, 1)."""
        return decisions
