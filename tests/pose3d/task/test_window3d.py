"""Lifting of whole windows: the loss term by term, every frame scored once, what does not fit is refused."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from anypose.skeleton import H36M_17
from pose3d.motion.missing_joints import NONE
from pose3d.task.lifting3d import Lifting3D
from pose3d.task.window3d import Window3D
from tests.learning import few_steps
from tests.pose3d.lifting.test_redrawing import PLAIN, takes
from tests.pose3d.model.test_motionagformer import CENTRED, network
from tests.pose3d.motion.random_motion import dataset, sequence
from tests.pose3d.task.test_lifting3d import OPTIONS as ONE_POSE
from tests.pose3d.task.test_lifting3d import baseline

CPU = torch.device("cpu")
LOADING = SimpleNamespace(batch_size=4, seed=0, rank=0, world_size=1, drop_last=True)
OPTIONS = {
    "velocity": 20.0,
    "scaled": 0.5,
    "train_step": None,
    "step": None,
    "causal": False,
    "flip_augment": True,
    "bones": False,
    "flip_test": True,
    "subset": 1.0,
    "by_subject": False,
}
DATA = dataset(
    sequence(60, "S9", "Walking", "Walking 1", seed=1, scores=True),
    sequence(7, "S11", "Sitting", "Sitting 2", seed=2, scores=True),
)


def task(**options):
    return Window3D(network(num_frames=9, num_blocks=2), **{**OPTIONS, **options})


def test_the_loss_is_position_velocity_and_shape():
    torch.manual_seed(0)
    lifting = task()
    batch = next(lifting.batches(DATA, True, LOADING, CPU).epoch(0))
    loss, terms = lifting.loss(batch)
    with torch.no_grad():
        predicted, target = lifting.model(batch["keypoints"]), batch["joints"]
    position = torch.linalg.vector_norm(predicted - target, dim=-1).mean()
    steps = (predicted[:, 1:] - predicted[:, :-1]) - (target[:, 1:] - target[:, :-1])
    velocity = torch.linalg.vector_norm(steps, dim=-1).mean()
    scale = (predicted * target).sum((-1, -2), keepdim=True) / predicted.square().sum((-1, -2), keepdim=True)
    scaled = torch.linalg.vector_norm(scale * predicted - target, dim=-1).mean()
    torch.testing.assert_close(loss.detach(), position + 20 * velocity + 0.5 * scaled)
    torch.testing.assert_close(terms["velocity"], velocity)


@pytest.mark.parametrize("options", [{}, {"step": 1}, {"step": 4, "causal": True}])
def test_every_frame_is_scored_and_the_protocol_says_how(options):
    lifting = task(**options)
    lifting.model.eval()
    metrics = None
    with torch.no_grad():
        for batch in lifting.batches(DATA, False, LOADING, CPU).epoch(0):
            metrics = metrics or lifting.metrics()
            prediction = lifting.predict(batch)
            assert not prediction["joints"][..., 0, :].any()  # relative to the root by definition
            metrics.update(prediction, batch)
    assert metrics is not None
    assert metrics.rows()[-1]["frames"] == 67
    windows = {1: "9 frames, the middle 1 taken of each", 4: "9 frames, the last 4 taken of each", None: "9 frames"}
    assert metrics.protocol()["windows"] == windows[options.get("step")]


@pytest.mark.slow
def test_windows_of_redrawn_people_are_learnt_frame_by_frame():
    lifting = Window3D(network(**CENTRED), **{**OPTIONS, "flip_augment": False})
    people = SimpleNamespace(
        name="redrawn", redraw=PLAIN, missing_joints=NONE, sequences=lambda split: takes()
    )  # what `Redrawn` and the task read of a dataset
    batch = next(lifting.batches(people, True, LOADING, CPU).epoch(0))
    assert batch["keypoints"].shape == (4, 9, 16, 3)
    assert batch["joints"].shape == (4, 9, 17, 3)
    # Each pose grows from frame to frame by a constant: its steps are those of the take.
    steps = batch["joints"].diff(dim=1)
    torch.testing.assert_close(steps[:, 4], steps[:, 3], atol=1e-5, rtol=0)
    assert lifting.model.joint_statistics.std.mean() > 0.05
    losses, _ = few_steps(lifting, batch, 4)
    assert losses[-1] < losses[0]
    for key, value in {"train_step": 5, "subset": 0.5, "flip_augment": True}.items():
        other = Window3D(network(**CENTRED), **{**OPTIONS, "flip_augment": False, key: value})
        with pytest.raises(ValueError, match=rf"task.{key}={value} does nothing with dataset=redrawn.*Set task.{key}="):
            other.batches(people, True, LOADING, CPU)


def published(model):
    """The weights of `model` under the authors' names, as their code saves them."""
    renamed = [
        ("blocks.", "layers."), ("attention_", "att_"), ("scale1", "layer_scale_1"), ("scale2", "layer_scale_2"),
        ("mixer.projection", "mixer.proj"), ("mixer.own", "mixer.U"), ("mixer.neighbours", "mixer.V"),
        ("mixer.norm", "mixer.batch_norm"), ("mlp.0", "mlp.fc1"), ("mlp.2", "mlp.fc2"),
        ("embedding", "joints_embed"), ("position", "pos_embed"), ("representation", "rep_logit.fc"),
    ]  # fmt: skip
    theirs = {}
    for name, tensor in model.state_dict().items():
        for ours, their in renamed:
            name = name.replace(ours, their)
        theirs[f"module.{name}"] = tensor
    return {name: tensor for name, tensor in theirs.items() if "adjacency" not in name}


def test_official_checkpoints_load_and_others_are_told_apart(tmp_path):
    source, file = network(num_frames=9, num_blocks=2), tmp_path / "motionagformer-xs.pth.tr"
    torch.save({"epoch": 3, "min_mpjpe": np.float64(45.1), "wandb_id": None, "model": published(source)}, file)
    lifting = Window3D(network(num_frames=9, num_blocks=2, neighbours=3), **OPTIONS)
    torch.nn.init.zeros_(lifting.model.head.weight)
    assert lifting.take_weights(file, "init") == "MotionAGFormer, authors' code"
    torch.testing.assert_close(lifting.model.head.weight, source.head.weight)
    other = Window3D(network(num_frames=10, num_blocks=3), **OPTIONS)
    with pytest.raises(ValueError, match=r"init=.* does not fit .* \d+ differences, .*\(9,\) for \(10,\)") as error:
        other.take_weights(file, "init")
    assert "trained with model.num_blocks=2 (here 3), model.num_frames=9 (here 10). Choose" in str(error.value)
    without_scores = Window3D(network(num_frames=9, num_blocks=2, keypoint_channels=2), **OPTIONS)
    with pytest.raises(ValueError, match=r"trained with model.keypoint_channels=3 \(here 2\)"):
        without_scores.take_weights(file, "init")


def test_scores_stay_with_their_keypoints_where_windows_are_mirrored():
    lifting = task(train_step=9)
    for batch in lifting.batches(DATA, True, SimpleNamespace(**{**vars(LOADING), "batch_size": 8}), CPU).epoch(0):
        for window, row in zip(batch["keypoints"], batch["index"].tolist(), strict=True):
            seen = {tuple(np.round(scores, 5)) for scores in window[..., 2].numpy()}
            takes = DATA.sequences("train")
            plain = {tuple(np.round(scores, 5)) for take in takes for scores in take.scores}
            left_and_right = [H36M_17.flip_index[j] for j in range(17)]
            mirrored = {tuple(np.round(scores[left_and_right], 5)) for take in takes for scores in take.scores}
            assert seen <= plain or seen <= mirrored, row


def test_the_flip_test_averages_with_the_mirrored_person():
    lifting = task()
    lifting.model.eval()
    batch = next(lifting.batches(DATA, False, LOADING, CPU).epoch(0))
    swap, keypoints = list(H36M_17.flip_index), batch["keypoints"]
    mirrored = keypoints[:, :, swap] * torch.tensor([-1.0, 1.0, 1.0])  # on the screen, x about zero; scores stay
    with torch.no_grad():
        back = lifting.model(mirrored)[:, :, swap] * torch.tensor([-1.0, 1.0, 1.0])
        expected = (lifting.model(keypoints) + back) / 2
        found = lifting.predict(batch)["joints"]
    torch.testing.assert_close(found[..., 1:, :], expected[..., 1:, :])


def test_windows_of_which_takes_are_shorter_are_told_and_refused_where_all_are(caplog):
    task().batches(DATA, True, LOADING, CPU)
    assert "1 of 2 training takes are shorter than a window of 9 frames" in caplog.text
    long = Window3D(network(num_frames=61, num_blocks=1), **OPTIONS)
    with pytest.raises(ValueError, match=r"window of 61 frames is longer than every .* the longest has 60 frames"):
        long.batches(DATA, True, LOADING, CPU)


def test_keypoints_without_scores_do_not_go_into_a_network_that_reads_them():
    bare = dataset(sequence(20, "S9", "Walking", "Walking 1", seed=1))
    with pytest.raises(ValueError, match=r"reads a score with every keypoint, and S9.* has none.*keypoint_channels=2"):
        task().batches(bare, True, LOADING, CPU)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"task=window3d needs a model .* Baseline3D gives one for the window"):
        Window3D(baseline(), **OPTIONS)
    with pytest.raises(ValueError, match=r"task=lifting3d needs a model that gives one pose .* Use task=window3d"):
        Lifting3D(network(num_frames=9, num_blocks=2), **{**ONE_POSE, "loss": "mpjpe"})
    with pytest.raises(ValueError, match=r"task.step must be from 1 to the 9 frames of a window, got 10"):
        task(step=10)
    with pytest.raises(ValueError, match=r"task.velocity and task.scaled must be 0 or more, got -1 and 0.5"):
        task(velocity=-1)
