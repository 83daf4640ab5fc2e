"""Tables with columns of several kinds, as numbers that a network can take."""

import numpy as np
import torch
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.utils.validation import check_array
from torch import nn

from ._module import MLPModule, draw_weights

# The widest embedding of a category.
WIDEST_EMBEDDING = 16
# Standard deviation of the first embeddings. With torch's own, 1, categories that say nothing begin as loud noise.
FIRST_EMBEDDINGS = 0.1
N_BINS = 16


class PiecewiseLinearEncoder(TransformerMixin, BaseEstimator):
    """Each number as how far it is through each of its column's quantile bins (Gorishniy et al., 2022).

    A column becomes `n_bins` columns: 1 for a bin that lies below the number, 0 for one above, the share in between.
    """

    def __init__(self, n_bins=N_BINS):
        self.n_bins = n_bins

    def fit(self, X, y=None):
        """Find the bins."""
        X = check_array(X)
        shares = np.linspace(0, 1, self.n_bins + 1)
        self.edges_ = [np.unique(np.quantile(column, shares)) for column in X.T]
        return self

    def transform(self, X):
        """Encode rows."""
        X = check_array(X)
        return np.hstack([_piecewise(column, edges) for column, edges in zip(X.T, self.edges_)])


def _piecewise(column, edges):
    """Shares of the bins between edges; the first and the last bin go on beyond them."""
    if len(edges) < 2:
        return (column - edges[0])[:, np.newaxis]
    shares = (column[:, np.newaxis] - edges[:-1]) / np.diff(edges)
    lower, upper = np.zeros(len(edges) - 1), np.ones(len(edges) - 1)
    lower[0], upper[-1] = -np.inf, np.inf
    return np.clip(shares, lower, upper)


class MeanImputer(SimpleImputer):
    """scikit-learn's, stored without the numpy dtype that it remembers, which skops does not trust."""

    def __getstate__(self):
        state = dict(super().__getstate__())
        dtypes = {name: value.str for name, value in state.items() if isinstance(value, np.dtype)}
        return {**state, "dtypes": dtypes} | dict.fromkeys(dtypes)

    def __setstate__(self, state):
        dtypes = {name: np.dtype(value) for name, value in state.pop("dtypes").items()}
        super().__setstate__({**state, **dtypes})


class CategoryEncoder(OrdinalEncoder):
    """scikit-learn's, to which None and pandas' NA are missing as nan is."""

    def fit(self, X, y=None):
        """Find the categories."""
        return super().fit(_missing_as_nan(X), y)

    def transform(self, X):
        """Encode rows."""
        return super().transform(_missing_as_nan(X))


def _missing_as_nan(X):
    """Columns of categories in which nan alone stands for missing values."""
    if is_frame(X):
        columns = {i: _frame_column_with_nan(X.iloc[:, i]) for i in range(X.shape[1])}
        return type(X)(columns, index=X.index)
    if X.dtype != object:
        return X
    return np.where(np.vectorize(lambda value: value is None, otypes=[bool])(X), np.nan, X)


def _frame_column_with_nan(column):
    """A column of a data frame; only one of text or objects can hold something else than nan."""
    if column.dtype == "category" or column.dtype.kind != "O":
        return column
    return type(column)(column.to_numpy(object, na_value=np.nan), index=column.index, dtype=object)


def is_frame(X):
    """Whether X is a data frame as pandas makes them."""
    return hasattr(X, "iloc") and hasattr(X, "columns")


def categorical_columns(X, categorical_features):
    """Positions of the categorical columns of a table."""
    if isinstance(categorical_features, str):
        columns = range(X.shape[1]) if is_frame(X) else ()
        return [i for i in columns if _holds_categories(X.iloc[:, i])]
    if categorical_features is None:
        return []
    n_columns = X.shape[1] if hasattr(X, "shape") else np.shape(X)[1]
    chosen = np.atleast_1d(np.asarray(categorical_features))
    if chosen.dtype.kind == "b":
        if len(chosen) != n_columns:
            raise ValueError(f"categorical_features is a mask of {len(chosen)} columns, but X has {n_columns}.")
        return np.flatnonzero(chosen).tolist()
    names = list(getattr(X, "columns", range(n_columns)))
    missing = [name for name in chosen.tolist() if name not in names and name not in range(n_columns)]
    if missing:
        raise ValueError(f"categorical_features names {missing}, which are not among the columns of X: {names}.")
    return [names.index(name) if name in names else name for name in chosen.tolist()]


def _holds_categories(column):
    """Whether a column of a data frame is declared categorical, or holds text."""
    if column.dtype == "category":
        return True
    return column.dtype.kind in "OUST" and any(isinstance(value, str) for value in column)


def fit_columns(X, categorical, numeric_embedding, allow_missing):
    """A fitted transformer of a table: numbers standardised or embedded, then indicators, then category codes.

    Parameters
    ----------
    X : array or data frame of shape (n, n_columns)
    categorical : list of int
        Positions of the columns to encode; a value that is unknown or missing gets code -1.
    numeric_embedding : {"piecewise"} or None
    allow_missing : bool
        Whether missing numbers are replaced by the mean, and marked in a column of their own.
    """
    numeric = [i for i in range(X.shape[1]) if i not in categorical]
    steps = [MeanImputer(add_indicator=True, keep_empty_features=True)] if allow_missing else []
    steps.append(StandardScaler() if numeric_embedding is None else PiecewiseLinearEncoder())
    codes = CategoryEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    kinds = [("numbers", make_pipeline(*steps), numeric), ("categories", codes, categorical)]
    transformer = ColumnTransformer([kind for kind in kinds if kind[2]], sparse_threshold=0)
    with config_context(transform_output="default"):
        return transformer.fit(X)


def as_numbers(columns, X):
    """A table through a fitted transformer."""
    with config_context(transform_output="default"):
        return columns.transform(X)


def cardinalities(columns):
    """The number of categories of each categorical column that a transformer knows."""
    if "categories" not in columns.named_transformers_:
        return []
    return [len(categories) for categories in columns.named_transformers_["categories"].categories_]


class TabularModule(nn.Module):
    """An `MLPModule` that takes categories by learnt embeddings.

    Parameters
    ----------
    n_features, n_outputs : int
        Columns of the rows, category codes last, and outputs.
    cardinalities : list of int
        Categories of each of the last columns. Code -1, for unknown ones, is embedded as zeros.
    hidden_units, activation, dropout, dtype
        As in `MLPModule`.
    """

    def __init__(self, n_features, n_outputs, cardinalities, hidden_units, activation, dropout, dtype):
        super().__init__()
        self.n_numbers = n_features - len(cardinalities)
        widths = [min(WIDEST_EMBEDDING, (n + 1) // 2) for n in cardinalities]
        sizes = [n + 1 for n in cardinalities]
        self.embeddings = nn.ModuleList(nn.Embedding(*size, padding_idx=0) for size in zip(sizes, widths))
        with torch.no_grad():
            for embedding in self.embeddings:
                embedding.weight.mul_(FIRST_EMBEDDINGS)
        self.network = MLPModule([self.n_numbers + sum(widths), *hidden_units, n_outputs], activation, dropout, dtype)
        draw_weights(self.network, [torch.default_generator])

    def forward(self, X):
        """Map rows of shape (n, n_features) to raw outputs of shape (n, n_outputs)."""
        codes = X[:, self.n_numbers :].long() + 1
        embedded = [embedding(codes[:, i]) for i, embedding in enumerate(self.embeddings)]
        return self.network(torch.cat([X[:, : self.n_numbers], *embedded], 1))
