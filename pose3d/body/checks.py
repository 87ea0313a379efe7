"""What may be wrong with what is known of a person: refused in a sentence, mended, or told in a remark."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anypose.motion import stretches
from anypose.skeleton import H36M_17
from pose3d.body.exchanged import about_turns, jumps, knees_bend_backwards, other_poses, other_proportions, put_back
from pose3d.body.seen import Seen, human, mean_of

FEWEST = 5  # points seen in a frame, below which it says nothing of the pose
SMALLEST, LARGEST = 0.15, 4.0  # somebody's longest side along an axis [m]: a part of a baby, an adult badly lifted
SHORTEST, TALLEST = 0.3, 3.0  # people [m]
TOLD = 3  # times that a remark lists


def check(seen: Seen) -> tuple[Seen, tuple[str, ...]]:
    """What is seen, in order, and remarks on it.

    Raises:
        ValueError: where too little is seen for any pose, or what is given does not belong together.
    """
    require_all(seen)
    usable = np.isfinite(seen.joints).all(-1).sum(-1) >= FEWEST  # type: ignore[call-overload]
    seen, strays = with_joints(seen, usable)
    require_metres(seen, usable)
    seen, without = with_keypoints(seen)
    remarks = [*strays, *without, *unseen(seen, usable)]
    seen, turned = with_sides(seen)
    seen, cuts = with_cuts(seen)
    return seen, (*remarks, *turned, *cuts, *unlikely(seen))


def require_all(seen: Seen) -> None:
    """Raise where too little is given, or what does not belong together."""
    if seen.joints is None and seen.keypoints is None:
        raise ValueError("A body needs something to be fitted to: joints, keypoints, or both.")
    if seen.joints is None:
        raise ValueError(
            "A body is fitted from joints, which keypoints then correct: lift the keypoints first, with any lifter."
        )
    if seen.keypoints is not None and seen.intrinsics is None:
        raise ValueError("Keypoints are compared with a body through a lens: give intrinsics (focal, centre) [px].")
    _belong_together(seen)
    points = np.isfinite(seen.joints).all(-1).sum(-1)
    if not (points >= FEWEST).any():
        raise ValueError(
            f"No body can be fitted: of {len(seen)} frames none has {FEWEST} joints; the best has "
            f"{int(points.max(initial=0))}."
        )


def _belong_together(seen: Seen) -> None:
    """Raise where arrays have other lengths than the times, or times do not rise."""
    times = np.asarray(seen.times)
    if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ValueError(
            f"Times must be finite and rise [s]; found {np.array2string(times, threshold=8, precision=4)}."
        )
    J = None if seen.skeleton is None else seen.skeleton.num_joints
    K = None if seen.keypoint_skeleton is None else seen.keypoint_skeleton.num_joints
    for name, wanted in (("joints", (J, 3)), ("keypoints", (K, 3))):
        array = getattr(seen, name)
        if array is not None and np.shape(array) != (len(times), *wanted):
            raise ValueError(f"{name} must be ({len(times)}, {wanted[0]}, 3), found {np.shape(array)}.")
    if seen.intrinsics is not None and not (np.isfinite(seen.intrinsics).all() and seen.intrinsics[0] > 0):
        raise ValueError(f"intrinsics must be a focal length above 0 and a finite centre, found {seen.intrinsics}.")
    if seen.stature is not None and not SHORTEST <= seen.stature <= TALLEST:
        raise ValueError(f"The person's height must be {SHORTEST} to {TALLEST} m, found {seen.stature}.")


def with_joints(seen: Seen, usable: np.ndarray) -> tuple[Seen, list[str]]:
    """The joints of usable frames that are not far off."""
    known = np.isfinite(seen.joints).all(-1, keepdims=True)  # type: ignore[call-overload]
    joints, strays = without_strays(np.where(known & usable[:, None, None], np.asarray(seen.joints), np.nan))
    remark = (
        f"Joints lie more than {LARGEST:g} m from the person's others, {strays} over all frames: they are left out."
    )
    return replace(seen, joints=joints), [remark] if strays else []


def without_strays(joints: np.ndarray) -> tuple[np.ndarray, int]:
    """Joints (T, J, 3) without those that are farther from their frame's others than people are large, and how many.

    Where most of a clip's frames have such joints the unit is wrong, and all stay.
    """
    known = np.isfinite(joints).all(-1)
    middle = np.full((len(joints), 1, 3), np.nan)
    middle[known.any(-1)] = np.nanmedian(joints[known.any(-1)], axis=1, keepdims=True)
    far = known & (np.linalg.norm(np.nan_to_num(joints - middle), axis=-1) > LARGEST)
    if far.any(-1).sum() > known.any(-1).sum() / 2:
        return joints, 0
    return np.where(far[..., None], np.nan, joints), int(far.sum())


def require_metres(seen: Seen, usable: np.ndarray) -> None:
    """Raise where the joints are no person's in metres."""
    joints = np.asarray(seen.joints)
    filled = np.where(np.isnan(joints), mean_of(joints)[:, None], joints)[usable]
    size = float(np.median(np.ptp(filled, axis=1).max(-1)))
    if not SMALLEST < size < LARGEST:
        raise ValueError(
            f"The joints of this person span {size:.4g} m, and people {SMALLEST} to {LARGEST}: give metres, not "
            "millimetres or pixels."
        )


def with_keypoints(seen: Seen) -> tuple[Seen, list[str]]:
    """The keypoints with scores of 0 where they are unknown; without them where none counts."""
    if seen.keypoints is None:
        return seen, []
    there = np.isfinite(seen.keypoints).all(-1, keepdims=True)
    keypoints = np.where(there, seen.keypoints, [np.nan, np.nan, 0.0])
    if (keypoints[..., 2] > 0).any():
        return replace(seen, keypoints=keypoints), []
    return replace(seen, keypoints=None), ["No keypoint was seen: the body follows the joints alone."]


def unseen(seen: Seen, usable: np.ndarray) -> list[str]:
    """Remarks on frames and joints of which nothing is known."""
    assert seen.skeleton is not None
    remarks, gone = [], int(len(seen) - usable.sum())
    if gone:
        remarks.append(f"In {gone} of {len(seen)} frames too little was seen; there the body is a guess.")
    known = np.isfinite(seen.joints).all(-1).any(0)  # type: ignore[call-overload]
    never = [name for name, there in zip(seen.skeleton.joints, known.tolist(), strict=True) if not there]
    if never:
        remarks.append(f"{', '.join(never)} was never seen: these parts of the body are at rest, not measured.")
    return remarks


def with_sides(seen: Seen) -> tuple[Seen, list[str]]:
    """What is seen with left and right put back where they were exchanged for a while."""
    seen, exchanged = put_back(seen)
    if not exchanged.any():
        return seen, []
    spans = [f"{seen.times[start]:.2f} to {seen.times[end - 1]:.2f} s" for start, end in stretches(exchanged)]
    return seen, [f"Left and right were exchanged from {_listed(spans)}: they are put back."]


def with_cuts(seen: Seen) -> tuple[Seen, list[str]]:
    """What is seen with the frames that do not go on from those before, and remarks on who may be seen then."""
    remarks, times = [], np.asarray(seen.times)
    sudden, turns, poses = jumps(seen), about_turns(seen), other_poses(seen)
    if sudden:
        remarks.append(f"The person jumps at {_at(times[sudden])}: two people may be exchanged.")
    if turns:
        remarks.append(
            f"The person faces about within a frame at {_at(times[turns])}: left and right, or two people, may be "
            "exchanged."
        )
    if others := sorted({*poses} - {*sudden, *turns}):
        remarks.append(
            f"The pose changes within a frame at {_at(times[others])}: two people may be exchanged, or the film is cut."
        )
    proportions = other_proportions(seen)
    if proportions:
        at, size = zip(*proportions, strict=True)
        remarks.append(
            f"Limbs have other lengths from {_at(times[list(at)])} on, by {100 * max(size):.0f} % on average: two "
            "people may be exchanged; the body has one shape for all frames."
        )
    return replace(seen, cuts=tuple(sorted({*sudden, *turns, *poses}))), remarks


def _at(times: np.ndarray) -> str:
    return _listed([f"{time:.2f} s" for time in times])


def _listed(words: list[str]) -> str:
    """The first few, and how many more."""
    more = len(words) - TOLD
    return ", ".join(words[:TOLD]) + (f" and {more} more" if more > 0 else "")


def unlikely(seen: Seen) -> list[str]:
    """Remarks on poses that people hardly take."""
    remarks = []
    if knees_bend_backwards(human(seen)):
        remarks.append("Knees bend backwards: left and right may be exchanged, or the picture is mirrored.")
    turned = upside_down(seen)
    if turned > len(seen) / 5:
        remarks.append(
            f"Hips are below the feet in {turned} of {len(seen)} frames: lifters know people who stand, the size may "
            "be wrong."
        )
    return remarks


def upside_down(seen: Seen) -> int:
    """In how many frames the hips are below the feet; 0 where nothing says what is up."""
    if seen.up is None and seen.keypoints is None:
        return 0
    up = np.array([0.0, -1.0, 0.0]) if seen.up is None else seen.up
    at = dict(zip(H36M_17.joints, np.moveaxis(human(seen), 1, 0), strict=True))
    legs = at["hip"] - (at["left_foot"] + at["right_foot"]) / 2
    return int((legs @ up < -0.5 * np.linalg.norm(legs, axis=-1)).sum())
