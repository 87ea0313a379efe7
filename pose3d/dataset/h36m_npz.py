"""Human3.6M as VideoPose3D and most later lifters hold it: data_3d_h36m.npz and data_2d_h36m_<detector>.npz."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from anypose.formats.files import require_file, require_folder
from anypose.formats.npz import motion_array
from anypose.settings import Misuse, judged
from anypose.skeleton import H36M_17, H36M_32
from pose3d.motion import h36m
from pose3d.motion.agreement import agreeing
from pose3d.motion.cache import cached_sequences
from pose3d.motion.h36m_cameras import published_cameras
from pose3d.motion.sequence import PoseSequence, Split
from pose3d.motion.units import metres_per_unit
from pose3d.motion.videopose3d_files import read_detections, read_positions, views_of

# VideoPose3D leaves this take out, because one of its four videos is corrupt.
LEFT_OUT = ("S11", "Directions")
# Detections exist of these, joints were never released.
WITHOUT_JOINTS = ("S2", "S3", "S4")


@judged("dataset")
class H36MNPZ:
    """The npz files of VideoPose3D; cameras come from the published table, as there.

    Args:
        root: folder of data_3d_h36m.npz and data_2d_h36m_<keypoints>.npz.
        keypoints: the detector, as in the name of its file, e.g. "cpn_ft_h36m_dbb", "detectron_pt_coco", "sh_ft_h36m";
            "gt" for projections of the 3D, whether data_2d_h36m_gt.npz is there or not.
        convert_keypoints: let a model of another layout have its keypoints derived from the detector's.
        unit: of the 3D; None takes metres or millimetres, whichever makes people of the size of people.
        unlabelled_subjects: of S2, S3, S4, which the 2D files hold and the 3D file does not; see `unlabelled`.
        cache: folder for parsed motion; None to parse every time.
        protocol: see `pose3d.motion.h36m.Selection`.
    """

    name = "h36m_npz"

    def __init__(
        self,
        root: str,
        keypoints: str,
        convert_keypoints: bool,
        unit: Literal["m", "cm", "mm"] | None,
        unlabelled_subjects: Sequence[str],
        cache: str | None,
        **protocol: Any,
    ) -> None:
        self.selection = h36m.Selection(**protocol)
        self.missing_joints = self.selection.hidden()
        self.actions = tuple(self.selection.actions or ())
        self.keypoints, self.cache = keypoints, cache
        self.convert_keypoints, self.unit = convert_keypoints, unit
        self.keypoint_source = "ground truth" if keypoints == "gt" else keypoints
        self.unlabelled_subjects = tuple(unlabelled_subjects)
        unknown = [subject for subject in self.unlabelled_subjects if subject not in WITHOUT_JOINTS]
        if unknown or (self.unlabelled_subjects and keypoints == "gt"):
            raise Misuse(
                f"dataset.unlabelled_subjects={list(unlabelled_subjects)} with dataset.keypoints={keypoints}: "
                f"detections without joints are there of {', '.join(WITHOUT_JOINTS)}, and never ground truth. Leave "
                "others' labels out with task.labelled_subjects."
            )
        self.root = require_folder(root, "data_3d_h36m.npz and data_2d_h36m_*.npz")
        self.positions = require_file(self.root / "data_3d_h36m.npz", "VideoPose3D's 3D of Human3.6M")
        self.detections = None if keypoints == "gt" else self.root / f"data_2d_h36m_{keypoints}.npz"
        if self.detections and not self.detections.is_file():
            found = {path.stem.removeprefix("data_2d_h36m_") for path in self.root.glob("data_2d_h36m_*.npz")} | {"gt"}
            raise FileNotFoundError(
                f"dataset.keypoints={keypoints}: {self.detections} does not exist. There is {', '.join(sorted(found))}."
            )
        self.notes: tuple[str, ...] = ()
        # Read to know what is missing, and not yet asked for: training says what validation lacks before it begins.
        self.read: dict[Split, list[PoseSequence]] = {}

    def sequences(self, split: Split) -> list[PoseSequence]:
        """Every take of the split's subjects, four views each. Notes on missing takes are complete afterwards."""
        needed = self.selection.needed(split)
        for part in ("train", "validation"):
            if set(self.selection.subjects(part)) <= set(needed) and part not in self.read:
                self.read[part] = self._cached(self.selection.subjects(part))
        takes = h36m.takes_in(sequence for part in self.read.values() for sequence in part)
        notes = []
        subject, take = LEFT_OUT
        if take in self.actions and takes.get(subject) and take not in takes[subject]:
            takes[subject].add(take)
            notes.append(f"without {subject} {take}")
        files = ", ".join(file.name for file in self._files())
        notes += self.selection.check(takes, str(self.root), f"in {files}", needed)
        self.notes = tuple(dict.fromkeys((*self.notes, *notes)))
        return h36m.told(self.selection, self.read.pop(split), self.notes)

    def _files(self) -> list[Path]:
        return [self.positions, *([self.detections] if self.detections else [])]

    def _cached(self, subjects: Sequence[str]) -> list[PoseSequence]:
        settings = {
            "subjects": subjects,
            "actions": self.actions,
            "leave_out": self.selection.leave_out,
            "keypoints": self.keypoints,
            "frame_step": self.selection.frame_step,
            "unit": self.unit,
        }
        return cached_sequences(self.cache, self.name, settings, self._files(), lambda: list(self._read(subjects)))

    def unlabelled(self) -> list[PoseSequence]:
        """Every take of `unlabelled_subjects`, four views each, all as long as the shortest.

        Their joints are zeros, because nobody knows them, and so is the cameras' place, S1's; lenses are the same for
        all. What learns from these sequences must not look at either.
        """
        if not self.unlabelled_subjects or self.detections is None:
            return []
        settings = {
            "subjects": self.unlabelled_subjects,
            "actions": self.actions,
            "keypoints": self.keypoints,
            "frame_step": self.selection.frame_step,
        }
        name = f"{self.name}-unlabelled"
        return cached_sequences(self.cache, name, settings, [self.detections], lambda: list(self._read_unlabelled()))

    def _read_unlabelled(self) -> Iterator[PoseSequence]:
        assert self.detections
        detections, skeleton, _ = read_detections(self.detections)
        cameras = published_cameras()["S1"]
        for subject in self.unlabelled_subjects:
            takes = {h36m.canonical_take(name): value for name, value in detections.pop(subject, {}).items()}
            wanted = [take for action in self.actions for take in sorted(takes) if h36m.action_of(take) == action]
            if not wanted:
                raise FileNotFoundError(
                    f"dataset.unlabelled_subjects: {self.detections} has no take of {subject} and of the chosen "
                    f"actions; it has {', '.join(detections) or 'nobody else'}."
                )
            for take in wanted:
                found = views_of(takes.pop(take), skeleton, None, 4, f"{self.detections}, {subject}, {take}")
                frames = min(map(len, found))
                seen = [view[:frames] for view in found]
                nothing = np.zeros((frames, 17, 3))
                yield from h36m.views(subject, take, nothing, cameras, self.selection.frame_step, seen, skeleton)

    def _read(self, subjects: Sequence[str]) -> Iterator[PoseSequence]:
        positions = read_positions(self.positions)
        detections, skeleton, _ = read_detections(self.detections) if self.detections else ({}, H36M_17, {})
        cameras = published_cameras()
        for subject in subjects:
            motions = {h36m.canonical_take(name): value for name, value in positions.pop(subject, {}).items()}
            seen = {h36m.canonical_take(name): value for name, value in detections.pop(subject, {}).items()}
            for take in self.selection.takes(subject):
                if take not in motions or (self.detections and take not in seen):
                    continue
                where = f"{self.positions}, {subject}, {take}"
                motion = motion_array(motions.pop(take), ("T", 32, 3), where).astype(np.float64)
                metres = metres_per_unit(motion, H36M_32, self.unit, where)
                joints = h36m.joints_17(1000 * metres * motion.reshape(-1, 96), where, any_size=True)
                views = None
                if self.detections:
                    where = f"{self.detections}, {subject}, {take}"
                    views = views_of(seen.pop(take), skeleton, len(joints), 4, where)
                step = self.selection.frame_step
                sequences = h36m.views(subject, take, joints, cameras[subject], step, views, skeleton)
                yield from sequences if views is None else agreeing(sequences, str(self.detections))
