"""Cross-validated scores as `sklearn.model_selection.GridSearchCV` writes them, and the choice among them."""

import numpy as np
from scipy.stats import rankdata

from ._warn import warn


def search_results(candidates, scores, fit_times, score_times):
    """The dictionary `cv_results_` of candidates (dicts) from arrays (n_candidates, n_splits)."""
    results = {}
    for name, times in (("fit_time", fit_times), ("score_time", score_times)):
        results[f"mean_{name}"], results[f"std_{name}"] = times.mean(axis=1), times.std(axis=1)
    results.update(_parameter_columns(candidates))
    results["params"] = candidates
    for split, column in enumerate(scores.T):
        results[f"split{split}_test_score"] = column
    mean = np.average(scores, axis=1)
    if not np.isfinite(mean).all():
        warn(f"One or more of the test scores are non-finite: {mean}", UserWarning)
    results["mean_test_score"] = mean
    results["std_test_score"] = np.sqrt(np.average((scores - mean[:, None]) ** 2, axis=1))
    results["rank_test_score"] = _ranks(mean)
    return results


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


def best_candidate(results):
    """Index of the best mean score, the first of several."""
    return int(results["rank_test_score"].argmin())


def one_standard_error(results, n_splits, unit):
    """Index of the simplest candidate whose score is within one standard error of the best.

    Simplest is the softest margin, then the least degree, the smallest gamma, the better score.
    """
    best = best_candidate(results)
    mean, std = results["mean_test_score"], results["std_test_score"]
    error = std[best] / np.sqrt(n_splits - 1) if n_splits > 1 else 0.0
    eligible = [k for k in range(len(mean)) if mean[k] >= mean[best] - error] or [best]
    return min(eligible, key=lambda k: (*_complexity(results["params"][k], unit), -mean[k], k))


def _complexity(params, unit):
    gamma = params.get("gamma", 0.0)
    return unit.hardness(params["C"]), params.get("degree", 1), 0.0 if isinstance(gamma, str) else gamma
