"""The same problems by other people: libsvm, liblinear, an interior point method, HiGHS, scikit-learn's networks.

Two solutions of one convex problem are compared by their objectives and, as w is unique, by their distance, which
these bound. `make fuzz` compares more of them.
"""

import warnings
from dataclasses import replace
from inspect import signature

import clarabel
import numpy as np
from fuzzing import fuzzed
from hypothesis import assume
from hypothesis import strategies as st
from optimality import kernel_values, problems_of, spread_of_y, worth
from problems import SCALED_ROWS, classifications, regressions
from reference import least_slack_of_tube, least_total_slack, single_precision
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC

from sklearn_svmdl import BudgetSVC, BudgetSVR, TorchMLPClassifier, TorchMLPRegressor

KERNELS = st.one_of(
    st.just({"kernel": "linear"}),
    st.builds(lambda gamma: {"kernel": "rbf", "gamma": gamma}, st.sampled_from(["scale", 0.1, 1.0, 10.0])),
    st.builds(lambda degree: {"kernel": "poly", "degree": degree, "gamma": "scale"}, st.integers(1, 4)),
)
BINARY = classifications(kernels=KERNELS, rows=SCALED_ROWS, classes=st.just(2))
TUBES = regressions(kernels=KERNELS, rows=SCALED_ROWS)
# libsvm keeps kernel values in single precision and stops at a violation of this.
LIBSVM = dict(kernel="precomputed", tol=1e-7, max_iter=1_000_000, cache_size=50)


def on_stored_values(problem):
    """Kernel values that single precision holds exactly, and the fitted model of the problem on them."""
    K = kernel_values(problem, problem.X, problem.X).astype(float)
    K = single_precision(K)
    stored = problem.having(kernel="precomputed", tol=1e-6, solver="auto")
    model, told = stored.fit(K)
    assume(ConvergenceWarning not in told)
    # Past this a cost is more than libsvm finds its way with.
    assume(0 < np.ravel(model.cost_)[0] * np.abs(np.diagonal(K)).max() < 1e4 * scale_of(problem))
    return K, stored, model


def scale_of(problem):
    """What slack is measured in."""
    return spread_of_y(problem) if problem.estimator is BudgetSVR else 1.0


def objective(K, part, duals, b, lam):
    """1/2 |w|^2 + lam times total slack of the model f = K duals + b."""
    f = K @ duals
    slack = np.maximum(0.0, part.sign * (part.linear - f[part.rows] - b))
    return 0.5 * duals @ f + lam * part.weight @ slack


def assert_one_optimum(K, problem, model, peer):
    """That model and libsvm's peer have one objective at the model's cost, and values as near as that makes them."""
    (part,) = problems_of(model, problem)
    lam = float(np.ravel(model.cost_)[0])
    duals, theirs = np.zeros(len(K)), np.zeros(len(K))
    duals[model.support_], theirs[peer.support_] = model.dual_coef_[0], peer.dual_coef_[0]
    b = float(np.ravel(model.intercept_)[0])
    ours, others = (objective(K, part, d, c, lam) for d, c in ((duals, b), (theirs, peer.intercept_[0])))
    # libsvm stops while slacks are off by its tol.
    room = 1e-5 * max(ours, others) + lam * part.weight.sum() * peer.tol * max(1.0, lam)
    assert abs(ours - others) <= room
    # Both are within sqrt(2 gap) of the one w.
    difference = K @ (duals - theirs)
    assert (duals - theirs) @ difference <= 8 * room


def libsvm(peer, K, problem, rows):
    """A peer fitted on the samples of positive weight, None where it did not converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            peer.fit(K[np.ix_(rows, rows)], problem.y[rows], problem.weights[rows])
        except ConvergenceWarning:
            assume(False)
    peer.support_ = rows[peer.support_]
    return peer


@fuzzed(BINARY, examples=25)
def test_svc_at_the_cost_of_a_budget_is_the_same_classifier(problem):
    problem = problem.having(class_weight=None)
    K, stored, model = on_stored_values(problem)
    peer = libsvm(SVC(C=model.cost_[0], **LIBSVM), K, problem, np.flatnonzero(problem.weights))
    assert_one_optimum(K, stored, model, peer)


@fuzzed(TUBES, examples=25)
def test_svr_at_the_cost_of_a_budget_is_the_same_function(problem):
    K, stored, model = on_stored_values(problem)
    unit = scale_of(problem)
    peer = SVR(C=model.cost_, epsilon=model.epsilon_, **{**LIBSVM, "tol": 1e-7 * unit})
    assert_one_optimum(K, stored, model, libsvm(peer, K, problem, np.flatnonzero(problem.weights)))


def with_free_duals(problem, decade):
    """The problem with the least cost, by decades, at which neither class has all its duals at their bound."""
    K = single_precision(kernel_values(problem, problem.X, problem.X).astype(float))
    largest = np.abs(np.diagonal(K)).max()
    assume(largest > 0)
    fewer = min(np.sum(problem.y == 0), np.sum(problem.y == 1))
    for cost in 10.0 ** np.arange(decade, 4) / largest:
        model, _ = problem.having(C=cost, unit="cost", kernel="precomputed", tol=1e-6, solver="auto").fit(K)
        if np.abs(model.dual_coef_).sum() < 2 * fewer * cost * (1 - 1e-6):
            return problem.having(C=cost, unit="cost")
    assume(False)


@fuzzed(BINARY, st.integers(-2, 3), examples=25)
def test_nu_svc_at_the_share_of_support_of_a_budget_is_the_same_classifier(problem, decade):
    problem = with_free_duals(replace(problem, weight=None).having(class_weight=None), decade)
    K, stored, model = on_stored_values(problem)
    nu = np.abs(model.dual_coef_).sum() / (model.cost_[0] * len(K))
    # Unless each class has a sample on its margin, margins of several widths share their duals, but for a factor.
    free = np.abs(np.abs(model.dual_coef_[0]) / model.cost_[0] - 0.5) < 0.5 - 1e-6
    assume(len(np.unique(np.sign(model.dual_coef_[0][free]))) == 2)
    peer = libsvm(NuSVC(nu=nu, **LIBSVM), K, problem, np.arange(len(K)))
    assert_one_optimum(K, stored, model, peer)


@fuzzed(classifications(kernels=st.just({"kernel": "linear"}), rows=SCALED_ROWS, classes=st.just(2)), examples=20)
def test_linear_svc_never_finds_a_better_classifier(problem):
    problem = problem.having(tol=1e-6, class_weight=None, solver="auto")
    model, told = problem.fit()
    lam = model.cost_[0]
    assume(ConvergenceWarning not in told and 0 < lam < 1e2)
    (part,), X = problems_of(model, problem), problem.X
    # liblinear's penalty holds b as well, by so little that it hardly counts.
    peer = LinearSVC(C=lam, loss="hinge", intercept_scaling=10.0, tol=1e-6, max_iter=20_000, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer.fit(X, problem.y, problem.weights)

    def own(w, b):
        """Our objective."""
        slack = np.maximum(0.0, 1.0 - part.sign * (X[part.rows] @ w + b))
        return 0.5 * w @ w + lam * part.weight @ slack

    ours, theirs = (own(one.coef_[0], one.intercept_[0]) for one in (model, peer))
    assert ours <= theirs * (1 + 2e-6)


def interior_point(K, part, budget):
    """|w|, w's values and the budget's multiplier by Clarabel: min 1/2 |w|^2 within the budget, b and slacks free.

    The features are those of the eigenvectors of K.
    """
    values, vectors = np.linalg.eigh(K)
    kept = values > 1e-12 * values.max()
    features = (vectors[:, kept] * np.sqrt(values[kept]))[part.rows]
    (m, d), sign = features.shape, part.sign
    P = sparse.csc_matrix(sparse.diags_array(np.concatenate([np.ones(d), np.zeros(1 + m)])))
    margins = np.column_stack([-sign[:, None] * features, -sign, -np.eye(m)])
    slack = np.column_stack([np.zeros((m, d + 1)), -np.eye(m)])
    spends = np.concatenate([np.zeros(d + 1), part.weight])
    A = sparse.csc_matrix(np.vstack([margins, slack, spends]))
    most = np.concatenate([-sign * part.linear, np.zeros(m), [budget]])
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    solver = clarabel.DefaultSolver(P, np.zeros(d + 1 + m), A, most, [clarabel.NonnegativeConeT(2 * m + 1)], settings)
    answer = solver.solve()
    assume(str(answer.status) == "Solved")
    w = np.array(answer.x[:d])
    return 0.5 * w @ w, answer.z[-1]


@fuzzed(st.one_of(BINARY, TUBES), st.floats(0.02, 0.98), examples=40)
def test_an_interior_point_method_finds_the_same_margin_and_price(problem, share):
    assume(problem.n_samples <= 60)
    problem = problem.having(C=share, unit="relative", tol=1e-6, solver="auto")
    if problem.estimator is BudgetSVC:
        problem = problem.having(class_weight=None)
    unit = scale_of(problem)
    K = kernel_values(problem, problem.X, problem.X).astype(float)
    model, told = problem.fit()
    assume(not told)
    (part,) = problems_of(model, problem)
    budget, lam = float(np.ravel(model.budget_)[0]), float(np.ravel(model.cost_)[0])
    # Past this a margin is too narrow for an oracle of 1e-8.
    assume(0 < lam < 1e3 * unit / np.abs(np.diagonal(K)).max())
    theirs, _ = interior_point(K, type(part)(part.rows, part.linear / unit, part.sign, part.weight), budget / unit)
    found = worth(model, problem, K)
    ours = 0.5 * found.squared_norm / unit**2
    # The multiplier says what a budget that is not quite kept is worth.
    missed = lam / unit * (abs(found.total - budget) / unit + 1e-7 * (1 + budget / unit))
    assert abs(ours - theirs) <= 1e-5 * max(ours, theirs) + missed + 1e-7


@fuzzed(
    st.one_of(*(f(kernels=st.just({"kernel": "linear"}), rows=SCALED_ROWS) for f in (classifications, regressions))),
    examples=40,
)
def test_the_least_budget_is_that_of_a_linear_programme(problem):
    kept = np.flatnonzero(problem.weights)
    X, y, s = problem.X[kept], problem.y[kept], problem.weights[kept]
    if problem.estimator is BudgetSVR:
        unit = spread_of_y(problem)
        least, _ = BudgetSVR(kernel="linear", epsilon=0.1 * unit).feasible_budget(X, y, s)
        expected = [unit * least_slack_of_tube(X, (y - np.median(y)) / unit, 0.1, s)]
    else:
        least, _ = BudgetSVC(kernel="linear", multi_class="ovr").feasible_budget(X, y, s)
        labels = np.unique(y)[1:] if len(np.unique(y)) == 2 else np.unique(y)
        expected = [least_total_slack(X, np.where(y == label, 1.0, -1.0), s) for label in labels]
    np.testing.assert_allclose(least, expected, rtol=1e-6, atol=1e-7 * s.max() * scale_of(problem))


# Networks


@st.composite
def trainings(draw):
    """Parameters that scikit-learn's networks and ours share, of a few steps on random rows."""
    solver = draw(st.sampled_from(["sgd", "adam"]))
    parameters = {
        "hidden_layer_sizes": tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))),
        "activation": draw(st.sampled_from(["identity", "logistic", "tanh", "relu"])),
        "solver": solver,
        "alpha": draw(st.sampled_from([0.0, 1e-4, 0.1, 3.0])),
        "learning_rate_init": draw(st.sampled_from([1e-4, 1e-2])),
        "shuffle": False,
        "random_state": draw(st.integers(0, 1000)),
    }
    if solver == "sgd":
        # torch multiplies the velocity by the rate, scikit-learn the gradients that go into it: one step while the
        # rate stays as it is.
        parameters |= draw(
            st.sampled_from(
                [
                    {"momentum": 0.9, "nesterovs_momentum": False},
                    {"momentum": 0.5, "nesterovs_momentum": True},
                    {"momentum": 0.0, "learning_rate": "invscaling", "power_t": 0.1},
                    {"momentum": 0.0, "learning_rate": "invscaling", "power_t": 0.5},
                ]
            )
        )
    else:
        parameters["beta_1"], parameters["beta_2"] = draw(st.sampled_from([(0.9, 0.999), (0.0, 0.9), (0.5, 0.5)]))
        # torch adds it before the bias is corrected, scikit-learn afterwards.
        parameters["epsilon"] = 1e-12
    n = draw(st.integers(4, 80))
    parameters["batch_size"] = draw(st.integers(1, n))
    # Ours takes a last batch of a single row with the one before it.
    assume(parameters["batch_size"] == 1 or n % parameters["batch_size"] != 1)
    epochs = draw(st.integers(1, 6))
    # More steps of Adam make much of what rounding makes different.
    assume(epochs * n <= 60 * parameters["batch_size"])
    return {
        "parameters": parameters,
        "n": n,
        "n_features": draw(st.integers(1, 6)),
        "n_outputs": draw(st.integers(1, 4)),
        "epochs": epochs,
        "weighted": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


FOREVER = {"tol": 0, "n_iter_no_change": np.inf}


def assert_same_steps(ours, theirs, X, y, training, **classes):
    """That from the same weights, over the same batches, both networks end at the same weights."""
    parameters, epochs = training["parameters"], training["epochs"]
    random = np.random.RandomState(training["seed"])
    takes_weights = "sample_weight" in signature(theirs.partial_fit).parameters
    weight = {"sample_weight": random.uniform(0.5, 2.0, len(y))} if training["weighted"] and takes_weights else {}
    network = ours(**parameters, max_iter=epochs, **FOREVER)
    with warnings.catch_warnings():
        # A few epochs of a large learning rate may end anywhere.
        warnings.filterwarnings("ignore", "The training loss ended", ConvergenceWarning)
        # A rate of nothing leaves the first weights.
        start = ours(**{**parameters, "learning_rate_init": 1e-300}, max_iter=1, **FOREVER).fit(X, y)
        try:
            network.fit(X, y, **weight)
        except ValueError as error:
            # Diverged, as some do at a rate of 0.1.
            assume("non-finite" not in str(error))
            raise
    peer = theirs(**parameters)
    peer.partial_fit(X, y, **classes)
    peer.coefs_, peer.intercepts_ = [w.copy() for w in start.coefs_], [b.copy() for b in start.intercepts_]
    del peer._optimizer
    peer.t_, peer.n_iter_ = 0, 0
    for _ in range(epochs):
        peer.partial_fit(X, y, **weight)
    # Adam moves a weight by the learning rate however small its gradient is, of which epsilon may be a part and whose
    # digits may have cancelled: to a hundredth of a step.
    atol = 1e-8 if parameters["solver"] == "sgd" else 1e-2 * parameters["learning_rate_init"]
    for own, other in zip(network.coefs_ + network.intercepts_, peer.coefs_ + peer.intercepts_, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-6, atol=atol)


@fuzzed(trainings(), examples=25)
def test_steps_of_a_classifier_are_those_of_scikit_learn(training):
    random = np.random.RandomState(training["seed"])
    X = random.randn(training["n"], training["n_features"])
    k = min(1 + training["n_outputs"], training["n"])
    y = random.permutation(np.concatenate([np.arange(k), random.randint(0, k, training["n"] - k)]))
    assert_same_steps(TorchMLPClassifier, MLPClassifier, X, y, training, classes=np.arange(k))


@fuzzed(trainings(), examples=25)
def test_steps_of_a_regressor_are_those_of_scikit_learn(training):
    random = np.random.RandomState(training["seed"])
    X = random.randn(training["n"], training["n_features"])
    y = random.randn(training["n"], training["n_outputs"])
    # Ours standardises y.
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    y = y[:, 0] if y.shape[1] == 1 else y
    assert_same_steps(TorchMLPRegressor, MLPRegressor, X, y, {**training, "weighted": False})
