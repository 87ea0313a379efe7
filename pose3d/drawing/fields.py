"""What the capture network sees: people over the image, heatmaps, fields as a colour wheel, skeletons in 3D."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from anypose.drawing.charts import draw_bars
from anypose.drawing.poses import GHOST, INK, LEFT, PAPER, QUIET, RIGHT, TRUNK, Frame, View, new_figure, save_figure
from pose3d.capture.fields import enlarge
from pose3d.capture.layout import BODY
from pose3d.capture.scores import CaptureScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Tensors = dict[str, Tensor]
PANEL = 3.4  # inches


def draw_evaluation(metrics: CaptureScores, folder: Path) -> list[Path]:
    """Draw `people.png`, the first images of an evaluation in four panels each, and `angle_by_limb.png`."""
    protocol = metrics.protocol()
    note = " · ".join(f"{name}: {value}" for name, value in protocol.items() if value != "")
    members = [batch["members"][0].numpy() for _, batch in metrics.shown]
    truth = [metrics.targets.joints[rows[rows >= 0]] for rows in members]
    figure = draw_scenes(metrics.shown, truth, f"The first {len(metrics.shown)} images of {protocol['dataset']}")
    paths = [save_figure(figure, folder / "people.png")]
    rows = metrics.rows()
    names = [re.sub(r"(left|right)(.*) \1", r"\1\2", row["limb"].replace("_", " ")) for row in rows]
    colours = [_colour(limb) for limb in range(BODY.num_limbs) if np.isfinite(metrics.angles()[limb])]
    bars = {"mean angle": [row["angle_deg"] for row in rows]}
    figure = draw_bars(names, bars, "Angle between field and limb", note, colours=colours, unit="degrees", sides=True)
    return [*paths, save_figure(figure, folder / "angle_by_limb.png")]


def draw_scenes(scenes: Sequence[tuple[Tensors, Tensors]], truth: Sequence[np.ndarray], heading: str) -> Figure:
    """A row of four panels for each image: who was found, heatmaps, fields, people in space.

    Args:
        scenes: of each image what `OrientationFields.predict` gives and the batch it was given, one row each.
        truth: of each image the (P, J, 3) annotated joints [m], NaN where only 2D is known.
        heading: what stands above.
    """
    height = len(scenes) * (PANEL + 0.3) + 0.7
    figure = new_figure(4 * (PANEL + 0.08) + 0.1, height)
    figure.text(0.008, 1 - 0.2 / height, heading, fontsize=13, color=INK, va="top", weight="bold")
    key = "cold colours: left, warm: right; grey: the annotation"
    figure.text(0.008, 1 - 0.44 / height, key, fontsize=9.5, color=QUIET, va="top")
    width = 4 * (PANEL + 0.08) + 0.1
    for row, ((prediction, batch), joints) in enumerate(zip(scenes, truth, strict=True)):
        bottom = (len(scenes) - 1 - row) * (PANEL + 0.3) + 0.03
        axes = [
            figure.add_axes(((0.08 + n * (PANEL + 0.08)) / width, bottom / height, PANEL / width, PANEL / height))
            for n in range(4)
        ]
        _draw_scene(axes, prediction, batch, joints)
    return figure


def colour_wheel(vectors: np.ndarray) -> np.ndarray:
    """(..., 3) orientations as (..., 3) colours: the hue is the direction in the image (red right, then clockwise),
    pale points at the viewer and dark away, and where there is no limb it is white.
    """
    from matplotlib.colors import hsv_to_rgb

    x, y, z = np.moveaxis(vectors, -1, 0)
    length = np.clip(np.linalg.norm(vectors, axis=-1), 0, 1)
    hue = np.arctan2(y, x) / (2 * np.pi) % 1
    towards, away = np.clip(-z, 0, 1), np.clip(z, 0, 1)
    colour = hsv_to_rgb(np.stack([hue, 1 - 0.7 * towards, 1 - 0.6 * away], axis=-1))
    return 1 - length[..., None] * (1 - colour)


def strongest(fields: np.ndarray) -> np.ndarray:
    """(h, w, 3) orientation of the surest limb in each cell of (3 L, h, w)."""
    planes = fields.reshape(-1, 3, *fields.shape[1:])
    best = np.linalg.norm(planes, axis=1).argmax(axis=0)
    return np.take_along_axis(planes, best[None, None], axis=0)[0].transpose(1, 2, 0)


def enlarge_to(maps: Tensor, width: int) -> np.ndarray:
    """(C, h, w) maps as large as the image they are of; cell i is pixel stride * i, as the network was taught."""
    factor = width // maps.shape[-1]
    return (enlarge(maps.contiguous(), factor) if factor > 1 else maps).numpy()


def _colour(limb: int) -> str:
    name = BODY.joints[BODY.limbs[limb][1]]
    return LEFT if name.startswith("left") else RIGHT if name.startswith("right") else TRUNK


def _draw_scene(axes: list[Axes], prediction: Tensors, batch: Tensors, truth: np.ndarray) -> None:
    image = (batch["image"][0].permute(1, 2, 0).numpy() + 0.5).clip(0, 1)
    height, width = image.shape[:2]
    person_scores = prediction["person_scores"][0].numpy()
    found = int((person_scores > 0).sum())
    scores = prediction["scores"][0, :found].numpy()
    matrix = batch["to_image"][0].double().numpy()
    points = prediction["keypoints"][0, :found].double().numpy()
    points = (points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T

    axes[0].imshow(image, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    annotated = batch["keypoints"][0][batch["labelled"][0]].numpy()
    axes[0].scatter(*annotated.T, s=16, facecolors="none", edgecolors=GHOST, linewidths=1.0)
    for person in range(found):
        for limb in BODY.tree:
            a, b = BODY.limbs[limb]
            if min(scores[person, a], scores[person, b]) > 0:
                line = points[person, [a, b]]
                axes[0].plot(*line.T, color="white", linewidth=4, solid_capstyle="round")
                axes[0].plot(*line.T, color=_colour(limb), linewidth=2.2, solid_capstyle="round")
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    heat = enlarge_to(prediction["heatmaps"][0, : BODY.num_joints], width).max(axis=0).clip(0, 1)
    wheel = torch.from_numpy(colour_wheel(strongest(prediction["fields"][0].numpy())))
    axes[1].imshow(image.mean(-1), cmap="gray", alpha=0.4, extent=extent)
    axes[1].imshow(heat, cmap="magma", vmin=0, vmax=1, alpha=np.sqrt(heat), extent=extent)
    axes[2].imshow(enlarge_to(wheel.permute(2, 0, 1), width).transpose(1, 2, 0).clip(0, 1), extent=extent)
    _draw_wheel(axes[2])
    _draw_joints(axes[3], prediction["joints"][0, :found].double().numpy(), truth)
    titles = (f"{found} found", "heatmaps, the largest", "orientation fields, the surest limb", "lifted")
    for panel, title in zip(axes, titles, strict=True):
        panel.set_title(title, fontsize=11, color=INK, loc="left")
        panel.set_xticks([])
        panel.set_yticks([])
        panel.set_frame_on(False)
    for panel in axes[:3]:
        panel.set_xlim(-0.5, width - 0.5)
        panel.set_ylim(height - 0.5, -0.5)


def _draw_wheel(axes: Axes) -> None:
    """The key to the colours, in a corner: where a limb points in the picture, and from towards us to away."""
    ground = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.0}
    words = {"fontsize": 7.5, "color": INK, "ha": "center", "va": "center", "bbox": ground}
    key = axes.inset_axes((0.78, 0.16, 0.16, 0.16))
    x, y = np.meshgrid(np.linspace(-1, 1, 96), np.linspace(-1, 1, 96))
    disc = np.stack([x, y, np.zeros_like(x)], axis=-1) / np.maximum(np.hypot(x, y), 1e-6)[..., None]
    disc *= ((np.hypot(x, y) < 1) & (np.hypot(x, y) > 0.45))[..., None]
    key.imshow(colour_wheel(disc), extent=(-1, 1, 1, -1))
    for word, place in (("right", (1.0, 0)), ("left", (-1.0, 0)), ("up", (0, -1.0)), ("down", (0, 1.0))):
        key.text(*place, word, **words)
    key.axis("off")
    scale = axes.inset_axes((0.69, 0.02, 0.3, 0.03))
    z = np.linspace(-1, 1, 96)[None]
    depth = np.stack([np.sqrt(1 - z**2), np.zeros_like(z), z], axis=-1)
    scale.imshow(colour_wheel(depth), extent=(-1, 1, 0, 1), aspect="auto")
    for word, place, side in (("towards us", -1, "left"), ("away", 1, "right")):
        scale.text(place, 1.35, word, fontsize=7.5, color=INK, ha=side, va="bottom", bbox=ground)
    scale.axis("off")


def _draw_joints(axes: Axes, people: np.ndarray, truth: np.ndarray) -> None:
    """(P, J, 3) people in one view, where they stand, thin grey ones as annotated; joints not found are left out."""
    axes.set_facecolor(PAPER)
    everyone = np.concatenate([truth, people])
    everyone = everyone[np.isfinite(everyone).all(-1)]
    if not len(everyone):
        axes.text(0.5, 0.5, "nobody", transform=axes.transAxes, ha="center", color=INK)
        return
    frame = Frame.around(everyone)
    for person in truth:
        _draw_limbs(axes, person, GHOST, 1.4)
    for person in sorted(people, key=lambda joints: -np.nan_to_num(joints[:, 2]).max()):
        _draw_limbs(axes, person, None, 2.6)
    axes.set_xlim(frame.middle[0] - frame.reach, frame.middle[0] + frame.reach)
    axes.set_ylim(frame.middle[1] - frame.reach, frame.middle[1] + frame.reach)
    axes.set_aspect("equal")


def _draw_limbs(axes: Axes, joints: np.ndarray, colour: str | None, width: float) -> None:
    flat, _ = View().flatten(joints)
    for limb in BODY.tree:
        ends = flat[list(BODY.limbs[limb])]
        if np.isfinite(ends).all():
            axes.plot(*ends.T, color="white", linewidth=width + 2, solid_capstyle="round")
            axes.plot(*ends.T, color=colour or _colour(limb), linewidth=width, solid_capstyle="round")
