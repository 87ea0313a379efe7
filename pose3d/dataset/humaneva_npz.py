"""HumanEva-I as VideoPose3D holds it: data_3d_humaneva15.npz and data_2d_humaneva15_<detector>.npz."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from anypose.camera import Camera
from anypose.formats.files import require_file, require_folder
from anypose.formats.npz import motion_array
from anypose.settings import Misuse, judged
from anypose.skeleton import HUMANEVA_15, Skeleton
from pose3d.motion.agreement import agreeing
from pose3d.motion.cache import cached_sequences
from pose3d.motion.missing_joints import MissingJoints
from pose3d.motion.pinhole import fit_pinhole, quaternion_rotation
from pose3d.motion.sequence import PoseSequence, Split
from pose3d.motion.units import UNITS, metres_per_unit
from pose3d.motion.videopose3d_files import read_detections, read_positions, views_of

FPS = 60.0
SIZE = (640, 480)
ACTIONS = ("Walk", "Jog", "ThrowCatch", "Gestures", "Box")
# Camera to world as a quaternion (w, x, y, z), and the camera's place [mm]: the published calibration of C1, C2, C3.
_S1 = (
    ((0.424207, -0.4983646, -0.5802981, 0.4847012), (4062.227, 663.2477, 1528.397)),
    ((0.6503354, -0.7481602, -0.0919284, 0.0941766), (844.8131, -3805.2092, 1504.9929)),
    ((0.0664734, -0.0690535, 0.7416416, -0.6639132), (-797.67377, 3916.3174, 1433.6602)),
)
EXTRINSICS = {
    "S1": _S1,
    "S2": (
        ((0.4214752, -0.4961493, -0.5838273, 0.4851187), (4112.9121, 626.4929, 1545.2988)),
        ((0.6501393, -0.7476588, -0.0954617, 0.0959808), (923.5740, -3877.9243, 1504.5518)),
        ((0.0699353, -0.0712403, 0.7421637, -0.662742), (-781.4915, 3838.8853, 1444.9929)),
    ),
    "S3": _S1,
}


@judged("dataset")
class HumanEvaNPZ:
    """VideoPose3D's HumanEva-I. Its cameras' lenses are in no file: they are fitted to the 2D and 3D of each subject.

    Args:
        root: folder of the two files.
        keypoints: the detector, as in the name of the 2D file: "gt", "detectron_pt_coco", ...
        train_subjects, validation_subjects: e.g. "Train/S1" and "Validate/S1".
        actions: what names of takes start with, e.g. "Walk" of "Walking 1 chunk0"; None for all.
        unit: of the 3D; None for the one that makes people of the size of people, as published metres.
        frame_step: keep every n-th frame.
        cache: folder for parsed motion; None to parse every time.
        missing_joints, missing_in: see `pose3d.motion.missing_joints.MissingJoints`.
    """

    name = "humaneva_npz"

    def __init__(
        self,
        root: str,
        keypoints: str,
        train_subjects: Sequence[str],
        validation_subjects: Sequence[str],
        actions: Sequence[str] | None,
        unit: Literal["m", "cm", "mm"] | None,
        frame_step: int,
        cache: str | None,
        missing_joints: int,
        missing_in: Literal["train", "test", "both"],
    ) -> None:
        self.missing_joints = MissingJoints(missing_joints, missing_in)
        self.subjects: dict[Split, tuple[str, ...]] = {
            "train": tuple(train_subjects),
            "validation": tuple(validation_subjects),
        }
        for subject in (*train_subjects, *validation_subjects):
            if subject.rpartition("/")[2] not in EXTRINSICS:
                raise Misuse(f"subject {subject} has no published cameras; Train/ or Validate/ S1, S2, S3 have.")
        unknown = [action for action in actions or () if action not in ACTIONS]
        if unknown or frame_step < 1:
            raise Misuse(
                f"dataset.actions must be of {', '.join(ACTIONS)}, found {', '.join(unknown) or 'no other'}; "
                f"dataset.frame_step={frame_step} must be at least 1."
            )
        self.actions = tuple(action for action in ACTIONS if not actions or action in actions)
        self.unit, self.frame_step, self.cache, self.keypoints = unit, frame_step, cache, keypoints
        self.keypoint_source = "ground truth" if keypoints == "gt" else keypoints
        self.root = require_folder(root, "data_3d_humaneva15.npz and data_2d_humaneva15_*.npz")
        self.positions = require_file(self.root / "data_3d_humaneva15.npz", "VideoPose3D's HumanEva-I")
        self.detections = require_file(self.root / f"data_2d_humaneva15_{keypoints}.npz", "VideoPose3D's HumanEva-I")
        self.notes = ("lenses fitted to 2D and 3D",)

    def sequences(self, split: Split) -> list[PoseSequence]:
        """Every take of the split's subjects, three views each."""
        subjects = self.subjects[split]
        settings = {"subjects": subjects, **{key: getattr(self, key) for key in ("actions", "unit", "frame_step")}}
        files = [self.positions, self.detections]
        return cached_sequences(
            self.cache, self.name, settings, files, lambda: list(agreeing(self._read(subjects), str(self.detections)))
        )

    def _read(self, subjects: Sequence[str]) -> Iterator[PoseSequence]:
        positions = read_positions(self.positions)
        detections, skeleton, _ = read_detections(self.detections)
        lacking = [subject for subject in subjects if subject not in positions or subject not in detections]
        if lacking:
            both = sorted(positions.keys() & detections.keys())
            raise Misuse(f"dataset.root={self.root} has no takes of {', '.join(lacking)}; it has {', '.join(both)}.")
        for subject in subjects:
            takes = [
                (take, action, *self._take(positions, detections, skeleton, subject, take))
                for take in positions[subject]
                if (action := next((action for action in self.actions if take.startswith(action)), None))
            ]
            if not takes:
                raise Misuse(
                    f"dataset.actions={','.join(self.actions)} leave no take of {subject}; it has "
                    f"{', '.join(positions[subject])}."
                )
            cameras = _fitted(subject, [(joints, views) for _, _, joints, views in takes], skeleton)
            for take, action, joints, views in takes:
                world = joints[:: self.frame_step].astype(np.float32)
                for camera, view in zip(cameras, views, strict=True):
                    thinned = view[:: self.frame_step].astype(np.float32)
                    yield PoseSequence(
                        subject=subject,
                        action=action,
                        take=take,
                        camera=camera,
                        keypoints=thinned[..., :2],
                        keypoint_skeleton=skeleton,
                        joints=world,
                        skeleton=HUMANEVA_15,
                        fps=FPS / self.frame_step,
                        frame_stride=self.frame_step,
                        scores=thinned[..., 2] if thinned.shape[2] == 3 else None,
                    )

    def _take(
        self, positions: dict[str, Any], detections: dict[str, Any], skeleton: Skeleton, subject: str, take: str
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        where = f"{self.positions}, {subject}, {take}"
        joints = motion_array(positions[subject][take], ("T", 15, 3), where)
        joints = joints * metres_per_unit(joints, HUMANEVA_15, self.unit, where, UNITS, fine=False)
        where = f"{self.detections}, {subject}, {take}"
        return joints, views_of(detections[subject].get(take), skeleton, len(joints), 3, where)


def _fitted(subject: str, takes: list[tuple[np.ndarray, list[np.ndarray]]], skeleton: Skeleton) -> list[Camera]:
    """The subject's three cameras, lenses fitted over all takes to the joints that 2D and 3D have in common."""
    common = [joint for joint in HUMANEVA_15.joints if joint in skeleton.joints]
    ours, theirs = [HUMANEVA_15.index(j) for j in common], [skeleton.index(j) for j in common]
    cameras = []
    for number, (quaternion, position) in enumerate(EXTRINSICS[subject.rpartition("/")[2]]):
        rotation, position = quaternion_rotation(np.array(quaternion)).T, np.array(position) / 1000
        world = np.concatenate([joints[:, ours].reshape(-1, 3) for joints, _ in takes])
        keypoints = np.concatenate([views[number][:, theirs, :2].reshape(-1, 2) for _, views in takes])
        seen = (world - position) @ rotation.T
        cameras.append(fit_pinhole(f"C{number + 1}", seen, keypoints, SIZE, rotation, position))
    return cameras
