from types import SimpleNamespace

import numpy as np
import pytest
import torch

from anypose.camera import project, to_screen
from anypose.engine.task import Loading
from anypose.skeleton import H36M_17
from pose3d.task.semi_supervised import SemiSupervised
from tests.anypose.export.small_tasks import baseline3d, videopose3d
from tests.pose3d.motion.random_motion import camera, dataset, sequence

CPU = torch.device("cpu")


def task(model=None, **changes) -> SemiSupervised:
    settings = {
        "loss": "mpjpe",
        "labelled_subjects": ["S1"],
        "labelled_share": 1.0,
        "warmup_epochs": 1,
        "reprojection": "lens",
        "bone_length": True,
        "stride": 1,
        "flip_augment": False,
        "flip_test": False,
        "by_subject": False,
    }
    return SemiSupervised(model or videopose3d(), **settings | changes)


def people(frames=60):
    return dataset(*(sequence(frames, subject=f"S{i}", seed=i, learnable=True) for i in (1, 5, 6)))


def answering(semi, joints, trajectory):
    """Make both networks give what a test wants."""
    answers = {"pose": joints, "trajectory": trajectory}
    semi.model = {name: (lambda _keypoints, value=value: value) for name, value in answers.items()}
    return semi


def batch_of(count, unlabelled=0, frames=1):
    rng = torch.Generator().manual_seed(0)
    view = camera()
    batch = {
        "keypoints": torch.randn(count, 27 + frames - 1, 17, 2, generator=rng),
        "joints": torch.randn(count, frames, 17, 3, generator=rng),
        "root": torch.randn(count, frames, 3, generator=rng) + torch.tensor([0, 0, 5.0]),
    }
    if unlabelled:
        batch["unlabelled_keypoints"] = torch.randn(unlabelled, 27 + frames - 1, 17, 2, generator=rng)
        intrinsics = torch.from_numpy(view.screen_intrinsics.astype(np.float32))
        batch["unlabelled_intrinsics"] = intrinsics.expand(unlabelled, 9)
    return batch, view


def test_during_warm_up_the_loss_is_pose_and_place_the_place_by_its_distance():
    batch, _ = batch_of(4, frames=3)
    joints = batch["joints"] + torch.tensor([0.0, 0.3, 0.4])
    place = batch["root"][:, :, None] + torch.tensor([0.6, 0.0, 0.8])
    loss, terms = answering(task(), joints, place).loss(batch)
    assert set(terms) == {"pose", "trajectory"}
    assert float(terms["pose"]) == pytest.approx(0.5, rel=1e-5)
    assert float(terms["trajectory"]) == pytest.approx(float((1 / batch["root"][..., 2]).mean()), rel=1e-5)
    assert float(loss) == pytest.approx(float(terms["pose"] + terms["trajectory"]))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lens", ["lens", "linear"])
def test_reprojection_is_the_distance_from_the_image_of_the_prediction_to_the_keypoints(lens, causal):
    """The image is made by the NumPy camera, point by point."""
    batch, view = batch_of(2, unlabelled=3, frames=2)
    joints = torch.randn(5, 2, 17, 3, generator=torch.Generator().manual_seed(1)) * 0.3
    place = torch.tensor([0.1, -0.2, 4.0]).expand(5, 2, 1, 3)
    semi = answering(task(videopose3d(causal=causal), reprojection=lens, bone_length=False), joints, place)
    _, terms = semi.loss(batch)
    flat = vars(view) | {"radial": np.zeros(3), "tangential": np.zeros(2)}
    used = view if lens == "lens" else type(view)(**flat)
    image = to_screen(project((joints + place)[2:].double().numpy(), used), view.width, view.height)
    first = 26 if causal else 13
    seen = batch["unlabelled_keypoints"][:, first : first + 2].numpy()
    assert float(terms["reprojection"]) == pytest.approx(np.linalg.norm(image - seen, axis=-1).mean(), rel=1e-4)


def test_a_perfect_prediction_costs_nothing():
    """Keypoints that really are the image of the joints, through the whole road of data."""
    real = sequence(60, learnable=True)
    far = real.joints_camera() + np.array([0, 0, 6.0])
    shown = type(real)(
        **vars(real)
        | {
            "joints": (far @ real.camera.rotation + real.camera.position).astype(np.float32),
            "keypoints": project(far, real.camera).astype(np.float32),
        }
    )
    semi = task(labelled_subjects=[], warmup_epochs=0, flip_augment=True)
    batches = semi.batches(dataset(shown), True, Loading(16, seed=0), CPU)
    batch = next(iter(batches.epoch(0)))
    twin = batches.unlabelled
    other = next(iter(twin.epoch(0)))
    joints = torch.cat([batch["joints"], other["joints"]])
    place = torch.cat([batch["root"], other["root"]])[:, :, None]
    _, terms = answering(semi, joints, place).loss(batch)
    assert float(terms["reprojection"]) < 1e-5
    assert float(terms["pose"]) == float(terms["trajectory"]) == 0


def test_bones_of_labelled_and_unlabelled_predictions_shall_be_as_long_on_average():
    batch, _ = batch_of(2, unlabelled=3)
    pose = torch.randn(1, 1, 17, 3, generator=torch.Generator().manual_seed(1))
    joints = torch.cat([pose.expand(2, 1, 17, 3), 1.5 * pose.expand(3, 1, 17, 3)])
    semi = answering(task(reprojection=None), joints, torch.ones(5, 1, 1, 3))
    _, terms = semi.loss(batch)
    parents = np.array(H36M_17.parents[1:])
    lengths = np.linalg.norm(pose[0, 0, 1:].numpy() - pose[0, 0, parents].numpy(), axis=-1)
    assert float(terms["bone_length"]) == pytest.approx(0.5 * lengths.mean(), rel=1e-5)
    assert "reprojection" not in terms


def test_labels_are_those_of_the_named_subjects_and_of_their_share():
    labelled, unlabelled = task(labelled_share=0.1).split(people().sequences("train"))
    assert [(s.subject, len(s)) for s in labelled] == [("S1", 6)]
    assert [(s.subject, len(s)) for s in unlabelled] == [("S5", 60), ("S6", 60)]
    labelled, unlabelled = task(labelled_subjects=[], labelled_share=0.5).split(people().sequences("train"))
    assert [len(s) for s in labelled] == [30, 30, 30]
    assert [len(s) for s in unlabelled] == [60, 60, 60]
    with pytest.raises(ValueError, match="labelled_subjects names S3, S9; the training split has S1, S5, S6"):
        task(labelled_subjects=["S3", "S1", "S9"]).split(people().sequences("train"))


def test_every_network_learns_and_the_unlabelled_windows_teach_both():
    semi = task(warmup_epochs=0)
    batches = semi.batches(people(), True, Loading(8, seed=0), CPU)
    batch = next(iter(batches.epoch(0)))
    loss, terms = semi.loss(batch)
    assert set(terms) == {"pose", "trajectory", "reprojection", "bone_length"}
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in semi.model.parameters())


def test_evaluation_scores_pose_place_and_image_with_and_without_flip_test():
    scores = {}
    for flip in (False, True):
        torch.manual_seed(0)
        semi = task(flip_test=flip)
        semi.model.eval()
        batches = semi.batches(people(), False, Loading(8, seed=0), CPU)
        metrics = semi.metrics()
        with torch.no_grad():
            for batch in batches.epoch(0):
                metrics.update(semi.predict(batch), batch)
        scores[flip] = metrics.compute()
        assert metrics.protocol()["labels"] == "100 % of S1"
        assert metrics.protocol()["frames"] == 180
    assert scores[False]["trajectory_mm"] > 0
    assert scores[False]["reprojection_permille"] > 0
    assert scores[False]["mpjpe_mm"] != scores[True]["mpjpe_mm"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reprojection": "fisheye"}, "task.reprojection must be lens, linear or null, got 'fisheye'"),
        ({"reprojection": None, "bone_length": False}, "leave nothing to learn unlabelled"),
        ({"loss": "standardised_mse"}, "task.loss must be mpjpe with task=semi_supervised, got 'standardised_mse'"),
    ],
)
def test_settings_without_a_meaning_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        task(**changes)


def test_a_model_of_pixels_or_without_a_sibling_is_refused():
    with pytest.raises(ValueError, match="such as model=videopose3d; Baseline3D cannot"):
        task(baseline3d())
    with pytest.raises(ValueError, match="SimpleNamespace cannot"):
        task(SimpleNamespace(sibling=lambda skeleton: None, keypoint_frame="pixel"))


def test_metrics_need_evaluation_batches_first():
    with pytest.raises(ValueError, match="evaluation batches made last, and none were made"):
        task().metrics()
