"""MotionAGFormer in other runtimes: opsets that old compilers read, any number of windows, torch's numbers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from anypose.export.session import OnnxSession
from anypose.export.write import export_onnx
from pose3d.task.window3d import Window3D
from tests.anypose.export.test_write import options
from tests.pose3d.model.test_motionagformer import network
from tests.pose3d.task.test_window3d import OPTIONS


@pytest.mark.slow
@pytest.mark.parametrize("opset", [11, 16])
def test_outputs_are_torch_s_for_any_number_of_windows(tmp_path, opset):
    task = Window3D(network(num_frames=9, num_blocks=2), **OPTIONS)
    path = tmp_path / "net.onnx"
    export_onnx(task, path, options(opset=opset, dynamic=["B"], sizes={"B": 2}), {}, None)
    assert [(item.domain, item.version) for item in onnx.load(path).opset_import] == [("", opset)]
    session = OnnxSession(path)
    (port,) = session.inputs
    assert port.shape == (None, 9, 17, 3)
    keypoints = np.random.default_rng(0).uniform(-1, 1, (5, 9, 17, 3)).astype(np.float32)
    (found,) = session.run({port.name: keypoints}).values()
    with torch.no_grad():
        expected = task.model(torch.from_numpy(keypoints)).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_layer_norm_as_one_operator_is_not_shipped(tmp_path):
    """Opset 17 has it, and compilers that read opset 17 need not."""
    task = Window3D(network(num_frames=9, num_blocks=1), **OPTIONS)
    with pytest.raises(ValueError, match="operators LayerNormalization, which are not among those known to run"):
        export_onnx(task, tmp_path / "net.onnx", options(opset=17), {}, None)
