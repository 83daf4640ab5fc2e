"""The budget-C support vector classifier."""

from numbers import Integral
from typing import Literal, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from .._callbacks import fit_task, steps_of
from .._memory import advising_on_memory
from .._sklearn_private import StrOptions
from .._typing import (
    Array,
    ClassWeight,
    Floats,
    Gamma,
    Infeasible,
    KernelLike,
    MatrixLike,
    MultiClass,
    Number,
    Unit,
    Whole,
    fit_context,
)
from ..kernels import row_blocks, spec_of
from ._base import BudgetEstimator
from ._fitted import fitted_attributes
from ._multiclass import SCHEMES
from ._ranges import ranges_of
from ._training import checked_samples, checked_X, weigh
from ._units import unit_and_value


class BudgetSVC(ClassifierMixin, BudgetEstimator):
    """Support vector classifier with a budget C on the total slack.

    Solves the soft-margin problem as textbooks state it::

        max M   s.t.   |w| = 1,   y_i (w.x_i + b) >= M (1 - e_i),   e_i >= 0,   sum_i s_i e_i <= C

    with slacks e_i and sample weights s_i, for x in the feature space of the kernel. The *larger* C, the
    *softer* the margin: the opposite direction of `sklearn.svm.SVC`, whose C is a cost. C = 0 is the maximal
    margin classifier. A misclassified sample has e_i > 1, so a binary problem with unit weights makes at most
    C mistakes on its training samples. Budgets are feasible and not trivial for C_min <= C < C_max: C_min is
    the least total slack of any hyperplane (0 for separable classes), C_max = 2 min(W+, W-) with the classes'
    total weights.

    To every budget belongs a cost of slack with the same solution, and to every cost > 0 a budget. With
    unit="cost", C is that cost, and the model is the one of `SVC(C)`::

        min |w|^2 / 2 + C sum_i s_i e_i   s.t.   y_i (w.x_i + b) >= 1 - e_i,   e_i >= 0

    Whatever the unit, the fitted model tells both: `budget_` and `cost_`.

    Parameters
    ----------
    C : float >= 0 or "auto", default="auto"
        How much slack, in the unit that `unit` says. "auto" is, in every unit, the budget that a cost of 1 buys:
        the model that the default of `sklearn.svm.SVC` has. Where classes tie in votes, `predict` takes the largest
        score, as `SVC(break_ties=True)` does.
    unit : {"total", "relative", "cost"}, default="total"
        "total": C >= 0 is the total slack allowed. "relative": C in [0, 1) is a fraction of each binary problem's
        C_max; it means the same for any number of samples, class balance and sample weights. C_max is taken before or
        after class_weight, whichever is larger: to weigh a class less makes its slacks cheaper, not the budget
        smaller. "cost": C > 0 is the cost of a unit of slack, the C of `sklearn.svm.SVC`: *larger* is *harder*, and
        every value is feasible. Each binary problem of a multiclass fit gets the same C.
    kernel : str or callable, default="rbf"
        "linear" `<x, x'>`, "poly" `(gamma <x, x'> + coef0)^degree`, "rbf" `exp(-gamma |x - x'|^2)`, "sigmoid",
        "laplacian", "cosine", "chi2", "additive_chi2" as in `sklearn.metrics.pairwise`; "precomputed" where X
        holds the kernel values; or a function k(X, Y) of two matrices (n, d), (m, d) that returns the (n, m)
        values.
    degree : int >= 1, default=3
        Degree of the polynomial kernel. Ignored by other kernels.
    gamma : {"scale", "auto"} or float > 0, default="scale"
        "scale" is 1 / (n_features * variance of X), with sample_weight but not class_weight; "auto" is 1 / n_features.
    coef0 : float, default=1.0
        Constant term of the polynomial and the sigmoid kernel. With gamma=1 and coef0=1 the polynomial kernel
        is the textbooks' (1 + <x, x'>)^p.
    multi_class : {"ovo", "ovr"}, default="ovo"
        "ovo" trains k (k - 1) / 2 classifiers, one for each pair of classes; "ovr" trains k, each class
        against the rest.
    decision_function_shape : {"ovr", "ovo"}, default="ovr"
        For more than two classes: one score for each class, or the decisions of all pairs (multi_class="ovo"
        only).
    infeasible : {"relax", "raise"}, default="relax"
        For C < C_min, and for budgets whose hyperplanes have margins too narrow for doubles: fit the
        hardest margin within reach and warn, or raise `InfeasibleBudgetError`.
    class_weight : dict, "balanced" or None, default=None
        Factors of the sample weights, by class. "balanced" gives every class the same total weight.
    solver : {"auto", "smo"}, default="auto"
        "smo" takes pair steps, with the multiplier of the budget as one more coordinate. "auto" chooses.
    tol : float > 0, default=1e-3
        Largest violation of the optimality conditions, relative error of the budget and relative duality gap.
    max_iter : int >= 1, default=100_000
        Most iterations of each binary problem. Whatever changes the duals counts as one: a pivoting round of the
        active set or an interior point step (solver="auto"; each solves one system of linear equations), a pair
        step or a step in the budget's multiplier ("smo", and where "auto" ends without a certificate). When they are
        used up the best point so far is the model, `duality_gap_` tells how good it is, and there is a
        `ConvergenceWarning`.
    cache_size : float > 0, default=200
        Megabytes of kernel values kept in memory.
    n_jobs : int or None, default=None
        Number of threads that solve binary problems. None means 1 unless in a `joblib.parallel_config`
        context.
    verbose : bool or int, default=0
        From 1 on, prints a line for each binary problem solved, and one a second while it is being solved.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted class labels. In each binary problem +1 is the later class.
    support_ : ndarray of shape (n_SV,)
        Sorted indices of the samples that are support vectors of some binary problem.
    support_vectors_ : ndarray or CSR matrix of shape (n_SV, n_features)
        `X[support_]`; empty for precomputed kernels.
    n_support_ : ndarray of shape (n_classes,)
        Number of support vectors of each class.
    dual_coef_ : ndarray of shape (n_problems, n_SV)
        Signed duals y_i alpha_i; 0 where a problem does not use a support vector. The decisions of all
        problems are K(X, support_vectors_) @ dual_coef_.T + intercept_. Of pairs of many classes the array is made
        when it is asked for.
    intercept_ : ndarray of shape (n_problems,)
        Intercepts b.
    coef_ : ndarray of shape (n_problems, n_features)
        The normals w of the hyperplanes f(x) = w.x + b, scaled such that f = +-1 on the margins. Linear
        kernel only.
    n_iter_ : ndarray of shape (n_problems,)
        Iterations taken.
    margin_ : ndarray of shape (n_problems,)
        `M = 1 / |w|`; infinite where C >= C_max.
    slack_ : ndarray of shape (n_problems, n_samples)
        Slacks e_i; nan where a sample takes no part in a problem. Of the pairs of three or more classes it is an
        array-like that stores those that take part: `slack_[k]` is the row of a problem, `np.asarray(slack_)` all.
    budget_ : ndarray of shape (n_problems,)
        The budget in force: the total slack sum_i s_i e_i allowed, or that of the model where a cost is given, or where
        C is infeasible or out of numerical reach.
    cost_ : ndarray of shape (n_problems,)
        The cost in force, the multiplier of the budget: `sklearn.svm.SVC` with this C finds the same hyperplane. 0
        where C >= C_max.
    duality_gap_ : ndarray of shape (n_problems,)
        `(primal - dual objective) / (|w|^2 / 2)`: how far the solution may be from the optimum. Where a cost is given,
        or the budget could not be kept, relative to the objective of that cost, `|w|^2 / 2 + cost_ * total slack`.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit, where X has names that are all strings.

    See Also
    --------
    sklearn.svm.SVC : The same family of classifiers, with a cost in place of the budget.
    BudgetSVCCV : The same with C, kernel and its parameters chosen by cross-validation.
    sklearn_svmdl.MarginDisplay : Picture of boundary, margins and support vectors in two dimensions.

    References
    ----------
    .. [1] James, Witten, Hastie, Tibshirani, "An Introduction to Statistical Learning",
       chapter 9, Springer, 2021.
    .. [2] Cortes, Vapnik, "Support-Vector Networks", Machine Learning 20, 1995.
    .. [3] Fan, Chen, Lin, "Working Set Selection Using Second Order Information for
       Training Support Vector Machines", JMLR 6, 2005.

    Examples
    --------
    >>> from sklearn_svmdl import BudgetSVC
    >>> X, y = [[0.0], [1.0], [3.0], [5.0]], ["left", "left", "right", "right"]
    >>> model = BudgetSVC(C=0, kernel="linear").fit(X, y)
    >>> model.predict([[1.5], [2.5]])
    array(['left', 'right'], dtype='<U5')
    >>> model.margin_.round(3), model.support_
    (array([1.]), array([1, 2]))

    The budget that a cost buys, and back:

    >>> model = BudgetSVC(C=0.3, unit="cost", kernel="linear").fit(X, y)
    >>> model.budget_.round(3), model.margin_.round(3)
    (array([0.8]), array([1.667]))
    >>> BudgetSVC(C=model.budget_[0], kernel="linear").fit(X, y).cost_.round(3)
    array([0.3])
    """

    _parameter_constraints = {
        **BudgetEstimator._shared_constraints,
        "multi_class": [StrOptions(set(SCHEMES))],
        "decision_function_shape": [StrOptions({"ovr", "ovo"})],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        C: Number | Literal["auto"] = "auto",
        *,
        unit: Unit = "total",
        kernel: KernelLike = "rbf",
        degree: Whole = 3,
        gamma: Gamma = "scale",
        coef0: Number = 1.0,
        multi_class: MultiClass = "ovo",
        decision_function_shape: Literal["ovr", "ovo"] = "ovr",
        infeasible: Infeasible = "relax",
        class_weight: ClassWeight = None,
        solver: Literal["auto", "smo"] = "auto",
        tol: Number = 1e-3,
        max_iter: Whole = 100_000,
        cache_size: Number = 200,
        n_jobs: Whole | None = None,
        verbose: Whole = 0,
    ) -> None:
        self.C = C
        self.unit = unit
        self.kernel = kernel
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.multi_class = multi_class
        self.decision_function_shape = decision_function_shape
        self.infeasible = infeasible
        self.class_weight = class_weight
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.cache_size = cache_size
        self.n_jobs = n_jobs
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    @fit_task(lambda self: None)
    @advising_on_memory
    def fit(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the classifier.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training samples, or their kernel values (n_samples, n_samples) if kernel="precomputed".
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights s_i >= 0 of the slacks, 1 if None. A weight of 2 equals a repeated sample, 0 equals its
            removal.

        Returns
        -------
        self : BudgetSVC
            The fitted classifier.

        Raises
        ------
        InfeasibleBudgetError
            C < C_min and infeasible="raise"; never with unit="cost".
        ValueError
            Bad input, a C that its unit does not allow, or kernel values that overflow.
        MemoryError
            Memory runs out; says what was needed, and what to try.
        """
        unit, C = unit_and_value(self.C, self.unit)
        self._check_shape_of_decisions()
        training, seen = self._training(X, y, sample_weight)
        self._solve(training, seen, C, unit, steps_of(self, X, y, sample_weight, "a second of solving"))
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def feasible_budget(
        self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[Floats, Floats]:
        """The range of budgets C_min <= C < C_max of each binary problem; nothing is fitted.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples, or their kernel values (n_samples, n_samples) if kernel="precomputed".
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the slacks, 1 if None.

        Returns
        -------
        least : ndarray of shape (n_problems,)
            C_min, the least total slack of any hyperplane; 0 where the classes are separable.
        largest : ndarray of shape (n_problems,)
            C_max = 2 min(W+, W-), from which on the margin is infinite.
        """
        ranges = ranges_of(self, X, y, sample_weight)
        return ranges.least, ranges.largest

    def decision_function(self, X: MatrixLike) -> Floats:
        """Signed distances from the boundary in units of the margin, or scores of the classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples, or their kernel values with the training samples if kernel="precomputed".

        Returns
        -------
        scores : ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_pairs)
            f(x) for two classes, positive for classes_[1]. Else with decision_function_shape="ovr" one score
            for each class: its own decision (multi_class="ovr"), or its votes plus a confidence in
            (-1/3, 1/3) ("ovo"). With decision_function_shape="ovo" the decisions of all pairs, positive for
            the later class.
        """
        check_is_fitted(self)
        if len(self.classes_) == 2:
            return self._decisions(X)[:, 0]
        return self._decisions(X) if self.decision_function_shape == "ovo" else self._scores(X)

    def predict(self, X: MatrixLike) -> Array:
        """Predict the class of each sample: the one of the highest score.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples, or their kernel values with the training samples if kernel="precomputed".

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Predicted class labels.
        """
        check_is_fitted(self)
        if len(self.classes_) == 2:
            return self.classes_[(self._decisions(X)[:, 0] > 0).astype(int)]
        return self.classes_[self._scores(X).argmax(axis=1)]

    @property
    def predict_proba(self) -> NoReturn:
        """Not available: raises AttributeError with what to use instead."""
        raise AttributeError(_no_probabilities("predict_proba"))

    @property
    def predict_log_proba(self) -> NoReturn:
        """Not available: raises AttributeError with what to use instead."""
        raise AttributeError(_no_probabilities("predict_log_proba"))

    def _check_shape_of_decisions(self):
        if self.decision_function_shape == "ovo" and self.multi_class != "ovo":
            raise ValueError(
                f"decision_function_shape='ovo' asks for the decisions of all pairs of classes, but "
                f"multi_class={self.multi_class!r} trains none; use multi_class='ovo'."
            )

    def _training(self, X, y, sample_weight):
        """All that precedes a C, and what the input says of itself; the estimator stays as it is."""
        X, y, weight, seen = checked_samples(self, X, y, sample_weight)
        check_classification_targets(y)
        return self._prepared(X, y, weight), seen

    @property
    def _workers(self):
        return self.n_jobs

    def _tasks_of(self, X, y, weight):
        """The samples that count and the binary problems."""
        data = weigh(X, y, weight, self.class_weight, pairwise=spec_of(self.kernel).pairwise)
        return data, SCHEMES[self.multi_class].tasks(data.y, data.classes)

    def _attributes(self, training, solutions):
        """The fitted attributes by name, those of the input aside."""
        data = training.data
        attributes, support = fitted_attributes(training, solutions)
        return {
            "classes_": data.classes,
            "n_support_": np.bincount(data.y[support], minlength=len(data.classes)),
            "_scheme": SCHEMES[self.multi_class],
            **attributes,
        }

    def _values(self, X):
        """Decisions (n_samples, 1) of two classes, or scores (n_samples, n_classes)."""
        return self._decisions(X) if len(self.classes_) == 2 else self._scores(X)

    def _values_of(self, decisions):
        """The same of the decisions (n_samples, n_problems)."""
        return decisions if len(self.classes_) == 2 else self._scheme.scores(decisions, len(self.classes_))

    def _scores(self, X):
        """One score for each class, (n_samples, n_classes); of many pairs never all decisions at once."""
        machine = self._machine()
        X = checked_X(self, X)
        pieces = row_blocks(X.shape[0], len(self.intercept_))
        return np.vstack([self._scheme.scores(machine.decisions(X[piece]), len(self.classes_)) for piece in pieces])


def _no_probabilities(method):
    return (
        f"BudgetSVC has no {method}: its decisions are no probabilities. Calibrate them by cross-validation: "
        f"BudgetSVCCV().fit(X, y).predict_proba(X), whose probabilities agree with predict, or "
        f"sklearn.calibration.CalibratedClassifierCV(BudgetSVC(...), ensemble=False).fit(X, y).predict_proba(X)."
    )
