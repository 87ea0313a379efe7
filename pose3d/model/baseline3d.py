"""3d-pose-baseline: a residual MLP from one frame of keypoints to one pose (Martinez et al., ICCV 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from anypose.settings import Misuse
from anypose.shapes import IO
from anypose.skeleton import H36M_14
from anypose.skeleton_text import skeleton_of
from pose3d.lifter import Lifter
from pose3d.lifting.centred import CentredInput
from pose3d.lifting.foreign_mlp import State, statistics_of, take, tensorflow_arrays, tensorflow_trunk, weigq_trunk
from pose3d.lifting.residual_mlp import ClippedLinear, ResidualMLP, Standardise, bake_weights


class Baseline3D(Lifter):
    """16 keypoints to 17 joints in metres, frame by frame; other skeletons have other numbers.

    Reads Human3.6M's joints without the neck and computes those without the hip; the hip is the root, exactly
    zero, and is scored as such (the source does, too). Standardisation is part of the network.

    Args:
        linear_size: width of the hidden layers.
        num_blocks: residual blocks of two layers.
        dropout: probability of *dropping*; the source's `--dropout` is the probability of keeping.
        batch_norm: normalise before each ReLU.
        batch_norm_eps: 1e-3 in the source, and with clipped weights it matters (variances are as small).
        residual: add each block's input to its output.
        max_weight_norm: largest Frobenius norm of a weight matrix, None for no clip.
        input: what the network is given, "standardised" pixels as in the paper, or "centred": rays of a camera that is
            turned to look at the person, without the hip, by the person's size; what it says is turned back.
        predict_14: predict Human3.6M's 14 joints (no hip, spine and neck) in place of `output_skeleton`.
        input_skeleton, output_skeleton: see `skeleton_of`; "h36m_16" and "h36m_17" in the source.
    """

    receptive_field = 1

    def __init__(
        self,
        *,
        linear_size: int,
        num_blocks: int,
        dropout: float,
        batch_norm: bool,
        batch_norm_eps: float,
        residual: bool,
        max_weight_norm: float | None,
        input: Literal["standardised", "centred"],
        predict_14: bool,
        input_skeleton: str,
        output_skeleton: str,
    ) -> None:
        super().__init__()
        if input not in ("standardised", "centred"):
            raise Misuse(f"model.input must be standardised or centred, got {input!r}.")
        self.input_skeleton = skeleton_of(input_skeleton, "model.input_skeleton")
        self.output_skeleton = H36M_14 if predict_14 else skeleton_of(output_skeleton, "model.output_skeleton")
        # The root is zero by definition: where it comes first, as in Human3.6M, it is not computed.
        first = 1 if self.output_skeleton.root == 0 else 0
        self.predicted_joints = slice(first, None)
        num_joints = self.output_skeleton.num_joints - first
        num_keypoints = self.input_skeleton.num_joints
        self.io = IO(
            inputs={"keypoints": ("B", "T", num_keypoints, 2)},
            outputs={"joints": ("B", "T", self.output_skeleton.num_joints, 3)},
        )
        self.keypoint_frame = "ray" if input == "centred" else "pixel"
        if input == "centred":
            self.centred = CentredInput(self.input_skeleton, scores=False, keep_hip=False)
            in_features = self.centred.num_features + 1
        else:
            self.keypoint_statistics = Standardise(num_keypoints, 2)
            in_features = num_keypoints * 2
        self.trunk = ResidualMLP(
            in_features,
            linear_size=linear_size,
            num_blocks=num_blocks,
            dropout=dropout,
            batch_norm=batch_norm,
            batch_norm_eps=batch_norm_eps,
            residual=residual,
            max_weight_norm=max_weight_norm,
        )
        self.head = ClippedLinear(linear_size, num_joints * 3, max_weight_norm)
        self.joint_statistics = Standardise(num_joints, 3)

    def fit_statistics(self, keypoints: Tensor, joints: Tensor) -> None:
        if self.keypoint_frame == "pixel":
            self.keypoint_statistics.fit(keypoints)
        self.joint_statistics.fit(joints[:, self.predicted_joints])

    def keypoint_mean(self) -> Tensor | None:
        """(16, 2) mean of the training keypoints [px]; none where each is seen relative to the others."""
        return self.keypoint_statistics.mean if self.keypoint_frame == "pixel" else None

    def joint_scale(self) -> Tensor:
        return self.joint_statistics.std

    def forward(self, keypoints: Tensor) -> Tensor:
        B, T, _, _ = keypoints.shape
        if self.keypoint_frame == "ray":
            joints = self._lift_centred(keypoints.reshape(B * T, 1, -1, 2)).reshape(B, T, -1, 3)
        else:
            features = self.trunk(self.keypoint_statistics(keypoints).reshape(B * T, -1))
            joints = self.joint_statistics.undo(self.head(features).reshape(B, T, -1, 3))
        hip_rows = self.output_skeleton.num_joints - joints.shape[2]
        return F.pad(joints, (0, 0, hip_rows, 0))  # (B, T, J, 3), the root's row zero

    def _lift_centred(self, keypoints: Tensor) -> Tensor:
        """(N, 1, 16, 2) rays -> (N, J', 3) joints, computed in the virtual camera and turned back."""
        features, size, turn = self.centred(keypoints)
        features = self.trunk(torch.cat([features.flatten(1), size], dim=1))
        joints = self.head(features).reshape(-1, len(self.joint_statistics.mean), 3)  # N stays free in a trace
        return self.joint_statistics.undo(joints) @ turn

    def baked(self) -> Baseline3D:
        """A copy with the weight clip written into the weights: the same outputs, ready to export."""
        return bake_weights(self)


def from_tensorflow(arrays: Mapping[str, np.ndarray], statistics: State) -> State:
    """Weights of the TensorFlow original, for a model built with the options it was trained with.

    Args:
        arrays: the checkpoint's variables by name, e.g. an opened npz (see `pose3d.lifting.foreign_mlp`).
        statistics: `keypoint_statistics.mean`, `.std` (16, 2) [px], `joint_statistics.mean`, `.std` (J', 3) [m]; the
            original computes them from the training split, as `Baseline3D.fit_statistics` does.

    Returns:
        What `Baseline3D.load_state_dict` takes. The raw matrices: keep `max_weight_norm` if it had `--max_norm`.
    """
    state = tensorflow_arrays(arrays)
    batch_norm = any("batch_normalization" in name for name in state)
    trunk = {f"trunk.{name}": value for name, value in tensorflow_trunk(state, batch_norm).items()}
    head = {"head.weight": take(state, "linear_model/w4"), "head.bias": take(state, "linear_model/b4")}
    return {**trunk, **head, **statistics_of(statistics)}


def from_weigq(state: Mapping[str, Any], statistics: State) -> State:
    """Weights of weigq's PyTorch port, for a model with `batch_norm_eps=1e-5` and `max_weight_norm=None`.

    What the port does otherwise than the original, so that the same training is not to be expected: batch norm with
    eps 1e-5 and momentum 0.1, no weight clip (its `--max_norm` clips gradients), He-normal weights with PyTorch's
    biases, a learning rate that falls in steps, the best epoch reported.

    Args:
        state: the port's state dict, or its checkpoint with a "state_dict" in it.
        statistics: as for `from_tensorflow`; the port keeps them in its stat_3d.pth.tar, in millimetres.
    """
    inner: State = dict(state.get("state_dict", state))
    trunk = {f"trunk.{name}": value for name, value in weigq_trunk(inner).items()}
    head = {"head.weight": take(inner, "w2.weight"), "head.bias": take(inner, "w2.bias")}
    return {**trunk, **head, **statistics_of(statistics)}
