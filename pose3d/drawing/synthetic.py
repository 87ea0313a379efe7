"""Pictures of the synthetic motion: the fifteen actions over time, histograms beside real motion, a clip per action.

python -m anypose synthetic                     # pictures/synthetic/actions.png, histograms.png
python -m anypose synthetic --beside data/cmu   # real people's histograms behind the invented ones
python -m anypose synthetic --clips             # and Walking.gif, Sitting.gif, ..., all of them in actions.gif
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from anypose.drawing.poses import GHOST, INK, QUIET, View, draw_bones, draw_key, new_figure, save_figure
from anypose.engine.durable import check_folder
from anypose.engine.sentences import told
from anypose.formats.bvh import read_bvh
from anypose.skeleton import H36M_17
from anypose.whole import write_whole
from pose3d.motion import cmu
from pose3d.synthesis.actions import ACTIONS
from pose3d.synthesis.body import draw_body
from pose3d.synthesis.performance import record

STRIPS = 3  # actions side by side on the contact sheet
FIGURES = 8  # of an action
SPACING = 0.95  # between them [m]
SECONDS = 8.0  # of an action and of a clip
CLIP_FPS = 25
SHEET_FPS, SHEET_SECONDS, SHEET_COLUMNS = 10, 6.0, 5  # of all actions in one clip
COLOURS = 16  # of a clip
BONES = {
    "right_knee": "thigh",
    "right_foot": "shank",
    "spine": "hip to spine",
    "thorax": "spine to thorax",
    "neck": "thorax to neck",
    "head": "neck to head",
    "right_elbow": "upper arm",
    "right_wrist": "forearm",
}


def motion(action: str, seed: int, fps: float, seconds: float, frame_step: int = 1) -> np.ndarray:
    """(T, 17, 3) joints of one take by a body of its own, world frame, z up [m]."""
    rng = np.random.default_rng([seed, list(ACTIONS).index(action)])
    return record(ACTIONS[action], draw_body(rng, 0.05), rng, fps, round(seconds * fps), frame_step)


def facing(joints: np.ndarray, turn: float) -> np.ndarray:
    """World joints (T, J, 3) as a level camera sees them: the hip in the middle, the floor at y = 0, y down.

    The first figure is seen from its front, turned by `turn` [rad].
    """
    across = joints[0, H36M_17.index("left_hip")] - joints[0, H36M_17.index("right_hip")]
    angle = np.arctan2(across[1], across[0]) + turn
    right = np.array([np.cos(angle), np.sin(angle), 0.0])
    away = np.array([-np.sin(angle), np.cos(angle), 0.0])
    level = joints - joints[:, :1] * [1.0, 1.0, 0.0]
    return np.stack([level @ right, -level[..., 2], level @ away], -1)


def contact_sheet(seed: int) -> Any:
    """A figure with a strip of stick figures per action, time from left to right."""
    rows = -(-len(ACTIONS) // STRIPS)
    height = 1.85 * rows + 0.4
    figure = new_figure(6.0 * STRIPS, height)
    grid = figure.subplots(rows, STRIPS, squeeze=False)
    for place, (name, axes) in enumerate(zip(ACTIONS, grid.flat, strict=False)):
        poses = motion(name, seed, 50, SECONDS, round(50 * SECONDS / FIGURES))[:FIGURES]
        points, depth = View().flatten(facing(poses, 0.5 if place % 2 else -0.5))
        points[..., 0] += SPACING * np.arange(len(poses))[:, None]
        for pose, far in zip(points, depth, strict=True):
            draw_bones(axes, pose, H36M_17, far)
        axes.axhline(0, color=GHOST, linewidth=0.8, zorder=0)
        axes.set(xlim=(-0.7, SPACING * FIGURES - 0.3), ylim=(-0.3, 2.0), aspect="equal")
        axes.set_title(name, color=INK, fontsize=10, loc="left", pad=0)
    for axes in grid.flat:
        axes.axis("off")
    draw_key(figure, 1 - 0.2 / height, truth=False)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.4 / height))
    return figure


def measures(joints: np.ndarray) -> dict[str, np.ndarray]:
    """What the histograms count, from world joints (N, 17, 3): bone lengths [cm] and angles [degrees]."""
    joint = {name: joints[:, H36M_17.index(name)] for name in H36M_17.joints}
    parent = {H36M_17.joints[child]: H36M_17.joints[above] for child, above in H36M_17.bones}
    found = {
        f"{name} [cm]": 100 * np.linalg.norm(joint[child] - joint[parent[child]], axis=-1)
        for child, name in BONES.items()
    }
    down = np.array([0.0, 0.0, -1.0])
    limbs = {}
    for side in ("right", "left"):
        knee, elbow = joint[f"{side}_knee"], joint[f"{side}_elbow"]
        thigh, arm = knee - joint[f"{side}_hip"], elbow - joint[f"{side}_shoulder"]
        trunk = joint["hip"] - joint["thorax"]
        limbs[side] = {
            "knee flexion": _angle(thigh, joint[f"{side}_foot"] - knee),
            "elbow flexion": _angle(arm, joint[f"{side}_wrist"] - elbow),
            "thigh from trunk": _angle(thigh, trunk),
            "upper arm from trunk": _angle(arm, trunk),
        }
    for name in limbs["right"]:
        found[f"{name} [°]"] = np.concatenate([limbs["right"][name], limbs["left"][name]])
    found["trunk from vertical [°]"] = _angle(-(joint["thorax"] - joint["hip"]), down)
    found["bend at the spine [°]"] = _angle(joint["spine"] - joint["hip"], joint["thorax"] - joint["spine"])
    found["neck from trunk [°]"] = _angle(joint["neck"] - joint["thorax"], joint["thorax"] - joint["hip"])
    found["hip over lower foot [cm]"] = 100 * (
        joint["hip"][:, 2] - np.minimum(joint["left_foot"][:, 2], joint["right_foot"][:, 2])
    )
    return found


def _angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) degrees between vectors (..., 3)."""
    cos = (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
    return np.degrees(np.arccos(np.clip(cos, -1.0, 1.0)))


def histograms(invented: np.ndarray, real: np.ndarray | None) -> Any:
    """A figure with a histogram per measure of world joints (N, 17, 3), real ones behind where there are any."""
    ours, theirs = measures(invented), {} if real is None else measures(real)
    figure = new_figure(15, 10)
    grid = figure.subplots(4, 4)
    for (name, values), axes in zip(ours.items(), grid.flat, strict=True):
        both = np.concatenate([values, theirs.get(name, values)])
        low, high = np.percentile(both, [0.1, 99.9])
        bins = np.linspace(low, high, 50)
        if name in theirs and np.std(theirs[name]) < 0.01 * np.mean(theirs[name]):  # one body, one length
            axes.axvline(np.median(theirs[name]), color=GHOST, linewidth=5, label="CMU")
        elif name in theirs:
            axes.hist(theirs[name], bins, density=True, color=GHOST, label="CMU")
        axes.hist(values, bins, density=True, histtype="step", color=INK, linewidth=1.6, label="synthetic")
        axes.set_title(name, fontsize=10, color=INK)
        axes.set_yticks([])
        axes.tick_params(colors=QUIET, labelsize=8)
        axes.spines[["top", "left", "right"]].set_visible(False)
    grid.flat[0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    return figure


def save_clip(actions: Sequence[str], seed: int, path: Path, fps: int, seconds: float, columns: int = 1) -> Path:
    """Write an animated GIF of a take of each action, side by side, seen from standing cameras."""
    rows = -(-len(actions) // columns)
    cell, width = (2.24, 2.8) if columns == 1 else (1.5, 1.8)
    key = 0.3 if columns > 1 else 0.0  # one clip alone is narrower than a key
    height = 1.06 * cell * rows + key
    figure = new_figure(cell * columns, height)
    # new_figure has said what to install where they are not there
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image  # comes with matplotlib

    grid = figure.subplots(rows, columns, squeeze=False)
    takes = [View().flatten(facing(motion(action, seed, 50, seconds, 50 // fps), 0.5)) for action in actions]
    for axes in grid.flat:
        axes.axis("off")
    for axes, action in zip(grid.flat, actions, strict=False):
        axes.axhline(0, color=GHOST, linewidth=0.8, zorder=0)
        axes.set(xlim=(-1.2, 1.2), ylim=(-0.3, 2.1), aspect="equal")
        axes.set_title(action, color=INK, fontsize=8, pad=0)
    if key:
        draw_key(figure, 1 - key / 2 / height, truth=False)
    figure.tight_layout(pad=0.3, rect=(0, 0, 1, 1 - key / height))
    canvas, frames = FigureCanvasAgg(figure), []
    for number in range(len(takes[0][0])):
        for axes, (points, depth) in zip(grid.flat, takes, strict=False):
            for drawn in list(axes.collections):
                drawn.remove()
            draw_bones(axes, points[number], H36M_17, depth[number], width=width)
        canvas.draw()
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]))
    palette = frames[0].quantize(COLOURS)
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    path.parent.mkdir(parents=True, exist_ok=True)
    film: dict[str, Any] = {"save_all": True, "append_images": others, "duration": round(1000 / fps), "loop": 0}
    write_whole(path, partial(first.save, format="GIF", optimize=True, **film))
    return path


def real_motion(root: Path) -> np.ndarray:
    """(N, 17, 3) every tenth frame of all CMU takes below `root`."""
    files = sorted(path for path in root.rglob("*.bvh") if cmu.TAKE.fullmatch(path.stem))
    if not files:
        raise FileNotFoundError(f"--beside {root} has no BVH file named SUBJECT_TAKE.bvh (02_01.bvh).")
    return np.concatenate([cmu.joints_of_bvh(read_bvh(path))[::10] for path in files])


def main() -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("pictures/synthetic"), help="folder to write to")
    parser.add_argument("--beside", type=Path, help="folder of CMU BVH files to compare with")
    parser.add_argument("--clips", action="store_true", help="write an animated GIF per action and one of all, too")
    options = parser.parse_args()
    check_folder(options.out, "--out")
    people = [motion(action, seed, 50, 16, 10) for action in ACTIONS for seed in range(options.seed, options.seed + 20)]
    real = real_motion(options.beside) if options.beside else None
    print(save_figure(contact_sheet(options.seed), options.out / "actions.png"))
    print(save_figure(histograms(np.concatenate(people), real), options.out / "histograms.png"))
    if options.clips:
        for action in ACTIONS:
            print(save_clip([action], options.seed, options.out / f"{action}.gif", CLIP_FPS, SECONDS))
        together = (SHEET_FPS, SHEET_SECONDS, SHEET_COLUMNS)
        print(save_clip(list(ACTIONS), options.seed, options.out / "actions.gif", *together))


if __name__ == "__main__":
    with told():
        main()
