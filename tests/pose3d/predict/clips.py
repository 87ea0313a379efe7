"""Small videos made for tests: any frame times, pixel formats, sizes and rotations."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

# Of the display matrix in an MP4's track header, 16.16 fixed point: what turns the stored picture upright.
MATRICES = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def quarters(width: int = 64, height: int = 48) -> np.ndarray:
    """(H, W, 3) red, green / blue, white."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (220, 30, 30)
    image[: height // 2, width // 2 :] = (30, 200, 30)
    image[height // 2 :, : width // 2] = (30, 30, 220)
    image[height // 2 :, width // 2 :] = (230, 230, 230)
    return image


def write_clip(
    path: Path,
    images: list[np.ndarray],
    stamps: list[int] | None = None,
    base: Fraction = Fraction(1, 30),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    form: str | None = None,
) -> Path:
    """A video of images, shown at `stamps` times `base` seconds."""
    with av.open(f"file:{path}", "w", format=form) as container:
        stream = container.add_stream(codec, rate=round(1 / base) if base < 1 else 30)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = base
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = (stamps or range(len(images)))[number], base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def rotate(path: Path, degrees: int) -> Path:
    """Write a rotation into the track header of an MP4, as phones do: nothing of the picture is touched."""
    content = bytearray(path.read_bytes())
    a, b, c, d = (int(value * 65536) for value in MATRICES[degrees])
    place = content.index(b"tkhd") + 4
    version = content[place]
    matrix = place + (52 if version else 40)
    values = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    assert int.from_bytes(content[matrix + 32 : matrix + 36], "big") == 1 << 30
    for i, value in enumerate(values):
        content[matrix + 4 * i : matrix + 4 * i + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(content)
    return path


def write_sound(path: Path) -> Path:
    """A second of silence and no video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
