"""pose3d/lifting/arrays.py: each sequence gets bones of one length."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from anypose.skeleton import COCO_17, H36M_17
from pose3d import load_lifter
from pose3d.lifting.arrays import ArrayLifter
from tests.pose3d.lifting.test_arrays import COCO, STANDING


def test_bones_are_held_to_one_length_over_each_sequence():
    lifter, held = load_lifter("released", bones=False), load_lifter("released")
    rng = np.random.default_rng(0)
    sequences = STANDING + rng.normal(size=(2, 30, 17, 2)) * 6
    sequences[1] = (sequences[1] - [960, 540]) * 0.7 + [960, 540]
    sequences[0, 4, COCO_17.index("left_wrist")] = np.nan
    sequences[1, 7] = np.nan
    free, same = (lifts(sequences, **COCO) for lifts in (lifter, held))
    np.testing.assert_array_equal(np.isnan(same), np.isnan(free))
    assert same.dtype == free.dtype == np.float32
    spread = [np.nanstd(thigh(joints), axis=1).mean() for joints in (free, same)]
    assert spread[1] < 0.3 * spread[0]
    assert np.nanmax(np.linalg.norm(same - free, axis=-1)) < 0.3
    np.testing.assert_allclose(same[1], held(sequences[1], **COCO), atol=1e-5)  # as alone


@pytest.mark.slow
def test_networks_of_pixels_keep_their_poses_unless_asked():
    lifter = load_lifter("baseline3d_pixels")
    assert not lifter.bones
    assert load_lifter("released").bones
    assert load_lifter("released_video").bones
    assert load_lifter("baseline3d_pixels", bones=True).bones


def thigh(joints: np.ndarray) -> np.ndarray:
    hip, knee = (H36M_17.index(f"left_{joint}") for joint in ("hip", "knee"))
    return np.linalg.norm(joints[..., hip, :] - joints[..., knee, :], axis=-1)


def test_of_a_mixture_poses_stay_as_they_are(repository):
    torch.manual_seed(0)
    mixture = OmegaConf.load(repository / "conf" / "model" / "gmh_mdn.yaml")
    network = instantiate(mixture)
    sequence = STANDING + np.random.default_rng(0).normal(size=(5, 17, 2))
    plain, held = (ArrayLifter(network, "gmh_mdn", bones=bones)(sequence, **COCO) for bones in (False, True))
    np.testing.assert_array_equal(plain, held)
