"""A body for everyone whom the network of total_capture finds in an image: fitted to its keypoints and orientations.

The 3D joints that `pose3d.capture.lifting` gives from the same two are where the fit begins, and what it is scored
beside. An image is one frame: nothing is known of who somebody is but what people are like.
"""

from __future__ import annotations

import importlib.util

import numpy as np
import torch
from torch import Tensor

from anypose.cache import cache_folder
from anypose.skeleton import Skeleton
from pose3d.body.anny import FILE
from pose3d.body.fit import Fitter
from pose3d.body.seen import Seen
from pose3d.capture.layout import BODY, CaptureLayout

# The layout's joints by the names of `points.PLACES`, where they differ. Its targets in 3D are Human3.6M's joints
# (`pose3d.capture.people`): the neck is the middle of the shoulders, the head top their head.
HOUSE = {"neck": "shoulders", "chest": "trunk", "head_top": "head", "left_ankle": "left_foot",
         "right_ankle": "right_foot"}  # fmt: skip

HIPS = (0.08, 0.14)  # hips of adults lie so far from the middle, whoever marks them [m]


def skeleton_of(layout: CaptureLayout) -> Skeleton:
    """The layout under the names of every other skeleton; its bones are the limbs along which people are assembled."""
    parents = [-1] * layout.num_joints
    for limb in layout.tree:
        start, end = layout.limbs[limb]
        parents[end] = start
    names = tuple(HOUSE.get(name, name) for name in layout.joints)
    left = tuple(row for row, name in enumerate(names) if name.startswith("left_"))
    right = tuple(names.index(names[row].replace("left_", "right_", 1)) for row in left)
    return Skeleton("capture_20", names, tuple(parents), left, right, root_joint="shoulders")


CAPTURE_20 = skeleton_of(BODY)
LIMBS = tuple((CAPTURE_20.joints[start], CAPTURE_20.joints[end]) for start, end in BODY.limbs)


def require_body(setting: str) -> None:
    """Raise where neither Anny's file nor the package that makes it is there.

    Args:
        setting: what needs it, as the user named it.
    """
    if not (cache_folder() / FILE).is_file() and importlib.util.find_spec("anny") is None:
        raise ImportError(f"{setting} needs the package anny: pip install 'anypose[body]', or leave it out.")


def hips_of(limb_lengths: np.ndarray) -> float:
    """How far hips lie from the middle [m] of people with these mean lengths of limbs (23,) [m].

    Datasets disagree by 5 cm. Neck, chest and a hip are a triangle whose sides are limbs.
    """
    length = dict(zip(((BODY.joints[a], BODY.joints[b]) for a, b in BODY.limbs), limb_lengths.tolist(), strict=True))
    down = length["neck", "chest"]
    beside = []
    for hip in ("left_hip", "right_hip"):
        along = (length["neck", hip] ** 2 + down**2 - length["chest", hip] ** 2) / (2 * down)
        beside.append(max(length["neck", hip] ** 2 - along**2, 0.0) ** 0.5)
    return float(np.clip(np.mean(beside), *HIPS))


class CapturedBodies:
    """Fits one person in one image after another.

    Args:
        limb_lengths: (23,) of the people that the network learned from [m].
    """

    def __init__(self, limb_lengths: np.ndarray) -> None:
        self.fitter = Fitter(CAPTURE_20, CAPTURE_20, LIMBS, hips=hips_of(limb_lengths))
        self.rows = self.fitter.objective.rows[1]

    def everyone(self, joints: Tensor, keypoints: Tensor, scores: Tensor, vectors: Tensor, lens: Tensor) -> Tensor:
        """(B, K, 20, 3) joints of the bodies of everyone found in B images [m], NaN where none could be fitted.

        Args:
            joints, keypoints, scores, vectors: (B, K, ...) as `__call__` takes them; nobody has scores of 0.
            lens: (B, 3).
        """
        fitted = np.full(joints.shape, np.nan, np.float32)
        for image, person in scores.any(-1).nonzero().tolist():
            given = (joints[image, person], keypoints[image, person], scores[image, person], vectors[image, person])
            first, second, third, fourth, camera = (tensor.cpu().double().numpy() for tensor in (*given, lens[image]))
            body = self(first, second, third, fourth, camera)
            if body is not None:
                fitted[image, person] = body
        return torch.from_numpy(fitted).to(joints.device)

    def __call__(
        self, joints: np.ndarray, keypoints: np.ndarray, scores: np.ndarray, vectors: np.ndarray, lens: np.ndarray
    ) -> np.ndarray | None:
        """(20, 3) joints of the fitted body [m], or None where too little was found for one.

        Args:
            joints: (20, 3) lifted, camera axes [m], NaN where not found.
            keypoints: (20, 2) [px].
            scores: (20,) 0 where not found.
            vectors: (23, 3) orientations of limbs, of any length; zero where there is none.
            lens: (3,) focal length and principal point [px].
        """
        length = np.linalg.norm(vectors, axis=-1, keepdims=True)
        directions = np.where(length > 1e-6, vectors / np.maximum(length, 1e-6), np.nan)
        seen = Seen(
            np.zeros(1), joints[None], CAPTURE_20, np.concatenate([keypoints, scores[:, None]], -1)[None], CAPTURE_20,
            lens, limbs=LIMBS, directions=directions[None],
        )  # fmt: skip
        try:
            fit = self.fitter(seen)
        except ValueError:
            return None
        return self.fitter.body.pose(fit.shape, fit.turns, fit.root)[0, self.rows]
