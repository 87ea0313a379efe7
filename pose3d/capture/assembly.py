"""From heatmaps and fields to people: peaks, limb scores along the fields, matching, whole bodies.

Many people at once, after Cao et al. 2017 (section 2.4), with two differences: all limb types are matched in one
batched pass, and the limbs used form a tree from the neck, so that no two partial bodies ever need merging.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pose3d.capture.layout import CaptureLayout


@dataclass(frozen=True)
class People:
    """Everyone found in one image, best first.

    Attributes:
        keypoints: (P, J, 2) [px]; zero where `scores` is zero.
        scores: (P, J) heatmap value of each joint, 0 where it was not found.
        person_scores: (P,) mean over all J joints of heatmap value, plus the mean limb score of those found.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    person_scores: np.ndarray

    def __len__(self) -> int:
        return len(self.person_scores)


def find_peaks(heatmaps: Tensor, threshold: float, most: int) -> tuple[Tensor, Tensor]:
    """Local maxima of every joint's heatmap, refined to a fraction of a cell by a parabola through the neighbours.

    Args:
        heatmaps: (J, h, w), without the background.
        threshold: smaller maxima are noise.
        most: peaks kept for each joint, the highest.

    Returns:
        (J, K, 2) x, y [cells] and (J, K) values, 0 beyond a joint's last peak; K <= most.
    """
    height, width = heatmaps.shape[-2:]
    # >= to the left and above, > to the right and below would need four comparisons; a plateau of equal cells is
    # instead broken by a tiny slope, so that it yields one peak.
    slope = torch.arange(height * width, device=heatmaps.device, dtype=heatmaps.dtype).view(height, width) * -1e-9
    sloped = heatmaps + slope
    is_peak = (F.max_pool2d(sloped[None], 3, stride=1, padding=1)[0] == sloped) & (heatmaps > threshold)
    flat = (heatmaps * is_peak).flatten(1)
    found = int(is_peak.flatten(1).sum(1).max())
    values, index = flat.topk(min(max(found, 1), most), dim=1)
    row, column = index // width, index % width

    padded = F.pad(heatmaps[None], (1, 1, 1, 1), mode="replicate")[0].flatten(1)

    def at(dy: int, dx: int) -> Tensor:
        return padded.gather(1, (row + 1 + dy) * (width + 2) + column + 1 + dx)

    def offset(before: Tensor, after: Tensor) -> Tensor:
        curve = (2 * values - before - after).clamp_min(1e-6)
        return (0.5 * (after - before) / curve).clamp(-0.5, 0.5)

    x = column + offset(at(0, -1), at(0, 1))
    y = row + offset(at(-1, 0), at(1, 0))
    return torch.stack((x, y), dim=-1), values


def score_limbs(layout: CaptureLayout, fields: Tensor, peaks: Tensor, values: Tensor, samples: int = 10) -> Tensor:
    """How well the field supports a limb between every two peaks of its joints.

    The score is the mean over samples of field . direction in the image (the 2D part of the orientation: a limb that
    points at the camera scores low whoever it belongs to), minus a penalty for limbs longer than half the image, and
    -1 where fewer than 70 % of the samples point along the limb.

    Args:
        fields: (3 L, h, w).
        peaks: (J, K, 2) [cells].
        values: (J, K), 0 where there is no peak.

    Returns:
        (T, K, K) for the limbs of `layout.tree`: from peak i to peak j; -1 where impossible.
    """
    height, width = fields.shape[-2:]
    limbs = torch.tensor(layout.tree, device=fields.device)
    ends = torch.tensor(layout.limbs, device=fields.device)[limbs]
    start, end = peaks[ends[:, 0], :, None], peaks[ends[:, 1], None]  # (T, K, 1, 2), (T, 1, K, 2)
    along = end - start
    length = along.norm(dim=-1)
    unit = along / length.clamp_min(1e-6)[..., None]
    steps = torch.linspace(0, 1, samples, device=fields.device)
    x = (start[..., 0, None] + along[..., 0, None] * steps).round_().long().clamp_(0, width - 1)
    y = (start[..., 1, None] + along[..., 1, None] * steps).round_().long().clamp_(0, height - 1)
    planes = fields.view(layout.num_limbs, 3, -1)[limbs]  # (T, 3, h w)
    index = (y * width + x).flatten(1)
    shape = x.shape
    dots = planes[:, 0].gather(1, index).view(shape) * unit[..., 0, None]
    dots += planes[:, 1].gather(1, index).view(shape) * unit[..., 1, None]
    score = dots.mean(-1) + (0.5 * max(height, width) / length.clamp_min(1e-6) - 1).clamp_max(0)
    supported = (dots > 0.05).float().mean(-1) >= 0.7
    exists = (values[ends[:, 0], :, None] > 0) & (values[ends[:, 1], None] > 0) & (length > 0)
    return torch.where(supported & exists, score, -1.0)


def match(scores: np.ndarray) -> np.ndarray:
    """Greedy one-to-one matching of every limb type at once: the best free pair, until none is left above zero.

    Args:
        scores: (T, K, K).

    Returns:
        (T, K) the second joint's peak matched with each peak of the first, -1 for none.
    """
    T, K, _ = scores.shape
    left = scores.copy()
    matched = np.full((T, K), -1)
    every = np.arange(T)
    for _ in range(K):
        best = left.reshape(T, -1).argmax(1)
        i, j = best // K, best % K
        good = left[every, i, j] > 0
        if not good.any():
            break
        matched[every[good], i[good]] = j[good]
        left[every, i, :] = -1.0
        left[every, :, j] = -1.0
    return matched


def assemble(
    layout: CaptureLayout,
    heatmaps: Tensor,
    fields: Tensor,
    stride: float,
    peak_threshold: float = 0.1,
    min_joints: int = 4,
    most_people: int = 64,
) -> People:
    """Everyone in one image.

    Args:
        layout: the network's joints and limbs.
        heatmaps: (J + 1, h, w) of the last stage.
        fields: (3 L, h, w) of the last stage.
        stride: pixels a cell.
        peak_threshold: smallest heatmap value of a joint.
        min_joints: smaller groups are dropped.
        most_people: peaks kept for each joint.
    """
    peaks, values = find_peaks(heatmaps[: layout.num_joints].float(), peak_threshold, most_people)
    limb_scores = score_limbs(layout, fields.float(), peaks, values).cpu().numpy()
    matched = match(limb_scores)
    positions, heights = peaks.cpu().numpy() * stride, values.cpu().numpy()

    # Down the tree, each matched peak joins the person of the peak it hangs on; a peak without one starts a person.
    owner = np.full(heights.shape, -1)
    owner[layout.root] = np.where(heights[layout.root] > 0, np.arange(heights.shape[1]), -1)
    people = heights.shape[1]
    support: list[tuple[np.ndarray, np.ndarray]] = []
    for row, limb in enumerate(layout.tree):
        a, b = layout.limbs[limb]
        i = np.flatnonzero(matched[row] >= 0)
        j = matched[row, i]
        orphans = i[owner[a, i] < 0]
        owner[a, orphans] = people + np.arange(len(orphans))
        people += len(orphans)
        owner[b, j] = owner[a, i]
        support.append((owner[a, i], limb_scores[row, i, j]))

    keypoints = np.zeros((people, layout.num_joints, 2), np.float32)
    scores = np.zeros((people, layout.num_joints), np.float32)
    joint, peak = np.nonzero((owner >= 0) & (heights > 0))
    keypoints[owner[joint, peak], joint] = positions[joint, peak]
    scores[owner[joint, peak], joint] = heights[joint, peak]
    limb_owner, limb_score = (np.concatenate(part) for part in zip(*support, strict=True))
    limb_count = np.bincount(limb_owner, minlength=people)
    limb_mean = np.bincount(limb_owner, limb_score, minlength=people) / np.maximum(limb_count, 1)
    person_scores = (scores.mean(1) + limb_mean).astype(np.float32)
    keep = np.flatnonzero((scores > 0).sum(1) >= min_joints)
    keep = keep[np.argsort(-person_scores[keep], kind="stable")]
    return People(keypoints[keep], scores[keep], person_scores[keep])
