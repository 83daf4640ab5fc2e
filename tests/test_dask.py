"""Searches on a real dask cluster of two worker processes score as they do in one process."""

import warnings

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from sklearn_svmdl import BudgetSVC, BudgetSVCCV, TorchMLPClassifier

SEARCHES = {
    "BudgetSVCCV": BudgetSVCCV([0.1, 3.0], kernel=["linear", "rbf"], gammas=["scale"], cv=2),
    "GridSearchCV of BudgetSVC": GridSearchCV(BudgetSVC(unit="relative"), {"C": [0.1, 0.3]}, cv=2),
    "GridSearchCV of TorchMLPClassifier": GridSearchCV(
        TorchMLPClassifier((8,), max_iter=5, random_state=0), {"alpha": [1e-4, 1.0]}, cv=2
    ),
}


@pytest.fixture(scope="module")
def cluster():
    with warnings.catch_warnings():
        # dask and the libraries under it, not what is tested here.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", ResourceWarning)
        distributed = pytest.importorskip("distributed")
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
            ) as workers,
            distributed.Client(workers) as client,
        ):
            yield client


@pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed", "ignore::DeprecationWarning:joblib")
# A few epochs tell whether the scores agree.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", SEARCHES)
def test_scores_equal_sequential_ones(cluster, name):
    X, y = load_iris(return_X_y=True)
    sequential = clone(SEARCHES[name]).fit(X, y)
    assert len(set(cluster.run(lambda dask_worker: dask_worker.address).values())) == 2
    with joblib.parallel_config("dask"):
        distributed = clone(SEARCHES[name]).fit(X, y)
    for key in ("mean_test_score", "std_test_score", "rank_test_score"):
        assert_array_equal(distributed.cv_results_[key], sequential.cv_results_[key])
    assert distributed.best_params_ == sequential.best_params_
    assert np.array_equal(distributed.predict(X), sequential.predict(X))
