"""Images in memory: read once, as far as there is room."""

import numpy as np

from pose2d.images.kept_images import KeptImages


class Counted:
    """Three grey images, each its own grey, that say what was read."""

    def __init__(self) -> None:
        self.read_so_far: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return 3

    def name(self, index: int) -> str:
        return f"grey image {index}"

    def read(self, index: int, reduce: int = 1) -> np.ndarray:
        self.read_so_far.append((index, reduce))
        return np.full((100 // reduce, 100 // reduce, 3), 50 * index, np.uint8)


def test_an_image_is_read_once_for_each_size_and_anew_where_there_is_no_room():
    source = Counted()
    images = KeptImages(source, 0.065)  # two images of 30,000 bytes, and not 7,500 more
    for index, reduce in [(0, 1), (1, 1), (0, 1), (1, 1), (2, 1), (2, 1), (0, 2), (0, 2)]:
        np.testing.assert_array_equal(images.read(index, reduce), Counted().read(index, reduce))
    assert source.read_so_far == [(0, 1), (1, 1), (2, 1), (2, 1), (0, 2), (0, 2)]
    assert (len(images), images.name(1)) == (3, "grey image 1")
    assert not images.read(0).flags.writeable
