"""The plain way: short references of our own for what a user would write first, or finds in other toolboxes.

They are what the real peers are in structure (a Dataset item per sample, an eager step with a loop over the parameters
in Adam and a `.item()`, windows padded one by one, a decomposition per pose), so the ratios hold without their code.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


class FrameDataset(Dataset):
    """A pair of arrays per frame, turned into tensors when asked for."""

    def __init__(self, keypoints: np.ndarray, joints: np.ndarray) -> None:
        self.keypoints, self.joints = list(keypoints), list(joints)

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(self.keypoints[index]).float(), torch.from_numpy(self.joints[index]).float()


def frame_batches(keypoints: np.ndarray, joints: np.ndarray, batch_size: int) -> Iterator[list[Tensor]]:
    """Shuffled batches without end. No workers: on such small samples they only slow a DataLoader down."""
    loader = DataLoader(FrameDataset(keypoints, joints), batch_size, shuffle=True, drop_last=True)
    while True:
        yield from loader


class ResidualNetwork(nn.Module):
    """3d-pose-baseline's network from torch's own layers; parameters in the same order as ours.

    Args:
        width: of the hidden layers.
        dropout: probability of dropping.
        max_weight_norm: clip of the whole matrix as in the paper; None as in the PyTorch port.
    """

    def __init__(self, width: int = 1024, dropout: float = 0.5, max_weight_norm: float | None = None) -> None:
        super().__init__()
        self.max_weight_norm = max_weight_norm
        self.linears = nn.ModuleList()
        self.norms = nn.ModuleList()
        for inputs in (32, width, width, width, width):
            self.linears.append(nn.Linear(inputs, width))
            self.norms.append(nn.BatchNorm1d(width, eps=1e-3))
        self.head = nn.Linear(width, 48)
        self.dropout = nn.Dropout(dropout)

    def in_order(self) -> list[nn.Parameter]:
        """Layer by layer: matrix and bias, scale and shift."""
        layers = [layer for pair in zip(self.linears, self.norms, strict=True) for layer in pair]
        return [parameter for layer in (*layers, self.head) for parameter in layer.parameters()]

    def forward(self, values: Tensor) -> Tensor:
        values = self.layer(0, values)
        for first in (1, 3):
            values = values + self.layer(first + 1, self.layer(first, values))
        return self.multiply(self.head, values)

    def layer(self, number: int, values: Tensor) -> Tensor:
        values = self.norms[number](self.multiply(self.linears[number], values))
        return self.dropout(torch.relu(values))

    def multiply(self, linear: nn.Module, values: Tensor) -> Tensor:
        assert isinstance(linear, nn.Linear)
        if self.max_weight_norm is None:
            return linear(values)
        clip = self.max_weight_norm / linear.weight.norm().clamp(min=self.max_weight_norm)
        return F.linear(values, linear.weight * clip, linear.bias)


class EagerStep:
    """Forward, `.item()`, backward, gradient clip, Adam: each parameter by itself, the loss read every time."""

    def __init__(self, network: nn.Module, bf16: bool) -> None:
        self.network, self.bf16 = network.train(), bf16
        self.optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, foreach=False, fused=False)
        self.device_type = next(network.parameters()).device.type
        self.total = 0.0

    def loss(self, keypoints: Tensor, joints: Tensor) -> Tensor:
        with torch.autocast(self.device_type, torch.bfloat16, enabled=self.bf16):
            predicted = self.network(keypoints)
        return F.mse_loss(predicted.float(), joints)

    def __call__(self, keypoints: Tensor, joints: Tensor) -> None:
        loss = self.loss(keypoints, joints)
        self.optimizer.zero_grad()
        self.total += loss.item() * len(keypoints)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()


class ChunkBatches:
    """Windows of edge-padded sequences, sliced, padded and mirrored one at a time into a batch.

    Args:
        keypoints, joints: the sequences, (T, K, 2) and (T, J, 3).
        batch_size: windows in a batch.
        past: frames before and after the one predicted.
        flip: for keypoints and for joints, the indices with left and right exchanged.
        shuffle: anew for every epoch.
    """

    def __init__(
        self,
        keypoints: list[np.ndarray],
        joints: list[np.ndarray],
        batch_size: int,
        past: int,
        flip: tuple[list[int], list[int]],
        shuffle: bool,
    ) -> None:
        self.keypoints, self.joints = keypoints, joints
        self.batch_size, self.past, self.flip, self.shuffle = batch_size, past, flip, shuffle
        self.random = np.random.RandomState(0)
        self.samples = [
            (sequence, frame, mirrored)
            for sequence, array in enumerate(joints)
            for mirrored in (False, True)
            for frame in range(len(array))
        ]

    def next_epoch(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Joints (B, 1, J, 3) and keypoints (B, W, K, 2) in float64."""
        order = self.random.permutation(len(self.samples)) if self.shuffle else np.arange(len(self.samples))
        for first in range(0, len(order), self.batch_size):
            windows, targets = [], []
            for number in order[first : first + self.batch_size]:
                window, target = self.sample(*self.samples[number])
                windows.append(window)
                targets.append(target)
            yield np.stack(targets).astype(np.float64), np.stack(windows).astype(np.float64)

    def sample(self, sequence: int, frame: int, mirrored: bool) -> tuple[np.ndarray, np.ndarray]:
        array, target = self.keypoints[sequence], self.joints[sequence][frame : frame + 1]
        low, high = frame - self.past, frame + self.past + 1
        window = array[max(low, 0) : high]
        if low < 0 or high > len(array):
            window = np.pad(window, ((max(-low, 0), max(high - len(array), 0)), (0, 0), (0, 0)), mode="edge")
        if mirrored:
            window, target = window[:, self.flip[0]].copy(), target[:, self.flip[1]].copy()
            window[..., 0] *= -1
            target[..., 0] *= -1
        return window, target


def p_mpjpe(predicted: np.ndarray, target: np.ndarray) -> float:
    """Mean P-MPJPE of (N, J, 3): numpy's singular value decomposition of all frames in one call."""
    p_centre, y_centre = predicted.mean(1, keepdims=True), target.mean(1, keepdims=True)
    p, y = predicted - p_centre, target - y_centre
    u, s, vt = np.linalg.svd(y.transpose(0, 2, 1) @ p)
    sign = np.sign(np.linalg.det(u @ vt))
    u[:, :, 2] *= sign[:, None]
    s[:, 2] *= sign
    scale = s.sum(1) / (p**2).sum((1, 2))
    aligned = scale[:, None, None] * (p @ (u @ vt).transpose(0, 2, 1)) + y_centre
    return float(np.linalg.norm(aligned - target, axis=-1).mean())


def p_mpjpe_by_pose(predicted: np.ndarray, target: np.ndarray) -> float:
    """The same, one decomposition per pose."""
    return float(np.mean([p_mpjpe(p[None], y[None]) for p, y in zip(predicted, target, strict=True)]))


def mpjpe(predicted: np.ndarray, target: np.ndarray) -> float:
    """Mean MPJPE of (N, J, 3)."""
    return float(np.linalg.norm(predicted - target, axis=-1).mean())
