"""Human3.6M in HDF5, as 3d-pose-baseline and GMH-MDN read it: 3D, cameras.h5 and Stacked Hourglass detections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anypose.camera import Camera
from anypose.formats.files import require_folder
from anypose.formats.h5 import open_h5, read_array
from anypose.settings import Misuse, judged
from anypose.shapes import check_shape
from anypose.skeleton import SH_16, SH_H36M_16, convert
from pose3d.motion import h36m
from pose3d.motion.agreement import agreeing
from pose3d.motion.cache import cached_sequences
from pose3d.motion.h36m_cameras import published_cameras, read_cameras_h5
from pose3d.motion.sequence import PoseSequence, Split

SOURCES = {
    "gt": "ground truth",
    "StackedHourglass": "stacked hourglass (MPII)",
    "StackedHourglassFineTuned240": "stacked hourglass (fine-tuned)",
}


@judged("dataset")
class H36MH5:
    """`S9/MyPoses/3D_positions/*.h5`, `cameras.h5` and, for detections, `S9/StackedHourglass/*.h5`.

    Args:
        root: folder of cameras.h5, S1, S5, ...
        keypoints: "gt" for projections of the 3D, or the name of a folder of detections in `SOURCES`.
        convert_keypoints: let a model of another layout have its keypoints derived from the detector's.
        cache: folder for parsed motion; None to parse every time.
        protocol: see `pose3d.motion.h36m.Selection`.
    """

    name = "h36m_h5"

    def __init__(
        self,
        root: str,
        keypoints: str,
        convert_keypoints: bool,
        cache: str | None,
        **protocol: Any,
    ) -> None:
        if keypoints not in SOURCES:
            raise Misuse(f"dataset.keypoints={keypoints} is not one of {', '.join(SOURCES)}.")
        self.selection = h36m.Selection(**protocol)
        self.missing_joints = self.selection.hidden()
        self.actions = self.selection.actions
        self.keypoints, self.keypoint_source = keypoints, SOURCES[keypoints]
        self.cache, self.convert_keypoints = cache, convert_keypoints
        self.root = require_folder(root, "Human3.6M in h5: cameras.h5 and S1/MyPoses/3D_positions/*.h5, S5/...")
        self.takes = {
            subject: h36m.take_files((self.root / subject / "MyPoses" / "3D_positions").glob("*.h5"))
            for subject in h36m.SUBJECTS
            if (self.root / subject).is_dir()
        }
        if not any(self.takes.values()):
            self._check(self.selection.needed("train"))
        self.detections = {} if keypoints == "gt" else self._find_detections()
        self.camera_file = self.root / "cameras.h5"
        self.notes: tuple[str, ...] = ()
        if self.camera_file.exists():
            self.cameras = read_cameras_h5(self.camera_file)
        else:
            self.cameras = published_cameras()
            self.notes = ("published camera table, no cameras.h5",)

    def _check(self, subjects: Sequence[str]) -> tuple[str, ...]:
        """Notes on what is not there of the subjects; an error for what should be."""
        holds = "{subject}/MyPoses/3D_positions/*.h5"
        notes = self.selection.check(self.takes, str(self.root), holds, subjects)
        if self.keypoints != "gt":
            notes += self._check_detections(subjects)
        without = [subject for subject in subjects if subject not in self.cameras]
        if without:
            raise ValueError(
                f"{self.camera_file} has no cameras of {', '.join(without)}; it has {', '.join(self.cameras)}."
            )
        return notes

    def _find_detections(self) -> dict[tuple[str, str, str], Path]:
        """{(subject, take, camera): file}; files are named Waiting_1.58860488.h5."""
        found: dict[tuple[str, str, str], Path] = {}
        for subject in self.takes:
            for path in sorted((self.root / subject / self.keypoints).glob("*.h5")):
                take, _, camera = path.stem.rpartition(".")
                found[subject, h36m.canonical_take(take), camera] = path
        return found

    def _views(self, subject: str) -> list[tuple[str, Camera]]:
        """The views of the subject's takes that can be read, in order."""
        return [
            (take, camera)
            for take in self.selection.takes(subject)
            if take in self.takes.get(subject, {})
            for camera in self.cameras[subject]
            if self.keypoints == "gt" or (subject, take, camera.name) in self.detections
        ]

    def _check_detections(self, subjects: Sequence[str]) -> tuple[str, ...]:
        """Notes on views without detections; an error for those that should have some."""
        if not any(subject in subjects for subject, _, _ in self.detections):
            kinds = {path.name for subject in subjects for path in (self.root / subject).glob("*") if path.is_dir()}
            found = [name for name in SOURCES if name in kinds]
            raise FileNotFoundError(
                f"dataset.keypoints={self.keypoints}: dataset.root={self.root} has no such detections, "
                f"{subjects[0]}/{self.keypoints}/<take>.<camera>.h5; it has {', '.join(found) or 'none'}. "
                f"Get that folder of every subject, or choose dataset.keypoints={found[0] if found else 'gt'}."
            )
        lacking = [
            f"{subject} {take}.{camera}"
            for subject in subjects
            for take in self.selection.takes(subject)
            if take in self.takes.get(subject, {})
            for camera in h36m.CAMERA_IDS
            if (subject, take, camera) not in self.detections
            and (subject, take, camera) != h36m.VIEW_WITHOUT_DETECTIONS
        ]
        if lacking and not self.selection.allow_missing:
            raise FileNotFoundError(
                f"dataset.root={self.root} lacks {len(lacking)} files of {self.keypoints} detections, "
                f"<take>.<camera>.h5: {', '.join(lacking[:12])}{', ...' if len(lacking) > 12 else ''}. "
                "Get them, choose other dataset.keypoints, or go on without with dataset.allow_missing=true."
            )
        subject, take, camera = h36m.VIEW_WITHOUT_DETECTIONS
        self.detections.pop(h36m.VIEW_WITHOUT_DETECTIONS, None)
        notes = [f"{len(lacking)} views without detections"] if lacking else []
        if subject in subjects and take in self.selection.takes(subject):
            notes.insert(0, f"without {subject} {take}.{camera}, whose video is corrupt")
        return tuple(notes)

    def sequences(self, split: Split) -> list[PoseSequence]:
        """Every take of the split's subjects, four views each where there are keypoints. Notes are whole afterwards."""
        self.notes = tuple(dict.fromkeys((*self._check(self.selection.needed(split)), *self.notes)))
        subjects = self.selection.subjects(split)
        views = {subject: self._views(subject) for subject in subjects}
        files = [self.takes[s][take] for s in subjects for take in dict.fromkeys(take for take, _ in views[s])]
        files += [self.detections[s, t, c.name] for s in subjects for t, c in views[s] if self.keypoints != "gt"]
        files += [self.camera_file] if self.camera_file.exists() else []
        settings = {
            "views": [(s, take, camera.name) for s in subjects for take, camera in views[s]],
            "keypoints": self.keypoints,
            "frame_step": self.selection.frame_step,
        }
        sequences = cached_sequences(
            self.cache, self.name, settings, files, lambda: [s for subject in subjects for s in self._read(subject)]
        )
        return h36m.told(self.selection, sequences, self.notes)

    def _read(self, subject: str) -> Iterator[PoseSequence]:
        views = self._views(subject)
        for take in dict.fromkeys(take for take, _ in views):
            path = self.takes[subject][take]
            joints = h36m.joints_17(read_positions(path), str(path))
            cameras = [camera for name, camera in views if name == take]
            detections = None
            if self.keypoints != "gt":
                detections = [read_detections(self.detections[subject, take, c.name], len(joints)) for c in cameras]
            step = self.selection.frame_step
            sequences = h36m.views(subject, take, joints, cameras, step, detections, SH_H36M_16)
            yield from sequences if detections is None else agreeing(sequences, f"{self.root}, {self.keypoints}")


def read_positions(path: Path) -> np.ndarray:
    """(T, 96) float64 [mm]. The file holds (96, T): 32 joints x 3, each a row over time."""
    with open_h5(path) as file:
        positions = read_array(file, "3D_positions", path)
    check_shape(positions, (96, "T"), f"3D_positions of {path}")
    return positions.T


def read_detections(path: Path, frames: int) -> np.ndarray:
    """(T, 16, 2) float64 [px] in the order of sh_h36m_16, from (T, 16, 2) in the detector's."""
    with open_h5(path) as file:
        poses = read_array(file, "poses", path)
    check_shape(poses, ("T", 16, 2), f"poses of {path}", T=frames)
    return convert(poses, SH_16, SH_H36M_16)
