"""From the bytes of an image file to pixels, or to a reason why not: too large, cut off, damaged, no image."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from pose2d.images.headers import Header, read_header, without_orientation

try:
    import cv2
except ImportError as error:
    raise ImportError("Images need OpenCV: pip install 'anypose[image]'.") from error

MEGAPIXELS = 120.0  # what is decoded unless more is asked for: a phone's largest photograph, 360 MB as pixels
_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_RGB = getattr(cv2, "IMREAD_COLOR_RGB", 0)  # OpenCV 4.11 and later decode to RGB at once
# What its decoders say of damage; of bytes too many before the end see `_is_padding`.
_DAMAGE = re.compile(
    r"Corrupt JPEG data: (?!\d+ extraneous).*|Premature end of JPEG.*|Inconsistent progress.*|.*TIFF.*"
)
_EXTRANEOUS = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes.*")


def check_size(header: Header, name: str, megapixels: float, setting: str) -> None:
    """Refuse an image larger than the limit, before it is decoded.

    Args:
        megapixels: the limit.
        setting: how the user raises it.
    """
    found = header.height * header.width / 1e6
    if found > megapixels:
        raise ValueError(
            f"{name} is a {header.kind} of {header.width}x{header.height} px, {found:.0f} megapixels; up to "
            f"{megapixels:g} are decoded. If it is meant to be so large, set {setting}={np.ceil(found):.0f}."
        )


def decode(
    encoded: bytes,
    name: str,
    reduce: int = 1,
    upright: bool = False,
    megapixels: float = MEGAPIXELS,
    setting: str = "dataset.max_megapixels",
    header: Header | None = None,
) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an encoded image; what follows the image in its file does not matter.

    Args:
        encoded: the file's bytes.
        name: what it is called in messages.
        reduce: 1, 2, 4 or 8: decode at a fraction of the size, (ceil(H / reduce), ceil(W / reduce), 3).
        upright: turned as EXIF's orientation says; otherwise as stored.
        megapixels, setting: see `check_size`.
        header: what `read_header` said of it, where it has been asked.

    Raises:
        ValueError: for what is no image, too large, cut off, or said to be damaged by its decoder.
    """
    header = header or read_header(encoded, name)
    check_size(header, name, megapixels, setting)
    flags = _REDUCED[reduce] | cv2.IMREAD_IGNORE_ORIENTATION
    if _RGB:
        flags = flags & ~cv2.IMREAD_COLOR | _RGB
    try:
        image, said = _overheard(
            lambda: cv2.imdecode(np.frombuffer(without_orientation(encoded, header), np.uint8), flags)
        )
    except cv2.error as error:
        raise ValueError(f"{name} cannot be decoded: {error}") from error
    damage = _DAMAGE.search(said)
    extraneous = _EXTRANEOUS.search(said)
    if damage is None and extraneous and not _is_padding(encoded, header.length, int(extraneous[1])):
        damage = extraneous
    if image is None or damage:
        reason = (
            damage[0].strip() if damage else said.strip().splitlines()[-1] if said.strip() else "it does not decode"
        )
        raise ValueError(f"{name} is a damaged {header.kind} ({len(encoded)} bytes): {reason}. Fetch it again.")
    image = image if _RGB else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return turned_upright(image, header.orientation) if upright else image


def turned_upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W, 3) or (W, H, 3) of a stored image with EXIF's orientation 1 to 8."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    # After that, what is left is mirrored: 2, 6, 7 left to right; 4, 8, 7 upside down; 3 both.
    across, down = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    return np.ascontiguousarray(image[:: -1 if down else 1, :: -1 if across else 1])


def _is_padding(encoded: bytes, end: int, count: int) -> bool:
    """Whether the bytes too many before a JPEG's end are one value again and again: some cameras fill up so."""
    return len(set(encoded[max(0, end - 2 - count) : end - 2])) <= 1


_listening = threading.Lock()
_scratch: tuple[int, int] | None = None  # process and descriptor: one inherited from its parent shares a position


def _overheard(decoding: Callable[[], Any]) -> tuple[Any, str]:
    """What a decoder gives and what it prints.

    That a file is damaged, libjpeg and libtiff say on the process's standard error and nowhere else; the picture comes
    grey or shifted from there on. So standard error is a file while they are at work. Words of others that got into it
    meanwhile are passed on.
    """
    global _scratch
    with _listening:
        if _scratch is None or _scratch[0] != os.getpid():
            if _scratch is not None:
                os.close(_scratch[1])
            with tempfile.TemporaryFile(buffering=0) as opened:
                _scratch = os.getpid(), os.dup(opened.fileno())  # open as long as the process, and nobody's to warn of
        file = _scratch[1]
        kept = os.dup(2)
        try:
            os.dup2(file, 2)
            result = decoding()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        if (size := os.fstat(file).st_size) == 0:
            return result, ""
        os.lseek(file, 0, os.SEEK_SET)
        said = os.read(file, size).decode(errors="replace")
        os.lseek(file, 0, os.SEEK_SET)
        os.ftruncate(file, 0)
    decoders = re.compile(r"JPEG|TIFF|libpng|imdecode|GIF|WebP|^\s*$")
    if others := [line for line in said.splitlines(keepends=True) if not decoders.search(line)]:
        os.write(2, "".join(others).encode())
    return result, said
