"""The data of the benchmarks: two classes, standardised features."""

from functools import lru_cache

from sklearn.datasets import load_breast_cancer, load_digits, make_classification, make_moons
from sklearn.preprocessing import StandardScaler


def breast_cancer():
    """569 tumours, 30 features."""
    return _standardised(*load_breast_cancer(return_X_y=True))


def digits():
    """1,797 digits of 8 x 8 pixels: 5 and above against below 5."""
    X, y = load_digits(return_X_y=True)
    return _standardised(X, y >= 5)


def moons(n_samples):
    """Two half circles with noise: the kernel matrix has a low rank, and the classes overlap."""
    return _standardised(*make_moons(n_samples, noise=0.25, random_state=0))


@lru_cache(maxsize=2)
def made_up(n_samples, n_features):
    """Clusters on the corners of a hypercube; every twentieth label is drawn anew."""
    return _clusters(n_samples, n_features, flip_y=0.05)


def two_clusters(n_samples, n_features):
    """One cluster a class: a linear boundary is the right one, and there are mistakes."""
    return _clusters(n_samples, n_features, n_clusters_per_class=1)


def _clusters(n_samples, n_features, **options):
    options = {"n_informative": n_features // 2, "random_state": 0, **options}
    return _standardised(*make_classification(n_samples, n_features, **options))


def _standardised(X, y):
    return StandardScaler().fit_transform(X), y
