"""Several poses for one picture: ghosts around the likeliest, their images over the input, and what each one more buys.

The point of such a model is that all hypotheses explain the same keypoints and differ in depth: their images fall
together over the input, and they part in the view from the side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from anypose.camera import project_points
from anypose.drawing.charts import draw_bars, draw_coverage
from anypose.drawing.poses import GHOST, INK, PAPER, QUIET, View, bare, draw_bones, new_figure, save_figure
from anypose.metrics import mpjpe
from anypose.shapes import check_shape
from anypose.skeleton import Skeleton
from pose3d.lifting.mixture_errors import MixtureErrors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# One colour a hypothesis, by falling weight; the last serves for all further ones.
PALETTE = ("#1f2933", "#2b7de0", "#e4572e", "#2a9d6f", "#9b5de5", "#c99700", "#7b8794")
NARROW = 0.8  # width of a panel by its height: people stand
SIDE = View(azimuth=np.pi / 2, elevation=0.1)


@dataclass(frozen=True)
class Guess:
    """One frame and what the model makes of it.

    Attributes:
        title: whose pose.
        keypoints: (K, 2) what the model saw [px].
        images: (M, J, 2) the hypotheses seen by the camera, with the true place of the root [px].
        means: (M, J, 3) camera frame, relative to the root [m].
        spread: (M, J) standard deviation of each joint [m].
        weights: (M,).
        errors_mm: (M,) distance to the truth.
        truth: (J, 3) [m].
    """

    title: str
    keypoints: np.ndarray
    images: np.ndarray
    means: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    errors_mm: np.ndarray
    truth: np.ndarray


def draw_guesses(guesses: Sequence[Guess], keypoints: Skeleton, skeleton: Skeleton, heading: str, told: str) -> Figure:
    """A row for each guess: the input under the hypotheses' images, the camera's view, the view from the side, weights.

    Opacity is weight; the discs around the likeliest pose are one standard deviation; the truth is grey. Under the
    heading stands what is `told`: dataset and alignment.
    """
    height = 3.0 * len(guesses) + 1.2
    figure = new_figure(11.0, height)
    figure.text(0.012, 1 - 0.32 / height, heading, fontsize=15, color=INK, va="center", weight="bold")
    figure.text(0.012, 1 - 0.6 / height, told, fontsize=9, color=QUIET, va="center")
    grid = figure.add_gridspec(
        len(guesses), 4, left=0.012, right=0.985, top=1 - 1.25 / height, bottom=0.03, wspace=0.05, hspace=0.16,
        width_ratios=(1, 1, 1, 0.95),
    )  # fmt: skip
    names = ("2D input and the hypotheses' images", "as the camera sees it", "from the side", "weight and error")
    for row, guess in enumerate(guesses):
        check_shape(guess.means, ("M", "J", 3), "hypotheses to draw", J=skeleton.num_joints)
        seen, front, side, bars = (figure.add_subplot(grid[row, i]) for i in range(4))
        _draw_images(seen, guess, keypoints, skeleton)
        for axes, view in ((front, View(0.0, 0.0)), (side, SIDE)):
            _draw_ghosts(axes, guess, skeleton, view)
        _draw_weights(bars, guess)
        seen.set_title(guess.title, fontsize=9, color=QUIET, loc="left", pad=4)
        if row == 0:
            for axes, name in zip((seen, front, side, bars), names, strict=True):
                axes.annotate(name, (0.5, 1), (0, 20), "axes fraction", textcoords="offset points", ha="center")
    return figure


def draw_count(metrics: MixtureErrors, note: str) -> Figure:
    """Error of the best among the m likeliest hypotheses, m = 1..M, averaged over actions."""
    counts, errors = error_by_count(metrics)
    bars = {"MPJPE of the best of the m likeliest": errors.tolist()}
    return draw_bars([f"m = {count}" for count in counts], bars, "What each further hypothesis buys", note, mean=False)


def error_by_count(metrics: MixtureErrors) -> tuple[np.ndarray, np.ndarray]:
    """(M,) counts and (M,) errors [mm] of `draw_count`."""
    state = metrics.frames()
    index, means, weights = state["index"], state["means"], state["weights"]
    truth = metrics.packed.joints.cpu()[index]
    each = mpjpe(means, truth.unsqueeze(1).expand_as(means)) * 1000
    best = each.gather(1, weights.argsort(1, descending=True)).cummin(1).values
    action = metrics.group(index, 1, metrics.actions)
    rows = torch.stack([best[action == i].mean(0) for i in action.unique()])
    return np.arange(1, means.shape[1] + 1), rows.mean(0).numpy()


def draw_calibration(metrics: MixtureErrors, note: str) -> Figure:
    """The share of truths in the densest part of the mixture's mass, for every size of that part."""
    expected = torch.linspace(0, 1, 101)
    observed = metrics.calibration(expected)
    return draw_coverage(expected.numpy(), observed.numpy(), "Is the mixture as sure as it may be?", note)


def guess_of(metrics: MixtureErrors, position: int) -> Guess:
    """The scored frame at `position`, hypotheses by falling weight."""
    state, packed = metrics.frames(), metrics.packed
    index = state["index"][position]
    sequence = packed.sequence.cpu()[index]
    order = state["weights"][position].argsort(descending=True)
    means, truth = state["means"][position][order], packed.joints.cpu()[index]
    # Relative to the root a pose has no image: it is put where the person truly was.
    lens = packed.intrinsics.cpu()[sequence].expand(len(means), -1)
    images = project_points(means + packed.root.cpu()[index], lens)
    spread = torch.zeros(means.shape[:2])
    spread[:, metrics.rows_scored] = state["sigmas"][position][order][:, None] * metrics.scale.mean(-1)
    subject, action, take, camera = packed.names[int(sequence)]
    frame = int(packed.source_frames(torch.tensor([index], device=packed.device))[0])
    return Guess(
        title_of(subject, action, take, camera, frame),
        packed.keypoints.cpu()[index, :, :2].numpy(),
        images.numpy(),
        means.numpy(),
        spread.numpy(),
        state["weights"][position][order].numpy(),
        (mpjpe(means, truth.expand_as(means)) * 1000).numpy(),
        truth.numpy(),
    )


def title_of(subject: str, action: str, take: str, camera: str, frame: int) -> str:
    """Whose pose it is; what a dataset does not tell apart, and so calls All, is left out."""
    recording = take if take.startswith(action) or action == "All" else f"{action} {take}"
    return " · ".join(part for part in (subject, recording, camera, f"frame {frame}") if part != "All")


def draw_hypotheses(metrics: MixtureErrors, positions: Sequence[int], folder: Path, told: str, note: str) -> list[Path]:
    """Write `hypotheses.png`, the scored frames at `positions`, `error_by_count.png` and `calibration.png`.

    Under the first one's heading stands what is `told`, dataset and alignment; under the others' the whole `note`.
    """
    guesses = [guess_of(metrics, int(position)) for position in positions]
    skeletons = metrics.packed.input_skeleton, metrics.packed.output_skeleton
    heading = f"{len(guesses[0].weights)} hypotheses for one picture; grey: the truth"
    return [
        save_figure(draw_guesses(guesses, *skeletons, heading, told), folder / "hypotheses.png"),
        save_figure(draw_count(metrics, note), folder / "error_by_count.png"),
        save_figure(draw_calibration(metrics, note), folder / "calibration.png"),
    ]


def _colour(number: int) -> str:
    return PALETTE[min(number, len(PALETTE) - 1)]


def _lines(axes: Axes, points: np.ndarray, skeleton: Skeleton, colour: str, opacity: float, width: float) -> None:
    from matplotlib.collections import LineCollection

    limbs = [points[[parent, child]] for child, parent in skeleton.bones]
    axes.add_collection(
        LineCollection(limbs, colors=colour, alpha=opacity, linewidths=width, capstyle="round", zorder=4)
    )


def _paper(axes: Axes, points: np.ndarray, colour: str, upside_down: bool = False) -> None:
    low, high = points.reshape(-1, 2).min(0), points.reshape(-1, 2).max(0)
    middle, half = (low + high) / 2, 0.58 * float((high - low).max()) + 1e-6
    bare(axes, colour)
    half = max(half, 0.62 * float((high - low)[0]) / NARROW)
    axes.set_xlim(middle[0] - NARROW * half, middle[0] + NARROW * half)
    axes.set_ylim(*((middle[1] + half, middle[1] - half) if upside_down else (middle[1] - half, middle[1] + half)))


def _draw_images(axes: Axes, guess: Guess, keypoints: Skeleton, skeleton: Skeleton) -> None:
    _paper(axes, np.concatenate([guess.keypoints, *guess.images]), PAPER, upside_down=True)
    draw_bones(axes, guess.keypoints, keypoints, colour=GHOST, width=5.0)
    for number, (image, weight) in enumerate(zip(guess.images, guess.weights, strict=True)):
        _lines(axes, image, skeleton, _colour(number), 0.35 + 0.6 * float(weight), 1.2)


def _draw_ghosts(axes: Axes, guess: Guess, skeleton: Skeleton, view: View) -> None:
    from matplotlib.collections import EllipseCollection

    flat = view.flatten(np.concatenate([guess.truth[None], guess.means]))[0]
    _paper(axes, flat, "white")
    draw_bones(axes, flat[0], skeleton, colour=GHOST, width=5.0)
    for number in reversed(range(len(guess.means))):
        opacity = 0.15 + 0.85 * float(guess.weights[number] / guess.weights.max())
        _lines(axes, flat[number + 1], skeleton, _colour(number), opacity, 2.6 if number == 0 else 1.8)
    size = 2 * guess.spread[0]
    discs = EllipseCollection(
        size, size, np.zeros_like(size), units="xy", offsets=flat[1], transOffset=axes.transData,
        facecolors=_colour(0), alpha=0.12, zorder=1,
    )  # fmt: skip
    axes.add_collection(discs)


def _draw_weights(axes: Axes, guess: Guess) -> None:
    places = np.arange(len(guess.weights))
    axes.barh(places, guess.weights, color=[_colour(number) for number in range(len(places))], height=0.62)
    axes.invert_yaxis()
    axes.set_xlim(0, max(1.0, float(guess.weights.max())))
    axes.set_yticks([])
    axes.set_xticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    for place, weight, error, spread in zip(places, guess.weights, guess.errors_mm, guess.spread, strict=True):
        text = f"{weight:.2f}   {error:.0f} mm   σ {1000 * spread.max():.0f} mm"
        axes.annotate(text, (weight, place), (6, 0), textcoords="offset points", va="center", fontsize=9, color=INK)
