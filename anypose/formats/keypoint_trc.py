"""Keypoints and joints in TRC, as Sports2D and Pose2Sim write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anypose.formats.detections import hide_unlabelled, named_skeleton
from anypose.formats.marker_names import joint_of
from anypose.formats.trc import METRES, read_trc
from anypose.motion import Motion
from anypose.skeleton import SKELETONS, Skeleton

APART = (0.1, 10.0)  # what somebody's markers may lie apart, if only a hand's or with much else among them [m]


def read_markers(path: Path, skeleton: str | Skeleton | None, size: tuple[int, int] | None) -> Motion:
    """A TRC file: joints in the world where it is in metres, keypoints where it is in pixels, as Sports2D's *_px_*.

    Markers are joints by their names; joints that are not among them are NaN.
    """
    trc = read_trc(path)
    joints = [joint_of(marker) for marker in trc.markers]
    known = {joint for skeleton in SKELETONS.values() for joint in skeleton.joints}
    found = [joint for joint in joints if joint in known]
    if skeleton is not None:
        layout = named_skeleton(skeleton)
    else:
        fitting = [layout for layout in SKELETONS.values() if set(found) <= set(layout.joints)]
        if len(found) < 4 or not fitting:
            raise ValueError(
                f"{path}: its {len(joints)} markers ({', '.join(trc.markers[:6])}, ...) are of no one skeleton. "
                "Say skeleton=."
            )
        layout = min(fitting, key=lambda layout: layout.num_joints)
    pixels = trc.units == "px" or "_px" in path.stem
    if not pixels and trc.units not in METRES:
        raise ValueError(f"{path}, line 3: Units must be m, cm, mm or px, found '{trc.units[:20]}'.")
    points = np.full((len(trc.times), 1, layout.num_joints, 3), np.nan, np.float32)
    if twice := [joint for joint in layout.joints if joints.count(joint) > 1]:
        both = [marker for marker, joint in zip(trc.markers, joints, strict=True) if joint == twice[0]]
        raise ValueError(f"{path}, line 4: markers {' and '.join(both[:4])} are both {twice[0]}. Leave one out.")
    for marker, joint in enumerate(joints):
        if joint in layout.joints:
            points[:, 0, layout.index(joint)] = trc.points[:, marker]
    if np.isnan(points).all():
        raise ValueError(
            f"{path}: none of its markers ({', '.join(trc.markers[:6])}, ...) is a joint of {layout.name}."
        )
    facts = {"source": "TRC", "tracked": True}
    ids = np.array([1])
    if pixels:
        points[..., 2] = np.where(np.isfinite(points[..., 0]), 1, np.nan)
        hide_unlabelled(points)
        return Motion(path.stem, trc.times, ids, keypoints=points, keypoint_skeleton=layout, size=size, facts=facts)
    points *= METRES[trc.units]
    _check_size(points, trc.units, path)
    world = np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1)
    return Motion(path.stem, trc.times, ids, world=world, skeleton=layout, facts=facts)


def _check_size(points: np.ndarray, units: str, path: Path) -> None:
    """Refuse joints (T, 1, J, 3) [m] that are no person's in the header's unit."""
    seen = points[np.isfinite(points).all(-1).sum((1, 2)) > 1]
    sizes = (np.nanmax(seen, 2) - np.nanmin(seen, 2)).max((1, 2))
    if len(sizes) and not APART[0] < (size := float(np.median(sizes))) < APART[1]:
        raise ValueError(
            f"{path}: its markers lie {size:.3g} m apart where Units, in line 3, says {units}, and nobody is of that "
            "size. Put Units right."
        )
