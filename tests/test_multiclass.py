"""The multiclass shell: which problems, which scores."""

import numpy as np
import pytest
from sklearn.utils.multiclass import _ovr_decision_function

from sklearn_svmdl.svm._multiclass import SCHEMES, OneVsOne, OneVsRest

CODES = np.array([2, 0, 1, 1, 0, 2, 2])
CLASSES = np.array(["a", "b", "c"])


def test_one_vs_one_pairs_in_order_with_the_later_class_positive():
    tasks = OneVsOne.tasks(CODES, CLASSES)
    assert [task.name for task in tasks] == ["a vs b", "a vs c", "b vs c"]
    for task, (i, j) in zip(tasks, [(0, 1), (0, 2), (1, 2)], strict=True):
        assert set(CODES[task.rows]) == {i, j}
        np.testing.assert_array_equal(task.target, np.where(CODES[task.rows] == j, 1, -1))


def test_one_vs_rest_uses_all_samples():
    tasks = OneVsRest.tasks(CODES, CLASSES)
    assert [task.name for task in tasks] == ["rest vs a", "rest vs b", "rest vs c"]
    for k, task in enumerate(tasks):
        np.testing.assert_array_equal(task.rows, np.arange(7))
        np.testing.assert_array_equal(task.target, np.where(k == CODES, 1, -1))


@pytest.mark.parametrize("scheme", SCHEMES.values())
def test_two_classes_make_one_problem(scheme):
    (task,) = scheme.tasks(np.array([1, 0, 1]), np.array([3, 7]))
    np.testing.assert_array_equal(task.target, [1, -1, 1])
    assert task.name == "3 vs 7"


def test_votes_and_confidence_are_those_of_scikit_learn():
    decisions = np.random.RandomState(0).normal(size=(50, 6)) * 10
    # There a positive decision is a vote for the earlier class.
    expected = _ovr_decision_function((decisions > 0).astype(int), decisions, 4)
    np.testing.assert_allclose(OneVsOne.scores(decisions, 4), expected, rtol=1e-12)


def test_confidence_breaks_ties_but_overturns_no_vote():
    # a beats b narrowly, c beats a narrowly, b beats c by far: one vote each.
    tied = OneVsOne.scores(np.array([[-0.1, 0.1, -5.0]]), 3)
    assert tied.argmax() == 1
    # b has two votes, however confident the decision that a beats c.
    decided = OneVsOne.scores(np.array([[0.1, -1e6, -0.1]]), 3)
    assert decided.argmax() == 1


def test_one_vs_rest_scores_are_the_decisions():
    decisions = np.array([[0.3, -1.0, 2.0]])
    np.testing.assert_array_equal(OneVsRest.scores(decisions, 3), decisions)


def test_every_pair_has_one_vote_also_where_its_decision_is_0():
    decisions = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, -1.0], [1.0, 0.0, 0.0]])
    # Of a pair that is undecided the earlier class.
    np.testing.assert_array_equal(OneVsOne.scores(decisions, 3).round(), [[2, 1, 0], [1, 1, 1], [1, 2, 0]])
