"""Input of every kind: the answer of a plain array of the same numbers, or the error of scikit-learn's estimators."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR

from sklearn_svmdl import (
    BudgetSVC,
    BudgetSVCCV,
    BudgetSVR,
    BudgetSVRCV,
    TorchMLPClassifier,
    TorchMLPRegressor,
    budget_path,
)

X, LABELS = (part[::3] for part in load_iris(return_X_y=True))
NUMBERS = X.sum(axis=1)
N = len(X)


class Path:
    """`budget_path` as an estimator."""

    def __init__(self, epsilon=None):
        self.epsilon = epsilon

    def fit(self, X, y, sample_weight=None):
        """The path of one cost."""
        self.path = budget_path(X, y, Cs=[1.0], unit="cost", epsilon=self.epsilon, sample_weight=sample_weight)
        return self

    def predict(self, X):
        """By its only model."""
        return self.path.predict(X, 1.0)


TRAINS = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
# Each with what scikit-learn has in its place.
ESTIMATORS = {
    "BudgetSVC": (lambda: BudgetSVC(), lambda: SVC(), LABELS),
    "BudgetSVCCV": (lambda: BudgetSVCCV([1.0], gammas=["scale"], cv=2), lambda: SVC(), LABELS),
    "path": (lambda: Path(), lambda: SVC(), LABELS),
    "TorchMLPClassifier": (lambda: TorchMLPClassifier(**TRAINS), lambda: MLPClassifier(**TRAINS), LABELS),
    "BudgetSVR": (lambda: BudgetSVR(epsilon=0.1), lambda: SVR(), NUMBERS),
    "BudgetSVRCV": (lambda: BudgetSVRCV([1.0], gammas=["scale"], epsilons=[0.1], cv=2), lambda: SVR(), NUMBERS),
    "path of a regression": (lambda: Path(0.1), lambda: SVR(), NUMBERS),
    "TorchMLPRegressor": (lambda: TorchMLPRegressor(**TRAINS), lambda: MLPRegressor(**TRAINS), NUMBERS),
}


def outcome(make, X, y, weight=None, X_test=None):
    """The predictions, or the exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = make().fit(X, y) if weight is None else make().fit(X, y, sample_weight=weight)
            return model.predict(X if X_test is None else X_test)
        except Exception as error:
            return error


def with_value(value):
    changed = X.copy()
    changed[3, 1] = value
    return changed


def with_64_bits(form):
    found = form(X)
    for name in ("indices", "indptr", "row", "col", "offsets"):
        if isinstance(getattr(found, name, None), np.ndarray):
            setattr(found, name, getattr(found, name).astype(np.int64))
    return found


def with_duplicates():
    """Every number as the sum of two entries."""
    columns = np.tile(np.arange(4), (N, 2)).ravel()
    return sparse.csr_array((np.hstack([0.25 * X, 0.75 * X]).ravel(), columns, np.arange(N + 1) * 8), shape=X.shape)


def unsorted():
    columns = np.tile(np.arange(4)[::-1], N)
    return sparse.csr_array((X[:, ::-1].ravel(), columns, np.arange(N + 1) * 4), shape=X.shape)


FORMS = ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"]
ALIKE = {
    "list": X.tolist(),
    "tuple": tuple(map(tuple, X)),
    "Fortran order": np.asfortranarray(X),
    "strides": np.repeat(X, 2, axis=0)[::2],
    "big-endian": X.astype(">f8"),
    "long double": X.astype(np.longdouble),
    "objects": X.astype(object),
    "frame": pd.DataFrame(X, columns=list("abcd")),
    "frame of categories": pd.DataFrame(X).astype("category"),
    "nullable frame": pd.DataFrame(X).astype("Float64"),
    "masked array without a mask": np.ma.masked_array(X),
    "sparse frame": pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(X)),
    **{f"{form} array": getattr(sparse, f"{form}_array")(X) for form in FORMS},
    **{f"{form} matrix": getattr(sparse, f"{form}_matrix")(X) for form in FORMS},
    **{f"{form} of 64 bits": with_64_bits(getattr(sparse, f"{form}_array")) for form in FORMS},
    "sparse with duplicates": with_duplicates(),
    "sparse and unsorted": unsorted(),
}


# The searches and the path take the way of the estimators.
@pytest.mark.parametrize("form", ALIKE)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if "CV" in name or "path" in name else name for name in ESTIMATORS],
)
def test_the_same_numbers_in_another_form_have_the_same_answer(name, form):
    # The cell of a frame may be a category, which networks take for what it is.
    if name.startswith("Torch") and form == "frame of categories":
        pytest.skip("columns of categories are no numbers to networks")
    make, _, y = ESTIMATORS[name]
    expected = outcome(make, X, y)
    assert_allclose(outcome(make, ALIKE[form], y), expected, rtol=1e-6)
    assert_allclose(outcome(make, X, y, X_test=ALIKE[form]), expected, rtol=1e-6)


WITH_NAMES = pd.DataFrame(X, columns=list("abcd"))
BAD = {
    "nan": (with_value(np.nan),),
    "infinity": (with_value(np.inf),),
    "text": (np.where(X > 5, "a", "b"),),
    "object that is no number": ([[{}]] * N,),
    "None": (with_value(np.nan).astype(object),),
    "nothing": (None,),
    "a word": ("abc",),
    "number": (3.0,),
    "one dimension": (X[:, 0],),
    "three dimensions": (X[:, :, None],),
    "no sample": (X[:0], "none"),
    "no feature": (X[:, :0],),
    "complex": (X.astype(complex),),
    "complex sparse": (sparse.csr_array(X.astype(complex)),),
    "sparse with nan": (sparse.csr_array(with_value(np.nan)),),
    "missing in a nullable frame": (pd.DataFrame(with_value(np.nan)).astype("Float64"),),
    "dates": (pd.DataFrame({"when": pd.date_range("2020", periods=N), "what": X[:, 0]}),),
    "mixed names": (pd.DataFrame(X, columns=["a", 1, "b", 2]),),
    "too few y": (X, "short"),
    "y of two columns and more": (X, "three dimensions"),
    "y with nan": (X, "nan"),
    "no y": (X, "nothing"),
    "scalar y": (X, "scalar"),
    "complex y": (X, "complex"),
    "weights too few": (X, None, np.ones(N - 1)),
    "weights of two dimensions": (X, None, np.ones((N, 2))),
    "fewer features to predict": (X, None, None, X[:, :3]),
    "more features to predict": (X, None, None, np.hstack([X, X])),
    "nan to predict": (X, None, None, with_value(np.nan)),
    "one row to predict": (X, None, None, X[0]),
    "no row to predict": (X, None, None, X[:0]),
    "other names to predict": (WITH_NAMES, None, None, WITH_NAMES.rename(columns={"a": "z"})),
    "names in another order": (WITH_NAMES, None, None, WITH_NAMES[list("dcba")]),
}
CHANGES = {
    "none": lambda y: y[:0],
    "short": lambda y: y[:-1],
    "three dimensions": lambda y: np.stack([y, y])[:, :, None].reshape(-1, 1, 2),
    "nan": lambda y: np.where(np.arange(N) == 3, np.nan, y),
    "nothing": lambda y: None,
    "scalar": lambda y: 1,
    "complex": lambda y: y.astype(complex),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_bad_input_has_the_error_of_scikit_learn(name, kind):
    ours, theirs, y = ESTIMATORS[name]
    X, change, weight, X_test = (*BAD[kind], None, None, None)[:4]
    y = y if change is None else CHANGES[change](y)
    expected, found = (outcome(make, X, y, weight, X_test) for make in (theirs, ours))
    assert isinstance(expected, Exception)
    assert type(found) is type(expected) or isinstance(found, (ValueError, TypeError))
    if type(found) is type(expected) and "weights" not in kind and "y" not in kind.split():
        assert str(found).split()[:3] == str(expected).split()[:3] or type(expected) is TypeError


WEIGHTS = {
    "negative": -np.ones(N),
    "one negative": np.where(np.arange(N) == 3, -1.0, 1.0),
    "all zero": np.zeros(N),
    "nan": np.full(N, np.nan),
    "infinite": np.where(np.arange(N) == 3, np.inf, 1.0),
    "complex": np.ones(N, complex),
}


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_weights_that_are_none_are_refused(name, kind):
    make, _, y = ESTIMATORS[name]
    found = outcome(make, X, y, WEIGHTS[kind])
    assert isinstance(found, ValueError)
    assert any(word in str(found) for word in ("sample_weight", "weights", "Complex data"))


LABELS_OF_ALL_KINDS = {
    "text": np.array(["a", "b", "c"])[LABELS],
    "objects": np.array(["a", "b", "c"], object)[LABELS],
    "bytes": np.array([b"a", b"b", b"c"])[LABELS],
    "truth": LABELS > 0,
    "floats": LABELS.astype(float),
    "small integers": LABELS.astype(np.uint8),
    "series": pd.Series(LABELS),
    "categories": pd.Series(np.array(["a", "b", "c"])[LABELS]).astype("category"),
    "column": LABELS[:, None],
    "mixed": np.where(LABELS == 0, 0, np.array(["a", "b", "c"], object)[LABELS]),
    "one class": np.zeros(N),
    "numbers": X[:, 0],
}


@pytest.mark.parametrize("kind", LABELS_OF_ALL_KINDS)
@pytest.mark.parametrize("name", ["BudgetSVC", "BudgetSVCCV", "path"])
def test_labels_of_any_kind(name, kind):
    ours, theirs, _ = ESTIMATORS[name]
    y = LABELS_OF_ALL_KINDS[kind]
    found, expected = outcome(ours, X, y), outcome(theirs, X, y)
    if isinstance(expected, Exception):
        assert isinstance(found, type(expected))
    else:
        assert found.dtype == expected.dtype and np.array_equal(found, expected)
