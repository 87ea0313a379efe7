"""Rendered people: annotations that agree with the pictures, the same for the same seed, exact in 3D."""

import numpy as np
import pytest
from omegaconf import OmegaConf

from pose2d.people import People
from pose2d.synthesis.figure import coco_keypoints, dress
from pose2d.synthesis.render import Canvas, Light, silhouette
from pose3d.dataset.synthetic_people import SyntheticPeople
from pose3d.synthesis.free_poses import draw_poses


@pytest.fixture(scope="module")
def settings(repository):
    values = OmegaConf.to_container(OmegaConf.load(repository / "conf" / "dataset" / "synthetic_people.yaml"))
    values.pop("_target_")
    return values | {"train_images": 30, "validation_images": 8, "bodies": 8, "height": 128, "width": 160}


@pytest.fixture(scope="module")
def people(settings) -> People:
    return SyntheticPeople(**settings).people("train")


@pytest.mark.slow
def test_every_image_is_a_function_of_seed_split_and_index(settings, people):
    again = SyntheticPeople(**settings).people("train")
    np.testing.assert_array_equal(again.keypoints, people.keypoints)
    np.testing.assert_array_equal(again.images.read(5), people.images.read(5))
    fewer = SyntheticPeople(**(settings | {"train_images": 6})).people("train")
    np.testing.assert_array_equal(fewer.images.read(5), people.images.read(5))
    for other in (
        SyntheticPeople(**(settings | {"seed": 1})).people("train"),
        SyntheticPeople(**settings).people("validation"),
    ):
        assert np.abs(other.images.read(5).astype(int) - people.images.read(5)).mean() > 5


def test_images_have_the_size_asked_for_and_reduce_by_averaging(people):
    image = people.images.read(3)
    assert image.shape == (128, 160, 3)
    assert image.dtype == np.uint8
    small = people.images.read(3, reduce=4)
    expected = image.reshape(32, 4, 40, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - expected).max() <= 1


def test_annotations_describe_the_figures(people):
    """Boxes enclose the drawn figures, labelled keypoints lie in the image and near their boxes."""
    assert len(people) >= len(people.images) * 0.9
    outside = 0
    for row in range(len(people)):
        labelled = people.visibility[row] > 0
        points, box = people.keypoints[row][labelled], people.box_xyxy[row]
        assert labelled.sum() >= 3
        assert (points >= 0).all()
        assert (points < [160, 128]).all()
        margin = 0.06 * (box[2:] - box[:2]).max() + 2
        outside += ((points < box[:2] - margin) | (points > box[2:] + margin)).any(axis=1).sum()
    assert outside <= 0.01 * (people.visibility > 0).sum()


def test_boxes_and_areas_are_those_of_the_rendered_figure(people):
    lamp = Light(np.array([0.0, 0.0, -1.0]), 0.5, np.ones(3))
    areas = {(a["image_id"], i): a["area"] for i, a in enumerate(people.truth["coco"]["annotations"])}
    compared = 0
    for index in range(12):
        lens, crowd = people.images.stage.scene(index)
        for person in crowd:
            rows = [r for r in range(len(people)) if np.allclose(people.truth["joints"][r], person.joints)]
            if not rows:
                continue
            canvas = Canvas(np.zeros((128, 160, 3)))
            parts, head = dress(person.joints, person.look)
            canvas.draw(parts, person.look, head, lens, lamp, 1)
            ys, xs = np.nonzero(canvas.owner == 1)
            drawn = np.array([xs.min(), ys.min(), xs.max(), ys.max()])
            size = max(drawn[2:] - drawn[:2])
            assert np.abs(drawn - people.box_xyxy[rows[0]]).max() <= 0.08 * size + 2
            assert areas[index + 1, rows[0]] == pytest.approx(len(ys), rel=0.25)
            assert (silhouette(parts, lens) > 0).any()
            compared += 1
    assert compared >= 10


def test_keypoints_are_projections_of_the_joints_in_3d(people):
    for row in range(len(people)):
        lens, _ = people.images.stage.scene(int(people.image[row]))
        points = lens.project(coco_keypoints(people.truth["joints"][row]))
        labelled = people.visibility[row] > 0
        np.testing.assert_allclose(points[labelled], people.keypoints[row][labelled], atol=1e-6)


@pytest.mark.slow
def test_people_mostly_stand_on_their_feet_and_face_the_camera_as_much_as_they_are_told_to(settings):
    facing = {}
    for turned in (0.0, 60.0, 720.0):
        people = SyntheticPeople(**(settings | {"turned": turned, "free_poses": 0.0})).people("train")
        names, joints = people.skeleton.joints, people.keypoints[:, :, 0]
        upright = people.keypoints[:, names.index("nose"), 1] < people.keypoints[:, names.index("left_foot"), 1]
        assert upright.mean() > 0.6
        facing[turned] = (joints[:, names.index("left_hip")] > joints[:, names.index("right_hip")]).mean()
    assert facing[0.0] > 0.95
    assert 0.7 < facing[60.0] < 1
    assert 0.2 < facing[720.0] < 0.8


def test_people_are_as_large_as_asked_and_things_stand_before_as_many_as_asked(settings):
    wanted = {"sizes": (0.5, 0.5), "occluded": 1.0}
    stage = SyntheticPeople(**(settings | wanted)).people("train").images.stage
    for lens, people in map(stage.scene, range(8)):
        depths = np.array([person.joints[:, 2].mean() for person in people])
        np.testing.assert_allclose(lens.focal * 1.7 / depths, 64, rtol=1e-6)  # of an image 128 px high
        assert all(person.occluded for person in people)


def test_free_poses_keep_bones_and_vary(settings):
    from pose3d.synthesis.body import draw_body

    rng = np.random.default_rng(0)
    body = draw_body(rng, 0.05)
    poses = draw_poses(rng, body, 200)
    assert poses.shape == (200, 17, 3)
    assert np.isfinite(poses).all()
    lengths = np.linalg.norm(poses[:, [2, 3, 5, 6, 12, 13, 15, 16]] - poses[:, [1, 2, 4, 5, 11, 12, 14, 15]], axis=2)
    np.testing.assert_allclose(lengths, np.tile(lengths[:1], (200, 1)), atol=1e-6)
    wrists = poses[:, 13] - poses[:, 11]
    assert (wrists / body.arm).std(axis=0).min() > 0.2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"train_images": 0}, "dataset.train_images=0 must be at least 1"),
        ({"height": 100}, "multiples of 8 from 64 on, got 100 and 160"),
        ({"free_poses": 1.2}, r"dataset.free_poses must be in 0..1, got 1.2"),
        ({"occluded": -0.1}, r"dataset.occluded must be in 0..1, got -0.1"),
        ({"turned": -1.0}, "dataset.turned must be 0 degrees or more, got -1.0"),
        ({"sizes": [0.9, 0.4]}, r"dataset.sizes must be two rising numbers from 0.1 on, got \[0.9, 0.4\]"),
    ],
)
def test_wrong_settings_are_refused(settings, wrong, message):
    with pytest.raises(ValueError, match=message):
        SyntheticPeople(**(settings | wrong))
