"""The budget-C classifier with cross-validated C, kernel and kernel parameters."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from .._sklearn_private import StrOptions
from .._typing import (
    ClassWeight,
    Floats,
    Infeasible,
    KernelLike,
    MatrixLike,
    MultiClass,
    Number,
    Scorers,
    Unit,
    Whole,
    available_if,
)
from ._budget_svc import BudgetSVC
from ._folds import Knowing
from ._messages import ProbabilitiesNeededError
from ._multiclass import SCHEMES, BinaryTask
from ._probabilities import log_probabilities, probabilities, temperature_of
from ._search import BudgetSearch, is_refitted


class FoldClassifier(Knowing, BudgetSVC):
    """A BudgetSVC fitted on a fold."""

    def score(self, X, y, sample_weight=None):
        """Accuracy, of labels known to be fit for comparison."""
        return float(np.average(self.predict(X) == y, weights=sample_weight))

    def predict_proba(self, X):
        """Not available: probabilities come of the decisions of all folds, so a fold has none to be scored."""
        raise ProbabilitiesNeededError(
            "The scorer asks for probabilities, which BudgetSVCCV has once all folds are through: they come of the "
            "out-of-fold decisions of the chosen model. Score decisions instead, for instance by 'roc_auc' of two "
            "classes, 'average_precision' or 'accuracy'. Or search by GridSearchCV over "
            "CalibratedClassifierCV(BudgetSVC(), ensemble=False), which fits probabilities anew for each candidate."
        )

    def _scores(self, X):
        samples, values = self._known
        return values if X is samples else super()._scores(X)


class BudgetSVCCV(BudgetSearch, ClassifierMixin, BaseEstimator):
    """Budget-C support vector classifier with cross-validated budget, kernel and kernel parameters.

    Finds what `sklearn.model_selection.GridSearchCV` over `BudgetSVC` finds, for a fraction of its price: one
    matrix of inner products or distances serves all kernel parameters and folds, and for each of them the
    budgets are solved one after the other, each from the solution before. By default every candidate is feasible on
    any data. The decisions on samples that were left out also calibrate probabilities, at no further fit.

    Parameters
    ----------
    Cs : int or array-like of floats, default=10
        The values of C, or how many of them, evenly spaced in their logarithm. For unit="cost" between 0.01, where on
        scaled features nearly every sample costs slack, and 1000, where hardly any does. For unit="relative" up to 0.9
        of C_max and down to 0.001 or, for each kernel with its parameters, the least fraction that is feasible in every
        fold and for all samples: what a very large cost (1000 over the samples' squared spread in feature space) buys.
    unit : {"total", "relative", "cost"}, default="cost"
        What C means, as for `BudgetSVC`: total slacks, fractions in [0, 1) of each binary problem's C_max, or costs of
        a unit of slack, the C of `sklearn.svm.SVC`. A cost is feasible on any data, and means the same for folds and
        all samples.
    kernel : str, callable, or list of them, default="rbf"
        The kernels to choose from, as for `BudgetSVC`. Each is crossed with the parameters it has only.
    gammas : int or array-like of float > 0, "scale" and "auto", default=5
        Values of gamma, or how many of them between 0.1 and 10 times "scale" of all samples.
    degrees : array-like of int >= 1, default=(2, 3)
        Degrees of the polynomial kernel.
    coef0 : float, default=1.0
        Constant term of the polynomial and the sigmoid kernel.
    cv : int, "loo", cross-validation generator or iterable, default=None
        None is 5-fold, an int the number of (stratified) folds; or a splitter, or an iterable of train and
        test indices. "loo" and `sklearn.model_selection.LeaveOneOut` leave one sample out each, at little more than the
        price of one fit for each candidate: what is held then is the total budget or the cost in force for all samples,
        with their gamma and class weights, as in `leave_one_out_decisions`.
    scoring : str, callable, list, tuple, set, dict or None, default=None
        A scikit-learn scorer, or several as for `GridSearchCV`; None is accuracy.
    refit : bool, str or callable, default=True
        Which candidate is fitted on all samples. True: the best mean score; of several equal ones that of the largest
        margin. "one_standard_error": of those within one standard error of the best that of the largest margin
        (Breiman, Friedman, Olshen, Stone, Classification and Regression Trees, 1984). The name of a scorer: the best of
        several by that one. A callable maps `cv_results_` to the index of its choice. False: none; `best_index_` is
        that of the best mean score, if there is one scorer. Margins of different kernels are compared in units of the
        samples' spread in feature space.
    error_score : "raise" or numeric, default=nan
        The score of a fit or scorer that fails on a fold, such as one that lacks a class, and of a budget that
        infeasible="raise" refuses; one warning names the folds. "raise" raises the error, with a note that names the
        fold.
    multi_class : {"ovo", "ovr"}, default="ovo"
        As for `BudgetSVC`.
    infeasible : {"relax", "raise"}, default="relax"
        For budgets below C_min. "relax" fits the solution of least slack, and one warning tells about all folds.
        "raise" scores `error_score` where a fold's training samples do not allow a budget; a choice that is infeasible
        for all samples raises `InfeasibleBudgetError`.
    class_weight : dict, "balanced" or None, default=None
        As for `BudgetSVC`.
    tol : float > 0, default=1e-3
        As for `BudgetSVC`.
    max_iter : int >= 1, default=100_000
        As for `BudgetSVC`.
    cache_size : float > 0, default=500
        Megabytes of kernel values that each of n_jobs keeps in memory. Up to n = 1600 sqrt(cache_size / 60)
        samples one matrix serves everything; beyond it, kernel values are evaluated in blocks. The default is
        larger than that of `BudgetSVC`: besides the matrix that all folds share there are the kernel values of
        a fold and what its walk over the budgets makes of them.
    n_jobs : int or None, default=None
        Number of jobs, each a fold with a kernel and its parameters. None means 1 unless in a
        `joblib.parallel_config` context, which may also name another backend, such as "dask".
    verbose : bool or int, default=0
        From 1 on, draws a bar with the time that is left, on stderr.

    Attributes
    ----------
    cv_results_ : dict of ndarrays
        As `GridSearchCV` writes it: param_*, params, split*_test_score, mean_test_score, std_test_score,
        rank_test_score, and times; the time of a walk is spread evenly over its budgets. And, as means over the folds
        and binary problems, what was in force: mean_cost, mean_relative_budget (as a fraction of C_max),
        mean_relative_margin (the narrowest of the binary problems, in units of the samples' spread in feature space),
        and feasible: whether the budget was kept in every fold.
    best_index_ : int
        Index into `cv_results_` of the chosen candidate.
    best_params_ : dict
        Its parameters.
    best_score_ : float
        Its mean score.
    C_ : float
        The C in force, in the unit of `unit`: the chosen one or, where that is infeasible for all samples, what the
        refitted model spends.
    kernel_ : str or callable
        The chosen kernel.
    gamma_ : float, "scale", "auto" or None
        The chosen gamma; None for a kernel that has none.
    degree_ : int or None
        The chosen degree; None for a kernel that has none.
    best_estimator_ : BudgetSVC
        The model fitted on all samples, unless refit=False. Its fitted attributes `support_`,
        `support_vectors_`, `n_support_`, `dual_coef_`, `intercept_`, `coef_` (linear kernel), `n_iter_`,
        `margin_`, `slack_`, `budget_`, `cost_` and `duality_gap_` are attributes here as well.
    out_of_fold_decisions_ : ndarray of shape (n_samples,) or (n_samples, n_classes)
        The chosen candidate's decisions, as `decision_function` returns them, each by a model that has not seen the
        sample: the mean over the folds that tested it, nan where none did or the fold's model lacks a class.
    temperature_ : float
        What `predict_proba` divides decisions by: the temperature of least log-loss on `out_of_fold_decisions_`.
    refit_time_ : float
        Seconds of its fit.
    scorer_ : callable or dict
        The scorer, or several by their names.
    multimetric_ : bool
        Whether there are several.
    n_splits_ : int
        Number of folds.
    classes_ : ndarray of shape (n_classes,)
        Sorted class labels.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit, where X has names that are all strings.

    See Also
    --------
    BudgetSVC : The classifier for given parameters.
    budget_path : Its solutions along decreasing budgets.
    leave_one_out_decisions : Exact decisions of a fitted model on its training samples, each left out.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_svmdl import BudgetSVCCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = BudgetSVCCV(Cs=[0.1, 1.0], kernel=["linear", "rbf"], gammas=["scale"]).fit(X, y)
    >>> len(model.cv_results_["params"])
    4
    >>> model.kernel_, model.C_
    ('linear', 1.0)
    >>> model.predict_proba(X[:1]).round(2)
    array([[0.93, 0.07, 0.  ]])
    """

    _parameter_constraints = {
        **BudgetSearch._shared_constraints,
        "multi_class": [StrOptions(set(SCHEMES))],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }
    _model, _fold_model = BudgetSVC, FoldClassifier
    _shared = ("coef0", "multi_class", "infeasible", "class_weight", "tol", "max_iter", "cache_size")
    _of_best = (
        "support_",
        "support_vectors_",
        "n_support_",
        "intercept_",
        "n_iter_",
        "margin_",
        "slack_",
        "budget_",
        "cost_",
        "duality_gap_",
    )
    _out_of_fold, _constant_pays, _y_is_numeric = "out_of_fold_decisions_", BinaryTask.constant_pays, False

    def __init__(
        self,
        Cs: Whole | ArrayLike = 10,
        *,
        unit: Unit = "cost",
        kernel: KernelLike | Sequence[KernelLike] = "rbf",
        gammas: Whole | ArrayLike | Sequence[Any] = 5,
        degrees: ArrayLike = (2, 3),
        coef0: Number = 1.0,
        cv: Any = None,
        scoring: Scorers = None,
        refit: bool | str | Callable[..., Any] = True,
        error_score: Number | Literal["raise"] = np.nan,
        multi_class: MultiClass = "ovo",
        infeasible: Infeasible = "relax",
        class_weight: ClassWeight = None,
        tol: Number = 1e-3,
        max_iter: Whole = 100_000,
        cache_size: Number = 500,
        n_jobs: Whole | None = None,
        verbose: Whole = 0,
    ) -> None:
        self.Cs = Cs
        self.unit = unit
        self.kernel = kernel
        self.gammas = gammas
        self.degrees = degrees
        self.coef0 = coef0
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.error_score = error_score
        self.multi_class = multi_class
        self.infeasible = infeasible
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.cache_size = cache_size
        self.n_jobs = n_jobs
        self.verbose = verbose

    @available_if(is_refitted)
    def decision_function(self, X: MatrixLike) -> Floats:
        """Decisions of the refitted model.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples, or their kernel values with the training samples if kernel="precomputed".

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            As `BudgetSVC.decision_function`.
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.decision_function(X)

    @available_if(is_refitted)
    def predict_proba(self, X: MatrixLike) -> Floats:
        """Probabilities of the classes: the decisions over `temperature_` through the sigmoid or the softmax.

        The largest is that of the class that `predict` returns, always.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples, or their kernel values with the training samples if kernel="precomputed".

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            A row adds up to 1; columns in the order of `classes_`.
        """
        return probabilities(self.decision_function(X), self.temperature_)

    @available_if(is_refitted)
    def predict_log_proba(self, X: MatrixLike) -> Floats:
        """Logarithms of the probabilities, exact where those are too small for a number.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples, or their kernel values with the training samples if kernel="precomputed".

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.
        """
        return log_probabilities(self.decision_function(X), self.temperature_)

    def _checked_y(self, y):
        """Labels, and all of them."""
        check_classification_targets(y)
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(f"A classifier needs samples of at least 2 classes, but y has 1 class: {str(y[0])!r}.")
        return y, classes

    def _can_be_fitted(self, y):
        """Whether there are two classes."""
        return len(np.unique(y)) > 1

    def _calibrated(self, out_of_fold, samples):
        """The temperature of the probabilities."""
        codes = np.searchsorted(samples.classes, samples.y)
        return {"temperature_": temperature_of(out_of_fold, codes, samples.weight)}
