"""Pictures as a source: the right way up, none that is too large."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pose3d.predict.source import open_pictures


def test_pictures_stand_upright_and_a_huge_one_is_named_with_the_key_that_lets_it_in(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    for number in range(2):
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / f"{number}.jpg", exif=exif)
    frames = list(open_pictures(str(tmp_path), "auto", None).frames())
    assert [frame.image.shape for frame in frames] == [(60, 40, 3)] * 2
    with pytest.raises(ValueError, match=r"0.jpg is a JPEG of 60x40 px.* set max_megapixels="):
        list(open_pictures(str(tmp_path), "auto", None, 0.001).frames())


@pytest.mark.parametrize("turned", [False, True])
def test_images_of_other_sizes_are_named_before_the_first_is_decoded(tmp_path, turned, monkeypatch):
    exif = Image.Exif()
    exif[274] = 6
    for number, size in enumerate([(60, 40), (60, 40), (40, 60)]):
        picture = Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8))
        picture.save(tmp_path / f"shot_{number + 8}.jpg", exif=exif if turned and number == 2 else Image.Exif())
    source = open_pictures(str(tmp_path), "auto", None)
    if turned:
        assert len(list(source.frames())) == 3
        assert source.size == (60, 40)
        return
    monkeypatch.setattr("pose2d.images.decoding.decode", lambda *_, **__: pytest.fail("decoded"))
    message = r"all images must have one size, and shot_10\.jpg is 40x60 where shot_8\.jpg is 60x40\. Scale them"
    with pytest.raises(ValueError, match=message):
        next(iter(source.frames()))
