"""Cross-validated scores as `sklearn.model_selection.GridSearchCV` writes them, and the choice among them."""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from ._scoring import SINGLE
from ._warn import warn

# Means of the same scores in another order differ by rounding.
_EQUAL = 1e-12


class Result(NamedTuple):
    """What came of a candidate on a fold; the fields are those of `_folds.Outcomes`, for one C."""

    scores: dict
    cost: float
    relative: float
    margin: float
    feasible: bool
    fit_time: float
    score_time: float


def search_results(candidates, folds, error_score):
    """The dictionary `cv_results_`.

    Parameters
    ----------
    candidates : list of dict, the parameters
    folds : list of lists, for each candidate and fold its `Result`
    error_score : number, the score of what failed
    """
    results = {}
    for name in ("fit_time", "score_time"):
        times = _table(folds, name)
        results[f"mean_{name}"], results[f"std_{name}"] = times.mean(axis=1), times.std(axis=1)
    results.update(_parameter_columns(candidates))
    results["params"] = candidates
    for name in scorer_names(folds):
        results.update(_score_columns(name, folds, error_score))
    results["mean_cost"] = _mean_of_known(_table(folds, "cost"))
    results["mean_relative_budget"] = _mean_of_known(_table(folds, "relative"))
    results["mean_relative_margin"] = _mean_of_known(_table(folds, "margin"))
    results["feasible"] = _table(folds, "feasible").all(axis=1)
    return results


def scorer_names(folds):
    """The names of the scorers; the one of a single scorer where none came to return a score."""
    return list(dict.fromkeys(name for row in folds for result in row for name in result.scores)) or [SINGLE]


def _table(folds, name):
    """A field of the results, (n_candidates, n_folds)."""
    return np.array([[getattr(result, name) for result in row] for row in folds])


def _mean_of_known(table):
    """Means over the folds that are known: nan stands for a fit that failed."""
    known = ~np.isnan(table)
    count = known.sum(axis=1)
    total = np.where(known, table, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(table), np.nan), where=count > 0)


def _score_columns(name, folds, error_score):
    """Scores of each split, their mean, standard deviation and rank."""
    scores = np.array([[result.scores.get(name, error_score) for result in row] for row in folds])
    columns = {f"split{split}_test_{name}": column for split, column in enumerate(scores.T)}
    mean = np.average(scores, axis=1)
    if not np.isfinite(mean).all():
        warn(f"One or more of the test scores are non-finite: {mean}", UserWarning)
    columns[f"mean_test_{name}"] = mean
    columns[f"std_test_{name}"] = np.sqrt(np.average((scores - mean[:, None]) ** 2, axis=1))
    columns[f"rank_test_{name}"] = _ranks(mean)
    return columns


def _ranks(mean):
    """1 for the best; candidates without a score share the last rank."""
    if np.isnan(mean).all():
        return np.ones(len(mean), dtype=np.int32)
    known = np.nan_to_num(mean, nan=np.nanmin(mean) - 1.0)
    return rankdata(-known, method="min").astype(np.int32)


def _parameter_columns(candidates):
    """One masked array for each parameter, masked where a candidate does not have it."""
    names = dict.fromkeys(name for candidate in candidates for name in candidate)
    columns = {}
    for name in names:
        known = [candidate[name] for candidate in candidates if name in candidate]
        dtype = np.array(known).dtype
        numeric = dtype.kind in "iuf" and not any(isinstance(value, str) for value in known)
        column = np.ma.MaskedArray(np.empty(len(candidates), dtype=dtype if numeric else object), mask=True)
        for index, candidate in enumerate(candidates):
            if name in candidate:
                column[index] = candidate[name]
        columns[f"param_{name}"] = column
    return columns


def best_candidate(results, name):
    """Index of the best mean score, of several equal ones that of the largest margin."""
    return _widest(results, name, 0.0)


def one_standard_error(results, name, n_splits):
    """Index of the widest margin whose mean score is within one standard error of the best."""
    best = best_candidate(results, name)
    error = results[f"std_test_{name}"][best] / np.sqrt(n_splits - 1) if n_splits > 1 else 0.0
    return _widest(results, name, np.nan_to_num(error))


def _widest(results, name, reach):
    """Index of the largest margin, in units of the spread, of the scores within reach of the best.

    Of equal margins the better score, then the first.
    """
    mean, margin = results[f"mean_test_{name}"], results["mean_relative_margin"]
    if np.isnan(mean).all():
        return 0
    best = np.nanmax(mean)
    eligible = np.flatnonzero(mean >= best - reach - _EQUAL * abs(best))
    return int(min(eligible, key=lambda k: (-np.nan_to_num(margin[k], nan=0.0), -mean[k], k)))
