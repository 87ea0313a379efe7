"""Human3.6M as mmpose preprocesses it: h36m_train.npz, h36m_test.npz and cameras.pkl."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from anypose.camera import Camera, camera_to_world
from anypose.formats.files import require_file, require_folder
from anypose.formats.npz import motion_array, read_npz
from anypose.formats.plain_pickle import load_plain
from anypose.settings import judged
from anypose.skeleton import H36M_17
from pose3d.motion import h36m
from pose3d.motion.agreement import agreeing
from pose3d.motion.cache import cached_sequences
from pose3d.motion.h36m_cameras import CAMERA_IDS, SIZES, published_cameras
from pose3d.motion.sequence import PoseSequence, Split

FILES: dict[Split, str] = {"train": "h36m_train.npz", "validation": "h36m_test.npz"}
# S1_Directions_1.54138969_000001.jpg
_IMAGE = re.compile(r"(?:.*/)?(S\d+)_(\w+)\.(\d{8})_(\d+)\.\w+")


@judged("dataset")
class H36MMMPose:
    """One row per picture: keypoints `part` and camera-frame joints `S`, put back into takes by the pictures' names.

    Args:
        root: folder of the two npz files (annotation_body3d/fps50 or fps10).
        cameras: cameras.pkl; None to look for it in `root` and above, and to take the published camera table where it
            is not there.
        cache: folder for parsed motion; None to parse every time.
        protocol: see `pose3d.motion.h36m.Selection`; S1, S5, S6, S7, S8 are in the one file and S9, S11
            in the other.
    """

    name = "h36m_mmpose"
    keypoint_source = "ground truth"

    def __init__(
        self,
        root: str,
        cameras: str | None,
        cache: str | None,
        **protocol: Any,
    ) -> None:
        self.selection = h36m.Selection(**protocol)
        self.missing_joints = self.selection.hidden()
        self.actions, self.cache = self.selection.actions, cache
        self.root = require_folder(root, " and ".join(FILES.values()))
        self.files = {split: self.root / name for split, name in FILES.items()}
        self.read: dict[Split, list[PoseSequence]] = {}
        places = (
            [Path(cameras).expanduser()] if cameras else [self.root / "cameras.pkl", self.root.parent / "cameras.pkl"]
        )
        self.camera_file = next((path for path in places if path.is_file()), None)
        if cameras and self.camera_file is None:
            raise FileNotFoundError(f"dataset.cameras={cameras} does not exist. It should be mmpose's cameras.pkl.")
        self.cameras = published_cameras() if self.camera_file is None else read_cameras(self.camera_file)
        self.notes: tuple[str, ...] = () if self.camera_file else ("published camera table, no cameras.pkl",)

    def sequences(self, split: Split) -> list[PoseSequence]:
        """Every take of the split's subjects, four views each. Notes on missing takes are complete afterwards."""
        parts: tuple[Split, ...] = ("train", "validation") if split == "train" else ("validation",)
        for part in parts:
            require_file(self.files[part], "mmpose's annotations of Human3.6M")
        for part in parts:
            if part not in self.read:
                self.read[part] = self._cached(part)
        takes = h36m.takes_in(sequence for part in parts for sequence in self.read[part])
        files = " and ".join(FILES[part] for part in parts)
        notes = self.selection.check(takes, str(self.root), f"in {files}", self.selection.needed(split))
        self.notes = tuple(dict.fromkeys((*self.notes, *notes)))
        return h36m.told(self.selection, self.read.pop(split), self.notes)

    def _cached(self, split: Split) -> list[PoseSequence]:
        settings = {
            "subjects": self.selection.subjects(split),
            "actions": self.actions,
            "leave_out": self.selection.leave_out,
            "frame_step": self.selection.frame_step,
        }
        files = [self.files[split], *([self.camera_file] if self.camera_file else [])]
        return cached_sequences(
            self.cache, self.name, settings, files, lambda: list(agreeing(self._read(split), str(self.files[split])))
        )

    def _read(self, split: Split) -> Iterator[PoseSequence]:
        path = self.files[split]
        views, rows = _views(path)
        keypoints = _columns(path, "part", rows, 3)
        joints = _columns(path, "S", rows, 4)
        step = self.selection.frame_step
        for subject in self.selection.subjects(split):
            for take in self.selection.takes(subject):
                for camera in self.cameras.get(subject, []):
                    frames = sorted(views.get((subject, take, camera.name), []))
                    if not frames:
                        continue
                    order = [row for _, row in frames][::step]
                    spacing = _spacing(frames, f"{path}, {subject} {take}.{camera.name}")
                    yield PoseSequence(
                        subject=subject,
                        action=h36m.action_of(take),
                        take=take,
                        camera=camera,
                        keypoints=keypoints[order],
                        keypoint_skeleton=H36M_17,
                        joints=camera_to_world(joints[order], camera),
                        skeleton=H36M_17,
                        fps=h36m.FPS / spacing / step,
                        first_frame=frames[0][0],
                        frame_stride=spacing * step,
                    )


def read_cameras(path: Path) -> dict[str, list[Camera]]:
    """{subject: its four cameras} of cameras.pkl: {(subject, id): {R (camera to world), T, f, c, k, p, w, h}}."""
    with require_file(path, "mmpose's cameras.pkl", 16 << 20).open("rb") as stream:
        held = load_plain(stream, str(path))
    cameras: dict[str, list[Camera]] = {}
    for subject in h36m.SUBJECTS:
        for name, size in zip(CAMERA_IDS, SIZES, strict=True):
            values = held.get((subject, name)) if isinstance(held, dict) else None
            if not isinstance(values, dict):
                raise ValueError(f"{path} has no camera ('{subject}', '{name}').")
            sizes = {"R": (3, 3), "T": (3, 1), "f": (2, 1), "c": (2, 1), "k": (3, 1), "p": (2, 1)}
            parts = {
                key: motion_array(values.get(key), shape, f"{path}, {subject}, {name}, {key}").astype(np.float64)
                for key, shape in sizes.items()
            }
            cameras.setdefault(subject, []).append(
                Camera(
                    name=name,
                    rotation=parts["R"].T,
                    position=parts["T"].ravel(),
                    focal=parts["f"].ravel(),
                    centre=parts["c"].ravel(),
                    radial=parts["k"].ravel(),
                    tangential=parts["p"].ravel(),
                    width=size[0],
                    height=size[1],
                )
            )
    return cameras


def _views(path: Path) -> tuple[dict[tuple[str, str, str], list[tuple[int, int]]], int]:
    """{(subject, take, camera): its (frame, row)}, from the pictures' names, and how many rows there are."""
    names = read_npz(path, ["imgname"])["imgname"]
    if not isinstance(names, np.ndarray) or names.dtype.kind not in "US" or names.ndim != 1:
        raise ValueError(f"{path}: imgname must be a list of picture names.")
    views: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    for row, name in enumerate(names.astype(str)):
        match = _IMAGE.fullmatch(name)
        if not match:
            raise ValueError(f"{path}: picture {row} is called '{name[:80]}', not S1_Directions_1.54138969_000001.jpg.")
        subject, take, camera, frame = match.groups()
        views.setdefault((subject, h36m.canonical_take(take), camera), []).append((int(frame), row))
    return views, len(names)


def _columns(path: Path, name: str, rows: int, columns: int) -> np.ndarray:
    """(N, 17, columns - 1) float32: the last column is a visibility of 1 everywhere."""
    array = motion_array(read_npz(path, [name])[name], (rows, 17, columns), f"{path}, {name}")
    return array[..., :-1].astype(np.float32)


def _spacing(frames: list[tuple[int, int]], where: str) -> int:
    """How many of the video's frames lie between two rows: 1 in the fps50 files, 5 in the fps10 files."""
    numbers = [number for number, _ in frames]
    steps = set(np.diff(numbers).tolist()) or {1}
    if len(steps) > 1 or min(steps) < 1:
        raise ValueError(
            f"{where}: pictures must be evenly spaced, found steps of {', '.join(map(str, sorted(steps)))}."
        )
    return steps.pop()
