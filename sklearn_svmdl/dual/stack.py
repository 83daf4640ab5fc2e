"""Many problems on the samples of one source, as arrays: one problem a row.

The binary problems of one-versus-one share their samples and what is known about them. As arrays (k, m) of k problems
on up to m variables each, a call of numpy does for all of them what it would do for one. Problems of fewer variables
are filled up with variables of bound 0, which stay at zero.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from .problem import Bounds, least_slack_intercept, slack_of
from .working_set import dense_features

# |w|^2 that is this small a share of the sum of its terms' sizes has lost its digits.
_CANCELLED = 1e-6


@dataclass(frozen=True)
class Stack(Bounds):
    """k problems on up to m variables each.

    Parameters
    ----------
    source : KernelSource, GramSource or IndexedSource of all samples
    rows : ndarray of int (k, m), the sample of each variable; any where there is none
    linear, bound : ndarrays (k, m), p_i and s_i sign_i; the bound is 0 where a problem has no such variable
    budget : ndarray (k,), or None where the costs are given
    cost : ndarray (k,), or None where the budgets are given
    """

    source: object
    rows: np.ndarray
    linear: np.ndarray
    bound: np.ndarray
    budget: np.ndarray | None = None
    cost: np.ndarray | None = None

    @classmethod
    def of_classes(cls, source, rows, targets, weights):
        """Soft-margin classifiers: lists of k arrays, the samples of each problem, their targets -1.0 and +1.0, and
        weights.
        """
        sizes = np.array([len(of_one) for of_one in rows])
        there = np.arange(sizes.max()) < sizes[:, None]
        samples = np.zeros(there.shape, dtype=np.intp)
        target, weight = np.zeros((2, *there.shape))
        samples[there], target[there] = np.concatenate(rows), np.concatenate(targets)
        weight[there] = np.concatenate(weights)
        return cls(source, samples, target, target * weight)

    def __len__(self):
        return len(self.bound)

    @cached_property
    def sizes(self):
        """The number of variables of each problem."""
        return np.count_nonzero(self.bound, axis=1)

    @property
    def least_weight(self):
        """The least s_i of each problem."""
        return np.where(self.bound, self.weight, np.inf).min(axis=1)

    @cached_property
    def largest_budget(self):
        """C_max of each problem."""
        constant = least_slack_intercept(self.linear, self.sign, self.weight)
        return np.einsum("ki,ki->k", self.weight, slack_of(self.linear - constant[:, None], self.sign))

    def with_budget(self, budget):
        """The same problems with a budget, or one each."""
        return replace(self, budget=np.broadcast_to(np.asarray(budget, dtype=float), len(self)), cost=None)

    def with_cost(self, cost):
        """The same problems with a cost, or one each."""
        return replace(self, budget=None, cost=np.broadcast_to(np.asarray(cost, dtype=float), len(self)))

    def counted(self, tally):
        """The same problems; the kernel values evaluated for them are counted."""
        return replace(self, source=self.source.counted(tally))

    def take(self, which):
        """Some of the problems."""
        own = (getattr(self, field.name) for field in fields(self))
        return Stack(*(values[which] if isinstance(values, np.ndarray) else values for values in own))

    def narrowed(self):
        """The same problems in arrays no wider than they need."""
        m = int(self.sizes.max())
        return replace(self, rows=self.rows[:, :m], linear=self.linear[:, :m], bound=self.bound[:, :m])

    @cached_property
    def features(self):
        """Features (k, m, d) whose inner products are the kernel values, where few are known; else None."""
        few = self.source.n_features is not None and self.source.n_features <= self.bound.shape[1]
        X = dense_features(self.source.features) if few else None
        return None if X is None else X[self.rows] * (self.bound != 0)[:, :, None]

    @property
    def spreads(self):
        """The mean squared distance of each problem's samples from their mean, from the features; 1 where it is 0."""
        X, count = self.features, self.sizes[:, None]
        centred = (X - (X.sum(axis=1) / count)[:, None]) * (self.bound != 0)[:, :, None]
        spreads = np.einsum("kid,kid->k", centred, centred) / self.sizes
        return np.where(spreads > 0, spreads, 1.0)

    def gram(self, columns=None, out=None):
        """Kernel values (k, w, w) among the variables `columns` (k, w) of each problem, all if None, in `out` if
        given."""
        if self.features is not None:
            X = self.features if columns is None else np.take_along_axis(self.features, columns[:, :, None], axis=1)
            return np.matmul(X, np.swapaxes(X, 1, 2), out=out)
        return self.source.blocks(self.rows if columns is None else np.take_along_axis(self.rows, columns, axis=1), out)

    def products(self, beta):
        """K beta (k, m) of each problem."""
        if self.features is not None:
            return np.matmul(self.features, self._normals(beta)[:, :, None])[:, :, 0]
        out = np.zeros(beta.shape)
        for row, samples, values, size in zip(out, self.rows, beta, self.sizes.tolist(), strict=True):
            used = values.nonzero()[0]
            row[:size] = self.source.apply(samples[used], values[used], samples[:size])
        return out

    def squared_norms(self, beta, fit):
        """|w|^2 of each problem, from the features where they are known; nan where its terms cancel."""
        if self.features is not None:
            normals = self._normals(beta)
            return np.einsum("kd,kd->k", normals, normals)
        squared = np.einsum("ki,ki->k", beta, fit)
        told = squared > _CANCELLED * np.einsum("ki,ki->k", np.abs(beta), np.abs(fit))
        return np.where(told, squared, np.nan)

    def _normals(self, beta):
        """w (k, d) of each problem."""
        return np.matmul(beta[:, None, :], self.features)[:, 0]
