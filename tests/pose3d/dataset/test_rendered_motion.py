"""Human3.6M's official files in, pictures of dressed figures with its joints and cameras out."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from anypose.camera import world_to_camera
from anypose.engine.task import Loading
from anypose.skeleton import H36M_17, convert
from pose2d.synthesis.figure import coco_keypoints
from pose3d.capture.people import targets_of
from pose3d.dataset.cmu import CMU
from pose3d.dataset.h36m_cdf import H36MCDF
from pose3d.dataset.mixed_people import MixedPeople
from pose3d.dataset.rendered_motion import RenderedMotion
from pose3d.motion import h36m
from pose3d.synthesis.body import draw_body
from pose3d.synthesis.free_poses import draw_poses
from pose3d.synthesis.rendered_people import RenderedImages
from tests.conftest import REPOSITORY
from tests.pose3d.capture.capture_scene import two_people
from tests.pose3d.motion.motion_files import protocol, write_cdf
from tests.pose3d.task.test_orientation_fields import make_task

MOVING = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]  # h36m_17 among the release's 32


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    """A tiny release in the official form, of people: the 32 joints' seventeen move, the others lie in the hip."""
    root = tmp_path_factory.mktemp("h36m")
    actions = ("Directions", "Walking")
    for seed, subject in enumerate(("S1", "S9")):
        rng = np.random.default_rng(seed)
        for action in actions:
            for take in h36m.takes_of(subject, action):
                poses = draw_poses(rng, draw_body(rng, 0.05), 9) + np.array([0.2, -0.3, 0.9])
                joints = np.repeat(poses[:, :1], 32, axis=1)
                joints[:, MOVING] = poses
                write_cdf(root / subject / "MyPoseFeatures/D3_Positions" / f"{take}.cdf", 1000 * joints.reshape(9, 96))
    return H36MCDF(str(root), None, None, **protocol(actions=actions))


def render(motion, **changes):
    settings = {"seed": 0, "train_images": 24, "validation_images": 5, "height": 96, "width": 128} | changes
    return RenderedMotion(motion, **settings)


def test_the_people_in_the_pictures_are_the_recording_s_seen_by_its_cameras(motion):
    people = render(motion).people("train")
    stage = people.images.stage  # pyright: ignore[reportAttributeAccessIssue]
    assert 0 < len(people) <= 24
    assert len({int(row) for row in stage.sequence}) == len(stage.sequences), "evenly over all sequences"
    for row in range(len(people)):
        image = int(people.image[row])
        sequence, frame = stage.sequences[stage.sequence[image]], stage.frame[image]
        world = convert(sequence.joints[frame].astype(np.float64), sequence.skeleton, H36M_17)
        np.testing.assert_allclose(people.truth["joints"][row], world_to_camera(world, sequence.camera), atol=1e-9)
        focal, x, y = people.truth["lenses"][image]
        points = coco_keypoints(people.truth["joints"][row])
        expected = points[:, :2] / points[:, 2:] * focal + [x, y]
        labelled = people.visibility[row] > 0
        np.testing.assert_allclose(people.keypoints[row][labelled], expected[labelled], atol=1e-9)
        assert people.images.read(image).shape == (96, 128, 3)
        assert people.images.name(image).startswith("S1/")
    assert {stage.name(i).split("/")[0] for i in range(24)} == {"S1"}


def test_the_figures_are_drawn_where_their_joints_are(motion):
    """Clothes are drawn in another colour: what changes is around the keypoints, and nowhere else."""
    people = render(motion).people("train")
    row = int(np.argmax((people.visibility > 0).sum(axis=1)))
    images = people.images
    assert isinstance(images, RenderedImages)
    index = int(people.image[row])
    lens, (person,) = images.stage.scene(index)
    pictures = []
    for grey in (0.0, 255.0):
        look = dataclasses.replace(person.look, colours=np.full((7, 3), grey), inks=np.full((7, 3), grey))
        images.stage.scene = lambda _, look=look: (lens, [dataclasses.replace(person, look=look, occluded=False)])  # pyright: ignore
        pictures.append(images.read(index).astype(float))
    changed = np.abs(pictures[1] - pictures[0]).mean(axis=2) > 40
    labelled = people.keypoints[row][people.visibility[row] > 0].round().astype(int)
    assert changed[labelled[:, 1], labelled[:, 0]].mean() > 0.8
    rows, columns = np.nonzero(changed)
    left, top, right, bottom = people.box_xyxy[row]
    inside = (columns > left - 4) & (columns < right + 4) & (rows > top - 4) & (rows < bottom + 4)
    assert inside.mean() > 0.98


def test_human36m_s_3d_and_photographs_train_in_one_batch(motion):
    flat: Any = SimpleNamespace(name="flat", notes=(), skeleton=two_people().skeleton, people=lambda _: two_people())
    dataset: Any = MixedPeople(flat, render(motion), "spatial")
    task = make_task(size=64)
    batch = next(iter(task.batches(dataset, True, Loading(16, seed=0), torch.device("cpu")).epoch(0)))
    spatial = task.targets(batch)["spatial"]
    assert 0 < int(spatial.sum()) <= 16
    loss, terms = task.loss(batch)
    assert torch.isfinite(loss)
    assert float(terms["field_error"]) > 0


def test_swapped_legs_in_the_motion_are_found(motion):
    swapped = [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]  # a family of annotations of Human3.6M has them so
    people = render(motion).people("train")
    joints = people.truth["joints"][:, swapped]
    people.truth["joints"][:] = joints  # pyright: ignore[reportIndexIssue]
    with pytest.raises(ValueError, match=r"has its left and right legs swapped: over \d+ people"):
        targets_of(people, False, "rendered h36m_cdf")


def test_real_motion_is_rendered_the_same_way(real_data):
    values = yaml.safe_load((REPOSITORY / "conf" / "dataset" / "cmu.yaml").read_text(encoding="utf-8"))
    del values["_target_"]
    values |= {"root": str(real_data("cmu")), "allow_missing": True, "cache": None, "validation_subjects": ["08"]}
    people = render(CMU(**values)).people("validation")
    targets = targets_of(people, False, "cmu")
    assert len(people) == 5
    assert targets.spatial.all()
    assert targets.labelled.mean() > 0.7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": 0}, "dataset.train_images=0 must be at least 1"),
        ({"height": 50}, "must be multiples of 8 from 64 on, got 50 and 128"),
    ],
)
def test_settings_are_checked(motion, change, message):
    with pytest.raises(ValueError, match=message):
        render(motion, **change)
