"""A trained network as a file that runs without this project: ONNX, Ascend's OM (from ONNX), or safetensors.

A file appears under its name only after it was checked: plain ONNX that old compilers read, and the outputs of torch on
random and on real input. Beside it stands what its user must know, as JSON.
"""

from __future__ import annotations

import copy
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from safetensors.torch import save

from anypose.engine.checkpoint import HEADER
from anypose.engine.run import write_json
from anypose.engine.task import Task
from anypose.export.metadata import beside, describe_model, sha256, to_json
from anypose.export.network import Network, Options, trace
from anypose.export.om import Atc, compile_om, write_command
from anypose.export.onnx_graph import check, describe, import_onnx, say_shapes, tidy
from anypose.export.onnx_types import quantise, to_half
from anypose.export.parity import Parity, measure, measure_stream, real_inputs
from anypose.export.session import METADATA_KEY, OnnxSession, TorchSession
from anypose.settings import Misuse
from anypose.shapes import IO, PIXELS
from anypose.whole import FULL, drafts


def export_network(
    task: Task,
    path: Path,
    kind: Literal["onnx", "om", "safetensors"],
    options: Options,
    atc: Atc,
    about: Mapping[str, Any],
    real: Any,
) -> None:
    """Write the file of the asked kind and say what was written.

    Args:
        task: the task around the trained model.
        path: the file, with the suffix of its kind.
        kind: what to write. "om" writes the ONNX file, too, and needs atc.
        options: of the network.
        atc: how to compile an .om.
        about: more entries for the metadata: checkpoint, configuration.
        real: the dataset whose validation split gives real input to compare on, None for random input alone.
    """
    if kind not in ("onnx", "om", "safetensors"):
        raise Misuse(f"format must be onnx, om or safetensors, got {kind!r}.")
    if path.suffix != f".{kind}":
        raise Misuse(f"output must end in .{kind} with format={kind}, got {path}.")
    if kind == "safetensors":
        export_safetensors(task, path, options, about)
        print(f"{path}: {path.stat().st_size} bytes. Its description: {beside(path, '.json')}.")
        return
    if kind == "om" and (options.dynamic or options.dtype == "int8"):
        raise Misuse(
            f"format=om needs fixed shapes and float weights, got dynamic=[{', '.join(options.dynamic)}] and "
            f"dtype={options.dtype}."
        )
    onnx = path.with_suffix(".onnx")
    for line in export_onnx(task, onnx, options, about, real):
        print(line)
    print(f"{onnx}: opset {options.opset}, {options.dtype}, {onnx.stat().st_size} bytes; {_shapes(onnx)}.")
    if kind == "om":
        command = write_command(atc, onnx, Network(task.model, options).input_shapes(), task)
        print(shlex.join(command))
        compile_om(command, onnx)
        write_json(beside(path, ".json"), json.loads(beside(onnx, ".json").read_text(encoding="utf-8")) | asdict(atc))
        print(f"{path}: for {atc.soc_version} alone.")


def _shapes(onnx: Path) -> str:
    """What goes into the file and comes out, by its description; a letter is an axis that stays free."""
    facts = json.loads(beside(onnx, ".json").read_text(encoding="utf-8"))
    told = [
        ", ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in facts[side].items())
        for side in ("inputs", "outputs")
    ]
    alone = (
        "" if any(isinstance(size, str) for shape in facts["inputs"].values() for size in shape) else ", no other size"
    )
    return f"takes {told[0]}{alone}, gives {told[1]}"


def export_onnx(task: Task, path: Path, options: Options, about: Mapping[str, Any], real: Any) -> list[Parity]:
    """Write the .onnx file, its description (.onnx.json) and its parity report (.onnx.parity.txt), or none of them.

    Args:
        task: the task around the trained model.
        path: the .onnx file.
        options: what to write.
        about: more entries for the metadata: checkpoint, configuration.
        real: the dataset whose validation split gives the real input, None for random input alone.

    Raises:
        ValueError: when the file is not plain, or differs from torch.
    """
    onnx = import_onnx()
    network = Network(task.model, options)
    with _drafts(path, (".parity.txt", ".json", "")) as draft:
        trace(network, draft, options.opset)
        graph = tidy(onnx.load(draft))
        if options.dtype == "float16":
            graph = to_half(graph)
        if options.dtype == "int8":
            graph = quantise(graph, draft)
        say_shapes(graph.graph.output, network.output_shapes())
        facts = describe_model(task.model, getattr(task, "normalization", None)) | {"names": network.names}
        facts |= {"opset": options.opset, "dtype": options.dtype, "streaming": options.streaming}
        facts |= {"inputs": describe(graph.graph.input), "outputs": describe(graph.graph.output), **about}
        graph.producer_name, graph.producer_version = "anypose", ""
        onnx.helper.set_model_props(graph, {METADATA_KEY: to_json(facts)})
        onnx.save(graph, draft)
        check(onnx.load(draft), options.opset, path.name, quantised=options.dtype == "int8")
        report = compare(task, network, draft, real)
        for line in report:
            line.check(path.name, options.dtype)
        facts |= {"sha256": sha256(draft), "bytes": draft.stat().st_size, "parity": [asdict(line) for line in report]}
        write_json(beside(draft, ".json"), facts)
        beside(draft, ".parity.txt").write_text("".join(f"{line}\n" for line in report), encoding="utf-8")
    return report


def compare(task: Task, network: Network, path: Path, real: Any) -> list[Parity]:
    """The file under ONNX Runtime against the model under torch, which has nothing folded or baked."""
    ours, theirs = TorchSession(copy.deepcopy(task.model).cpu(), names=network.names), OnnxSession(path)
    generator = np.random.default_rng(0)
    shapes = network.input_shapes()
    unit = "m" if "joints" in cast("IO", task.model.io).outputs else ""
    names = {name: network.names[name] for name in cast("IO", task.model.io).inputs}
    if theirs.metadata["streaming"]:  # some frames more than a window, one by one
        (keypoints,) = names.values()
        frames = (getattr(task.model, "receptive_field", 1) + 32, *shapes[keypoints][2:])
        report = measure_stream(ours, theirs, generator.standard_normal(frames, np.float32), "random", unit)
        if real is not None:
            arrays = real_inputs(task, real, names, {keypoints: (1, *frames)})
            report += measure_stream(ours, theirs, arrays[keypoints][0], f"real ({real.name})", unit)
        return report
    random = {
        name: generator.integers(0, 256, shape, np.uint8)
        if name == PIXELS
        else generator.standard_normal(shape, np.float32)
        for name, shape in shapes.items()
    }
    report = measure(ours, theirs, random, "random", unit)
    if real is not None:
        report += measure(ours, theirs, real_inputs(task, real, names, shapes), f"real ({real.name})", unit)
    return report


def export_safetensors(task: Task, path: Path, options: Options, about: Mapping[str, Any]) -> None:
    """Write the weights alone, with the metadata in the file's header and beside it."""
    if options.dtype == "int8":
        raise Misuse("dtype=int8 is a way of running ONNX; format=safetensors takes float32 or float16.")
    dtype = torch.float16 if options.dtype == "float16" else torch.float32
    state = {
        name: tensor.detach().cpu().to(dtype if tensor.is_floating_point() else tensor.dtype).contiguous()
        for name, tensor in task.model.state_dict().items()
    }
    if broken := [name for name, tensor in state.items() if not tensor.isfinite().all()]:
        raise ValueError(
            f"{path.name}: {broken[0]} and {len(broken) - 1} more weights are not finite. Nothing was kept."
        )
    facts = describe_model(task.model, getattr(task, "normalization", None)) | {"dtype": options.dtype, **about}
    with _drafts(path, (".json", "")) as draft:
        draft.write_bytes(save(state, {HEADER: to_json(facts)}))
        write_json(beside(draft, ".json"), facts | {"sha256": sha256(draft), "bytes": draft.stat().st_size})


@contextmanager
def _drafts(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """A place to write `path` and its companions; they are renamed into place at the end, or forgotten.

    Args:
        path: where the file shall be.
        suffixes: what to append to its name, in the order of the renames: the file itself, "", last. Where it is, its
            companions are.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with drafts(path.parent) as folder:
        draft = folder / path.name
        try:
            yield draft
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise OSError(f"{path} could not be written: {error.strerror}. Nothing was kept.") from error
        for suffix in suffixes:
            os.replace(beside(draft, suffix), beside(path, suffix))
