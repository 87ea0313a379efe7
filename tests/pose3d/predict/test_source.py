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
