import numpy as np

from pose3d.kept_images import KeptImages
from tests.pose3d.capture_scene import GreyImages


class Counted(GreyImages):
    """Says what was read."""

    def __init__(self) -> None:
        super().__init__(3, 100, 100)
        self.read_so_far: list[tuple[int, int]] = []

    def read(self, index: int, reduce: int = 1) -> np.ndarray:
        self.read_so_far.append((index, reduce))
        return super().read(index, reduce)


def test_an_image_is_read_once_for_each_size_and_anew_where_there_is_no_room():
    source = Counted()
    images = KeptImages(source, 0.065)  # two images of 30,000 bytes, and not 7,500 more
    for index, reduce in [(0, 1), (1, 1), (0, 1), (1, 1), (2, 1), (2, 1), (0, 2), (0, 2)]:
        np.testing.assert_array_equal(images.read(index, reduce), GreyImages(3, 100, 100).read(index, reduce))
    assert source.read_so_far == [(0, 1), (1, 1), (2, 1), (2, 1), (0, 2), (0, 2)]
    assert (len(images), images.name(1)) == (3, "grey image 1")
    assert not images.read(0).flags.writeable
