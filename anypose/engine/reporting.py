"""What training says while it runs: lines of metrics.jsonl, the bar, or where there is none a line a minute."""

from __future__ import annotations

import logging
import time

import torch
from torch import Tensor
from tqdm import tqdm

from anypose.engine.distributed import World
from anypose.engine.divergence import check_losses, check_overflows
from anypose.engine.finding import LAST
from anypose.engine.precision import Arithmetic
from anypose.engine.progress import Progress
from anypose.engine.run import Run
from anypose.engine.task import Batches

log = logging.getLogger(__name__)
QUIET = 60.0  # seconds between lines where no bar is shown


class Reporter:
    """Collects the losses of steps on the device and reads them from time to time.

    Args:
        world, run, arithmetic: of the trainer.
        batches: to name the batch that broke.
        batch_size: samples a step.
    """

    def __init__(self, world: World, run: Run, arithmetic: Arithmetic, batches: Batches, batch_size: int) -> None:
        self.world, self.run, self.arithmetic, self.batches = world, run, arithmetic, batches
        self.batch_size, self.last = batch_size, run.folder / LAST
        self.pending: list[Tensor] = []  # loss and terms since the last report, on the device
        self.skipped = 0  # steps, until the last report
        self.overflowing = 0  # of them, those in a row up to now
        self.since = self.told = time.perf_counter()

    def start(self) -> None:
        """The clock of the speed starts now."""
        self.since = time.perf_counter()

    def add(self, losses: Tensor) -> None:
        """The loss and its terms of one step; nothing is waited for."""
        self.pending.append(losses)

    def tell(self, bar: tqdm, done: Progress, names: list[str], rate: float) -> None:
        """Read the losses since the last report: check, log, show. The only wait for the device in training."""
        if not self.pending:
            return
        count = len(self.pending)
        table = self.world.mean(torch.stack(self.pending).cpu())
        self.pending = []
        check_losses(table[:, 0], done.step, done.epoch, done.batch, self.batches, self.last)
        seconds = time.perf_counter() - self.since
        self.start()
        values = dict(zip(names, table.mean(dim=0).tolist(), strict=True))
        speed = count * self.batch_size / seconds
        record = {"split": "train", "step": done.step, "epoch": done.epoch, **values, "lr": rate}
        if self.arithmetic.overflows is not None:
            skipped, scale = int(self.arithmetic.overflows), self.arithmetic.scale
            new = skipped - self.skipped
            self.skipped = skipped
            # Reports may come after every step: only what is counted over several of them shows a run that stands.
            self.overflowing = self.overflowing + count if new == count else 0
            check_overflows(self.overflowing, scale, done.step, self.last)
            record |= {"overflows": skipped, "loss_scale": scale}
        self.run.record(record | {"samples_per_s": round(speed, 1)})
        bar.set_postfix_str(f"loss {values['loss']:.4g}, {speed:.0f} samples/s", refresh=False)
        if bar.disable:
            self._line(bar, done, values["loss"], speed)
        bar.update(done.step - bar.n)

    def _line(self, bar: tqdm, done: Progress, loss: float, speed: float) -> None:
        """On rank 0, where the screen is a file."""
        bar.n = done.step  # a disabled bar does not count
        if self.world.rank or time.perf_counter() - self.told < QUIET:
            return
        self.told = time.perf_counter()
        minutes = (bar.total - done.step) * self.batch_size / max(speed, 1e-9) / 60
        log.info(
            "epoch %d, step %d of %d: loss %.4g, %.0f samples/s, %s left",
            *(done.epoch, done.step, bar.total, loss, speed),
            f"about {minutes:.0f} min" if minutes >= 1 else "less than a minute",
        )
