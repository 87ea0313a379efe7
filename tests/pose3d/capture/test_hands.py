import re

import numpy as np
import pytest
import torch

from pose3d.capture.assembly import assemble
from pose3d.capture.fields import draw_fields, draw_heatmaps, limb_vectors
from pose3d.capture.hands import hand_joints, mirrored_hand
from pose3d.capture.layout import HAND
from pose3d.capture.lifting import lift_chain

OPENPOSE = ["wrist"] + [f"{f}_{j}" for f in ("thumb", "index", "middle", "ring", "little") for j in range(1, 5)]
STB = ["palm"] + [f"{f}_{j}" for f in ("little", "ring", "middle", "index", "thumb") for j in range(1, 5)]


def flat_hand() -> dict[str, np.ndarray]:
    """Joints 1 (base) to 4 (tip) of each finger as (x, y, z) [m]: fingers spread like rays from the wrist."""
    hand = {"wrist": np.zeros(3)}
    for number, finger in enumerate(("thumb", "index", "middle", "ring", "little")):
        angle = np.radians(-60 + 25 * number)
        for joint, away in enumerate((0.09, 0.13, 0.16, 0.18), start=1):
            hand[f"{finger}_{joint}"] = away * np.array([np.sin(angle), -np.cos(angle), 0.15 * (joint - 1)])
    return hand


def in_layout(hand: dict[str, np.ndarray]) -> np.ndarray:
    place = {"tip": 4, "distal": 3, "middle": 2, "base": 1}
    names = [
        name if name == "wrist" else f"{name.rsplit('_', 1)[0]}_{place[name.rsplit('_', 1)[1]]}" for name in HAND.joints
    ]
    return np.stack([hand[name] for name in names])


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
def test_openpose_s_fingers_run_from_their_tips(kind):
    hand = flat_hand()
    points = kind(np.stack([hand[name] for name in OPENPOSE]))
    np.testing.assert_array_equal(hand_joints(points, "openpose"), in_layout(hand))
    np.testing.assert_array_equal(hand_joints(hand_joints(points, "openpose"), "rhd"), in_layout(hand))


def test_stb_s_wrist_is_across_the_palm_from_the_middle_finger():
    hand = flat_hand()
    points = np.stack([hand["middle_1"] / 2 if name == "palm" else hand[name] for name in STB])
    found = hand_joints(points, "stb")
    np.testing.assert_allclose(found, in_layout(hand), atol=1e-12)


def test_hands_of_another_form_are_refused():
    with pytest.raises(ValueError, match=r"rhd, openpose, stb, got mano"):
        hand_joints(np.zeros((21, 3)), "mano")
    with pytest.raises(ValueError, match=re.escape("21 joints, got points of shape (20, 3)")):
        hand_joints(np.zeros((20, 3)), "rhd")


def test_a_hand_s_maps_give_the_hand_back_and_its_mirror_image_twice_is_itself():
    """Assembly and the chain know no body: the wrist is the root, fingers are the limbs."""
    joints = torch.from_numpy(in_layout(flat_hand())).float()[None, None]
    keypoints = joints[..., :2] * 800 + torch.tensor([184.0, 280.0])
    first, second = (list(side) for side in zip(*HAND.limbs, strict=True))
    directions = joints[..., second, :] - joints[..., first, :]
    lengths = directions.norm(dim=-1, keepdim=True)
    there, limbs = torch.ones(1, 1, 21, dtype=torch.bool), torch.ones(1, 1, 20, dtype=torch.bool)
    heatmaps = draw_heatmaps(keypoints, there, 368, 368, 1)
    fields = draw_fields(HAND, keypoints, directions / lengths, limbs, 368, 368, 1)
    found = assemble(HAND, heatmaps[0], fields[0], 1)
    assert len(found) == 1
    np.testing.assert_allclose(found.keypoints[0], keypoints[0, 0], atol=1)
    vectors = limb_vectors(HAND, fields, keypoints[:, 0], 1)
    lifted, done = lift_chain(HAND, keypoints[:, 0], vectors, there[0])
    assert done.all()
    np.testing.assert_allclose(lifted[0, :, 2] / 800, joints[0, 0, :, 2], atol=0.01)

    once = mirrored_hand(keypoints, vectors, 368)
    np.testing.assert_allclose(once[0][..., 0], 367 - keypoints[..., 0])
    np.testing.assert_allclose(once[1][..., 0], -vectors[..., 0])
    twice = mirrored_hand(*once, 368)
    np.testing.assert_allclose(twice[0], keypoints, atol=1e-4)
    np.testing.assert_array_equal(twice[1], vectors)
