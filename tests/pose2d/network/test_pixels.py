"""Image networks with their normalisation inside: uint8 pixels in, the same heatmaps out."""

import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from anypose.export.network import Options
from anypose.export.om import Atc
from anypose.export.session import OnnxSession
from anypose.export.write import export_network
from pose2d.model.simplebaseline import SimpleBaseline
from pose2d.network.pixels import PixelTask
from pose2d.task.topdown2d import TopDown2D
from pose3d.dataset.synthetic_people import SyntheticPeople
from tests.anypose.export.small_tasks import lifting_task, videopose3d

ATC = Atc("Ascend310P3", None, False, [])


def values(repository, name):
    settings = OmegaConf.to_container(OmegaConf.load(repository / "conf" / f"{name}.yaml"))
    settings.pop("_target_")
    return settings


@pytest.fixture
def task(repository) -> TopDown2D:
    torch.manual_seed(0)
    model = SimpleBaseline(**values(repository, "model/simplebaseline") | {"depth": 18, "height": 64, "width": 64})
    return TopDown2D(model.eval(), **values(repository, "task/topdown2d") | {"channels": "bgr"})


def options(**changes) -> Options:
    settings = {"opset": 11, "dtype": "float32", "sizes": {"B": 2}, "dynamic": [], "conv2d": False, "streaming": False}
    return Options(**settings | changes)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_file_takes_pixels_and_gives_what_normalised_input_gives(task, tmp_path, repository, dtype):
    few = {"train_images": 1, "validation_images": 2, "bodies": 1, "height": 64, "width": 64}
    people = SyntheticPeople(**values(repository, "dataset/synthetic_people") | few)
    path = tmp_path / "net.onnx"
    export_network(PixelTask(task), path, "onnx", options(dtype=dtype), ATC, {}, people)
    session = OnnxSession(path)
    ((name, shape, kind),) = [(port.name, port.shape, port.dtype) for port in session.inputs]
    assert (name, shape, kind) == ("pixels", (2, 64, 64, 3), np.uint8)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with torch.no_grad():
        expected = task.model(task.normalization.apply(torch.from_numpy(pixels))).numpy()
    tolerance = {"float32": 1e-4, "float16": 3e-2}[dtype] * np.abs(expected).max()
    np.testing.assert_allclose(session.run({"pixels": pixels})["heatmaps"], expected, atol=tolerance)
    facts = json.loads((tmp_path / "net.onnx.json").read_text(encoding="utf-8"))
    assert "normalization" not in facts  # there is none left to do
    assert [line["data"] for line in facts["parity"]] == ["random", "real (synthetic_people)"]


@pytest.mark.slow
def test_the_chip_cannot_normalise_what_is_normalised_inside(task, tmp_path):
    both = Atc("Ascend310P3", None, True, [])
    with pytest.raises(ValueError, match=r"aipp=true lets the chip normalise images, and FromPixels reads none"):
        export_network(PixelTask(task), tmp_path / "net.om", "om", options(), both, {}, None)


def test_a_model_without_images_is_refused():
    with pytest.raises(ValueError, match=r"pixels=true .* VideoPose3D reads none. Leave it false"):
        PixelTask(lifting_task(videopose3d()))
