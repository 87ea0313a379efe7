"""A model as it is exported: weights baked in, inputs and outputs named, every axis a number or free by choice."""

from __future__ import annotations

import copy
import inspect
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn

from anypose.bounds import check_made
from anypose.export.onnx_graph import check_opset
from anypose.kernels.swap import swap
from anypose.settings import Misuse
from anypose.shapes import IO, PIXELS

DType = Literal["float32", "float16", "int8"]


@dataclass(frozen=True)
class Options:
    """What to write.

    Attributes:
        opset: of ONNX, at most 17.
        dtype: of the weights; inputs and outputs stay float32. int8 quantises the products as they run.
        sizes: a number for letters of the input shapes; for those left out the model or its window decides.
        dynamic: letters that stay free, e.g. ["T"].
        conv2d: write Conv1d as Conv2d with (k, 1) kernels.
        streaming: write the network that takes one frame and its own states.
    """

    opset: int
    dtype: DType
    sizes: Mapping[str, int]
    dynamic: Sequence[str]
    conv2d: bool
    streaming: bool

    def __post_init__(self) -> None:
        check_opset(self.opset)
        if self.dtype not in ("float32", "float16", "int8"):
            raise Misuse(f"dtype must be float32, float16 or int8, got {self.dtype!r}.")


class Network(nn.Module):
    """A model with its weights baked in, which gives a tuple of tensors.

    A model may say how it wants to be shipped: `export_names` {name in `io`: name in the file} and `export_sizes`
    {letter: number}.

    Attributes:
        names: {name in the model's `io`: name in the file}.
        inputs, outputs: {name in the file: shape of the model's `io`}.
        sizes: a number for every letter of the inputs.
        dynamic: the letters that stay free.
    """

    def __init__(self, model: nn.Module, options: Options) -> None:
        super().__init__()
        if options.streaming:
            model = streamed(model)
        self.network = baked(model, options)
        io = cast("IO", model.io)
        chosen = cast("Mapping[str, str]", getattr(model, "export_names", {}))
        self.names = {name: chosen.get(name, name) for name in (*io.inputs, *io.outputs)}
        self.inputs = {self.names[name]: shape for name, shape in io.inputs.items()}
        self.outputs = {self.names[name]: shape for name, shape in io.outputs.items()}
        self.dynamic = tuple(options.dynamic)
        letters = [size for shape in self.inputs.values() for size in shape if isinstance(size, str)]
        shapes = "; ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in self.inputs.items())
        if unknown := sorted({*options.sizes, *self.dynamic} - set(letters)):
            raise ValueError(
                f"sizes and dynamic speak of {', '.join(unknown)}, but the input of {type(model).__name__} is {shapes}."
            )
        sizes = {"B": 1, "T": getattr(model, "receptive_field", 1), **getattr(model, "export_sizes", {})}
        sizes |= options.sizes
        if missing := [letter for letter in letters if letter not in sizes]:
            raise ValueError(
                f"The input of {type(model).__name__} is {shapes}: a number for {missing[0]} is needed, "
                f"sizes.{missing[0]}=..."
            )
        if wrong := [letter for letter in letters if type(sizes[letter]) is not int or sizes[letter] < 1]:
            raise Misuse(f"sizes.{wrong[0]} must be a whole number of at least 1, got {sizes[wrong[0]]!r}.")
        self.sizes = {letter: sizes[letter] for letter in letters}
        for name, shape in self.input_shapes().items():
            told = ", ".join(f"sizes.{letter}={size}" for letter, size in self.sizes.items())
            check_made(4.0 * math.prod(shape), f"{told}: the input {name}")
        window = 1 if options.streaming else getattr(model, "receptive_field", 1)
        if self.sizes.get("T", window) < window:
            raise ValueError(f"{type(model).__name__} sees {window} frames at once, got sizes.T={self.sizes['T']}.")

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs = self.network(*inputs)
        if isinstance(outputs, dict):
            return tuple(outputs.values())
        return outputs if isinstance(outputs, tuple) else (outputs,)

    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes that the file is made for; along a dynamic axis, that it is tried with."""
        return {
            name: tuple(size if isinstance(size, int) else self.sizes[size] for size in shape)
            for name, shape in self.inputs.items()
        }

    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """{name: {axis: letter}} of every axis that stays free; an output's is free where its letter depends on one."""
        free = {letter.lower() for letter in self.dynamic}

        def axes(shape: tuple[int | str, ...]) -> dict[int, str]:
            named = {axis: size for axis, size in enumerate(shape) if isinstance(size, str)}
            return {axis: size for axis, size in named.items() if free & set(re.findall("[a-z]+", size.lower()))}

        found = {name: axes(shape) for name, shape in {**self.inputs, **self.outputs}.items()}
        return {name: its for name, its in found.items() if its}

    def output_shapes(self) -> dict[str, tuple[int | str | None, ...]]:
        """{name: its axes}: a number, what a free one is called, or None where only the graph knows it."""
        free = self.dynamic_axes()
        return {
            name: tuple(
                free.get(name, {}).get(axis, size if isinstance(size, int) else self.sizes.get(size))
                for axis, size in enumerate(shape)
            )
            for name, shape in self.outputs.items()
        }


def streamed(model: nn.Module) -> nn.Module:
    """The form of the model that takes frames as they come."""
    stream = cast("Callable[[], nn.Module] | None", getattr(model, "streaming", None))
    if not callable(stream):
        raise Misuse(f"streaming=true has no effect on {type(model).__name__}: it sees one frame. Leave it false.")
    return stream()


def baked(model: nn.Module, options: Options) -> nn.Module:
    """A copy on the CPU with everything that only training needs folded into the weights, in the form for `options`."""
    bake = cast("Callable[..., nn.Module] | None", getattr(model, "baked", None))
    if options.conv2d and not (bake and "two_dimensional" in inspect.signature(bake).parameters):
        raise Misuse(f"conv2d=true has no effect on {type(model).__name__}: it has no Conv1d. Leave it false.")
    if options.conv2d and options.dtype == "int8":
        raise Misuse("conv2d=true has no effect with dtype=int8, which writes products. Leave it false.")
    forms = {"two_dimensional": True} if options.conv2d else {}
    network = bake(**forms) if bake else copy.deepcopy(model)
    if options.dtype == "int8" or options.streaming:
        # Runtimes have int8 kernels for products, not for dilated convolutions; and one frame is a product.
        swap(network, {"temporal": "products"})
    return network.cpu().float().eval()


def trace(network: Network, path: Path, opset: int) -> None:
    """torch's tracing exporter: it writes the opset that it is asked for, which the newer one does not."""
    example = tuple(
        torch.randint(256, shape, dtype=torch.uint8) if name == PIXELS else torch.randn(shape)
        for name, shape in network.input_shapes().items()
    )
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="Constant folding", category=UserWarning)  # `tidy` does it
        # Python numbers taken from shapes become constants of the trace: right, where those axes are fixed.
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        torch.onnx.export(
            network,
            example,
            str(path),
            dynamo=False,
            opset_version=opset,
            do_constant_folding=True,
            input_names=list(network.inputs),
            output_names=list(network.outputs),
            dynamic_axes=network.dynamic_axes(),
        )
