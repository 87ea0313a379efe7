"""predict on real clips whose joints are known: the whole command, and each of its steps left out.

python -m benchmarks.real_people WILD VIDEO

WILD holds cam01.npz, ...: `joints` (T, 33, 3) in camera axes, `frames` of the video they belong to, `world`
(all, 33, 3) BlazePose's own joints; VIDEO holds pose2sim_single_cam01.mp4, ... Twelve limb joints, relative to the
middle of the hips.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anypose.metrics import mpjpe, mpjve, n_mpjpe, p_mpjpe
from anypose.motion import Motion
from anypose.skeleton import BLAZEPOSE_33, Skeleton
from pose3d.predict import pipeline
from pose3d.predict.finding import CHUNK, People
from pose3d.predict.pipeline import Pipeline
from pose3d.predict.windows import Seen

LIMBS = [f"{s}_{j}" for s in ("left", "right") for j in ("hip", "knee", "foot", "shoulder", "elbow", "wrist")]
VARIANTS = {
    "no smoothing": {"smooth": "off"},
    "Savitzky-Golay": {"smooth": "savitzky_golay"},
    "one-euro, later frames known": {"smooth": "one_euro"},
    "live, frame by frame": {"live": True},
    "live, no smoothing": {"live": True, "smooth": "off"},
    "sides as found": {"swaps": False},
    "feet free": {"hold_feet": False},
    "a rolled camera left as it is": {"level": False},
    "bones of any length": {"bones": False},
    "the lifter's joints alone": {"landmarks": 0.0},
    "the 2D network's joints alone": {"landmarks": 1.0},
    "none of the three": {"level": False, "landmarks": 0.0, "bones": False},
}


class Kept:
    """People of a source, found once and given again and again."""

    def __init__(self, people: People) -> None:
        self.people, self.seen = people, list[Seen]()
        self.live, self.chunk = people.live, people.chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self.people, name)

    def __iter__(self) -> Iterator[Seen]:
        if self.seen:
            yield from self.seen
            return
        for seen in self.people:
            self.seen.append(seen)
            yield seen


class Again(Pipeline):
    """A pipeline whose 2D network looks once, whatever is set for what follows it."""

    kept: Kept

    def people(self, source: Any, stack: ExitStack, pictures: bool) -> Any:
        if not hasattr(self, "kept"):
            self.kept = Kept(super().people(source, stack, pictures))
        self.kept.live = self.settings.live
        self.kept.chunk = 1 if self.kept.live else CHUNK
        return self.kept


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
    for camera in ("cam01", "cam03"):
        known = np.load(options.wild / f"{camera}.npz")
        rows_of, truth = known["frames"], centred(known["joints"], BLAZEPOSE_33)
        video = options.video / f"pose2sim_single_{camera}.mp4"

        def score(name: str, motion: Motion, at=rows_of, truth=truth) -> None:
            main_one = int(np.isfinite(joints_of(motion)[..., 0, 0]).sum(0).argmax())
            rows.setdefault(name, []).append(
                errors(centred(joints_of(motion)[at, main_one], motion.skeleton or BLAZEPOSE_33), truth)
            )

        own = errors(centred(known["world"][rows_of], BLAZEPOSE_33), truth)
        rows.setdefault("BlazePose's own", []).append(own)
        whole = Again(**settings_of_all)
        start, start_cpu = time.perf_counter(), time.process_time()
        motion = whole(video)
        spent, spent_cpu = time.perf_counter() - start, time.process_time() - start_cpu
        score("the whole command", motion)
        stages = {name: round(1e3 * s / len(motion), 1) for name, s in whole.stopwatch.cpu_seconds.items()}
        spent, spent_cpu = (1e3 * seconds / len(motion) for seconds in (spent, spent_cpu))
        print(f"{camera}: {len(motion)} frames, {spent:.1f} ms each, {spent_cpu:.1f} ms of the processor, of which")
        print(f"  {stages}; {whole.ground.skate.report()}")
        for name, settings in VARIANTS.items():
            other = Again(**settings_of_all, **settings)
            other.kept = whole.kept
            score(name, other(video))
    for name, cameras in rows.items():
        print(f"{name:32}" + "".join(" / ".join(f"{e:.1f}" for e in one).ljust(32) for one in cameras))


if __name__ == "__main__":
    main()
