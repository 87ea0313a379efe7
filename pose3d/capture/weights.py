"""Weights of other projects for the capture network, by the names they are found under.

    TF1 snapshot         `CPM/conv1_1/weights` [kh, kw, in, out]: a checkpoint as it is, or an npz of one
    OpenPose topology    38 + 19 outputs (COCO's 18 joints): Caffe's names in PyTorch ports, `conv4_3_CPM.weight`,
                         `model1_1.0.weight` and the like
    this project         checkpoints of its own, and state_dicts

From OpenPose's everything comes but the stages' outputs and the parts of their inputs that read these outputs: other
joints, other limbs, two channels a limb instead of three. Its input is BGR / 255 - 0.5 (Caffe's /256), ours RGB, so the
first layer's channels are exchanged.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pose2d.network.weight_files import read_weights

log = logging.getLogger(__name__)
_OPENPOSE_OUTPUTS = 38 + 19
_KINDS = "weight|bias|running_mean|running_var|num_batches_tracked"  # the last three of a BatchNorm alone
_MINE = re.compile(rf"(conv\d_\d(_CPM)?(_L[12])?|Mconv\d_stage\d_L[12])(_norm)?\.({_KINDS})|limb_lengths")
_TF = re.compile(r"(?:CPM/)?(\w+)/(weights|biases)")
_FRONT = (
    "conv1_1", "conv1_2", "pool", "conv2_1", "conv2_2", "pool", "conv3_1", "conv3_2", "conv3_3", "conv3_4", "pool",
    "conv4_1", "conv4_2", "conv4_3_CPM", "conv4_4_CPM",
)  # fmt: skip


@dataclass(frozen=True)
class Differences:
    """How a file and the network differ once all that fits has been loaded.

    Attributes:
        source: what the file was taken for.
        fresh: names of the network that keep their fresh values, wholly.
        partly: names whose inputs that read stage outputs keep their fresh values.
        left_out: names of the file that the network has no place for.
    """

    source: str
    fresh: tuple[str, ...]
    partly: tuple[str, ...]
    left_out: tuple[str, ...]


def load_capture_weights(
    model: nn.Module, path: str | Path, setting: str = "task.weights", whole: bool = False
) -> Differences:
    """Load what fits from a file into a `TotalCapture`; log and return what differs.

    Args:
        setting: how the user named the file.
        whole: the stages' outputs must be there, too: the weights are to be scored, not trained on from.

    Raises:
        ValueError: where a part of the front is missing or has another shape, or anything where it must be whole.
    """
    path = Path(path).expanduser()
    source, weights = convert(read_weights(path, setting), setting)
    wanted = model.state_dict()
    fresh, partly = [], []
    for name, current in wanted.items():
        value = weights.get(name)
        if value is not None and value.shape == current.shape:
            current.copy_(value)
        elif value is not None and source == "OpenPose" and _reads_outputs(name, value, current):
            features = value.shape[1] - _OPENPOSE_OUTPUTS  # they come last in both
            current[:, -features:].copy_(value[:, -features:])
            partly.append(name)
        elif name != "limb_lengths":
            fresh.append(name)
    outputs = _outputs(wanted)
    optional = outputs if source == "OpenPose" and not whole else set()
    broken = [name for name in (*fresh, *(partly if whole else ())) if name.rpartition(".")[0] not in optional]
    if broken:
        found = tuple(weights[broken[0]].shape) if broken[0] in weights else "nothing"
        raise ValueError(
            f"{setting}={path} ({source}) does not fit: {len(broken)} tensors are missing or have another shape, "
            f"first {broken[0]} with {tuple(wanted[broken[0]].shape)}, where the file has {found}. Published networks "
            "have model.width=1.0 and model.num_stages=6; model.part must be that of the file."
        )
    model.load_state_dict(wanted)
    left_out = tuple(name for name in weights if name not in wanted)
    differences = Differences(source, tuple(fresh), tuple(partly), left_out)
    log.info("%s: %s is from %s, %d tensors loaded.", setting, path, source, len(wanted) - len(fresh))
    for what, names in (
        ("drawn afresh", differences.fresh),
        ("without their inputs from stage outputs", differences.partly),
        ("not in the network, left out", differences.left_out),
    ):
        if names:
            log.info("%s: %d %s: %s", setting, len(names), what, ", ".join(names))
    return differences


def convert(state: Mapping[str, Any], setting: str = "task.weights") -> tuple[str, dict[str, Tensor]]:
    """Who made these weights, and the weights under this network's names."""
    names = {name.removeprefix("module."): value for name, value in state.items()}
    if any(_TF.fullmatch(name) for name in names):
        return "a TF1 snapshot", dict(_from_tf(names))
    tensors = {name: torch.as_tensor(value) for name, value in names.items()}
    if any(name.startswith("model0.") for name in tensors):
        return "OpenPose", _swap_colours(dict(_from_port(tensors)))
    last = tensors.get("conv5_5_CPM_L1.weight")
    if last is not None and last.shape[0] == 38:
        return "OpenPose", _swap_colours(tensors)
    if any(_MINE.fullmatch(name) for name in tensors):
        return "this project", tensors
    raise ValueError(
        f"model=total_capture knows no kind of {setting} with names like {next(iter(names), 'none at all')}. "
        "Known: a TF1 snapshot (CPM/conv1_1/weights), OpenPose's names in PyTorch, this project's."
    )


def _from_tf(state: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    for name, value in state.items():
        match = _TF.fullmatch(name)
        if not match or not np.ndim(value):
            yield name, torch.zeros(())  # Adam's moments, the step: listed as left out
            continue
        tensor = torch.from_numpy(np.array(value, dtype=np.float32))
        if tensor.ndim == 4:
            tensor = tensor.permute(3, 2, 0, 1).contiguous()
        yield f"{match[1]}.{'weight' if match[2] == 'weights' else 'bias'}", tensor


def _from_port(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """PyTorch ports number the layers of nn.Sequential: model0 the front, model<stage>_<branch> the rest."""
    front = _sequence(_FRONT)
    for name, value in state.items():
        group, index, kind = name.rsplit(".", 2)
        layer = None
        if group == "model0":
            layer = front.get(int(index))
        elif match := re.fullmatch(r"model(\d)_([12])", group):
            stage, branch, number = int(match[1]), f"L{match[2]}", int(index) // 2 + 1
            layer = f"conv5_{number}_CPM_{branch}" if stage == 1 else f"Mconv{number}_stage{stage}_{branch}"
        yield (f"{layer}.{kind}" if layer else name), value


def _sequence(names: tuple[str, ...]) -> dict[int, str]:
    """Place of each convolution in a sequence where every convolution is followed by its ReLU."""
    places, place = {}, 0
    for name in names:
        if name != "pool":
            places[place] = name
        place += 1 if name == "pool" else 2
    return places


def _swap_colours(state: dict[str, Tensor]) -> dict[str, Tensor]:
    if "conv1_1.weight" in state:
        state["conv1_1.weight"] = state["conv1_1.weight"].flip(1)
    return state


def _reads_outputs(name: str, value: Tensor, current: Tensor) -> bool:
    """Whether the weights differ only in how many stage outputs they read."""
    first = re.fullmatch(r"Mconv1_stage\d_L[12]\.weight", name) is not None
    return first and value.ndim == 4 and value.shape[0] == current.shape[0] and value.shape[2:] == current.shape[2:]


def _outputs(names: Mapping[str, Tensor]) -> set[str]:
    """The layers that give a stage's result."""
    layers = {name.rpartition(".")[0] for name in names}
    return {layer for layer in layers if re.fullmatch(r"conv5_5_CPM_L[12]|Mconv7_stage\d_L[12]", layer)}
