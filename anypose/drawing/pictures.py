"""Pictures kept as JPEG, as large as the film shows them: what is shown later must not fill the memory until then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np

WIDEST, HIGHEST = 960, 540  # of a picture that is kept, and of the film's left half [px]
QUALITY = 85


def room_of(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a picture of that size once it fits, even as films want them; it is never made larger."""
    scale = min(WIDEST / size[0], HIGHEST / size[1])
    return size if scale >= 1 else (max(2 * round(size[0] * scale / 2), 2), max(2 * round(size[1] * scale / 2), 2))


def compress(image: np.ndarray) -> bytes:
    """A picture (H, W, 3) uint8 RGB, made small and JPEG."""
    import cv2

    room = room_of((image.shape[1], image.shape[0]))
    while image.shape[1] >= 2 * room[0] and image.shape[0] >= 2 * room[1]:  # halves are the quick case of the next line
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    if room != (image.shape[1], image.shape[0]):
        image = cv2.resize(image, room, interpolation=cv2.INTER_LINEAR)
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return encoded.tobytes()


class KeptPictures(Sequence[np.ndarray]):
    """Pictures (H, W, 3) uint8 RGB that are decoded when they are looked at.

    Args:
        encoded: what `compress` gave.
        half: decode them at half their size, which takes a third of the time.
    """

    def __init__(self, encoded: Sequence[bytes], half: bool = False) -> None:
        self.encoded, self.half = encoded, half

    def __len__(self) -> int:
        return len(self.encoded)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> KeptPictures: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | KeptPictures:
        import cv2

        if isinstance(index, slice):
            return KeptPictures(self.encoded[index], self.half)
        how = cv2.IMREAD_REDUCED_COLOR_2 if self.half else cv2.IMREAD_COLOR
        image = cv2.imdecode(np.frombuffer(self.encoded[index], np.uint8), how)
        assert image is not None  # `compress` made it
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
