"""Foreign keypoint networks: people drawn where the answer is known, and MoveNet on real photographs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from anypose.export.session import OnnxSession, Port
from pose2d.images.image import Normalization
from pose2d.network.foreign import KeypointFinder, decode_movenet, decode_simcc, recognise
from pose2d.people import COCO_SIGMAS

RNG = np.random.default_rng(0)
K = 5


def port(name: str, shape: tuple[int | None, ...], dtype: str = "float32") -> Port:
    return Port(name, shape, np.dtype(dtype))


class Seer:
    """A stand-in for a network: K dots of different colours in the crop are its keypoints, read off the pixels.

    It answers in the form of `kind`, from the pixels it is really shown, so crop and way back are tried together.
    """

    def __init__(self, kind: str, size: tuple[int, int], batch: int | None = None, peak: float = 1.0) -> None:
        self.kind, self.size, self.peak = kind, size, peak
        height, width = size
        self.inputs = (
            (port("pixels", (1, height, width, 3), "uint8"),)
            if kind == "movenet"
            else (port("image", (batch, 3, height, width)),)
        )
        self.outputs = {
            "simcc": (port("simcc_y", (batch, K, 2 * height)), port("simcc_x", (batch, K, 2 * width))),
            "movenet": (port("out", (1, 1, 17, 3)),),
            "heatmaps": (port("maps", (batch, K, height // 4, width // 4)),),
        }[kind]
        self.calls: list[int] = []

    def run(self, arrays):
        (pixels,) = arrays.values()
        self.calls.append(len(pixels))
        if self.kind != "movenet":
            grey = pixels.transpose(0, 2, 3, 1) * [58.395, 57.12, 57.375] + [123.675, 116.28, 103.53]
        else:
            grey = pixels.astype(float)
        brightness = np.stack([self._dot(grey, k) for k in range(K)], axis=1)  # (B, K, H, W)
        total = brightness.sum(axis=(2, 3)).clip(1e-9)
        x = (brightness.sum(axis=2) * np.arange(self.size[1])).sum(axis=2) / total
        y = (brightness.sum(axis=3) * np.arange(self.size[0])).sum(axis=2) / total
        return self._answer(x, y)

    def _dot(self, grey: np.ndarray, k: int) -> np.ndarray:
        """How much of a pixel is keypoint k's: red is (k + 1) / 4 of blue, at the blurred edges of a dot, too."""
        red, blue = grey[..., 0], grey[..., 2]
        return np.where((np.abs(red / np.maximum(blue, 1) - (k + 1) / 4) < 0.1) & (blue > 20), blue, 0)

    def _answer(self, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
        height, width = self.size
        if self.kind == "simcc":
            return {
                "simcc_y": 0.9 * np.exp(-((np.arange(2 * height) / 2 - y[..., None]) ** 2)).astype(np.float32),
                "simcc_x": 0.8 * np.exp(-((np.arange(2 * width) / 2 - x[..., None]) ** 2)).astype(np.float32),
            }
        if self.kind == "movenet":
            found = np.zeros((len(x), 1, 17, 3), np.float32)
            found[:, 0, :K] = np.stack([y / height, x / width, np.full_like(x, 0.7)], axis=2)
            return {"out": found}
        rows, columns = np.arange(height // 4)[:, None], np.arange(width // 4)
        sigma = max(height, width) / 4 / 32
        squared = (columns - x[..., None, None] / 4) ** 2 + (rows - y[..., None, None] / 4) ** 2
        return {"maps": (self.peak * 0.6 * np.exp(-squared / 2 / sigma**2)).astype(np.float32)}


def scene(people: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image with people of K dots, their boxes and keypoints."""
    rng = np.random.default_rng(3)
    image = np.zeros((400, 300 * people, 3), np.uint8)
    points = np.zeros((people, K, 2))
    for person in range(people):
        for k in range(K):
            points[person, k] = [300 * person + 90 + 15 * k + rng.integers(6), rng.integers(120, 280)]
            x, y = points[person, k].astype(int)
            cv2.rectangle(image, (x - 4, y - 4), (x + 4, y + 4), (50 * (k + 1), 0, 200), -1)
    boxes = np.array([[300 * person + 70, 80, 300 * person + 190, 320] for person in range(people)], float)
    return image, boxes, points


@pytest.mark.parametrize(
    ("kind", "size", "off"), [("simcc", (256, 192), 0.6), ("movenet", (192, 192), 0.6), ("heatmaps", (256, 192), 0.9)]
)
def test_keypoints_come_back_where_they_are_in_the_image(kind: str, size: tuple[int, int], off: float) -> None:
    image, boxes, points = scene(3)
    finder = KeypointFinder(Seer(kind, size), f"{kind}.onnx")
    found, scores = finder.find(image, boxes)
    np.testing.assert_allclose(found[:, :K], points, atol=off)
    np.testing.assert_allclose(scores[:, :K], {"simcc": 0.8, "movenet": 0.7, "heatmaps": 0.6}[kind], atol=0.06)
    assert (finder.network.kind, finder.nonfinite) == (kind, 0)


def test_a_keypoint_that_was_not_found_is_nan_with_a_score_of_zero() -> None:
    image, boxes, _ = scene(1)
    found, scores = KeypointFinder(Seer("movenet", (192, 192)), "movenet.onnx").find(image, boxes)
    assert np.isnan(found[0, K:]).all()
    assert np.isfinite(found[0, :K]).all()
    assert (scores[0, K:] == 0).all()


@pytest.mark.parametrize(("batch", "calls"), [(1, [1, 1, 1]), (2, [2, 2]), (None, [3])])
def test_people_are_shown_as_many_at_once_as_the_network_takes(batch: int | None, calls: list[int]) -> None:
    image, boxes, points = scene(3)
    seer = Seer("simcc", (256, 192), batch)
    found, _ = KeypointFinder(seer, "rtmpose.onnx").find(image, boxes)
    assert seer.calls == calls
    np.testing.assert_allclose(found, points, atol=0.6)


def test_nobody_is_an_empty_answer() -> None:
    found, scores = KeypointFinder(Seer("simcc", (256, 192)), "x.onnx").find(
        np.zeros((9, 9, 3), np.uint8), np.zeros((0, 4))
    )
    assert (found.shape, scores.shape) == ((0, K, 2), (0, K))


@pytest.mark.parametrize("kind", ["simcc", "movenet", "heatmaps"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_no_keypoint_and_is_counted(kind: str, bad: float, caplog) -> None:
    image, boxes, points = scene(2)
    seer = Seer(kind, (192, 192))
    honest = seer._answer

    def spoiled(x, y):
        answer = honest(x, y)
        for array in answer.values():
            joints = array[:, 0] if kind == "movenet" else array
            joints[0, 2] = bad
        return answer

    seer._answer = spoiled
    finder = KeypointFinder(seer, "x.onnx")
    found, scores = finder.find(image, boxes)
    finder.find(image, boxes[:0])
    assert caplog.messages == ["x.onnx: a keypoint came out as NaN or infinite; those are taken as not found."]
    if kind == "movenet":
        assert finder.nonfinite in (1, 2)  # the stand-in answers one person at a time, the first each time
    else:
        assert finder.nonfinite == 1
        assert scores[1, 2] > 0.5
    assert np.isnan(found[0, 2]).all()
    assert scores[0, 2] == 0
    np.testing.assert_allclose(found[0, :2], points[0, :2], atol=0.9)


def test_heatmaps_of_another_height_ask_for_it() -> None:
    image, boxes, points = scene(1)
    with pytest.raises(ValueError, match=r"up to 1\d\d\.?\d* high.*keypoints\.peak=255"):
        KeypointFinder(Seer("heatmaps", (256, 192), peak=255), "mks.onnx").find(image, boxes)
    found, scores = KeypointFinder(Seer("heatmaps", (256, 192), peak=255), "mks.onnx", peak=255).find(image, boxes)
    np.testing.assert_allclose(found, points, atol=0.9)
    assert scores.max() == pytest.approx(0.6, abs=0.05)


def test_the_lower_of_simcc_peaks_is_the_score() -> None:
    x, y = np.zeros((1, 1, 384)), np.zeros((1, 1, 512))
    x[0, 0, 101], y[0, 0, 40] = 0.4, 7.0
    place, score = decode_simcc(x, y, (256, 192))
    assert (place.tolist(), score.tolist()) == ([[[50.5, 20.0]]], [[0.4]])
    with pytest.raises(ValueError, match=r"\(1, 1, 512\) and \(1, 1, 384\)"):
        decode_simcc(y, x, (256, 192))


def test_movenet_says_y_first() -> None:
    found = np.zeros((1, 1, 17, 3))
    found[0, 0, 3] = [0.25, 0.5, 0.9]
    place, score = decode_movenet(found, (192, 192))
    assert (place[0, 3].tolist(), score[0, 3]) == ([96, 48], 0.9)


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        ([port("x", (1, 17, 2))], [port("y", (1, 17, 3))], "x float32"),
        ([port("image", (1, 3, 256, 192))], [port("logits", (1, 1000))], "logits float32"),
        ([port("image", (1, 256, 256, 3), "int32")], [port("people", (1, 6, 56))], "MoveNet of one person"),
        ([port("image", (None, 3, None, None))], [port("m", (None, 17, None, None))], "leaves the size"),
        ([port("image", (1, 3, 256, 192))], [port("maps", (1, 17, 64, 64))], r"maps float32 \(1, 17, 64, 64\)"),
        ([port("image", (1, 3, 256, 192), "int64")], [port("maps", (1, 17, 64, 48))], "image int64"),
        ([], [port("maps", (1, 17, 64, 48))], "it has nothing"),
    ],
)
def test_a_network_of_another_kind_is_refused_by_what_it_is(inputs, outputs, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        recognise(inputs, outputs, "some.onnx")


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((0, K, 64, 48), "shown 1 images"), ((1, 0, 64, 48), "shown 1 images"), ((1, K, 9, 48), r"heatmaps \(9, 48\)")],
)
def test_answers_that_are_no_keypoints_are_refused(shape: tuple[int, ...], reason: str) -> None:
    seer = Seer("heatmaps", (256, 192))
    seer.outputs = (port("maps", (None, K, None, None)),)
    seer.run = lambda arrays: {"maps": np.zeros(shape, np.float32)}
    with pytest.raises(ValueError, match=reason):
        KeypointFinder(seer, "x.onnx").find(np.zeros((9, 9, 3), np.uint8), np.array([[0.0, 0, 9, 9]]))


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((None, 3, 100_000, 100_000), r"at once more than 2 GB"),
        ((10**6, 3, 64, 64), "at once more than 2 GB"),
        ((1, 3, 0, 64), "at least one image"),
        ((0, 3, 64, 64), "at least one image"),
    ],
)
def test_images_of_absurd_sizes_are_refused_before_one_is_made(shape: tuple[int | None, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        recognise([port("image", shape)], [port("maps", (None, K, None, None))], "x.onnx")


def test_what_the_file_does_not_say_stays_unsaid() -> None:
    simcc = recognise(Seer("simcc", (256, 192)).inputs, Seer("simcc", (256, 192)).outputs, "x")
    assert (simcc.outputs, simcc.skeleton) == (("simcc_x", "simcc_y"), None)
    assert recognise(Seer("movenet", (192, 192)).inputs, Seer("movenet", (192, 192)).outputs, "x").skeleton == "coco_17"


def test_grey_levels_are_not_normalised_twice() -> None:
    with pytest.raises(ValueError, match="grey levels as they are"):
        KeypointFinder(Seer("movenet", (192, 192)), "m.onnx", normalization=Normalization("rgb", (0,) * 3, (1,) * 3))


@pytest.mark.parametrize("box", [[0, 0, np.nan, 9], [5, 5, 5, 5]])
def test_a_box_without_extent_is_refused(box: list[float]) -> None:
    with pytest.raises(ValueError, match="with an extent"):
        KeypointFinder(Seer("simcc", (256, 192)), "x").find(np.zeros((9, 9, 3), np.uint8), np.array([box]))


@pytest.mark.parametrize("file", ["movenet_lightning_int8_v4_float.onnx", "movenet_lightning_int8_v4_qdq.onnx"])
def test_movenet_finds_the_keypoints_of_real_people(real_data, file: str) -> None:
    root, network = real_data("coco_mini"), real_data("video") / file
    finder = KeypointFinder(OnnxSession(network, threads=1), str(network))
    truth = json.loads((root / "annotations/person_keypoints_val2017.json").read_text(encoding="utf-8"))
    names = {image["id"]: image["file_name"] for image in truth["images"]}
    people = [a for a in truth["annotations"] if not a["iscrowd"] and a["num_keypoints"] > 10 and a["area"] > 8000]
    similar = []
    for person in people[:12]:
        image = cv2.imread(str(next(Path(root).rglob(names[person["image_id"]]))))[..., ::-1]
        x, y, w, h = person["bbox"]
        found, _ = finder.find(image, np.array([[x, y, x + w, y + h]]))
        points = np.array(person["keypoints"]).reshape(17, 3)
        squared = ((found[0] - points[:, :2]) ** 2).sum(axis=1)
        oks = np.exp(-squared / (2 * person["area"] * (2 * np.array(COCO_SIGMAS)) ** 2))
        similar.append(np.nan_to_num(oks)[points[:, 2] > 0].mean())
    assert len(similar) == 12
    assert np.mean(similar) > 0.7, similar
