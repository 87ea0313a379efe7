"""The viewer: a motion, its keypoints and small pictures in one HTML file that opens from disk, without a network.

A long motion shows every n-th frame and every n-th picture so that a browser can hold it; the page says so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from anypose.drawing.pictures import KeptPictures
from anypose.drawing.viewer_page import Dress, write_page
from anypose.formats.renewed_file import RenewedFile
from anypose.formats.sink import Sink
from anypose.formats.spool import Spool
from anypose.motion import Motion

PICTURE_BYTES = 24 << 20  # of all its pictures
PICTURE_WIDTH = 480  # of the longer side [px]
QUALITY = 60  # of JPEG
FIELDS = ("keypoints", "joints", "world", "filled", "contacts", "hypotheses")


class ViewerSink(Sink):
    """`NAME.html`, written anew every few seconds and at the end.

    Attributes:
        mesh: makes everybody's skin, None to show bones alone; set before the first chunk.
    """

    suffix = ".html"
    shows = True
    mesh: Dress | None = None

    def _begin(self, motion: Motion) -> None:
        fields = FIELDS if self.mesh is None else (*FIELDS, "rotations")
        self._file, self._pictures = RenewedFile(self.path, fields, self._put), PictureFile(self.path.parent)

    def _add(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        if pictures is not None:
            self._pictures.add(motion.times, pictures)
        self._file.append(motion)
        self.files = self._file.files

    def _put(self, file: IO[bytes], spool: Spool) -> None:
        self.notes = write_page(file, spool, self._pictures, self.mesh)

    def close(self) -> None:
        """Write the last frames."""
        if self._first is not None:
            self._first = None
            try:
                self._file.close(last=self.frames > 0)  # or the disk was full before the first chunk
            finally:
                self._pictures.close()


class PictureFile:
    """Small JPEGs on disk: all of them while they fit, then every second, every fourth ...

    Attributes:
        times: of those that are kept [s].
        every: how many pictures one stands for.
    """

    def __init__(self, folder: Path, most_bytes: int = PICTURE_BYTES) -> None:
        self.every, self.most_bytes = 1, most_bytes
        self._seen = 0
        self._kept: list[tuple[int, float, int, int]] = []  # number, time, where, how long
        self._bytes = 0
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115

    def add(self, times: np.ndarray, pictures: Sequence[np.ndarray]) -> None:
        """Pictures (H, W, 3) uint8 RGB at these times."""
        if isinstance(pictures, KeptPictures) and len(pictures) and max(pictures[0].shape) >= 2 * PICTURE_WIDTH:
            pictures = KeptPictures(pictures.encoded, half=True)
        for place, stamp in enumerate(times.tolist()):
            if self._seen % self.every == 0:  # only these are looked at: pictures may be decoded by that
                data = small_jpeg(pictures[place])
                self._kept.append((self._seen, stamp, self._file.seek(0, 2), len(data)))
                self._file.write(data)
                self._bytes += len(data)
                while self._bytes > self.most_bytes and len(self._kept) > 1:
                    self.every *= 2
                    self._kept = [kept for kept in self._kept if kept[0] % self.every == 0]
                    self._bytes = sum(length for _, _, _, length in self._kept)
            self._seen += 1

    @property
    def times(self) -> np.ndarray:
        """(n,) float64 [s]."""
        return np.array([stamp for _, stamp, _, _ in self._kept], dtype=np.float64)

    def __iter__(self) -> Iterator[bytes]:
        for _, _, where, length in self._kept:
            self._file.seek(where)
            yield self._file.read(length)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def small_jpeg(picture: np.ndarray) -> bytes:
    """(H, W, 3) uint8 RGB as a small JPEG."""
    try:
        import cv2
    except ImportError as error:
        raise ImportError(f"Pictures in the viewer need OpenCV ({error}). pip install 'anypose[image]'") from error
    scale = min(1.0, PICTURE_WIDTH / max(picture.shape[:2]))
    if scale < 1:
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale > 0.5 else cv2.INTER_LINEAR)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"a picture of shape {picture.shape} cannot be made a JPEG.")
    return data.tobytes()
