"""A task small enough to train in a millisecond, with everything that makes resuming hard: dropout, BatchNorm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anypose.engine.device import Cpu, Device
from anypose.engine.distributed import World
from anypose.engine.precision import Precision
from anypose.engine.run import Run
from anypose.engine.schedule import Schedule
from anypose.engine.task import Loading
from anypose.engine.trainer import Trainer
from anypose.kernels.swap import Kernels

SETTINGS: dict[str, Any] = {
    "epochs": 3,
    "max_steps": None,
    "batch_size": 8,
    "evaluation_batches": None,
    "evaluation_batch_size": None,
    "drop_last": True,
    "workers": 0,
    "evaluate_every": 1,
    "save_every": None,
    "log_every": 5,
    "grad_clip_norm": None,
    "ema": None,
    "linear_scaling": False,
    "sync_batchnorm": False,
    "capture": "auto",
    "tensorboard": False,
}


class Standardise(nn.Module):
    """Inputs in the hundreds, brought to unit size: what `precise` is for."""

    precise = True
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((4,), 500.0))
        self.register_buffer("std", torch.full((4,), 100.0))

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - self.mean) / self.std


class ToyNet(nn.Module):
    def __init__(self, width: int = 16, dropout: float = 0.25, batch_norm: bool = True) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.first = nn.Linear(4, width)
        self.norm = nn.BatchNorm1d(width) if batch_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(width, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(self.dropout(torch.relu(self.norm(self.first(self.standardise(inputs))))))


class ToyData:
    name = "toy"

    def __init__(self, train: int = 84, validation: int = 20) -> None:
        random = np.random.default_rng(0)
        weights = random.normal(size=(4, 2))
        self.splits = {}
        for split, size in (("train", train), ("validation", validation)):
            inputs = random.normal(500, 100, size=(size, 4))
            targets = np.tanh((inputs - 500) / 100 @ weights)
            self.splits[split] = (
                torch.from_numpy(inputs.astype(np.float32)),
                torch.from_numpy(targets.astype(np.float32)),
            )


class ToyBatches:
    """The order of the whole epoch follows from (seed, epoch); rank r takes every world_size-th sample from r on."""

    def __init__(self, data: tuple[Tensor, Tensor], loading: Loading, shuffle: bool, device: torch.device) -> None:
        self.inputs, self.targets = (part.to(device) for part in data)
        self.loading, self.shuffle = loading, shuffle

    def __len__(self) -> int:
        together = self.loading.batch_size * self.loading.world_size
        return len(self.inputs) // together if self.loading.drop_last else -(-len(self.inputs) // together)

    def epoch(self, number: int, start: int = 0) -> Iterator[dict[str, Tensor]]:
        order = torch.arange(len(self.inputs))
        if self.shuffle:
            order = torch.from_numpy(np.random.default_rng((self.loading.seed, number)).permutation(len(order)))
        together = self.loading.batch_size * self.loading.world_size
        for batch in range(start, len(self)):
            rows = order[batch * together : (batch + 1) * together][self.loading.rank :: self.loading.world_size]
            if not len(rows):
                continue
            rows = rows.to(self.inputs.device)
            yield {"inputs": self.inputs[rows], "targets": self.targets[rows], "index": rows}


class ToyMetrics:
    def __init__(self) -> None:
        self.index: list[Tensor] = []
        self.error: list[Tensor] = []

    def update(self, prediction: dict[str, Tensor], batch: dict[str, Tensor]) -> None:
        self.index.append(batch["index"])
        self.error.append((prediction["outputs"] - batch["targets"]).abs().mean(dim=1))

    def state(self) -> dict[str, Tensor]:
        return {"index": torch.cat(self.index), "error": torch.cat(self.error)}

    def load(self, state: dict[str, Tensor]) -> None:
        self.index, self.error = [state["index"]], [state["error"]]

    def in_order(self) -> Tensor:
        state = self.state()
        index, rows = state["index"].sort()
        assert index.tolist() == list(range(len(index))), "every validation sample exactly once"
        return state["error"][rows]

    def compute(self) -> dict[str, float]:
        return {"error_mm": float(self.in_order().cpu().double().mean() * 1000), "frames": float(len(self.in_order()))}

    def rows(self) -> list[dict[str, Any]]:
        return [{"action": "All", **self.compute()}]

    def protocol(self) -> dict[str, Any]:
        return {"dataset": "toy", "flip_test": False}

    def arrays(self) -> dict[str, np.ndarray]:
        return {"error": self.in_order().cpu().numpy()}


class ToyTask:
    monitor = "error_mm"
    higher_is_better = False

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def batches(self, dataset: ToyData, training: bool, loading: Loading, device: torch.device) -> ToyBatches:
        return ToyBatches(dataset.splits["train" if training else "validation"], loading, training, device)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        outputs = self.model(batch["inputs"])
        assert outputs.dtype == torch.float32, "losses are computed in fp32 under every precision"
        loss = (outputs - batch["targets"]).square().mean()
        return loss, {"squared": loss.detach()}

    def predict(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"outputs": self.model(batch["inputs"])}

    def metrics(self) -> ToyMetrics:
        return ToyMetrics()


def cpu() -> Cpu:
    return Cpu(index=None, deterministic=False, keep_memory=False)


def make_trainer(
    folder: Path,
    *,
    task: Callable[[nn.Module], Any] = ToyTask,
    data: Any = None,
    device: Device | None = None,
    level: str = "fp32",
    loss_scale: float | str | None = None,
    backend: str = "native",
    learning_rate: float = 1e-2,
    seed: int = 0,
    schedule: Schedule | None = None,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    net: dict[str, Any] | None = None,
    kernels: Callable[..., Any] = partial(Kernels, "plain"),  # noqa: B008
    **settings: Any,
) -> Trainer:
    device = device or cpu()
    device.seed(seed)
    world = World(device)
    run = Run(folder, {"seed": seed, "model": {}}, {"model": "toy"}, [], writes=world.rank == 0)
    return Trainer(
        task(ToyNet(**net or {})),  # after seeding
        data or ToyData(),
        partial(optimizer, lr=learning_rate) if optimizer is torch.optim.Adam else optimizer,
        schedule or Schedule(warmup_steps=0, batchnorm_momentum=[0.1, 0.01]),
        Precision(level, loss_scale, backend),  # pyright: ignore[reportArgumentType]
        device,
        world,
        run,
        kernels,
        seed,
        **SETTINGS | settings,
    )
