"""predict's 3D on the real torch_npu."""

from __future__ import annotations

import numpy as np

from pose3d import Pipeline


def test_the_chip_lifts_what_the_cpu_lifts():
    there, here = (Pipeline(where=device)("example") for device in ("npu:0", "cpu"))
    assert np.isfinite(here.world).mean() > 0.9
    np.testing.assert_allclose(there.world, here.world, atol=2e-3)
