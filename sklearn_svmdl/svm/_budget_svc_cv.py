"""Cross-validated choice of budget, kernel and kernel parameters."""

from numbers import Integral, Real
from time import perf_counter

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import ParameterGrid, check_cv
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, validate_data

from .._sklearn_private import (
    Interval,
    StrOptions,
    _check_sample_weight,
    _fit_context,
    _raise_for_params,
    _routing_enabled,
)
from ..dual.problem import BEYOND_REACH, Status
from ..kernels import KERNELS, MEGABYTE, SharedKernelMatrix, resolve_gamma, spec_of
from ._budget_svc import BudgetSVC
from ._folds import Fold, Samples, Scoring, score_walk, score_walk_aloud
from ._messages import BudgetWarning, IndefiniteKernelWarning
from ._multiclass import SCHEMES
from ._search_results import best_candidate, one_standard_error, search_results
from ._training import check_square
from ._units import UNITS, check_Cs
from ._warn import warn

# A number of gammas spans a factor of ten on either side of "scale".
_GAMMA_RANGE = 10.0
# Attributes of the refitted BudgetSVC that are attributes here too.
_OF_BEST = (
    "support_",
    "support_vectors_",
    "n_support_",
    "dual_coef_",
    "intercept_",
    "n_iter_",
    "margin_",
    "slack_",
    "budget_",
    "cost_",
    "duality_gap_",
)


def _is_refitted(self):
    if self.refit is not False:
        return True
    raise AttributeError(
        "This BudgetSVCCV was made with refit=False, so there is no model to predict with. Fit a BudgetSVC "
        "with best_params_, or use refit=True."
    )


class BudgetSVCCV(ClassifierMixin, BaseEstimator):
    """Budget-C support vector classifier with cross-validated budget, kernel and kernel parameters.

    Finds what `sklearn.model_selection.GridSearchCV` over `BudgetSVC` finds, for a fraction of its price: one
    matrix of inner products or distances serves all kernel parameters and folds, and for each of them the
    budgets are solved one after the other, each from the solution before.

    Parameters
    ----------
    Cs : int or array-like of floats, default=10
        The values of C, or how many of them, evenly spaced in their logarithm: between 0.001 and 0.9 of C_max for
        unit="relative", between 0.01 and 1000 for unit="cost".
    unit : {"total", "relative", "cost"}, default="relative"
        What C means, as for `BudgetSVC`: total slacks, fractions in [0, 1) of each binary problem's C_max, or costs of
        a unit of slack.
    kernel : str, callable, or list of them, default="rbf"
        The kernels to choose from, as for `BudgetSVC`. Each is crossed with the parameters it has only.
    gammas : int or array-like of float > 0, "scale" and "auto", default=5
        Values of gamma, or how many of them between 0.1 and 10 times "scale" of all samples.
    degrees : array-like of int >= 1, default=(2, 3)
        Degrees of the polynomial kernel.
    coef0 : float, default=1.0
        Constant term of the polynomial and the sigmoid kernel.
    cv : int, cross-validation generator or iterable, default=None
        None is 5-fold, an int the number of (stratified) folds; or a splitter, or an iterable of train and
        test indices.
    scoring : str, callable or None, default=None
        A scikit-learn scorer; None is accuracy.
    refit : bool, "one_standard_error" or callable, default=True
        Which candidate is fitted on all samples. True: the best mean score. "one_standard_error": of those
        within one standard error of the best the simplest, with the softest margin (largest budget, least cost), then
        the least degree, then the smallest gamma. A callable maps `cv_results_` to the index of its choice. False:
        none; `best_index_` is that of the best mean score.
    multi_class : {"ovo", "ovr"}, default="ovo"
        As for `BudgetSVC`.
    infeasible : {"relax", "raise"}, default="relax"
        For budgets below C_min. "relax" fits the solution of least slack, and one warning tells about all folds.
        "raise" scores nan where a fold's training samples do not allow a budget; a choice that is infeasible
        for all samples raises `InfeasibleBudgetError` at the end, when `cv_results_` exists.
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
        From 1 on, prints a line for each fold, kernel and its parameters.

    Attributes
    ----------
    cv_results_ : dict of ndarrays
        As `GridSearchCV` writes it: param_*, params, split*_test_score, mean_test_score, std_test_score,
        rank_test_score, and times; the time of a walk is spread evenly over its budgets.
    best_index_ : int
        Index into `cv_results_` of the chosen candidate.
    best_params_ : dict
        Its parameters.
    best_score_ : float
        Its mean score.
    C_ : float
        The chosen C, in the unit of `unit`.
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
    refit_time_ : float
        Seconds of its fit.
    scorer_ : callable
        The scorer.
    n_splits_ : int
        Number of folds.
    classes_ : ndarray of shape (n_classes,)
        Sorted class labels.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of features seen during fit, where X has names that are all strings.

    See Also
    --------
    BudgetSVC : The classifier for given parameters.
    budget_path : Its solutions along decreasing budgets.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_svmdl import BudgetSVCCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = BudgetSVCCV(Cs=[0.2, 0.5], kernel=["linear", "rbf"], gammas=["scale"]).fit(X, y)
    >>> len(model.cv_results_["params"])
    4
    >>> model.kernel_, model.C_
    ('linear', 0.2)
    """

    _parameter_constraints = {
        "Cs": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "unit": [StrOptions(set(UNITS))],
        "kernel": [StrOptions(set(KERNELS)), callable, list, tuple],
        "gammas": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "degrees": ["array-like"],
        "coef0": [Interval(Real, None, None, closed="neither")],
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "refit": ["boolean", StrOptions({"one_standard_error"}), callable],
        "multi_class": [StrOptions(set(SCHEMES))],
        "infeasible": [StrOptions({"relax", "raise"})],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "cache_size": [Interval(Real, 0, None, closed="neither")],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        Cs=10,
        *,
        unit="relative",
        kernel="rbf",
        gammas=5,
        degrees=(2, 3),
        coef0=1.0,
        cv=None,
        scoring=None,
        refit=True,
        multi_class="ovo",
        infeasible="relax",
        class_weight=None,
        tol=1e-3,
        max_iter=100_000,
        cache_size=500,
        n_jobs=None,
        verbose=0,
    ):
        self.Cs = Cs
        self.unit = unit
        self.kernel = kernel
        self.gammas = gammas
        self.degrees = degrees
        self.coef0 = coef0
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.multi_class = multi_class
        self.infeasible = infeasible
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.cache_size = cache_size
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, **params):
        """Score all candidates by cross-validation, and fit the chosen one on all samples.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training samples, or their kernel values (n_samples, n_samples) if kernel="precomputed".
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights s_i >= 0 of the slacks, 1 if None. They also weigh the scores: always without metadata
            routing, and with it where the scorer requests them.
        **params : dict
            `groups` for the splitter, and with metadata routing whatever splitter and scorer request.

        Returns
        -------
        self : BudgetSVCCV
            The fitted classifier.
        """
        routed = self._routed(sample_weight, params)
        samples = self._checked_samples(X, y, sample_weight)
        candidates = self._candidates(samples)
        self.scorer_ = self._get_scorer()
        splitter = check_cv(self.cv, samples.y, classifier=True)
        folds = list(splitter.split(samples.X, samples.y, **routed.splitter.split))
        scoring = Scoring(self.scorer_, routed.scorer.score)
        walks = self._score(candidates, samples, folds, scoring)
        self._tell(walks, len(candidates) * len(folds))
        self._choose(candidates, walks, len(folds))
        if self.refit is not False:
            self._fit_best(X, y, sample_weight)
        return self

    @available_if(_is_refitted)
    def predict(self, X):
        """Predict the class of each sample with the refitted model.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples, or their kernel values with the training samples if kernel="precomputed".

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Predicted class labels.
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.predict(X)

    @available_if(_is_refitted)
    def decision_function(self, X):
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

    @available_if(_is_refitted)
    def score(self, X, y, sample_weight=None, **score_params):
        """The score of the refitted model by `scoring`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Their labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.
        **score_params : dict
            What the scorer requests by metadata routing.

        Returns
        -------
        score : float
            The score of predict(X), accuracy by default.
        """
        check_is_fitted(self, "best_estimator_")
        _raise_for_params(score_params, self, "score")
        given = {} if sample_weight is None else {"sample_weight": sample_weight}
        if _routing_enabled():
            given = process_routing(self, "score", **given, **score_params).scorer.score
        return self._get_scorer()(self.best_estimator_, X, y, **given)

    @property
    def coef_(self):
        """The normals w (n_problems, n_features) of the refitted model, linear kernel only."""
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.coef_

    def get_metadata_routing(self):
        """Which metadata the scorer and the splitter get.

        Returns
        -------
        routing : MetadataRouter
            Routing information.
        """
        to_scorer = MethodMapping().add(caller="fit", callee="score").add(caller="score", callee="score")
        to_splitter = MethodMapping().add(caller="fit", callee="split")
        router = MetadataRouter(owner=self.__class__.__name__).add_self_request(self)
        return router.add(scorer=self._get_scorer(), method_mapping=to_scorer).add(
            splitter=check_cv(self.cv, classifier=True), method_mapping=to_splitter
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        specs = [spec_of(name) for name in self._kernels() if callable(name) or name in KERNELS]
        tags.input_tags.sparse = all(spec.takes_sparse for spec in specs)
        tags.input_tags.pairwise = any(spec.pairwise for spec in specs)
        tags.input_tags.positive_only = not all(spec.takes_negative for spec in specs)
        return tags

    def _kernels(self):
        return list(self.kernel) if isinstance(self.kernel, (list, tuple)) else [self.kernel]

    def _get_scorer(self):
        return check_scoring(BudgetSVC(), scoring=self.scoring)

    def _routed(self, sample_weight, params):
        """Metadata for splitter and scorer; without routing the weights go to the scorer, groups to the splitter."""
        given = {} if sample_weight is None else {"sample_weight": sample_weight}
        if _routing_enabled():
            return process_routing(self, "fit", **given, **params)
        params = dict(params)
        groups = {"groups": params.pop("groups")} if "groups" in params else {}
        _raise_for_params(params, self, "fit")
        return Bunch(splitter=Bunch(split=groups), scorer=Bunch(score=given))

    def _checked_samples(self, X, y, sample_weight):
        """Checked input and its shared kernel values; sets classes_, n_features_in_ and feature_names_in_."""
        specs = self._checked_specs()
        sparse = "csr" if all(spec.takes_sparse for spec in specs) else False
        X, y = validate_data(self, X, y, accept_sparse=sparse, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        if specs[0].pairwise:
            check_square(X)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"A classifier needs samples of at least 2 classes, but y has 1 class: {str(y[0])!r}.")
        bases = {spec.base for spec in specs if spec.base is not None}
        # Besides the shared values, those of a fold and what the solver makes of them.
        shared = 8 * (len(bases) + 2) * X.shape[0] ** 2 <= self.cache_size * MEGABYTE
        return Samples(X, y, weight, SharedKernelMatrix(X) if bases and shared else None)

    def _checked_specs(self):
        """The registry's entries of all kernels."""
        unknown = [name for name in self._kernels() if not callable(name) and name not in KERNELS]
        if unknown or not self._kernels():
            raise ValueError(
                f"The 'kernel' parameter of BudgetSVCCV must be one or a non-empty list of {sorted(KERNELS)} "
                f"and callables, got {self.kernel!r}."
            )
        specs = [spec_of(name) for name in self._kernels()]
        if len({spec.pairwise for spec in specs}) > 1:
            raise ValueError(
                f"With kernel='precomputed' X holds kernel values, which no other kernel can use; got "
                f"kernel={self.kernel!r}. Search over precomputed kernels alone."
            )
        return specs

    def _candidates(self, samples):
        """One dict of parameters for each candidate, in the order of GridSearchCV."""
        values = {
            "C": check_Cs(self.Cs, self.unit).tolist(),
            "gamma": self._checked_gammas(samples),
            "degree": self._checked_degrees(),
        }
        grids = []
        for name in dict.fromkeys(self._kernels()):
            own = ["C", *(key for key in spec_of(name).parameters if key in values)]
            grids.append({"kernel": [name], **{key: values[key] for key in own}})
        return list(ParameterGrid(grids))

    def _checked_gammas(self, samples):
        if isinstance(self.gammas, Integral):
            scale = resolve_gamma("scale", samples.X, samples.weight)
            factors = np.geomspace(1 / _GAMMA_RANGE, _GAMMA_RANGE, self.gammas) if self.gammas > 1 else np.ones(1)
            return (scale * factors).tolist()
        gammas = [gamma if isinstance(gamma, str) else float(gamma) for gamma in self.gammas]
        known = [g in ("scale", "auto") if isinstance(g, str) else 0 < g < np.inf for g in gammas]
        if not gammas or not all(known):
            raise ValueError(
                f"gammas must be a number of values or a non-empty list of numbers > 0, 'scale' and 'auto', got "
                f"{self.gammas!r}."
            )
        return gammas

    def _checked_degrees(self):
        degrees = [degree for degree in self.degrees]
        if not degrees or not all(isinstance(d, Integral) and d >= 1 for d in degrees):
            raise ValueError(f"degrees must be a non-empty list of integers >= 1, got {self.degrees!r}.")
        return [int(degree) for degree in degrees]

    def _score(self, candidates, samples, folds, scoring):
        """(numbers of the candidates, number of the fold, WalkScores) for each kernel with its parameters and fold."""
        shared = self._model_params()
        groups = _walks_of(candidates, UNITS[self.unit])
        keys = [(indices, f) for indices in groups for f in range(len(folds))]
        named = [Fold(train, test, f"fold {f + 1}") for f, (train, test) in enumerate(folds)]
        jobs = [(shared, [candidates[k] for k in group], samples, named[f], scoring) for group, f in keys]
        parallel = Parallel(n_jobs=self.n_jobs)
        if self.verbose:
            loud = delayed(score_walk_aloud)
            scored = parallel(loud(i, len(jobs), *job) for i, job in enumerate(jobs, start=1))
        else:
            scored = parallel(delayed(score_walk)(*job) for job in jobs)
        return [(group, f, walk) for (group, f), walk in zip(keys, scored, strict=True)]

    def _model_params(self):
        """Parameters of BudgetSVC that all candidates share."""
        names = ("unit", "coef0", "multi_class", "infeasible", "class_weight", "tol", "max_iter", "cache_size")
        return {name: getattr(self, name) for name in names}

    def _tell(self, walks, n_fits):
        """At most one warning of a kind about the fits on folds."""
        bent = [walk for _, _, walk in walks if walk.indefinite]
        if bent:
            warn(
                f"In {sum(len(walk.statuses) for walk in bent)} of {n_fits} fits on folds the kernel is not positive "
                f"semi-definite on the training samples (its smallest eigenvalue is down to "
                f"{-max(walk.indefinite for walk in bent):.3g} of its largest): it is no inner product. Choose another "
                f"kernel, or other values of gamma and coef0.",
                IndefiniteKernelWarning,
            )
        # Budgets and gaps follow from convexity: where that fails, only a refusal is worth telling.
        statuses = [status for _, _, walk in walks if not walk.indefinite for status in walk.statuses]
        refused = [status for walk in bent for status in walk.statuses] if self.infeasible == "raise" else []
        short = sum(status in BEYOND_REACH for status in statuses + refused)
        if short:
            outcome = "fitted with the hardest margin within reach" if self.infeasible == "relax" else "scored nan"
            warn(
                f"In {short} of {n_fits} fits on folds the budget was infeasible: no hyperplane within reach has as "
                f"little total slack. They were {outcome}. Leave out the smallest of Cs, or choose a more flexible "
                f"kernel.",
                BudgetWarning,
            )
        trivial = statuses.count(Status.UNBOUNDED_MARGIN)
        if trivial:
            warn(
                f"In {trivial} of {n_fits} fits on folds the budget pays for misclassifying a whole class. Leave out "
                f"the largest of Cs, or choose unit='relative' with Cs in [0, 1).",
                BudgetWarning,
            )
        unfinished = statuses.count(Status.MAX_ITER)
        if unfinished:
            warn(
                f"In {unfinished} of {n_fits} fits on folds the solver stopped (max_iter={self.max_iter}) "
                f"without reaching tol={self.tol:g}. Scale the data, for example with "
                f"sklearn.preprocessing.StandardScaler, or leave out the hardest of Cs.",
                ConvergenceWarning,
            )

    def _choose(self, candidates, walks, n_splits):
        """Set cv_results_ and what was chosen."""
        scores, fit_times, score_times = (np.empty((len(candidates), n_splits)) for _ in range(3))
        for group, fold, walk in walks:
            scores[group, fold] = walk.scores
            fit_times[group, fold], score_times[group, fold] = walk.fit_time, walk.score_time
        self.cv_results_ = search_results(candidates, scores, fit_times, score_times)
        self.n_splits_ = n_splits
        self.best_index_ = self._best_index()
        self.best_params_ = candidates[self.best_index_]
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        self.C_, self.kernel_ = self.best_params_["C"], self.best_params_["kernel"]
        self.gamma_, self.degree_ = self.best_params_.get("gamma"), self.best_params_.get("degree")

    def _best_index(self):
        if callable(self.refit):
            index = int(self.refit(self.cv_results_))
            if not 0 <= index < len(self.cv_results_["params"]):
                raise IndexError(f"refit returned {index}, which is no index into cv_results_['params'].")
            return index
        if self.refit == "one_standard_error":
            return one_standard_error(self.cv_results_, self.n_splits_, UNITS[self.unit])
        return best_candidate(self.cv_results_)

    def _fit_best(self, X, y, sample_weight):
        start = perf_counter()
        self.best_estimator_ = BudgetSVC(**self._model_params(), **self.best_params_)
        self.best_estimator_.fit(X, y, sample_weight)
        self.refit_time_ = perf_counter() - start
        self.classes_ = self.best_estimator_.classes_
        for name in _OF_BEST:
            setattr(self, name, getattr(self.best_estimator_, name))


def _walks_of(candidates, unit):
    """Lists of the numbers of candidates that differ in C only, from the softest to the hardest."""
    walks = {}
    for number, candidate in enumerate(candidates):
        key = tuple((name, value) for name, value in sorted(candidate.items()) if name != "C")
        walks.setdefault(key, []).append(number)
    return [sorted(numbers, key=lambda k: unit.hardness(candidates[k]["C"])) for numbers in walks.values()]
