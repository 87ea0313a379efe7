"""dataset=synthetic: procedural motion of invented people, seen by virtual cameras. Nothing to download.

A body is a function of (seed, split, subject), a take of that and (action, take): asking for fewer subjects, actions or
takes changes nothing in those that remain, and noise moves no camera.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, replace
from typing import Literal

import numpy as np

from anypose.bounds import check_made
from anypose.camera import project, world_to_camera
from anypose.settings import Misuse, judged
from anypose.skeleton import H36M_17
from pose3d.motion.detector_noise import DetectorNoise
from pose3d.motion.missing_joints import MissingJoints
from pose3d.motion.sequence import PoseSequence, Split
from pose3d.motion.virtual_cameras import H36M_RANGES, sample_cameras
from pose3d.synthesis.actions import ACTIONS
from pose3d.synthesis.body import Body, draw_body
from pose3d.synthesis.performance import record

BYTES_PER_FRAME = 4 * 17 * (2 + 1 + 3)  # keypoints, scores, joints
BYTES_MADE = 8 * 17 * 3 * 10  # while a take is made, of each frame before `frame_step`
LETTERS = {"train": "T", "validation": "V"}


@judged("dataset")
class Synthetic:
    """A MotionDataset made up on the spot.

    Args:
        seed: another seed is another world.
        train_subjects: how many bodies are trained on, "T1", "T2", ...
        validation_subjects: how many are scored on, "V1", "V2", ...; no body is in both.
        takes: per subject and action.
        frames: of a take, before `frame_step`.
        fps: frames per second, before `frame_step`.
        frame_step: keep every n-th frame.
        num_cameras: views of each take.
        actions: which of the fifteen, in the order they are printed; None for all.
        proportion_spread: standard deviation of a segment's share of stature, as a fraction of it.
        camera_distance, camera_height, camera_roll, camera_tilt, focal: ranges (low, high), see `CameraRanges`.
        jitter, outliers, swaps, missing: see `DetectorNoise`; all zero leaves the keypoints exact.
        missing_joints, missing_in: see `pose3d.motion.missing_joints.MissingJoints`.
    """

    def __init__(
        self,
        seed: int,
        train_subjects: int,
        validation_subjects: int,
        takes: int,
        frames: int,
        fps: float,
        frame_step: int,
        num_cameras: int,
        actions: Sequence[str] | None,
        proportion_spread: float,
        camera_distance: Sequence[float],
        camera_height: Sequence[float],
        camera_roll: Sequence[float],
        camera_tilt: Sequence[float],
        focal: Sequence[float],
        jitter: float,
        outliers: float,
        swaps: float,
        missing: float,
        missing_joints: int,
        missing_in: Literal["train", "test", "both"],
    ) -> None:
        self.missing_joints = MissingJoints(missing_joints, missing_in)
        counts = {
            "train_subjects": train_subjects,
            "validation_subjects": validation_subjects,
            "takes": takes,
            "frames": frames,
            "frame_step": frame_step,
            "num_cameras": num_cameras,
        }
        for key, value in counts.items():
            if value < 1:
                raise Misuse(f"dataset.{key}={value} must be at least 1.")
        shots = (train_subjects + validation_subjects) * takes * len(actions or ACTIONS) * num_cameras
        told = ", ".join(f"{key}={value}" for key, value in counts.items())
        check_made(shots * math.ceil(frames / frame_step) * BYTES_PER_FRAME + frames * BYTES_MADE, f"dataset ({told})")
        if seed < 0:
            raise Misuse(f"dataset.seed={seed} must not be negative.")
        if not 10 <= fps <= 240:
            raise Misuse(f"dataset.fps={fps} must lie between 10 and 240: motion is made at this rate.")
        if not 0 <= proportion_spread <= 0.2:
            raise Misuse(f"dataset.proportion_spread={proportion_spread} must lie between 0 and 0.2.")
        ranges = {"distance": camera_distance, "height": camera_height, "roll": camera_roll, "tilt": camera_tilt}
        ranges["focal"] = focal
        for name, values in ranges.items():
            angle = name in ("roll", "tilt")
            if len(values) != 2 or values[0] > values[1] or (values[0] <= 0 and not angle):
                key = name if name == "focal" else f"camera_{name}"
                raise Misuse(
                    f"dataset.{key}={list(values)} must be [low, high] with 0 < low <= high (angles: any sign)."
                )
        unknown = [action for action in actions or () if action not in ACTIONS]
        if unknown:
            raise Misuse(f"dataset.actions has {', '.join(unknown)}. There are {', '.join(ACTIONS)}.")
        self.seed = seed
        self.subjects = {"train": train_subjects, "validation": validation_subjects}
        self.takes, self.frames, self.fps, self.frame_step = takes, frames, fps, frame_step
        self.num_cameras = num_cameras
        self.proportion_spread = proportion_spread
        self.cameras = replace(H36M_RANGES, **{name: (low, high) for name, (low, high) in ranges.items()})
        self.noise = DetectorNoise(jitter, outliers, swaps, missing)
        self.name = "synthetic"
        self.keypoint_source = f"ground truth with {self.noise}" if any(astuple(self.noise)) else "ground truth"
        self.actions = tuple(actions or ACTIONS)
        self.notes = ("procedural motion, not recorded",)

    def sequences(self, split: Split) -> list[PoseSequence]:
        """All takes of a split, each from every camera; made anew at each call."""
        return [
            sequence
            for subject in range(self.subjects[split])
            for action in self.actions
            for take in range(self.takes)
            for sequence in self._views(split, subject, action, take)
        ]

    def body(self, split: Split, subject: int) -> Body:
        """The body of subject number `subject` (from 0)."""
        return draw_body(self._rng(split, subject), self.proportion_spread)

    def _views(self, split: Split, subject: int, action: str, take: int) -> list[PoseSequence]:
        rng = self._rng(split, subject, 1 + list(ACTIONS).index(action), take)
        joints = record(ACTIONS[action], self.body(split, subject), rng, self.fps, self.frames, self.frame_step)
        noise_rng = rng.spawn(1)[0]
        views = []
        for camera in sample_cameras(rng, joints, self.num_cameras, self.cameras):
            exact = project(world_to_camera(joints, camera), camera)
            keypoints, scores = self.noise(noise_rng, exact, H36M_17)
            views.append(
                PoseSequence(
                    subject=f"{LETTERS[split]}{subject + 1}",
                    action=action,
                    take=f"{action} {take + 1}",
                    camera=camera,
                    keypoints=keypoints,
                    keypoint_skeleton=H36M_17,
                    joints=joints,
                    skeleton=H36M_17,
                    fps=self.fps / self.frame_step,
                    frame_stride=self.frame_step,
                    scores=scores,
                )
            )
        return views

    def _rng(self, split: Split, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, int(split == "validation"), *key])
