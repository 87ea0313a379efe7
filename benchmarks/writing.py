"""How long it takes to turn bones and to write each format: processor time of one thread, chunks as predict makes them.

    python -m benchmarks.writing
    python -m benchmarks.writing --people 3 --chunk 30 --frames 20000

Motion is invented (`pose3d.synthesis`), pictures are none, so the film is not among them: encoding is all it does. The
memory is the most that the process held after the first thousand frames and at the end.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time

import numpy as np

from anypose.motion import Motion
from anypose.skeleton import H36M_17
from pose3d.predict.rig import Rig
from pose3d.predict.sinks import SINKS, open_sinks
from pose3d.synthesis.actions import ACTIONS
from pose3d.synthesis.body import draw_body
from pose3d.synthesis.performance import record

RATE = 30.0
SKIPPED = ("mp4", "coco")  # needs pictures; has other keypoints


def invent(frames: int, people: int) -> np.ndarray:
    """(T, P, 17, 3) float32 people walking about [m]; repeated after a minute."""
    walks = [
        record(ACTIONS["Walking"], draw_body(rng, 0.04), rng, RATE, min(frames, 1800))
        for rng in map(np.random.default_rng, range(people))
    ]
    return np.resize(np.stack(walks, 1), (frames, people, 17, 3))


def measure(frames: int, people: int, chunk: int) -> tuple[dict[str, float], list[int]]:
    """Seconds of turning and of each format, and the memory early and at the end [KiB]."""
    world = invent(frames, people)
    camera = np.stack([world[..., 0], 1 - world[..., 2], world[..., 1] + 6], -1)
    keypoints = np.concatenate([600 + 400 * camera[..., :2], np.ones_like(camera[..., :1])], -1)
    seconds: dict[str, float] = {}
    memory: list[int] = []
    rig = Rig()

    def timed(name: str, function, *arguments):
        start = time.process_time()
        result = function(*arguments)
        seconds[name] = seconds.get(name, 0.0) + time.process_time() - start
        return result

    names = [name for name in SINKS if name not in SKIPPED]
    with tempfile.TemporaryDirectory() as folder, open_sinks(folder, names, "walk") as sinks:
        for start in range(0, frames, chunk):
            part = slice(start, start + chunk)
            motion = Motion(
                "walk",
                np.arange(start, min(start + chunk, frames)) / RATE,
                np.arange(people),
                keypoints=keypoints[part],
                keypoint_skeleton=H36M_17,
                joints=camera[part],
                world=world[part],
                skeleton=H36M_17,
                size=(1200, 800),
            )
            motion = timed("turning", rig, motion)
            for name, sink in sinks.sinks.items():
                timed(name, sink.write, motion)
            if start <= 1000 < start + chunk or start + chunk >= frames:
                memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        for name, sink in sinks.sinks.items():
            timed(name, sink.close)
    return seconds, memory


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.writing", description=__doc__)
    parser.add_argument("--frames", type=int, default=6000)
    parser.add_argument("--people", type=int, default=1)
    parser.add_argument("--chunk", type=int, default=100, help="frames written at once")
    options = parser.parse_args()
    seconds, memory = measure(options.frames, options.people, options.chunk)
    print(f"{options.frames} frames, {options.people} people, chunks of {options.chunk}, processor time of one thread")
    for name, spent in seconds.items():
        print(f"{name:8} {1e6 * spent / options.frames:6.0f} us a frame {options.frames / spent:9.0f} frames/s")
    whole = sum(seconds.values())
    print(f"{'all':8} {1e6 * whole / options.frames:6.0f} us a frame {options.frames / whole:9.0f} frames/s")
    print(f"memory {memory[0] / 1024:.0f} MiB after a thousand frames, {memory[-1] / 1024:.0f} MiB at the end")


if __name__ == "__main__":
    main()
