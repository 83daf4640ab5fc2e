"""The classifier."""

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted

from .._callbacks import fit_task
from .._class_weight import ClassFactors
from .._sklearn_private import Interval, StrOptions, _check_partial_fit_first_call
from .._typing import (
    Activation,
    Array,
    ClassWeight,
    LearningRate,
    MatrixLike,
    Number,
    Precision,
    RandomState,
    Solver,
    Whole,
    available_if,
    fit_context,
)
from ._base import BaseTorchMLP, averaged
from ._heads import Task
from ._net import ClassifierNet


class TorchMLPClassifier(ClassifierMixin, BaseTorchMLP):
    """Multi-layer perceptron classifier on torch, with the parameters of scikit-learn's MLPClassifier.

    Minimises the weighted mean log-loss plus ``alpha / 2`` times the squared weights over the total weight,
    by stochastic gradient steps or L-BFGS. Beyond MLPClassifier it takes class weights, dropout, a validation
    set of the user's own, skorch callbacks, GPUs and any torch module.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer. ``()`` is a single perceptron: logistic, softmax or linear regression by
        gradient descent.
    activation : {"identity", "logistic", "tanh", "relu", "silu", "gelu"}, default="relu"
        Activation of the hidden layers.
    solver : {"lbfgs", "sgd", "adam", "adamw"}, default="adam"
        "adam" and "sgd" as in scikit-learn; "adamw" is Adam with decoupled weight decay; "lbfgs" minimises
        the loss over all rows at once by quasi-Newton steps.
    alpha : float in [0, inf), default=0.0001
        Strength of the L2 penalty on the weights (never on the biases), divided by the weight of the batch
        when added to the loss. With "adamw" each step instead multiplies the weights by ``1 - learning rate *
        alpha``.
    batch_size : int or "auto", default="auto"
        Rows a step; "auto" is ``min(200, n_samples)``. Not used with "lbfgs".
    learning_rate : {"constant", "invscaling", "adaptive", "cosine"}, default="constant"
        How the learning rate moves from epoch to epoch. "invscaling": ``learning_rate_init / t_ ** power_t``;
        "adaptive": divided by 5 when training stops improving; both with "sgd" only. "cosine": half a cosine
        from `learning_rate_init` to 0 at `max_iter` epochs, with every stochastic solver.
    learning_rate_init : float in (0, inf), default=0.001
        The first learning rate.
    power_t : float in [0, inf), default=0.5
        Exponent of "invscaling".
    max_iter : int in [1, inf), default=200
        Largest number of epochs, or of "lbfgs" iterations.
    shuffle : bool, default=True
        Whether to draw the batches anew in each epoch. If False the rows are taken in the order given.
    random_state : int, RandomState instance or None, default=None
        Determines the first weights, the batches, dropout and the held-out part. An int makes fits equal to
        the last bit. numpy's and torch's global generators are never touched.
    tol : float in [0, inf), default=1e-4
        Improvement of the loss (or of the validation score, with `early_stopping`) below which an epoch
        counts as none.
    verbose : bool or int, default=False
        Whether to print a line an epoch: time, loss and score, and the same of the watched part.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last fit.
    momentum : float in [0, 1], default=0.9
        Momentum of "sgd".
    nesterovs_momentum : bool, default=True
        Whether the momentum of "sgd" is Nesterov's.
    early_stopping : bool, default=False
        Whether to stop when the score on a held-out part no longer improves, and to restore the weights of
        the best epoch. Not used with "lbfgs", which then trains on all rows.
    validation_fraction : float in [0, 1), default=0.1
        Share of the rows held out by `early_stopping` or `monitor_validation`, unless `fit` is given `X_val`
        and `y_val`.
    beta_1, beta_2 : float in [0, 1), default=0.9, 0.999
        Decay of Adam's moment estimates.
    epsilon : float in (0, inf), default=1e-8
        Keeps Adam's division away from zero.
    n_iter_no_change : int in [1, inf) or np.inf, default=10
        Epochs without improvement after which training stops. ``tol=0, n_iter_no_change=np.inf`` trains for
        exactly `max_iter` epochs, without a warning.
    max_fun : int in [1, inf), default=15000
        Largest number of loss evaluations of "lbfgs".
    class_weight : dict, list of dict, "balanced" or None, default=None
        Factors of the loss of each class, also in validation. "balanced" gives every class the same total
        weight among the rows given to `fit` (so in each fold of a cross-validation) or to each `partial_fit`.
    dropout : float in [0, 1), default=0.0
        Share of the hidden activations set to zero in each training step. Not used with `module`, nor with
        "lbfgs": random zeros would make its loss another function at every evaluation.
    device : str, default="cpu"
        "cpu", "cuda" (or "cuda:1" ...), "mps", or "auto" for the fastest of these that is there. The fitted
        net always lives on the CPU, so it can be pickled and loaded anywhere; predictions move it to `device`
        where that exists.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision of the computation; "auto" keeps that of X for one network, and takes float32 for several. float32
        is faster. The same `random_state` gives the same first weights and batches in both.
    callbacks : list of skorch callbacks or None, default=None
        Each a callback, its class, or a pair (name, callback). Copied before training; afterwards they are in
        ``net_.callbacks_``. skorch's own loop then trains the same network, in up to three times the time
        where a callback looks at batches and they are small. They see the epochs under skorch's names
        ``train_loss`` and ``valid_loss`` and under ours (see `history_`); y is what `net_` takes.
    module : callable or None, default=None
        A `torch.nn.Module` class, or a function, called as ``module(n_features, n_outputs)``; it must map
        rows to raw outputs of shape (n_samples, n_outputs), without softmax or sigmoid. Trained by autograd in
        skorch's own loop; `hidden_layer_sizes`, `activation` and `dropout` are then not used.
    monitor_validation : bool, default=False
        Whether to hold out `validation_fraction` of the rows only to watch them, as Keras'
        ``validation_split`` does. Not used with "lbfgs".
    n_networks : int in [1, inf), default=1
        Networks of this shape trained side by side, each from first weights and in row orders of its own, whose
        probabilities are averaged; `predict_spread` tells how much they disagree. Eight small ones take two to
        three times as long as one. Each stops by itself. For the built-in network without callbacks.
    label_smoothing : float in [0, 1), default=0.0
        How far the targets are moved from the label towards even shares of the classes, in training.
    categorical_features : "auto", array-like or None, default="auto"
        Columns of X that hold categories: "auto" for those of a pandas data frame that are declared categorical or
        hold text, else their names, positions, or a mask. They are taken by embeddings that are learnt (by
        autograd, in skorch's loop), unknown and missing values as zeros; the other columns are then standardised.
    numeric_embedding : "piecewise" or None, default=None
        "piecewise" takes each number by how far it is through each of its column's quantile bins. Not for CSR.
    allow_missing : bool, default=False
        Whether numbers may be missing (nan): they are replaced by the mean and marked in a column of their own.
        The columns are then standardised. Not for CSR.
    criterion : callable or None, default=None
        A torch criterion, or a function, in place of the built-in loss: called with raw outputs and
        class codes (n,) of three classes and more, else class indicators (n, n_outputs). With weights it must
        give one number a row, as torch's do with ``reduction="none"``, which is set then.
    optimizer : callable or None, default=None
        A torch optimizer in place of `solver`'s, called with the parameters and ``lr=learning_rate_init``.
    iterator_train, iterator_valid : callable or None, default=None
        A `torch.utils.data.DataLoader` or the like in place of the built-in batches.
    **skorch_parameters
        Parameters of these parts, as in skorch: ``module__width``, ``criterion__weight``, ``optimizer__momentum``,
        ``iterator_train__drop_last``, ``callbacks__name__patience``. They can be set and searched.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels, sorted.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X has string names only.
    coefs_ : list of ndarray of shape (n_inputs, n_units)
        Weights of each layer; with `n_networks` > 1 the networks come first. Not there with `module`.
    intercepts_ : list of ndarray of shape (n_units,)
        Biases of each layer, alike. Not there with `module`.
    loss_ : float
        Loss of the last epoch. Each batch enters it as it was before its step, the penalty as it is at the end of the
        epoch, where `MLPClassifier` has the mean of what it was at each step. With `n_networks` > 1, losses and
        scores are means over the networks.
    loss_curve_ : list of float
        Loss of every epoch. Not with "lbfgs".
    best_loss_ : float or None
        Smallest of them; None with `early_stopping`. Not with "lbfgs".
    validation_scores_ : list of float or None
        Accuracy on the watched part after every epoch; None if there was none. Not with "lbfgs".
    best_validation_score_ : float or None
        Largest of them. Not with "lbfgs".
    n_iter_ : int
        Epochs (or "lbfgs" iterations) of the last call of `fit` or `partial_fit`.
    t_ : int
        Rows seen in training, a row counting once an epoch.
    n_layers_ : int
        Number of layers, inputs and outputs included. Not there with `module`.
    n_outputs_ : int
        Number of outputs.
    n_networks_ : int
        Number of networks.
    out_activation_ : str
        Name of the output activation.
    net_ : skorch.NeuralNet
        The skorch net, fitted: it predicts, goes on training, saves and loads parameters. It speaks of classes by
        their positions in `classes_`.
    module_ : torch.nn.Module
        The trained module; it returns raw outputs.
    history_ : list of dict
        One record an epoch: epoch, loss, accuracy, val_loss, val_accuracy, lr, dur (seconds). Columns of
        callbacks follow.

    See Also
    --------
    TorchMLPRegressor : The same for regression.
    sklearn.neural_network.MLPClassifier : scikit-learn's own.

    Notes
    -----
    Whole-number `sample_weight` are the same as repeated rows, to the last bit, as long as they add up to at
    most ten times the number of rows; other weights multiply the loss of their rows. With `shuffle` the order
    of the rows in X has no influence: they are sorted by content before the seeded shuffle. A last batch of a
    single row joins the one before it.

    A `ConvergenceWarning` says when the loss is not finite at the end, or above that of always predicting the
    same. A fit that raises an error leaves the estimator as it was. Warm starts and `partial_fit` refuse another
    architecture, loss or precision than that of the network they go on with.

    A validation set given to `fit` is not seen by the steps of a pipeline, unless
    ``Pipeline(transform_input=["X_val"])`` is used with metadata routing.
    With one class only, its probability is 1.

    References
    ----------
    Gorishniy, Y., Rubachev, I. and Babenko, A. (2022). On embeddings for numerical features in tabular deep
    learning. NeurIPS.

    Glorot, X. and Bengio, Y. (2010). Understanding the difficulty of training deep feedforward neural
    networks. AISTATS.

    Kingma, D. and Ba, J. (2015). Adam: a method for stochastic optimization. ICLR.

    Loshchilov, I. and Hutter, F. (2019). Decoupled weight decay regularization. ICLR.

    Srivastava, N. et al. (2014). Dropout: a simple way to prevent neural networks from overfitting. JMLR 15.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_svmdl import TorchMLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> network = TorchMLPClassifier((16,), learning_rate_init=0.01, max_iter=500, random_state=0)
    >>> make_pipeline(StandardScaler(), network).fit(X, y).score(X, y) > 0.95
    True
    """

    _parameter_constraints: dict = {
        **BaseTorchMLP._parameter_constraints,
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        hidden_layer_sizes: Whole | ArrayLike = (100,),
        activation: Activation = "relu",
        *,
        solver: Solver = "adam",
        alpha: Number = 0.0001,
        batch_size: Whole | Literal["auto"] = "auto",
        learning_rate: LearningRate = "constant",
        learning_rate_init: Number = 0.001,
        power_t: Number = 0.5,
        max_iter: Whole = 200,
        shuffle: bool = True,
        random_state: RandomState = None,
        tol: Number = 1e-4,
        verbose: Whole = False,
        warm_start: bool = False,
        momentum: Number = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: Number = 0.1,
        beta_1: Number = 0.9,
        beta_2: Number = 0.999,
        epsilon: Number = 1e-8,
        n_iter_no_change: Number = 10,
        max_fun: Whole = 15000,
        class_weight: ClassWeight | list[dict[Any, Any]] = None,
        dropout: Number = 0.0,
        device: str = "cpu",
        dtype: Precision = "auto",
        callbacks: Sequence[Any] | None = None,
        module: Callable[..., Any] | None = None,
        monitor_validation: bool = False,
        n_networks: Whole = 1,
        label_smoothing: Number = 0.0,
        categorical_features: Literal["auto"] | ArrayLike | None = "auto",
        numeric_embedding: Literal["piecewise"] | None = None,
        allow_missing: bool = False,
        criterion: Callable[..., Any] | None = None,
        optimizer: Callable[..., Any] | None = None,
        iterator_train: Callable[..., Any] | None = None,
        iterator_valid: Callable[..., Any] | None = None,
        **skorch_parameters: Any,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.class_weight = class_weight
        self.dropout = dropout
        self.device = device
        self.dtype = dtype
        self.callbacks = callbacks
        self.module = module
        self.monitor_validation = monitor_validation
        self.n_networks = n_networks
        self.label_smoothing = label_smoothing
        self.categorical_features = categorical_features
        self.numeric_embedding = numeric_embedding
        self.allow_missing = allow_missing
        self.criterion = criterion
        self.optimizer = optimizer
        self.iterator_train = iterator_train
        self.iterator_valid = iterator_valid
        self._set_nested(skorch_parameters)

    @fit_context(prefer_skip_nested_validation=True)
    @fit_task(lambda self: self._most_epochs())
    def fit(
        self,
        X: MatrixLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        X_val: MatrixLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : {array-like, CSR} of shape (n_samples, n_features)
            Training rows, or a data frame with columns of categories too. CSR rows are made dense a batch at a time.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels of any kind, or label indicators.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0 of the rows, in the loss and in the score of the held-out part.
        X_val, y_val : like X and y, default=None
            Rows to watch instead of a held-out part: by `early_stopping` if set, else only in `history_`.
        sample_weight_val : array-like, default=None
            Weights of these rows.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the weights turn non-finite in training (and `early_stopping` has no finite ones to restore),
            or the input is not what is described here.
        MemoryError
            If memory runs out; it says what was needed, and what to try.
        KeyboardInterrupt
            If the user ends the training before its first epoch is over. Later, what is learnt is kept, with a warning.
        """
        with self._all_or_nothing():
            return self._fit(X, y, sample_weight, (X_val, y_val, sample_weight_val))

    @available_if(lambda self: self._check_solver())
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch over the given rows, going on from where the last call left off.

        Parameters
        ----------
        X : {array-like, CSR} of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0 of the rows.
        classes : array-like of shape (n_classes,), default=None
            All classes there will be; needed in the first call only.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If `classes` is missing in the first call, y has other classes, or `early_stopping` is set.
        """
        with self._all_or_nothing():
            if _check_partial_fit_first_call(self, classes):
                is_multilabel = type_of_target(y).startswith("multilabel")
                self._label_binarizer = LabelBinarizer().fit(y if is_multilabel else classes)
            return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: MatrixLike) -> Array:
        """Predict the class labels.

        Parameters
        ----------
        X : {array-like, CSR} of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            The most probable class, or for multilabel targets every label of probability above 1/2.
        """
        check_is_fitted(self)
        if self.n_networks_ > 1:
            scores, threshold = averaged(self._outputs(X)), 0.5
        else:
            scores, threshold = self._outputs(X, linked=False), 0.0
        if self.out_activation_ == "softmax":
            return self.classes_[scores.argmax(1)]
        chosen = (scores > threshold).astype(np.int64)
        if self._label_binarizer.y_type_.startswith("multilabel"):
            return self._label_binarizer.inverse_transform(chosen)
        return self.classes_[chosen[:, 0] if len(self.classes_) == 2 else np.zeros(len(chosen), np.int64)]

    def predict_proba(self, X: MatrixLike) -> Array:
        """Predict the class probabilities.

        Parameters
        ----------
        X : {array-like, CSR} of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_classes)
            Probability of each class, in the order of `classes_`; for multilabel targets that of each label.
        """
        probability = averaged(self._outputs(X))
        if self.out_activation_ == "logistic":  # rounding must not make a prediction certain
            np.minimum(probability, 1 - np.finfo(probability.dtype).eps, out=probability)
        if len(self.classes_) == 1:
            return np.ones_like(probability)
        return self._of_both_classes(probability)

    @available_if(lambda self: self._has_members())
    def predict_spread(self, X: MatrixLike) -> Array:
        """Predict how much the networks disagree.

        Parameters
        ----------
        X : {array-like, CSR} of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        spread : ndarray of shape (n_samples, n_classes)
            Standard deviation over the networks of each class's (or label's) probability, between 0 and 1/2.
        """
        check_is_fitted(self)
        if len(self.classes_) == 1:
            return np.zeros_like(self._outputs(X)[0])
        return self._of_both_classes(self._outputs(X)).std(0)

    @staticmethod
    def _of_both_classes(probability):
        """The probabilities of two classes where the net has one output for both."""
        if probability.shape[-1] > 1:
            return probability
        return np.concatenate([1 - probability, probability], axis=-1)

    def predict_log_proba(self, X: MatrixLike) -> Array:
        """Predict the logarithms of the class probabilities.

        Parameters
        ----------
        X : {array-like, CSR} of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        log_probability : ndarray of shape (n_samples, n_classes)
            The logarithm of `predict_proba`, -inf where that rounds to 0.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    _net_class = ClassifierNet

    def _learn_targets(self, y, sample_weight, first_pass, incremental):
        check_classification_targets(y)
        if first_pass and not incremental:
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_known(y, all_of_them=self.warm_start and not incremental)
        self._class_factors = ClassFactors(self.class_weight, self.classes_, y, sample_weight)

    def _check_watched(self, y):
        self._check_known(y)

    def _check_known(self, y, all_of_them=False):
        """The classes of y must be among those of the first fit, and all of them when fit starts warm."""
        labels = unique_labels(y)
        if all_of_them and set(labels) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {labels}"
            )
        if len(np.setdiff1d(labels, self.classes_)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {labels}."
            )

    def _encoded(self, y):
        return self._label_binarizer.transform(y) if y.ndim == 2 else np.searchsorted(self.classes_, y)

    def _loss_weight(self, y):
        return self._class_factors.of(y)

    @property
    def _head_name(self):
        return self._label_binarizer.y_type_

    def _n_outputs(self, y):
        return 1 if self._head_name == "binary" else len(self.classes_)

    def _make_task(self, rows):
        y = rows.dataset.y
        return Task(self._head_name, rows.dataset.X.shape[1], self._n_outputs(y), flat=y.ndim == 1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
