"""Bones of one length: people are not made of rubber, and a lifter does not know that.

A lifter that is unsure how deep a limb points gives the mean of what could be: too short a limb, another length in
every frame, and on the left another than on the right. Here joints go where bones have one length over time, both
sides alike, and where they still lie on the lines of sight of their keypoints; what gives way is the depth, of which
the lifter knew least.
"""

from __future__ import annotations

import numpy as np

from anypose.skeleton import Skeleton, convert_known

SIDES = ("left", "right")
LIMBS = tuple(f"{side}_{kind}" for side in SIDES for kind in ("hip", "knee", "foot", "shoulder", "elbow", "wrist"))
LIMB_POINTS = Skeleton("limbs", LIMBS, (-1,) * len(LIMBS), (), ())
# What has one length: bones, and the distances that hold the trunk in shape.
LENGTHS = {
    "thigh": [(f"{side}_hip", f"{side}_knee") for side in SIDES],
    "shin": [(f"{side}_knee", f"{side}_foot") for side in SIDES],
    "upper arm": [(f"{side}_shoulder", f"{side}_elbow") for side in SIDES],
    "forearm": [(f"{side}_elbow", f"{side}_wrist") for side in SIDES],
    "flank": [(f"{side}_hip", f"{side}_shoulder") for side in SIDES],
    "across": [(f"{side}_hip", f"{other}_shoulder") for side, other in zip(SIDES, SIDES[::-1], strict=True)],
    "hips": [("left_hip", "right_hip")],
    "shoulders": [("left_shoulder", "right_shoulder")],
}
KIND = np.repeat(np.arange(len(LENGTHS)), [len(pairs) for pairs in LENGTHS.values()])
_ENDS = np.array([[LIMBS.index(name) for name in pair] for pairs in LENGTHS.values() for pair in pairs])
APART = np.zeros((len(_ENDS), len(LIMBS)))  # times the joints: the vector of each of the E distances
APART[np.arange(len(_ENDS)), _ENDS[:, 0]], APART[np.arange(len(_ENDS)), _ENDS[:, 1]] = 1, -1
# Between a network's points on somebody of 1.73 m [m], in the order of LENGTHS: medians over bodies drawn at random,
# rendered and shown to the network (`python -m benchmarks.network_points data/cmu data/cmu_more --people 300`).
MEASURED = {"blazepose_33": (0.394, 0.396, 0.280, 0.249, 0.507, 0.564, 0.189, 0.328)}
TRUST = 0.9  # in those proportions; the rest is the person's own as lifted
SIGHT, STIFF, DEPTH = 3.0, 10.0, 0.3  # weights of lines of sight and lengths, of depths as lifted; across they weigh 1
# A line of sight that passes a joint so far away [m], once all joints together are where they are seen, counts half,
# and the joint as lifted the other half: a network that sees much of a person knows an outlier when it sees one.
BESIDE = 0.04
ROUNDS = 60
FEWEST = 6  # of the limbs' joints, in a frame that is looked at
BLOCK = 256  # frames at once
MIDDLE = {"hip": 0.0, "abdomen": 0.25, "spine": 0.5, "chest": 0.5}  # how far a joint goes with the shoulders; others do


def measured(limbs: np.ndarray) -> np.ndarray:
    """(..., 8) what each of `LENGTHS` measures [m] in (..., 12, 3), the mean of both sides; NaN where it has no end."""
    apart = np.linalg.norm(APART @ np.nan_to_num(limbs), axis=-1)
    known = np.asarray(np.isfinite(limbs).all(-1))
    apart[~known[..., _ENDS].all(-1)] = np.nan
    kinds = np.eye(len(LENGTHS))[KIND]
    with np.errstate(invalid="ignore"):
        return (np.nan_to_num(apart) @ kinds) / (np.isfinite(apart) @ kinds)


def mean_of(lengths: np.ndarray) -> np.ndarray:
    """(8,) means over (T, 8) of what is there; NaN for what is in no frame."""
    with np.errstate(invalid="ignore"):
        return np.nansum(lengths, axis=0) / np.isfinite(lengths).sum(0)


def proportioned(own: np.ndarray, keypoints: Skeleton) -> np.ndarray:
    """(8,) a person's lengths: their own, and where it is known what a network's keypoints are usually apart.

    Args:
        own: (8,) [m], NaN for those that were never seen; they matter to nobody, unless a network's are known.
    """
    if keypoints.name not in MEASURED:
        return own
    usual, seen = np.array(MEASURED[keypoints.name]), np.isfinite(own)
    usual = usual * np.linalg.norm(own[seen]) / max(np.linalg.norm(usual[seen]), 1e-9)
    return np.where(seen, usual**TRUST * np.where(seen, own, 1) ** (1 - TRUST), usual)


def lines_of_sight(slopes: np.ndarray, keypoints: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """(..., 12, 3) unit vectors to the limbs' keypoints, (..., 12) whether there is one.

    Args:
        slopes: (..., K, 2) x/z and y/z of the keypoints, NaN for those that are missing.
    """
    found, known = convert_known(slopes.astype(np.float64), keypoints, LIMB_POINTS)
    seen = np.isfinite(found).all(-1) & np.array(known)
    rays = np.concatenate([np.nan_to_num(found), np.ones((*seen.shape, 1))], -1)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True), seen


def of_one_length(joints: np.ndarray, slopes: np.ndarray, skeleton: Skeleton, keypoints: Skeleton) -> np.ndarray:
    """(T, J, 3) one person's joints, relative to the hip [m], with bones of one length over all frames.

    Args:
        joints: (T, J, 3) of `skeleton`, which has the twelve; NaN stays NaN.
        slopes: (T, K, 2) x/z and y/z of `keypoints`, NaN for those that are missing.
    """
    limbs = joints[:, [skeleton.index(joint) for joint in LIMBS]]
    rays, seen = lines_of_sight(slopes, keypoints)
    lengths = proportioned(mean_of(measured(limbs)), keypoints)
    root = placed(limbs, rays, seen)[:, None]
    moved = held(limbs + root, rays, seen, np.broadcast_to(lengths, (len(limbs), len(LENGTHS))))
    result = carried(joints, moved - root, skeleton)
    return result - result[:, [skeleton.root]] if skeleton.root is not None else result


def held(
    joints: np.ndarray, rays: np.ndarray, seen: np.ndarray, lengths: np.ndarray, beside: float = BESIDE
) -> np.ndarray:
    """Joints near where they were, on their lines of sight and as far apart as is said: a least-squares compromise.

    Each round takes the nearest places that fulfil one wish alone, and then the joints that lie nearest to all those
    places at once, which is one product with a matrix that never changes (Bouaziz et al., Projective Dynamics, 2014).
    A joint that is not known wishes nothing, and goes where the matrix takes it.

    Args:
        joints: (N, 12, 3) in camera axes [m]; NaN stays NaN.
        rays: (N, 12, 3) unit vectors; seen: (N, 12) whether there is one.
        lengths: (N, 8) of `LENGTHS` [m]; NaN for those that nobody knows.
        beside: so far beside its joint, all joints' mean left out, a line of sight counts half [m].
    """
    known = np.asarray(np.isfinite(joints).all(-1))
    middle = np.where(known[..., None], joints, 0).sum(-2) / known.sum(-1, keepdims=True).clip(1)
    # Frames go last, a few hundred at once: products of long rows, which stay in the processor's cache.
    given, sight, wanted, there = (
        np.ascontiguousarray(np.moveaxis(array, 0, -1), np.float64)
        for array in (
            np.where(known[..., None], joints, middle[..., None, :]),
            np.where((seen & known)[..., None], rays, 0),
            lengths[:, KIND],
            known,
        )
    )
    moved = np.empty_like(given)
    for start in range(0, len(joints), BLOCK):
        block = slice(start, start + BLOCK)
        parts = given[..., block], sight[..., block], wanted[..., block], there[..., block]
        moved[..., block] = _held(*parts, beside)
    return np.where(known[..., None], np.moveaxis(moved, -1, 0), np.nan)


def _held(joints: np.ndarray, rays: np.ndarray, lengths: np.ndarray, known: np.ndarray, beside: float) -> np.ndarray:
    """As `held`, of (12, 3, N) joints and rays, 0 where there is none, (E, N) distances, (12, N) 1 for known joints."""
    K, N, free = len(joints), joints.shape[-1], (1 - known)[:, None]
    solve = np.linalg.inv((1 + SIGHT) * np.eye(K) + STIFF * APART.T @ APART)
    combine = np.concatenate([solve, STIFF * solve @ APART.T], 1)
    there = np.einsum("kin,kin->kn", rays, rays)[:, None] > 0.5
    loose = SIGHT * ~there + free
    bound = loose.any()
    missing = ~(np.isfinite(lengths) & np.all(known[_ENDS], axis=1))  # or one of whose ends is
    depth = (1 - DEPTH) * np.einsum("kin,kin->kn", joints, rays)
    off = joints - np.einsum("kin,kin->kn", joints, rays)[:, None] * rays
    off = off - (there * off).sum(0) / there.sum(0).clip(1)  # somebody who is elsewhere than was thought
    heard = SIGHT * there / (1 + np.einsum("kin,kin->kn", off, off)[:, None] / beside**2)
    still = (1 - free) * (joints - depth[:, None] * rays) + (SIGHT * there - heard) * joints
    still = solve @ still.reshape(K, -1)
    sight = np.sqrt(heard + 1 - DEPTH) * rays
    # Sixty rounds of small steps: each writes where the one before read, and what is multiplied lies together.
    wishes, moved = np.empty((K + len(APART), 3, N)), joints.copy()
    near, apart = wishes[:K], wishes[K:]
    longer = np.empty(lengths.shape)
    for _ in range(ROUNDS):
        np.matmul(APART, moved.reshape(K, -1), out=apart.reshape(len(APART), -1))
        np.sqrt(np.einsum("ein,ein->en", apart, apart, out=longer), out=longer)
        np.divide(lengths, np.maximum(longer, 1e-9, out=longer), out=longer)
        np.copyto(longer, 1, where=missing)
        apart *= longer[:, None]
        np.multiply(np.einsum("kin,kin->kn", moved, sight, out=depth)[:, None], sight, out=near)
        if bound:
            near += loose * moved
        np.matmul(combine, wishes.reshape(len(wishes), -1), out=moved.reshape(K, -1))
        moved.reshape(K, -1)[:] += still
    return moved


def placed(joints: np.ndarray, rays: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(N, 3) what to add to (N, 12, 3) so that they come as near to their lines of sight as they can [m]."""
    seen = seen & np.isfinite(joints).all(-1)
    off = np.where(seen[..., None, None], np.eye(3) - rays[..., None] * rays[..., None, :], 0)
    towards = -(off @ np.nan_to_num(joints)[..., None]).sum(-3)
    return np.linalg.solve(off.sum(-3) + 1e-9 * np.eye(3), towards)[..., 0]


def carried(joints: np.ndarray, limbs: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """All joints (..., J, 3): the limbs' (..., 12, 3) where they went, what hangs from them too, the rest between.

    What hangs from a limb that is not there stays where it was.
    """
    shifts = limbs - joints[..., [skeleton.index(joint) for joint in LIMBS], :]
    there = np.asarray(np.isfinite(shifts).all(-1, keepdims=True))
    shifts = np.where(there, shifts, 0)
    pairs = [[LIMBS.index(f"{side}_{kind}") for side in SIDES] for kind in ("hip", "shoulder")]
    hips, shoulders = (  # one of a pair speaks for both where the other is not there
        shifts[..., pair, :].sum(-2) / there[..., pair, :].sum(-2).clip(1) for pair in pairs
    )
    moved = joints.astype(np.float64)
    for joint, name in enumerate(skeleton.joints):
        limb, share = carrier(joint, skeleton), MIDDLE.get(name, 1.0)
        moved[..., joint, :] += (
            (1 - share) * hips + share * shoulders if limb is None else shifts[..., LIMBS.index(limb), :]
        )
    return moved


def carrier(joint: int, skeleton: Skeleton) -> str | None:
    """The limb's joint that a joint is or hangs from; None on the middle line."""
    while joint >= 0 and skeleton.joints[joint] not in LIMBS:
        joint = skeleton.parents[joint]
    return skeleton.joints[joint] if joint >= 0 else None


def has_limbs(skeleton: Skeleton) -> bool:
    """Whether a skeleton has the twelve joints."""
    return set(LIMBS) <= set(skeleton.joints)
