"""From binary problems to many classes: which problems to solve, and how their decisions become scores.

Classes are numbered 0 .. k-1. In every binary problem +1 is the later class: class j of a pair i < j, class k
of "class k against the rest". Two classes make one problem under either scheme.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np

from ..dual.problem import classification, largest_budget_of_classes


@dataclass(frozen=True, slots=True)
class BinaryTask:
    """One binary problem: the samples that take part, their targets -1.0 and +1.0, and what it is called.

    `_regression.RegressionTask` has the same methods: whoever solves tasks need not know which they are.
    """

    rows: np.ndarray
    target: np.ndarray
    negative: str
    positive: str
    # What several of these are called in messages, whose model they make, and which one has a cost for the same.
    noun, estimator, peer = "binary problems", "BudgetSVC", "sklearn.svm.SVC"
    # What a budget of C_max pays for, and why there may be none below it.
    constant_pays = "misclassifying a whole class"
    # What the dual problem measures slack in.
    unit = 1.0
    no_better_than_constant = "for this kernel the classes are alike"

    @property
    def name(self):
        """What messages call the problem."""
        return f"{self.negative} vs {self.positive}"

    def dual(self, source, weight):
        """The `DualProblem`, without budget or cost, on the kernel values and weights of its samples."""
        return classification(source, self.target, weight)

    def largest_budget(self, weight):
        """C_max for weights of its samples."""
        return largest_budget_of_classes(self.target, weight)

    def answer(self, solution):
        """The solution of the dual problem in the units of the task."""
        return solution

    def duals(self, solution):
        """One signed dual for each of its samples."""
        return solution.beta

    def slack(self, solution):
        """One slack for each of its samples."""
        return solution.slack

    def decisions(self, of_variables, solution):
        """One decision for each of its samples, of one for each variable of the dual problem with this solution."""
        return of_variables

    def constant_model(self, intercept):
        """What the constant with this intercept is called."""
        constant = self.positive if intercept > 0 else self.negative
        return f"the classifier of infinite margin that puts every sample into {constant!r}"


def _two_classes(codes, classes):
    target = np.where(codes == 1, 1.0, -1.0)
    return [BinaryTask(np.arange(len(codes)), target, str(classes[0]), str(classes[1]))]


class OneVsOne:
    """One problem for each pair of classes i < j, in the order (0, 1), (0, 2), ..., (k-2, k-1)."""

    @staticmethod
    def tasks(codes, classes):
        """The binary problems of the class numbers `codes` (n,)."""
        if len(classes) == 2:
            return _two_classes(codes, classes)
        members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
        names = [str(label) for label in classes]

        @cache
        def target(n_negative, n_positive):
            """The same array for all pairs of classes of these sizes."""
            return np.repeat([-1.0, 1.0], [n_negative, n_positive])

        return [
            BinaryTask(
                np.concatenate([members[i], members[j]]),
                target(len(members[i]), len(members[j])),
                names[i],
                names[j],
            )
            for i, j in combinations(range(len(classes)), 2)
        ]

    @staticmethod
    def largest(counts):
        """How many samples the largest problem of classes with these counts has."""
        return int(np.sort(counts)[-2:].sum())

    @staticmethod
    def scores(decisions, n_classes):
        """(n, n_classes): each pair's vote, plus a confidence in (-1/3, 1/3) to break ties of votes only."""
        votes = np.zeros((len(decisions), n_classes))
        confidence = np.zeros_like(votes)
        for decision, (i, j) in zip(decisions.T, combinations(range(n_classes), 2), strict=True):
            votes[:, i] += decision <= 0
            votes[:, j] += decision > 0
            confidence[:, i] -= decision
            confidence[:, j] += decision
        return votes + confidence / (3.0 * (np.abs(confidence) + 1.0))


class OneVsRest:
    """One problem for each class against all others."""

    @staticmethod
    def tasks(codes, classes):
        """The binary problems of the class numbers `codes` (n,)."""
        if len(classes) == 2:
            return _two_classes(codes, classes)
        everything = np.arange(len(codes))
        return [
            BinaryTask(everything, np.where(codes == k, 1.0, -1.0), "rest", str(label))
            for k, label in enumerate(classes)
        ]

    @staticmethod
    def largest(counts):
        """How many samples each problem of classes with these counts has: all."""
        return int(counts.sum())

    @staticmethod
    def scores(decisions, n_classes):
        """(n, n_classes): each class's own decision."""
        return decisions


SCHEMES = {"ovo": OneVsOne, "ovr": OneVsRest}
