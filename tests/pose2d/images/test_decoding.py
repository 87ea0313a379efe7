"""Bytes to pixels, or to a sentence that says why not: bombs, cut off and damaged files, orientation."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from pose2d.images.decoding import decode, turned_upright
from pose2d.images.headers import read_header


def picture(height: int = 96, width: int = 128, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(kind: str, image: np.ndarray | None = None, **settings) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture() if image is None else image).save(buffer, kind, **settings)
    return buffer.getvalue()


def png_of(height: int, width: int, rows: int = 0) -> bytes:
    """A PNG that says how large it is and holds a few rows of zeros, well packed."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes((3 * width + 1) * rows), 9))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


KINDS = ["JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF", "PPM"]


def test_images_are_rgb_and_reduced_by_averaging():
    image = np.zeros((41, 60, 3), np.uint8)
    image[:, :30] = (0, 0, 255)
    pixels = decode(encoded("JPEG", image), "a.jpg")
    assert pixels[20, 5].tolist() == pytest.approx([0, 0, 254], abs=3)
    assert decode(encoded("JPEG", image), "a.jpg", reduce=4).shape == (11, 15, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_its_size_and_decodes_to_what_another_library_reads(kind: str):
    data = encoded(kind)
    header = read_header(data, "a")
    assert (header.height, header.width, header.orientation) == (96, 128, 1)
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decode(data, "a").astype(int) - theirs).mean() < 1


@pytest.mark.parametrize("kind", ["L", "LA", "P", "RGBA", "1"])
def test_grey_transparent_and_indexed_pictures_are_read_as_colours(kind: str):
    buffer = io.BytesIO()
    Image.fromarray(picture()).convert(kind).save(buffer, "PNG")
    assert decode(buffer.getvalue(), "a.png").shape == (96, 128, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_an_image_does_not_matter(kind: str):
    """Phones append films, thumbnails and notes; none of them ends as the picture does."""
    data = encoded(kind)
    np.testing.assert_array_equal(decode(data + b"MotionPhoto" * 5000, "a"), decode(data, "a"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.03, 0.3, 0.7, 0.98])
def test_a_file_cut_off_anywhere_is_refused_by_name(kind: str, share: float):
    data = encoded(kind)
    cut = data[: int(len(data) * share)]
    with pytest.raises(ValueError, match=r"walk/007"):
        decode(cut, "walk/007")


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_cut_off_with_an_end_pasted_on_is_damaged(progressive: bool):
    data = encoded("JPEG", progressive=progressive)
    with pytest.raises(ValueError, match=r"007.jpg is a damaged JPEG \(\d+ bytes\)"):
        decode(data[: len(data) // 2] + b"\xff\xd9", "007.jpg")


def test_a_thumbnail_inside_a_cut_off_jpeg_is_not_its_end():
    exif = Image.Exif()
    exif[0x9286] = encoded("JPEG", picture(16, 16))
    data = encoded("JPEG", exif=exif)
    assert b"\xff\xd9" in data[:2000]
    with pytest.raises(ValueError, match=r"cut off after"):
        decode(data[:2400], "007.jpg")


def spoil(data: bytes, how: str) -> bytes:
    middle = int(len(data) * 0.6)
    rng = np.random.default_rng(1)
    return {
        "zeros": data[:middle] + bytes(512) + data[middle + 512 :],
        "noise": data[:middle] + rng.integers(0, 255, 300, np.uint8).tobytes() + data[middle + 300 :],
        "missing": data[:middle] + data[middle + 300 :],
        "ones": data[:middle] + b"\xff" * 300 + data[middle + 300 :],
    }[how]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("how", ["zeros", "noise", "missing", "ones"])
def test_a_file_damaged_in_the_middle_is_refused(kind: str, how: str):
    rng = np.random.default_rng(0)
    data = encoded(kind, rng.integers(0, 255, (128, 128, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"disk/007 is a (damaged|\w+ cut off)"):
        decode(spoil(data, how), "disk/007")


def test_one_wrong_bit_in_a_png_is_found_by_its_check_sum():
    data = bytearray(encoded("PNG"))
    data[len(data) // 2] ^= 4
    with pytest.raises(ValueError, match=r"a.png is a damaged PNG: its part IDAT has a wrong check sum"):
        decode(bytes(data), "a.png")


def test_a_damaged_note_in_a_png_is_no_damage_to_the_picture():
    data = encoded("PNG")
    note = struct.pack(">I4s", 5, b"tEXt") + b"a\0bcd" + b"\0\0\0\0"
    assert decode(data[:33] + note + data[33:], "a.png").shape == (96, 128, 3)


def test_zeros_that_fill_a_jpeg_up_before_its_end_are_no_damage():
    data = encoded("JPEG")
    filled = data[:-2] + bytes(37) + data[-2:]
    np.testing.assert_array_equal(decode(filled, "a.jpg"), decode(data, "a.jpg"))
    with pytest.raises(ValueError, match=r"\d+ extraneous bytes"):
        decode(data[:-2] + bytes(range(37)) + data[-2:], "a.jpg")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"hello", r"note \(5 bytes\) cannot be decoded.*Fetch it again"),
        (b"", r"note \(0 bytes\) cannot be decoded.*empty"),
        (b"\0\0\0\x20ftypisom" + bytes(40), "It is a video"),
        (b"\0\0\0\x20ftypheic" + bytes(40), "HEIC or AVIF; save it as JPEG"),
        (b"RIFF\0\0\0\0AVI LIST", "It is a video"),
        (b"PK\x03\x04" + bytes(40), "an archive or a checkpoint"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\xff\xd8" + bytes(40), "damaged JPEG"),
        (b"\xff\xd8\xff\xd9", "holds 0 scans"),
        (b"P6\nabc", "without a size"),
        (b"II*\0\x08\0\0\0\0\0", "does not say how large"),
        (b"BM" + bytes(60), "0x0 px"),
    ],
)
def test_what_is_no_image_is_told_for_what_it_is(data: bytes, words: str):
    with pytest.raises(ValueError, match=words):
        decode(data, "note")


def test_a_small_file_that_is_a_huge_picture_is_refused_before_it_takes_memory():
    bomb = png_of(26000, 26000, 26000 // 200)
    assert len(bomb) < 200_000
    tracemalloc.start()
    with pytest.raises(
        ValueError, match=r"b.png is a PNG of 26000x26000 px, 676 megapixels; up to 120.*megapixels=676"
    ):
        decode(bomb, "b.png")
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def huge(kind: str) -> bytes:
    """A file of the kind that says 60000x50000."""
    data = bytearray(encoded(kind, progressive=True) if kind == "JPEG" else encoded(kind))
    if kind == "JPEG":
        place = data.index(b"\xff\xc2") + 5
        data[place : place + 4] = struct.pack(">HH", 50000, 60000)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", 60000, -50000)
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", 60000, 50000)
    elif kind == "PPM":
        data = data.replace(b"128 96", b"60000 50000")
    elif kind == "TIFF":
        for tag, value in ((256, 60000), (257, 50000)):
            place = data.index(struct.pack("<H", tag), struct.unpack_from("<I", data, 4)[0])
            data[place + 8 : place + 12] = struct.pack("<I", value)
    elif kind == "WebP":
        canvas = (
            struct.pack("<4sI", b"VP8X", 10) + bytes(4) + (59999).to_bytes(3, "little") + (49999).to_bytes(3, "little")
        )
        data[12:12] = canvas
        data[4:8] = struct.pack("<I", len(data) - 8)
    return png_of(50000, 60000) if kind == "PNG" else bytes(data)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_measured_before_it_is_decoded(kind: str):
    with pytest.raises(ValueError, match=r"60000x50000 px, 3000 megapixels; up to 5 are decoded.*source.max=3000"):
        decode(huge(kind), "b", megapixels=5, setting="source.max")


def test_a_tiff_that_says_twice_how_large_it_is_is_refused():
    """libtiff keeps the first of two widths, and who reads them into a dictionary the last."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(buffer, "TIFF")
    data = buffer.getvalue()
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = [data[start + 2 + 12 * i : start + 14 + 12 * i] for i in range(count)]
    widths = [i for i, entry in enumerate(entries) if entry[:2] == struct.pack("<H", 256)]
    entries.insert(widths[0], struct.pack("<HHII", 256, 4, 1, 20000))
    twice = data[:4] + struct.pack("<I", len(data)) + data[8:] + struct.pack("<H", len(entries)) + b"".join(entries)
    with pytest.raises(ValueError, match="a is a damaged TIFF: it says twice how large it is"):
        decode(twice + bytes(4), "a", upright=True)


def test_blanks_without_a_size_take_no_time():
    start = time.process_time()
    with pytest.raises(ValueError, match="It looks like a PNM without a size"):
        read_header(b"P6" + b" " * 900 + b"x", "a")
    assert time.process_time() - start < 1


def test_the_limit_can_be_raised():
    data = encoded("PNG")
    with pytest.raises(ValueError, match=r"up to 0\.01 are"):
        decode(data, "a", megapixels=0.01)
    assert decode(data, "a", megapixels=0.0123).shape == (96, 128, 3)


def test_a_tiff_of_huge_tiles_or_many_channels_is_refused():
    data = bytearray(encoded("TIFF"))
    place = data.index(struct.pack("<H", 277), struct.unpack_from("<I", data, 4)[0])
    data[place + 8 : place + 10] = struct.pack("<H", 60000)
    with pytest.raises(ValueError, match="60000 channels"):
        decode(bytes(data), "a.tif")
    data[place : place + 12] = struct.pack("<HHII", 322, 4, 1, 3_000_000)
    with pytest.raises(ValueError, match="3000000x96"):
        decode(bytes(data), "a.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "TIFF"])
def test_a_photograph_is_turned_upright_as_another_library_does(kind: str, orientation: int):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(kind, exif=exif)
    assert read_header(data, "a").orientation == orientation
    theirs = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")).astype(int)
    ours = decode(data, "a", upright=True)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).mean() < 1
    assert decode(data, "a").shape == (96, 128, 3)
    np.testing.assert_array_equal(turned_upright(decode(data, "a"), orientation), ours)


def test_words_of_others_on_standard_error_are_passed_on(capfd, monkeypatch):
    import os

    real = cv2.imdecode

    def talkative(*given):
        os.write(2, b"epoch 3 of 7\n")
        return real(*given)

    monkeypatch.setattr(cv2, "imdecode", talkative)
    assert decode(encoded("JPEG"), "a.jpg").shape == (96, 128, 3)
    assert capfd.readouterr().err == "epoch 3 of 7\n"
