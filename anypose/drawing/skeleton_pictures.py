"""A picture of every skeleton with the index of each joint.    python -m anypose skeletons

The figure is a diagram, not a person: heads, hands and feet are enlarged until their numbers can be read.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from anypose.drawing.poses import INK, QUIET, draw_bones, draw_key, new_figure, save_figure, side_colours
from anypose.engine.durable import check_file
from anypose.engine.sentences import told
from anypose.settings import Misuse
from anypose.skeleton import SKELETONS, Skeleton
from anypose.whole import write_whole

COLUMNS = 4
# Where the diagram has a joint of the middle line, and one of the left half, which is on the reader's right; y up.
MIDDLE = {
    "hip": (0.0, 0.0),
    "spine_base": (-0.16, 0.10),
    "abdomen": (0.0, 0.14),
    "spine": (0.0, 0.22),
    "chest": (0.0, 0.30),
    "spine2": (0.0, 0.34),
    "spine3": (0.07, 0.45),
    "spine4": (-0.06, 0.54),
    "shoulders": (0.0, 0.55),
    "thorax": (0.0, 0.68),
    "upper_neck": (0.0, 0.80),
    "neck": (0.0, 0.86),
    "nose": (0.0, 1.00),
    "head": (0.0, 1.08),
    "head_top": (0.0, 1.38),
}
LEFT = {
    "hip": (0.20, -0.04),
    "knee": (0.27, -0.48),
    "foot": (0.32, -0.92),
    "heel": (0.22, -1.02),
    "toe": (0.40, -1.04),
    "toe_end": (0.50, -1.14),
    "big_toe": (0.36, -1.10),
    "small_toe": (0.56, -1.06),
    "collar": (0.16, 0.60),
    "shoulder": (0.34, 0.52),
    "elbow": (0.58, 0.20),
    "wrist": (0.76, -0.10),
    "hand": (0.84, -0.24),
    "hand_end": (0.90, -0.38),
    "thumb": (0.62, -0.22),
    "thumb_end": (0.60, -0.36),
    "index": (0.74, -0.36),
    "pinky": (0.92, -0.28),
    "ear": (0.50, 1.08),
    "eye": (0.24, 1.16),
    "eye_inner": (0.11, 1.15),
    "eye_outer": (0.37, 1.15),
    "mouth": (0.12, 0.88),
}


def layout(skeleton: Skeleton) -> np.ndarray:
    """(J, 2) where the diagram has each joint; the person faces the reader, so left is on the right."""
    places = []
    for joint in skeleton.joints:
        side, _, name = joint.partition("_")
        if side in ("left", "right"):
            x, y = LEFT[name]
            places.append((x if side == "left" else -x, y))
        else:
            places.append(MIDDLE[joint])
    return np.array(places)


def draw_skeletons() -> Any:
    """A figure with a diagram per skeleton."""
    rows = -(-len(SKELETONS) // COLUMNS)
    height = 3.1 * rows + 0.4
    figure = new_figure(2.5 * COLUMNS, height)
    grid = figure.subplots(rows, COLUMNS)
    for axes in grid.flat:
        axes.axis("off")
    for skeleton, axes in zip(SKELETONS.values(), grid.flat, strict=False):
        points = layout(skeleton)
        draw_bones(axes, points, skeleton, width=2.0)
        for number, (place, colour) in enumerate(zip(points, side_colours(skeleton), strict=True)):
            axes.text(
                *place,
                str(number),
                ha="center",
                va="center",
                fontsize=7.5,
                color=colour,
                zorder=4,
                bbox={"boxstyle": "circle,pad=0.12", "facecolor": "white", "edgecolor": colour, "linewidth": 0.8},
            )
        axes.set(xlim=(-1.05, 1.05), ylim=(-1.25, 1.5), aspect="equal")
        axes.set_title(skeleton.name, color=INK, fontsize=10)
    figure.text(0.012, 1 - 0.2 / height, "the person faces you", color=QUIET, va="center", fontsize=10)
    draw_key(figure, 1 - 0.2 / height, truth=False)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.4 / height))
    return figure


def main() -> None:
    """Write the picture, in 64 colours: a quarter of the size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("pictures/skeletons.png"))
    path = check_file(parser.parse_args().out, "--out")
    if path.suffix != ".png":
        raise Misuse(f"--out must end in .png, got {path}.")
    save_figure(draw_skeletons(), path)
    from PIL import Image  # comes with matplotlib, which has drawn by now

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(64)
    write_whole(path, partial(small.save, format="PNG", optimize=True))
    print(path)


if __name__ == "__main__":
    with told():
        main()
