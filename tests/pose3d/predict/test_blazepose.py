"""BlazePose's decoding, on stub networks whose answers are known; fetching, without a network."""

from __future__ import annotations

import hashlib
import zipfile

import numpy as np
import pytest

from pose3d.predict import fetch
from pose3d.predict.blazepose import CROP, DETECTED, BlazePose, Region, anchors, scored
from pose3d.predict.people import Frame


class Detector:
    """Finds people (hips, circle) [px of a W x H picture], each with a score."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.people: list[tuple] = []
        self.calls = 0

    def __call__(self, image):
        assert image.shape == (1, DETECTED, DETECTED, 3)
        assert image.dtype == np.float32
        assert image.min() >= -1
        assert image.max() <= 1
        self.calls += 1
        regressors, logits = np.zeros((1, 2254, 12), np.float32), np.full((1, 2254, 1), -9.0, np.float32)
        scale = DETECTED / max(self.width, self.height)
        border = (DETECTED - np.array([self.width, self.height]) * scale) / 2
        for number, (hips, circle) in enumerate(self.people):
            row = 700 + 40 * number
            for place, point in ((4, hips), (6, circle)):
                regressors[0, row, place : place + 2] = np.array(point) * scale + border - anchors()[row] * DETECTED
            logits[0, row] = 3
        return [regressors, logits]


class Landmarks:
    """Always sees the hips in the middle of the crop, the circle 100 px above, point k at (k, 2 k) px of the crop."""

    def __init__(self) -> None:
        self.score = 0.9
        self.crops: list[np.ndarray] = []

    def __call__(self, image):
        self.crops.append(image)
        points = np.zeros((39, 5), np.float32)
        points[:, :2] = np.arange(39)[:, None] * [1, 2]
        points[33, :2], points[34, :2] = (CROP / 2, CROP / 2), (CROP / 2, CROP / 2 - 100)
        points[:, 3:] = 2.0
        body = np.zeros((39, 3), np.float32)
        body[11] = (0.1, -0.5, 0.2)
        return [points.reshape(1, 195), body.reshape(1, 117), np.full((1, 1), self.score, np.float32)]


@pytest.fixture
def blaze() -> BlazePose:
    network = object.__new__(BlazePose)
    network.detector, network.landmarks, network.anchors = Detector(400, 200), Landmarks(), anchors()
    network.people, network.every, network.regions, network.looked = None, 0.5, [], -np.inf
    return network


def frame(time: float = 0.0) -> Frame:
    return Frame(0, time, np.zeros((200, 400, 3), np.uint8))


def test_the_anchors_are_two_a_cell_and_layer():
    assert anchors().shape == (2254, 2)
    assert anchors()[0] == pytest.approx([0.5 / 28, 0.5 / 28])
    assert anchors()[1568:1570] == pytest.approx(np.full((2, 2), 0.5 / 14))
    assert anchors()[-1] == pytest.approx([6.5 / 7, 6.5 / 7])


def test_detections_come_back_to_the_picture(blaze):
    blaze.detector.people = [((120, 110), (120, 60))]
    (region,) = blaze.look(frame().image)
    assert region.centre == pytest.approx([120, 110], abs=1e-3)
    assert region.side == pytest.approx(2 * 1.25 * 50, abs=1e-2)
    assert region.turn == pytest.approx(0, abs=1e-4)


def test_landmarks_come_back_to_the_picture_also_from_a_turned_crop(blaze):
    straight, _, score = Region(np.array([100.0, 100.0]), 128, 0.0).read(frame().image, blaze.landmarks)
    assert score == pytest.approx(0.9)
    assert straight[10, :2] == pytest.approx([100 - 64 + 5, 100 - 64 + 10])
    assert straight[33, :2] == pytest.approx([100, 100])
    turned, body, _ = Region(np.array([100.0, 100.0]), 128, np.pi / 2).read(frame().image, blaze.landmarks)
    assert body[11] == pytest.approx([0.5, 0.1, 0.2])
    assert turned[33, :2] == pytest.approx([100, 100])
    assert turned[34, :2] == pytest.approx([150, 100])  # what is up in the crop is to the right in the picture
    assert turned[0, 3] == pytest.approx(1 / (1 + np.exp(-2)))


def test_the_crop_shows_what_lies_in_the_region(blaze):
    image = np.zeros((200, 400, 3), np.uint8)
    image[95:105, 295:305] = 255
    Region(np.array([300.0, 100.0]), 64, 0.3).read(image, blaze.landmarks)
    crop = blaze.landmarks.crops[-1][0]
    assert crop[CROP // 2, CROP // 2].min() == 1
    assert crop[:80].max() == 0


def test_a_person_is_followed_without_the_detector_until_lost(blaze):
    blaze.detector.people = [((120, 110), (120, 60))]
    for number in range(10):
        assert len(blaze.find(frame(number / 30))) == 1
    assert blaze.detector.calls == 1
    blaze.landmarks.score = 0.1
    assert blaze.find(frame(0.34)) == []
    assert blaze.detector.calls == 2
    blaze.landmarks.score = 0.9
    assert len(blaze.find(frame(0.37))) == 1


def test_newcomers_are_looked_for_twice_a_second_and_nobody_is_found_twice(blaze):
    blaze.detector.people = [((120, 110), (120, 60))]
    blaze.find(frame(0.0))
    blaze.detector.people.append(((300, 110), (300, 60)))
    assert len(blaze.find(frame(0.3))) == 1
    assert len(blaze.find(frame(0.6))) == 2
    assert len(blaze.find(frame(1.2))) == 2


def test_hidden_points_are_kept_and_those_outside_are_not():
    points = np.array([[10, 20, 0, 0.9, 0.99], [10, 20, 0, 0.01, 0.97], [10, 20, 0, 0.9, 0.1]])
    assert scored(points)[:, 2].tolist() == [0.9, 0.1, 0]


def wheel(path, contents):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(f"mediapipe/modules/x/{name}", content)
    return path


def test_the_networks_are_taken_out_of_the_wheel_and_checked(tmp_path, monkeypatch):
    contents = {name: name.encode() * 100 for name in fetch.SHA256}
    monkeypatch.setattr(fetch, "SHA256", {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()})
    monkeypatch.setenv("ANYPOSE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match=r"anypose fetch blazepose"):
        fetch.blazepose_files()
    fetch.main(["blazepose", "--wheel", str(wheel(tmp_path / "a.whl", contents))])
    assert {path.read_bytes() for path in fetch.blazepose_files().values()} == set(contents.values())
    (tmp_path / "cache" / fetch.LANDMARKS).write_bytes(b"other")
    with pytest.raises(ValueError, match=r"pose_landmark_full.tflite must have sha256 .*, found .* \(5 bytes\)"):
        fetch.blazepose_files()


def test_another_wheel_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ANYPOSE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(SystemExit, match=r"pose_detection.tflite of a.whl must have sha256"):
        fetch.main(["blazepose", "--wheel", str(wheel(tmp_path / "a.whl", dict.fromkeys(fetch.SHA256, b"no")))])
    with pytest.raises(SystemExit, match=r"must hold pose_detection.tflite once, found it 0 times"):
        fetch.main(["blazepose", "--wheel", str(wheel(tmp_path / "b.whl", {}))])
    (tmp_path / "c.whl").write_bytes(b"no zip")
    with pytest.raises(SystemExit, match=r"it is no wheel"):
        fetch.main(["blazepose", "--wheel", str(tmp_path / "c.whl")])


def test_pip_that_fails_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "DOWNLOAD", ("--no-index", "--no-deps"))
    with pytest.raises(SystemExit, match=r"pip could not download mediapipe==0.10.21: .*--wheel FILE"):
        fetch.main(["blazepose"])
