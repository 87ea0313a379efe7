"""MotionAGFormer's weights as its authors' code names them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from anypose.skeleton import H36M_17

# Of Human3.6M's bones these are known at one end alone: (joint, neighbour that it does not see).
_UNSEEN = (("hip", "left_hip"), ("thorax", "left_shoulder"), ("thorax", "right_shoulder"))

# Theirs, as a pattern, and ours.
_NAMES = (
    (r"^module\.", ""),
    (r"^joints_embed\.", "embedding."),
    (r"^pos_embed$", "position"),
    (r"^layers\.(\d+)\.", r"blocks.\1."),
    (r"\.att_", ".attention_"),
    (r"\.layer_scale_", ".scale"),
    (r"\.mixer\.proj\.", ".mixer.projection."),
    (r"\.mixer\.U\.", ".mixer.own."),
    (r"\.mixer\.V\.", ".mixer.neighbours."),
    (r"\.mixer\.batch_norm\.", ".mixer.norm."),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.fc2\.", ".mlp.2."),
    (r"^rep_logit\.fc\.", "representation."),
)


def from_published_agformer(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a `MotionAGFormer` from that of the authors' network; names may start with "module.".

    What comes out of such weights is in their unit: 1 is half the width of the picture at the root's depth.
    """
    state = {}
    for name, tensor in weights.items():
        for theirs, ours in _NAMES:
            name = re.sub(theirs, ours, name)
        state[name] = tensor
        if name.endswith("graph_spatial.mixer.own.weight"):  # their adjacency is no part of a checkpoint
            state[name.replace("own.weight", "adjacency.adjacency")] = published_adjacency()
    return state


def published_adjacency() -> Tensor:
    """(17, 17) the graph of the authors' network, a row for what a joint sees."""
    adjacency = torch.zeros(17, 17)
    for child, parent in H36M_17.bones:
        adjacency[child, parent] = adjacency[parent, child] = 1
    for joint, neighbour in _UNSEEN:
        adjacency[H36M_17.index(joint), H36M_17.index(neighbour)] = 0
    return adjacency


def size_of(state: Mapping[str, Tensor]) -> dict[str, int]:
    """What the state of a `MotionAGFormer` tells of its size, in the words of conf/model/motionagformer.yaml."""
    sizes = {}
    if blocks := [int(found[1]) for name in state if (found := re.match(r"blocks\.(\d+)\.", name))]:
        sizes["num_blocks"] = max(blocks) + 1
    first = "blocks.0.graph_temporal.mixer.norm.weight"
    for word, name, axis in (
        ("channels", "embedding.weight", 0),
        ("num_frames", first, 0),
        ("keypoint_channels", "embedding.weight", 1),
        ("representation", "representation.weight", 0),
    ):
        if name in state and state[name].dim() > axis:
            sizes[word] = state[name].shape[axis]
    return sizes
