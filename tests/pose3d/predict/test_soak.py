"""A long source: memory stays flat however many frames there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose3d import Pipeline
from pose3d.predict.sinks import open_sinks
from tests.pose3d.predict.clips import write_clip

FRAMES, AT_LENGTH = 5_000, 20_000
SETTLED = 0.25  # of them
MOST = 2_700  # growth for each after those [bytes]


def resident() -> int:
    """Memory of this process [bytes]."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * 4096


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="memory is read from /proc")
def test_memory_is_flat_over_many_frames(tmp_path, network, at_length):
    count = AT_LENGTH if at_length else FRAMES
    pictures = [np.full((90, 160, 3), 60 + 2 * t, np.uint8) for t in range(64)]
    write_clip(tmp_path / "long.mp4", [pictures[t % 64] for t in range(count)])
    network.paths = [((-1.0, 5.0), (0.0, 0.0)), ((1.0, 6.0), (0.0, 0.0))]
    frames, memory = 0, []
    pipeline = Pipeline()
    with open_sinks(tmp_path / "out", ["npz", "csv", "json", "bvh", "trc", "c3d", "coco"], "long") as sinks:
        sinks.sinks.pop("coco")
        for motion, shown in pipeline.run(tmp_path / "long.mp4"):
            sinks.write(motion, shown)
            frames += len(motion)
            if frames > SETTLED * count:
                memory.append(resident())
    assert frames == count
    assert max(memory) - memory[0] < MOST * (1 - SETTLED) * count, (
        f"{memory[0] / 1e6:.0f} MB became {max(memory) / 1e6:.0f} MB"
    )
    seconds = pipeline.stopwatch.cpu_seconds["3D"]
    print(f"{memory[0] / 1e6:.0f} MB, at most {max(memory) / 1e6:.0f} MB; 3D {count / seconds:.0f} frames/s of a core")
