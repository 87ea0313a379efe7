"""The plain way of training on person crops: an item a person, every step of it on one image with numpy and OpenCV.

In structure it is microsoft's pipeline: decode, mirror, warp, to float and normalise, a Gaussian joint by joint.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from pose2d.people import People

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class PersonDataset(Dataset):
    """(image (3, H, W), heatmaps (17, h, w), weights (17, 1)) of one person; `turn` fixes what chance would draw.

    Args:
        people: whom.
        size: (H, W) of a crop.
        turn: (scale factor, rotation [degrees], mirrored) for everybody, or None to draw them.
    """

    def __init__(self, people: People, size: tuple[int, int], turn: tuple[float, float, bool] | None = None) -> None:
        self.people, self.size, self.turn = people, size, turn
        self.pairs = list(zip(people.skeleton.left, people.skeleton.right, strict=True))

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, Tensor]:
        people, (height, width) = self.people, self.size
        path = people.images.name(int(people.image[row]))
        image = cv2.imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        assert image is not None, path
        joints, flags = people.keypoints[row].copy(), people.visibility[row].copy()
        left, top, right, bottom = people.box_xyxy[row]
        centre = np.array([(left + right) / 2, (top + bottom) / 2])
        side = max(right - left, (bottom - top) * width / height) * 1.25
        factor, degrees, mirrored = self.turn or _draw()
        if mirrored:
            image = image[:, ::-1, :]
            joints[:, 0] = image.shape[1] - 1 - joints[:, 0]
            centre[0] = image.shape[1] - 1 - centre[0]
            for one, other in self.pairs:
                joints[[one, other]], flags[[one, other]] = joints[[other, one]], flags[[other, one]]
        matrix = _matrix(centre, side * factor, degrees, width, height)
        crop = cv2.cvtColor(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)
        pixels = torch.from_numpy(crop.transpose(2, 0, 1)).contiguous().float()
        pixels = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
        for k in range(len(joints)):
            if flags[k] > 0:
                joints[k] = matrix[:, :2] @ joints[k] + matrix[:, 2]
        heatmaps, weights = _targets(joints, flags, width // 4, height // 4)
        return pixels, torch.from_numpy(heatmaps), torch.from_numpy(weights)


def _draw() -> tuple[float, float, bool]:
    factor = float(np.clip(1 + 0.3 * np.random.randn(), 0.7, 1.3))  # noqa: NPY002  (as the original draws)
    degrees = float(np.clip(40 * np.random.randn(), -80, 80)) if np.random.random() < 0.6 else 0.0  # noqa: NPY002
    return factor, degrees, bool(np.random.random() < 0.5)  # noqa: NPY002


def _matrix(centre: np.ndarray, side: float, degrees: float, width: int, height: int) -> np.ndarray:
    """From three pairs of points."""
    angle = np.radians(degrees)
    up = np.array([np.sin(angle), -np.cos(angle)]) * side / 2
    source = np.array([centre, centre + up, centre + up + np.array([-up[1], up[0]])], dtype=np.float32)
    middle = np.array([width / 2, height / 2])
    corner = middle + np.array([0, -width / 2])
    target = np.array([middle, corner, corner + np.array([width / 2, 0])], dtype=np.float32)
    return cv2.getAffineTransform(source, target)


def _targets(joints: np.ndarray, flags: np.ndarray, columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A Gaussian of 13 cells around each joint's cell, cut at the border, as microsoft's loop has it."""
    heatmaps = np.zeros((len(joints), rows, columns), dtype=np.float32)
    weights = (flags > 0).astype(np.float32)[:, None]
    for k, (x, y) in enumerate(joints):
        column, row = int(x / 4 + 0.5), int(y / 4 + 0.5)
        if column - 6 >= columns or row - 6 >= rows or column + 7 < 0 or row + 7 < 0:
            weights[k] = 0
            continue
        ruler = np.arange(13, dtype=np.float32)
        bump = np.exp(-((ruler - 6) ** 2 + (ruler[:, None] - 6) ** 2) / 8)
        across, down = slice(max(column - 6, 0), min(column + 7, columns)), slice(max(row - 6, 0), min(row + 7, rows))
        if weights[k] > 0.5:
            heatmaps[k, down, across] = bump[
                down.start - row + 6 : down.stop - row + 6, across.start - column + 6 : across.stop - column + 6
            ]
    return heatmaps, weights


class JointLoop(nn.Module):
    """Half the mean squared error joint by joint, averaged over the joints: microsoft's loss."""

    def __init__(self) -> None:
        super().__init__()
        self.mse = nn.MSELoss()

    def forward(self, predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        B, K = predicted.shape[:2]
        predictions, truths = predicted.reshape(B, K, -1).split(1, 1), target.reshape(B, K, -1).split(1, 1)
        loss = torch.zeros((), device=predicted.device)
        for k in range(K):
            p, t = predictions[k].squeeze(1).mul(weight[:, k]), truths[k].squeeze(1).mul(weight[:, k])
            loss = loss + 0.5 * self.mse(p, t)
        return loss / K
