"""predict on real clips whose joints are known: the whole command, and each of its steps left out.

python -m benchmarks.real_people WILD VIDEO

WILD holds cam01.npz, ...: `joints` (T, 33, 3) in camera axes, `frames` of the video they belong to, `world`
(all, 33, 3) BlazePose's own joints; VIDEO holds pose2sim_single_cam01.mp4, ... Twelve limb joints, relative to the
middle of the hips.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from anypose.metrics import mpjpe, mpjve, n_mpjpe, p_mpjpe
from anypose.motion import Motion
from anypose.skeleton import BLAZEPOSE_33, Skeleton
from pose3d.predict import lifting, pipeline
from pose3d.predict.pipeline import Pipeline

LIMBS = [f"{s}_{j}" for s in ("left", "right") for j in ("hip", "knee", "foot", "shoulder", "elbow", "wrist")]
VARIANTS = {
    "no smoothing": {"smooth": "off"},
    "Savitzky-Golay": {"smooth": "savitzky_golay"},
    "one-euro, as live": {"smooth": "one_euro"},
    "sides as found": {"swaps": False},
    "feet free": {"hold_feet": False},
}


def centred(joints: np.ndarray, skeleton: Skeleton) -> torch.Tensor:
    """(T, 12, 3) the limb joints relative to the middle of the hips, in one frame after the other."""
    limbs = torch.from_numpy(joints[:, [skeleton.index(joint) for joint in LIMBS]]).double()
    return limbs - (limbs[:, :1] + limbs[:, 6:7]) / 2


def joints_of(motion: Motion) -> np.ndarray:
    """(T, P, J, 3) what was lifted [m]."""
    assert motion.joints is not None
    return motion.joints


def errors(found: torch.Tensor, truth: torch.Tensor) -> list[float]:
    """MPJPE, N-, P-MPJPE and MPJVE [mm]."""
    return [1e3 * float(metric(found, truth).mean()) for metric in (mpjpe, n_mpjpe, p_mpjpe, mpjve)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Score, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_people", description=__doc__)
    parser.add_argument("wild", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--lifter", default="auto", help="as predict's")
    options = parser.parse_args(arguments)
    settings_of_all = {"lifter": options.lifter}
    pipeline.open_lifter = lru_cache(pipeline.open_lifter)
    print(f"{'MPJPE / N / P / MPJVE [mm]':32}" + "cam01".ljust(32) + "cam03")
    rows: dict[str, list[list[float]]] = {}
    with TemporaryDirectory() as folder:
        for camera in ("cam01", "cam03"):
            known = np.load(options.wild / f"{camera}.npz")
            rows_of, truth = known["frames"], centred(known["joints"], BLAZEPOSE_33)

            def score(name: str, found: Any, skeleton: Any, at=rows_of, truth=truth) -> None:
                rows.setdefault(name, []).append(errors(centred(found[at], skeleton), truth))

            score("BlazePose's own", known["world"], BLAZEPOSE_33)
            whole = Pipeline(**settings_of_all)
            start, start_cpu = time.perf_counter(), time.process_time()
            motion = whole(options.video / f"pose2sim_single_{camera}.mp4")
            spent, spent_cpu = time.perf_counter() - start, time.process_time() - start_cpu
            main_one = int(np.isfinite(joints_of(motion)[..., 0, 0]).sum(0).argmax())
            score("the whole command", joints_of(motion)[:, main_one], motion.skeleton)
            stages = {name: round(1e3 * s / len(motion), 1) for name, s in whole.stopwatch.cpu_seconds.items()}
            spent, spent_cpu = (1e3 * seconds / len(motion) for seconds in (spent, spent_cpu))
            print(f"{camera}: {len(motion)} frames, {spent:.1f} ms each, {spent_cpu:.1f} ms of the processor, of which")
            print(f"  {stages}; {whole.ground.skate.report()}")
            raw = Pipeline(**settings_of_all, smooth="off", swaps=False)(
                options.video / f"pose2sim_single_{camera}.mp4"
            )
            file = Path(folder) / f"{camera}.npz"
            raw.save(file)
            for name, settings in VARIANTS.items():
                motion = Pipeline(**settings_of_all, **settings)(file)
                score(name, joints_of(motion)[:, main_one], motion.skeleton)
            turned = lifting.look_at
            lifting.look_at = lambda slopes: np.broadcast_to(np.eye(3), (*slopes.shape[:-1], 3, 3))
            motion = Pipeline(**settings_of_all)(file)
            lifting.look_at = turned
            score("people not turned to", joints_of(motion)[:, main_one], motion.skeleton)
    for name, cameras in rows.items():
        print(f"{name:32}" + "".join(" / ".join(f"{e:.1f}" for e in one).ljust(32) for one in cameras))


if __name__ == "__main__":
    main()
