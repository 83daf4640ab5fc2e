"""What a step of the net is: the outputs and the loss of a batch, and the gradient it leaves."""

import torch
from skorch.utils import to_tensor

from ._gradient import silent_overflow
from ._heads import HeadLoss, smoothed
from ._module import MLPModule, as_matrix, penalised
from ._net_parts import NetParts
from ._rows import without_weight


class NetSteps(NetParts):
    """The places that skorch leaves open to say what a step and a loss are; the rest is said by `MLPNet`."""

    def train_step_single(self, batch, **fit_params):
        """Outputs and loss of a batch, the gradient left on the parameters: written out, or by autograd."""
        if self.gradient_ is None:
            return super().train_step_single(batch, **fit_params)
        if self.gradient_.is_overheard():
            self.gradient_.grad.zero_()
            self.gradient_.attach()
            return super().train_step_single(batch, **fit_params)
        if not self.module_.training:
            self._set_training(True)
        X, weight = self._rows_of(batch[0])
        targets = self.training_targets(batch[1])
        with silent_overflow():
            z = self.gradient_.evaluate(X, targets, weight)
        self.gradient_.attach()
        self.seen_ = targets, weight, None
        loss = self.criterion_.forward(z, targets, weight)
        return {"loss": self._penalised_loss(loss, z.shape[0], weight), "y_pred": z}

    def infer(self, x, **fit_params):
        """Raw outputs of shape (n, n_outputs) for rows, with or without weights."""
        X, _ = self._rows_of(x)
        z = self.module_(X, **fit_params)
        return z if self.module is MLPModule else as_matrix(z, len(X), self.task.n_outputs)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """The weighted loss of a batch; in training, of smoothed targets and with the penalty."""
        _, weight = without_weight(X)
        loss = self.data_loss(y_pred, y_true, weight, training)
        return self._penalised_loss(loss, len(y_pred), weight) if training else loss

    def data_loss(self, z, y, weight, training):
        """The weighted loss of a batch by the criterion alone."""
        y = self._tensor(y)
        weight = None if weight is None else self._tensor(weight)
        targets = self.training_targets(y) if training else self.task.targets(y, z.dtype)
        if self.criterion is HeadLoss:
            self.seen_ = targets, weight, None
            return self.criterion_(z, targets, weight)
        loss = weighted(self.criterion_(z, self.task.natural_targets(y, z.dtype)), weight)
        self.seen_ = targets, weight, loss.item()
        return loss

    def _rows_of(self, x):
        """A batch's rows in the precision of the parameters, and their weights or None."""
        X, weight = without_weight(x)
        X = self._tensor(X)
        if X.dtype is not self.torch_dtype_:
            X = X.to(self.torch_dtype_)
        return X, None if weight is None else self._tensor(weight)

    def _tensor(self, values):
        """As skorch's `to_tensor`, at no cost for what is one already."""
        if self.device == "cpu" and isinstance(values, torch.Tensor):
            return values
        return to_tensor(values, self.device)

    def training_targets(self, y):
        """The targets to train on, smoothed ones if asked for, of a batch's y."""
        targets = self.task.targets(self._tensor(y), self.torch_dtype_)
        amount = self.recipe.label_smoothing
        return smoothed(targets, self.task.head, amount) if amount else targets

    def _penalised_loss(self, loss, n_rows, weight):
        if not self.recipe.penalty:
            return loss
        squares = self.squared_weights(differentiable=loss.requires_grad)
        if weight is None:
            return torch.add(loss, squares, alpha=0.5 * self.recipe.penalty / n_rows)
        return loss + 0.5 * self.recipe.penalty / weight.sum() * squares

    def squared_weights(self, differentiable=False):
        """The sum of the squares that alpha shrinks, a number or one a network, as a tensor."""
        if self.gradient_ is not None and not differentiable:
            return self.gradient_.squared_weights()
        squares = sum((w.square().sum() for w in penalised(self.module_)), torch.zeros(()))
        return squares if differentiable else squares.detach()


def weighted(loss, weight):
    """A criterion's loss as one number: the weighted mean of what it says of each row."""
    if loss.ndim == 0:
        if weight is not None:
            raise ValueError(
                "criterion returns one number for a batch, so rows cannot be weighted by sample_weight or "
                "class_weight. Let it return one number a row, or train without weights."
            )
        return loss
    losses = loss.reshape(len(loss), -1).sum(1)
    return losses.mean() if weight is None else (losses * weight).sum() / weight.sum()
