"""Films: every frame at its time, keypoints where they are, whole after a crash."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from anypose.drawing.side_by_side import SIDES, Film, VideoSink, View, overlay, picture_size
from anypose.skeleton import COCO_17
from tests.anypose.formats.dancers import dancers, part

av = pytest.importorskip("av", reason="NO PYAV: pip install 'anypose[video]'")


def decode(path):
    with av.open(str(path)) as film:
        frames = list(film.decode(video=0))
        return [float(frame.pts * frame.time_base) for frame in frames], [
            frame.to_ndarray(format="rgb24") for frame in frames
        ]


def movie(frames, size=(480, 640)):
    return [np.full((*size, 3), (20 * t % 250, 90, 160), np.uint8) for t in range(frames)]


def test_every_frame_has_its_own_time_and_its_picture(tmp_path) -> None:
    times = 5 + np.cumsum(np.random.default_rng(0).uniform(0.02, 0.06, 12))
    with VideoSink(tmp_path / "dance_3d.mp4") as sink:
        motion = dancers(people=2, times=times)
        motion.keypoints[:] = np.nan
        sink.write(part(motion, slice(0, 5)), movie(5))
        sink.write(part(motion, slice(5, 12)), movie(12)[5:])
    stamps, images = decode(sink.path)
    np.testing.assert_allclose(stamps, times - times[0], atol=1e-4)
    assert images[0].shape == (480, 640 + 480, 3)
    for image, picture in zip(images, movie(12), strict=True):
        np.testing.assert_allclose(image[200:300, 200:300].mean((0, 1)), picture[0, 0], atol=8)
        for colour in SIDES[1:]:
            assert (np.abs(image[:, 640:].astype(int) - colour).sum(-1) < 90).any()


def test_an_interrupted_film_plays(tmp_path) -> None:
    motion = dancers(frames=40)

    def write_until_interrupted() -> None:
        with VideoSink(tmp_path / "dance_3d.mp4") as sink:
            sink.write(part(motion, slice(0, 30)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_until_interrupted()
    assert len(decode(tmp_path / "dance_3d.mp4")[1]) == 30


def test_a_film_whose_process_died_plays_to_its_last_fragment(tmp_path) -> None:
    film = Film(tmp_path / "a.mp4", 64, 48, 10)
    for t in range(35):
        film.add(np.full((48, 64, 3), 7 * t, np.uint8), t / 10)
    (tmp_path / "left.mp4").write_bytes((tmp_path / "a.mp4").read_bytes())
    film.close()
    assert len(decode(tmp_path / "left.mp4")[1]) >= 10
    assert len(decode(tmp_path / "a.mp4")[1]) == 35


@pytest.mark.parametrize(
    ("size", "room"),
    [
        ((1920, 1080), (960, 540)),
        ((1080, 1920), (304, 540)),
        ((3000, 500), (960, 360)),
        ((640, 480), (640, 480)),
        ((320, 180), (640, 360)),
        ((641, 361), (642, 362)),
    ],
)
def test_the_left_half_has_the_pictures_shape(size, room) -> None:
    assert picture_size(size) == room


def test_keypoints_lie_on_the_picture_whatever_its_scale() -> None:
    motion = dancers(size=(640, 480))
    motion.keypoints[:] = np.nan
    shoulder, elbow = COCO_17.index("left_shoulder"), COCO_17.index("left_elbow")
    motion.keypoints[0, 0, shoulder], motion.keypoints[0, 0, elbow] = (160, 120, 1), (480, 120, 1)
    for picture in (None, np.zeros((480, 640, 3), np.uint8), np.zeros((240, 320, 3), np.uint8)):
        image = overlay(motion, 0, picture, (720, 540)).astype(int)
        assert (np.abs(image[135, 181:539] - SIDES[1]).sum(-1) < 30).all()
        assert (np.abs(image[:130] - SIDES[1]).sum(-1) > 100).all()


def test_everybody_is_in_the_window_and_up_is_up() -> None:
    motion = dancers(frames=30, people=3)
    view = View(200)
    pixels, _, _ = view.project(motion.world.astype(np.float64))
    assert ((pixels > 0) & (pixels < 200)).all()
    lifted = motion.world.astype(np.float64)
    lifted[..., 2] += 0.3
    both = View(200).project(np.concatenate([motion.world, lifted], 1).astype(np.float64))[0]
    assert (both[:, 3:, :, 1] < both[:, :3, :, 1]).all()


def test_without_pyav_it_says_what_to_install(tmp_path, monkeypatch) -> None:
    real = builtins.__import__

    def without_av(name, *rest):
        if name == "av":
            raise ImportError("No module named 'av'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(ImportError, match=r"Films need PyAV .*pip install 'anypose\[video\]'"):
        Film(tmp_path / "a.mp4", 64, 48, 10)


def test_a_film_of_nothing_is_refused(tmp_path) -> None:
    motion = dancers(size=None, world=None, joints=None, rotations=None, rest=None)
    with (
        pytest.raises(ValueError, match="a film shows keypoints of a picture of known size, or joints; found neither"),
        VideoSink(tmp_path / "a.mp4") as sink,
    ):
        sink.write(motion)


def test_several_people_are_named_over_their_heads_and_one_is_not() -> None:
    for people in (1, 2):
        motion = dancers(people=people, size=(640, 480))
        motion.keypoints[:, :, :, 0] = 100 + 300 * np.arange(people)[:, None] + np.arange(17)
        motion.keypoints[:, :, :, 1] = 200 + np.arange(17)
        image = overlay(motion, 0, np.full((480, 640, 3), 90, np.uint8), (640, 480)).astype(int)
        above = [np.abs(image[170:192, left : left + 14] - 90).sum() > 0 for left in (95, 395)]
        assert above == [people > 1, people > 1]
