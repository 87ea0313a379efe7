"""The share of one guess in a mean that is nearest to the truth."""

from __future__ import annotations

import numpy as np
import pytest

from anypose.skeleton import H36M_17
from benchmarks.agreement import nearest


def test_the_share_is_what_the_errors_of_both_say():
    """Of two guesses with independent errors the mean weighs each by the other's variance."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4000, 17, 3))
    lifted, own = (truth + rng.normal(0, spread, truth.shape) for spread in (0.06, 0.03))
    own[:, H36M_17.index("left_wrist")] = own[:, H36M_17.index("right_wrist")] = 1e3  # of another kind of joint
    seen = np.stack([truth, lifted, own], 1)
    assert nearest(seen, "foot") == pytest.approx(0.8, abs=0.01)
    assert nearest(seen[:, [0, 2, 1]], "foot") == pytest.approx(0.2, abs=0.01)
