"""Equal samples of a class are solved as one of their added weights: weights are what repetition is.

Whole-numbered features make them by the hundred, and without this as many free samples, whose kernel matrix has next to
no rank.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from ..kernels.blas import matmul
from .problem import DualProblem, certify

# Fewer samples are solved as they are, and so are problems of which more than this share are distinct.
_FEWEST, _MOST_DISTINCT = 100, 0.7
# Of so many samples a root of their number, times this, is looked at first: were as many alike as matters, if only in
# twos, some thirty pairs among those would be.
_MANY, _OF_ROOT = 5000, 10


@dataclass(frozen=True)
class Distinct:
    """A problem on its distinct samples.

    problem : DualProblem of m samples
    group : ndarray (n,), the number among them that each sample is
    share : ndarray (n,), its share of their added weight
    """

    problem: DualProblem
    group: np.ndarray
    share: np.ndarray

    @classmethod
    def of(cls, problem):
        """The distinct samples of a problem; None where most are, or where it cannot be told."""
        first, group = _groups(problem)
        if first is None:
            return None
        bound = np.bincount(group, problem.bound)
        few = replace(problem, source=problem.source.take(first), linear=problem.linear[first], bound=bound)
        return cls(few, group, problem.bound / bound[group])

    def spread(self, problem, solution, tol):
        """The solution of all samples of a problem, certified anew: equal ones share a dual as they do its bound."""
        if problem.budget is not None and solution.lam >= problem.largest_cost:
            problem = problem.with_cost(problem.largest_cost)
        beta, lam = solution.beta[self.group], solution.lam
        # Rounding must not leave a share short of its bound.
        at_bound = beta == lam * self.problem.bound[self.group]
        beta = np.where(at_bound, lam * problem.bound, self.share * beta)
        return certify(problem, beta, lam, solution.work, tol)


def _groups(problem):
    """The first sample of each group of equal ones, by number, and the group of each; None, None where most differ."""
    source = problem.source
    if source.rows is None or source.index is not None or problem.n_samples < _FEWEST or sparse.issparse(source.rows.X):
        return None, None
    X, linear = source.rows.X, problem.linear
    if len(X) >= _MANY and _differ(_keys(X[_some_of(len(X))])):
        return None, None
    key = _keys(X)
    order = np.lexsort((key, linear))
    key, linear = key[order], linear[order]
    (alike,) = ((key[1:] == key[:-1]) & (linear[1:] == linear[:-1])).nonzero()
    if len(alike) < (1.0 - _MOST_DISTINCT) * len(order):
        return None, None
    begins = np.ones(len(order), dtype=bool)
    begins[alike + 1] = (X[order[alike]] != X[order[alike + 1]]).any(axis=1)
    group = np.empty(len(order), dtype=np.intp)
    group[order] = begins.cumsum() - 1
    return order[begins], group


def _keys(X):
    """A number for each row: equal rows have equal ones; those that have may yet differ."""
    return matmul(X, np.cos(np.arange(1.0, X.shape[1] + 1.0)))


def _some_of(n):
    """Some of n samples, by number, in no order that theirs may have."""
    return np.unique(np.random.RandomState(0).randint(n, size=int(_OF_ROOT * np.sqrt(n))))


def _differ(numbers):
    """Whether no two are equal."""
    numbers = np.sort(numbers)
    return bool((numbers[1:] != numbers[:-1]).all())
