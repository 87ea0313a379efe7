"""Pictures are kept small and are decoded when somebody looks at them."""

from __future__ import annotations

import numpy as np
import pytest

from anypose.drawing.pictures import KeptPictures, compress, room_of


@pytest.mark.parametrize(
    ("size", "room"),
    [((1920, 1080), (960, 540)), ((1080, 1920), (304, 540)), ((3000, 500), (960, 160)), ((641, 361), (641, 361))],
)
def test_a_picture_fits_the_film_and_keeps_its_shape(size, room):
    assert room_of(size) == room


def test_pictures_are_kept_small_and_decoded_when_looked_at():
    image = np.zeros((1080, 1920, 3), np.uint8)
    image[:, 960:] = (250, 20, 20)
    kept = KeptPictures([compress(image), compress(image[:50, :70])])
    assert kept[0].shape == (540, 960, 3)
    assert np.abs(kept[0][100, 700].astype(int) - (250, 20, 20)).max() < 12
    assert kept[1].shape == (50, 70, 3)
    assert len(kept[1:]) == 1
    half = KeptPictures(kept.encoded, half=True)
    assert half[0].shape == (270, 480, 3)
    assert np.abs(half[:1][0][50, 350].astype(int) - (250, 20, 20)).max() < 12
