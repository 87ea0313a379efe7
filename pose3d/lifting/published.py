"""VideoPose3D's weights as its authors' code and Ascend's port of it name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor


def from_published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a `VideoPose3D` from a network of the authors' code, whose names and layout it has, or of the port.

    Args:
        weights: "model_pos" (or "model_traj") of such a `.bin` file. The port's names may start with "module.", and its
            kernels are those of Conv2d, (C_out, C_in, W, 1).
    """
    return {
        name.removeprefix("module."): tensor.squeeze(-1) if tensor.dim() == 4 else tensor
        for name, tensor in weights.items()
    }


def both_from_published(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state of a `PoseAndTrajectory` from a `.bin` file that holds both networks."""
    networks = {"pose": from_published(content["model_pos"]), "trajectory": from_published(content["model_traj"])}
    return {f"{part}.{name}": tensor for part, state in networks.items() for name, tensor in state.items()}


def dense_kernels(widths: Sequence[int]) -> list[int] | None:
    """The kernel sizes whose dilated reach these widths are, as `--dense` builds them; None where there are none.

    A kernel of W taps, S frames apart, is then (W - 1) S + 1 wide, S the product of the sizes before it.
    """
    sizes, spacing = [], 1
    for width in widths:
        taps, rest = divmod(width - 1, spacing)
        if rest or taps % 2:
            return None
        sizes.append(taps + 1)
        spacing *= taps + 1
    return sizes
