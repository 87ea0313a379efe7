"""A cache of what training crops are warped from: one uint8 square a person, in a memory-mapped file.

It fills itself while the first epoch runs, whichever worker comes first, so it can be interrupted and gone on with.
Decoding, most of the cost of a crop, is then over. A person who fits into the square is kept pixel for pixel; a
larger one is shrunk by averaging, which no longer equals what the plain path would cut out.
"""

from __future__ import annotations

import hashlib
import logging
import math
import shutil
from pathlib import Path

import cv2
import numpy as np

from anypose.bounds import check_made
from anypose.settings import Misuse
from pose2d.images.crops import CropRules
from pose2d.people import People

log = logging.getLogger(__name__)


class CropCache:
    """Implements `pose2d.images.crops.Patches`; every process and worker maps the same file.

    Args:
        folder: for the two files, which are named after their content.
        people: whom to cut out.
        rules: for the size of a crop in the image.
        size: S, the side of a square [px].
        widest: the largest factor on a crop's size; squares cover crops as large at any rotation.
    """

    def __init__(self, folder: Path, people: People, rules: CropRules, size: int, widest: float) -> None:
        self.people = people
        self.size = size
        centre, extent = rules.boxes(people.box_xyxy)
        # An even side at least: the middle of the square is then between pixels for every person.
        side = np.maximum(np.ceil(np.linalg.norm(extent, axis=1) * widest).astype(np.int64), size)
        self.side = side
        check_made(3.0 * float(side.max(initial=1)) ** 2, f"task.cache, a crop of {side.max(initial=1)} px a side,")
        self.corner = np.floor(centre - (side[:, None] - 1) / 2).astype(np.int64)
        scale = size / side
        shift = scale[:, None] * (0.5 - self.corner) - 0.5
        self.to_patch = np.zeros((len(people), 2, 3))
        self.to_patch[:, 0, 0] = self.to_patch[:, 1, 1] = scale
        self.to_patch[:, :, 2] = shift
        key = hashlib.sha256(repr((size, len(people))).encode())
        for column in (self.side, self.corner, people.image):
            key.update(np.ascontiguousarray(column).tobytes())
        for row in np.unique(people.image).tolist():
            key.update(people.images.name(row).encode())
        self.stem = folder / f"crops-{key.hexdigest()[:16]}"
        shape = (len(people), size, size, 3)
        folder.mkdir(parents=True, exist_ok=True)
        needed, free = math.prod(shape), shutil.disk_usage(folder).free
        if not self.stem.with_suffix(".pixels").exists() and needed > free:
            raise Misuse(
                f"task.cache={folder} needs {needed / 1e9:.1f} GB for {len(people)} people of {size}x{size} px and has "
                f"{free / 1e9:.1f} GB. Choose another folder, a smaller task.cache_size, or task.cache=null."
            )
        self.pixels = self._map(".pixels", shape)
        self.done = self._map(".done", (len(people),))
        log.info("task.cache: %s holds %d of %d people.", self.stem, int(self.done.sum()), len(people))

    def _map(self, suffix: str, shape: tuple[int, ...]) -> np.ndarray:
        path = self.stem.with_suffix(suffix)
        with path.open("ab"):  # creates it without emptying it
            pass
        if path.stat().st_size != math.prod(shape):
            with path.open("r+b") as file:
                file.truncate(math.prod(shape))  # zeros, which take no room until they are written
        return np.asarray(np.memmap(path, np.uint8, "r+", shape=shape))  # a plain view: memmap's own indexing is slow

    def patch(self, row: int) -> np.ndarray:
        if not self.done[row]:
            self.pixels[row] = self._make(row)
            self.done[row] = 1
        return self.pixels[row]

    def _make(self, row: int) -> np.ndarray:
        image = self.people.images.read(int(self.people.image[row]))
        side = int(self.side[row])
        square = np.zeros((side, side, 3), np.uint8)
        low = np.maximum(self.corner[row], 0)
        high = np.minimum(self.corner[row] + side, image.shape[1::-1])
        if (high > low).all():
            (left, top), (right, bottom) = low - self.corner[row], high - self.corner[row]
            square[top:bottom, left:right] = image[low[1] : high[1], low[0] : high[0]]
        if side == self.size:
            return square
        return cv2.resize(square, (self.size, self.size), interpolation=cv2.INTER_AREA)
