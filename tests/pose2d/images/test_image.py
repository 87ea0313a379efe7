"""Reading, refusing and normalising images."""

import re
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from pose2d.images.image import IMAGENET_MEAN, IMAGENET_STD, FromPixels, Normalization


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_normalisation_takes_channels_in_the_networks_order(channels):
    pixels = torch.tensor([10.0, 20.0, 30.0]).expand(2, 4, 5, 3)
    out = Normalization(channels, (1.0, 2.0, 3.0), (2.0, 4.0, 8.0)).apply(pixels)
    first, last = (10.0, 30.0) if channels == "rgb" else (30.0, 10.0)
    assert out.shape == (2, 3, 4, 5)
    assert out[0, :, 0, 0].tolist() == [(first - 1) / 2, 18 / 4, (last - 3) / 8]


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_the_chips_preprocessing_equals_ours(channels):
    """Ascend's formula, (pixel - mean_chn - min_chn) * var_reci_chn after the channel swap, read from the file."""
    normalization = Normalization(channels, IMAGENET_MEAN, IMAGENET_STD)
    config = normalization.aipp(256, 192)
    values = dict(re.findall(r"(\w+): (\S+)", config))
    assert (values["src_image_size_h"], values["src_image_size_w"]) == ("256", "192")
    pixels = np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    swapped = pixels[..., ::-1] if values["rbuv_swap_switch"] == "true" else pixels
    chip = np.stack(
        [
            (swapped[..., c] - int(values[f"mean_chn_{c}"]) - float(values[f"min_chn_{c}"]))
            * float(values[f"var_reci_chn_{c}"])
            for c in range(3)
        ]
    )
    ours = normalization.apply(torch.from_numpy(pixels)[None])[0].numpy()
    np.testing.assert_allclose(ours, chip, atol=1e-5)


def test_a_network_with_its_normalisation_in_front_takes_pixels():
    network = nn.Conv2d(3, 2, 1)
    normalization = Normalization("bgr", IMAGENET_MEAN, IMAGENET_STD)
    pixels = torch.randint(0, 255, (1, 8, 8, 3), dtype=torch.uint8)
    out = FromPixels(network, normalization)(pixels)
    torch.testing.assert_close(out, network(normalization.apply(pixels)))


def test_wrong_normalisation_is_refused():
    with pytest.raises(ValueError, match="rgb or bgr, got hsv"):
        Normalization("hsv", IMAGENET_MEAN, IMAGENET_STD)
    with pytest.raises(ValueError, match=r"std above 0; got .*\(1.0, 0.0, 1.0\)"):
        Normalization("rgb", IMAGENET_MEAN, (1.0, 0.0, 1.0))


@pytest.mark.slow
def test_a_network_with_its_normalisation_inside_exports(tmp_path, small_model):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = FromPixels(small_model(), Normalization("bgr", IMAGENET_MEAN, IMAGENET_STD)).eval()
    pixels = torch.randint(0, 255, (2, 64, 64, 3), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own
        torch.onnx.export(model, (pixels,), str(tmp_path / "pixels.onnx"), dynamo=False, opset_version=11)
        expected = model(pixels).numpy()
    session = onnxruntime.InferenceSession(str(tmp_path / "pixels.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: pixels.numpy()})
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
