import pytest

from pose3d.capture.layout import BODY, HAND, get_layout


@pytest.mark.parametrize(("layout", "joints", "limbs"), [(BODY, 20, 23), (HAND, 21, 20)])
def test_sizes_are_the_published_networks(layout, joints, limbs):
    assert (layout.num_joints, layout.num_limbs) == (joints, limbs)
    assert (layout.num_heatmaps, layout.num_fields) == (joints + 1, 3 * limbs)


@pytest.mark.parametrize("layout", [BODY, HAND])
def test_the_tree_reaches_every_joint_once(layout):
    ends = [layout.limbs[limb][1] for limb in layout.tree]
    assert sorted([layout.root, *ends]) == list(range(layout.num_joints))
    reached = {layout.root}
    for limb in layout.tree:
        start, end = layout.limbs[limb]
        assert start in reached
        reached.add(end)


def test_mirroring_twice_gives_the_same_limb_and_swaps_sides():
    flip = BODY.flip_limbs
    assert [flip[limb] for limb in flip] == list(range(BODY.num_limbs))
    for limb, mirrored in enumerate(flip):
        names = [BODY.joints[joint] for joint in BODY.limbs[limb]]
        swapped = [n.replace("left_", "?").replace("right_", "left_").replace("?", "right_") for n in names]
        assert [BODY.joints[joint] for joint in BODY.limbs[mirrored]] == swapped


def test_hand_limbs_run_from_the_wrist_to_the_tips():
    names = [(HAND.joints[a], HAND.joints[b]) for a, b in HAND.limbs[:4]]
    assert names == [
        ("wrist", "thumb_base"), ("thumb_base", "thumb_middle"), ("thumb_middle", "thumb_distal"),
        ("thumb_distal", "thumb_tip"),
    ]  # fmt: skip


def test_an_unknown_part_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"part=foot .* body, hand"):
        get_layout("foot")
