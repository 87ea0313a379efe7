"""Human3.6M as MotionBERT builds it: fine-tuned Stacked Hourglass detections with confidences, all takes in one pickle.

MotionAGFormer and most lifters since 2023 are trained and scored on this file. Three things set their figures apart:
joints stand in picture units, each frame's predictions are brought to millimetres by the true scale of that frame, and
three takes of S9 with bad ground truth are left out of the test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from anypose.camera import Camera
from anypose.formats.files import require_file
from anypose.formats.npz import motion_array
from anypose.formats.plain_pickle import load_plain
from anypose.settings import judged
from anypose.skeleton import H36M_17
from pose3d.motion import h36m
from pose3d.motion.agreement import check_agreement
from pose3d.motion.h36m_cameras import CAMERA_IDS, INTRINSICS, SIZES
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
        found: dict[str, set[str]] = {}
        for sequence in sequences:
            found.setdefault(sequence.subject, set()).add(sequence.take)
        notes = self.selection.check(found, str(self.file), f"in {PARTS[split]}", self.selection.subjects(split))
        self.notes = tuple(dict.fromkeys((*self.notes, *notes)))
        return h36m.told(self.selection, sequences, notes)

    def _read(self, split: Split) -> Iterator[PoseSequence]:
        assert self.held is not None
        part, where = self.held[PARTS[split]], f"{self.file}, {PARTS[split]}"
        sources = _texts(part, "source", where)
        count = len(sources)
        cameras = _texts(part, "camera_name", where, count)
        keypoints = _column(part, "joint_2d", (count, 17, 2), where)
        joints = _column(part, "joint3d_image", (count, 17, 3), where)
        confidence = part.get("confidence")
        if confidence is None:
            raise ValueError(f"{where} has no 'confidence'. The file must be h36m_sh_conf_cam_source_final.pkl.")
        confidence = np.asarray(confidence)
        confidence = confidence[..., 0] if confidence.ndim == 3 else confidence
        confidence = motion_array(confidence, (count, 17), f"{where}, confidence")
        if confidence.min() < -MOST_CONFIDENT or confidence.max() > MOST_CONFIDENT:  # NaN is told by the sequence
            low, high = confidence.min(), confidence.max()
            raise ValueError(f"{where}, confidence: must lie about 0 to 1, found {low:.3g} to {high:.3g}.")
        factor = None  # [mm / px]
        if split == "validation":
            factor = motion_array(np.asarray(part.get("2.5d_factor")), (count,), f"{where}, 2.5d_factor")
        changes = np.flatnonzero(sources[1:] != sources[:-1]) + 1
        step = self.selection.frame_step
        begun: set[str] = set()
        for start, end in zip([0, *changes], [*changes, count], strict=True):
            name = str(sources[start])
            subject, take = _take(name, where)
            if name in begun or (cameras[start:end] != cameras[start]).any():
                found = "comes twice, with others between" if name in begun else "has frames of several cameras"
                raise ValueError(f"{where}: source '{name}' {found}; its frames must follow one another, of one view.")
            begun.add(name)
            if subject not in self.selection.subjects(split) or take not in self.selection.takes(subject):
                continue
            camera = _camera(str(cameras[start]), where)
            rows, told = slice(start, end, step), f"{where}, {name}"
            check_agreement(keypoints[rows], H36M_17, joints[rows, :, :2], H36M_17, told)
            if factor is not None:
                hint = "joint3d_image times 2.5d_factor must be millimetres."
                check_person(joints[rows] * factor[rows, None, None] / 1000, H36M_17, told, hint)
            width = camera.width
            picture = joints[rows] / width * 2 - [1, camera.height / width, 0]
            yield PoseSequence(
                subject=subject,
                action=h36m.action_of(take),
                take=take,
                camera=camera,
                keypoints=keypoints[rows].astype(np.float32),
                keypoint_skeleton=H36M_17,
                joints=picture.astype(np.float32),
                skeleton=H36M_17,
                fps=h36m.FPS / step,
                scores=confidence[rows].astype(np.float32).clip(0, 1),
                scale=None if factor is None else (factor[rows] * width / 2 / 1000).astype(np.float32),
                frame_stride=step,
            )


def _take(source: str, where: str) -> tuple[str, str]:
    """("S9", "Greeting") of "s_09_act_05_subact_02_ca_01"."""
    match = _SOURCE.fullmatch(source)
    subject = f"S{int(match[1])}" if match else ""
    if match is None or subject not in h36m.SUBJECTS or int(match[2]) not in _ACTIONS or match[3] not in ("01", "02"):
        raise ValueError(f"{where}: source '{source[:60]}' must be named like s_09_act_05_subact_02_ca_01.")
    action, second = _ACTIONS[int(match[2])], match[3] == "02"
    return subject, h36m.takes_of(subject, action)[second != ((subject, action) in _EXCHANGED)]


def _camera(name: str, where: str) -> Camera:
    """The camera's lens and picture; it stands at the origin: joints are in its own axes."""
    if name not in CAMERA_IDS:
        raise ValueError(f"{where}: camera_name '{name[:40]}' must be one of {', '.join(CAMERA_IDS)}.")
    place = CAMERA_IDS.index(name)
    focal_x, focal_y, centre_x, centre_y, *lens = INTRINSICS[place]
    return Camera(
        name=name,
        rotation=np.eye(3),
        position=np.zeros(3),
        focal=np.array([focal_x, focal_y]),
        centre=np.array([centre_x, centre_y]),
        radial=np.array(lens[:3]),
        tangential=np.array(lens[3:5]),
        width=SIZES[place][0],
        height=SIZES[place][1],
    )


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
