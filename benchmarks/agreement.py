"""How much of a joint should be the 2D network's own guess, how much the lifter's: bodies drawn at random tell.

python -m benchmarks.agreement CMU [CMU_MORE ...] [--people 160]

The bodies are those of `benchmarks.network_points`, each seen by three cameras. What is printed: errors of the lifter's
joints, of BlazePose's and of their means, relative to the middle of the hips, and the share of BlazePose that is
nearest to the truth in each kind of joint, with the spread over views drawn again: `SHARES` of
pose3d/predict/agreement.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from anypose.metrics import mpjpe, p_mpjpe
from anypose.motion import Motion
from anypose.skeleton import H36M_17
from benchmarks.network_points import FOCAL, SIZE, sights
from benchmarks.real_people import joints_of
from pose3d.lifting.bone_lengths import LIMBS
from pose3d.predict.agreement import SHARES, agree
from pose3d.predict.lifters import open_lifter
from pose3d.predict.lifting import Lift
from pose3d.predict.networks import open_network
from pose3d.predict.people import Frame
from pose3d.predict.settings import complete

VIEWS = 3  # of each body
WRONG = 0.25  # a median error above it is of a view that one of both got wrong altogether [m]
FARTHEST = 0.95  # of the guesses: those that are further apart than the others tell nothing of either
ROWS = [H36M_17.index(joint) for joint in LIMBS]
HIPS = [H36M_17.index(f"{side}_hip") for side in ("left", "right")]


def look(folders: Sequence[Path], people: int, seed: int) -> np.ndarray:
    """(N, 3, 17, 3) truth, lifter's and network's joints of Human3.6M's skeleton relative to the hips, camera axes."""
    network, lift = open_network(complete({}), stills=True), Lift(open_lifter("auto"), hypotheses=False)
    intrinsics = np.array([FOCAL, SIZE[0] / 2, SIZE[1] / 2])
    views = []
    for number, sight in enumerate(sights(folders, people, VIEWS, seed)):
        found = network.find(Frame(number // VIEWS, float(number), sight.image))
        if not found:
            continue
        best = max(found, key=lambda one: one.score)
        assert best.landmarks is not None
        motion = Motion(
            "view", np.zeros(1), np.array([1]), keypoints=best.keypoints[None, None].astype(np.float32),
            keypoint_skeleton=network.skeleton, landmarks=best.landmarks[None, None], size=SIZE,
        )  # fmt: skip
        lifted = lift(motion, intrinsics)
        both = [joints_of(made)[0, 0] for made in (lifted, agree(lifted, intrinsics, 1.0))]
        views.append(np.stack([sight.joints, *both]))
    seen = np.stack(views)
    return seen - seen[:, :, HIPS].mean(2, keepdims=True)


def nearest(seen: np.ndarray, kind: str) -> float:
    """The share of the network in a mean that is nearest to the truth, of (N, 3, 17, 3) `seen`: least squares."""
    rows = [H36M_17.index(joint) for joint in LIMBS if joint.endswith(kind)]
    truth, lifted, own = seen[:, :, rows].swapaxes(0, 1)
    off, apart = lifted - truth, own - lifted
    size = np.linalg.norm(apart, axis=-1)
    kept = size < np.quantile(size, FARTHEST)
    return float(-(off[kept] * apart[kept]).sum() / (apart[kept] ** 2).sum())


def main(arguments: Sequence[str] | None = None) -> None:
    """Look, and print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument("cmu", type=Path, nargs="+")
    parser.add_argument("--people", type=int, default=160)
    parser.add_argument("--seed", type=int, default=77)
    options = parser.parse_args(arguments)
    seen = look(options.cmu, options.people, options.seed)
    errors = np.linalg.norm(seen[:, 1:] - seen[:, :1], axis=-1)
    seen = seen[np.isfinite(seen).all((1, 2, 3)) & (np.median(errors, -1) < WRONG).all(-1)]
    print(f"{len(seen)} of {options.people * VIEWS} views; MPJPE and P-MPJPE of twelve limb joints [mm]")
    truth, lifted, own = torch.from_numpy(seen[:, :, ROWS]).double().transpose(0, 1)
    shares = torch.tensor([SHARES.get(joint.rpartition("_")[2], 0.5) for joint in LIMBS])[:, None]
    for name, found in (
        ("lifter", lifted), ("2D network", own), ("half of each", (lifted + own) / 2),
        ("SHARES", lifted + shares * (own - lifted)),
    ):  # fmt: skip
        print(
            f"{name:14}{1e3 * float(mpjpe(found, truth).mean()):8.1f}{1e3 * float(p_mpjpe(found, truth).mean()):8.1f}"
        )
    rng = np.random.default_rng(0)
    for kind in SHARES:
        again = [nearest(seen[rng.integers(len(seen), size=len(seen))], kind) for _ in range(50)]
        print(f"{kind:14}{nearest(seen, kind):8.2f} +- {np.std(again):.2f}")


if __name__ == "__main__":
    main()
