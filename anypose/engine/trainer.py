"""The one training loop: any task, any device, any precision, one process or many."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from tqdm import tqdm

from anypose.engine import checkpoint
from anypose.engine.capture import capture_step
from anypose.engine.device import Device
from anypose.engine.distributed import World
from anypose.engine.divergence import check_score
from anypose.engine.evaluation import evaluate
from anypose.engine.finding import LAST
from anypose.engine.interruptions import interruptions, leave
from anypose.engine.learned import Learned
from anypose.engine.limits import NOTHING_TO_SCORE, check_counts, check_loading, check_loop, check_rates, refused_by
from anypose.engine.precision import Precision
from anypose.engine.progress import Progress
from anypose.engine.reporting import Reporter
from anypose.engine.run import Run
from anypose.engine.schedule import Schedule
from anypose.engine.task import Batch, Loading, Task, make_batches
from anypose.settings import Misuse

log = logging.getLogger(__name__)
ONE_VALUE = "more than 1 value per channel"  # what torch says


class Trainer:
    """Trains `task.model` and keeps last.pt and best.pt in the run's folder.

    A run is a function of (seed, config): it can be interrupted anywhere, also inside an epoch, and goes on bit for
    bit. Nothing waits for the device inside a step; losses are read every `log_every` steps.

    Args:
        task: the model with its loss, its data and its score.
        dataset: what `task.batches` reads.
        optimizer: called with the parameters and `fused`.
        schedule: learning rate and BatchNorm momentum.
        precision: fp32, bf16, o1 or o2.
        device: where to compute.
        world: the processes that share this run.
        run: the folder.
        kernels: called with the model, whose layers it may replace by quicker equal ones: `anypose.kernels.swap`.
        seed: for order, augmentation and dropout; the weights are already drawn.
        epochs: how often the training set is walked; 0 scores what `start_from` brought.
        max_steps: stop after so many steps although epochs are left; null never does.
        batch_size: samples a step, over all processes: the result does not depend on how many share the work.
        evaluation_batch_size: null takes batch_size.
        evaluation_batches: that are scored; null takes all.
        drop_last: leave out the samples after the last full batch of an epoch.
        workers: processes that decode images; lifting data needs none.
        evaluate_every: epochs between evaluations; the last epoch always has one.
        save_every: steps between checkpoints inside an epoch; null saves at the end of each epoch alone.
        log_every: steps between lines of metrics.jsonl.
        grad_clip_norm: largest norm of the gradient, null clips nothing.
        ema: score and save the weights' moving average with this decay; null has none.
        linear_scaling: with N processes take N times batch_size and N times the learning rate (Goyal et al. 2017).
        sync_batchnorm: statistics over the batches of all processes.
        capture: "auto" replays the step as a graph of the device where it has graphs; "never" does not.
        tensorboard: write event files too.
    """

    def __init__(
        self,
        task: Task,
        dataset: Any,
        optimizer: Callable[..., Optimizer],
        schedule: Schedule,
        precision: Precision,
        device: Device,
        world: World,
        run: Run,
        kernels: Callable[..., Any],
        seed: int,
        *,
        epochs: int,
        max_steps: int | None,
        batch_size: int,
        evaluation_batch_size: int | None,
        drop_last: bool,
        workers: int,
        evaluate_every: int,
        save_every: int | None,
        log_every: int,
        grad_clip_norm: float | None,
        ema: float | None,
        linear_scaling: bool,
        sync_batchnorm: bool,
        capture: Literal["auto", "never"],
        tensorboard: bool,
        evaluation_batches: int | None,
    ) -> None:
        null = {"max_steps": max_steps, "save_every": save_every}
        check_loop(seed, grad_clip_norm, capture, epochs, null, evaluate_every=evaluate_every, log_every=log_every)
        check_loading(workers, evaluation_batch_size=evaluation_batch_size, evaluation_batches=evaluation_batches)
        check_counts(batch_size=batch_size)
        self.task, self.device, self.world, self.run = task, device, world, run
        self.schedule, self.seed, self.epochs, self.max_steps = schedule, seed, epochs, max_steps
        self.evaluate_every, self.save_every, self.log_every = evaluate_every, save_every, log_every
        self.grad_clip_norm, self.evaluation_batches = grad_clip_norm, evaluation_batches
        if tensorboard:
            run.open_board()
        self.batch_size = batch_size * world.size if linear_scaling else batch_size
        share, rest = divmod(self.batch_size, world.size)
        if rest:
            raise Misuse(
                f"trainer.batch_size={batch_size} is over all processes and must divide by {world.size} of them."
            )
        self.model = task.model.to(device.torch, memory_format=device.memory_format)  # pyright: ignore
        if sync_batchnorm:
            self.model = world.share_batchnorm(self.model)
        loading = Loading(share, seed, world.rank, world.size, workers, drop_last)
        self.batches = make_batches(task, dataset, True, loading, device.torch)
        if len(self.batches) == 0:
            raise Misuse(f"trainer.batch_size={batch_size} is larger than the training set: no batch is full.")
        loading = Loading(evaluation_batch_size or share, seed, world.rank, world.size, workers, drop_last=False)
        self.validation = make_batches(task, dataset, False, loading, device.torch)

        self.arithmetic = precision.resolve(device)
        self.arithmetic.prepare(self.model)
        self.kernels = kernels(self.model, agree=world.broadcast)
        self.optimizer = self.make_optimizer(optimizer, world.size if linear_scaling else 1)
        self.learned = Learned(self.model, self.arithmetic, self.optimizer, ema)
        self.average = self.learned.average
        self.loss = world.wrap(_Loss(task))
        self.captured = None
        if capture == "auto":
            self.captured = capture_step(self.train_step, self.optimizer, self.arithmetic, device, world)

        self.done = Progress()
        self.begun = False  # with weights that are not the fresh ones
        self.rng: dict[str, Tensor] | None = None
        self.names: list[str] = []  # of what a step returns
        self.reporter = Reporter(world, run, self.arithmetic, self.batches, self.batch_size)
        self.count_steps()

    def make_optimizer(self, optimizer: Callable[..., Optimizer], scale: int) -> Optimizer:
        """The optimiser of the weights as they are computed with, its learning rates times `scale`."""
        with refused_by("optimizer"):
            made = optimizer(self.arithmetic.parameters(self.model), fused=self.device.fused_optimizer)
        for group in made.param_groups:
            group["lr"] *= scale
        check_rates(made)
        self.arithmetic.bind(self.model, made)
        return made

    def fit(self) -> float:
        """Train to the end and return `task.monitor` after the last step."""
        if not self.epochs and not self.begun:
            raise Misuse(NOTHING_TO_SCORE)
        self.done.tell_few(self.epochs, self.max_steps, len(self.batches))
        with interruptions() as interrupted, self.bar() as bar:
            self.score_if_due()  # what was resumed may have been stopped before its score
            while not self.finished:
                signal = self.train_epoch(bar, interrupted)
                if self.done.batch == len(self.batches):
                    self.done.epoch, self.done.batch = self.done.epoch + 1, 0
                self.save(best=False)  # before the score, which may fail
                if signal:
                    leave(signal, f"saved step {self.step}; go on with resume={self.run.folder}.")
                self.score_if_due()
        self.run.finish(self.scores)
        check_score(self.task.monitor, self.scores[self.task.monitor], self.step, self.run.folder / LAST)
        return self.scores[self.task.monitor]

    @property
    def finished(self) -> bool:
        return self.done.finished(self.epochs, self.max_steps)

    @property
    def step(self) -> int:
        return self.done.step

    @property
    def best(self) -> float | None:
        return self.done.best

    @property
    def scores(self) -> dict[str, float]:
        return self.done.scores

    def count_steps(self) -> None:
        """How many steps the run has from where it stands."""
        self.steps = self.done.steps(self.epochs, self.max_steps, len(self.batches))

    def train_epoch(self, bar: tqdm, interrupted: list[int]) -> int:
        """Train to the end of the epoch, the last step, or an interruption; return the signal of the latter, or 0.

        Processes that share a run agree on an interruption when they report, so that none waits for another.
        """
        self.model.train()
        done = self.done
        if self.schedule.set_momentum(self.model, done.epoch, self.epochs) and self.captured:
            self.captured.forget()
        if done.batch and self.rng:
            self.device.set_rng_state(self.rng)
        else:
            self.device.seed(self.seed, done.epoch, self.world.rank)
        self.reporter.start()
        step = self.captured or self.train_step
        for batch in self.batches.epoch(self.done.epoch, start=self.done.batch):
            self.rate = self.schedule.set_rate(self.optimizer, done.step, done.epoch)
            self.reporter.add(step(batch))
            done.step, done.batch = done.step + 1, done.batch + 1
            if self.average:
                self.average.update(done.step)
            if done.step % self.log_every == 0:
                self.report(bar)
                if self.world.largest(max(interrupted, default=0)):
                    break
            if self.save_every and done.step % self.save_every == 0 and done.batch < len(self.batches):
                self.report(bar)
                self.rng = self.device.rng_state()
                self.save(best=False)
            if done.step >= self.steps or (interrupted and self.world.size == 1):
                break
        self.report(bar)
        self.rng = self.device.rng_state()
        return self.world.largest(max(interrupted, default=0))

    def train_step(self, batch: Batch) -> Tensor:
        """Forward, backward, update. Returns the loss and its terms (`names`), still on the device."""
        loss, terms = self.loss(batch)
        self.arithmetic.zero_grad()
        self.arithmetic.backward(loss)
        self.arithmetic.unscale()
        if self.grad_clip_norm is not None:
            clip_grad_norm_(self.arithmetic.trained, self.grad_clip_norm)
        self.arithmetic.step()
        self.names = ["loss", *terms]
        return torch.stack([loss.detach(), *terms.values()]).float()

    def report(self, bar: tqdm) -> None:
        """Read the losses since the last report."""
        self.reporter.tell(bar, self.done, self.names, self.rate)

    def score_if_due(self) -> None:
        """Evaluate where these weights want it, and write down how they did."""
        if not self.done.due(self.evaluate_every, self.finished):
            return
        better = self.score()
        self.save(best=better)  # the weights are there since `fit` saved them; now with their score

    def score(self) -> bool:
        """Evaluate; true where `task.monitor` is the best so far."""
        with self.average.in_place() if self.average else nullcontext():
            _, scores = evaluate(self.task, self.validation, self.device, self.world, self.evaluation_batches)
        better = self.done.take(scores, scores[self.task.monitor], self.task.higher_is_better)
        self.run.record({"split": "validation", "step": self.step, "epoch": self.done.epoch, **scores})
        shown = ", ".join(f"{name} {value:.2f}" for name, value in list(scores.items())[:4])
        log.info("epoch %d, step %d: %s%s", self.done.epoch, self.step, shown, " (best)" if better else "")
        if not math.isfinite(scores[self.task.monitor]):
            log.warning("%s is no number: predictions are not finite. It counts as worse than any.", self.task.monitor)
        return better

    def save(self, best: bool) -> None:
        """Write last.pt, and best.pt where this is the best; never weights that are not finite."""
        state = self.learned.state(self.step, self.run.folder / LAST)
        state |= {"rng": self.world.collect(self.rng), "batch_size": self.batch_size, "batches": len(self.batches)}
        self.run.note("kernels", self.kernels.choice)
        self.run.save(state | self.done.state() | {"kernels": self.kernels.choice}, best)

    def start_from(self, path: Path) -> None:
        """Begin with trained weights, and with what they standardise by; everything else begins anew."""
        self.learned.begin_with(checkpoint.load(path), str(path))
        self.begun = True
        log.info("Beginning with the weights of %s.", path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, exactly where it was written."""
        state = checkpoint.load(path)
        done = Progress.of(state, str(path))
        done.check_within(state, self.batch_size, len(self.batches), str(path))
        self.learned.load(state, str(path))
        self.kernels.take(state.get("kernels"), f"as in {path}")
        self.done, self.begun = done, True
        self.count_steps()
        if len(state["rng"]) == self.world.size:
            self.rng = state["rng"][self.world.rank]
        elif done.batch:
            log.info("%d processes go on with what %d began: dropout differs.", self.world.size, len(state["rng"]))
        self.run.go_on(path.parent, done.step, done.scored)
        log.info("Going on from %s: epoch %d, step %d.", path, done.epoch, done.step)
        if self.finished:
            log.info("It is finished. To train on raise trainer.epochs=%d or trainer.max_steps.", self.epochs)

    def bar(self) -> tqdm:
        """Of the steps."""
        return tqdm(total=self.steps, initial=self.step, desc="train", unit="step", disable=self.world.no_bar)


class _Loss(nn.Module):
    """The loss as a module, which is what gradient sharing wraps."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model, self._loss = task.model, task.loss

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        try:
            return self._loss(batch)
        except ValueError as error:
            if ONE_VALUE not in str(error):
                raise
            raise Misuse(
                "Batch normalisation knows no statistics of a single sample: trainer.batch_size must give each process "
                "2 at least, and the training set must have as many."
            ) from error
