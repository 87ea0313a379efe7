"""What a fitted body adds to the closed-form lifting of total_capture, on random bodies whose joints are known.

python -m benchmarks.bodies_captured [--people 12]

Everyone is seen once: keypoints and orientations of limbs as a network would give them, exact, or so many pixels and
degrees off (normal along each axis). Joints are relative to the neck, and the means are over people.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
import torch

from anypose.engine.run import environment
from anypose.metrics import mpjpe, n_mpjpe, p_mpjpe
from pose3d.body.captured import CAPTURE_20, CapturedBodies
from pose3d.body.people import random_bodies
from pose3d.capture.layout import BODY
from pose3d.capture.lifting import lift_perspective
from pose3d.synthesis.body import draw_body
from pose3d.synthesis.free_poses import draw_poses

LENS = np.array([400.0, 183.5, 183.5])  # focal length and centre of a picture of 368 px [px]
LENGTHS = np.array(BODY.limb_lengths)
STARTS, ENDS = (list(side) for side in zip(*BODY.limbs, strict=True))
WAYS = ((0.0, 0.0), (2.0, 10.0), (3.0, 30.0))  # [px], [degrees]
METRICS = {"mpjpe_mm": mpjpe, "n_mpjpe_mm": n_mpjpe, "p_mpjpe_mm": p_mpjpe}


def someone(rng: np.random.Generator) -> np.ndarray:
    """(20, 3) joints of a random body in a random pose, 2.5 to 5 m from the camera [m]."""
    joints = next(random_bodies(draw_poses(rng, draw_body(rng, 0.05), 1), rng, 1)).points(CAPTURE_20)[0]
    joints = joints - joints.mean(0) + [0.2, rng.uniform(2.5, 5), -0.1]
    return np.stack([joints[:, 0], -joints[:, 2], joints[:, 1]], -1)


def network(joints: np.ndarray, pixels: float, degrees: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Lifted joints (20, 3), keypoints (20, 2), scores (20,), orientations (23, 3), as `CapturedBodies` takes them."""
    keypoints = joints[:, :2] / joints[:, 2:] * LENS[0] + LENS[1:] + rng.normal(0, 1, (20, 2)) * pixels
    vectors = joints[ENDS] - joints[STARTS]
    vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    vectors = vectors + rng.normal(0, 1, vectors.shape) * np.radians(degrees)
    vectors = 0.7 * vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    points, towards, seen = (torch.from_numpy(array)[None] for array in (keypoints, vectors, np.ones(20, bool)))
    focal, centre = torch.from_numpy(LENS[:1]).expand(1, 2), torch.from_numpy(LENS[None, 1:])
    lifted = lift_perspective(BODY, points, towards, seen, torch.from_numpy(LENGTHS), focal, centre)[0].numpy()
    return [lifted, keypoints, np.full(20, 0.9), vectors]


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, and print a row for each way of seeing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bodies_captured", description=__doc__)
    parser.add_argument("--people", type=int, default=12)
    options = parser.parse_args(arguments)
    fit = CapturedBodies(LENGTHS)
    print(environment()["processor"])
    for pixels, degrees in WAYS:
        rng, rows, spent = np.random.default_rng(0), [], 0.0
        for _ in range(options.people):
            truth = someone(rng)
            lifted, keypoints, scores, vectors = network(truth, pixels, degrees, rng)
            start = time.process_time()
            fitted = fit(lifted, keypoints, scores, vectors, LENS)
            spent += time.process_time() - start
            if fitted is None:
                continue
            found = [torch.from_numpy(points - points[BODY.root])[None] for points in (lifted, fitted, truth)]
            rows.append([[float(metric(one, found[2]).mean()) for metric in METRICS.values()] for one in found[:2]])
        before, after = 1e3 * np.mean(rows, axis=0)
        parts = [f"{name} {a:.1f} -> {b:.1f}" for name, a, b in zip(METRICS, before, after, strict=True)]
        parts.append(f"{spent / len(rows):.2f} s each")
        print(f"{pixels:g} px, {degrees:g} degrees: {len(rows)} people, {', '.join(parts)}")


if __name__ == "__main__":
    main()
