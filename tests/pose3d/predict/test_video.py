"""Frames upright, with the times they have, from both decoders; and what is no video."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

from pose3d.predict.source import expand, holds_keypoints, natural, open_pictures
from pose3d.predict.video import open_video
from tests.pose3d.predict.clips import quarters, rotate, write_clip, write_sound

both = pytest.mark.parametrize("decoder", ["av", "opencv"])


def corners(image: np.ndarray) -> list[str]:
    """The colours of the quarters, row by row."""
    height, width = image.shape[:2]
    named = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "white": (230, 230, 230)}
    spots = [image[height * y // 4, width * x // 4].astype(int) for y in (1, 3) for x in (1, 3)]
    return [min(named, key=lambda name: np.abs(spot - named[name]).sum()) for spot in spots]


@both
@pytest.mark.parametrize(
    ("degrees", "upright"),
    [
        (0, ["red", "green", "blue", "white"]),
        (90, ["blue", "red", "white", "green"]),
        (180, ["white", "blue", "green", "red"]),
        (270, ["green", "white", "red", "blue"]),
    ],
)
def test_frames_are_upright_whatever_the_rotation_says(tmp_path, decoder, degrees, upright):
    clip = rotate(write_clip(tmp_path / "phone.mp4", [quarters()] * 3), degrees)
    video = open_video(str(clip), decoder)
    frames = list(video.frames())
    assert len(frames) == 3
    assert corners(frames[1].image) == upright
    assert video.size == ((48, 64) if degrees % 180 else (64, 48))
    assert frames[1].image.flags.c_contiguous


@both
def test_a_variable_rate_keeps_its_times(tmp_path, decoder):
    stamps = [0, 33, 66, 300, 333, 1000, 1001]
    clip = write_clip(tmp_path / "phone.mp4", [quarters()] * 7, stamps, Fraction(1, 1000))
    assert [frame.time for frame in open_video(str(clip), decoder).frames()] == pytest.approx(
        [stamp / 1000 for stamp in stamps], abs=1e-3
    )


@both
def test_ntsc_rates_are_not_rounded(tmp_path, decoder):
    clip = write_clip(tmp_path / "tv.mp4", [quarters()] * 90, [1001 * t for t in range(90)], Fraction(1, 30000))
    times = [frame.time for frame in open_video(str(clip), decoder).frames()]
    assert times[-1] == pytest.approx(89 * 1001 / 30000, abs=1e-4)


@both
@pytest.mark.parametrize(
    ("name", "codec", "pixels", "size"),
    [
        ("ten.mkv", "ffv1", "yuv420p10le", (64, 48)),
        ("ten.mp4", "libx265", "yuv420p10le", (64, 48)),
        ("odd.mkv", "ffv1", "yuv444p", (51, 37)),
        ("odd.avi", "mjpeg", "yuvj420p", (51, 37)),
    ],
)
def test_ten_bits_and_odd_sizes(tmp_path, decoder, name, codec, pixels, size):
    clip = write_clip(tmp_path / name, [quarters(*size)] * 4, codec=codec, pixels=pixels)
    frames = list(open_video(str(clip), decoder).frames())
    assert len(frames) == 4
    assert frames[3].image.shape == (size[1], size[0], 3)
    assert corners(frames[3].image) == ["red", "green", "blue", "white"]


def test_both_decoders_see_the_same(tmp_path):
    images = [np.roll(quarters(), 4 * t, axis=1) for t in range(12)]
    clip = str(rotate(write_clip(tmp_path / "a.mp4", images), 90))
    first, second = (list(open_video(clip, decoder).frames()) for decoder in ("av", "opencv"))
    assert [frame.time for frame in first] == pytest.approx([frame.time for frame in second])
    for a, b in zip(first, second, strict=True):
        assert np.abs(a.image.astype(int) - b.image).mean() < 2


@both
@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("walk.gif", "gif", "rgb8"), ("walk.webm", "libvpx-vp9", "yuv420p"), ("a:b.mp4", "libx264", "yuv420p")],
)
def test_other_kinds_of_files(tmp_path, decoder, name, codec, pixels):
    write_clip(tmp_path / "plain", [quarters()] * 5, codec=codec, pixels=pixels, form=name.rpartition(".")[2])
    (tmp_path / "plain").rename(tmp_path / name)
    frames = list(open_video(str(tmp_path / name), decoder).frames())
    assert len(frames) == 5
    assert corners(frames[2].image) == ["red", "green", "blue", "white"]


def test_a_cover_picture_is_not_the_film(tmp_path):
    with av.open(str(tmp_path / "film.mkv"), "w") as container:
        cover, film = container.add_stream("mjpeg", rate=1), container.add_stream("libx264", rate=30)
        cover.width, cover.height, cover.pix_fmt = 80, 80, "yuvj420p"
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        for stream, image, count in ((cover, quarters(80, 80), 1), (film, quarters(), 5)):
            for _ in range(count):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
    video = open_video(str(tmp_path / "film.mkv"), "av")
    assert len(list(video.frames())) == 5
    assert video.size == (64, 48)


@both
def test_a_film_that_starts_late_lacks_no_frame(tmp_path, decoder, caplog):
    stamps = [3000 + 40 * number for number in range(5)]
    clip = write_clip(tmp_path / "late.mkv", [quarters()] * 5, stamps, Fraction(1, 1000))
    video = open_video(str(clip), decoder)
    assert [frame.time for frame in video.frames()] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16], abs=1e-3)
    assert (video.warnings, caplog.text) == ([], "")


def test_what_opencv_cannot_decode_is_told_with_who_can(tmp_path):
    """Its builds lack AV1."""
    video = open_video(str(write_clip(tmp_path / "new.mp4", [quarters()] * 3)), "opencv")
    video.capture = SimpleNamespace(read=lambda: (False, None), release=lambda: None)
    with pytest.raises(
        ValueError, match=r"new.mp4 holds no frame that OpenCV can decode\. decoder=av knows more kinds"
    ):
        list(video.frames())


@both
def test_what_is_no_video_is_told(tmp_path, decoder):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0" * 500)
    with pytest.raises(ValueError, match=r"source=.*broken.mp4.*cannot be opened as video"):
        open_video(str(broken), decoder)
    sound = write_sound(tmp_path / "sound.wav")
    with pytest.raises(ValueError, match=r"sound.wav (holds no video, only audio|cannot be opened as video by OpenCV)"):
        open_video(str(sound), decoder)


@both
def test_a_video_cut_off_gives_what_there_is(tmp_path, decoder):
    rng = np.random.default_rng(0)
    clip = write_clip(tmp_path / "cut.mkv", [rng.integers(0, 255, (48, 64, 3)).astype(np.uint8) for _ in range(90)])
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    video = open_video(str(clip), decoder)
    assert 5 < len(list(video.frames())) < 90
    if decoder == "av":
        assert re.search(r"cut\.mkv says that it lasts 3\.\d s, and its last frame is at [12]\.\d s", video.warnings[0])


def test_a_film_on_a_server_is_no_stream(tmp_path):
    clip = write_clip(tmp_path / "film.mp4", [quarters()] * 5)
    video = open_video(str(clip), "av", live=True)  # as for a URL
    assert not video.live
    assert len(list(video.frames())) == 5


def test_a_size_that_changes_is_told(tmp_path):
    from pose3d.predict.video import SameSize

    same = SameSize("walk.mp4")
    same(quarters(), 0)
    with pytest.raises(ValueError, match=r"source=walk.mp4.*after 7 of 64x48 comes one of 32x32"):
        same(quarters(32, 32), 7)


@pytest.mark.parametrize("decoder", ["av", "opencv"])
def test_frames_of_a_file_that_change_size_are_told(tmp_path, decoder):
    first = write_clip(tmp_path / "a.ts", [quarters()] * 5)
    second = write_clip(tmp_path / "b.ts", [quarters(80, 64)] * 5)
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(ValueError, match=r"all frames must have one size.*of 64x48 comes one of 80x64"):
        list(open_video(str(both), decoder).frames())


def test_a_webcam_that_is_not_there_is_told():
    for source in ("97", "/dev/video97"):
        with pytest.raises(ValueError, match=r"source=97: there is no webcam number 97"):
            open_pictures(source, "auto", None)


def test_an_unknown_decoder_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"decoder must be one of auto, av, opencv, got 'mpeg'"):
        open_video(str(tmp_path / "a.mp4"), "mpeg")


def images(folder, count: int = 12):
    import cv2

    folder.mkdir()
    for number in range(count):
        cv2.imwrite(str(folder / f"frame{number}.png"), np.full((20, 30, 3), 10 * number, np.uint8))
    return folder


def test_a_folder_of_images_is_in_the_order_of_its_numbers(tmp_path):
    source = open_pictures(str(images(tmp_path / "walk")), "auto", 12.5)
    frames = list(source.frames())
    assert [int(frame.image.mean()) for frame in frames] == [10 * number for number in range(12)]
    assert frames[-1].time == pytest.approx(11 / 12.5)
    assert (source.name, source.size, source.count) == ("walk", (30, 20), 12)


def test_patterns_and_lists(tmp_path, monkeypatch):
    folder = images(tmp_path / "walk")
    for name in ("b2.mp4", "b10.mp4"):
        write_clip(tmp_path / name, [quarters()] * 2)
    monkeypatch.chdir(tmp_path)
    assert expand("*.mp4") == ["b2.mp4", "b10.mp4"]
    assert expand(["*.mp4", 0]) == ["b2.mp4", "b10.mp4", "0"]
    assert expand("walk/*.png") == ["walk/*.png"]
    assert len(list(open_pictures("walk/frame1*.png", "auto", None).frames())) == 3
    assert expand(str(folder)) == [str(folder)]
    with pytest.raises(FileNotFoundError, match=r"source=\*.mov fits no file"):
        expand("*.mov")
    with pytest.raises(ValueError, match=r"source=\[\] names nothing"):
        expand([])


def test_a_source_may_be_written_as_a_url_of_a_file():
    assert expand("file:///films/walk.mp4") == ["/films/walk.mp4"]
    with pytest.raises(ValueError, match=r"source= names nothing"):
        expand("")
    assert expand("file:///films/a%20walk.mp4") == ["/films/a walk.mp4"]
    assert expand("~/walk.mp4") == [str(Path.home() / "walk.mp4")]


def test_sources_that_are_none(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"x")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.MOV").touch()
    for name in ("walk.bvh", "sleap.h5", "walk.json.gz", "walk.HEIC"):
        (tmp_path / name).write_bytes(b"x")
    for name, sentence in {
        "walk.bvh": r"walk\.bvh is motion in 3D already, and a source is a video, images or keypoints in 2D",
        "sleap.h5": r"sleap\.h5 is no video, and keypoints are read from \.json, \.jsonl, \.csv, .* or folders of them",
        "walk.HEIC": r"walk\.HEIC is a photo of a kind that is not read here\. Save it as JPEG or PNG",
        "walk.json.gz": r"walk\.json\.gz is packed\. Unpack it first",
        "net.onnx": r"is a network, and a source is .*keypoints.weights=",
        "empty.mp4": r"is empty \(0 bytes\)",
        "nothing": r"must hold images, found nothing\.$",
        "films": r"must hold images, found a\.MOV\. For all of its films say 'source=.*/films/\*\.MOV'",
    }.items():
        with pytest.raises(ValueError, match=sentence):
            open_pictures(str(tmp_path / name), "auto", None)
    with pytest.raises(FileNotFoundError, match=r"source=.*gone.mp4 does not exist"):
        open_pictures(str(tmp_path / "gone.mp4"), "auto", None)


def test_keypoints_are_told_from_pictures(tmp_path):
    (tmp_path / "openpose").mkdir()
    (tmp_path / "openpose" / "a_000_keypoints.json").write_text("{}", encoding="utf-8")
    assert holds_keypoints(str(tmp_path / "openpose"))
    (tmp_path / "openpose" / "a_000_rendered.png").touch()
    assert holds_keypoints(str(tmp_path / "openpose"))
    for name in ("labels/walk_1.txt", "takeout/walk.jpg", "takeout/walk.jpg.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert holds_keypoints(str(tmp_path / "labels"))
    assert not holds_keypoints(str(tmp_path / "takeout"))
    assert holds_keypoints("walk.json")
    assert not holds_keypoints("walk.mp4")
    assert natural("frame10") > natural("frame9")


@both
def test_frames_larger_than_the_limit_are_not_decoded(tmp_path, decoder):
    clip = write_clip(tmp_path / "walk.mp4", [quarters()] * 3)
    with pytest.raises(ValueError, match=r"has frames of 64x48 px, .* set max_megapixels=1\."):
        open_pictures(str(clip), decoder, None, megapixels=0.003)
    assert len(list(open_pictures(str(clip), decoder, None, megapixels=0.0031).frames())) == 3


@both
def test_frames_larger_than_the_file_says_are_not_decoded_either(tmp_path, decoder):
    """A megabyte of PNG in an AVI that says 32x24 took two gigabytes."""
    with av.open(str(tmp_path / "lies.avi"), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "rgb24"
        for number in range(2):
            packet = av.Packet(cv2.imencode(".png", np.zeros((150, 200, 3), np.uint8))[1].tobytes())
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 25)
            container.mux(packet)
    with pytest.raises(ValueError, match=r"lies\.avi (has frames of 200x150 px|holds no frame that can be decoded)"):
        list(open_pictures(str(tmp_path / "lies.avi"), decoder, None, megapixels=0.01).frames())
