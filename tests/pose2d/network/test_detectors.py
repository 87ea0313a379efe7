"""Boxes of foreign detectors: made-up outputs with known answers, and RTMDet on real photographs."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from anypose.export.session import OnnxSession, Port
from pose2d.network.detectors import PersonDetector, decode_yolox, letterbox, preset_of, suppress


def port(name: str, shape: tuple[int | None, ...], dtype: str = "float32") -> Port:
    return Port(name, shape, np.dtype(dtype))


class Fake:
    """A session that remembers what it was shown and gives what it was told."""

    def __init__(self, given: dict[str, np.ndarray], size: tuple[int | None, int | None] = (320, 320), free=True):
        self.inputs = (port("input", (None, 3, *size)),)
        self.outputs = tuple(
            port(name, tuple(None if free else n for n in array.shape[:-1]) + array.shape[-1:], str(array.dtype))
            for name, array in given.items()
        )
        self.given = given
        self.seen: np.ndarray = np.zeros(0)

    def run(self, arrays):
        (self.seen,) = arrays.values()
        return self.given


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array([rows], np.float32)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("shape", [(480, 640), (1920, 1080), (50, 33), (320, 320), (7, 900)])
def test_a_point_in_the_letterbox_is_found_again_in_the_image(shape: tuple[int, int], centred: bool) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    frame, back = letterbox(image, (320, 416), centred)
    assert frame.shape == (320, 416, 3)
    inside = np.argwhere((frame == 0).all(axis=2))[:, ::-1]
    edges = np.array([inside.min(axis=0), inside.max(axis=0) + 1])
    np.testing.assert_allclose((edges + back[0]) * back[1], [[0, 0], shape[::-1]], atol=1e-9)
    margins = np.array([edges[0], [416, 320] - edges[1]])
    assert (np.abs(margins[0] - margins[1]) <= 1).all() if centred else (margins[0] == 0).all()


def test_boxes_come_back_in_image_pixels_cut_to_it_and_people_alone() -> None:
    given = {
        "dets": boxes([10, 20, 110, 120, 0.9], [0, 0, 50, 50, 0.8], [-20, 100, 400, 180, 0.7], [1, 1, 9, 9, 0.1]),
        "labels": np.array([[0, 2, 0, 0]]),
    }
    found, scores = PersonDetector(Fake(given), "rtmdet_x.onnx").find(np.zeros((320, 640, 3), np.uint8))
    np.testing.assert_allclose(found, [[20, 40, 220, 240], [0, 200, 640, 320]])
    np.testing.assert_allclose(scores, [0.9, 0.7])


def test_a_sixth_number_is_the_class_and_the_best_come_first() -> None:
    given = {"output0": boxes([10, 20, 110, 120, 0.6, 0], [5, 5, 60, 60, 0.8, 3], [30, 30, 90, 90, 0.7, 0])}
    detector = PersonDetector(Fake(given), "yolov8n.onnx")
    found, scores = detector.find(np.zeros((320, 320, 3), np.uint8))
    assert scores.tolist() == pytest.approx([0.7, 0.6])
    np.testing.assert_allclose(found[0], [30, 30, 90, 90])


def test_each_family_is_shown_its_own_pixels() -> None:
    image = np.zeros((320, 160, 3), np.uint8)
    image[..., 0] = 200  # red
    seen = {}
    for name in ("rtmdet.onnx", "yolox_s.onnx", "yolo11n.onnx"):
        session = Fake({"dets": boxes([0, 0, 9, 9, 0.1])})
        PersonDetector(session, name).find(image)
        seen[name] = session.seen[0]
    np.testing.assert_allclose(seen["rtmdet.onnx"][:, 0, 0], (np.array([0, 0, 200]) - [103.53, 116.28, 123.675]) / [
        57.375, 57.12, 58.395], rtol=1e-5)  # fmt: skip
    np.testing.assert_allclose(seen["yolox_s.onnx"][:, 0, 0], [0, 0, 200])
    np.testing.assert_allclose(seen["yolox_s.onnx"][:, 0, -1], [114] * 3)
    np.testing.assert_allclose(seen["yolo11n.onnx"][:, 0, 160], [200 / 255, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(seen["yolo11n.onnx"][:, 0, 0], [114 / 255] * 3, rtol=1e-5)


@pytest.mark.parametrize(("size", "strides"), [((320, 416), (8, 16, 32)), ((128, 128), (8, 16, 32, 64))])
def test_yolox_raw_output_is_decoded_cell_by_cell(size: tuple[int, int], strides: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    rows, wanted = [], []
    for stride in strides:
        for y in range(size[0] // stride):
            for x in range(size[1] // stride):
                dx, dy, w, h, there, *kinds = rng.random(8)
                rows.append([dx, dy, w, h, there, *kinds])
                middle = np.array([(x + dx) * stride, (y + dy) * stride])
                half = np.exp([w, h]) * stride / 2
                wanted.append([*(middle - half), *(middle + half), there * kinds[0]])
    np.testing.assert_allclose(decode_yolox(np.array(rows), size), wanted)


def test_raw_candidates_of_one_person_become_one_box() -> None:
    raw = np.zeros((1, 40 * 40 + 20 * 20 + 10 * 10, 85), np.float32)
    for row, score in ((40 * 20 + 20, 0.9), (40 * 20 + 21, 0.8), (40 * 2 + 5, 0.7)):
        raw[0, row] = [0.5, 0.5, np.log(8), np.log(12), score, 1, *[0] * 79]
    found, scores = PersonDetector(Fake({"output": raw}), "yolox_tiny.onnx").find(np.zeros((320, 320, 3), np.uint8))
    assert scores.tolist() == pytest.approx([0.9, 0.7])
    np.testing.assert_allclose(found[0], [164 - 32, 164 - 48, 164 + 32, 164 + 48], atol=1e-4)


def test_suppression_keeps_the_best_of_those_that_overlap() -> None:
    found = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [0, 0, 10, 4]], float)
    assert suppress(found, np.array([0.5, 0.9, 0.4, 0.3]), 0.45).tolist() == [1, 2, 3]


def test_what_is_no_number_is_left_out_counted_and_said_once(caplog) -> None:
    given = {"dets": boxes([0, 0, 90, 90, 0.9], [0, np.nan, 80, 80, 0.9], [0, 0, 9, 9, np.inf])}
    detector = PersonDetector(Fake(given), "rtmdet.onnx")
    found, _ = detector.find(np.zeros((320, 320, 3), np.uint8))
    assert (len(found), detector.nonfinite) == (1, 2)
    detector.find(np.zeros((320, 320, 3), np.uint8))
    assert caplog.messages == ["rtmdet.onnx: a box came out as NaN or infinite; those are left out."]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"dets": boxes([0.1, 0.1, 0.9, 0.9, 0.9])}, "boxes up to 0.9"),
        ({"dets": boxes([0, 0, 90, 90, 80.0])}, "scores up to 80"),
        ({"dets": boxes([0, 0, 90, 90, 0.9, 1, 2])}, "boxes of 7 numbers"),
    ],
)
def test_boxes_in_other_units_are_refused(given: dict[str, np.ndarray], reason: str) -> None:
    detector = PersonDetector(Fake(given), "rtmdet.onnx")
    with pytest.raises(ValueError, match=reason):
        detector.find(np.zeros((320, 320, 3), np.uint8))


@pytest.mark.parametrize(
    ("given", "free", "reason"),
    [
        ({"heatmaps": np.zeros((1, 17, 8, 8), np.float32)}, True, "heatmaps float32"),
        ({"output0": np.zeros((1, 84, 8400), np.float32)}, False, "nms=True"),
        ({"a": boxes([0] * 5), "b": boxes([0] * 5)}, True, "a float32 .*, b float32"),
        ({"dets": boxes([0] * 4)}, True, "dets float32"),
    ],
)
def test_a_network_that_finds_no_people_is_refused_by_what_it_gives(given, free: bool, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        PersonDetector(Fake(given, free=free), "rtmdet.onnx")


@pytest.mark.parametrize(
    "given",
    [
        {"dets": np.zeros((0, 7, 5), np.float32)},
        {"dets": np.zeros((2, 7, 5), np.float32)},
        {"dets": np.zeros((1, 7, 5), np.float32), "labels": np.zeros((1, 3), np.int64)},
    ],
)
def test_boxes_that_are_not_those_of_one_picture_are_refused(given: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="of one picture, found"):
        PersonDetector(Fake(given), "rtmdet.onnx").find(np.zeros((32, 32, 3), np.uint8))


def test_a_name_that_tells_nothing_asks_for_the_preset() -> None:
    with pytest.raises(ValueError, match=r"persons\.onnx.*boxes\.preset=rtmdet\|yolox\|ultralytics"):
        preset_of("a/rtmdet/persons.onnx", "auto")
    with pytest.raises(ValueError, match="got yolo9"):
        preset_of("persons.onnx", "yolo9")
    assert preset_of("persons.onnx", "yolox").normalization.channels == "bgr"


def test_a_size_that_cannot_be_is_refused() -> None:
    given = {"dets": boxes([0] * 5)}
    with pytest.raises(ValueError, match="takes 320x320"):
        PersonDetector(Fake(given), "rtmdet.onnx", size=(640, 640))
    with pytest.raises(ValueError, match="100 and 320"):
        PersonDetector(Fake(given, (None, None)), "rtmdet.onnx", size=(100, 320))
    assert PersonDetector(Fake(given, (None, None)), "rtmdet_nano.onnx").size == (320, 320)
    assert PersonDetector(Fake(given, (None, None)), "rtmdet_m.onnx").size == (640, 640)


def test_a_network_without_images_is_refused() -> None:
    session = SimpleNamespace(inputs=(port("2d_poses", (None, 16, 2)),), outputs=(port("dets", (1, None, 5)),))
    with pytest.raises(ValueError, match="2d_poses float32"):
        PersonDetector(session, "rtmdet.onnx")  # pyright: ignore[reportArgumentType]


def test_rtmdet_finds_the_people_of_real_photographs(real_data) -> None:
    root = real_data("coco_mini")
    network = real_data("video") / "rtmdet_nano_person.onnx"
    detector = PersonDetector(OnnxSession(network, threads=1), str(network))
    truth = json.loads((root / "annotations/person_keypoints_val2017.json").read_text(encoding="utf-8"))
    found = total = 0
    for image in truth["images"][:12]:
        people = [
            a["bbox"]
            for a in truth["annotations"]
            if a["image_id"] == image["id"] and not a["iscrowd"] and min(a["bbox"][2:]) > 60
        ]
        detected, _ = detector.find(cv2.imread(str(next(Path(root).rglob(image["file_name"]))))[..., ::-1])
        for x, y, w, h in people:
            total += 1
            low, high = np.maximum(detected[:, :2], [x, y]), np.minimum(detected[:, 2:], [x + w, y + h])
            shared = np.maximum(high - low, 0).prod(axis=1)
            union = w * h + (detected[:, 2:] - detected[:, :2]).prod(axis=1) - shared
            found += bool((shared / union > 0.5).any())
    assert total >= 10
    assert found >= 0.8 * total
