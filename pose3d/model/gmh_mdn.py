"""GMH-MDN: several poses from one frame of keypoints, as a mixture of Gaussians (Li and Lee, CVPR 2019)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from anypose.settings import check_range
from anypose.shapes import IO
from anypose.skeleton import H36M_14
from anypose.skeleton_text import skeleton_of
from pose3d.lifter import Lifter
from pose3d.lifting.foreign_mlp import State, statistics_of, take, tensorflow_arrays, tensorflow_trunk
from pose3d.lifting.residual_mlp import ClippedLinear, ResidualMLP, Standardise, bake_weights


class GMHMDN(Lifter):
    """16 keypoints in pixels to M poses in metres, each with a sigma and a weight.

    The trunk is 3d-pose-baseline's; three linear heads give means, sigmas (ELU + 1) and weights (softmax). As in the
    source the weight head alone is not clipped. Sigmas are in the standardised units of the joints: a hypothesis
    spreads by sigma times `joint_scale()` metres along each coordinate.

    Args:
        num_hypotheses: M; the source has 5 written into it.
        linear_size, num_blocks, dropout, batch_norm, batch_norm_eps, residual, max_weight_norm, predict_14,
            input_skeleton, output_skeleton: as in `baseline3d`.
    """

    receptive_field = 1
    keypoint_frame = "pixel"

    def __init__(
        self,
        *,
        num_hypotheses: int,
        linear_size: int,
        num_blocks: int,
        dropout: float,
        batch_norm: bool,
        batch_norm_eps: float,
        residual: bool,
        max_weight_norm: float | None,
        predict_14: bool,
        input_skeleton: str,
        output_skeleton: str,
    ) -> None:
        super().__init__()
        check_range("model", 1, math.inf, num_hypotheses=num_hypotheses)
        self.num_hypotheses = num_hypotheses
        self.input_skeleton = skeleton_of(input_skeleton, "model.input_skeleton")
        self.output_skeleton = H36M_14 if predict_14 else skeleton_of(output_skeleton, "model.output_skeleton")
        # The root is zero by definition: where it comes first, as in Human3.6M, it is not computed.
        first = 1 if self.output_skeleton.root == 0 else 0
        self.predicted_joints = slice(first, None)
        num_joints = self.output_skeleton.num_joints - first
        num_keypoints = self.input_skeleton.num_joints
        self.io = IO(
            inputs={"keypoints": ("B", "T", num_keypoints, 2)},
            outputs={
                "means": ("B", "T", num_hypotheses, self.output_skeleton.num_joints, 3),
                "sigmas": ("B", "T", num_hypotheses),
                "weights": ("B", "T", num_hypotheses),
            },
        )
        self.keypoint_statistics = Standardise(num_keypoints, 2)
        self.trunk = ResidualMLP(
            num_keypoints * 2,
            linear_size=linear_size,
            num_blocks=num_blocks,
            dropout=dropout,
            batch_norm=batch_norm,
            batch_norm_eps=batch_norm_eps,
            residual=residual,
            max_weight_norm=max_weight_norm,
        )
        self.means = ClippedLinear(linear_size, num_hypotheses * num_joints * 3, max_weight_norm)
        self.sigmas = ClippedLinear(linear_size, num_hypotheses, max_weight_norm)
        self.weights = ClippedLinear(linear_size, num_hypotheses, None)
        self.joint_statistics = Standardise(num_joints, 3)

    def fit_statistics(self, keypoints: Tensor, joints: Tensor) -> None:
        self.keypoint_statistics.fit(keypoints)
        self.joint_statistics.fit(joints[:, self.predicted_joints])

    def keypoint_mean(self) -> Tensor:
        """(16, 2) mean of the training keypoints [px]."""
        return self.keypoint_statistics.mean

    def joint_scale(self) -> Tensor:
        return self.joint_statistics.std

    def forward(self, keypoints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, K, 2) keypoints [px] to (B, T, M, J, 3) means [m], (B, T, M) sigmas and (B, T, M) weights."""
        B, T, _, _ = keypoints.shape
        features = self.trunk(self.keypoint_statistics(keypoints).reshape(B * T, -1))
        means = self.joint_statistics.undo(self.means(features).view(B, T, self.num_hypotheses, -1, 3))
        hip_rows = self.output_skeleton.num_joints - means.shape[3]
        sigmas = F.elu(self.sigmas(features).float()) + 1
        weights = self.weights(features).float().softmax(-1)
        return F.pad(means, (0, 0, hip_rows, 0)), sigmas.view(B, T, -1), weights.view(B, T, -1)

    def baked(self) -> GMHMDN:
        """A copy with the weight clips written into the weights: the same outputs, ready to export."""
        return bake_weights(self)


def from_tensorflow(arrays: Mapping[str, np.ndarray], statistics: State) -> State:
    """Weights of the TensorFlow original ("mdm_5", "mdm_5_prior"), for a model built with the same options.

    The original packs its outputs with the hypothesis running fastest, (C_out / M, M); ours holds one hypothesis after
    the other.

    Args:
        arrays: the checkpoint's variables by name, e.g. an opened npz (see `pose3d.lifting.foreign_mlp`).
        statistics: `keypoint_statistics.mean`, `.std` (16, 2) [px], `joint_statistics.mean`, `.std` (J', 3) [m]; the
            original computes them from the training split, as `GMHMDN.fit_statistics` does.

    Returns:
        What `GMHMDN.load_state_dict` takes. The raw matrices: keep `max_weight_norm`.
    """
    state = tensorflow_arrays(arrays)
    batch_norm = any("batch_normalization" in name for name in state)
    converted = {f"trunk.{name}": value for name, value in tensorflow_trunk(state, batch_norm).items()}
    for ours, number in (("means", 4), ("sigmas", 5), ("weights", 6)):
        converted[f"{ours}.weight"] = take(state, f"linear_model/w{number}")
        converted[f"{ours}.bias"] = take(state, f"linear_model/b{number}")
    num_hypotheses = len(converted["sigmas.bias"])
    for name in ("means.weight", "means.bias"):
        packed = converted[name].unflatten(0, (-1, num_hypotheses))
        converted[name] = packed.transpose(0, 1).flatten(0, 1).contiguous()
    return {**converted, **statistics_of(statistics)}
