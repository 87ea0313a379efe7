import dataclasses

import numpy as np
import pytest

from pose3d.capture.layout import BODY
from pose3d.capture.people import (
    body_from_coco,
    check_sides,
    coco_from_body,
    crops_of,
    main_people,
    targets_of,
    whole_images,
)
from tests.pose3d.capture.capture_scene import make_people, two_people
from tests.pose3d.rendered import rendered_people

J = {name: index for index, name in enumerate(BODY.joints)}


def drawn(images: int = 3):
    dataset = rendered_people(seed=3, train_images=images, validation_images=1)
    return dataset.people("train")


def test_joints_come_from_the_keypoints_of_their_names_and_the_way_back_leads_home():
    points = np.random.default_rng(0).normal(size=(4, 17, 2))
    joints, known = body_from_coco(points, np.ones((4, 17), bool))
    names = two_people().skeleton.joints
    for name in set(names) & set(BODY.joints):
        np.testing.assert_array_equal(joints[:, J[name]], points[:, names.index(name)])
    np.testing.assert_allclose(joints[:, J["neck"]], (points[:, 5] + points[:, 6]) / 2)
    np.testing.assert_allclose(joints[:, J["chest"]], points[:, [5, 6, 11, 12]].mean(1))
    assert not known[:, J["head_top"]].any()
    assert known.sum() == 4 * 19
    np.testing.assert_array_equal(coco_from_body(joints), points)


def test_a_derived_joint_needs_all_it_is_made_of():
    labelled = np.ones((1, 17), bool)
    labelled[0, 11] = False  # a hip
    _, known = body_from_coco(np.zeros((1, 17, 2)), labelled)
    assert known[0, J["neck"]]
    assert not known[0, J["chest"]]
    assert not known[0, J["left_hip"]]


def test_rendered_people_are_known_in_3d_and_projected_where_they_are_seen():
    people = drawn()
    targets = targets_of(people, False, "synthetic_people")
    assert targets.spatial.all()
    lens = people.truth["lenses"][people.image]
    seen = targets.joints[..., :2] / targets.joints[..., 2:] * lens[:, None, :1] + lens[:, None, 1:]
    np.testing.assert_allclose(targets.keypoints[targets.labelled], seen[targets.labelled], atol=1e-6)
    assert targets.labelled[:, J["head_top"]].any()


def test_people_without_joints_are_flat():
    targets = targets_of(two_people(), False, "x")
    assert not targets.spatial.any()
    assert np.isnan(targets.joints).all()


def test_hidden_keypoints_count_unless_only_visible_ones_do():
    people = two_people()
    visibility = people.visibility.copy()
    visibility[:, 9] = 1
    people = dataclasses.replace(people, visibility=visibility)
    wrist = J["left_wrist"]
    assert targets_of(people, False, "x").labelled[:, wrist].all()
    assert not targets_of(people, True, "x").labelled[:, wrist].any()


def test_swapped_legs_are_noticed_with_the_number_that_shows_it():
    joints = targets_of(drawn(), False, "x").joints
    check_sides(joints, "x")
    swapped = joints.copy()
    swapped[:, [J["right_hip"], J["left_hip"]]] = joints[:, [J["left_hip"], J["right_hip"]]]
    with pytest.raises(ValueError, match=r"some file has its left and right legs swapped: over \d+ people .* is -0\.0"):
        check_sides(swapped, "some file")


def test_main_people_are_large_enough_labelled_enough_and_not_too_close_to_another():
    rng = np.random.default_rng(1)
    body = rng.uniform(0, 100, (17, 2))
    places = [(100, 100), (110, 100), (400, 100), (700, 100), (100, 100)]
    keypoints = np.stack([body + place for place in places])
    visibility = np.full((5, 17), 2)
    visibility[2, 3:] = 1  # three visible keypoints
    visibility[3, 4:] = 0  # four keypoints
    people = make_people([0, 0, 0, 0, 1], keypoints, visibility, 500, 900)
    assert main_people(people).tolist() == [0, 4]
    small = dataclasses.replace(people, truth={"coco": {"annotations": [
        annotation | {"area": 1023.0} for annotation in people.truth["coco"]["annotations"]
    ]}})  # fmt: skip
    assert len(main_people(small)) == 0


def test_a_crop_is_centred_on_the_hips_and_reaches_the_farthest_keypoint():
    people = two_people()
    keypoints = people.keypoints.copy()
    keypoints[0, 11], keypoints[0, 12] = (30, 30), (34, 34)
    people = dataclasses.replace(people, keypoints=keypoints)
    shown = crops_of(people, np.array([0]), targets_of(people, False, "x"))
    reach = np.abs(np.concatenate([keypoints[0] - 32])).max()
    np.testing.assert_allclose(shown.box_xyxy[0], [32 - reach, 32 - reach, 32 + reach, 32 + reach])


def test_without_hips_a_crop_is_centred_on_what_is_labelled_and_never_vanishes():
    people = two_people()
    visibility = np.zeros((2, 17), int)
    visibility[:, 0] = 2
    people = dataclasses.replace(people, visibility=visibility)
    box = crops_of(people, np.array([1]), targets_of(people, False, "x")).box_xyxy[0]
    np.testing.assert_allclose((box[:2] + box[2:]) / 2, people.keypoints[1, 0])
    longer = (people.box_xyxy[1, 2:] - people.box_xyxy[1, :2]).max()
    np.testing.assert_allclose(box[2:] - box[:2], longer / 2)


def test_whole_images_have_a_row_each():
    people = drawn(4)
    shown = whole_images(people)
    assert len(shown) == 4
    assert shown.box_xyxy.tolist() == [[0, 0, 96, 96]] * 4


def test_people_of_another_skeleton_are_refused():
    other = dataclasses.replace(two_people(), skeleton=dataclasses.replace(two_people().skeleton, name="seventeen"))
    with pytest.raises(ValueError, match="needs people in skeleton coco_17; my set has seventeen"):
        targets_of(other, False, "my set")
