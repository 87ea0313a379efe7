"""Bodies for people whom the network of total_capture finds, on people whose orientations and keypoints are exact."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from anypose.metrics import n_mpjpe, p_mpjpe
from pose3d.body import captured
from pose3d.body.anny import Anny
from pose3d.body.captured import CAPTURE_20, LIMBS, CapturedBodies, hips_of, require_body
from pose3d.body.people import random_bodies
from pose3d.capture.layout import BODY
from pose3d.capture.lifting import lift_perspective
from pose3d.synthesis.body import draw_body
from pose3d.synthesis.free_poses import draw_poses

LENS = np.array([400.0, 183.5, 183.5])
FIRST, SECOND = (list(side) for side in zip(*BODY.limbs, strict=True))
LENGTHS = np.array(BODY.limb_lengths)


def people(count: int) -> Iterator[np.ndarray]:
    """(20, 3) camera-frame joints of random bodies in random poses."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        person = next(random_bodies(draw_poses(rng, draw_body(rng, 0.05), 1), rng, 1))
        joints = person.points(CAPTURE_20)[0]
        joints = joints - joints.mean(0) + [0.2, rng.uniform(2.5, 5), -0.1]
        yield np.stack([joints[:, 0], -joints[:, 2], joints[:, 1]], -1)


def seen(joints: np.ndarray, found: np.ndarray) -> list[np.ndarray]:
    """What the network gives where its maps are exact: lifted joints, keypoints, scores, orientations."""
    keypoints = joints[:, :2] / joints[:, 2:] * LENS[0] + LENS[1:]
    vectors = joints[SECOND] - joints[FIRST]
    vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True) * (found[FIRST] & found[SECOND])[:, None] * 0.7
    given = [torch.from_numpy(array)[None] for array in (keypoints, vectors, found)]
    focal, centre = torch.from_numpy(LENS[:1]).expand(1, 2), torch.from_numpy(LENS[None, 1:])
    lifted = lift_perspective(BODY, *given, torch.from_numpy(LENGTHS), focal, centre)[0].numpy()
    return [lifted, keypoints * found[:, None], found * 0.9, vectors]


@pytest.fixture(scope="module")
def bodies(made_up: Anny) -> CapturedBodies:
    return CapturedBodies(LENGTHS)


def test_a_body_is_never_worse_than_what_was_lifted(bodies: CapturedBodies) -> None:
    """Limbs of the mean length cannot be everybody's; a body's can."""
    errors = []
    for joints in people(3):
        given = seen(joints, np.ones(20, bool))
        fitted = bodies(*given, LENS)
        assert fitted is not None
        both = [torch.from_numpy(found - found[BODY.root]) for found in (given[0], fitted, joints)]
        errors.append([[1e3 * float(error(found, both[2])) for error in (n_mpjpe, p_mpjpe)] for found in both[:2]])
        assert errors[-1][1][1] < errors[-1][0][1] + 1
    before, after = np.mean(errors, axis=0)
    assert (after < 0.8 * before).all()


def test_who_lacks_hips_gets_none_and_a_batch_says_so(bodies: CapturedBodies) -> None:
    joints = next(people(1))
    whole, half = np.ones(20, bool), np.ones(20, bool)
    half[[CAPTURE_20.index("left_hip"), CAPTURE_20.index("right_hip")]] = False
    nobody = [np.full((20, 3), np.nan), np.zeros((20, 2)), np.zeros(20), np.zeros((23, 3))]
    everyone = [seen(joints, whole), seen(joints, half), nobody]
    batch = [torch.from_numpy(np.stack(arrays)).float()[None] for arrays in zip(*everyone, strict=True)]
    fitted = bodies.everyone(*batch, torch.from_numpy(LENS)[None])
    assert torch.isfinite(fitted).flatten(2).all(-1).tolist() == [[True, False, False]]
    # A joint that was not found is on the body, too.
    hand = np.ones(20, bool)
    hand[CAPTURE_20.index("left_wrist")] = False
    assert np.isfinite(bodies(*seen(joints, hand), LENS)).all()


def test_hips_are_where_the_training_people_s_are() -> None:
    wide = LENGTHS.copy()
    for limb, ends in enumerate(BODY.limbs):
        at = {BODY.joints[end] for end in ends}
        if at & {"left_hip", "right_hip"} and at & {"neck", "chest"}:
            wide[limb] = np.hypot(0.13, 0.46 if "neck" in at else 0.23)
    assert hips_of(wide) == pytest.approx(0.13, abs=1e-6)
    assert hips_of(LENGTHS) == pytest.approx(0.105, abs=1e-3)
    assert LIMBS[1] == ("right_hip", "right_knee")
    assert CAPTURE_20.parents[CAPTURE_20.index("left_foot")] == CAPTURE_20.index("left_knee")


def test_without_the_package_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captured, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(captured.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"task.fit_body=true needs .*anny: pip install 'anypose\[body\]'"):
        require_body("task.fit_body=true")
