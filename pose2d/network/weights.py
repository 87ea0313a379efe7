"""Weights of other projects for a ResNet with a deconvolution head, by the names they are found under.

    torchvision, timm        ImageNet classifiers of the plain ResNets: the trunk; `fc` is left out
    microsoft                pose_resnet_*.pth.tar, as published or with `module.` before every name
    mmpose                   `backbone.*` and `head.*` (1.x) or `keypoint_head.*` (0.x)
    TF-slim, mks0601         resnet_v1_* checkpoints (`anypose.formats.tf_checkpoint` reads them) or an npz of one
    this project             checkpoints of its own

A network expects the colours it was trained with: torchvision's, timm's and mmpose's RGB; microsoft's pose networks
task.channels=bgr with the same numbers; mks0601's bgr with task.mean=[123.68,116.78,103.94], task.std=[1,1,1].
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pose2d.network.resnet import STAGES
from pose2d.network.weight_files import read_weights

log = logging.getLogger(__name__)
_HEADS = ("deconv_layers.", "final_layer.")
_SLIM_UNIT = re.compile(r"resnet_v1_\d+/block(\d)/unit_(\d+)/bottleneck_v1/(conv(\d)|shortcut)/(.+)")
_SLIM_STEM = re.compile(r"resnet_v1_\d+/conv1/(.+)")
_SLIM_HEAD = re.compile(r"(?:.*/)?up(\d)/(.+)")
_SLIM_LAST = re.compile(r"(?:.*/)?out/(weights|biases)$")
_SLIM_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


@dataclass(frozen=True)
class Differences:
    """How a file and a model differ once all that fits has been loaded.

    Attributes:
        source: what the file was taken for.
        missing: names of the model that the file lacks; they keep their fresh values.
        left_out: names of the file that the model has no place for.
        other_shape: names found in both with different shapes; they keep their fresh values.
    """

    source: str
    missing: tuple[str, ...]
    left_out: tuple[str, ...]
    other_shape: tuple[str, ...]


def load_weights(model: nn.Module, path: str | Path, setting: str = "task.weights", whole: bool = False) -> Differences:
    """Load what fits from a file into `model`, log and return what differs.

    Args:
        setting: how the user named the file.
        whole: the head must be there, too: the weights are to be scored, not trained on from.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: where it cannot be read, or lacks a part of the trunk, or of anything where it must be whole.
    """
    path = Path(path).expanduser()
    source, weights = convert(read_weights(path, setting))
    wanted = model.state_dict()
    fitting = {name: value for name, value in weights.items() if name in wanted and value.shape == wanted[name].shape}
    shapes = tuple(name for name in weights if name in wanted and name not in fitting)
    counters = tuple(name for name in wanted if name.endswith("num_batches_tracked"))
    missing = tuple(name for name in wanted if name not in weights and name not in counters)
    if not any(name in wanted for name in weights):
        raise ValueError(
            f"{setting}={path} has nothing of {type(model).__name__}: none of its {len(weights)} names, e.g. "
            f"{next(iter(weights))}, is one of the network's, e.g. {next(iter(wanted))}."
        )
    broken = [name for name in (*missing, *shapes) if whole or not name.startswith(_HEADS)]
    if broken:
        first = broken[0]
        found = f"has {tuple(weights[first].shape)}" if first in weights else "lacks it"
        told = ", ".join(f"model.{name}={value}" for name, value in architecture(weights).items())
        raise ValueError(
            f"{path} ({source}) does not fit {type(model).__name__}: {len(broken)} tensors "
            f"{'' if whole else 'of the trunk '}are missing or have another shape, first {first}, "
            f"{tuple(wanted[first].shape)} in the network; the file {found}. "
            f"{f'It is one of {told}.' if told else 'Is model.depth that of the file?'}"
        )
    model.load_state_dict(fitting, strict=False)
    left_out = tuple(name for name in weights if name not in wanted)
    differences = Differences(source, missing, left_out, shapes)
    log.info("%s: %s is from %s, %d tensors loaded.", setting, path, source, len(fitting))
    for what, names in (
        ("not in the file, drawn afresh", missing),
        ("not in the model, left out", left_out),
        ("of another shape, drawn afresh", shapes),
    ):
        if names:
            log.info("%s: %d %s: %s", setting, len(names), what, ", ".join(names))
    return differences


def architecture(weights: Mapping[str, Tensor]) -> dict[str, int]:
    """The settings of model=simplebaseline that weights under its names were made with, as far as they show."""
    blocks: dict[str, int] = {}
    for match in filter(None, (re.match(r"layer(\d)\.(\d{1,3})\.", name) for name in weights)):
        blocks[match[1]] = max(blocks.get(match[1], 0), 1 + int(match[2]))
    kind = "bottleneck" if "layer1.0.conv3.weight" in weights else "basic"
    counts = tuple(blocks[stage] for stage in sorted(blocks))
    found = {}
    for depth, stages in STAGES.items():
        if stages == (kind, counts):
            found["depth"] = depth
    if "conv1.weight" in weights and weights["conv1.weight"].ndim == 4:
        found["trunk_channels"] = weights["conv1.weight"].shape[0]
    last = weights.get("final_layer.weight")
    if last is not None and last.ndim == 4:
        found |= {"num_keypoints": last.shape[0], "deconv_channels": last.shape[1]}
    return found


def convert(state: Mapping[str, Any]) -> tuple[str, dict[str, Tensor]]:
    """Who made these weights, and the weights under this project's names."""
    if any(name.startswith("resnet_v1_") for name in state):
        return "TF-slim or mks0601", dict(_from_slim(state))
    names = {name.removeprefix("module."): value for name, value in state.items()}
    tensors = {name: torch.as_tensor(value) for name, value in names.items()}
    if any(name.startswith("backbone.") for name in tensors):
        prefixes = re.compile(r"^(backbone|head|keypoint_head)\.")
        return "mmpose", {prefixes.sub("", name): value for name, value in tensors.items()}
    if "final_layer.weight" in tensors:
        return "microsoft or this project", tensors
    return "torchvision or timm", tensors


def _from_slim(state: Mapping[str, Any]):
    """Names and kernel layouts of TF-slim's ResNets and mks0601's head, as (name, tensor) pairs."""
    for name, value in state.items():
        tensor = torch.from_numpy(np.array(value, dtype=np.float32)) if np.ndim(value) else None
        target = _slim_name(name)
        if target is None or tensor is None:
            # Adam's moments, the step, the classifier: listed as left out.
            yield name, torch.zeros(()) if tensor is None else tensor
        elif tensor.ndim == 4:
            # TensorFlow: (kh, kw, in, out), and (kh, kw, out, in) for transposed convolutions.
            yield target, tensor.permute(3, 2, 0, 1).contiguous()
        else:
            yield target, tensor


def _slim_name(name: str) -> str | None:
    if match := _SLIM_UNIT.fullmatch(name):
        block, unit, part, number, rest = match.groups()
        layer = f"layer{block}.{int(unit) - 1}."
        convolution = layer + ("downsample.0" if part == "shortcut" else f"conv{number}")
        norm = layer + ("downsample.1" if part == "shortcut" else f"bn{number}")
    elif match := _SLIM_STEM.fullmatch(name):
        convolution, norm, rest = "conv1", "bn1", match.group(1)
    elif match := _SLIM_HEAD.fullmatch(name):
        number, rest = int(match.group(1)) - 1, match.group(2)
        convolution, norm = f"deconv_layers.{3 * number}", f"deconv_layers.{3 * number + 1}"
    elif match := _SLIM_LAST.fullmatch(name):
        return {"weights": "final_layer.weight", "biases": "final_layer.bias"}[match.group(1)]
    else:
        return None
    if rest == "weights":
        return f"{convolution}.weight"
    head, _, last = rest.rpartition("BatchNorm/")
    return f"{norm}.{_SLIM_NORM[last]}" if not head and last in _SLIM_NORM else None
