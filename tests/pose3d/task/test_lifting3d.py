from types import SimpleNamespace

import pytest
import torch
from torch import nn

from anypose.settings import Misuse
from anypose.shapes import IO
from anypose.skeleton import H36M_16, H36M_17, mirror
from pose3d.lifter import Lifter
from pose3d.model.baseline3d import Baseline3D
from pose3d.task.lifting3d import Lifting3D
from tests.pose3d.motion.random_motion import dataset, sequence

CPU = torch.device("cpu")
LOADING = SimpleNamespace(batch_size=16, seed=0, rank=0, world_size=1, drop_last=True)
OPTIONS = {
    "loss": "standardised_mse",
    "stride": 1,
    "subset": 1.0,
    "flip_augment": False,
    "flip_test": False,
    "bones": False,
    "joint_frame": "camera",
    "by_subject": False,
    "parity": None,
}
DATA = dataset(
    sequence(90, "S9", "Walking", "Walking 1", seed=1, learnable=True),
    sequence(50, "S11", "Sitting", "Sitting 2", seed=2, learnable=True),
)


def baseline(**options):
    defaults = {"linear_size": 64, "num_blocks": 1, "dropout": 0.0, "batch_norm": True, "batch_norm_eps": 1e-3}
    rest = {"residual": True, "max_weight_norm": 1.0, "input": "standardised", "predict_14": False}
    return Baseline3D(**{**defaults, **rest, "input_skeleton": "h36m_16", "output_skeleton": "h36m_17", **options})


def lifting(model=None, **options):
    return Lifting3D(model or baseline(), **{**OPTIONS, **options})


class Blur(Lifter):
    """A temporal stand-in: the mean of 5 frames of keypoints, as joints."""

    receptive_field = 5
    keypoint_frame = "screen"
    input_skeleton = H36M_17
    output_skeleton = H36M_17
    io = IO(inputs={"keypoints": ("B", "T", 17, 2)}, outputs={"joints": ("B", "T", 17, 3)})

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, keypoints):
        flat = keypoints.flatten(2).unfold(1, 5, 1).mean(-1).unflatten(-1, (17, 2))
        return self.scale * torch.cat([flat, flat[..., :1]], dim=-1)


def evaluate(task):
    task.model.eval()
    batches = task.batches(DATA, False, LOADING, CPU)
    metrics = task.metrics()
    with torch.inference_mode():
        for batch in batches.epoch(0):
            metrics.update(task.predict(batch), batch)
    return metrics


@pytest.mark.slow
def test_a_few_epochs_learn_the_training_set():
    torch.manual_seed(0)
    task = lifting()
    batches = task.batches(DATA, True, LOADING, CPU)
    optimizer = torch.optim.Adam(task.model.parameters(), lr=1e-3)
    losses = []
    for epoch in range(30):
        for batch in batches.epoch(epoch):
            loss, terms = task.loss(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(terms["standardised_mse"].item())
    assert sum(losses[-8:]) / 8 < 0.5 * sum(losses[:8]) / 8
    mean_pose = evaluate(lifting_of_the_mean()).compute()["mpjpe_mm"]
    assert evaluate(task).compute()["mpjpe_mm"] < 0.8 * mean_pose


def lifting_of_the_mean():
    task = lifting()
    task.batches(DATA, True, LOADING, CPU)
    nn.init.zeros_(task.model.head.weight)
    nn.init.zeros_(task.model.head.bias)
    return task


def test_statistics_are_fitted_on_the_training_split_alone():
    task = lifting()
    task.batches(DATA, False, LOADING, CPU)
    assert (task.model.joint_statistics.std == 1).all()
    task.batches(DATA, True, LOADING, CPU)
    assert (task.model.joint_statistics.std != 1).all()


def test_standardised_loss_is_the_mean_square_over_the_predicted_dimensions():
    torch.manual_seed(0)
    task = lifting()
    batch = next(iter(task.batches(DATA, True, LOADING, CPU).epoch(0)))
    task.model.eval()
    model = task.model
    outputs = model.head(model.trunk(model.keypoint_statistics(batch["keypoints"]).flatten(1)))
    targets = model.joint_statistics(batch["joints"][:, 0, 1:]).flatten(1)
    torch.testing.assert_close(task.loss(batch)[0], (outputs - targets).square().mean(), rtol=1e-4, atol=1e-6)


def test_mpjpe_loss_is_the_mean_distance_in_metres():
    task = lifting(Blur(), loss="mpjpe", stride=3)
    batch = next(iter(task.batches(DATA, True, LOADING, CPU).epoch(0)))
    assert batch["keypoints"].shape == (16, 7, 17, 2)
    assert batch["joints"].shape == (16, 3, 17, 3)
    expected = (task.model(batch["keypoints"]) - batch["joints"]).norm(dim=-1).mean()
    torch.testing.assert_close(task.loss(batch)[0], expected)


def test_flip_test_averages_with_the_mirrored_prediction():
    task = lifting(Blur(), loss="mpjpe", flip_test=True)
    batch = next(task.batches(DATA, False, LOADING, CPU).epoch(0))
    keypoints = batch["keypoints"]
    straight = task.model(keypoints)
    turned = mirror(task.model(mirror(keypoints, H36M_17)), H36M_17)
    torch.testing.assert_close(task.predict(batch)["joints"], (straight + turned) / 2)
    assert not torch.allclose(straight, turned)


def test_flip_test_in_pixels_mirrors_about_the_middle_of_the_picture():
    task = lifting(flip_test=True)
    task.model.eval()
    batch = next(task.batches(DATA, False, LOADING, CPU).epoch(0))
    mirrored = mirror(batch["keypoints"], H36M_16)
    mirrored[..., 0] += 1000
    expected = (task.model(batch["keypoints"]) + mirror(task.model(mirrored), H36M_17)) / 2
    torch.testing.assert_close(task.predict(batch)["joints"], expected, rtol=1e-4, atol=1e-5)


def test_evaluation_scores_every_frame_and_says_how():
    metrics = evaluate(lifting(Blur(), loss="mpjpe", flip_test=True))
    assert {row["action"]: row["frames"] for row in metrics.rows()} == {
        "Walking": 90,
        "Sitting": 50,
        "Average": 140,
        "Frame-wise": 140,
    }
    protocol = metrics.protocol()
    assert protocol["keypoints"] == "ground truth"
    assert protocol["flip_test"] is True
    assert protocol["notes"] == "made up"
    assert protocol["dropped"] == "nothing"


def test_a_temporal_model_is_scored_window_by_window():
    task = lifting(Blur(), loss="mpjpe")
    predicted = evaluate(task).arrays()["joints"]
    keypoints = task.evaluated[0].keypoints
    for start, end in ((0, 90), (90, 140)):
        for row in (start, start + 1, end - 1):
            window = torch.arange(row - 2, row + 3).clamp(start, end - 1)
            torch.testing.assert_close(
                torch.from_numpy(predicted[row]), task.model(keypoints[window][None])[0, 0].detach()
            )


def test_parity_with_the_seed_drops_the_rest_of_64():
    metrics = evaluate(lifting(parity="seed"))
    rows = {row["action"]: row for row in metrics.rows()}
    assert {name: row["frames"] for name, row in rows.items()} == {"Walking": 64, "Average": 64, "Frame-wise": 64}
    assert rows["Average"]["mpjpe_mm"] == rows["Walking"]["mpjpe_mm"]
    assert "1 actions" in metrics.protocol()["average"]


def test_the_world_frame_keeps_the_worlds_axes():
    task = lifting(joint_frame="world")
    task.batches(DATA, False, LOADING, CPU)
    world = DATA.sequences("validation")[0].joints
    packed = task.evaluated[0]
    torch.testing.assert_close(packed.joints[:90], torch.from_numpy(world - world[:, :1]))


def test_ranks_get_their_share():
    halves = [SimpleNamespace(**{**vars(LOADING), "rank": rank, "world_size": 2}) for rank in (0, 1)]
    rows = []
    for loading in halves:
        for batch in lifting().batches(DATA, True, loading, CPU).epoch(0):
            rows += batch["index"].tolist()
    assert len(rows) == len(set(rows)) == 128


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "l1"}, "task.loss must be standardised_mse or mpjpe, got 'l1'"),
        ({"joint_frame": "screen"}, "task.joint_frame must be camera or world, got 'screen'"),
        ({"joint_frame": "world", "flip_test": True}, "says nothing about joints in the world frame"),
        ({"parity": "paper"}, "parity must be null or seed, got 'paper'"),
        ({"model": Blur()}, "needs a model that standardises its joints; Blur does not"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        lifting(**options)


def test_a_model_of_another_task_is_refused_by_its_outputs():
    model = baseline()
    model.io = IO(inputs={}, outputs={"means": ("B",), "weights": ("B",)})
    with pytest.raises(ValueError, match=r"needs a model with output 'joints'; Baseline3D gives 'means, weights'"):
        lifting(model)


def test_scoring_before_any_evaluation_batch_is_an_error():
    with pytest.raises(ValueError, match="none were made"):
        lifting().metrics()


def test_a_subset_leaves_so_much_of_every_training_sequence_and_all_of_the_validation():
    task = lifting(subset=0.5)
    assert len(task.batches(DATA, True, LOADING, CPU).frames) == 45 + 25
    task.batches(DATA, False, LOADING, CPU)
    assert task.evaluated is not None
    assert len(task.evaluated[0]) == 90 + 50


@pytest.mark.parametrize(("key", "value"), [("stride", 2), ("subset", 0.5), ("flip_augment", True)])
def test_settings_that_redrawn_people_have_no_use_for_are_refused(key, value):
    data = dataset(sequence(20, "S1", "A", "A 1", seed=1))
    data.redraw = object()  # pyright: ignore
    model = baseline(input="centred", max_weight_norm=None)
    with pytest.raises(ValueError, match=rf"task.{key}={value} does nothing with dataset=.*Set task.{key}="):
        lifting(model, **{key: value}).batches(data, True, LOADING, CPU)


def test_bones_need_lines_of_sight_and_limbs():
    with pytest.raises(Misuse, match="lines of sight"):
        lifting(bones=True, joint_frame="world")
    assert lifting(bones=True).bones
