"""How far a file's outputs are from torch's, on random input and on real input."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from anypose.engine.task import Loading, Task, make_batches
from anypose.export.session import Arrays, Session
from anypose.export.streaming import SessionFrames, Stream

TOLERANCE = {"float32": 1e-4, "float16": 3e-2, "int8": 0.3}  # largest difference, as a share of the largest output


@dataclass(frozen=True)
class Parity:
    """One output, compared.

    Attributes:
        data: "random", or "real" and the dataset.
        output: its name.
        largest, mean: absolute difference.
        scale: the largest absolute value of the reference.
        unit: of the three, "" where there is none.
    """

    data: str
    output: str
    largest: float
    mean: float
    scale: float
    unit: str

    @property
    def relative(self) -> float:
        """The largest difference as a share of the largest value; NaN where an output is not finite."""
        return self.largest / max(self.scale, 1e-12)

    def check(self, file: str, dtype: str) -> None:
        """Refuse what differs too much, or is no number: NaN is larger than nothing and would slip through a maximum.

        Raises:
            ValueError: naming the output and the difference.
        """
        if not math.isfinite(self.scale):
            raise ValueError(f"{file}: torch's own {self.output} is not finite ({self}). Nothing was kept.")
        if not self.relative <= TOLERANCE[dtype]:
            raise ValueError(
                f"{file} in {dtype} differs from torch by {self.relative:.2g} of the largest output "
                f"({self}); at most {TOLERANCE[dtype]} is accepted. Nothing was kept."
            )

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"{self.data} input, {self.output}: largest difference {self.largest:.2e}{unit}, "
            f"mean {self.mean:.2e}{unit}, largest value {self.scale:.3g}{unit}"
        )


def measure(reference: Session, session: Session, arrays: Arrays, data: str, unit: str) -> list[Parity]:
    """Run both on the same arrays and compare every output."""
    wanted, found = reference.run(arrays), session.run(arrays)
    return [difference(name, array, found[name], data, unit) for name, array in wanted.items()]


def measure_stream(reference: Session, session: Session, frames: np.ndarray, data: str, unit: str) -> list[Parity]:
    """Run a network frame by frame, and the model on the same sequence at once with its first and last frame repeated.

    Args:
        reference: the model.
        session: the network with states.
        frames: (T, K, C).
        data, unit: see `Parity`.
    """
    stream = Stream(SessionFrames(session))
    found = stream.run(frames)
    padded = np.pad(frames, ((stream.past, stream.latency), (0, 0), (0, 0)), mode="edge")
    ((name, wanted),) = reference.run({reference.inputs[0].name: padded[None]}).items()
    return [difference(name, wanted[0], found, data, unit)]


def difference(output: str, wanted: np.ndarray, found: np.ndarray, data: str, unit: str) -> Parity:
    """How far two arrays are apart."""
    distance = np.abs(found.astype(np.float64) - wanted)
    return Parity(data, output, float(distance.max()), float(distance.mean()), float(np.abs(wanted).max()), unit)


def real_inputs(task: Task, dataset: Any, names: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """The first validation batch in the shapes of the file.

    Args:
        task: makes the batches.
        dataset: what it reads.
        names: {name in a batch: name in the file}.
        shapes: {name in the file: shape}. What a batch has more of is cut, what it has less of repeats its edge, as
            short sequences are padded for a network of fixed length.
    """
    loading = Loading(next(iter(shapes.values()))[0], seed=0, drop_last=False)
    batch = next(iter(make_batches(task, dataset, False, loading, torch.device("cpu")).epoch(0)))
    return {names[name]: fit(batch[name].numpy(), shapes[names[name]]) for name in names}


def fit(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array cut or edge-padded at the end of each axis."""
    array = array[tuple(slice(size) for size in shape)]
    missing = [(0, wanted - found) for wanted, found in zip(shape, array.shape, strict=True)]
    return np.ascontiguousarray(np.pad(array, missing, mode="edge"))
