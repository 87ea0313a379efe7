"""The stage that fits a body to everyone: `body=true`. Shape once, then pose and place in every chunk."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from anypose.motion import Motion
from anypose.quaternions import continuous, from_matrix
from anypose.skeleton import ANNY_38
from pose3d.body.anny import WORDS
from pose3d.body.fit import Fit, Fitter
from pose3d.body.rig import BodyRig, Meshes
from pose3d.body.seen import Seen
from pose3d.body.shared_floor import feet_below, small_on_one_floor

SETTLED = 1.0  # seconds of a person after which their shape stays


@dataclass(eq=False)
class Bodies:
    """Takes joints and keypoints, gives the joints and turns of bodies that fit them.

    Attributes:
        height: of the person [m], None to find it.
        meshes: makes the skins, for the files that hold them.
        fits: of every person the newest fit.
    """

    height: float | None
    fits: dict[int, Fit] = field(default_factory=dict)
    _told: list[str] = field(default_factory=list)
    _below: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rig = BodyRig()
        self.meshes = Meshes(self.rig)
        self._fitter: Fitter | None = None
        self._settled: set[int] = set()
        self._last: dict[int, np.ndarray] = {}

    def __call__(self, motion: Motion, intrinsics: np.ndarray) -> Motion:
        """The motion with `ANNY_38` for its skeleton; who cannot be fitted is left out, with a warning.

        Args:
            motion: placed, with joints in camera axes, the camera that stands over the floor (None while nobody has
                been seen), and keypoints.
            intrinsics: (3,) focal length and principal point [px].
        """
        assert motion.joints is not None
        T, P, J = len(motion), len(motion.ids), ANNY_38.num_joints
        fitter = self.fitter(motion)
        joints = np.full((T, P, J, 3), np.nan, np.float32)
        turns, rest = np.full((T, P, J, 4), np.nan, np.float32), np.zeros((P, J, 3), np.float32)
        upright = np.eye(3) if motion.camera is None else motion.camera.rotation.T
        for p, person in enumerate(motion.ids.tolist()):
            there = np.flatnonzero(np.isfinite(motion.joints[:, p]).all(-1).any(-1))
            if not len(there):
                continue
            rows = slice(there[0], there[-1] + 1)
            try:
                fit = self.fit(fitter, motion, p, rows, intrinsics)
            except ValueError as error:
                self.warn(f"person {person}: {error}")
                continue
            placed, turned = self.rig.pose(fitter.body, fit.shape, fit.turns, fit.root)
            joints[rows, p] = placed
            rotations = continuous(from_matrix(upright @ turned), self._last.get(person))
            self._last[person] = rotations[-1]
            turns[rows, p] = rotations
            if motion.camera is not None:
                self._below[person] = feet_below(fit, fitter.poser.human, motion.camera.rotation[:, 2])
            gone = np.setdiff1d(np.arange(T), there)
            joints[gone, p], turns[gone, p] = np.nan, np.nan
            rest[p] = self.rig.rest(fit.shape.words)
        stands = np.zeros(3) if motion.camera is None else motion.camera.position
        world = (joints.astype(np.float64) @ upright.T + stands).astype(np.float32)
        facts = dict(motion.facts) | {"body": self.report()}
        return replace(
            motion,
            joints=joints,
            world=world,
            rotations=turns,
            rest=rest,
            skeleton=ANNY_38,
            hypotheses=None,
            facts=facts,
        )

    def fit(self, fitter: Fitter, motion: Motion, p: int, rows: slice, intrinsics: np.ndarray) -> Fit:
        """One person in the frames where they are."""
        assert motion.joints is not None
        assert motion.keypoints is not None
        person, before = int(motion.ids[p]), self.fits.get(int(motion.ids[p]))
        hypotheses = None if motion.hypotheses is None else motion.hypotheses[rows, p]
        seen = Seen(
            motion.times[rows], motion.joints[rows, p].astype(np.float64), motion.skeleton,
            motion.keypoints[rows, p].astype(np.float64), motion.keypoint_skeleton, np.asarray(intrinsics, np.float64),
            None if motion.contacts is None else motion.contacts[rows, p],
            None if motion.camera is None else motion.camera.rotation[:, 2],
            hypotheses=hypotheses, stature=self.height,
        )  # fmt: skip
        known = before is not None and person in self._settled
        fit = fitter(seen, before.shape.words, before.noise) if known and before is not None else fitter(seen)
        self.fits[person], self.meshes.people[person] = fit, fit.shape.words
        if seen.times[-1] - seen.times[0] >= SETTLED:
            self._settled.add(person)
        for remark in fit.remarks:
            self.warn(f"person {person}: {remark}")
        return fit

    def fitter(self, motion: Motion) -> Fitter:
        """That of the motion's layouts."""
        if self._fitter is None:
            assert motion.skeleton is not None
            assert motion.keypoint_skeleton is not None
            self._fitter = Fitter(motion.skeleton, motion.keypoint_skeleton)
        return self._fitter

    def warn(self, sentence: str) -> None:
        """Once."""
        if sentence not in self._told:
            self._told.append(sentence)

    @property
    def warnings(self) -> list[str]:
        """Sentences on what could not be fitted, and on who may be smaller and nearer than they were placed."""
        statures = {person: fit.shape.stature for person, fit in self.fits.items()}
        small = small_on_one_floor(self._below, statures)
        return self._told + [
            f"person {person} is {statures[person]:.2f} m tall and stands lower than person {other}. On one floor it "
            f"would be {stature:.2f} m, and nearer: a child, or the floor is not one."
            for person, (other, stature) in sorted(small.items())
        ]

    def report(self) -> dict[str, dict[str, Any]]:
        """Of every person the shape words, the stature [m], what the newest fit leaves [px, mm], and bones that turn
        as nothing seen tells."""
        return {
            str(person): {word: round(float(value), 3) for word, value in zip(WORDS, fit.shape.words, strict=True)}
            | {
                "stature_m": round(fit.shape.stature, 3),
                "residual_px": round(float(np.sqrt(np.nanmean(fit.residual_px**2))), 2),
                "deviation_mm": round(1e3 * float(np.median(fit.deviation)), 1),
                "unmeasured": list(fit.unmeasured),
            }
            for person, fit in self.fits.items()
        }
