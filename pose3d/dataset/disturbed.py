"""dataset=disturbed: another dataset's validation split as a worse detector or a wrongly known camera would give it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import astuple, replace

import numpy as np

from anypose.camera import project, to_rays
from anypose.settings import Misuse
from anypose.skeleton import Skeleton
from pose3d.motion.detector_noise import DetectorNoise
from pose3d.motion.sequence import MotionDataset, PoseSequence, Split

PARTS = {
    "legs": ("hip", "knee", "foot"),
    "arms": ("shoulder", "elbow", "wrist"),
    "all": ("hip", "knee", "foot", "shoulder", "elbow", "wrist"),
}


class Disturbed:
    """A MotionDataset whose validation split is another's, disturbed; its training split is the other's as it stands.

    Args:
        of: the other, dataset=cmu in conf/dataset/disturbed.yaml.
        seed: of the noise, which depends on (seed, take, camera) only.
        pixel_noise: standard deviation of white noise on the keypoints [px].
        jitter, outliers, swaps, missing: see `DetectorNoise`.
        swapped: limbs whose left and right are exchanged in every frame: "legs", "arms", "all", or None.
        focal_error: what the focal length is taken to be, as a multiple of what it is.
        camera_roll: how far every camera is rolled about its axis [degrees].
    """

    def __init__(
        self,
        of: MotionDataset,
        seed: int,
        pixel_noise: float,
        jitter: float,
        outliers: float,
        swaps: float,
        missing: float,
        swapped: str | None,
        focal_error: float,
        camera_roll: float,
    ) -> None:
        if not 0 <= pixel_noise < 1000:
            raise Misuse(f"dataset.pixel_noise={pixel_noise} must lie in [0, 1000) pixels.")
        if swapped is not None and swapped not in PARTS:
            raise Misuse(f"dataset.swapped={swapped} must be null or one of {', '.join(PARTS)}.")
        if not 0.1 <= focal_error <= 10:
            raise Misuse(f"dataset.focal_error={focal_error} is a factor and must lie in [0.1, 10]; 1 is no error.")
        if not -180 <= camera_roll <= 180:
            raise Misuse(f"dataset.camera_roll={camera_roll} must lie in [-180, 180] degrees.")
        self.of, self.seed = of, seed
        self.pixel_noise, self.noise = pixel_noise, DetectorNoise(jitter, outliers, swaps, missing)
        self.swapped, self.focal_error, self.camera_roll = swapped, focal_error, math.radians(camera_roll)
        said = {
            f"white noise of {pixel_noise:g} px": pixel_noise,
            str(self.noise): any(astuple(self.noise)),
            f"left and right exchanged: {swapped}": swapped,
            f"focal length taken {focal_error:g} times": focal_error != 1,
            f"cameras rolled by {camera_roll:g} degrees": camera_roll,
        }
        disturbances = [words for words, there in said.items() if there]
        self.name, self.actions = of.name, of.actions
        self.keypoint_source = "; ".join([of.keypoint_source, *disturbances])
        self.missing_joints = of.missing_joints

    @property
    def notes(self) -> tuple[str, ...]:
        return self.of.notes

    def sequences(self, split: Split) -> list[PoseSequence]:
        """The other's; those of the validation split disturbed."""
        sequences = self.of.sequences(split)
        return sequences if split == "train" else [self._disturb(sequence) for sequence in sequences]

    def _disturb(self, sequence: PoseSequence) -> PoseSequence:
        rng = np.random.default_rng([self.seed, zlib.crc32(sequence.name.encode())])
        if self.camera_roll:
            sequence = rolled(sequence, self.camera_roll)
        skeleton = sequence.keypoint_skeleton
        keypoints, scores = self.noise(rng, sequence.keypoints, skeleton)
        keypoints = keypoints + self.pixel_noise * rng.standard_normal(keypoints.shape)
        if self.swapped:
            keypoints = keypoints[:, exchanged(skeleton, PARTS[self.swapped])]
        camera = replace(sequence.camera, focal=sequence.camera.focal * self.focal_error)
        return replace(
            sequence,
            keypoints=keypoints.astype(np.float32),
            scores=sequence.scores if scores is None else scores,
            camera=camera,
        )


def rolled(sequence: PoseSequence, angle: float) -> PoseSequence:
    """The sequence as its camera sees it rolled about its axis by `angle` [rad]."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    slopes = to_rays(sequence.keypoints.astype(np.float64), sequence.camera)
    rays = np.concatenate([slopes, np.ones((*slopes.shape[:-1], 1))], axis=-1) @ turn.T
    camera = replace(sequence.camera, rotation=turn @ sequence.camera.rotation)
    return replace(sequence, camera=camera, keypoints=project(rays, camera).astype(np.float32))


def exchanged(skeleton: Skeleton, kinds: Sequence[str]) -> list[int]:
    """Rows that exchange left and right of the joints of those kinds."""
    return [
        skeleton.flip_index[row] if joint.rpartition("_")[2] in kinds else row
        for row, joint in enumerate(skeleton.joints)
    ]
