"""The scorers of a search: which there are, what metadata they get, and what becomes of one that fails."""

from dataclasses import dataclass
from numbers import Number

import numpy as np
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.metrics import check_scoring

from .._memory import memory_errors
from .._sklearn_private import _check_method_params
from ._messages import InfeasibleBudgetError, ProbabilitiesNeededError

# What concerns the scorer itself, or the machine, and not a model or a fold.
ENDS_THE_SEARCH = UnsetMetadataPassedError, ProbabilitiesNeededError, MemoryError
# The name of the only score.
SINGLE = "score"


class OwnScore:
    """The scorer behind scoring=None: the models' own score, with the metadata that the search requests for its score.

    scikit-learn's counterpart would ask the search what to route, which asks its scorer.
    """

    def __init__(self, search):
        self._request = search._get_metadata_request()
        self._name = type(search).__name__

    def __call__(self, estimator, X, y, **metadata):
        return estimator.score(X, y, **metadata)

    def __repr__(self):
        return f"{self._name}.score"

    def get_metadata_routing(self):
        """What metadata `score` requests."""
        return self._request


def scorer_of(search, model):
    """The scorer of a search: one that returns a number, or a dict of them where there are several."""
    if search.scoring is None:
        return OwnScore(search)
    return check_scoring(model, scoring=search.scoring, raise_exc=search.error_score == "raise")


class StoredByName:
    """A search that is stored without the scorers which `scoring` names: they are made anew.

    So a stored search holds no parts of scikit-learn's that are not its own.
    """

    def __getstate__(self):
        state = dict(super().__getstate__())
        if _is_named(self.scoring):
            state.pop("scorer_", None)
        return state

    def __setstate__(self, state):
        super().__setstate__(state)
        if "cv_results_" in state and "scorer_" not in state:
            self.scorer_ = published(self._get_scorer())


def published(scorer):
    """A scorer as a search shows it: a function, or a dict of them where there are several."""
    return getattr(scorer, "_scorers", scorer)


def _is_named(scoring):
    """Whether scorers are given by nothing but names."""
    several = scoring.values() if isinstance(scoring, dict) else scoring
    return isinstance(scoring, (str, type(None))) or not callable(scoring) and all(isinstance(s, str) for s in several)


@dataclass(frozen=True)
class Scoring:
    """A scorer, the metadata (by name, one value for each of all samples) that it gets, and the score of a failure."""

    scorer: object
    metadata: dict
    error_score: object
    n_samples: int

    def __call__(self, model, X, y, test):
        """The scores by name on the test samples, and what went wrong."""
        routed = _check_method_params(np.empty((self.n_samples, 0)), self.metadata, indices=test)
        try:
            with memory_errors():
                found = self.scorer(model, X, y, **routed)
        except ENDS_THE_SEARCH:
            raise
        except Exception as error:
            if self.error_score == "raise":
                raise
            names = getattr(self.scorer, "_scorers", [SINGLE])
            return dict.fromkeys(names, self.error_score), [f"{type(error).__name__}: {error}"]
        found = found if isinstance(found, dict) else {SINGLE: found}
        scores, failures = {}, []
        for name, value in found.items():
            if isinstance(value, str):
                # A scorer of several that failed leaves its traceback.
                failures.append(f"{name}: {value.strip().splitlines()[-1]}")
                value = self.error_score
            elif not isinstance(value, Number):
                raise ValueError(f"scoring must return a number, got {value} ({type(value)}) for {name!r}.")
            scores[name] = float(value)
        return scores, failures

    def refused(self, reason):
        """The scores of a budget that infeasible="raise" refuses."""
        if self.error_score == "raise":
            raise InfeasibleBudgetError(reason)
        return {}
