"""What an image file says of itself before anything is decoded: kind, size, orientation, and whether it is whole.

Whoever made the file decides what a decoder will allocate, so nothing is decoded whose size is not read here first.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_MARKER = re.compile(
    rb"\xff[^\x00\xd0-\xd7\xff]"
)  # what ends the coded data of a JPEG; FF 00 and FF D0..D7 belong to it
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of a JPEG that hold its size
_MOST_SCANS = 500  # of a JPEG: each is a walk over the whole image
_ORIENTATION = 274
_SIZES = (256, 257, 277, 322, 323)  # a TIFF's tags of width, height, channels, and sides of its tiles


@dataclass(frozen=True)
class Header:
    """An image file before it is decoded.

    Attributes:
        kind: "JPEG", "PNG", ...
        height, width: as stored [px].
        orientation: EXIF's 1 to 8; 1 is upright.
        length: bytes that belong to the image; others may follow.
    """

    kind: str
    height: int
    width: int
    orientation: int
    length: int

    @property
    def sideways(self) -> bool:
        """Whether height and width change places when the image is turned upright."""
        return self.orientation >= 5


def read_header(data: bytes, name: str) -> Header:
    """The header of an encoded image.

    Raises:
        ValueError: for what is no image of a known kind, is cut off, or holds a check sum that does not fit.
    """
    for magic, reader in _READERS.items():
        if data.startswith(magic):
            try:
                header = reader(data, name)
            except (struct.error, IndexError) as error:
                raise _cut_off(data, name, reader.__name__.strip("_").upper()) from error
            if min(header.height, header.width) < 1:
                raise ValueError(f"{name} says that it is {header.width}x{header.height} px. It is damaged.")
            return header
    raise ValueError(
        f"{name} ({len(data)} bytes) cannot be decoded as an image: it is no JPEG, PNG, WebP, BMP, TIFF, GIF or PNM. "
        f"{_what_it_is(data)}"
    )


def _what_it_is(data: bytes) -> str:
    kinds = {
        "It is empty.": (b"",) if not data else (),
        "It is a video.": (b"\x1aE\xdf\xa3", b"OggS", b"\x00\x00\x01\xba", b"FLV"),
        "It is an archive or a checkpoint.": (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf"),
        "It is a web page.": (b"<!DOCTYPE", b"<html", b"<!doctype"),
        "It is a PDF.": (b"%PDF",),
    }
    for words, magics in kinds.items():
        if magics and data.startswith(magics):
            return words
    if data[4:8] == b"ftyp":
        still = data[8:12] in (b"heic", b"heix", b"mif1", b"avif")
        return "It is HEIC or AVIF; save it as JPEG." if still else "It is a video."
    return "It is a video." if data[:4] == b"RIFF" and data[8:12] == b"AVI " else "Fetch it again."


def _cut_off(data: bytes, name: str, kind: str) -> ValueError:
    return ValueError(f"{name} is a {kind} cut off after {len(data)} bytes (it has no end). Fetch it again.")


def _jpeg(data: bytes, name: str) -> Header:
    size, orientation, place, scans = None, 1, 2, 0
    while True:
        while data[place] == 0xFF and data[place + 1] == 0xFF:  # a marker may be padded
            place += 1
        marker, place = data[place + 1], place + 2
        if data[place - 2] != 0xFF:
            raise ValueError(f"{name} is a damaged JPEG: no marker at byte {place - 2}. Fetch it again.")
        if marker == 0xD9:
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            continue
        (length,) = struct.unpack_from(">H", data, place)
        if marker in _FRAMES:
            if size is not None:
                raise ValueError(f"{name} is a damaged JPEG: it says twice how large it is. Fetch it again.")
            size = struct.unpack_from(">HH", data, place + 3)
        elif marker == 0xE1 and data[place + 2 : place + 8] == b"Exif\0\0":
            orientation = _orientation(data[place + 8 : place + length])
        place += max(length, 2)
        if marker == 0xDA:
            scans += 1
            following = _MARKER.search(data, place)
            if following is None:
                raise _cut_off(data, name, "JPEG")
            place = following.start()
    if size is None or not 0 < scans <= _MOST_SCANS:
        raise ValueError(
            f"{name} is a damaged JPEG: it holds {scans} scans, 1 to {_MOST_SCANS} are read. Fetch it again."
        )
    return Header("JPEG", size[0], size[1], orientation, place)


def _png(data: bytes, name: str) -> Header:
    size, orientation, place = (0, 0), 1, 8
    while True:
        length, kind = struct.unpack_from(">I4s", data, place)
        body, place = memoryview(data)[place + 4 : place + 8 + length], place + 12 + length
        (checksum,) = struct.unpack_from(">I", data, place - 4)
        if kind[0] & 0x20 == 0 and zlib.crc32(body) != checksum:  # capitals: chunks that a picture cannot do without
            raise ValueError(f"{name} is a damaged PNG: its part {kind.decode('latin-1')} has a wrong check sum.")
        if kind == b"IHDR":
            size = struct.unpack_from(">II", body, 4)
        elif kind == b"eXIf":
            orientation = _orientation(bytes(body[4:]))
        elif kind == b"IEND":
            return Header("PNG", size[1], size[0], orientation, place)


def _webp(data: bytes, name: str) -> Header:
    if data[8:12] != b"WEBP":
        raise ValueError(f"{name} ({len(data)} bytes) cannot be decoded as an image. {_what_it_is(data)}")
    (length,) = struct.unpack_from("<I", data, 4)
    end, place, width, height, orientation = 8 + length, 12, 0, 0, 1
    if end > len(data):
        raise _cut_off(data, name, "WEBP")
    while place + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, place)
        body, place = place + 8, place + 8 + length + length % 2
        if kind == b"VP8X":
            sides = [int.from_bytes(data[body + at : body + at + 3], "little") + 1 for at in (4, 7)]
        elif kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", data, body + 1)
            sides = [(bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1]
        elif kind == b"VP8 ":
            sides = [side & 0x3FFF for side in struct.unpack_from("<HH", data, body + 6)]
        elif kind == b"EXIF":
            exif = data[body : body + length]
            orientation = _orientation(exif.removeprefix(b"Exif\0\0"))
            continue
        else:
            continue
        width, height = max(width, sides[0]), max(height, sides[1])
    return Header("WebP", height, width, orientation, end)


def _bmp(data: bytes, _name: str) -> Header:
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    return Header("BMP", abs(height), width, 1, len(data))


def _gif(data: bytes, _name: str) -> Header:
    width, height = struct.unpack_from("<HH", data, 6)
    return Header("GIF", height, width, 1, len(data))


def _pnm(data: bytes, name: str) -> Header:
    fields = re.match(rb"P[1-6](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})\s", data[:1024])
    if fields is None:
        raise ValueError(
            f"{name} ({len(data)} bytes) cannot be decoded as an image. It looks like a PNM without a size."
        )
    return Header("PNM", int(fields[2]), int(fields[1]), 1, len(data))


def _tiff(data: bytes, name: str) -> Header:
    listed = [tag for tag in _listed(data) if tag in _SIZES]
    if len(set(listed)) < len(listed):
        raise ValueError(f"{name} is a damaged TIFF: it says twice how large it is. Fetch it again.")
    tags = {tag: value for tag, value, _ in _tags(data)}
    if not {256, 257} <= tags.keys():
        raise ValueError(f"{name} is a damaged TIFF: it does not say how large it is. Fetch it again.")
    # A tile or a pixel of the decoder's may be larger than the image.
    height, width = max(tags[257], tags.get(323, 1)), max(tags[256], tags.get(322, 1))
    if tags.get(277, 1) > 4:
        raise ValueError(f"{name} has {tags[277]} channels, an image has 1 to 4.")
    return Header("TIFF", height, width, _sane(tags.get(_ORIENTATION, 1)), len(data))


def _orientation(exif: bytes) -> int:
    """Of an EXIF block, which is a TIFF; 1 where it does not say or cannot be read."""
    try:
        return _sane(next((value for tag, value, _ in _tags(exif) if tag == _ORIENTATION), 1))
    except struct.error:
        return 1


def _sane(orientation: int) -> int:
    return orientation if 1 <= orientation <= 8 else 1


def without_orientation(data: bytes, header: Header) -> bytes:
    """The file with a TIFF's orientation made upright; OpenCV turns TIFFs, and only them, whatever it is told."""
    if header.kind != "TIFF" or header.orientation == 1:
        return data
    changed = bytearray(data)
    for tag, _, place in _tags(data):
        if tag == _ORIENTATION:
            changed[place : place + 2] = struct.pack("<H" if data.startswith(b"II") else ">H", 1)
    return bytes(changed)


def _listed(data: bytes) -> list[int]:
    """Every tag of a TIFF's first directory, of whatever type."""
    order = "<" if data.startswith(b"II") else ">"
    (place,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, place)
    return [struct.unpack_from(f"{order}H", data, place + 2 + 12 * entry)[0] for entry in range(count)]


def _tags(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The whole numbers of a TIFF's first directory: tag, value and where it stands."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return
    (place,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, place)
    for entry in range(place + 2, place + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(f"{order}HHI", data, entry)
        if kind in (3, 4) and (number == 1 or tag == 277):
            yield tag, struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", data, entry + 8)[0], entry + 8


_READERS: dict[bytes, Callable[[bytes, str], Header]] = {
    b"\xff\xd8": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"RIFF": _webp,
    b"BM": _bmp,
    b"GIF8": _gif,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    **{b"P%d" % number: _pnm for number in range(1, 7)},
}
