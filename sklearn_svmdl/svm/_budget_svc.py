"""The budget-C support vector classifier."""

from numbers import Integral, Real
from time import perf_counter

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, validate_data

from .._sklearn_private import Interval, StrOptions, _check_sample_weight, _fit_context
from ..dual.feasibility import least_budget
from ..dual.solve import solve, solve_small
from ..kernels import (
    KERNELS,
    Kernel,
    check_kernel_values,
    check_symmetric,
    resolve_gamma,
    spec_of,
)
from ..kernels.blas import dense_product
from . import _messages as messages
from ._multiclass import SCHEMES
from ._training import binary_problem, check_square, indefiniteness, share_kernel_values, weigh

# C="auto" as a fraction of C_max.
AUTO_FRACTION = 0.1


class BudgetSVC(ClassifierMixin, BaseEstimator):
    """Support vector classifier with a budget C on the total slack.

    Solves the soft-margin problem as textbooks state it,

        max M   s.t.   |w| = 1,   y_i (w.x_i + b) >= M (1 - e_i),   e_i >= 0,   sum_i s_i e_i <= C

    with slacks e_i and sample weights s_i, for x in the feature space of the kernel. The *larger* C, the
    *softer* the margin: the opposite direction of `sklearn.svm.SVC`, whose C is a cost. C = 0 is the maximal
    margin classifier. A misclassified sample has e_i > 1, so a binary problem with unit weights makes at most
    C mistakes on its training samples. Budgets are feasible and not trivial for C_min <= C < C_max: C_min is
    the least total slack of any hyperplane (0 for separable classes), C_max = 2 min(W+, W-) with the classes'
    total weights.

    Parameters
    ----------
    C : float >= 0 or "auto", default="auto"
        The budget, in the unit that `budget` says. "auto" is 0.1 C_max in either unit.
    budget : {"total", "relative"}, default="total"
        "total": C is the total slack allowed. "relative": C in [0, 1) is a fraction of each binary problem's
        C_max; it means the same for any number of samples, class balance and sample weights, so it is the
        unit to tune. C_max is taken before or after class_weight, whichever is larger: to weigh a class less
        makes its slacks cheaper, not the budget smaller. Each binary problem of a multiclass fit gets the
        budget.
    kernel : str or callable, default="rbf"
        "linear" <x, x'>, "poly" (gamma <x, x'> + coef0)^degree, "rbf" exp(-gamma |x - x'|^2), "sigmoid",
        "laplacian", "cosine", "chi2", "additive_chi2" as in `sklearn.metrics.pairwise`; "precomputed" where X
        holds the kernel values; or a function k(X, Y) of two matrices (n, d), (m, d) that returns the (n, m)
        values.
    degree : int >= 1, default=3
        Degree of the polynomial kernel. Ignored by other kernels.
    gamma : {"scale", "auto"} or float > 0, default="scale"
        "scale" is 1 / (n_features * weighted variance of X), "auto" is 1 / n_features.
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
        From 1 on, prints a line for each binary problem solved.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted class labels. In each binary problem +1 is the later class.
    support_ : ndarray of shape (n_SV,)
        Sorted indices of the samples that are support vectors of some binary problem.
    support_vectors_ : ndarray or CSR matrix of shape (n_SV, n_features)
        X[support_]; empty for precomputed kernels.
    n_support_ : ndarray of shape (n_classes,)
        Number of support vectors of each class.
    dual_coef_ : ndarray of shape (n_problems, n_SV)
        Signed duals y_i alpha_i; 0 where a problem does not use a support vector. The decisions of all
        problems are K(X, support_vectors_) @ dual_coef_.T + intercept_.
    intercept_ : ndarray of shape (n_problems,)
        Intercepts b.
    coef_ : ndarray of shape (n_problems, n_features)
        The normals w of the hyperplanes f(x) = w.x + b, scaled such that f = +-1 on the margins. Linear
        kernel only.
    n_iter_ : ndarray of shape (n_problems,)
        Iterations taken.
    margin_ : ndarray of shape (n_problems,)
        M = 1 / |w|; infinite where C >= C_max.
    slack_ : ndarray of shape (n_problems, n_samples)
        Slacks e_i; nan where a sample takes no part in a problem.
    budget_ : ndarray of shape (n_problems,)
        The budget in force: C in units of total slack, or the total slack of the model where C is infeasible or out
        of numerical reach.
    penalty_ : ndarray of shape (n_problems,)
        The multiplier of the budget: `sklearn.svm.SVC` with this C finds the same hyperplane.
    duality_gap_ : ndarray of shape (n_problems,)
        (primal - dual objective) / (|w|^2 / 2): how far the solution may be from the optimum. Where the budget could
        not be kept, relative to the objective of the cost in force, |w|^2 / 2 + penalty_ * total slack.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of features seen during fit, where X has names that are all strings.

    See Also
    --------
    sklearn.svm.SVC : The same family of classifiers, with a cost in place of the budget.
    sklearn_svmdl.MarginDisplay : Picture of boundary, margins and support vectors in two dimensions.

    References
    ----------
    .. [1] G. James, D. Witten, T. Hastie, R. Tibshirani, "An Introduction to Statistical Learning",
       chapter 9, Springer, 2021.
    .. [2] C. Cortes, V. Vapnik, "Support-Vector Networks", Machine Learning 20, 1995.
    .. [3] R.-E. Fan, P.-H. Chen, C.-J. Lin, "Working Set Selection Using Second Order Information for
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
    """

    _parameter_constraints = {
        "C": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "budget": [StrOptions({"total", "relative"})],
        "kernel": [StrOptions(set(KERNELS)), callable],
        "degree": [Interval(Integral, 1, None, closed="left")],
        "gamma": [StrOptions({"scale", "auto"}), Interval(Real, 0, None, closed="neither")],
        "coef0": [Interval(Real, None, None, closed="neither")],
        "multi_class": [StrOptions(set(SCHEMES))],
        "decision_function_shape": [StrOptions({"ovr", "ovo"})],
        "infeasible": [StrOptions({"relax", "raise"})],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "solver": [StrOptions({"auto", "smo"})],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "cache_size": [Interval(Real, 0, None, closed="neither")],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        C="auto",
        *,
        budget="total",
        kernel="rbf",
        degree=3,
        gamma="scale",
        coef0=1.0,
        multi_class="ovo",
        decision_function_shape="ovr",
        infeasible="relax",
        class_weight=None,
        solver="auto",
        tol=1e-3,
        max_iter=100_000,
        cache_size=200,
        n_jobs=None,
        verbose=0,
    ):
        self.C = C
        self.budget = budget
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

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
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
            C < C_min and infeasible="raise".
        ValueError
            Bad input, or kernel values that overflow.
        """
        self._check_parameters_together()
        data, tasks, source, memory = self._stage(X, y, sample_weight)
        problems = [binary_problem(task, source, data, self._total_budget) for task in tasks]
        solutions = self._solve(tasks, problems, memory)
        self._report(data, tasks, problems, solutions, source)
        self._store(data, tasks, solutions)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def feasible_budget(self, X, y, sample_weight=None):
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
        data, tasks, source, _ = clone(self)._stage(X, y, sample_weight)
        problems = [binary_problem(task, source, data, lambda unit: 0.0) for task in tasks]
        least = [least_budget(problem) for problem in problems]
        return np.array(least, dtype=float), np.array([problem.largest_budget for problem in problems])

    def decision_function(self, X):
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
        decisions = self._decisions(X)
        if len(self.classes_) == 2:
            return decisions[:, 0]
        return decisions if self.decision_function_shape == "ovo" else self._scores(decisions)

    def predict(self, X):
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
        decisions = self._decisions(X)
        if len(self.classes_) == 2:
            return self.classes_[(decisions[:, 0] > 0).astype(int)]
        return self.classes_[self._scores(decisions).argmax(axis=1)]

    @property
    def coef_(self):
        """The normals w (n_problems, n_features), linear kernel only."""
        check_is_fitted(self, "dual_coef_")
        if self._coef is None:
            raise AttributeError(f"coef_ exists for the linear kernel only, not for {self._kernel.name!r}.")
        return self._coef

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if callable(self.kernel) or self.kernel in KERNELS:
            spec = spec_of(self.kernel)
            tags.input_tags.sparse = spec.takes_sparse
            tags.input_tags.pairwise = spec.pairwise
            tags.input_tags.positive_only = not spec.takes_negative
        return tags

    def _check_parameters_together(self):
        if self.budget == "relative" and self.C != "auto" and self.C >= 1:
            raise ValueError(
                f"With budget='relative', C is a fraction of C_max and must be in [0, 1), got C={self.C!r}. "
                f"Use budget='total' to give the total slack itself."
            )
        if self.decision_function_shape == "ovo" and self.multi_class != "ovo":
            raise ValueError(
                f"decision_function_shape='ovo' asks for the decisions of all pairs of classes, but "
                f"multi_class={self.multi_class!r} trains none; use multi_class='ovo'."
            )

    def _stage(self, X, y, sample_weight):
        """All that precedes the solver: checked samples, binary tasks, kernel values, megabytes for each."""
        data = self._training_set(X, y, sample_weight)
        self._scheme = SCHEMES[self.multi_class]
        self._kernel = self._resolved_kernel(data)
        tasks = self._scheme.tasks(data.codes, data.classes)
        source = self._kernel.source(data.X)
        check_kernel_values(source)
        return data, tasks, *share_kernel_values(source, tasks, self.n_jobs, self.cache_size)

    def _checked_X(self, X, **options):
        spec = spec_of(self.kernel)
        options.setdefault("accept_sparse", "csr" if spec.takes_sparse else False)
        return validate_data(self, X, dtype=[np.float64, np.float32], **options)

    def _training_set(self, X, y, sample_weight):
        """Check the input; sets n_features_in_ and feature_names_in_."""
        X, y = self._checked_X(X, y=y)
        check_classification_targets(y)
        pairwise = spec_of(self.kernel).pairwise
        if pairwise:
            check_square(X)
        sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        data = weigh(X, y, sample_weight, self.class_weight, pairwise=pairwise)
        if pairwise:
            check_symmetric(data.X)
        return data

    def _resolved_kernel(self, data):
        wanted = spec_of(self.kernel).parameters
        gamma = resolve_gamma(self.gamma, data.X, data.weight) if "gamma" in wanted else None
        return Kernel.of(self.kernel, gamma=gamma, degree=self.degree, coef0=self.coef0)

    def _total_budget(self, unit):
        """C as a total slack, for a problem with this unit of relative budgets."""
        if self.C == "auto":
            return AUTO_FRACTION * unit
        return self.C * unit if self.budget == "relative" else float(self.C)

    def _solve(self, tasks, problems, memory):
        limits = dict(solver=self.solver, tol=self.tol, max_iter=self.max_iter)
        solutions = solve_small(problems, **limits)
        left = [k for k, solution in enumerate(solutions) if solution is None]
        if self.verbose and len(left) < len(tasks):
            print(f"[BudgetSVC] {len(tasks) - len(left)} of {len(tasks)} binary problems solved together", flush=True)
        run = _solve_aloud if self.verbose else _solve_quietly
        jobs = [(f"{k + 1}/{len(tasks)} {tasks[k].name}", problems[k], dict(limits, cache_size=memory)) for k in left]
        if len(jobs) == 1:
            found = [run(*jobs[0])]
        else:
            found = Parallel(n_jobs=self.n_jobs, prefer="threads")(delayed(run)(*job) for job in jobs)
        for k, solution in zip(left, found, strict=True):
            solutions[k] = solution
        return solutions

    def _report(self, data, tasks, problems, solutions, source):
        """Warn or raise where a solution is not what was asked for: at most one warning of a kind.

        A task is a binary problem, or such a problem at one point of a path.
        """
        if self.infeasible == "raise":
            message = messages.describe_infeasible(tasks, solutions, problems)
            if message is not None:
                raise messages.InfeasibleBudgetError(message)
        curvature = indefiniteness(self._kernel, source)
        if curvature:
            # Budgets and gaps follow from convexity: where that fails, nothing else is worth telling.
            messages.warn_indefinite(self.kernel, curvature)
            return
        messages.warn_infeasible(tasks, solutions, problems)
        messages.warn_unbounded(tasks, solutions, problems)
        messages.warn_unconverged(
            tasks,
            solutions,
            tol=self.tol,
            max_iter=self.max_iter,
            X=None if self._kernel.spec.pairwise else data.X,
            feature_names=getattr(self, "feature_names_in_", None),
        )

    def _store(self, data, tasks, solutions):
        """Set the fitted attributes."""
        beta = np.zeros((len(tasks), len(data.kept)))
        slack = np.full((len(tasks), data.n_given), np.nan)
        for k, (task, solution) in enumerate(zip(tasks, solutions, strict=True)):
            beta[k, task.rows] = solution.beta
            slack[k, data.kept[task.rows]] = solution.slack
        support = np.flatnonzero(beta.any(axis=0))
        pairwise = self._kernel.spec.pairwise
        self.classes_ = data.classes
        self.support_ = data.kept[support]
        self.support_vectors_ = np.empty((0, 0)) if pairwise else data.X[support]
        self.n_support_ = np.bincount(data.codes[support], minlength=len(data.classes))
        self.dual_coef_ = beta[:, support]
        self.slack_ = slack
        self.intercept_ = np.array([solution.intercept for solution in solutions])
        self.margin_ = np.array([solution.margin for solution in solutions])
        self.budget_ = np.array([solution.budget for solution in solutions])
        self.penalty_ = np.array([solution.lam for solution in solutions])
        self.duality_gap_ = np.array([solution.duality_gap for solution in solutions])
        self.n_iter_ = np.array([solution.n_iter for solution in solutions])
        self._coef = None
        if self._kernel.is_linear:
            self._coef = dense_product(self.dual_coef_, self.support_vectors_)

    def _decisions(self, X):
        """The decisions of all binary problems, (n_samples, n_problems)."""
        check_is_fitted(self, "dual_coef_")
        X = self._checked_X(X, reset=False)
        if self._coef is not None:
            return dense_product(X, self._coef.T) + self.intercept_
        basis = self.support_ if self._kernel.spec.pairwise else self.support_vectors_
        return self._kernel.expand(X, basis, self.dual_coef_.T) + self.intercept_

    def _scores(self, decisions):
        """One score for each class, (n_samples, n_classes)."""
        return self._scheme.scores(decisions, len(self.classes_))


def _solve_quietly(name, problem, options):
    return solve(problem, **options)


def _solve_aloud(name, problem, options):
    start = perf_counter()
    solution = solve(problem, **options)
    print(
        f"[BudgetSVC] {name}: {solution.status.name}, budget {solution.budget:.4g}, margin "
        f"{solution.margin:.4g}, {np.count_nonzero(solution.beta)} of {problem.n_samples} samples are "
        f"support vectors, relative duality gap {solution.duality_gap:.2g}, {solution.n_iter} iterations, "
        f"{perf_counter() - start:.2f} s ({solution.work})",
        flush=True,
    )
    return solution
