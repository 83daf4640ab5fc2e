"""The folds of a search solved together: they are problems on the same samples, as pairs of classes are."""

from dataclasses import replace

import numpy as np

from ..dual.solve import walk_many
from ..dual.stack import Stack
from ..dual.together import LARGEST_OF_FEW, LARGEST_WALKED
from ..kernels import MEGABYTE
from ._folds import score_walk
from ._multiclass import SCHEMES
from ._training import resolved_kernel
from ._units import Cost


def are_solved_together(search, samples):
    """Whether the folds of a search are solved together: costs on classes, no two of which are many samples.

    However many jobs there are: the results are the same to the last bit.
    """
    if samples.classes is None or samples.base is None or search.unit != Cost.name:
        return False
    counts = np.unique(samples.y, return_counts=True)[1]
    # Of two classes there is one problem for each fold.
    most = LARGEST_OF_FEW if len(counts) == 2 else LARGEST_WALKED
    is_small = SCHEMES[search.multi_class].largest(counts) <= most
    # Kernel values of all samples, besides the shared ones and those of a fold.
    return is_small and 32 * len(samples.y) ** 2 <= search.cache_size * MEGABYTE


def score_together(make, candidates, samples, folds, scoring):
    """As `score_walk`, on all folds.

    Returns
    -------
    list of Outcomes, one for each fold
    """
    samples = replace(samples, together=FoldsTogether(folds))
    return [outcome for fold in folds for outcome in score_walk(make, candidates, samples, fold, scoring)]


class FoldsTogether:
    """The walk over the costs of a kernel on all folds at once, of which each fold then takes its own.

    Parameters
    ----------
    folds : list of Fold
    """

    def __init__(self, folds):
        self._folds, self._found = folds, None

    def solutions(self, models, samples, fold):
        """For each model one solution for each task on this fold, None where it has to be solved alone; None where all
        have to.
        """
        # The first fold that asks waits for all of them.
        if self._found is None:
            self._found = self._solved(models, samples)
        return self._found.get(fold.number)

    def _solved(self, models, samples):
        """The solutions by the numbers of the folds."""
        first, everyone = models[0], np.arange(len(samples.y))
        prepared = [self._prepared(first, samples, fold) for fold in self._folds]
        if not all(prepared):
            return {}
        unit, kernel = prepared[0][0].weight_unit, prepared[0][2]
        if any(other != kernel or data.weight_unit != unit for data, _, other in prepared):
            return {}
        rows, targets, weights = [], [], []
        for fold, (data, tasks, _) in zip(self._folds, prepared, strict=True):
            rows += [fold.train[data.kept[task.rows]] for task in tasks]
            targets += [task.target for task in tasks]
            weights += [data.weight[task.rows] / unit for task in tasks]
        source = samples.base.source(kernel, everyone, room="all")
        stack, costs = Stack.of_classes(source, rows, targets, weights), [unit * model.C for model in models]
        found = walk_many(stack, costs, tol=first.tol, max_iter=first.max_iter)
        ends = np.cumsum([0, *(len(tasks) for _, tasks, _ in prepared)])
        return {
            fold.number: [row[start:stop] for row in found]
            for fold, start, stop in zip(self._folds, ends[:-1], ends[1:], strict=True)
        }

    @staticmethod
    def _prepared(model, samples, fold):
        """The samples of a fold that count, its tasks and the kernel; None where it cannot be fitted."""
        try:
            data, tasks = model._tasks_of(samples.X[fold.train], samples.y[fold.train], samples.weight[fold.train])
        except ValueError:
            return None
        kernel = resolved_kernel(model.kernel, data, gamma=model.gamma, degree=model.degree, coef0=model.coef0)
        return data, tasks, kernel
