"""What scikit-learn's own tests of its support vector machines promise, of ours, in our own words.

docs/contracts.md lists every contract of sklearn/svm/tests/test_svm.py, and where those are held that are not here.
"""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_blobs, make_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from sklearn_svmdl import BudgetSVC, BudgetSVCCV, BudgetSVR, BudgetSVRCV

# Two triples of points, mirrored at the origin: only the corners (-1, -1) and (1, 1) hold the margin, so that
# w = (1/2, 1/2), b = 0 and both duals are |w|^2 / 2 = 1/4.
CORNERS = np.array([[-2.0, -1.0], [-1.0, -1.0], [-1.0, -2.0], [1.0, 1.0], [1.0, 2.0], [2.0, 1.0]])
LABELS = np.array([1, 1, 1, 2, 2, 2])
ELSEWHERE, LABELS_ELSEWHERE = np.array([[-1.0, -1.0], [2.0, 2.0], [3.0, 2.0]]), [1, 2, 2]
# Points on two parallel lines; (-1, 1) lies half-way between them.
LINES = np.array([[-2.0, 0.0], [-1.0, -1.0], [0.0, -2.0], [0.0, 2.0], [1.0, 1.0], [2.0, 0.0]])
BETWEEN = [[-1.0, 1.0]]


def inner_products(X, Y):
    return X @ Y.T


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(y))
    return X[order], y[order]


# --- the solution


@pytest.mark.parametrize("C", [{}, {"C": 1, "unit": "cost"}, {"C": 0}], ids=["default", "cost", "no slack"])
@pytest.mark.parametrize("solver", ["auto", "smo"])
def test_a_problem_worked_out_by_hand(C, solver):
    model = BudgetSVC(kernel="linear", solver=solver, tol=1e-9, **C).fit(CORNERS, LABELS)
    np.testing.assert_array_equal(model.support_, [1, 3])
    np.testing.assert_array_equal(model.support_vectors_, CORNERS[[1, 3]])
    np.testing.assert_allclose(model.dual_coef_, [[-0.25, 0.25]], atol=1e-7)
    np.testing.assert_allclose(model.coef_, [[0.5, 0.5]], atol=1e-7)
    np.testing.assert_allclose(model.intercept_, [0.0], atol=1e-7)
    np.testing.assert_array_equal(model.predict(ELSEWHERE), LABELS_ELSEWHERE)


def test_three_classes_are_told_apart_in_any_order_of_the_samples(iris):
    X, y = iris
    for kernel in ("linear", "rbf"):
        model = BudgetSVC(kernel=kernel).fit(X, y)
        assert model.score(X, y) > 0.95
        assert hasattr(model, "coef_") == (kernel == "linear")
        np.testing.assert_array_equal(model.classes_, [0, 1, 2])


def test_decisions_of_two_classes_are_those_of_the_normal_and_of_the_duals():
    model = BudgetSVC(kernel="linear").fit(CORNERS, LABELS)
    # By hand: f(x) = (x_1 + x_2) / 2.
    np.testing.assert_allclose(model.decision_function(CORNERS), CORNERS.sum(axis=1) / 2, atol=1e-6)
    np.testing.assert_array_equal(model.predict(CORNERS), np.where(model.decision_function(CORNERS) > 0, 2, 1))


def test_a_cost_of_weighted_samples_is_a_cost_times_the_weight():
    weight = np.full(len(CORNERS), 0.01)
    plain = BudgetSVC(C=1.0, unit="cost").fit(CORNERS, LABELS)
    weighted = BudgetSVC(C=100.0, unit="cost").fit(CORNERS, LABELS, sample_weight=weight)
    np.testing.assert_allclose(plain.dual_coef_, weighted.dual_coef_, rtol=1e-6)
    # A total slack weighs what the samples weigh.
    plain = BudgetSVC(C=2.0, kernel="linear").fit(CORNERS, LABELS)
    weighted = BudgetSVC(C=0.02, kernel="linear").fit(CORNERS, LABELS, sample_weight=weight)
    np.testing.assert_allclose(plain.coef_, weighted.coef_, rtol=1e-6)


@pytest.mark.parametrize("weight", [[1, 0, 1, 1, 1, 1], [1, 1, 1, 0, 1, 1]])
def test_where_a_corner_has_no_weight_the_two_beside_it_hold_the_margin(weight):
    for model in (BudgetSVC(kernel="linear"), BudgetSVR(kernel="linear")):
        w = model.fit(CORNERS, LABELS, sample_weight=weight).coef_.ravel()
        # All is symmetric in the two features.
        assert w[0] == pytest.approx(w[1], rel=1e-3)
    # By hand: (-2, -1) and (-1, -2), half-way between them (-1.5, -1.5), against (1, 1); or mirrored.
    model = BudgetSVC(C=0, kernel="linear", tol=1e-9).fit(CORNERS, LABELS, sample_weight=weight)
    np.testing.assert_allclose(model.coef_, [[0.4, 0.4]], rtol=1e-6)


@pytest.mark.parametrize("name", ["SVC", "SVR"])
def test_samples_of_more_weight_pull_the_boundary(name):
    model = {"SVC": BudgetSVC, "SVR": BudgetSVR}[name](C=0.01, unit="cost", kernel="linear")
    if name == "SVR":
        model.set_params(epsilon=0.1)

    def between(weight):
        fitted = model.fit(LINES, LABELS, sample_weight=weight)
        return float((fitted.decision_function if name == "SVC" else fitted.predict)(BETWEEN)[0])

    middle = {"SVC": 0.0, "SVR": 1.5}[name]
    assert between([1.0] * 6) == pytest.approx(middle, abs=1e-6)
    assert between([10.0, 0.1, 0.1, 0.1, 0.1, 10.0]) < middle - 1e-3
    assert between([1.0, 0.1, 10.0, 10.0, 0.1, 0.1]) > middle + 1e-3


def test_a_class_of_little_weight_is_given_up_and_one_of_much_is_found():
    model = BudgetSVC(C=1, unit="cost", class_weight={1: 0.1}).fit(CORNERS, LABELS)
    np.testing.assert_array_equal(model.predict(CORNERS), [2] * 6)
    X, y = make_classification(200, 10, weights=[0.833, 0.167], random_state=2)
    model = BudgetSVC(C=1, unit="cost", class_weight={0: 0.1, 1: 10}).fit(X[:100], y[:100])
    oracle = SVC(class_weight={0: 0.1, 1: 10}, tol=1e-8).fit(X[:100], y[:100])
    np.testing.assert_array_equal(model.predict(X[100:]), oracle.predict(X[100:]))
    assert f1_score(y[100:], model.predict(X[100:])) > 0.3


def test_balanced_weights_help_the_rare_class():
    X, y = load_iris(return_X_y=True)
    X, y = X[:, :2], y + 1
    some = np.delete(np.arange(len(y)), np.flatnonzero(y > 2)[::2])
    plain, balanced = (
        BudgetSVC(kernel="linear", class_weight=weight).fit(X[some], y[some]).predict(X)
        for weight in (None, "balanced")
    )
    assert f1_score(y, plain, average="macro") < f1_score(y, balanced, average="macro")


# --- kernels


def test_precomputed_kernel_values_are_read_at_the_support_vectors_alone():
    K, K_elsewhere = CORNERS @ CORNERS.T, ELSEWHERE @ CORNERS.T
    model = BudgetSVC(kernel="precomputed", tol=1e-9).fit(K, LABELS)
    np.testing.assert_allclose(model.dual_coef_, [[-0.25, 0.25]], atol=1e-7)
    np.testing.assert_array_equal(model.predict(K_elsewhere), LABELS_ELSEWHERE)
    with pytest.raises(ValueError, match="features"):
        model.predict(K_elsewhere.T)
    needed = np.zeros_like(K_elsewhere)
    needed[:, model.support_] = K_elsewhere[:, model.support_]
    np.testing.assert_array_equal(model.decision_function(needed), model.decision_function(K_elsewhere))


def test_precomputed_and_callable_kernels_of_several_classes_are_the_named_one(iris):
    X, y = iris
    named = BudgetSVC(kernel="linear", tol=1e-8).fit(X, y)
    own = clone(BudgetSVC(kernel=lambda X, Y: X @ Y.T, tol=1e-8)).fit(X, y)
    given = BudgetSVC(kernel="precomputed", tol=1e-8).fit(X @ X.T, y)
    for model, samples in ((own, X), (given, X @ X.T)):
        np.testing.assert_array_equal(model.support_, named.support_)
        np.testing.assert_allclose(model.dual_coef_, named.dual_coef_, atol=1e-6)
        np.testing.assert_allclose(model.intercept_, named.intercept_, atol=1e-6)
        np.testing.assert_allclose(model.decision_function(samples), named.decision_function(X), atol=1e-6)
        np.testing.assert_array_equal(model.predict(samples), named.predict(X))


@pytest.mark.parametrize("estimator", [BudgetSVC, BudgetSVR])
def test_a_callable_kernel_that_returns_another_shape_is_refused_in_fit(estimator):
    for wrong in (lambda X, Y: X, lambda X, Y: np.ones((1, 1))):
        with pytest.raises(ValueError, match="callable kernel returned an array of shape"):
            estimator(kernel=wrong).fit(CORNERS, LABELS)


def test_what_is_no_table_of_numbers_is_refused_before_a_callable_kernel_sees_it():
    texts = ["A A", "A", "B", "B B", "A B"]
    with pytest.raises(ValueError):
        BudgetSVC(kernel=lambda X, Y: np.ones((len(X), len(Y)))).fit(texts, [1, 1, 2, 2, 1])
    # The way for them: kernel values computed beforehand are those of the counts of letters.
    counts = np.array([[text.count("A"), text.count("B")] for text in texts], dtype=float)
    K = np.array([[sum(a.count(c) * b.count(c) for c in "AB") for b in texts] for a in texts], dtype=float)
    np.testing.assert_allclose(
        BudgetSVC(kernel="precomputed").fit(K, [1, 1, 2, 2, 1]).decision_function(K),
        BudgetSVC(kernel="linear").fit(counts, [1, 1, 2, 2, 1]).decision_function(counts),
        atol=1e-6,
    )


def test_gamma_scale_of_two_points_one_apart_is_4():
    X, y = [[0.0], [1.0]], [0, 1]
    points = np.linspace(-1, 2, 7)[:, None]
    expected = BudgetSVC(gamma=4.0).fit(X, y).decision_function(points)
    np.testing.assert_array_equal(BudgetSVC(gamma="scale").fit(X, y).decision_function(points), expected)


# --- several classes


@pytest.mark.parametrize("n_classes", [3, 5])
def test_a_score_for_each_class_or_for_each_pair_and_the_largest_wins(n_classes):
    X, y = make_blobs(80, centers=n_classes, cluster_std=2.0, random_state=1)
    X, X_test, y, _ = train_test_split(X, y, random_state=0)
    model = BudgetSVC(kernel="linear").fit(X, y)
    scores = model.decision_function(X_test)
    assert scores.shape == (len(X_test), n_classes)
    np.testing.assert_array_equal(model.predict(X_test), scores.argmax(axis=1))
    pairs = BudgetSVC(kernel="linear", decision_function_shape="ovo").fit(X, y)
    decisions = pairs.decision_function(X_test)
    assert decisions.shape == (len(X_test), n_classes * (n_classes - 1) // 2)
    np.testing.assert_allclose(decisions, X_test @ pairs.coef_.T + pairs.intercept_, atol=1e-9)


def test_further_from_the_boundaries_is_a_larger_score():
    quadrants = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    model = BudgetSVC(kernel="linear").fit(quadrants, [0, 1, 2, 3])
    for quadrant, corner in enumerate(quadrants):
        near, far = model.decision_function(np.array([5 * corner, 10 * corner]))
        assert near.argmax() == far.argmax() == quadrant
        assert 0 < near[quadrant] < far[quadrant]


def test_ties_of_votes_go_by_the_scores():
    X, y = make_blobs(20, random_state=0)
    grid = np.stack(np.meshgrid(*(np.linspace(*np.percentile(x, [0, 100]), 40) for x in X.T)), axis=-1).reshape(-1, 2)
    # All kernel values vanish away from the samples: many points have one vote for each class.
    model = BudgetSVC(gamma=1e6).fit(X, y)
    np.testing.assert_array_equal(model.predict(grid), model.decision_function(grid).argmax(axis=1))
    votes = SVC(gamma=1e6, break_ties=False).fit(X, y)
    assert np.any(votes.predict(grid) != votes.decision_function(grid).argmax(axis=1))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_within_one_versus_rest_of_scikit_learn(n_classes):
    X, y = make_blobs(centers=n_classes, random_state=0)
    assert OneVsRestClassifier(BudgetSVC()).fit(X, y).predict(X).shape == y.shape


# --- attributes


@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_iterations_are_told_for_each_problem(n_classes):
    X, y = make_classification(60, n_classes=n_classes, n_informative=n_classes, random_state=0)
    n_iter = BudgetSVC(kernel="linear").fit(X, y).n_iter_
    assert isinstance(n_iter, np.ndarray) and n_iter.shape == (n_classes * (n_classes - 1) // 2,)
    assert (n_iter > 0).all()
    assert isinstance(BudgetSVR(kernel="linear").fit(X, y).n_iter_, int)


def test_support_vectors_of_a_regression_are_counted():
    X, y = [[0.0], [0.44], [0.45], [0.46], [1.0]], np.arange(5.0)
    model = BudgetSVR()
    assert not hasattr(model, "n_support_")
    model.fit(X, y)
    np.testing.assert_array_equal(model.n_support_, [len(model.support_vectors_)])
    assert len(model.support_) == len(model.support_vectors_) > 0


def test_a_tube_that_holds_all_of_y_has_no_support_vectors_of_sparse_samples():
    X = sparse.csr_array([[0.0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]])
    model = BudgetSVR(C=1, unit="cost", epsilon=0.1, kernel="linear").fit(X, [0.04, 0.04, 0.10, 0.16])
    assert model.support_vectors_.shape == (0, 4) and model.dual_coef_.size == 0
    np.testing.assert_allclose(model.predict(X), 0.10, atol=0.04 + 1e-12)


@pytest.mark.parametrize("estimator", [BudgetSVC, BudgetSVR])
def test_the_normal_is_not_for_writing(estimator, iris):
    model = estimator(kernel="linear").fit(*iris)
    with pytest.raises(AttributeError):
        model.coef_ = np.zeros_like(model.coef_)
    with pytest.raises(ValueError, match="read-only"):
        model.coef_[0, 0] = 0.0


def test_the_normal_of_a_regression_has_its_sign():
    random = np.random.RandomState(0)
    X, y = random.randn(10, 3), random.randn(10)
    model = BudgetSVR(kernel="linear").fit(X, y)
    np.testing.assert_allclose(model.predict(X), X @ model.coef_.ravel() + model.intercept_, atol=1e-12)


@pytest.mark.parametrize("estimator", [BudgetSVC, BudgetSVCCV, BudgetSVR, BudgetSVRCV])
def test_before_fit_the_estimator_is_named(estimator):
    # What X is does not matter yet.
    with pytest.raises(NotFittedError, match=rf"{estimator.__name__}\b.*\bnot fitted\b"):
        estimator().predict("foo!")


def test_probabilities_are_there_where_they_are_calibrated(iris):
    assert not hasattr(BudgetSVC(), "predict_proba") and not hasattr(BudgetSVC().fit(*iris), "predict_proba")
    search = BudgetSVCCV(Cs=[1.0], gammas=1)
    assert hasattr(search, "predict_proba")
    X, y = iris
    probability = search.fit(X, y).predict_proba(X)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(probability.argmax(axis=1), search.predict(X))
    np.testing.assert_allclose(np.exp(search.predict_log_proba(X)), probability, rtol=1e-9)


# --- input


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        BudgetSVC().fit(CORNERS, LABELS[:-1])
    with pytest.raises(ValueError, match="square"):
        BudgetSVC(kernel="precomputed").fit(CORNERS, LABELS)
    with pytest.raises(ValueError, match="features"):
        BudgetSVC().fit(CORNERS, LABELS).predict(CORNERS.T)
    with pytest.raises(TypeError, match="[Ss]parse"):
        BudgetSVC(kernel="precomputed").fit(sparse.csr_array(np.eye(2)), [0, 1])


def test_arrays_need_not_be_contiguous():
    X, y = np.asfortranarray(CORNERS), np.ascontiguousarray(np.tile(LABELS, (2, 1)).T)[:, -1]
    assert not X.flags.c_contiguous and not y.flags.c_contiguous
    model = BudgetSVC().fit(X, y)
    expected = BudgetSVC().fit(CORNERS, LABELS).decision_function(ELSEWHERE)
    np.testing.assert_allclose(model.decision_function(ELSEWHERE), expected, rtol=1e-12)


def test_sparse_samples_are_predicted_by_a_model_of_dense_ones():
    # SVC refuses them.
    model = BudgetSVC().fit(CORNERS, LABELS)
    for form in (sparse.csr_array, sparse.lil_array):
        np.testing.assert_allclose(
            model.decision_function(form(CORNERS)), model.decision_function(CORNERS), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("estimator", [BudgetSVC, BudgetSVR])
def test_weights_that_leave_nothing_or_are_negative_are_refused(estimator):
    # SVC takes a negative weight for 0.
    for weight in ([0.0] * 6, [-0.3] * 6, [1.0, -0.5, 1.0, 1.0, 1.0, 1.0]):
        with pytest.raises(ValueError, match="[Nn]egative|zero"):
            estimator(kernel="linear").fit(CORNERS, LABELS, sample_weight=weight)


@pytest.mark.parametrize("weight", [[0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0]])
def test_weights_that_leave_one_class_are_refused(weight):
    with pytest.raises(ValueError, match="1 class with positive weight"):
        BudgetSVC().fit(CORNERS, LABELS, sample_weight=weight)


@pytest.mark.parametrize("estimator", [BudgetSVC, BudgetSVR])
def test_an_infinite_cost_is_asked_for_as_no_slack(estimator):
    with pytest.raises(ValueError, match=r"'C' parameter .*\[0.0, inf\).*Got inf"):
        estimator(C=np.inf, unit="cost").fit(CORNERS, LABELS)
    X, y = make_classification(60, 20, random_state=0) if estimator is BudgetSVC else load_diabetes(return_X_y=True)
    X, y = StandardScaler().fit_transform(X)[:60], y[:60]
    oracle = SVC(C=1e10, tol=1e-8) if estimator is BudgetSVC else SVR(C=1e10, epsilon=10.0, tol=1e-6)
    hardest = estimator(C=0) if estimator is BudgetSVC else estimator(C=0, epsilon=10.0)
    np.testing.assert_allclose(hardest.fit(X, y).predict(X), oracle.fit(X, y).predict(X), rtol=1e-4)


@pytest.mark.parametrize("solver", ["auto", "smo"])
def test_a_fit_that_is_cut_short_says_so_and_is_the_same_again(solver):
    X, y = make_blobs(80, centers=2, cluster_std=4.0, random_state=0)

    def decisions():
        model = BudgetSVC(max_iter=2, solver=solver)
        with pytest.warns(ConvergenceWarning, match="max_iter=2"):
            model.fit(X, y)
        assert model.n_iter_[0] <= 2
        return model.decision_function(X)

    np.testing.assert_array_equal(decisions(), decisions())
