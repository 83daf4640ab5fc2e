"""Cross-validated choice of C, kernel and kernel parameters: what the searches of both estimators have in common."""

from copy import copy
from functools import partial
from numbers import Integral, Real
from time import perf_counter
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import get_scorer_names
from sklearn.model_selection import LeaveOneOut, ParameterGrid, check_cv
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, validate_data

from .._callbacks import EstimatorMixin, fit_task, steps_of
from .._memory import advising_on_memory
from .._sklearn_private import (
    Interval,
    StrOptions,
    _check_sample_weight,
    _raise_for_params,
    _routing_enabled,
)
from .._typing import Array, Floats, MatrixLike, available_if, fit_context
from ..kernels import KERNELS, MEGABYTE, SharedKernelMatrix, spec_of
from ._base import advice_of
from ._candidates import checked_degrees, checked_gammas, checked_specs, grids, listed, walks_of, with_Cs
from ._fitted import publish
from ._folds import Fold, Samples, hardest_fraction, score_walk, shape_of_decisions
from ._folds_together import are_solved_together, score_together
from ._leave_one_out import score_left_out
from ._progress import gathered, stoppable
from ._scoring import SINGLE, Scoring, StoredByName, published, scorer_of
from ._search_messages import tell
from ._search_results import best_candidate, one_standard_error, scorer_names, search_results
from ._training import check_square, summed, whole_of
from ._units import UNITS, Cost, Fraction, check_Cs


def is_refitted(self):
    """Whether the search has a model to predict with; raises AttributeError that says what to do without."""
    if self.refit is not False:
        return True
    name = self._model.__name__
    raise AttributeError(
        f"This {type(self).__name__} was made with refit=False, so there is no model to predict with. Fit a {name} "
        f"with best_params_, or use refit=True."
    )


class BudgetSearch(StoredByName, EstimatorMixin):
    """Mixin of `BudgetSVCCV` and `BudgetSVRCV`, left of scikit-learn's for classifiers and regressors.

    A subclass names its estimator (`_model`), that on folds (`_fold_model`), the parameters that all candidates share
    (`_shared`), the attributes of the refitted model that are its own as well (`_of_best`), what a budget of C_max pays
    for (`_constant_pays`) and what the decisions on left out samples are called (`_out_of_fold`). It says what y may be
    (`_checked_y`), which values all kernels are crossed with (`_common`), and in what multiples slack is measured
    (`_unit_of_slack`).
    """

    _shared_constraints = {
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
        "infeasible": [StrOptions({"relax", "raise"})],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "cache_size": [Interval(Real, 0, None, closed="neither")],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    @fit_context(prefer_skip_nested_validation=True)
    @fit_task(lambda self: None)
    @advising_on_memory
    def fit(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None, **params: Any) -> Self:
        """Score all candidates by cross-validation, and fit the chosen one on all samples.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training samples, or their kernel values (n_samples, n_samples) if kernel="precomputed".
        y : array-like of shape (n_samples,)
            Class labels, or target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights s_i >= 0 of the slacks, 1 if None. They also weigh the scores: always without metadata
            routing, and with it where the scorer requests them.
        **params : dict
            `groups` for the splitter, and with metadata routing whatever splitter and scorer request.

        Returns
        -------
        self : object
            The fitted search.

        Raises
        ------
        MemoryError
            Memory runs out, whatever error_score is; says what was needed, and what to try.
        ValueError
            Bad input or parameters, or all fits failed.
        """
        routed = self._routed(sample_weight, params)
        samples, fitted = self._checked_samples(X, y, sample_weight)
        scorer, splitter = self._get_scorer(), self._splitter(samples)
        parts = splitter.split(samples.X, samples.y, **routed.splitter.split)
        folds = [Fold(_numbers(train), _numbers(test), f) for f, (train, test) in enumerate(parts)]
        scoring = Scoring(scorer, routed.scorer.score, self.error_score, len(samples.y))
        candidates = self._candidates(samples, folds)
        steps = steps_of(self, X, y, sample_weight, "kernel and fold")
        candidates, walks = self._score(candidates, samples, folds, scoring, steps)
        tell([pair for _, outcomes in walks for pair in zip(folds, outcomes, strict=True)], self)
        results, names = self._results(candidates, walks)
        fitted.update(cv_results_=results, n_splits_=len(folds), multimetric_=names != [SINGLE])
        fitted["scorer_"] = published(scorer)
        name = self._name_of_best(names)
        if callable(self.refit) or name is not None:
            index = self._best_index(results, name, len(folds))
            fitted.update(self._chosen(index, results, name, candidates[index]))
            fitted[self._out_of_fold] = _out_of_fold(walks, folds, index, samples)
        if self.refit is not False:
            with stoppable(steps_of(self, X, y, sample_weight, "a second of the refit")):
                fitted.update(self._refitted(X, y, sample_weight, samples, candidates[index]))
            fitted.update(self._calibrated(fitted[self._out_of_fold], samples))
        publish(self, fitted)
        return self

    @available_if(is_refitted)
    def predict(self, X: MatrixLike) -> Array:
        """Predict the class or the target value of each sample with the refitted model.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples, or their kernel values with the training samples if kernel="precomputed".

        Returns
        -------
        predicted : ndarray of shape (n_samples,)
            Class labels, or numbers.
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.predict(X)

    @available_if(is_refitted)
    def score(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None, **score_params: Any) -> Any:
        """The score of the refitted model by `scoring`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Their labels, or target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.
        **score_params : dict
            What the scorer requests by metadata routing.

        Returns
        -------
        score : float
            The score of predict(X), accuracy or R2 by default; of several scorers the one that refit names, all of them
            as a dict where it is callable.
        """
        check_is_fitted(self, "best_estimator_")
        _raise_for_params(score_params, self, "score")
        given = {} if sample_weight is None else {"sample_weight": sample_weight}
        if _routing_enabled():
            given = process_routing(self, "score", **given, **score_params).scorer.score
        found = self._get_scorer()(self.best_estimator_, X, y, **given)
        return found[self.refit] if isinstance(found, dict) and not callable(self.refit) else found

    @property
    def dual_coef_(self) -> Floats:
        """Signed duals (n_problems, n_SV) of the refitted model."""
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.dual_coef_

    @property
    def coef_(self) -> Floats:
        """The normals w (n_problems, n_features) of the refitted model, linear kernel only."""
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.coef_

    def get_metadata_routing(self) -> MetadataRouter:
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
        specs = [spec_of(name) for name in listed(self.kernel) if callable(name) or name in KERNELS]
        tags.input_tags.sparse = all(spec.takes_sparse for spec in specs)
        tags.input_tags.pairwise = any(spec.pairwise for spec in specs)
        tags.input_tags.positive_only = not all(spec.takes_negative for spec in specs)
        return tags

    def _memory_advice(self):
        return advice_of(type(self).__name__, f"each of n_jobs={self.n_jobs} keeps", self.cache_size)

    def _get_scorer(self):
        return scorer_of(self, self._model())

    def _splitter(self, samples=None):
        y, classes = (None, None) if samples is None else (samples.y, samples.classes)
        return check_cv(LeaveOneOut() if isinstance(self.cv, str) else self.cv, y, classifier=classes is not None)

    def _common(self):
        """Lists of parameters that all kernels are crossed with, by name."""
        return {}

    def _unit_of_slack(self, samples):
        """What slack is measured in multiples of, where a number of costs is asked for."""
        return 1.0

    def _calibrated(self, out_of_fold, samples):
        """Attributes that the decisions on left out samples tell."""
        return {}

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
        specs, shadow = checked_specs(self.kernel, type(self).__name__), copy(self)
        sparse = "csr" if all(spec.takes_sparse for spec in specs) else False
        X, y = validate_data(
            shadow, X, y, accept_sparse=sparse, dtype=[np.float64, np.float32], y_numeric=self._y_is_numeric
        )
        y, classes = self._checked_y(y)
        if specs[0].pairwise:
            check_square(X)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        bases = {spec.base for spec in specs if spec.base is not None}
        # Besides the shared values, those of a fold and what the solver makes of them.
        shared = 8 * (len(bases) + 2) * X.shape[0] ** 2 <= self.cache_size * MEGABYTE
        seen = {name: vars(shadow)[name] for name in ("n_features_in_", "feature_names_in_") if name in vars(shadow)}
        seen = seen if classes is None else {**seen, "classes_": classes}
        X = summed(X)
        return Samples(X, y, weight, SharedKernelMatrix(X) if bases and shared else None, classes), seen

    def _candidates(self, samples, folds):
        """One dict of parameters for each candidate, in the order of GridSearchCV over the same grids."""
        gammas = checked_gammas(self.gammas, samples.X, samples.weight)
        values = {"gamma": gammas, "degree": checked_degrees(self.degrees)}
        each = grids(listed(self.kernel), values, {"unit": [self.unit], **self._common()})
        if self.unit != Fraction.name or not isinstance(self.Cs, Integral):
            return with_Cs(each, check_Cs(self.Cs, self.unit, self._unit_of_slack(samples)).tolist())
        return self._feasible_candidates(list(ParameterGrid(each)), samples, folds)

    def _feasible_candidates(self, kernels, samples, folds):
        """Candidates whose fractions are spread over what is feasible for their kernel in every fold and at the end."""
        parts = [np.arange(len(samples.y))]
        if not self._leaves_one_out():
            parts += [fold.train for fold in folds if self._can_be_fitted(samples.y[fold.train])]
        jobs = [(kernel, part) for kernel in kernels for part in parts]
        hardest = delayed(hardest_fraction)
        make = self._make()
        found = Parallel(n_jobs=self.n_jobs)(hardest(make, kernel, samples, part) for kernel, part in jobs)
        least = np.reshape(found, (len(kernels), len(parts))).max(axis=1)
        return [
            {**kernel, "C": float(C)}
            for kernel, start in zip(kernels, least, strict=True)
            for C in Fraction.spread(self.Cs, least=start)
        ]

    def _score(self, candidates, samples, folds, scoring, steps):
        """The candidates that were scored, all unless a callback stops it; and walks over the Cs of a kernel.

        Of each walk the numbers of its candidates, and `Outcomes` for every fold.
        """
        make, everyone = self._make(), np.arange(len(samples.y))
        walks = walks_of(candidates, UNITS[self.unit])
        if self._leaves_one_out():
            # All folds that leave one out come of one walk.
            score, parts = score_left_out, [Fold(everyone, everyone, 0)]
        elif are_solved_together(self, samples):
            score, parts = score_together, [folds]
        else:
            score, parts = score_walk, folds
        of_walks = [[candidates[k] for k in walk] for walk in walks]
        jobs = [(make, each, samples, part, scoring) for each in of_walks for part in parts]
        name, options = type(self).__name__, {"n_jobs": self.n_jobs, "verbose": self.verbose}
        found = gathered(name, score, jobs, at_least=len(parts), steps=steps, **options)
        done = walks[: len(found) // len(parts)]
        scored = sorted(number for walk in done for number in walk)
        outcomes = [outcome for of_job in found for outcome in of_job]
        return [candidates[number] for number in scored], [
            ([scored.index(number) for number in walk], outcomes[k * len(folds) : (k + 1) * len(folds)])
            for k, walk in enumerate(done)
        ]

    def _leaves_one_out(self):
        return isinstance(self.cv, (str, LeaveOneOut))

    def _can_be_fitted(self, y):
        """Whether samples with these labels or numbers have a model."""
        return True

    def _make(self):
        """What makes the model of a candidate on a fold."""
        return partial(self._fold_model, **self._model_params())

    def _model_params(self):
        """Parameters of the estimator that all candidates share."""
        return {name: getattr(self, name) for name in self._shared}

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
        model = self._model(**self._model_params(), **params).fit(X, y, sample_weight)
        of_model = {name: getattr(model, name) for name in self._of_best}
        return {
            "best_estimator_": model,
            "refit_time_": perf_counter() - start,
            "C_": self._in_force(model, samples),
            **of_model,
        }

    def _in_force(self, model, samples):
        """The C that holds in every problem of a model: the one asked for, unless it was infeasible in some."""
        if self.unit == Cost.name:
            return model.C
        data, tasks = model._tasks_of(samples.X, samples.y, samples.weight)
        budgets, unit = zip(np.atleast_1d(model.budget_), tasks, strict=True), UNITS[self.unit]
        kept = max(unit.of_budget(float(budget), whole_of(task, data)) for budget, task in budgets)
        return model.C if kept <= model.C * (1.0 + 1e-9) else kept


def _out_of_fold(walks, folds, index, samples):
    """The candidate's decisions on samples that it was not fitted to: means where a sample is in several test parts."""
    total = np.zeros(shape_of_decisions(len(samples.y), samples.classes))
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
