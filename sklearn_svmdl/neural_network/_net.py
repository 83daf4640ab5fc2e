"""The skorch net inside the estimators."""

import numpy as np
import torch
from skorch import NeuralNet
from torch import nn

from ._heads import HEADS
from ._lbfgs import minimise_loss
from ._loop import TrainingLoop
from ._module import MLPModule, draw_weights
from ._random import borrowed_global_generator
from ._solvers import torch_optimizer


class Criterion(nn.Module):
    """The head's mean loss as the torch module that skorch expects."""

    def __init__(self, head_name):
        super().__init__()
        self.head_name = head_name

    def forward(self, z, targets):
        """Mean loss of raw outputs against targets (class codes or numbers)."""
        if targets.ndim == 1:
            n_outputs = z.shape[1]
            targets = nn.functional.one_hot(targets, n_outputs) if n_outputs > 1 else targets.unsqueeze(1)
        return HEADS[self.head_name].row_losses(z, targets.to(z.dtype)).mean()


class MLPNet(NeuralNet):
    """A skorch net that trains on weighted `Rows` and stops as scikit-learn's MLPs do.

    Parameters
    ----------
    module : class or callable
        `MLPModule`, or a user's ``module(n_features, n_outputs)``.
    head_name : str
        A key of `HEADS`.
    shape : tuple of int
        Number of features and number of outputs.
    dtype : torch.dtype
        Precision of the parameters.
    **kwargs
        skorch's own parameters.
    """

    def __init__(self, module, *, head_name, shape, dtype, **kwargs):
        super().__init__(module, Criterion, criterion__head_name=head_name, train_split=None, **kwargs)
        self.head_name = head_name
        self.shape = shape
        self.dtype = dtype
        self.predict_nonlinearity = None

    @property
    def head(self):
        """The output head."""
        return HEADS[self.head_name]

    @property
    def is_custom(self):
        """Whether the module is the user's own."""
        return self.module is not MLPModule

    @property
    def _default_callbacks(self):
        """None: the training loop keeps the history and prints the progress line itself."""
        return []

    def trim(self):
        """Bring the net to the CPU, with nothing on it that only training needed."""
        self.module_.to("cpu")
        self.criterion_.to("cpu")
        self.device = "cpu"
        self._generator = self._recipe = self._loop = None
        for row in self.history:
            row["batches"] = []
        return self

    def build(self, generator, recipe):
        """Make everything but the optimizer, the first weights drawn from the generator."""
        self._generator, self._recipe = generator, recipe
        return self.initialize()

    def initialize_module(self):
        """Make `module_`; a user's module draws from torch's global generator, which is then put back."""
        if self.is_custom:
            with borrowed_global_generator(self._generator):
                self.module_ = self.module(*self.shape)
            if not isinstance(self.module_, nn.Module):
                raise TypeError(f"module must make a torch.nn.Module, got {type(self.module_).__name__}.")
            self.module_.to(self.dtype)
        else:
            super().initialize_module()
            draw_weights(self.module_, self._generator)
        return self

    def _initialize_optimizer(self, reason=None):
        """Postponed until a trainer asks for one: making it is slow, and the fast path needs none."""
        return super()._initialize_optimizer(reason) if self.initialized_ else self

    def initialize_optimizer(self, triggered_directly=None):
        """Make `optimizer_`, the torch form of the recipe's solver."""
        weights = [p for p in self.module_.parameters() if p.ndim > 1]
        others = [p for p in self.module_.parameters() if p.ndim <= 1]
        self.optimizer_ = torch_optimizer(weights, others, self._recipe)
        return self

    def natural_targets(self, targets):
        """The targets as skorch callbacks expect them: class codes, or numbers."""
        if self.head_name == "multiclass":
            return targets.argmax(1)
        return targets[:, 0].long() if self.head_name == "binary" else targets

    def predict_proba(self, X):
        """The head's predictions for rows, in the units the net was trained on."""
        return self.head.link(torch.from_numpy(super().predict_proba(X))).numpy()

    def predict(self, X):
        """Class codes, label indicators, or numbers in the units the net was trained on."""
        scores = self.predict_proba(X)
        if self.head_name == "multiclass":
            return scores.argmax(1)
        if self.head.row_hits is None:
            return scores
        hits = (scores > 0.5).astype(np.int64)
        return hits[:, 0] if self.head_name == "binary" else hits

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Prepare the loop for a `Job` before any callback is told, so that callbacks find an optimizer."""
        self._recipe = X.recipe
        self._loop = None if X.recipe.solver == "lbfgs" else TrainingLoop(self, X)

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Run a `Job`."""
        if self._loop is None:
            minimise_loss(self, X)
        else:
            self._loop.run()
        return self
