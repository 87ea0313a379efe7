import re

import pytest

from anypose.skeleton import H36M_17
from anypose.skeleton_text import parse_skeleton, skeleton_of, unpaired

OWN = """
name: mine
joints: [pelvis, l_hip, l_knee, r_hip, r_knee, neck]
parents: [null, pelvis, l_hip, pelvis, r_hip, pelvis]
left: [l_hip, l_knee]
right: [r_hip, r_knee]
"""


def test_a_text_is_a_skeleton():
    skeleton = parse_skeleton(OWN, "x")
    assert (skeleton.name, skeleton.num_joints, skeleton.root) == ("mine", 6, 0)
    assert skeleton.parents == (-1, 0, 1, 0, 3, 0)
    assert skeleton.flip_index == (0, 3, 4, 1, 2, 5)
    as_mapping = OWN.replace(
        "[null, pelvis, l_hip, pelvis, r_hip, pelvis]",
        "{l_hip: pelvis, l_knee: l_hip, r_hip: pelvis, r_knee: r_hip, neck: pelvis}",
    )
    assert parse_skeleton(as_mapping, "x") == skeleton == skeleton_of(OWN)
    assert parse_skeleton(OWN + "root: neck\n", "x").root == 5
    assert skeleton_of("h36m_17") is H36M_17
    assert skeleton_of(skeleton) is skeleton
    assert parse_skeleton("joints: [root, leg, rib, LEG, l_arm]\nparents: [null, root, root, leg, rib]", "x").left == ()


PAIRS = ["l_hip r_hip", "lhip rhip", "LHip RHip", "LeftHip RightHip", "rig:LArm rig:RArm", "a.L a.R"]


@pytest.mark.parametrize("pair", PAIRS)
def test_sides_are_told_by_names(pair):
    left, right = pair.split()
    assert unpaired(["root", left, right], []) == [(left, right)]
    assert unpaired(["root", left, right], [(left, right)]) == []
    assert unpaired(["root", left], []) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("joints: [", "joints: [[", r"^x\.yaml is not YAML"),
        ("parents:", "mothers:", r"^x\.yaml must have name, joints, parents, .* found name, joints, mothers"),
        ("left: [l_hip, l_knee]", "left: [l_hip, l_kne]", r"left l_hip, l_kne; right r_hip, r_knee; l_kne is no joint"),
        ("left: [l_hip, l_knee]", "left: [l_hip]", r"left and right must name as many joints each"),
        ("right: [r_hip, r_knee]", "right: [l_hip, r_knee]", r"none twice"),
        ("l_knee, r_hip", "l_hip, r_hip", r"joints must be 2 to 1000 different names, found \['l_hip'\]"),
        ("[null, pelvis", "[pelvis, pelvis", r"null for exactly one, found 0 joints without one"),
        ("[null, pelvis, l_hip, pelvis", "[null, l_knee, l_hip, pelvis", r"parents go round in a circle at 'l_hip'"),
        ("r_hip, pelvis]", "r_hip]", r"name one, or null, for each of 6 joints, found 5 of them"),
        ("r_hip, pelvis]", "r_hip, tail]", r"found 'tail'"),
        ("name: mine", "name: coco_17", r"name 'coco_17' is one of this project's own skeletons"),
        ("name: mine", "name: mine\nroot: tail", r"root 'tail' is no joint"),
        ("name: mine", "name: mine\n_target_: os.system", r"x\.yaml has _target_; a skeleton has name"),
        (
            "left: [l_hip, l_knee]\nright: [r_hip, r_knee]",
            "",
            r"l_hip and r_hip sound like two sides, and left and right do not say so",
        ),
        ("r_hip, r_knee]", "r_knee, r_hip]", r"l_hip and r_hip sound like two sides"),
        ("neck]", "5]", r"joints must be a list of names"),
    ],
)
def test_what_is_wrong_is_named(old, new, message):
    assert old in OWN
    with pytest.raises(ValueError, match=message):
        parse_skeleton(OWN.replace(old, new, 1), "x.yaml")


def test_a_name_nobody_knows_lists_those_there_are():
    with pytest.raises(ValueError, match=r"^model\.input_skeleton: there is no skeleton 'h36m_18', and no YAML"):
        skeleton_of("h36m_18", "model.input_skeleton")
    with pytest.raises(ValueError, match=r"the file mine\.yaml does not exist\. .* dataset\.skeleton=FILE\.$"):
        skeleton_of("mine.yaml", "model.input_skeleton")


@pytest.mark.parametrize("where", ["dataset.skeleton=mine.yaml", "model.input_skeleton, from dataset.skeleton"])
def test_what_is_wrong_with_a_text_is_said_of_the_key_that_was_typed(where):
    with pytest.raises(ValueError, match=rf"^{re.escape(where)}: parents must name one, or null, for each of 6 joints"):
        skeleton_of(OWN.replace("parents: [null, ", "parents: [", 1), where.removesuffix(", from dataset.skeleton"))
