"""Human3.6M as MotionBERT builds it: fine-tuned Stacked Hourglass detections with confidences, all takes in one pickle.

MotionAGFormer and most lifters since 2023 are trained and scored on this file. Three things set their figures apart:
joints stand in picture units, each frame's predictions are brought to millimetres by the true scale of that frame, and
three takes of S9 with bad ground truth are left out of the test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from anypose.camera import Camera
from anypose.formats.files import require_file
from anypose.formats.npz import motion_array
from anypose.formats.plain_pickle import load_plain
from anypose.settings import judged
from anypose.skeleton import H36M_17
from pose3d.motion import h36m
from pose3d.motion.agreement import check_agreement
from pose3d.motion.h36m_cameras import CAMERA_IDS, published_cameras
from pose3d.motion.sequence import PoseSequence, Split
from pose3d.motion.units import check_person

PARTS: dict[Split, str] = {"train": "train", "validation": "test"}
MOST_CONFIDENT = 1.5  # a peak of a heatmap is about 1 at most
OPERATIONS = 60_000_000  # of the pickle: three texts a frame, 2.1 million frames
# s_09_act_05_subact_02_ca_01: subject 9, action 5 (from 2 on), second take, first camera
_SOURCE = re.compile(r"s_(\d\d)_act_(\d\d)_subact_(\d\d)_ca_(\d\d)")
# The release's numbers of actions.
_ACTIONS = {
    2: "Directions", 3: "Discussion", 4: "Eating", 5: "Greeting", 6: "Phoning", 7: "Posing", 8: "Purchases",
    9: "Sitting", 10: "SittingDown", 11: "Smoking", 12: "Photo", 13: "Waiting", 14: "Walking",
    15: "WalkDog", 16: "WalkTogether",
}  # fmt: skip
# Subjects and actions whose first take by number is the second here; told by S9's three takes with bad ground truth,
# which the family names s_09_act_05_subact_02, s_09_act_10_subact_02 and s_09_act_13_subact_01.
_EXCHANGED = {("S9", "SittingDown")}


@judged("dataset")
class H36MMotionBERT:
    """One row a frame of every view: detections, confidences and joints of the picture.

    Joints are (u, v, d): pixel coordinates and the depth against the root in pixels of the root's distance, divided by
    half the width of the picture. They are no metres; `scale` of the test split says how many metres 1 is in a frame.

    Args:
        root: the pickle, h36m_sh_conf_cam_source_final.pkl, or its folder.
        protocol: see `pose3d.motion.h36m.Selection`.
    """

    name = "h36m_motionbert"
    keypoint_source = "Stacked Hourglass, fine-tuned on Human3.6M, with confidences (MotionBERT's build)"

    def __init__(self, root: str, **protocol: Any) -> None:
        self.selection = h36m.Selection(**protocol)
        self.missing_joints = self.selection.hidden()
        self.actions = self.selection.actions
        path = Path(root).expanduser()
        self.file = path / "h36m_sh_conf_cam_source_final.pkl" if path.is_dir() else path
        require_file(self.file, "MotionBERT's build of Human3.6M", 16 << 30)
        self.notes: tuple[str, ...] = ("joints in picture units, millimetres by the true scale of each frame",)
        self.held: dict[str, Any] | None = None

    def sequences(self, split: Split) -> list[PoseSequence]:
        """Every take of the split's subjects, four views each. Notes on missing takes are complete afterwards."""
        if self.held is None:
            with self.file.open("rb") as stream:
                held = load_plain(stream, str(self.file), OPERATIONS)
            if not isinstance(held, dict) or not all(isinstance(held.get(part), dict) for part in PARTS.values()):
                raise ValueError(f"{self.file} must hold a dictionary with the parts train and test.")
            self.held = held
        sequences = list(self._read(split))
        found = h36m.takes_in(sequences)
        notes = self.selection.check(found, str(self.file), f"in {PARTS[split]}", self.selection.subjects(split))
        self.notes = tuple(dict.fromkeys((*self.notes, *notes)))
        return h36m.told(self.selection, sequences, notes)

    def _read(self, split: Split) -> Iterator[PoseSequence]:
        assert self.held is not None
        where, step = f"{self.file}, {PARTS[split]}", self.selection.frame_step
        columns = _columns(self.held[PARTS[split]], split, where)
        wanted = {(s, take) for s in self.selection.subjects(split) for take in self.selection.takes(s)}
        for name, subject, take, camera, frames in _views(columns, where):
            if (subject, take) not in wanted:
                continue
            rows, told = slice(frames.start, frames.stop, step), f"{where}, {name}"
            keypoints, joints = columns.keypoints[rows], columns.joints[rows]
            check_agreement(keypoints, H36M_17, joints[..., :2], H36M_17, told)
            scale = None  # [m] that 1 is: half the width of the picture
            if columns.factor is not None:
                hint = "joint3d_image times 2.5d_factor must be millimetres."
                factor = columns.factor[rows]
                check_person(joints * factor[:, None, None] / 1000, H36M_17, told, hint)
                scale = (factor * camera.width / 2 / 1000).astype(np.float32)
            picture = joints / camera.width * 2 - [1, camera.height / camera.width, 0]
            yield PoseSequence(
                subject=subject,
                action=h36m.action_of(take),
                take=take,
                camera=camera,
                keypoints=keypoints.astype(np.float32),
                keypoint_skeleton=H36M_17,
                joints=picture.astype(np.float32),
                skeleton=H36M_17,
                fps=h36m.FPS / step,
                scores=columns.confidence[rows].astype(np.float32).clip(0, 1),
                scale=scale,
                frame_stride=step,
            )


class _Columns(NamedTuple):
    """What a part of the file says of its N frames, those of a view one after the other."""

    sources: np.ndarray  # (N,) names of views
    cameras: np.ndarray  # (N,)
    keypoints: np.ndarray  # (N, 17, 2) [px]
    joints: np.ndarray  # (N, 17, 3) u, v, d [px]
    confidence: np.ndarray  # (N, 17)
    factor: np.ndarray | None  # (N,) [mm / px], in the test part alone


def _columns(part: dict[str, Any], split: Split, where: str) -> _Columns:
    """The part's columns, each of the form that it must have."""
    sources = _texts(part, "source", where)
    count = len(sources)
    cameras = _texts(part, "camera_name", where, count)
    keypoints = _column(part, "joint_2d", (count, 17, 2), where)
    joints = _column(part, "joint3d_image", (count, 17, 3), where)
    if part.get("confidence") is None:
        raise ValueError(f"{where} has no 'confidence'. The file must be h36m_sh_conf_cam_source_final.pkl.")
    confidence = np.asarray(part["confidence"])
    confidence = confidence[..., 0] if confidence.ndim == 3 else confidence
    confidence = motion_array(confidence, (count, 17), f"{where}, confidence")
    low, high = confidence.min(), confidence.max()
    if low < -MOST_CONFIDENT or high > MOST_CONFIDENT:  # NaN is told by the sequence
        raise ValueError(f"{where}, confidence: must lie about 0 to 1, found {low:.3g} to {high:.3g}.")
    factor = None
    if split == "validation":
        factor = motion_array(np.asarray(part.get("2.5d_factor")), (count,), f"{where}, 2.5d_factor")
    return _Columns(sources, cameras, keypoints, joints, confidence, factor)


def _views(columns: _Columns, where: str) -> Iterator[tuple[str, str, str, Camera, slice]]:
    """Every view's name, its subject, take and camera, and its frames, which must follow one another."""
    sources, cameras = columns.sources, columns.cameras
    changes = np.flatnonzero(sources[1:] != sources[:-1]) + 1
    begun: set[str] = set()
    for start, end in zip([0, *changes], [*changes, len(sources)], strict=True):
        name = str(sources[start])
        subject, take = _take(name, where)
        if name in begun or (cameras[start:end] != cameras[start]).any():
            found = "comes twice, with others between" if name in begun else "has frames of several cameras"
            raise ValueError(f"{where}: source '{name}' {found}; its frames must follow one another, of one view.")
        begun.add(name)
        yield name, subject, take, _camera(str(cameras[start]), where), slice(start, end)


def _take(source: str, where: str) -> tuple[str, str]:
    """("S9", "Greeting") of "s_09_act_05_subact_02_ca_01"."""
    match = _SOURCE.fullmatch(source)
    subject = f"S{int(match[1])}" if match else ""
    if match is None or subject not in h36m.SUBJECTS or int(match[2]) not in _ACTIONS or match[3] not in ("01", "02"):
        raise ValueError(f"{where}: source '{source[:60]}' must be named like s_09_act_05_subact_02_ca_01.")
    action, second = _ACTIONS[int(match[2])], match[3] == "02"
    return subject, h36m.takes_of(subject, action)[second != ((subject, action) in _EXCHANGED)]


@cache
def _lenses() -> dict[str, Camera]:
    """{name: lens and picture}, the same for every subject; all stand at the origin: joints are in their own axes."""
    return {
        camera.name: replace(camera, rotation=np.eye(3), position=np.zeros(3)) for camera in published_cameras()["S1"]
    }


def _camera(name: str, where: str) -> Camera:
    if name not in _lenses():
        raise ValueError(f"{where}: camera_name '{name[:40]}' must be one of {', '.join(CAMERA_IDS)}.")
    return _lenses()[name]


def _texts(part: dict[str, Any], key: str, where: str, count: int | None = None) -> np.ndarray:
    values = np.asarray(part.get(key, ()))
    if values.ndim != 1 or not len(values) or values.dtype.kind not in "UO" or (count and len(values) != count):
        wanted = f"{count} names" if count else "names, one a frame"
        raise ValueError(f"{where}, {key}: must be a list of {wanted}, found shape {values.shape} of {values.dtype}.")
    return values


def _column(part: dict[str, Any], key: str, shape: tuple[int, ...], where: str) -> np.ndarray:
    values = part.get(key)
    array = np.asarray(values)
    if array.ndim == 3 and array.shape[2] > shape[2]:
        array = array[..., : shape[2]]
    return motion_array(array, shape, f"{where}, {key}")
