"""A person's own 2D networks: whose file they are in, and people followed through boxes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from anypose.skeleton import COCO_17
from pose3d.predict.finding import PeopleInPictures
from pose3d.predict.networks import TopDown, open_network
from pose3d.predict.people import Frame
from pose3d.predict.settings import complete
from pose3d.predict.stages import Stopwatch

SHAPE = np.stack([np.arange(-8, 9), np.arange(-8, 9) % 5 * 4 - 8], -1)  # of somebody of a crowd [px]
DOT = np.array([70.0, 40.0])  # where the picture is bright [px]


def picture() -> np.ndarray:
    """(96, 128, 3) black, with a soft red dot."""
    y, x = np.mgrid[:96, :128]
    image = np.zeros((96, 128, 3), np.uint8)
    image[..., 0] = 250 * np.exp(-((x - DOT[0]) ** 2 + (y - DOT[1]) ** 2) / 50)
    return image


def heatmaps_of_red(keypoints: int = 17, bias: float = 2.118 * 0.9 / 4.367) -> bytes:
    """An ONNX file whose heatmaps are as high as its picture is red."""
    onnx = pytest.importorskip("onnx", reason="NO ONNX: pip install 'anypose[export]'")
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    weight = np.tile([0.9 / 4.367, 0, 0], (keypoints, 1)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["image"], ["cells"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["cells", "weight", "bias"], ["maps"]),
    ]
    constants = [
        helper.make_tensor("weight", number, (keypoints, 3, 1, 1), weight.ravel()),
        helper.make_tensor("bias", number, (keypoints,), np.full(keypoints, bias)),
    ]
    ports = [
        [helper.make_tensor_value_info("image", number, (1, 3, 64, 48))],
        [helper.make_tensor_value_info("maps", number, (1, keypoints, 16, 12))],
    ]
    graph = helper.make_graph(nodes, "red", *ports, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return model.SerializeToString()


@pytest.mark.parametrize("suffix", [".onnx", ".om"])
def test_keypoints_come_from_exported_networks(tmp_path: Path, ais_bench: None, suffix: str) -> None:
    file = tmp_path / f"red{suffix}"
    file.write_bytes((b"compiled\n" if suffix == ".om" else b"") + heatmaps_of_red())
    settings = complete({"keypoints": str(file), "skeleton": "coco_17"})
    network = open_network(settings, stills=False)
    assert (network.name, network.skeleton) == (file.name, COCO_17)
    for t in range(3):  # of half a cell, first of the whole picture, then of the box around what was found
        (found,) = network.find(Frame(t, t / 30, picture()))
        assert found.keypoints[:, :2] == pytest.approx(np.tile(DOT, (17, 1)), abs=6 if t == 0 else 1.5)
        assert found.keypoints[:, 2].min() > 0.5


def test_what_the_keypoints_are_is_asked_for_and_compared(tmp_path: Path) -> None:
    file = tmp_path / "red.onnx"
    file.write_bytes(heatmaps_of_red())
    for given, sentence in {
        None: r"red.onnx gives 17 keypoints and does not say which. Say it: skeleton=coco_17",
        "halpe_26": r"skeleton=halpe_26 has 26 keypoints, .*red.onnx gives 17",
    }.items():
        with pytest.raises(ValueError, match=sentence):
            open_network(complete({"keypoints": str(file), "skeleton": given}), stills=False)
    with pytest.raises(FileNotFoundError, match=r"keypoints.weights=gone.onnx does not exist"):
        open_network(complete({"keypoints": "gone.onnx"}), stills=False)


class Crowd:
    """People at known places: finds them in boxes that hold their middle, and detects all of them."""

    def __init__(self, *middles: tuple[float, float]) -> None:
        self.middles, self.detected = [np.array(middle) for middle in middles], 0

    def find(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points, scores = [], []
        for low, high in zip(boxes[:, :2], boxes[:, 2:], strict=True):
            inside = [m for m in self.middles if (m >= low).all() and (m <= high).all()]
            near = min(inside, key=lambda m: float(np.abs(m - (low + high) / 2).sum()), default=None)
            points.append(np.full((17, 2), np.nan) if near is None else near + SHAPE)
            scores.append(np.full(17, np.nan if near is None else 0.9))
        return np.array(points), np.array(scores)

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.detected += 1
        boxes = [[*(m - 12), *(m + 12)] for m in self.middles]
        return np.array(boxes).reshape(-1, 4), np.ones(len(boxes))


def test_people_are_followed_in_boxes_and_new_ones_are_looked_for_now_and_then() -> None:
    crowd, image = Crowd((30, 30), (90, 60)), np.zeros((96, 128, 3), np.uint8)
    network = TopDown(crowd.find, COCO_17, "crowd", crowd.detect, every=0.25)
    for t in range(10):
        crowd.middles[0] = np.array([30.0 + t, 30])
        if t == 3:
            crowd.middles.append(np.array([60.0, 80]))
        assert len(network.find(Frame(t, t / 10, image))) == (2 if t < 3 else 3)
    assert crowd.detected == 4  # at 0, 0.3, 0.6 and 0.9 s: each time with somebody known
    crowd.middles = []
    assert network.find(Frame(10, 1.0, image)) == []


def test_without_a_detector_the_whole_picture_is_one_person() -> None:
    crowd, image = Crowd((30, 30), (90, 60)), np.zeros((96, 128, 3), np.uint8)
    network = TopDown(crowd.find, COCO_17, "crowd", None, every=0.25)
    assert [len(network.find(Frame(t, t / 10, image))) for t in range(3)] == [1, 1, 1]


def test_what_came_out_as_no_number_is_counted_among_the_warnings(tmp_path: Path) -> None:
    file = tmp_path / "red.onnx"
    file.write_bytes(heatmaps_of_red(bias=float("nan")))
    network = open_network(complete({"keypoints": str(file), "skeleton": "coco_17"}), stills=False)
    with ExitStack() as stack:
        source: Any = SimpleNamespace(name="s", live=False, warnings=["cut off"])
        people = PeopleInPictures(source, network, Stopwatch(), stack, pictures=False)
        assert people.warnings == ["cut off"]
        assert network.find(Frame(0, 0.0, picture())) == []
        assert people.warnings == ["cut off", f"{file} gave 17 keypoints that are NaN or infinite, taken as not found"]
