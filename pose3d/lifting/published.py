"""VideoPose3D's weights as its authors' code and Ascend's port of it name and lay them out."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def from_published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a `VideoPose3D` from a network of the authors' code or of Ascend's port of it.

    Args:
        weights: "model_pos" (or "model_traj") of such a `.bin` file. The port's names may start with "module.", and its
            kernels are those of Conv2d, (C_out, C_in, W, 1).
    """
    state = {}
    for name, tensor in weights.items():
        if tensor.dim() == 4:
            tensor = tensor.squeeze(-1)
        state[name.removeprefix("module.")] = tensor.transpose(1, 2).contiguous() if tensor.dim() == 3 else tensor
    return state


def to_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `from_published`: the weights as the authors' code loads them."""
    return {
        name: tensor.transpose(1, 2).contiguous() if tensor.dim() == 3 else tensor for name, tensor in state.items()
    }
