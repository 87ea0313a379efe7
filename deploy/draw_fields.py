"""What the capture network sees: people over the image, heatmaps, fields as a colour wheel, skeletons in 3D.

python -m deploy.draw_fields runs/total_capture/2026-01-31_12-00-00/best.pt --output people.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engine.device import Device as Device  # before torch: it makes importing torch safe  # isort: skip

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from deploy.draw import INK, LEFT, PAPER, RIGHT, TRUNK, Frame, View, new_figure, save_figure
from engine import checkpoint
from engine.restore import build_task
from engine.task import Batch, Loading, Prediction
from pose3d.capture_layout import BODY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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


def _colour(limb: int) -> str:
    name = BODY.joints[BODY.limbs[limb][1]]
    return LEFT if name.startswith("left") else RIGHT if name.startswith("right") else TRUNK


def draw_scene(prediction: Prediction, batch: Batch, row: int) -> Figure:
    """One image of a batch in four panels.

    Args:
        prediction: what `OrientationFields.predict` gives.
        batch: what was predicted, crops of whole images.
        row: of the batch.
    """
    figure = new_figure(16, 4.3)
    axes = [figure.add_axes((0.005 + 0.2485 * n, 0.01, 0.243, 0.9)) for n in range(4)]
    image = (batch["image"][row].permute(1, 2, 0).cpu().numpy() + 0.5).clip(0, 1)
    height, width = image.shape[:2]
    person_scores = prediction["person_scores"][row].cpu().numpy()
    found = int((person_scores > 0).sum())
    scores = prediction["scores"][row, :found].cpu().numpy()
    matrix = batch["to_image"][row].double().cpu().numpy()
    points = prediction["keypoints"][row, :found].double().cpu().numpy()
    points = (points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T

    axes[0].imshow(image, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    for person in range(found):
        for limb in BODY.tree:
            a, b = BODY.limbs[limb]
            if min(scores[person, a], scores[person, b]) > 0:
                line = points[person, [a, b]]
                axes[0].plot(*line.T, color="white", linewidth=4, solid_capstyle="round")
                axes[0].plot(*line.T, color=_colour(limb), linewidth=2.2, solid_capstyle="round")
    heat = prediction["heatmaps"][row, : BODY.num_joints].amax(0).cpu().numpy().clip(0, 1)
    axes[1].imshow(image.mean(-1), cmap="gray", alpha=0.35, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    # Cell i is pixel stride * i, so the maps begin half a cell before the image.
    stride = width / heat.shape[1]
    extent = (-stride / 2, width - stride / 2, height - stride / 2, -stride / 2)
    axes[1].imshow(heat, cmap="magma_r", alpha=0.75, vmin=0, vmax=1, extent=extent)
    axes[2].imshow(colour_wheel(strongest(prediction["fields"][row].cpu().numpy())), extent=extent)
    _draw_wheel(axes[2])
    _draw_joints(axes[3], prediction["joints"][row, :found].double().cpu().numpy())
    titles = (f"{found} found", "heatmaps, the largest", "orientation fields, the surest limb", "lifted")
    for panel, title in zip(axes, titles, strict=True):
        panel.set_title(title, fontsize=11, color=INK, loc="left")
        panel.set_xticks([])
        panel.set_yticks([])
        panel.set_frame_on(False)
    for panel in axes[:3]:
        panel.set_xlim(-0.5, width - 0.5)
        panel.set_ylim(height - 0.5, -0.5)
    return figure


def _draw_wheel(axes: Axes) -> None:
    """The key to the colours, in a corner: right is right, down is down."""
    key = axes.inset_axes((0.84, 0.01, 0.15, 0.15))
    x, y = np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 64))
    disc = np.stack([x, y, np.zeros_like(x)], axis=-1) * (np.hypot(x, y) < 1)[..., None]
    key.imshow(colour_wheel(disc))
    key.axis("off")


def _draw_joints(axes: Axes, people: np.ndarray) -> None:
    """(P, J, 3) people in one view, where they stand; joints that were not found are left out."""
    axes.set_facecolor(PAPER)
    known = people[np.isfinite(people).all(-1)]
    if not len(known):
        axes.text(0.5, 0.5, "nobody", transform=axes.transAxes, ha="center", color=INK)
        return
    frame = Frame.around(known)
    for person in people[np.argsort(-np.nanmean(people[..., 2], axis=1))]:
        flat, _ = View().flatten(person)
        for limb in BODY.tree:
            a, b = BODY.limbs[limb]
            if np.isfinite(flat[[a, b]]).all():
                axes.plot(*flat[[a, b]].T, color="white", linewidth=4.6, solid_capstyle="round")
                axes.plot(*flat[[a, b]].T, color=_colour(limb), linewidth=2.6, solid_capstyle="round")
    axes.set_xlim(frame.middle[0] - frame.reach, frame.middle[0] + frame.reach)
    axes.set_ylim(frame.middle[1] - frame.reach, frame.middle[1] + frame.reach)
    axes.set_aspect("equal")


def main() -> None:
    """Predict validation images and write a picture of each."""
    parser = argparse.ArgumentParser(description="Draw what a trained capture network sees in validation images.")
    parser.add_argument("checkpoint", type=Path, help="best.pt or last.pt of a run with model=total_capture")
    parser.add_argument("--output", type=Path, default=Path("people.png"), help="a number is put before its suffix")
    parser.add_argument("--images", type=int, default=3)
    arguments = parser.parse_args()
    state = checkpoint.load(arguments.checkpoint)
    config = OmegaConf.create(state["config"])
    task = build_task(config, state, arguments.checkpoint)  # pyright: ignore[reportArgumentType]
    task.model.eval()
    loading = Loading(arguments.images, seed=0, drop_last=False)
    batches = task.batches(instantiate(config.dataset), False, loading, torch.device("cpu"))
    with torch.inference_mode():
        batch = next(iter(batches.epoch(0)))
        prediction = task.predict(batch)
    for row in range(len(batch["image"])):
        name = arguments.output.with_stem(f"{arguments.output.stem}_{row}")
        print(save_figure(draw_scene(prediction, batch, row), name))


if __name__ == "__main__":
    main()
