"""Epoch after epoch: train, look at the held-out rows, take note, decide whether to go on."""

import time
import warnings
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import inf, isfinite

import torch

from ._module import MLPModule
from ._predict import outputs
from ._random import borrowed_global_generator
from ._recipe import Progress, Recipe, next_rate, rate_after_plateau
from ._rows import Batches, Rows
from ._trainers import make_trainer

NON_FINITE = (
    "Training produced non-finite weights with learning_rate_init={rate!r} and solver={solver!r}. Scale the "
    "features (for instance with StandardScaler in a Pipeline), or try a smaller learning_rate_init, a "
    "larger alpha, or early_stopping=True, which goes back to the best epoch."
)


@dataclass
class Job:
    """Everything one call of fit or partial_fit asks of the net."""

    recipe: Recipe
    progress: Progress
    epochs: int
    train: Rows
    valid: Rows | None
    batch_size: int
    generator: torch.Generator
    solver_state: dict | None = None
    keep_solver_state: bool = False
    out_of_epochs: bool = False
    best_state: dict | None = field(default=None, repr=False)


class TrainingLoop:
    """The epochs of one job on one net."""

    def __init__(self, net, job):
        self.net = net
        self.job = job
        self.train = Batches(job.train, job.batch_size, net.device)
        self.valid = None if job.valid is None else _Watched(job.valid, net)
        self.best = {"train_loss": inf, "valid_loss": inf}
        self._lend_generator()
        self.trainer = make_trainer(net, job.recipe)
        self.rate_in_force = job.recipe.learning_rate_init
        if job.recipe.early_stopping and job.progress.validation_scores:
            job.best_state = _snapshot(net.module_)  # a warm start has the best of the last fit to beat
        if job.solver_state is not None:
            self.trainer.load_state(job.solver_state)

    def run(self):
        """Train until the epochs are used up, nothing improves, the user interrupts or weights are lost."""
        try:
            self._run_epochs()
        finally:
            if self.job.keep_solver_state:
                self.job.solver_state = self.trainer.state()
            self.trainer.release()
            self.net.module_.generator = None
            if self.job.best_state is not None:
                self.net.module_.load_state_dict(self.job.best_state)
        check_finite(self.net.module_, self.job.recipe)

    def _run_epochs(self):
        progress = self.job.progress
        progress.n_iter = 0
        for _ in range(self.job.epochs):
            self._notify("on_epoch_begin")
            self._use_rate(next_rate(self.job.recipe, progress.rate, progress.t, self._epoch()))
            try:
                self._run_epoch()
            except KeyboardInterrupt:
                warnings.warn("Training interrupted by user.", stacklevel=2)
                return
            self._notify("on_epoch_end")
            if self._is_finished():
                return
        self.job.out_of_epochs = True

    def _epoch(self):
        """Epochs done so far: by all calls of partial_fit, or by this call of fit."""
        progress = self.job.progress
        return len(progress.loss_curve) if self.job.keep_solver_state else progress.n_iter

    def _notify(self, moment):
        self.net.notify(moment, dataset_train=self.train, dataset_valid=self.valid and self.valid.batches)

    def _use_rate(self, rate):
        """Set the rate only when it moves, so that a skorch LRScheduler has its way under a constant one."""
        if rate != self.rate_in_force:
            self.trainer.set_rate(rate)
        self.job.progress.rate = self.rate_in_force = rate

    def _run_epoch(self):
        start = time.perf_counter()
        progress, recipe = self.job.progress, self.job.recipe
        z, targets, weight = self._train_epoch()
        head = self.net.head
        record = {
            "loss": head.loss(z, targets, weight) + self._penalty_share(),
            head.score_name: head.score(z, targets, weight),
        }
        if self.valid is not None:
            record.update(self.valid.look())
        progress.n_iter += 1
        progress.t += len(self.job.train)
        best = progress.record(recipe, record["loss"], record.get(f"val_{head.score_name}"))
        if best and recipe.early_stopping:
            self.job.best_state = _snapshot(self.net.module_)
        record.update(lr=progress.rate, dur=time.perf_counter() - start)
        self._write_history(record)
        if recipe.verbose:
            print(progress_line(progress.n_iter, self.job.epochs, record))

    def _train_epoch(self):
        """Step through the batches; return raw outputs (each from before its step), targets, weights."""
        self.net.module_.train()
        generator = self.job.generator if self.job.recipe.shuffle else None
        seen = []
        with self._random_draws():
            for batch in self.train.epoch(generator):
                seen.append((self.trainer.step(*batch), *batch[1:]))
        z, targets, weights = zip(*seen)
        return torch.cat(z), torch.cat(targets), None if weights[0] is None else torch.cat(weights)

    def _random_draws(self):
        """A user's module may draw from torch's global generator (dropout): lend it ours for the epoch."""
        if not self.net.is_custom:
            return nullcontext()
        return borrowed_global_generator(self.job.generator, self.net.device)

    def _lend_generator(self):
        """Dropout in `MLPModule` draws from the job's generator, or from its like on another device."""
        generator = self.job.generator
        if self.net.device != "cpu":
            generator = torch.Generator(self.net.device).manual_seed(generator.initial_seed())
        if isinstance(self.net.module_, MLPModule):
            self.net.module_.generator = generator

    def _penalty_share(self):
        """The L2 term as it entered the mean loss: each batch's is divided by its own weight."""
        if not self.job.recipe.penalty:
            return 0.0
        squares = sum(p.detach().square().sum() for p in self.net.module_.parameters() if p.ndim > 1)
        rows = len(self.job.train)
        mean_weight = 1.0 if self.job.train.weight is None else self.train.mean_weight()
        batches = -(-rows // self.job.batch_size)
        return 0.5 * self.job.recipe.penalty * float(squares) * batches / (rows * mean_weight)

    def _write_history(self, record):
        """Our names; and where callbacks look, skorch's own and a last batch, heard or not."""
        history = self.net.history
        names = dict(record, **self._skorch_names(record)) if self.net.callbacks_ else record
        for name, value in names.items():
            history.record(name, value)
        if self.net.callbacks_ and not history[-1]["batches"]:
            history.new_batch()

    def _skorch_names(self, record):
        """train_loss, valid_loss, and whether each is the best so far."""
        names = {}
        for name, ours in (("train_loss", "loss"), ("valid_loss", "val_loss")):
            if ours in record:
                names[name] = record[ours]
                names[f"{name}_best"] = record[ours] < self.best[name]
                self.best[name] = min(self.best[name], record[ours])
        return names

    def _is_finished(self):
        progress, recipe = self.job.progress, self.job.recipe
        if not isfinite(progress.loss) and not _all_finite(self.net.module_):
            return True
        if progress.no_improvement <= recipe.n_iter_no_change:
            return False
        rate = rate_after_plateau(recipe, progress.rate)
        if rate is None:
            return True
        progress.no_improvement = 0
        self._use_rate(rate)
        return False


class _Watched:
    """The held-out rows: their loss and score after every epoch."""

    def __init__(self, rows, net):
        self.rows = rows
        self.net = net
        self.batches = Batches(rows, len(rows), net.device)
        self.targets, self.weight = self.batches.all_targets(), self.batches.all_weights()

    def look(self):
        """Loss and score of the module as it stands."""
        self.net.module_.eval()
        head = self.net.head
        z = outputs(self.net.module_, self.rows.X, self.targets.shape[1], self.net.device)
        z = torch.from_numpy(z[self.rows.index]).to(self.targets.device)
        return {
            "val_loss": head.loss(z, self.targets, self.weight),
            f"val_{head.score_name}": head.score(z, self.targets, self.weight),
        }


def _snapshot(module):
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def _all_finite(module):
    return all(bool(torch.isfinite(p).all()) for p in module.parameters())


def check_finite(module, recipe):
    """Raise ValueError with advice if training lost the weights."""
    if not _all_finite(module):
        raise ValueError(NON_FINITE.format(rate=recipe.learning_rate_init, solver=recipe.solver))


def progress_line(epoch, epochs, record):
    """One epoch in one line, in Keras' words."""
    shown = [
        name for name in ("loss", "accuracy", "r2", "val_loss", "val_accuracy", "val_r2") if name in record
    ]
    scores = " - ".join(f"{name}: {record[name]:.4f}" for name in shown)
    return f"Epoch {epoch}/{epochs} - {record['dur']:.3f}s - {scores}"
