import numpy as np
import pytest
import torch

from anypose.engine.task import Loading
from pose2d.images.affine import invert
from pose2d.images.augment import Augmentation
from pose2d.images.crops import CropRules, Crops
from pose2d.images.image import Normalization
from pose3d.capture.layout import BODY
from pose3d.capture.people import Targets, targets_of
from pose3d.capture.region_masks import RegionMasks
from pose3d.capture.scenes import ASSUMED_FOCAL, Company, Scenes, lenses_of
from tests.pose3d.capture.capture_scene import make_people

RULES = CropRules((64, 64), 1.5, False, False, "stop")
PLAIN = Normalization("rgb", (127.5,) * 3, (255.0,) * 3)
WILD = Augmentation("clipped", 0.2, 0.4, 40.0, 80.0, 1.0, 0.1, 1.0, 0.5, 0.0, 9, 0.5, 0.0)
CPU = torch.device("cpu")


def make_scenes(spatial: bool = True, augmentation: Augmentation | None = None):
    """Three people in one image, one in the next, nobody else."""
    rng = np.random.default_rng(4)
    people = make_people([0, 0, 0, 1], rng.uniform(10, 90, (4, 17, 2)), np.full((4, 17), 2), 100, 120)
    targets = targets_of(people, False, "x")
    if spatial:
        joints = rng.normal([0, 0, 4], size=(4, BODY.num_joints, 3))
        joints[3] = np.nan
        targets = Targets(targets.keypoints, targets.labelled, joints)
    masks = RegionMasks(people, "none", (64, 64), 8)
    company = Company(masks, people.image, np.arange(4), people)
    loading = Loading(4, seed=0)
    crops = Crops(people, RULES, PLAIN, augmentation, augmentation is not None, loading, CPU, "person", extra=company)
    return Scenes(crops, people, targets, CPU), people, targets


def test_the_crop_s_own_person_comes_first_and_everyone_else_of_the_image_after():
    scenes, _, _ = make_scenes()
    batch = next(scenes.epoch(0))
    assert batch["members"].tolist() == [[0, -1, 1, 2], [1, 0, -1, 2], [2, 0, 1, -1], [3, -1, -1, -1]]
    assert batch["labelled"].any(2).tolist() == (batch["members"] >= 0).tolist()


@pytest.mark.parametrize("epoch", range(3))
def test_annotations_follow_the_crop_s_matrix_and_mirrored_people_change_sides(epoch):
    """Against a loop over people and joints that maps one point at a time."""
    scenes, _, targets = make_scenes(augmentation=WILD)
    batch = next(scenes.epoch(epoch))
    to_crop = invert(batch["to_image"].double().numpy())
    mirrored = 0
    for row, members in enumerate(batch["members"].tolist()):
        linear = to_crop[row, :, :2]
        flip = np.linalg.det(linear) < 0
        mirrored += flip
        scale = np.sqrt(abs(np.linalg.det(linear)))
        for place, person in enumerate(members):
            if person < 0:
                continue
            for joint in range(BODY.num_joints):
                source = BODY.flip_joints[joint] if flip else joint
                assert batch["labelled"][row, place, joint] == targets.labelled[person, source]
                expected = linear @ targets.keypoints[person, source] + to_crop[row, :, 2]
                np.testing.assert_allclose(batch["keypoints"][row, place, joint], expected, atol=1e-3)
            for limb, (a, b) in enumerate(BODY.limbs):
                found = batch["directions"][row, place, limb].numpy()
                if person == 3:  # flat: the direction between the keypoints in the crop
                    along = (batch["keypoints"][row, place, b] - batch["keypoints"][row, place, a]).numpy()
                    expected = np.append(along, 0) / max(np.linalg.norm(along), 1e-6)
                else:
                    first, second = (BODY.flip_joints[a], BODY.flip_joints[b]) if flip else (a, b)
                    offset = targets.joints[person, second] - targets.joints[person, first]
                    expected = np.append(linear @ offset[:2] / scale, offset[2]) / np.linalg.norm(offset)
                np.testing.assert_allclose(found, expected, atol=1e-4)
    assert epoch or mirrored, "the seed must mirror someone for this test to mean anything"


def test_only_people_with_joints_are_spatial():
    scenes, _, _ = make_scenes()
    batch = next(scenes.epoch(0))
    assert batch["spatial"].tolist() == [
        [True, False, True, True],
        [True, True, False, True],
        [True, True, True, False],
        [False] * 4,
    ]


def test_an_unknown_camera_is_assumed_and_a_known_one_is_told():
    scenes, people, _ = make_scenes()
    assert next(scenes.epoch(0))["lens"][0].tolist() == pytest.approx([ASSUMED_FOCAL * 120, 59.5, 49.5])
    known = {**people.truth, "lenses": np.array([[300.0, 10, 20], [np.nan] * 3])}
    object.__setattr__(people, "truth", known)
    np.testing.assert_allclose(lenses_of(people), [[300, 10, 20], [ASSUMED_FOCAL * 120, 59.5, 49.5]])


def test_an_epoch_goes_on_where_it_stopped():
    scenes, _, _ = make_scenes(augmentation=WILD)
    whole, later = list(scenes.epoch(1)), list(scenes.epoch(1, start=0))
    for name, tensor in whole[0].items():
        torch.testing.assert_close(tensor, later[0][name], rtol=0, atol=0)
