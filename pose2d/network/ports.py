"""What a network of another project says that it takes and gives, and whether its answers fit that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from anypose.bounds import largest, limit
from pose2d.images.image import Normalization

DTYPES = ("float32", "float16", "uint8", "int32")


class Port(Protocol):
    """An input or output of a session: shape with None where it is free, numpy dtype."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int | None, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...


class Network(Protocol):
    """What is needed of `anypose.export.session.Session`."""

    @property
    def inputs(self) -> tuple[Any, ...]: ...
    @property
    def outputs(self) -> tuple[Any, ...]: ...
    def run(self, arrays: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]: ...


@dataclass(frozen=True)
class ImageInput:
    """The input of a network that reads images.

    Attributes:
        name: of the port.
        batch: images that must come together, None for any number.
        size: (H, W), None where it is free [px].
        last: the channels come last: (B, H, W, 3).
        dtype: of the pixels; whole numbers are grey levels as they are.
    """

    name: str
    batch: int | None
    size: tuple[int | None, int | None]
    last: bool
    dtype: np.dtype

    def feed(self, pixels: np.ndarray, normalization: Normalization | None) -> dict[str, np.ndarray]:
        """(B, H, W, 3) uint8 RGB as the network takes them, normalised where that is asked for."""
        if normalization is None:
            array = pixels if self.last else pixels.transpose(0, 3, 1, 2)
        else:
            array = normalization.apply(torch.from_numpy(pixels)).numpy()
            array = array.transpose(0, 2, 3, 1) if self.last else array
        return {self.name: np.ascontiguousarray(array, dtype=self.dtype)}


def image_input(inputs: Sequence[Port], source: str, at_once: int = 1) -> ImageInput:
    """The only input of a network, as an image.

    Args:
        inputs: of the network.
        source: its file, for messages.
        at_once: how many images it will be shown together, where it does not say.

    Raises:
        ValueError: naming `source` and the inputs it has instead, or what its images would take.
    """
    shape = inputs[0].shape if len(inputs) == 1 else ()
    last = len(shape) == 4 and shape[3] == 3 and shape[1] != 3
    if len(shape) != 4 or shape[3 if last else 1] != 3 or str(inputs[0].dtype) not in DTYPES:
        raise ValueError(
            f"{source} must have one input, images of shape (B, 3, H, W) or (B, H, W, 3) in {', '.join(DTYPES)}; it "
            f"has {describe_ports(inputs)}. Is it a network that reads images?"
        )
    known = [at_once if shape[0] is None else shape[0], *(size for size in shape[1:] if size is not None)]
    if min(known) < 1:
        raise ValueError(f"{source} takes {describe_ports(inputs)}: at least one image, of a pixel, is wanted.")
    if 4 * math.prod(known) > largest():
        raise ValueError(f"{source} takes {describe_ports(inputs)}, at once more than {limit(largest())}.")
    batch, size = shape[0], (shape[1:3] if last else shape[2:4])
    return ImageInput(inputs[0].name, batch, (size[0], size[1]), last, np.dtype(inputs[0].dtype))


def answers(found: Mapping[str, np.ndarray], names: Sequence[str], shown: int, source: str) -> list[np.ndarray]:
    """The outputs called `names` of a network that was shown so many images, a row for each.

    Raises:
        ValueError: where it gives another number of rows, nothing, or more than a file may hold: what a network
            declares leaves sizes open.
    """
    arrays = [found[name] for name in names]
    for name, array in zip(names, arrays, strict=True):
        if array.ndim < 1 or len(array) != shown or not array.size:
            raise ValueError(
                f"{source} was shown {shown} images, and its {name} came out as {array.shape}; something for each is "
                "wanted."
            )
        if array.nbytes > largest():
            raise ValueError(f"{source}: its {name} came out as {array.shape}, more than {limit(largest())}.")
    return arrays


def describe_ports(ports: Sequence[Port]) -> str:
    """ "dets float32 (1, any, 5), labels int64 (1, any)", for messages."""
    told = [f"{p.name} {p.dtype} ({', '.join('any' if n is None else str(n) for n in p.shape)})" for p in ports]
    return ", ".join(told) or "nothing"
