"""The regressor with a budget, with cross-validated C, epsilon, kernel and kernel parameters."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin

from .._typing import Infeasible, KernelLike, Number, Scorers, Unit, Whole
from ._budget_svr import BudgetSVR
from ._candidates import checked_epsilons
from ._folds import Knowing
from ._regression import RegressionTask, spread_of
from ._search import BudgetSearch


class FoldRegressor(Knowing, BudgetSVR):
    """A BudgetSVR fitted on a fold."""


class BudgetSVRCV(BudgetSearch, RegressorMixin, BaseEstimator):
    """Support vector regression with a budget, with cross-validated C, epsilon, kernel and kernel parameters.

    Finds what `sklearn.model_selection.GridSearchCV` over `BudgetSVR` finds, for a fraction of its price: one matrix of
    inner products or distances serves all kernel parameters and folds, and for each of them the budgets are solved one
    after the other, each from the solution before. By default every candidate is feasible on any data, and the
    candidates follow the units of y.

    Parameters
    ----------
    Cs : int or array-like of floats, default=10
        The values of C, or how many of them, evenly spaced in their logarithm. For unit="cost" between 0.01 and 1000
        times the spread of y, see `BudgetSVR`. For unit="relative" up to 0.9 of C_max and down to 0.001 or, for each
        kernel with its parameters, the least fraction that is feasible in every fold and for all samples: what a very
        large cost buys.
    unit : {"total", "relative", "cost"}, default="cost"
        What C means, as for `BudgetSVR`: total slacks, fractions in [0, 1) of C_max, or costs of a unit of slack, the C
        of `sklearn.svm.SVR`. A cost is feasible on any data, and means the same for folds and all samples.
    epsilons : array-like of float >= 0 and "auto", default=("auto",)
        Half-widths of the tube, as for `BudgetSVR`. "auto" goes by the training samples of each fold.
    kernel : str, callable, or list of them, default="rbf"
        The kernels to choose from, as for `BudgetSVR`. Each is crossed with the parameters it has only.
    gammas : int or array-like of float > 0, "scale" and "auto", default=5
        Values of gamma, or how many of them between 0.1 and 10 times "scale" of all samples.
    degrees : array-like of int >= 1, default=(2, 3)
        Degrees of the polynomial kernel.
    coef0 : float, default=1.0
        Constant term of the polynomial and the sigmoid kernel.
    cv : int, "loo", cross-validation generator or iterable, default=None
        None is 5-fold, an int the number of folds; or a splitter, or an iterable of train and test indices. "loo" and
        `sklearn.model_selection.LeaveOneOut` leave one sample out each, at little more than the price of one fit for
        each candidate: what is held then is the total budget or the cost in force for all samples, with their gamma and
        epsilon, as in `leave_one_out_decisions`. One sample has no R2: choose a scoring such as
        "neg_mean_absolute_error" with it.
    scoring : str, callable, list, tuple, set, dict or None, default=None
        A scikit-learn scorer, or several as for `GridSearchCV`; None is R2.
    refit : bool, str or callable, default=True
        Which candidate is fitted on all samples. True: the best mean score; of several equal ones the flattest, that of
        the largest margin. "one_standard_error": of those within one standard error of the best the flattest. The name
        of a scorer: the best of several by that one. A callable maps `cv_results_` to the index of its choice. False:
        none; `best_index_` is that of the best mean score, if there is one scorer.
    error_score : "raise" or numeric, default=nan
        The score of a fit or scorer that fails on a fold, and of a budget that infeasible="raise" refuses; one warning
        names the folds. "raise" raises the error, with a note that names the fold.
    infeasible : {"relax", "raise"}, default="relax"
        For budgets below C_min. "relax" fits the solution of least slack, and one warning tells about all folds.
        "raise" scores `error_score` where a fold's training samples do not allow a budget; a choice that is infeasible
        for all samples raises `InfeasibleBudgetError`.
    tol : float > 0, default=1e-3
        As for `BudgetSVR`.
    max_iter : int >= 1, default=100_000
        As for `BudgetSVR`.
    cache_size : float > 0, default=500
        Megabytes of kernel values that each of n_jobs keeps in memory, as for `BudgetSVCCV`.
    n_jobs : int or None, default=None
        Number of jobs, each a fold with a kernel and its parameters. None means 1 unless in a
        `joblib.parallel_config` context, which may also name another backend, such as "dask".
    verbose : bool or int, default=0
        From 1 on, draws a bar with the time that is left, on stderr.

    Attributes
    ----------
    cv_results_ : dict of ndarrays
        As `GridSearchCV` writes it, and what was in force, as for `BudgetSVCCV`: mean_cost, mean_relative_budget (as a
        fraction of C_max), mean_relative_margin (in units of the samples' spread in feature space), and feasible.
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
    best_estimator_ : BudgetSVR
        The model fitted on all samples, unless refit=False. Its fitted attributes `support_`, `support_vectors_`,
        `n_support_`, `dual_coef_`, `intercept_`, `coef_` (linear kernel), `n_iter_`, `epsilon_`, `margin_`, `slack_`,
        `budget_`, `cost_` and `duality_gap_` are attributes here as well.
    out_of_fold_predictions_ : ndarray of shape (n_samples,)
        The chosen candidate's predictions, each by a model that has not seen the sample: the mean over the folds that
        tested it, nan where none did.
    refit_time_ : float
        Seconds of its fit.
    scorer_ : callable or dict
        The scorer, or several by their names.
    multimetric_ : bool
        Whether there are several.
    n_splits_ : int
        Number of folds.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit, where X has names that are all strings.

    See Also
    --------
    BudgetSVR : The regressor for given parameters.
    budget_path : Its solutions along decreasing budgets.
    leave_one_out_decisions : Exact predictions of a fitted model on its training samples, each left out.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_svmdl import BudgetSVRCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = BudgetSVRCV(Cs=3, kernel=["linear", "rbf"], gammas=["scale"]).fit(X, y)
    >>> len(model.cv_results_["params"])
    6
    >>> model.kernel_, round(model.best_score_, 2)
    ('linear', 0.47)
    """

    _parameter_constraints = {**BudgetSearch._shared_constraints, "epsilons": ["array-like"]}
    _model, _fold_model = BudgetSVR, FoldRegressor
    _shared = ("coef0", "infeasible", "tol", "max_iter", "cache_size")
    _of_best = (
        "support_",
        "support_vectors_",
        "n_support_",
        "intercept_",
        "n_iter_",
        "epsilon_",
        "margin_",
        "slack_",
        "budget_",
        "cost_",
        "duality_gap_",
    )
    _out_of_fold, _constant_pays, _y_is_numeric = "out_of_fold_predictions_", RegressionTask.constant_pays, True

    def __init__(
        self,
        Cs: Whole | ArrayLike = 10,
        *,
        unit: Unit = "cost",
        epsilons: ArrayLike | Sequence[Any] = ("auto",),
        kernel: KernelLike | Sequence[KernelLike] = "rbf",
        gammas: Whole | ArrayLike | Sequence[Any] = 5,
        degrees: ArrayLike = (2, 3),
        coef0: Number = 1.0,
        cv: Any = None,
        scoring: Scorers = None,
        refit: bool | str | Callable[..., Any] = True,
        error_score: Number | Literal["raise"] = np.nan,
        infeasible: Infeasible = "relax",
        tol: Number = 1e-3,
        max_iter: Whole = 100_000,
        cache_size: Number = 500,
        n_jobs: Whole | None = None,
        verbose: Whole = 0,
    ) -> None:
        self.Cs = Cs
        self.unit = unit
        self.epsilons = epsilons
        self.kernel = kernel
        self.gammas = gammas
        self.degrees = degrees
        self.coef0 = coef0
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.error_score = error_score
        self.infeasible = infeasible
        self.tol = tol
        self.max_iter = max_iter
        self.cache_size = cache_size
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _checked_y(self, y):
        """Numbers, and no classes."""
        return y.astype(float, copy=False), None

    def _common(self):
        """Lists of parameters that all kernels are crossed with, by name."""
        return {"epsilon": checked_epsilons(self.epsilons)}

    def _unit_of_slack(self, samples):
        """The spread of y, in multiples of which slack is measured."""
        return spread_of(samples.y, samples.weight) or 1.0
