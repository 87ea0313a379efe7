"""Pictures of poses: 2D keypoints, 3D figures with a floor to stand on, and the panel of both side by side.

The skeleton is given, never guessed: right limbs are warm, left limbs cold, the trunk dark. Three dimensions
are drawn by an orthographic view of our own on flat axes: scales are equal by construction, bones are sorted
by depth, and a panel is drawn in a fraction of the time that matplotlib's 3D axes take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anypose.shapes import check_shape
from anypose.skeleton import Skeleton
from anypose.whole import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT, LEFT, TRUNK = "#e4572e", "#2b7de0", "#39424e"  # told apart by every common kind of colour blindness
INK, QUIET, FAINT, PAPER = "#1f2933", "#7b8794", "#dde2e8", "#f7f8fa"
GHOST, SHADE, MAYBE = "#b4bdc8", "#e6eaef", "#a78bda"
TILES = 1  # half the width of the floor [m]


@dataclass(frozen=True)
class Drawing:
    """One sample of a panel.

    Attributes:
        title: whose pose, e.g. "S9 · Posing 1 · 55011271 · frame 120".
        keypoints: (K, 2) what the model saw [px, or screen].
        truth: (J, 3) joints in the camera frame [m].
        predicted: (J, 3) joints in the camera frame [m].
        error_mm: the score to print beside the prediction.
        hypotheses: (M, J, 3) other poses the model holds possible, drawn thin; M may be 0.
    """

    title: str
    keypoints: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    error_mm: float
    hypotheses: np.ndarray


@dataclass(frozen=True)
class View:
    """From where the camera frame is looked at: turned by `azimuth`, then raised by `elevation` [rad]."""

    azimuth: float = 0.45
    elevation: float = 0.25

    def flatten(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project (..., 3) camera-frame points (x right, y down, z away) [m] to (..., 2) on paper and (...) depth."""
        right, away, up = points[..., 0], points[..., 2], -points[..., 1]
        turned = right * np.cos(self.azimuth) + away * np.sin(self.azimuth)
        depth = away * np.cos(self.azimuth) - right * np.sin(self.azimuth)
        height = up * np.cos(self.elevation) + depth * np.sin(self.elevation)
        return np.stack([turned, height], -1), depth * np.cos(self.elevation) - up * np.sin(self.elevation)


@dataclass(frozen=True)
class Frame:
    """The piece of paper a figure is drawn on: its middle (2,), half its width, and the floor's y [m]."""

    middle: tuple[float, float]
    reach: float
    floor: float

    @classmethod
    def around(cls, *figures: np.ndarray) -> Frame:
        """Room for all of the (J, 3) figures; the first one stands on the floor."""
        points = View().flatten(np.concatenate(figures))[0]
        low, high = points.min(0), points.max(0)
        middle = (low + high) / 2
        return cls((middle[0], middle[1]), max(0.6, 0.6 * float((high - low).max())), float(figures[0][:, 1].max()))


def new_figure(width: float, height: float) -> Figure:
    """An empty picture of so many inches that draws without a display and leaves no state behind."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f"Pictures need matplotlib ({error}). pip install 'anypose[draw]'") from error
    figure = Figure(figsize=(width, height), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> Path:
    """Write the picture (png, pdf, svg by its suffix), making folders as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.suffix.removeprefix(".").lower() or "png"
    write_whole(path, partial(figure.savefig, format=kind, dpi=150 if kind == "png" else "figure"))
    return path


def side_colours(skeleton: Skeleton) -> list[str]:
    """J colours, one a joint; a bone has the colour of its child."""
    return [LEFT if j in skeleton.left else RIGHT if j in skeleton.right else TRUNK for j in range(skeleton.num_joints)]


def draw_bones(
    axes: Axes,
    points: np.ndarray,
    skeleton: Skeleton,
    depth: np.ndarray | None = None,
    colour: str | None = None,
    width: float = 2.8,
) -> None:
    """Draw (J, 2) points of one person as limbs, the far ones first where (J,) `depth` is known."""
    from matplotlib.collections import LineCollection

    check_shape(points, ("J", 2), "points to draw", J=skeleton.num_joints)
    bones = list(skeleton.bones)
    if depth is not None:
        bones.sort(key=lambda bone: -(depth[bone[0]] + depth[bone[1]]))
    colours = side_colours(skeleton)
    lines, shades, widths = [], [], []
    for child, parent in bones:
        start, end = points[parent], points[child]
        if colour is None:  # a white rim, short of the joints, keeps crossing limbs apart
            lines.append([start + 0.2 * (end - start), start + 0.8 * (end - start)])
            shades.append("white")
            widths.append(width + 2.6)
        lines.append([start, end])
        shades.append(colour or colours[child])
        widths.append(width)
    axes.add_collection(LineCollection(lines, colors=shades, linewidths=widths, capstyle="round", zorder=3))


def draw_keypoints(axes: Axes, keypoints: np.ndarray, skeleton: Skeleton) -> None:
    """Draw (K, 2) keypoints as the image has them (y down), in a square with air around the person."""
    low, high = keypoints.min(0), keypoints.max(0)
    middle, half = (low + high) / 2, 0.62 * float((high - low).max()) + 1e-6
    bare(axes, PAPER)
    axes.set_xlim(middle[0] - half, middle[0] + half)
    axes.set_ylim(middle[1] + half, middle[1] - half)
    draw_bones(axes, keypoints, skeleton)


def draw_joints(
    axes: Axes,
    joints: np.ndarray,
    skeleton: Skeleton,
    frame: Frame,
    ghost: np.ndarray | None = None,
    hypotheses: Sequence[np.ndarray] | np.ndarray = (),
) -> None:
    """Draw one 3D figure with its shadow on a floor of 25 cm tiles.

    Args:
        axes: flat axes.
        joints: (J, 3) in the camera frame, relative to the root [m].
        skeleton: what the J joints are.
        frame: the piece of paper and the floor, the same for figures to be compared.
        ghost: (J, 3) a second pose to draw behind, grey: the truth behind a prediction.
        hypotheses: (J, 3) each, other poses the model holds possible, thin and violet.
    """
    from matplotlib.collections import LineCollection

    view = View()
    bare(axes, "white")
    (x, y), reach = frame.middle, frame.reach
    axes.set_xlim(x - reach, x + reach)
    axes.set_ylim(y - reach, y + reach)
    ticks = np.linspace(-TILES, TILES, 8 * TILES + 1)
    ends, ground = np.full_like(ticks, TILES), np.full_like(ticks, frame.floor)
    along = np.stack([np.stack([ticks, ground, -ends], -1), np.stack([ticks, ground, ends], -1)], 1)
    tiles = view.flatten(np.concatenate([along, along[..., ::-1] * [1, 0, 1] + [0, frame.floor, 0]]))[0]
    axes.add_collection(LineCollection(list(tiles), colors=FAINT, linewidths=0.6, zorder=0))
    shadow = view.flatten(joints * [1, 0, 1] + [0, frame.floor, 0])[0]
    limbs = [shadow[[child, parent]] for child, parent in skeleton.bones]
    axes.add_collection(LineCollection(limbs, colors=SHADE, linewidths=3.2, capstyle="round", zorder=1))
    if ghost is not None:
        draw_bones(axes, view.flatten(ghost)[0], skeleton, colour=GHOST)
    for hypothesis in hypotheses:
        draw_bones(axes, view.flatten(hypothesis)[0], skeleton, colour=MAYBE, width=1.0)
    points, depth = view.flatten(joints)
    draw_bones(axes, points, skeleton, depth)


def draw_panel(
    drawings: Sequence[Drawing],
    keypoint_skeleton: Skeleton,
    skeleton: Skeleton,
    heading: str,
    note: str = "",
    columns: int = 3,
) -> Figure:
    """What the model saw, what was true and what it said, `columns` samples a row.

    Behind the prediction stand the truth in grey and, thin, the model's other hypotheses. Under the heading stands
    `note`, what the numbers are: dataset and alignment.

    Departs from 3d-pose-baseline's panel, whose samples all came from one sequence, the first one skipped. Its
    figures stood in the world frame; ours stay as the camera sees them, so they match the 2D beside them.
    """
    rows = -(-len(drawings) // columns)
    height = 2.35 * rows + 1.3
    figure = new_figure(6.4 * columns, height)
    top = 1 - 1.22 / height
    figure.text(0.012, 1 - 0.3 / height, heading, fontsize=15, color=INK, va="center", weight="bold")
    figure.text(0.012, 1 - 0.6 / height, note, fontsize=10, color=QUIET, va="center")
    draw_key(figure, 1 - 0.3 / height, hypotheses=any(len(drawing.hypotheses) for drawing in drawings))
    grid = figure.add_gridspec(rows, columns, left=0.012, right=0.988, top=top, bottom=0.015, wspace=0.06, hspace=0.16)
    for place, drawing in enumerate(drawings):
        cell = grid[place // columns, place % columns].subgridspec(1, 3, wspace=0.03)
        seen, true, said = (figure.add_subplot(cell[0, i]) for i in range(3))
        draw_keypoints(seen, drawing.keypoints, keypoint_skeleton)
        frame = Frame.around(drawing.truth, drawing.predicted, *drawing.hypotheses)
        draw_joints(true, drawing.truth, skeleton, frame)
        draw_joints(said, drawing.predicted, skeleton, frame, ghost=drawing.truth, hypotheses=drawing.hypotheses)
        seen.set_title(drawing.title, fontsize=9, color=QUIET, loc="left", pad=4)
        said.set_title(f"{drawing.error_mm:.0f} mm", fontsize=10, color=INK, loc="right", pad=4, weight="bold")
        if place < columns:
            for axes, name in ((seen, "2D input"), (true, "true 3D"), (said, "predicted 3D")):
                axes.annotate(
                    name,
                    (0.5, 1),
                    (0, 20),
                    "axes fraction",
                    textcoords="offset points",
                    ha="center",
                    fontsize=11,
                )
    return figure


def draw_key(figure: Figure, y: float, truth: bool = True, hypotheses: bool = False) -> None:
    """Which colour is which side, at the right edge, `y` of the figure's height up."""
    from matplotlib.lines import Line2D

    named = [("left", LEFT), ("right", RIGHT), ("trunk", TRUNK)]
    named += [("truth", GHOST)] * truth + [("other hypotheses", MAYBE)] * hypotheses
    lines = [Line2D([], [], color=colour, linewidth=2.8, solid_capstyle="round") for _, colour in named]
    figure.legend(
        lines,
        [name for name, _ in named],
        loc="center right",
        bbox_to_anchor=(0.992, y),
        ncols=len(named),
        frameon=False,
        fontsize=10,
        labelcolor=INK,
        handlelength=1.4,
        columnspacing=1.4,
    )


def bare(axes: Axes, colour: str) -> None:
    """Paper of a colour without frame or ticks, both directions to one scale."""
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor(colour)
    for spine in axes.spines.values():
        spine.set_visible(False)
