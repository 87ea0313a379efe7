"""Images that stay in memory once they have been read: drawing or decoding them is then paid for once."""

from __future__ import annotations

import numpy as np

from anypose.bounds import memory
from anypose.settings import Misuse
from pose2d.people import Images


def check_kept(megabytes: float) -> None:
    """Refuse to keep more than the machine's memory.

    Raises:
        Misuse: naming the setting.
    """
    if megabytes * 1e6 > memory():
        raise Misuse(f"task.keep_images={megabytes:g} MB are more than the {memory() / 1e6:.0f} of this machine.")


class KeptImages:
    """Implements `pose2d.people.Images`: another source's images, each read once as long as there is room for it.

    Every worker keeps its own.

    Args:
        images: where the pixels come from.
        megabytes: how much is kept, in each process; images that find no room are read anew every time.
    """

    def __init__(self, images: Images, megabytes: float) -> None:
        self.images = images
        self.room = int(megabytes * 1e6)  # bytes left
        self.kept: dict[tuple[int, int], np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        """What the image is called in its own source."""
        return self.images.name(index)

    def read(self, index: int, reduce: int = 1) -> np.ndarray:
        """The pixels; what is kept cannot be written to."""
        image = self.kept.get((index, reduce))
        if image is None:
            image = self.images.read(index, reduce)
            if image.nbytes <= self.room:
                image.flags.writeable = False
                self.kept[index, reduce] = image
                self.room -= image.nbytes
        return image
