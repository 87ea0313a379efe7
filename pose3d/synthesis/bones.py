"""Poses as bones: vectors along the tree of `H36M_17`, and how pelvis, chest and head are turned. For batches."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from anypose.skeleton import H36M_17

CHILDREN = tuple(child for child, _ in H36M_17.bones)
PARENTS = tuple(parent for _, parent in H36M_17.bones)
BONE = {H36M_17.joints[child]: number for number, child in enumerate(CHILDREN)}  # a bone is named for its end


def bones_of(joints: Tensor) -> Tensor:
    """(..., 17, 3) joints -> (..., 16, 3) from each joint's parent to the joint [m], in the order of `BONE`."""
    return joints[..., CHILDREN, :] - joints[..., PARENTS, :]


def joints_of(bones: Tensor) -> Tensor:
    """(..., 16, 3) bones -> (..., 17, 3) joints relative to the hip [m]; `bones_of` takes them back."""
    return _ancestors().to(bones) @ bones


@lru_cache(1)
def _ancestors() -> Tensor:
    """(17, 16) one where the bone lies between the hip and the joint."""
    ways = torch.zeros(H36M_17.num_joints, len(CHILDREN))
    for number, (child, parent) in enumerate(H36M_17.bones):
        ways[child] = ways[parent]
        ways[child, number] = 1
    return ways


def unit(vectors: Tensor) -> Tensor:
    """(..., 3) of length 1; the zero vector stays."""
    return F.normalize(vectors, dim=-1)


def frame(left: Tensor, up: Tensor) -> Tensor:
    """(..., 3, 3) the turn whose columns are left, up and forward: `left` exactly, `up` as near as that allows."""
    left = unit(left)
    up = unit(up - (up * left).sum(-1, keepdim=True) * left)
    return torch.stack([left, up, torch.linalg.cross(left, up)], dim=-1)


def pelvis(bones: Tensor) -> Tensor:
    """(..., 16, 3) bones -> (..., 3, 3) turn of the pelvis: left, up, forward in its columns."""
    left = bones[..., BONE["left_hip"], :] - bones[..., BONE["right_hip"], :]
    return frame(left, bones[..., BONE["spine"], :])


def chest(bones: Tensor) -> Tensor:
    """(..., 16, 3) bones -> (..., 3, 3) turn of the chest: left, up, forward in its columns."""
    left = bones[..., BONE["left_shoulder"], :] - bones[..., BONE["right_shoulder"], :]
    return frame(left, bones[..., BONE["thorax"], :])


def skull(bones: Tensor) -> Tensor:
    """(..., 16, 3) bones -> (..., 3, 3) turn of the head: left, up, forward in its columns.

    Human3.6M's neck is in the lower face and its head at the height of the ears: the line between them leans back by
    some 40 degrees, and the chest says which way is left where the head looks straight on.
    """
    back_up = unit(bones[..., BONE["head"], :])
    base = unit(bones[..., BONE["neck"], :])
    left = torch.linalg.cross(base + back_up, base - back_up)  # both lie in the plane of the face's middle
    beside = bones[..., BONE["left_shoulder"], :] - bones[..., BONE["right_shoulder"], :]
    sure = left.norm(dim=-1, keepdim=True)
    left = torch.where(sure > 0.2, left, unit(beside))
    return frame(left, base + back_up)
