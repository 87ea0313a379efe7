"""How fast a network runs, as ais_bench says it: the same call again and again.

    python -m anypose throughput --model videopose3d.onnx --loop 100
    python -m anypose throughput --model runs/videopose3d/.../best.pt --shape 2,6115,17,2

The vendor counts the frames that go in, padding and the mirrored copy included: 2 x 6115 / mean. Beside it stand the
poses that come out, each once, although two views went into it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anypose.engine.sentences import told
from anypose.export.session import Session, open_session
from anypose.settings import Misuse


@dataclass(frozen=True)
class Timing:
    """What was measured.

    Attributes:
        seconds: of each call.
        inputs: frames that go into one call.
        outputs: frames that one call gives a pose for; the second half of a batch is the mirror image of the first.
    """

    seconds: np.ndarray
    inputs: int
    outputs: int

    @property
    def mean_ms(self) -> float:
        return 1000 * float(self.seconds.mean())

    @property
    def input_rate(self) -> float:
        """Frames/s as the vendor counts them."""
        return 1000 * self.inputs / self.mean_ms

    @property
    def output_rate(self) -> float:
        """Poses/s."""
        return 1000 * self.outputs / self.mean_ms

    def __str__(self) -> str:
        ms = 1000 * self.seconds
        spread = f"min = {ms.min():.3f}, max = {ms.max():.3f}, mean = {ms.mean():.3f}, median = {np.median(ms):.3f}"
        return (
            f"compute_time (ms): {spread}, percentile(99%) = {np.percentile(ms, 99):.3f}, {len(ms)} calls\n"
            f"input frames: {self.inputs} a call, {self.input_rate:.0f} fps (the vendor's throughput)\n"
            f"poses: {self.outputs} a call, {self.output_rate:.0f} fps"
        )


def measure(session: Session, shape: Sequence[int] | None, loop: int, warmup: int) -> Timing:
    """Time `loop` calls on random input, after `warmup` calls that do not count.

    Args:
        session: a network with one input, batch and frames first.
        shape: of the input, where the network leaves some of it free.
        loop, warmup: calls.
    """
    if loop < 1:
        raise Misuse(f"--loop must be at least 1, got {loop}.")
    port, *others = session.inputs
    if others:
        raise Misuse(
            f"{session.runtime} runs a network with inputs {port.name}, {', '.join(other.name for other in others)}; "
            "only networks with one input are timed."
        )
    if shape is None:
        if None in port.shape:
            raise Misuse(f"Input {port.name} is {port.shape}: say how large it shall be with --shape 2,6115,17,2.")
        shape = [size for size in port.shape if size is not None]
    array = np.random.default_rng(0).standard_normal(shape, np.float32)
    for _ in range(warmup):
        session.run({port.name: array})
    seconds = []
    for _ in range(loop):
        start = time.perf_counter()
        outputs = session.run({port.name: array})
        seconds.append(time.perf_counter() - start)
    batch, frames = next(iter(outputs.values())).shape[:2]
    return Timing(np.array(seconds), shape[0] * shape[1], max(1, batch // 2) * frames)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Time a network.")
    parser.add_argument("--model", type=Path, required=True, help=".onnx, .om or a checkpoint")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, npu:0, ...")
    parser.add_argument("--loop", type=int, default=100, help="calls")
    parser.add_argument("--warmup-count", type=int, default=1, help="calls before them")
    parser.add_argument("--shape", help="of the input where the network leaves it free: 2,6115,17,2")
    given = parser.parse_args(arguments)
    shape = [int(size) for size in given.shape.split(",")] if given.shape else None
    session = open_session(given.model, given.device)
    print(session.runtime)
    print(measure(session, shape, given.loop, given.warmup_count))


if __name__ == "__main__":
    with told():
        main()
