"""Keypoints and joints of one view must be of one picture: files in other units, or of another order, would not say so.

Detections err by a few pixels, in bad takes by some dozen. Keypoints in 0..1 or -1..1, of another camera, of another
take or with the axes exchanged lie a person's size away from where the camera sees the joints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from anypose.camera import project, world_to_camera
from anypose.skeleton import Skeleton
from pose3d.motion.sequence import PoseSequence

FAR = 0.5  # of the person's size in the picture, for half of the keypoints
FRAMES = 200  # of a view that are looked at


def agreeing(sequences: Iterable[PoseSequence], source: str) -> Iterator[PoseSequence]:
    """The sequences, each once its keypoints are found where its camera sees its joints.

    Args:
        sequences: of joints in metres.
        source: where the keypoints come from, for errors.

    Raises:
        ValueError: as `check_agreement`.
    """
    for sequence in sequences:
        some = slice(None, None, max(1, len(sequence) // FRAMES))
        seen = project(world_to_camera(sequence.joints[some].astype(np.float64), sequence.camera), sequence.camera)
        where = f"{source}, {sequence.name}"
        check_agreement(sequence.keypoints[some], sequence.keypoint_skeleton, seen, sequence.skeleton, where)
        yield sequence


def check_agreement(
    keypoints: np.ndarray, skeleton: Skeleton, seen: np.ndarray, seen_skeleton: Skeleton, where: str
) -> None:
    """Refuse keypoints that lie far from where they are seen; where no joint has their names nothing is known.

    Args:
        keypoints: (T, K, 2) [px].
        skeleton: what the K are.
        seen: (T, J, 2) the joints in the picture [px].
        seen_skeleton: what the J are.
        where: the file and the view, for errors.

    Raises:
        ValueError: saying how far.
    """
    common = [joint for joint in skeleton.joints if joint in seen_skeleton.joints]
    if not common:
        return
    there = seen[:, [seen_skeleton.index(joint) for joint in common]]
    apart = np.median(np.linalg.norm(keypoints[:, [skeleton.index(joint) for joint in common]] - there, axis=-1))
    size = np.median(np.linalg.norm(np.ptp(seen, axis=1), axis=-1))
    if apart > FAR * size:
        low, high = keypoints.min((0, 1)), keypoints.max((0, 1))
        raise ValueError(
            f"{where}: half of the keypoints lie {apart:.0f} px or more from where the camera sees the joints of a "
            f"person of {size:.0f} px. They go from ({low[0]:.4g}, {low[1]:.4g}) to ({high[0]:.4g}, {high[1]:.4g}); "
            "pixels are wanted, x before y, of this take and this camera."
        )
