"""Evaluate what was exported: the task stays, its model computes through a session."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from anypose.engine.finding import products_folder
from anypose.engine.place import typed
from anypose.engine.task import Task
from anypose.export.metadata import sha256
from anypose.export.parity import fit
from anypose.export.session import Session, open_session
from anypose.settings import Misuse

log = logging.getLogger(__name__)


def compute_with(
    task: Task, runtime: Literal["onnx", "om"], file: str | None, checkpoint: Path, name: str, device: str
) -> str:
    """Let `task.model` compute through an exported file.

    Args:
        task: the task around the model as it was trained.
        runtime: the kind of file.
        file: the file, None for the one that export.py writes beside the checkpoint, or in runs/ for released weights.
        checkpoint: what the model was loaded from. A file that was exported from another one is refused.
        name: of the model, for the file's name.
        device: where to compute.

    Returns:
        What really computes.
    """
    if runtime not in ("onnx", "om"):
        raise Misuse(f"runtime must be torch, onnx or om, got {runtime!r}.")
    path = Path(file) if file else products_folder(checkpoint, name) / f"{name}.{runtime}"
    session = open_session(path, device)
    if session.metadata.get("checkpoint_sha256") != sha256(checkpoint):
        raise ValueError(
            f"{path} was exported from {session.metadata.get('checkpoint', 'an unknown checkpoint')}, not from "
            f"{checkpoint} as it is now. Write it again: {typed('export')} checkpoint={checkpoint} format={runtime}"
        )
    log.info("%s computes %s.", session.runtime, path)
    field = getattr(task.model, "receptive_field", None)

    def forward(inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        results = run_any_size(session, inputs.cpu().numpy(), field)
        outputs = tuple(torch.from_numpy(array).to(inputs.device) for array in results)
        return outputs[0] if len(outputs) == 1 else outputs

    task.model.forward = forward
    return session.runtime


def run_any_size(session: Session, array: np.ndarray, field: int | None) -> Sequence[np.ndarray]:
    """Run a network of one input, whose batch and time may be fixed, on an array of any batch and length.

    What is longer goes through in pieces, in time with an overlap of `field` - 1 frames; what is shorter repeats its
    edge, and the outputs of that are cut off again.

    Args:
        session: the network.
        array: (B, T, ...) or, for a network that sees no time, (B, ...).
        field: the network's receptive field, None where the second axis is no time.
    """
    (port,) = session.inputs
    batch = port.shape[0] or len(array)
    if field is None:
        length, step, outputs_due = array.shape[1], 1, 1
    else:
        length = port.shape[1] or array.shape[1]
        step, outputs_due = length - field + 1, array.shape[1] - field + 1
    rows = []
    for first in range(0, len(array), batch):
        part = array[first : first + batch]
        pieces = []
        for start in range(0, outputs_due, step):
            piece = fit(part[:, start : start + length], (batch, length, *array.shape[2:]))
            outputs = [output[: len(part)] for output in session.run({port.name: piece}).values()]
            if field is not None:
                outputs = [output[:, : outputs_due - start] for output in outputs]
            pieces.append(outputs)
        rows.append([np.concatenate(output, axis=1) if field else output[0] for output in zip(*pieces, strict=True)])
    return [np.concatenate(row) for row in zip(*rows, strict=True)]
