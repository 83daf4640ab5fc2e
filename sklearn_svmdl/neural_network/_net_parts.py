"""How the parts of the net are made: module, criterion, optimizer and iterators, built-in ones or the user's."""

from inspect import signature

import numpy as np
import torch
from scipy import sparse
from skorch import NeuralNet
from torch import nn
from torch.utils.data import DataLoader

from ._heads import HeadLoss
from ._module import MLPModule, draw_weights, is_penalised
from ._rows import RowBatches, Rows, WeightedDataset
from ._runtime import borrowed_global_generator, make_generator
from ._solvers import FlatOptimizer, torch_optimizer


class NetParts(NeuralNet):
    """The places that skorch leaves open to say how parts are made; the rest is said by `MLPNet`."""

    # The optimizer is made late, but it is one of the parts all along.
    prefixes_ = [*NeuralNet.prefixes_, "optimizer"]
    _optimizers = ["optimizer"]

    def initialize(self):
        """Make all parts but the optimizer, the first weights drawn from generators of our own."""
        self.generators_ = [make_generator(seed) for seed in self.seeds]
        self.solver_state_ = None
        return super().initialize()

    @property
    def has_own_parts(self):
        """Whether anything but callbacks and the optimizer is the user's."""
        iterators = {self.iterator_train, self.iterator_valid}
        return self.module is not MLPModule or self.criterion is not HeadLoss or iterators != {RowBatches}

    def initialize_module(self):
        """Make `module_`; a user's module draws from torch's global generator, which is then put back."""
        generators = self.generators_ or [make_generator(seed) for seed in self.seeds]
        if self.module is MLPModule:
            super().initialize_module()
            draw_weights(self.module_, generators)
            return self
        with borrowed_global_generator(generators[0]):
            module = self._own_module()
        if not isinstance(module, nn.Module):
            raise TypeError(f"module must make a torch.nn.Module, got {type(module).__name__}.")
        self.module_ = module.to(self.torch_dtype_)
        return self

    def _own_module(self):
        """The user's module of the number of features and outputs, with the parameters module__..."""
        shape, given = (self.task.n_features, self.task.n_outputs), self.get_params_for("module")
        names = list(signature(self.module).parameters)[:2] if given else []
        if set(names) & set(given):  # skorch's InputShapeSetter may say them too
            return self.module(**dict(zip(names, shape)) | given)
        return self.module(*shape, **given)

    def initialize_criterion(self):
        """Make `criterion_`; row by row where a torch criterion has to be weighted."""
        if self.criterion is HeadLoss:
            self.criterion_ = HeadLoss(self.task.head_name)
            return self
        given = self.get_params_for("criterion")
        is_weighted = self.run_ is not None and self.run_.train.dataset.weight is not None
        if is_weighted and "reduction" in signature(self.criterion).parameters:
            given.setdefault("reduction", "none")
        self.criterion_ = self.initialized_instance(self.criterion, given)
        return self

    def _initialize_optimizer(self, reason=None):
        """Postponed until a step asks for one: making it is slow, and the fast loop needs none."""
        return super()._initialize_optimizer(reason) if self.supervisor_ is not None else self

    def initialize_optimizer(self):
        """Make `optimizer_`: the user's, or the recipe's solver."""
        if self.optimizer is not FlatOptimizer:
            return super().initialize_optimizer()
        settings = self.get_params_for("optimizer")
        if self.gradient_ is not None and not settings:
            self.optimizer_ = FlatOptimizer(self.gradient_, self.recipe)
        elif "param_groups" in settings:
            (groups,), settings = self.get_params_for_optimizer("optimizer", self.get_all_learnable_params())
            self.optimizer_ = torch_optimizer(groups, self.recipe, **settings)
        else:
            self.optimizer_ = torch_optimizer(self._parameter_groups(), self.recipe, **settings)
        return self

    def _parameter_groups(self):
        """The weights, which adamw shrinks, and the rest."""
        named = list(self.get_all_learnable_params())
        weights = [p for name, p in named if is_penalised(name, p)]
        others = [p for name, p in named if not is_penalised(name, p)]
        decay = self.recipe.alpha if self.recipe.solver == "adamw" else 0.0
        groups = [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
        return [group for group in groups if group["params"]]

    def get_iterator(self, dataset, training=False):
        """skorch's iterator; our own, for data sets that it knows, with our generator."""
        iterator = self.iterator_train if training else self.iterator_valid
        shuffled = training and self.recipe.shuffle
        if iterator is not RowBatches:
            return self._own_iterator(dataset, training, shuffled)
        data = dataset.dataset if isinstance(dataset, Rows) else dataset
        batch_size = self.get_params_for("iterator_train" if training else "iterator_valid").get("batch_size")
        batch_size = batch_size or self.batch_size
        if not isinstance(data, WeightedDataset) or not (isinstance(data.X, np.ndarray) or sparse.issparse(data.X)):
            return DataLoader(dataset, batch_size, shuffle=shuffled)
        if not shuffled:
            return RowBatches(dataset, batch_size)
        # While the global generator is lent ours, it is the one to draw from.
        return RowBatches(dataset, batch_size, torch.default_generator if self.has_own_parts else self.generators_[0])

    def _own_iterator(self, dataset, training, shuffled):
        """A user's iterator; torch's own shuffles as the estimator is told to, unless told otherwise."""
        is_loader = isinstance(self.iterator_train, type) and issubclass(self.iterator_train, DataLoader)
        given = self.get_params_for("iterator_train")
        if not (training and is_loader and shuffled) or {"shuffle", "sampler", "batch_sampler"} & set(given):
            return super().get_iterator(dataset, training)
        given.setdefault("batch_size", self.batch_size)
        return self.iterator_train(dataset, shuffle=True, **given)
