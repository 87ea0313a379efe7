"""dataset=custom: a person's own keypoints and joints, any joints, split by subject. docs/data.md shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from anypose.camera import Camera, camera_to_world
from anypose.settings import Misuse, judged
from anypose.skeleton_text import skeleton_of
from pose3d.motion.missing_joints import MissingJoints
from pose3d.motion.own_files import KEYS, Rows, read_rows
from pose3d.motion.pinhole import LEVEL, fit_pinhole
from pose3d.motion.remarks import part_name
from pose3d.motion.sequence import PoseSequence, Split
from pose3d.motion.units import METRES, UNITS, metres_per_unit

INSIDE = 0.5  # share of keypoints that lie in their picture
BEHIND = -0.5  # [m]; joints measured from a root lie about it


@judged("dataset")
class Custom:
    """Frames of one or several files, put into takes; where a take's frames leave one out, it is cut there.

    Args:
        file: .npz or .csv, see `pose3d.motion.own_files`; several are read one after the other.
        skeleton: what keypoints and joints are: a YAML file, or the name of a skeleton of this project.
        keypoint_skeleton, joint_skeleton: what that file says; or others, where the two differ.
        train_subjects: None for every subject that does not validate.
        validation_subjects: who is scored and never trained on.
        actions: rows of the table to keep; None for all.
        unit: of the joints; None for the one that makes people of the size of people.
        rate: frames per second; None for what the file says.
        width, height: of the picture [px]; None for what the file says.
        frame_step: keep every n-th frame.
        missing_joints, missing_in: see `pose3d.motion.missing_joints.MissingJoints`.
    """

    name = "custom"
    keypoint_source = "the file's"

    def __init__(
        self,
        file: Sequence[str],
        skeleton: str,
        keypoint_skeleton: str,
        joint_skeleton: str,
        train_subjects: Sequence[str] | None,
        validation_subjects: Sequence[str],
        actions: Sequence[str] | None,
        unit: Literal["m", "cm", "mm", "inch"] | None,
        rate: float | None,
        width: int | None,
        height: int | None,
        frame_step: int,
        missing_joints: int,
        missing_in: Literal["train", "test", "both"],
    ) -> None:
        self.missing_joints = MissingJoints(missing_joints, missing_in)
        if frame_step < 1:
            raise Misuse(f"dataset.frame_step={frame_step} must be at least 1.")
        if (width or 1) < 1 or (height or 1) < 1 or (rate or 1) <= 0:
            raise Misuse(f"dataset.rate={rate}, width={width} and height={height} must be above 0.")
        self.keypoint_skeleton = skeleton_of(keypoint_skeleton, f"dataset.skeleton={skeleton}")
        self.joint_skeleton = skeleton_of(joint_skeleton, f"dataset.skeleton={skeleton}")
        self.unit, self.rate, self.size, self.frame_step = unit, rate, (width, height), frame_step
        self.files = [read_rows(path, self.keypoint_skeleton, self.joint_skeleton) for path in file]
        found = sorted({str(subject) for rows in self.files for subject in rows.names["subject"]})
        validation = tuple(validation_subjects)
        train = tuple(subject for subject in found if subject not in validation)
        train = train if train_subjects is None else tuple(train_subjects)
        self.subjects: dict[Split, tuple[str, ...]] = {"train": train, "validation": validation}
        unknown = [subject for subject in (*train, *validation) if subject not in found]
        if unknown or not validation or not train or set(train) & set(validation):
            raise Misuse(
                f"dataset.validation_subjects={list(validation)} and train_subjects={list(train)} must be different "
                f"people, at least one each; the file has {', '.join(found)}. Say who is scored: "
                f"dataset.validation_subjects={found[-1]}."
            )
        have = sorted({str(name) for rows in self.files for name in rows.names.get("action", ["All"])})
        if unknown := [action for action in actions or () if action not in have]:
            raise Misuse(f"dataset.actions has {', '.join(unknown)}; the file has {', '.join(have)}.")
        self.actions = tuple(actions or have)
        self.notes: tuple[str, ...] = ()

    def sequences(self, split: Split) -> list[PoseSequence]:
        """Every take of the split's subjects, seen by every camera that saw it."""
        sequences = [sequence for rows in self.files for sequence in self._takes(rows, self.subjects[split])]
        if not sequences:
            raise Misuse(
                f"dataset.actions={','.join(self.actions)} leave nothing of {split} subjects "
                f"{', '.join(self.subjects[split])}."
            )
        return sequences

    def _takes(self, rows: Rows, subjects: Sequence[str]) -> Iterator[PoseSequence]:
        width, height = (own or (rows.size or (0, 0))[i] for i, own in enumerate(self.size))
        rate = self.rate or rows.fps
        if not width or not height or not rate:
            raise ValueError(
                f"{rows.where} does not say what the picture's size is, or how many frames a second has. Say it with "
                "dataset.width=, dataset.height= and dataset.rate=."
            )
        _check_picture(rows, int(width), int(height))
        self._check_axes(rows)
        units = {rows.unit: METRES[rows.unit]} if rows.unit else UNITS
        joints = rows.joints * metres_per_unit(rows.joints, self.joint_skeleton, self.unit, rows.where, units)
        if (depth := float(np.median(joints[..., 2]))) < BEHIND:
            raise ValueError(
                f"{rows.where}: joints must be before the camera, z away from it, and they are {-depth:.3g} m behind "
                "it. Turn them: joints[..., 2] *= -1 (and one more axis, or left is right)."
            )
        words = [rows.names.get(key, np.broadcast_to(np.array("All"), (len(joints),))) for key in KEYS]
        keys = list(zip(*(word.tolist() for word in words), strict=True))
        order = sorted(range(len(keys)), key=lambda row: (keys[row], rows.frame[row]))
        cameras: dict[str, Camera] = {}
        for members in _grouped(order, keys):
            subject, action, take, camera = keys[members[0]]
            if subject not in subjects or action not in self.actions:
                continue
            if camera not in cameras:
                cameras[camera] = self._camera(camera, rows, joints, words[3] == camera, (int(width), int(height)))
            recording = _recording(action, take)
            pieces = _even(members, rows.frame, f"{rows.where}, {subject} {action} {take} {camera}")
            for number, piece in enumerate(pieces, start=1):
                part = piece[:: self.frame_step]
                spacing = int(rows.frame[piece[1]] - rows.frame[piece[0]]) if len(piece) > 1 else 1
                yield PoseSequence(
                    subject=subject,
                    action=action,
                    take=part_name(recording, number, len(pieces)),
                    camera=cameras[camera],
                    keypoints=rows.keypoints[part],
                    keypoint_skeleton=self.keypoint_skeleton,
                    joints=camera_to_world(joints[part], cameras[camera]).astype(np.float32),
                    skeleton=self.joint_skeleton,
                    fps=rate / spacing / self.frame_step,
                    scores=None if rows.scores is None else rows.scores[part],
                    first_frame=float(rows.frame[part[0]]),
                    frame_stride=float(spacing * self.frame_step),
                )

    def _check_axes(self, rows: Rows) -> None:
        """In camera axes a joint that lies to the right, or lower, is seen farther right, or lower."""
        common = [joint for joint in self.joint_skeleton.joints if joint in self.keypoint_skeleton.joints]
        seen = rows.keypoints[:, [self.keypoint_skeleton.index(joint) for joint in common]]
        poses = rows.joints[:, [self.joint_skeleton.index(joint) for joint in common]]
        for axis, (name, way) in enumerate((("x", "right"), ("y", "down"))):
            a, b = (points[..., axis] - points[..., axis].mean(1, keepdims=True) for points in (seen, poses))
            agreement = float((a * b).sum()) / max(float(np.sqrt((a**2).sum() * (b**2).sum())), 1e-12)
            if len(common) > 1 and agreement < 0:
                raise ValueError(
                    f"{rows.where}: joints must be in the camera's axes, x right, y down, z away, but their {name} "
                    f"falls where the keypoints go {way} (correlation {agreement:.2f}). Turn them: for a y that points "
                    "up, joints[..., 1:] *= -1."
                )

    def _camera(self, name: str, rows: Rows, joints: np.ndarray, seen: np.ndarray, size: tuple[int, int]) -> Camera:
        """With the lens that joints and keypoints fit; where joints are measured from the root, with a phone's."""
        common = [joint for joint in self.joint_skeleton.joints if joint in self.keypoint_skeleton.joints]
        points = joints[seen][:, [self.joint_skeleton.index(joint) for joint in common]].reshape(-1, 3)
        shown = rows.keypoints[seen][:, [self.keypoint_skeleton.index(joint) for joint in common]].reshape(-1, 2)
        if len(points) >= 4 and points[:, 2].min() > 0.1:
            self.notes = ("lenses fitted to 2D and 3D",)
            return fit_pinhole(name, points, shown, size)
        self.notes = ("joints measured from the root, lenses unknown",)
        middle = np.array(size) / 2
        return Camera(
            name=name,
            rotation=LEVEL,
            position=np.zeros(3),
            focal=np.full(2, float(max(size))),
            centre=middle,
            radial=np.zeros(3),
            tangential=np.zeros(2),
            width=size[0],
            height=size[1],
        )


def _check_picture(rows: Rows, width: int, height: int) -> None:
    """Refuse keypoints that are no pixels of a picture of that size: shares of it, or of another."""
    points = rows.keypoints.reshape(-1, 2)
    inside = float(((points >= 0) & (points <= (width, height))).all(1).mean())
    if inside < INSIDE or (points.max() <= 2 and min(width, height) > 20):
        low, high = np.percentile(points, [5, 95], axis=0)
        raise ValueError(
            f"{rows.where}: keypoints must be pixels of a picture of {width}x{height}, and most lie between "
            f"{low[0]:.4g} and {high[0]:.4g} across, {low[1]:.4g} and {high[1]:.4g} down. Multiply shares of a picture "
            "by its sides; dataset.width= and dataset.height= say another size."
        )


def _recording(action: str, take: str) -> str:
    """A take's name that no other of the subject has: takes are often counted anew in every action."""
    if "All" in (action, take):
        return action if take == "All" else take
    return take if take.startswith(action) else f"{action} {take}"


def _grouped(order: list[int], keys: list[tuple[str, ...]]) -> Iterator[list[int]]:
    """Rows of one key each, in order."""
    members: list[int] = []
    for row in order:
        if members and keys[row] != keys[members[0]]:
            yield members
            members = []
        members.append(row)
    if members:
        yield members


def _even(members: list[int], frame: np.ndarray, where: str) -> list[list[int]]:
    """The stretches of a take in which every frame follows the one before by the same number."""
    steps = np.diff(frame[members])
    if len(steps) and steps.min() < 1:
        at = int(frame[members[int(steps.argmin())]])
        raise ValueError(
            f"{where}: frame {at} is there twice. Tell its views apart by 'camera', or its takes by 'take'."
        )
    usual = int(np.median(steps)) if len(steps) else 1
    cuts = (np.flatnonzero(steps != usual) + 1).tolist()
    return [members[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(members)], strict=True)]
