"""Images in files: all there, as large as annotated, the right way up."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pose2d.images.image_files import ImageFiles


def photograph(path: Path, orientation: int = 1, size: tuple[int, int] = (40, 30)) -> None:
    """A picture, `size` its width and height as stored; its first row is white, more so on the left."""
    exif = Image.Exif()
    exif[274] = orientation
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:4], pixels[4:12, :8] = 255, 255
    Image.fromarray(pixels).save(path, exif=exif)


def files(folder: Path, height: int, width: int, orientation: str = "stored", **settings) -> ImageFiles:
    return ImageFiles(folder, ["a.jpg"], np.array([[height, width]]), orientation, **settings)


def test_missing_images_are_counted_and_named(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "1.jpg").write_bytes(b"")
    images = ImageFiles(tmp_path, ["sub/1.jpg", "sub/2.jpg", "other/3.jpg", "4.jpg"])
    images.require(np.array([0]))
    with pytest.raises(
        FileNotFoundError, match=re.escape("lacks 2 of the 3 images with people in them: sub/2.jpg, 4.jpg.")
    ):
        images.require(np.array([0, 1, 3]))


@pytest.mark.parametrize("orientation", ["auto", "stored", "upright"])
def test_an_upright_picture_is_read_as_it_is(tmp_path, orientation: str):
    photograph(tmp_path / "a.jpg")
    assert files(tmp_path, 30, 40, orientation).read(0).shape == (30, 40, 3)


@pytest.mark.parametrize(("size", "white"), [((30, 40), (0, 20)), ((40, 30), (20, -1))])
def test_the_annotated_size_tells_which_way_up_a_sideways_picture_is_meant(tmp_path, size, white):
    photograph(tmp_path / "a.jpg", 6)  # lies on its side: shown, its first row is the last column
    images = files(tmp_path, *size, "auto")
    images.require(np.array([0]))
    pixels = images.read(0)
    assert pixels.shape == (*size, 3)
    assert pixels[white].min() > 200
    assert images.read(0, 2).shape == (size[0] // 2, size[1] // 2, 3)


@pytest.mark.parametrize(("asked", "size", "other"), [("stored", (40, 30), "upright"), ("upright", (30, 40), "stored")])
def test_the_other_way_up_is_named_before_the_first_step(tmp_path, asked: str, size, other: str):
    photograph(tmp_path / "a.jpg", 8)
    words = (
        rf"a.jpg is 40x30 px, its annotations are for {size[1]}x{size[0]}.*orientation 8\): dataset.orientation={other}"
    )
    with pytest.raises(ValueError, match=words):
        files(tmp_path, *size, asked).require(np.array([0]))
    assert files(tmp_path, *size, other).read(0).shape == (*size, 3)


@pytest.mark.parametrize(("orientation", "size"), [(3, (40, 30)), (6, (30, 30)), (2, (40, 30))])
def test_where_the_size_does_not_tell_the_user_is_asked(tmp_path, orientation: int, size):
    photograph(tmp_path / "a.jpg", orientation, size)
    with pytest.raises(ValueError, match=rf"orientation {orientation}\).*dataset.orientation=stored or upright"):
        files(tmp_path, size[1], size[0], "auto").read(0)
    stored, upright = (files(tmp_path, size[1], size[0], way).read(0) for way in ("stored", "upright"))
    assert not np.array_equal(stored, upright)


def test_an_image_of_another_size_than_annotated_is_refused(tmp_path):
    photograph(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"a.jpg is 40x30 px, its annotations are for 80x60. Boxes"):
        files(tmp_path, 60, 80).require(np.array([0]))
    with pytest.raises(ValueError, match=r"annotations are for 80x60"):
        files(tmp_path, 60, 80).read(0)


def test_a_file_too_large_for_any_image_of_the_limit_is_not_read(tmp_path):
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(ValueError, match=r"has 50 MB, more than.*dataset.max_megapixels=2 can.*raise that to 7"):
        files(tmp_path, 30, 40, max_megapixels=2).read(0)


@pytest.mark.parametrize(
    ("settings", "words"), [({"max_megapixels": 0}, "got 0"), ({"orientation": "exif"}, "got exif")]
)
def test_settings_that_cannot_be_are_refused(tmp_path, settings, words: str):
    with pytest.raises(ValueError, match=words):
        ImageFiles(tmp_path, [], **settings)
