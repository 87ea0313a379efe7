"""Tables whose columns name the points: nose_x, nose_y, nose_score ..., or x_nose ..., and DeepLabCut's."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import islice

import numpy as np

from anypose.skeleton import BLAZEPOSE_33, SKELETONS, Skeleton

SCORES = ("v", "visibility", "score", "likelihood", "confidence", "conf", "presence")
LEAST = 4  # points that must be joints
# MediaPipe's own names of its landmarks.
MEDIAPIPE = tuple(
    {"left_mouth": "mouth_left", "right_mouth": "mouth_right"}.get(joint, joint)
    .replace("foot", "ankle")
    .replace("big_toe", "foot_index")
    for joint in BLAZEPOSE_33.joints
)
JOINTS = {joint: joint for skeleton in SKELETONS.values() for joint in skeleton.joints}
JOINTS |= {joint.replace("foot", "ankle"): joint for joint in JOINTS}
JOINTS |= dict(zip(MEDIAPIPE, BLAZEPOSE_33.joints, strict=True))

Columns = dict[str, tuple[str, str, str | None]]  # of a joint: x, y, score


def columns_of_joints(names: Sequence[str]) -> tuple[Skeleton, Columns] | None:
    """The smallest skeleton that has all joints that columns name, and their columns; None where they name too few."""
    there = set(names)
    for form in ("{0}_{1}", "{1}_{0}"):
        columns = {}
        for name, joint in JOINTS.items():
            x, y = form.format(name, "x"), form.format(name, "y")
            if x in there and y in there:
                score = next((form.format(name, word) for word in SCORES if form.format(name, word) in there), None)
                columns[joint] = (x, y, score)
        fitting = [skeleton for skeleton in SKELETONS.values() if columns.keys() <= set(skeleton.joints)]
        if len(columns) >= LEAST and fitting:
            return min(fitting, key=lambda skeleton: skeleton.num_joints), columns
    return None


def deeplabcuts_columns(text: str) -> tuple[list[str], list[str], int] | None:
    """Of DeepLabCut's CSV each column's animal and its name, bodypart_coordinate, and how many lines its head has.

    The first column, the frame, is called so. None where it is none of its files.
    """
    head = list(islice(csv.reader(text.splitlines()), 4))
    rows = {row[0].strip().lower(): row for row in head if row}
    if not {"scorer", "bodyparts", "coords"} <= rows.keys():
        return None
    parts, coordinates = rows["bodyparts"], rows["coords"]
    animals = rows.get("individuals", [""] * len(parts))
    if not len(parts) == len(coordinates) == len(animals):
        return None
    names = [plain(f"{part}_{axis}") for part, axis in zip(parts, coordinates, strict=True)]
    return animals, ["frame", *names[1:]], 3 + ("individuals" in rows)


def plain(name: str) -> str:
    """ "left_ankle_x" for "PoseLandmark.LEFT_ANKLE_x" and "Left Ankle x"."""
    return name.strip().lower().replace("poselandmark.", "").replace(" ", "_")


def points_of_columns(skeleton: Skeleton, columns: Columns, names: Sequence[str], table: np.ndarray) -> np.ndarray:
    """(N, K, 3) of a table (N, len(names)); joints without columns are NaN, scores without one 1."""
    points = np.full((len(table), skeleton.num_joints, 3), np.nan)
    for joint, (x, y, score) in columns.items():
        k = skeleton.index(joint)
        points[:, k, 0], points[:, k, 1] = table[:, names.index(x)], table[:, names.index(y)]
        points[:, k, 2] = 1 if score is None else table[:, names.index(score)]
    return points
