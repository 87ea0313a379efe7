"""Human3.6M's protocol: subjects, actions, takes and how many frames they hold, whatever file they come in."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from anypose.camera import Camera, project, world_to_camera
from anypose.settings import Misuse, judged
from anypose.skeleton import H36M_17, H36M_32, Skeleton, convert
from pose3d.motion.missing_joints import MissingJoints
from pose3d.motion.sequence import PoseSequence, Split
from pose3d.motion.units import check_person

log = logging.getLogger(__name__)

FPS = 50.0
SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases",
    "Sitting", "SittingDown", "Smoking", "Waiting", "WalkDog", "Walking", "WalkTogether",
)  # fmt: skip
# S1's files carry the names on the left; 3d-pose-baseline has them renamed, VideoPose3D renames as it reads.
RENAMED = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}
# Frames per camera of each subject's 30 takes.
FRAMES = {"S1": 62094, "S5": 99079, "S6": 62466, "S7": 101621, "S8": 64678, "S9": 79417, "S11": 58244}
CAMERA_IDS = ("54138969", "55011271", "58860488", "60457274")
# The video of this view is corrupt: it has 3D, but no detections. VideoPose3D leaves the whole take out.
VIEW_WITHOUT_DETECTIONS = ("S11", "Directions", "54138969")

# The numbers of the two takes of an action, 0 for a name without number: "Eating 2" and "Eating" of S1 are (2, 0).
_USUAL = (1, 0)
_UNUSUAL = {
    "S1": {"Eating": (2, 0), "Sitting": (1, 2), "SittingDown": (2, 0)},
    "S5": {"Directions": (1, 2), "Discussion": (2, 3), "Greeting": (1, 2), "Photo": (0, 2), "Waiting": (1, 2)},
    "S6": {"Eating": (1, 2), "Posing": (2, 0), "Sitting": (1, 2), "Waiting": (3, 0)},
    "S7": {"Phoning": (2, 0), "Waiting": (1, 2), "Walking": (1, 2)},
    "S8": {"WalkTogether": (1, 2)},
    "S9": {"Discussion": (1, 2)},
    "S11": {"Discussion": (1, 2), "Greeting": (2, 0), "Phoning": (3, 2), "Smoking": (2, 0)},
}


def takes_of(subject: str, action: str) -> tuple[str, str]:
    """The names of the two takes, e.g. ("Waiting 1", "Waiting")."""
    numbers = _UNUSUAL[subject].get(action, _USUAL)
    first, second = (f"{action} {number}" if number else action for number in numbers)
    return first, second


def canonical_take(name: str) -> str:
    """The take a file stem means: "WalkingDog_1" and "WalkDog 1" are both "WalkDog 1"."""
    action, _, number = name.replace("_", " ").strip().partition(" ")
    return f"{RENAMED.get(action, action)} {number}".strip()


def action_of(take: str) -> str:
    """ "Sitting" of "Sitting 2", never of "SittingDown 2"."""
    return take.partition(" ")[0]


def take_files(paths: Iterable[Path]) -> dict[str, Path]:
    """{take: its file} of one subject, named as released or as renamed; the calibration takes "_ALL" are left out."""
    takes: dict[str, Path] = {}
    for path in sorted(paths):
        take = canonical_take(path.stem)
        if path.name.startswith("_ALL"):
            continue
        if take in takes:
            raise ValueError(f"{takes[take]} and {path.name} are both the take '{take}'. Remove one of them.")
        takes[take] = path
    return takes


@judged("dataset")
@dataclass(frozen=True)
class Selection:
    """Which part of Human3.6M is asked for, and what is hidden: what all its readers take from conf/ beside their own.

    Attributes:
        train_subjects, validation_subjects: of `SUBJECTS`.
        actions: of `ACTIONS`; empty or None for all.
        frame_step: keep every n-th frame.
        allow_missing: go on without takes that are not there.
        leave_out: takes not to read, e.g. "S9 Greeting". S9's Greeting, SittingDown 1 and Waiting 1 have motion that is
            shifted against the pictures by 30 to 50 px; published figures include them.
        missing_joints, missing_in: see `pose3d.motion.missing_joints.MissingJoints`.
    """

    train_subjects: Sequence[str]
    validation_subjects: Sequence[str]
    actions: Sequence[str] | None
    frame_step: int
    allow_missing: bool
    leave_out: Sequence[str]
    missing_joints: int
    missing_in: Literal["train", "test", "both"]

    def __post_init__(self) -> None:
        for key in ("train_subjects", "validation_subjects"):
            unknown = [subject for subject in getattr(self, key) if subject not in SUBJECTS]
            if unknown:
                raise Misuse(f"dataset.{key} has {', '.join(unknown)}; Human3.6M's are {', '.join(SUBJECTS)}.")
        both = [subject for subject in self.train_subjects if subject in self.validation_subjects]
        if both:
            raise Misuse(f"{', '.join(both)} is both in dataset.train_subjects and in validation_subjects.")
        unknown = [action for action in self.actions or () if action not in ACTIONS]
        if unknown:
            raise Misuse(f"dataset.actions has {', '.join(unknown)}; Human3.6M's are {', '.join(ACTIONS)}.")
        possible = {f"{s} {take}" for s in SUBJECTS for action in ACTIONS for take in takes_of(s, action)}
        unknown = [name for name in self.leave_out if name not in possible]
        if unknown:
            raise Misuse(f"dataset.leave_out has {', '.join(unknown)}; takes are named like 'S9 SittingDown 1'.")
        if self.frame_step < 1:
            raise Misuse(f"dataset.frame_step={self.frame_step} must be at least 1.")
        chosen = tuple(action for action in ACTIONS if not self.actions or action in self.actions)
        object.__setattr__(self, "actions", chosen)
        self.hidden()

    def hidden(self) -> MissingJoints:
        """The keypoints to hide from the model."""
        return MissingJoints(self.missing_joints, self.missing_in)

    def subjects(self, split: Split) -> tuple[str, ...]:
        return tuple(self.train_subjects if split == "train" else self.validation_subjects)

    def needed(self, split: Split) -> tuple[str, ...]:
        """Whose takes must be there to read a split: training is scored, too, but a score needs nothing to train on."""
        return self.subjects("train") + self.subjects("validation") if split == "train" else self.subjects(split)

    def takes(self, subject: str) -> list[str]:
        """What the subject should have, in the protocol's order."""
        takes = [take for action in self.actions or () for take in takes_of(subject, action)]
        return [take for take in takes if f"{subject} {take}" not in self.leave_out]

    def check(
        self, found: Mapping[str, Collection[str]], root: str, holds: str, subjects: Sequence[str]
    ) -> tuple[str, ...]:
        """Compare the takes found with those asked for, of all subjects at once.

        Args:
            found: {subject: takes}.
            root: as the user wrote it.
            holds: where in `root` the takes of a "{subject}" lie, e.g. "{subject}/MyPoses/3D_positions/*.h5".
            subjects: to compare, see `needed`.

        Returns:
            Notes on what is missing or left out, to be printed with every number.

        Raises:
            FileNotFoundError: naming what is missing, unless `allow_missing`.
        """
        absent = [subject for subject in subjects if not found.get(subject)]
        missing = [f"{s} {take}" for s in subjects for take in self.takes(s) if take not in found.get(s, ())]
        if absent and (len(absent) == len(subjects) or not self.allow_missing):
            have = ", ".join(subject for subject in SUBJECTS if found.get(subject)) or "none of its subjects"
            lacks = [name for name in missing if name.partition(" ")[0] not in absent]
            raise FileNotFoundError(
                f"dataset.root={root} has no takes of {', '.join(absent)} ({holds.format(subject=absent[0])}). "
                f"Found {have}{f', without {_listed(lacks)}' if lacks else ''}. Training needs "
                f"{', '.join(self.train_subjects)}; validation {', '.join(self.validation_subjects)}."
            )
        if missing and not self.allow_missing:
            total = sum(len(self.takes(subject)) for subject in subjects)
            raise FileNotFoundError(
                f"dataset.root={root} lacks {len(missing)} of {total} takes: {_listed(missing)}. "
                "Get them, or go on without with dataset.allow_missing=true."
            )
        chosen = [name for name in self.leave_out if name.partition(" ")[0] in subjects]
        notes = [f"{', '.join(chosen)} left out by choice"] if chosen else []
        return tuple(notes + ([f"without {', '.join(missing)}"] if missing else []))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")


def takes_in(sequences: Iterable[PoseSequence]) -> dict[str, set[str]]:
    """{subject: takes} that there are."""
    takes: dict[str, set[str]] = {}
    for sequence in sequences:
        takes.setdefault(sequence.subject, set()).add(sequence.take)
    return takes


def told(selection: Selection, sequences: list[PoseSequence], notes: Sequence[str]) -> list[PoseSequence]:
    """`sequences`, after what the log should say of them: how many frames each subject has, and should have where that
    is known, and what every number from them must be read with."""
    lengths: dict[str, dict[str, int]] = {}
    for sequence in sequences:
        lengths.setdefault(sequence.subject, {})[sequence.take] = len(sequence)
    whole = selection.actions == ACTIONS and selection.frame_step == 1
    parts = [
        f"{subject} {sum(takes.values()):,}" + (f" of {FRAMES[subject]:,}" if whole else "")
        for subject, takes in lengths.items()
    ]
    log.info("Frames of each camera: %s.", ", ".join(parts))
    if notes:
        log.warning("Human3.6M: %s.", "; ".join(notes))
    return sequences


def joints_17(joints_32: np.ndarray, where: str, any_size: bool = False) -> np.ndarray:
    """(T, 96) of the release [mm] -> (T, 17, 3) [m], float64.

    The release's joint 11 is the hip again. That tells a wrong order of the axes, which no shape tells when T = 96.

    Args:
        where: the file, for errors.
        any_size: the unit is settled; else they must be as large as a person.
    """
    joints = joints_32.reshape(len(joints_32), 32, 3) / 1000
    if not np.isfinite(joints).all():
        frame = int(np.argwhere(~np.isfinite(joints))[0][0])
        raise ValueError(f"{where}: NaN or infinity in frame {frame} of {len(joints)}.")
    apart = np.abs(joints[:, 11] - joints[:, 0]).max()
    if apart > 0.01:
        raise ValueError(
            f"{where}: joints 0 and 11 must coincide, found them {apart * 1000:.0f} mm apart; "
            "the axes are stored in another order, or these are not Human3.6M's 32 joints."
        )
    joints = convert(joints, H36M_32, H36M_17)
    if not any_size:
        check_person(joints, H36M_17, where, "Human3.6M's joints are in millimetres, as released.")
    return joints


def views(
    subject: str,
    take: str,
    joints: np.ndarray,
    cameras: Sequence[Camera],
    frame_step: int,
    detections: Sequence[np.ndarray] | None = None,
    detected: Skeleton = H36M_17,
) -> list[PoseSequence]:
    """The take as each camera sees it.

    Args:
        subject, take: e.g. "S9" and "Sitting 1".
        joints: (T, 17, 3) float64 [m].
        cameras: of the subject.
        frame_step: keep every n-th frame.
        detections: (T, K, 2) [px], or (T, K, 3) with scores, per camera; None for projections of `joints` with the
            lens's full distortion.
        detected: what the K are.
    """
    joints = joints[::frame_step]
    world = joints.astype(np.float32)
    sequences = []
    for number, camera in enumerate(cameras):
        scores = None
        if detections is None:
            keypoints = project(world_to_camera(joints, camera), camera)
        else:
            keypoints = detections[number][::frame_step, :, :2]
            if detections[number].shape[2] == 3:
                scores = detections[number][::frame_step, :, 2].astype(np.float32)
        sequences.append(
            PoseSequence(
                subject=subject,
                action=action_of(take),
                take=take,
                camera=camera,
                keypoints=keypoints.astype(np.float32),
                keypoint_skeleton=H36M_17 if detections is None else detected,
                joints=world,
                skeleton=H36M_17,
                fps=FPS / frame_step,
                scores=scores,
                frame_stride=frame_step,
            )
        )
    return sequences
