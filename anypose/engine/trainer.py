"""The one training loop: any task, any device, any precision, one process or many."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from tqdm import tqdm

from anypose.engine import checkpoint
from anypose.engine.averaging import Average
from anypose.engine.capture import capture_step
from anypose.engine.device import Device
from anypose.engine.distributed import World
from anypose.engine.divergence import check_losses, check_overflows, check_weights
from anypose.engine.evaluation import evaluate
from anypose.engine.interruptions import interruptions, leave
from anypose.engine.limits import check_counts
from anypose.engine.optimizer import load_state
from anypose.engine.precision import Precision
from anypose.engine.run import LAST, Run
from anypose.engine.schedule import Schedule
from anypose.engine.task import Batch, Gathered, Loading, Task

log = logging.getLogger(__name__)


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
        seed: for order, augmentation and dropout; the weights are already drawn.
        epochs: how often the training set is walked.
        max_steps: stop after so many steps although epochs are left; null never does.
        batch_size: samples a step, over all processes: the result does not depend on how many share the work.
        evaluation_batch_size: null takes batch_size.
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
    ) -> None:
        check_counts(epochs=epochs, batch_size=batch_size, evaluate_every=evaluate_every, log_every=log_every)
        check_counts(or_null=True, max_steps=max_steps, save_every=save_every)
        self.task, self.device, self.world, self.run = task, device, world, run
        self.schedule, self.seed, self.epochs = schedule, seed, epochs
        self.evaluate_every, self.save_every, self.log_every = evaluate_every, save_every, log_every
        self.grad_clip_norm = grad_clip_norm
        if tensorboard:
            run.open_board()

        self.batch_size = batch_size * world.size if linear_scaling else batch_size
        share, rest = divmod(self.batch_size, world.size)
        if rest:
            raise ValueError(
                f"trainer.batch_size={batch_size} is over all processes and must divide by {world.size} of them."
            )
        self.model = task.model.to(device.torch, memory_format=device.memory_format)  # pyright: ignore
        if sync_batchnorm:
            self.model = world.share_batchnorm(self.model)
        loading = Loading(share, seed, world.rank, world.size, workers, drop_last)
        self.batches = task.batches(dataset, True, loading, device.torch)
        if len(self.batches) == 0:
            raise ValueError(f"trainer.batch_size={batch_size} is larger than the training set: no batch is full.")
        loading = Loading(evaluation_batch_size or share, seed, world.rank, world.size, workers, drop_last=False)
        self.validation = task.batches(dataset, False, loading, device.torch)

        self.arithmetic = precision.resolve(device)
        self.arithmetic.prepare(self.model)
        self.optimizer = optimizer(self.arithmetic.parameters(self.model), fused=device.fused_optimizer)
        if linear_scaling:
            for group in self.optimizer.param_groups:
                group["lr"] *= world.size
        self.arithmetic.bind(self.model, self.optimizer)
        self.average = Average(ema, self.model, self.arithmetic) if ema is not None else None
        self.loss = world.wrap(_Loss(task))
        self.captured = None
        if capture == "auto":
            self.captured = capture_step(self.train_step, self.optimizer, self.arithmetic, device, world)

        self.steps = min(epochs * len(self.batches), max_steps or math.inf)
        self.step, self.epoch, self.batch = 0, 0, 0  # done so far; `batch` within the epoch
        self.best: float | None = None
        self.scores: dict[str, float] = {}
        self.rng: dict[str, Tensor] | None = None
        self.skipped = 0  # steps, until the last report
        self.names: list[str] = []  # of what a step returns
        self.pending: list[Tensor] = []  # loss and terms since the last report, on the device

    def fit(self) -> float:
        """Train to the end and return `task.monitor` after the last step."""
        with interruptions() as interrupted, self._bar() as bar:
            while self.step < self.steps:
                signal = self.train_epoch(bar, interrupted)
                if signal:
                    self.save(best=False)
                    leave(signal, f"saved step {self.step}; go on with resume={self.run.folder}.")
                ended = self.batch == len(self.batches)
                if ended:
                    self.epoch, self.batch = self.epoch + 1, 0
                last = self.step >= self.steps
                improved = (last or (ended and self.epoch % self.evaluate_every == 0)) and self.score()
                self.save(best=improved)
        self.run.finish(self.scores)
        return self.scores[self.task.monitor]

    def train_epoch(self, bar: tqdm, interrupted: list[int]) -> int:
        """Train to the end of the epoch, the last step, or an interruption; return the signal of the latter, or 0.

        Processes that share a run agree on an interruption when they report, so that none waits for another.
        """
        self.model.train()
        if self.schedule.set_momentum(self.model, self.epoch, self.epochs) and self.captured:
            self.captured.forget()
        if self.batch and self.rng:
            self.device.set_rng_state(self.rng)
        else:
            self.device.seed(self.seed, self.epoch, self.world.rank)
        self.since = time.perf_counter()
        step = self.captured or self.train_step
        for batch in self._epoch():
            self.rate = self.schedule.set_rate(self.optimizer, self.step, self.epoch)
            self.pending.append(step(batch))
            self.step, self.batch = self.step + 1, self.batch + 1
            if self.average:
                self.average.update(self.step)
            if self.step % self.log_every == 0:
                self.report(bar)
                if self.world.largest(max(interrupted, default=0)):
                    break
            if self.save_every and self.step % self.save_every == 0 and self.batch < len(self.batches):
                self.report(bar)
                self.rng = self.device.rng_state()
                self.save(best=False)
            if self.step >= self.steps or (interrupted and self.world.size == 1):
                break
        self.report(bar)
        self.rng = self.device.rng_state()
        return self.world.largest(max(interrupted, default=0))

    def train_step(self, batch: Batch) -> Tensor:
        """Forward, backward, update. Returns the loss and its terms (`names`), still on the device."""
        if "picks" in batch:
            batch = self.batches.batch(batch["picks"])  # pyright: ignore[reportAttributeAccessIssue]
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
        """Read the losses since the last report: check, log, show. The only wait for the device in training."""
        if not self.pending:
            return
        count, last = len(self.pending), self.run.folder / LAST
        table = self.world.mean(torch.stack(self.pending).cpu())
        self.pending = []
        check_losses(table[:, 0], self.step, self.epoch, self.batch, self.batches, last)
        seconds = time.perf_counter() - self.since
        self.since = time.perf_counter()
        values = dict(zip(self.names, table.mean(dim=0).tolist(), strict=True))
        speed = count * self.batch_size / seconds
        record = {"split": "train", "step": self.step, "epoch": self.epoch, **values, "lr": self.rate}
        if self.arithmetic.overflows is not None:
            skipped, scale = int(self.arithmetic.overflows), self.arithmetic.scale
            check_overflows(skipped - self.skipped, count, scale, self.step, last)
            record |= {"overflows": skipped, "loss_scale": scale}
            self.skipped = skipped
        self.run.record(record | {"samples_per_s": round(speed, 1)})
        bar.set_postfix_str(f"loss {values['loss']:.4g}, {speed:.0f} samples/s", refresh=False)
        bar.update(self.step - bar.n)

    def score(self) -> bool:
        """Evaluate; true where `task.monitor` is the best so far."""
        with self.average.in_place() if self.average else nullcontext():
            _, self.scores = evaluate(self.task, self.validation, self.device, self.world)
        value = self.scores[self.task.monitor]
        better = self.best is None or (value > self.best if self.task.higher_is_better else value < self.best)
        if better:
            self.best = value
        self.run.record({"split": "validation", "step": self.step, "epoch": self.epoch, **self.scores})
        shown = ", ".join(f"{name} {value:.2f}" for name, value in list(self.scores.items())[:4])
        log.info("epoch %d, step %d: %s%s", self.epoch, self.step, shown, " (best)" if better else "")
        return better

    def save(self, best: bool) -> None:
        """Write last.pt, and best.pt where this is the best; never weights that are not finite."""
        weights = self.arithmetic.model_state(self.model)
        check_weights(weights, self.step, self.run.folder / LAST)
        # "model" is what was scored and gets used; the weights behind an average serve to go on training.
        models = {"model": self.average.weights, "trained": weights} if self.average else {"model": weights}
        generators = self.world.collect(self.rng)
        self.run.save(
            {
                **models,
                "optimizer": self.optimizer.state_dict()["state"],
                "scaler": self.arithmetic.state_dict(),
                "rng": generators,
                "step": self.step,
                "epoch": self.epoch,
                "batch": self.batch,
                "batch_size": self.batch_size,
                "best": self.best,
                "metrics": self.scores,
            },
            best,
        )

    def start_from(self, path: Path) -> None:
        """Begin with trained weights, and with what they standardise by; everything else begins anew."""
        state = checkpoint.load(path)
        self.arithmetic.load_model_state(self.model, state["model"], str(path))
        if self.average:
            self.average.load(state["model"])
        log.info("Beginning with the weights of %s.", path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, exactly where it was written."""
        state = checkpoint.load(path)
        if state["batch"] and state["batch_size"] != self.batch_size:
            raise ValueError(
                f"{path} was written inside an epoch, at batch {state['batch']} of {state['batch_size']} samples; "
                f"it can only go on with trainer.batch_size={state['batch_size']}, got {self.batch_size}."
            )
        self.arithmetic.load_model_state(self.model, state.get("trained", state["model"]), str(path))
        if self.average:
            self.average.load(state["model"])
        load_state(self.optimizer, state["optimizer"])  # learning rate and so on are the configuration's
        self.arithmetic.load_state_dict(state["scaler"])
        self.step, self.epoch, self.batch = state["step"], state["epoch"], state["batch"]
        self.best, self.scores = state["best"], state["metrics"]
        if len(state["rng"]) == self.world.size:
            self.rng = state["rng"][self.world.rank]
        elif self.batch:
            log.info("%d processes go on with what %d began: dropout differs.", self.world.size, len(state["rng"]))
        self.run.rewind(self.step)
        log.info("Going on from %s: epoch %d, step %d.", path, self.epoch, self.step)

    def _epoch(self) -> Iterator[Batch]:
        """The rest of the epoch; where the step is captured, what its batches are made from."""
        if self.captured and isinstance(self.batches, Gathered):
            picks = self.batches.picks(self.epoch, start=self.batch)
            if picks is not None:
                return ({"picks": pick} for pick in picks)
        return self.batches.epoch(self.epoch, start=self.batch)

    def _bar(self) -> tqdm:
        quiet = True if self.world.rank else None  # None: hidden where there is no terminal
        return tqdm(total=int(self.steps), initial=self.step, desc="train", unit="step", disable=quiet)


class _Loss(nn.Module):
    """The loss as a module, which is what gradient sharing wraps."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model, self._loss = task.model, task.loss

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return self._loss(batch)
