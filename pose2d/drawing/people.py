"""Pictures of 2D poses: keypoints over images, heatmaps, and the worst cases of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anypose.drawing.poses import GHOST, INK, QUIET, draw_bones, new_figure, save_figure, side_colours
from anypose.shapes import check_shape
from anypose.skeleton import Skeleton
from pose2d.scores.collected import Collected

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
CELL = 2.6  # inches of one picture
FAINTEST = 0.2  # keypoints with lower scores are not drawn


@dataclass(frozen=True, eq=False)
class Overlay:
    """One person to draw.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        box_xyxy: (4,) what to show of the image [px], before some air is added.
        keypoints: (K, 2) predicted [px].
        scores: (K,) of the prediction.
        truth: (K, 2) annotated [px], or None.
        labelled: (K,) bool which of them, or None.
        title: what stands above.
    """

    image: np.ndarray
    box_xyxy: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    truth: np.ndarray | None
    labelled: np.ndarray | None
    title: str


def draw_overlay(axes: Axes, overlay: Overlay, skeleton: Skeleton) -> None:
    """One person: image, predicted limbs and keypoints, the truth as rings with a line to what was predicted."""
    check_shape(overlay.keypoints, ("K", 2), "keypoints to draw", K=skeleton.num_joints)
    seen = overlay.scores >= FAINTEST
    axes.imshow(overlay.image, interpolation="bilinear")
    axes.set_axis_off()
    axes.set_title(overlay.title, fontsize=7, color=INK, pad=3)
    part = Skeleton(
        skeleton.name,
        skeleton.joints,
        tuple(
            parent if parent >= 0 and seen[child] and seen[parent] else -1
            for child, parent in enumerate(skeleton.parents)
        ),
        skeleton.left,
        skeleton.right,
    )
    draw_bones(axes, overlay.keypoints, part)
    colours = np.array(side_colours(skeleton))
    if overlay.truth is not None and overlay.labelled is not None:
        rows = np.flatnonzero(overlay.labelled)
        axes.scatter(*overlay.truth[rows].T, s=26, facecolors="none", edgecolors=GHOST, linewidths=1.1, zorder=4)
        for row in rows[seen[rows]]:
            pair = np.stack([overlay.truth[row], overlay.keypoints[row]])
            axes.plot(*pair.T, color=GHOST, linewidth=0.9, zorder=4)
    axes.scatter(*overlay.keypoints[seen].T, s=9, c=colours[seen], edgecolors="white", linewidths=0.4, zorder=5)
    low, high = _view(overlay)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(high[1], low[1])


def draw_people(overlays: Sequence[Overlay], skeleton: Skeleton, heading: str) -> Figure:
    """A sheet of people, four in a row."""
    rows = -(-len(overlays) // COLUMNS)
    figure = new_figure(COLUMNS * CELL, rows * CELL + 0.4)
    figure.suptitle(heading, fontsize=9, color=INK, y=1 - 0.12 / (rows * CELL + 0.4))
    for number, overlay in enumerate(overlays):
        draw_overlay(figure.add_subplot(rows, COLUMNS, number + 1), overlay, skeleton)
    figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.55 / (rows * CELL + 0.4), 0.03, 0.12)
    return figure


def draw_heatmaps(image: np.ndarray, heatmaps: np.ndarray, skeleton: Skeleton, heading: str) -> Figure:
    """The crop (H, W, 3) uint8 under each of its (K, h, w) heatmaps, every map with its height at the peak."""
    check_shape(heatmaps, ("K", "h", "w"), "heatmaps to draw", K=skeleton.num_joints)
    columns = 6
    rows = -(-(len(heatmaps) + 1) // columns)
    height = rows * (1.5 * image.shape[0] / image.shape[1] + 0.16) + 0.3
    figure = new_figure(columns * 1.5, height)
    figure.suptitle(heading, fontsize=8, color=INK, y=1 - 0.08 / height)
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    extent = (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)
    for number in range(len(heatmaps) + 1):
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.set_axis_off()
        axes.imshow(image if number == 0 else grey, extent=extent)
        if number == 0:
            axes.set_title("input", fontsize=6, color=QUIET, pad=2)
            continue
        heatmap = heatmaps[number - 1]
        top = float(heatmap.max())
        axes.imshow(heatmap, cmap="magma", alpha=np.clip(heatmap / max(top, 1e-9), 0, 0.85), extent=extent)
        axes.set_title(f"{skeleton.joints[number - 1].replace('_', ' ')} {top:.2f}", fontsize=6, color=QUIET, pad=2)
    figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.42 / height, 0.04, 0.1)
    return figure


def draw_evaluation(metrics: Collected, folder: Path, count: int = 12) -> list[Path]:
    """Draw what an evaluation found: `keypoints_worst.png`, `keypoints_typical.png`, and the heatmaps of one of each.

    With annotated boxes the order is that of OKS (the worst, and those around the median); with a detector's boxes,
    which have no truth of their own, that of the mean score.

    Returns:
        The files written.
    """
    index, keypoints, scores = metrics.found()
    people = metrics.people
    quality, name = _quality(metrics, index, keypoints, scores)
    order = np.argsort(quality, kind="stable")
    middle = max(len(order) // 2 - count // 2, 0)
    paths = []
    for which, rows in {"worst": order[:count], "typical": order[middle : middle + count]}.items():
        overlays = []
        for row in rows.tolist():
            person = int(index[row])
            annotated = people.ids[person] >= 0
            image = int(people.image[person])
            overlays.append(
                Overlay(
                    people.images.read(image),
                    people.box_xyxy[person],
                    keypoints[row],
                    scores[row],
                    people.keypoints[person] if annotated else None,
                    people.visibility[person] > 0 if annotated else None,
                    f"image {people.image_ids[image]}, {name} {quality[row]:.2f}",
                )
            )
        words = {"worst": "Worst", "typical": "Typical"}[which]
        rings = "; rings are the annotation" if any(overlay.truth is not None for overlay in overlays) else ""
        heading = f"{words} of {len(order)} people by {name}{rings}. Boxes: {people.box_source}"
        paths.append(save_figure(draw_people(overlays, people.skeleton, heading), folder / f"keypoints_{which}.png"))
        if metrics.look is not None:
            crop, heatmaps = metrics.look(int(index[rows[0]]))
            title = f"{words} by {name}: {overlays[0].title}. Each heatmap and its height, 1 where all is certain"
            figure = draw_heatmaps(crop, heatmaps, people.skeleton, title)
            paths.append(save_figure(figure, folder / f"heatmaps_{which}.png"))
    return paths


def _quality(
    metrics: Collected, index: np.ndarray, keypoints: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, str]:
    """(N,) how good each prediction is, and by what."""
    people = metrics.people
    if (people.ids[index] < 0).any():
        return scores.mean(axis=1), "score"
    labelled = people.visibility[index] > 0
    squared = ((keypoints - people.keypoints[index]) ** 2).sum(axis=2)
    boxes = people.box_xyxy[index]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / 2  # a person fills about half of the box
    closeness = np.exp(-squared / (2 * people.sigmas) ** 2 / area[:, None] / 2)
    return (closeness * labelled).sum(axis=1) / np.maximum(labelled.sum(axis=1), 1), "OKS"


def _view(overlay: Overlay) -> tuple[np.ndarray, np.ndarray]:
    """The square of the image to show: the box with a fifth of air."""
    low, high = overlay.box_xyxy[:2], overlay.box_xyxy[2:]
    half = 0.6 * float((high - low).max()) + 2
    middle = (low + high) / 2
    return middle - half, middle + half
