"""Epoch after epoch: set the rate, train, look at the held-out rows, take note, decide whether to go on.

`Supervisor` does all of this but the training, for both loops: skorch's own, and `train_fast`, which does the
same for a plain network without the work that only callbacks and custom parts need.
"""

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite

import numpy as np
import torch
from skorch.callbacks import Callback

from ._gradient import silent_overflow
from ._module import outputs
from ._recipe import next_rate
from ._rows import Batches, Rows, batch_sizes
from ._solvers import flat_solver, flat_state, load_flat_state

NON_FINITE = (
    "Training produced non-finite weights with learning_rate_init={rate!r} and solver={solver!r}. Scale the "
    "features (for instance with StandardScaler in a Pipeline), or try a smaller learning_rate_init, a "
    "larger alpha, or early_stopping=True, which goes back to the best epoch."
)


class StopTraining(KeyboardInterrupt):
    """Ends the loop, as we or a callback want; skorch takes any KeyboardInterrupt for this."""


@contextmanager
def noting_interruption(run):
    """Note that the user interrupts."""
    try:
        yield
    except StopTraining:
        raise
    except KeyboardInterrupt:
        run.interrupted = True
        raise


@dataclass
class Run:
    """What one call of fit or partial_fit asks of the net, and how it went.

    progresses : one Progress for each network.
    train, valid : the rows to learn from and to watch (or None); y as the net's `Task` takes it.
    rows_seen, epochs_before : by earlier calls that this one goes on from.
    tasks : a skorch Callback that is told of epochs after those of the net.
    """

    progresses: list
    epochs: int
    train: Rows
    valid: Rows | None
    batch_size: int
    tasks: Callback = field(default_factory=Callback, repr=False)
    rows_seen: int = 0
    epochs_before: int = 0
    incremental: bool = False
    epochs_done: int = 0
    interrupted: bool = False
    last_outputs: torch.Tensor | None = field(default=None, repr=False)

    @property
    def n_batches(self):
        """Steps of an epoch."""
        return len(batch_sizes(len(self.train), self.batch_size))

    @property
    def stopped(self):
        """Whether every network has stopped improving."""
        return all(progress.stopped for progress in self.progresses)

    @property
    def is_begun(self):
        """Whether the training of every network has begun."""
        return all(progress.loss is not None for progress in self.progresses)

    @property
    def out_of_epochs(self):
        """Whether the training ended for want of epochs."""
        return self.epochs_done == self.epochs and not self.stopped


class Supervisor:
    """The decisions and records of one run, whoever does the steps.

    Parameters
    ----------
    net : MLPNet
    run : Run
    set_rates : callable
        Takes the list of learning rates, one a network, when they move.
    """

    def __init__(self, net, run, set_rates):
        self.net, self.run, self.recipe = net, run, net.recipe
        self._set_rates = set_rates
        self._rates_in_force = [net.recipe.learning_rate_init] * len(run.progresses)
        self._penalty_factor = 0.5 * net.recipe.penalty * run.n_batches / (len(run.train) * run.train.mean_weight())
        self._kept = {}
        self._best = {"train_loss": float("inf"), "valid_loss": float("inf")}
        if net.recipe.early_stopping and run.progresses[0].best_validation_score > -float("inf"):
            for i in range(len(run.progresses)):
                self._keep(i)  # a warm start has the best of the last fit to beat

    def begin_epoch(self):
        """Set the rate; raise StopTraining if no network has anything left to do."""
        if self.run.stopped:
            raise StopTraining
        epoch = self.run.epochs_done + (self.run.epochs_before if self.run.incremental else 0)
        for progress in self.run.progresses:
            progress.rate = next_rate(self.recipe, progress.rate, self.run.rows_seen, epoch)
        self._use_rates()
        self._start = time.perf_counter()
        self._seen = {True: [], False: []}

    def _use_rates(self):
        """Set the rates only when they move, so that a skorch LRScheduler has its way under a constant one."""
        rates = [progress.rate for progress in self.run.progresses]
        if rates != self._rates_in_force:
            self._set_rates(rates)
            self._rates_in_force = rates

    def see(self, training, z, targets, weight, loss=None):
        """Take note of a batch: its raw outputs (from before the step), and the criterion's loss if it is own."""
        self._seen[training].append((z, targets, weight, loss))

    def batch_losses(self, squared_weights):
        """The loss of each batch of this epoch's training with its penalty, and its rows, given what alpha shrinks."""
        z, targets, weight, _ = self._gather(True)
        sizes = [part.shape[0] for part, *_ in self._seen[True]]
        starts = np.cumsum([0, *sizes[:-1]])
        losses = self.net.task.head.row_losses(z, targets).cpu().numpy()
        weight = np.ones_like(losses) if weight is None else weight.cpu().numpy()
        sums = np.add.reduceat(losses * weight, starts) + 0.5 * self.recipe.penalty * np.asarray(squared_weights)
        return zip((sums / np.add.reduceat(weight, starts)).tolist(), sizes)

    def end_epoch(self, rate):
        """Evaluate the epoch, write it into the history, keep the best weights, decide whether to go on."""
        run, head = self.run, self.net.task.head
        (data_loss, score), penalty = self._evaluate(True), self._penalty_share()
        losses = [each + share for each, share in zip(data_loss, penalty)]
        watched = None if run.valid is None else self._evaluate(False)
        run.epochs_done += 1
        run.rows_seen += len(run.train)
        for i, progress in enumerate(run.progresses):
            if not progress.stopped:
                best = progress.record(self.recipe, losses[i], data_loss[i], watched and watched[1][i])
                if best and self.recipe.early_stopping:
                    self._keep(i)
        record = {"loss": _mean(losses), head.score_name: _mean(score)}
        if watched:
            record |= {"val_loss": _mean(watched[0]), f"val_{head.score_name}": _mean(watched[1])}
        record |= {"lr": rate, "dur": time.perf_counter() - self._start}
        self._write(record)
        self._decide(losses)

    def _evaluate(self, training):
        """Loss without penalty and score of each network over the rows of this epoch."""
        z, targets, weight, losses = self._gather(training)
        head = self.net.task.head
        loss = head.loss(z, targets, weight) if losses is None else losses
        score = head.score(z, targets, weight)
        return (loss, score) if isinstance(score, list) else ([loss], [score])

    def _gather(self, training):
        """All that was seen, in one tensor each; the rows to watch, if nobody has looked at them."""
        if not self._seen[training]:
            return *self._watch(), None
        z, targets, weight, losses = zip(*self._seen[training])
        along = z[0].ndim - 2
        if training:
            self.run.last_outputs = z[-1]
        loss = None if losses[0] is None else _mean_of_batches(losses, z, weight)
        weight = None if weight[0] is None else torch.cat(weight, along)
        return torch.cat(z, along), torch.cat(targets, along), weight, loss

    def _watch(self):
        """Raw outputs of the module as it stands, targets and weights, of the rows to watch."""
        net, rows = self.net, self.run.valid
        net.module_.eval()
        z = outputs(net.module_, rows.dataset.X, net.task.n_outputs, net.device)
        z = torch.from_numpy(z[..., rows.indices, :])
        net.module_.train()
        weight = rows.all_weights()
        targets = net.task.targets(torch.from_numpy(rows.all_y()), z.dtype)
        return z, targets.expand(z.shape), None if weight is None else torch.from_numpy(weight)

    def _penalty_share(self):
        """The L2 term as it entered the mean loss: each batch's is divided by its own weight."""
        if not self.recipe.penalty:
            return [0.0] * len(self.run.progresses)
        return [self._penalty_factor * square for square in self.net.squared_weights().reshape(-1).tolist()]

    def _keep(self, i):
        """Remember the weights of one network as they are."""
        state = self.net.module_.state_dict()
        if len(self.run.progresses) == 1:
            self._kept[i] = {name: value.detach().clone() for name, value in state.items()}
        else:
            self._kept[i] = {name: value[i].detach().clone() for name, value in state.items()}

    def restore(self, module):
        """Put the weights that were kept into the net's module, or one like it."""
        state = module.state_dict()
        for i, kept in self._kept.items():
            for name, value in kept.items():
                (state[name] if len(self.run.progresses) == 1 else state[name][i]).copy_(value)

    def _write(self, record):
        """Into the history under our names and skorch's; as a line for the user."""
        names = dict(record)
        for name, ours in (("train_loss", "loss"), ("valid_loss", "val_loss")):
            if ours in record:
                names[name] = record[ours]
                names[f"{name}_best"] = record[ours] < self._best[name]
                self._best[name] = min(self._best[name], record[ours])
        for name, value in names.items():
            self.net.history.record(name, value)
        if self.recipe.verbose:
            print(progress_line(self.run.epochs_done, self.run.epochs, record))

    def _decide(self, losses):
        running = [progress for progress in self.run.progresses if not progress.stopped]
        if not all(map(isfinite, losses)) and not all_finite(self.net.module_):
            for progress in running:
                progress.stopped = True
            return
        for i, progress in enumerate(self.run.progresses):
            if progress.stopped:
                continue
            progress.decide(self.recipe)
            if progress.stopped and len(running) > 1 and i not in self._kept:
                self._keep(i)  # the others train on, and their steps are taken for all
        self._use_rates()


def _mean(values):
    return sum(values) / len(values)


def _mean_of_batches(losses, z, weight):
    """The mean loss over all rows from those of batches."""
    totals = [len(part) if w is None else float(w.sum()) for part, w in zip(z, weight)]
    return sum(a * b for a, b in zip(losses, totals)) / sum(totals)


def progress_line(epoch, epochs, record):
    """One epoch in one line, in Keras' words."""
    shown = [name for name in ("loss", "accuracy", "r2", "val_loss", "val_accuracy", "val_r2") if name in record]
    scores = " - ".join(f"{name}: {record[name]:.4f}" for name in shown)
    return f"Epoch {epoch}/{epochs} - {record['dur']:.3f}s - {scores}"


def all_finite(module):
    """Whether every parameter is a finite number."""
    return all(bool(torch.isfinite(p).all()) for p in module.parameters())


def check_finite(module, recipe):
    """Raise ValueError with advice if training lost the weights."""
    if not all_finite(module):
        raise ValueError(NON_FINITE.format(rate=recipe.learning_rate_init, solver=recipe.solver))


# --- the fast loop


class FastEpochs:
    """Epochs of a plain network in which nobody is told of a batch: without autograd, without an optimizer object.

    Parameters
    ----------
    net : MLPNet
        With a `gradient_`.
    run : Run
    """

    def __init__(self, net, run):
        self._gradient = net.gradient_
        self._n_networks = net.module_.n_networks
        targets = net.training_targets(torch.from_numpy(run.train.dataset.y)).cpu().numpy()
        self._batches = Batches(run.train.with_y(targets), run.batch_size, net.device)
        self._generators = net.generators_ if net.recipe.shuffle else None

    def run(self, solver, see):
        """Take the steps of one epoch; `see` is told of every batch, before its step."""
        gradient = self._gradient
        with silent_overflow(), torch.inference_mode():
            for X, targets, weight in self._rows():
                see(True, gradient.evaluate(X, targets, weight), targets, weight)
                solver.step(gradient.grad)

    def _rows(self):
        """The batches with a dimension for the networks, where there are several that take the rows in one order."""
        k = self._n_networks
        for X, targets, weight in self._batches.epoch(self._generators):
            if k > 1 and X.ndim == 2:
                X, targets = X.expand(k, -1, -1), targets.expand(k, -1, -1)
                weight = None if weight is None else weight.expand(k, -1)
            yield X, targets, weight


def train_fast(net, run):
    """Train plain networks: the same epochs, batches and steps as skorch's loop with no callback listening."""
    flat, solver = net.gradient_.flat, flat_solver(net.gradient_, net.recipe)
    load_flat_state(solver, flat_state(net.gradient_, net.remembered()))

    def set_rates(rates):
        """The learning rate of every network, one number where they are equal."""
        solver.rate = rates[0] if len(set(rates)) == 1 else flat.new_tensor(rates).unsqueeze(1)

    supervisor = net.supervisor_ = Supervisor(net, run, set_rates)
    epochs = FastEpochs(net, run)
    net.module_.train()
    try:
        for _ in range(run.epochs):
            net.notify("on_epoch_begin")
            net.rate_ = _mean([progress.rate for progress in run.progresses])
            epochs.run(solver, supervisor.see)
            net.notify("on_epoch_end")
    finally:
        net.solver_state_ = {k: v.cpu().numpy().copy() for k, v in solver.state.items()} if run.incremental else None
