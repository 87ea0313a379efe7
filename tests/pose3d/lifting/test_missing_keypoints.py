from __future__ import annotations

import pytest
import torch

from anypose.skeleton import COCO_17, COMMON_16, MPII_16, Skeleton
from pose3d.lifting.arrays import ArrayLifter
from pose3d.lifting.missing_keypoints import as_read
from pose3d.model.window_mlp import WindowMLP
from tests.pose3d.task.test_lifting3d import baseline


def network() -> WindowMLP:
    torch.manual_seed(0)
    return WindowMLP(
        input_skeleton="common_16", frames=3, spacing=1, causal=False, linear_size=16, num_blocks=1, dropout=0.0,
        batch_norm_eps=1e-3, max_weight_norm=None,
    ).eval()  # fmt: skip


def test_what_a_layout_has_not_is_missing_for_a_network_that_can_do_without():
    read = as_read(torch.rand(4, 16, 2), MPII_16, network())
    assert read.shape == (4, 16, 3)
    lacking = [joint for joint, row in zip(COMMON_16.joints, read[0], strict=True) if row[:2].isnan().all()]
    assert lacking == ["neck", "left_ear", "right_ear"]
    with pytest.raises(ValueError, match="coco_17 cannot be converted to"):
        as_read(torch.rand(4, 17, 2), COCO_17, baseline(input_skeleton="mpii_16"))


@pytest.mark.parametrize("layout", ["mpii_16", "sh_16", "coco_17", "blazepose_33", "halpe_26", "body_25", "h36m_17"])
def test_every_detectors_layout_is_lifted_frame_by_frame_with_gaps(layout):
    lifter = ArrayLifter(network(), "these weights")
    K = {"mpii_16": 16, "sh_16": 16, "coco_17": 17, "blazepose_33": 33, "halpe_26": 26, "body_25": 25, "h36m_17": 17}
    keypoints = 300 + 200 * torch.rand(5, K[layout], 2)
    joints = lifter(keypoints, skeleton=layout, image_size=(1000, 800))
    assert joints.shape == (5, 17, 3)
    assert joints.isfinite().all()
    one = lifter(keypoints[0], skeleton=layout, image_size=(1000, 800))  # a single frame, whose neighbours are itself
    assert one.shape == (17, 3)
    assert one.isfinite().all()


def test_a_cut_off_person_has_joints_where_they_are_seen():
    lifter = ArrayLifter(network(), "these weights")
    keypoints = 300 + 200 * torch.rand(6, 17, 3)
    feet = [COCO_17.index("left_foot"), COCO_17.index("right_foot")]
    keypoints[:, feet] = torch.nan
    joints = lifter(keypoints, skeleton="coco_17", image_size=(1000, 800))
    names = lifter.output_skeleton.joints
    gone = joints.isnan().any(-1).any(0)
    assert [joint for joint, there in zip(names, gone, strict=True) if there] == ["right_foot", "left_foot"]


def test_a_layout_without_a_point_of_the_body_is_named():
    face = Skeleton.parse("face", "chin left_brow<chin right_brow<chin")
    with pytest.raises(ValueError, match="face has no point of common_16"):
        as_read(torch.rand(1, 3, 2), face, network())
