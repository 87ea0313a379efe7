import numpy as np
import pytest

from anypose.camera import project, world_to_camera
from anypose.skeleton import H36M_17
from pose3d.motion.h36m_cameras import published_cameras
from pose3d.motion.videopose3d_files import in_h36m_room, read_detections, write_videopose3d
from tests.pose3d.motion.random_motion import sequence


def write_2d(path, held, **metadata):
    np.savez(path, positions_2d=np.array(held, dtype=object), metadata=np.array(metadata, dtype=object))


COCO = [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]


@pytest.mark.parametrize("symmetry", [None, [[1], [2]], [COCO[0]], [[{}], [1]], "left"])
def test_keypoints_of_no_known_layout_are_refused(tmp_path, symmetry):
    write_2d(tmp_path / "x.npz", {}, keypoints_symmetry=symmetry)
    with pytest.raises(
        ValueError, match=r"keypoints_symmetry must be \[left, right\] of one of h36m_17, coco_17, sh_16"
    ):
        read_detections(tmp_path / "x.npz")


def test_any_motion_can_be_brought_before_human36ms_cameras(tmp_path):
    ours = [sequence(20, subject=s, take=f"{s}_01", seed=i) for i, s in enumerate(("07", "01", "09"))]
    moved = in_h36m_room([view for s in ours for view in (s, s)], ("S9", "S11"))
    assert [(m.subject, m.take) for m in moved[::4]] == [
        ("S9", "Walking 01 01_01"),
        ("S11", "Walking 07 07_01"),
        ("S9", "Walking 09 09_01"),
    ]
    for number, view in enumerate(moved):
        assert view.camera.name == published_cameras()["S9"][number % 4].name
        np.testing.assert_allclose(view.keypoints, project(world_to_camera(view.joints, view.camera), view.camera))
        low, high = view.joints[:, 0].min(0), view.joints[:, 0].max(0)
        np.testing.assert_allclose((low + high)[:2], 0, atol=1e-6)
    first = ours[1].joints - ours[1].joints[:, :1]
    np.testing.assert_allclose(moved[0].joints - moved[0].joints[:, :1], first, atol=1e-6)
    write_videopose3d(tmp_path, moved)
    takes, skeleton, metadata = read_detections(tmp_path / "data_2d_h36m_gt.npz")
    assert (skeleton, metadata["num_joints"], metadata["layout_name"]) == (H36M_17, 17, "h36m")
    np.testing.assert_array_equal(takes["S11"]["Walking 07 07_01"][2], moved[6].keypoints)


def test_motion_videopose3d_would_see_with_other_cameras_is_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"07, Walking 1 is not seen by the four cameras .*in_h36m_room first"):
        write_videopose3d(tmp_path, [sequence(5, subject="07")])
    moved = in_h36m_room([sequence(5)], ("S1",))
    with pytest.raises(ValueError, match=r"S1, Walking S1 Walking 1 is not seen by the four cameras"):
        write_videopose3d(tmp_path, moved[::-1])
    with pytest.raises(ValueError, match=r"All keypoints must be of one skeleton, found none"):
        write_videopose3d(tmp_path, [])


def test_videopose3ds_removal_of_joints_gives_the_17_back(tmp_path):
    moved = in_h36m_room([sequence(5)], ("S1",))
    write_videopose3d(tmp_path, moved)
    held = np.load(tmp_path / "data_3d_h36m.npz", allow_pickle=True)["positions_3d"].item()
    removed = [4, 5, 9, 10, 11, 16, 20, 21, 22, 23, 24, 28, 29, 30, 31]
    kept = np.delete(held["S1"]["Walking S1 Walking 1"], removed, axis=1)
    np.testing.assert_array_equal(kept, moved[0].joints)
    assert kept.dtype == np.float32
