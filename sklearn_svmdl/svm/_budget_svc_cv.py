"""Cross-validated choice of budget, kernel and kernel parameters."""

from copy import copy
from numbers import Integral, Real
from time import perf_counter

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import get_scorer_names
from sklearn.model_selection import LeaveOneOut, ParameterGrid, check_cv
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, validate_data

from .._callbacks import EstimatorMixin, fit_task, steps_of
from .._sklearn_private import (
    Interval,
    StrOptions,
    _check_sample_weight,
    _fit_context,
    _raise_for_params,
    _routing_enabled,
)
from ..kernels import KERNELS, MEGABYTE, SharedKernelMatrix, resolve_gamma, spec_of
from ._budget_svc import BudgetSVC
from ._fitted import publish
from ._folds import Fold, Samples, hardest_fraction, score_walk, shape_of_decisions
from ._leave_one_out import score_left_out
from ._multiclass import SCHEMES
from ._probabilities import log_probabilities, probabilities, temperature_of
from ._progress import gathered
from ._scoring import SINGLE, Scoring, scorer_of
from ._search_messages import tell
from ._search_results import best_candidate, one_standard_error, scorer_names, search_results
from ._training import check_square, weigh, whole_of
from ._units import UNITS, Cost, Fraction, check_Cs

# A number of gammas spans a factor of ten on either side of "scale".
_GAMMA_RANGE = 10.0
# Attributes of the refitted BudgetSVC that are attributes here too.
_OF_BEST = (
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


def _is_refitted(self):
    if self.refit is not False:
        return True
    raise AttributeError(
        "This BudgetSVCCV was made with refit=False, so there is no model to predict with. Fit a BudgetSVC "
        "with best_params_, or use refit=True."
    )


class BudgetSVCCV(EstimatorMixin, ClassifierMixin, BaseEstimator):
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
        "Cs": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "unit": [StrOptions(set(UNITS))],
        "kernel": [StrOptions(set(KERNELS)), callable, list, tuple],
        "gammas": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "degrees": ["array-like"],
        "coef0": [Interval(Real, None, None, closed="neither")],
        "cv": ["cv_object", StrOptions({"loo"})],
        "scoring": [StrOptions(set(get_scorer_names())), callable, list, tuple, set, dict, None],
        "refit": ["boolean", str, callable],
        "error_score": [StrOptions({"raise"}), Real],
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
        unit="cost",
        kernel="rbf",
        gammas=5,
        degrees=(2, 3),
        coef0=1.0,
        cv=None,
        scoring=None,
        refit=True,
        error_score=np.nan,
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
        self.error_score = error_score
        self.multi_class = multi_class
        self.infeasible = infeasible
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.cache_size = cache_size
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    @fit_task(lambda self: None)
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
        samples, fitted = self._checked_samples(X, y, sample_weight)
        classes, scorer = fitted["classes_"], self._get_scorer()
        splitter = self._splitter(samples.y)
        parts = splitter.split(samples.X, samples.y, **routed.splitter.split)
        folds = [Fold(_numbers(train), _numbers(test), f) for f, (train, test) in enumerate(parts)]
        scoring = Scoring(scorer, routed.scorer.score, self.error_score, len(samples.y))
        candidates = self._candidates(samples, folds)
        steps = steps_of(self, X, y, sample_weight, "kernel and fold")
        candidates, walks = self._score(candidates, samples, folds, scoring, classes, steps)
        tell([pair for _, outcomes in walks for pair in zip(folds, outcomes, strict=True)], self)
        results, names = self._results(candidates, walks)
        fitted.update(cv_results_=results, n_splits_=len(folds), multimetric_=names != [SINGLE])
        fitted["scorer_"] = getattr(scorer, "_scorers", scorer)
        name = self._name_of_best(names)
        if callable(self.refit) or name is not None:
            index = self._best_index(results, name, len(folds))
            fitted.update(self._chosen(index, results, name, candidates[index]))
            fitted["out_of_fold_decisions_"] = _out_of_fold(walks, folds, index, samples, classes)
        if self.refit is not False:
            fitted.update(self._refitted(X, y, sample_weight, samples, candidates[index]))
            codes = np.searchsorted(classes, samples.y)
            fitted["temperature_"] = temperature_of(fitted["out_of_fold_decisions_"], codes, samples.weight)
        publish(self, fitted)
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
    def predict_proba(self, X):
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

    @available_if(_is_refitted)
    def predict_log_proba(self, X):
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
            The score of predict(X), accuracy by default; of several scorers the one that refit names, all of them as a
            dict where it is callable.
        """
        check_is_fitted(self, "best_estimator_")
        _raise_for_params(score_params, self, "score")
        given = {} if sample_weight is None else {"sample_weight": sample_weight}
        if _routing_enabled():
            given = process_routing(self, "score", **given, **score_params).scorer.score
        found = self._get_scorer()(self.best_estimator_, X, y, **given)
        return found[self.refit] if isinstance(found, dict) and not callable(self.refit) else found

    @property
    def dual_coef_(self):
        """Signed duals (n_problems, n_SV) of the refitted model."""
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.dual_coef_

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
            splitter=self._splitter(), method_mapping=to_splitter
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
        return scorer_of(self, BudgetSVC())

    def _splitter(self, y=None):
        return check_cv(LeaveOneOut() if isinstance(self.cv, str) else self.cv, y, classifier=True)

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
        """Checked input and its shared kernel values, and what the input says of itself."""
        specs, shadow = self._checked_specs(), copy(self)
        sparse = "csr" if all(spec.takes_sparse for spec in specs) else False
        X, y = validate_data(shadow, X, y, accept_sparse=sparse, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        if specs[0].pairwise:
            check_square(X)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(f"A classifier needs samples of at least 2 classes, but y has 1 class: {str(y[0])!r}.")
        bases = {spec.base for spec in specs if spec.base is not None}
        # Besides the shared values, those of a fold and what the solver makes of them.
        shared = 8 * (len(bases) + 2) * X.shape[0] ** 2 <= self.cache_size * MEGABYTE
        seen = {name: vars(shadow)[name] for name in ("n_features_in_", "feature_names_in_") if name in vars(shadow)}
        return Samples(X, y, weight, SharedKernelMatrix(X) if bases and shared else None), {**seen, "classes_": classes}

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

    def _candidates(self, samples, folds):
        """One dict of parameters for each candidate, in the order of GridSearchCV over the same grids."""
        values = {"gamma": self._checked_gammas(samples), "degree": self._checked_degrees()}
        grids = []
        for name in dict.fromkeys(self._kernels()):
            own = [key for key in spec_of(name).parameters if key in values]
            grids.append({"kernel": [name], "unit": [self.unit], **{key: values[key] for key in own}})
        if self.unit != Fraction.name or not isinstance(self.Cs, Integral):
            Cs = check_Cs(self.Cs, self.unit).tolist()
            return list(ParameterGrid([{**grid, "C": Cs} for grid in grids]))
        return self._feasible_candidates(list(ParameterGrid(grids)), samples, folds)

    def _feasible_candidates(self, kernels, samples, folds):
        """Candidates whose fractions are spread over what is feasible for their kernel in every fold and at the end."""
        parts = [np.arange(len(samples.y))]
        if not self._leaves_one_out():
            parts += [fold.train for fold in folds if len(np.unique(samples.y[fold.train])) > 1]
        jobs = [(kernel, part) for kernel in kernels for part in parts]
        hardest = delayed(hardest_fraction)
        params = self._model_params()
        found = Parallel(n_jobs=self.n_jobs)(hardest(params, kernel, samples, part) for kernel, part in jobs)
        least = np.reshape(found, (len(kernels), len(parts))).max(axis=1)
        return [
            {**kernel, "C": float(C)}
            for kernel, start in zip(kernels, least, strict=True)
            for C in Fraction.spread(self.Cs, start)
        ]

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

    def _score(self, candidates, samples, folds, scoring, classes, steps):
        """The candidates that were scored, all unless a callback stops it; and walks over the Cs of a kernel.

        Of each walk the numbers of its candidates, and `Outcomes` for every fold.
        """
        params, everyone = self._model_params(), np.arange(len(samples.y))
        walks = _walks_of(candidates, UNITS[self.unit])
        # All folds that leave one out come of one walk.
        at_once = [Fold(everyone, everyone, 0)]
        score, parts = (score_left_out, at_once) if self._leaves_one_out() else (score_walk, folds)
        of_walks = [[candidates[k] for k in walk] for walk in walks]
        jobs = [(params, each, samples, part, scoring, classes) for each in of_walks for part in parts]
        running = Parallel(n_jobs=self.n_jobs, return_as="generator")(delayed(score)(*job) for job in jobs)
        found = gathered(running, len(jobs), at_least=len(parts), verbose=self.verbose, steps=steps)
        done = walks[: len(found) // len(parts)]
        scored = sorted(number for walk in done for number in walk)
        outcomes = [outcome for of_job in found for outcome in of_job]
        return [candidates[number] for number in scored], [
            ([scored.index(number) for number in walk], outcomes[k * len(folds) : (k + 1) * len(folds)])
            for k, walk in enumerate(done)
        ]

    def _leaves_one_out(self):
        return isinstance(self.cv, (str, LeaveOneOut))

    def _model_params(self):
        """Parameters of BudgetSVC that all candidates share."""
        names = ("coef0", "multi_class", "infeasible", "class_weight", "tol", "max_iter", "cache_size")
        return {name: getattr(self, name) for name in names}

    def _results(self, candidates, walks):
        """`cv_results_`, and the names of the scorers."""
        folds = [None] * len(candidates)
        for numbers, outcomes in walks:
            of_each = zip(*(outcome.results() for outcome in outcomes), strict=True)
            for number, row in zip(numbers, of_each, strict=True):
                folds[number] = row
        return search_results(candidates, folds, self.error_score), scorer_names(folds)

    def _name_of_best(self, names):
        """The name of the score that chooses; None where a callable does, or nothing."""
        if callable(self.refit):
            return None
        if names == [SINGLE]:
            self._check_refit_of_one()
            return SINGLE
        if self.refit is not False and self.refit not in names:
            raise ValueError(
                f"With several scorers refit must be the name of the one that chooses, one of {names}, or a callable, "
                f"or False; got refit={self.refit!r}."
            )
        return self.refit or None

    def _check_refit_of_one(self):
        if isinstance(self.refit, str) and self.refit != "one_standard_error":
            raise ValueError(
                f"With one scorer refit must be True, False, 'one_standard_error' or a callable; got "
                f"refit={self.refit!r}. The name of a scorer chooses among several, given as scoring=[...]."
            )

    def _best_index(self, results, name, n_splits):
        if callable(self.refit):
            index = int(self.refit(results))
            if not 0 <= index < len(results["params"]):
                raise IndexError(f"refit returned {index}, which is no index into cv_results_['params'].")
            return index
        if self.refit == "one_standard_error":
            return one_standard_error(results, name, n_splits)
        return best_candidate(results, name)

    def _chosen(self, index, results, name, params):
        """The attributes that tell what was chosen."""
        told = {
            "best_index_": index,
            "best_params_": params,
            "C_": params["C"],
            "kernel_": params["kernel"],
            "gamma_": params.get("gamma"),
            "degree_": params.get("degree"),
        }
        name = SINGLE if name is None and f"mean_test_{SINGLE}" in results else name
        return told if name is None else {**told, "best_score_": float(results[f"mean_test_{name}"][index])}

    def _refitted(self, X, y, sample_weight, samples, params):
        """The attributes of the model fitted on all samples."""
        start = perf_counter()
        model = BudgetSVC(**self._model_params(), **params).fit(X, y, sample_weight)
        of_model = {name: getattr(model, name) for name in _OF_BEST}
        return {
            "best_estimator_": model,
            "refit_time_": perf_counter() - start,
            "C_": self._in_force(model, samples),
            **of_model,
        }

    def _in_force(self, model, samples):
        """The C that holds in every binary problem of a model: the one asked for, unless it was infeasible in some."""
        if self.unit == Cost.name:
            return model.C
        data = weigh(np.empty((len(samples.y), 0)), samples.y, samples.weight, self.class_weight, pairwise=False)
        tasks = SCHEMES[self.multi_class].tasks(data.codes, data.classes)
        budgets = zip(model.budget_, tasks, strict=True)
        kept = max(UNITS[self.unit].of_budget(float(budget), whole_of(task, data)) for budget, task in budgets)
        return model.C if kept <= model.C * (1.0 + 1e-9) else kept


def _out_of_fold(walks, folds, index, samples, classes):
    """The candidate's decisions on samples that it was not fitted to: means where a sample is in several test parts."""
    total = np.zeros(shape_of_decisions(len(samples.y), classes))
    count = np.zeros(len(samples.y))
    numbers, outcomes = next(walk for walk in walks if index in walk[0])
    for fold, outcome in zip(folds, outcomes, strict=True):
        np.add.at(total, fold.test, outcome.decisions[numbers.index(index)])
        np.add.at(count, fold.test, 1)
    count = count.reshape(-1, *[1] * (total.ndim - 1))
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _numbers(part):
    """Sample numbers, of a part that may be a mask."""
    part = np.asarray(part)
    return np.flatnonzero(part) if part.dtype == bool else part


def _walks_of(candidates, unit):
    """Lists of the numbers of candidates that differ in C only, from the softest to the hardest."""
    walks = {}
    for number, candidate in enumerate(candidates):
        key = tuple((name, value) for name, value in sorted(candidate.items()) if name != "C")
        walks.setdefault(key, []).append(number)
    return [sorted(numbers, key=lambda k: unit.hardness(candidates[k]["C"])) for numbers in walks.values()]
