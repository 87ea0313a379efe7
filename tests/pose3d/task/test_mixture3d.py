from types import SimpleNamespace

import pytest
import torch

from anypose.shapes import IO
from pose3d.model.baseline3d import Baseline3D
from pose3d.model.gmh_mdn import GMHMDN
from pose3d.motion.missing_joints import MissingJoints
from pose3d.task.mixture3d import Mixture3D
from tests.pose3d.motion.random_motion import camera, dataset, sequence

CPU = torch.device("cpu")
LOADING = SimpleNamespace(batch_size=16, seed=0, rank=0, world_size=1, drop_last=True)
OPTIONS = {
    "prior": 2.0,
    "distance": 0.0,
    "temperature": 1.0,
    "annealing_epochs": 0,
    "flip_augment": False,
    "select": "likely",
    "by_subject": False,
    "parity": None,
}
TRUNK = {
    "linear_size": 64, "num_blocks": 1, "dropout": 0.0, "batch_norm": True, "batch_norm_eps": 1e-3, "residual": True,
    "max_weight_norm": 1.0, "predict_14": False, "input_skeleton": "h36m_16", "output_skeleton": "h36m_17",
}  # fmt: skip
DATA = dataset(
    sequence(90, "S9", "Walking", "Walking 1", seed=1, learnable=True),
    sequence(70, "S11", "Sitting", "Sitting 2", seed=2, learnable=True),
)


def network(num_hypotheses=5):
    return GMHMDN(num_hypotheses=num_hypotheses, **TRUNK)


def mixture(model=None, **options):
    return Mixture3D(model or network(), **{**OPTIONS, **options})


def evaluate(task, data=DATA):
    task.model.eval()
    batches = task.batches(data, False, LOADING, CPU)
    metrics = task.metrics()
    with torch.inference_mode():
        for batch in batches.epoch(0):
            metrics.update(task.predict(batch), batch)
    return metrics


def test_the_loss_is_the_sources_written_out():
    torch.manual_seed(0)
    task = mixture()
    batch = next(iter(task.batches(DATA, True, LOADING, CPU).epoch(0)))
    task.model.eval()
    model = task.model
    features = model.trunk(model.keypoint_statistics(batch["keypoints"]).flatten(1))
    mu = model.means(features).view(16, 5, 48).double()
    sigma = (torch.nn.functional.elu(model.sigmas(features)) + 1).double()
    alpha = model.weights(features).softmax(-1).double()
    y = model.joint_statistics(batch["joints"][:, 0, 1:]).flatten(1).double()
    exponent = (
        alpha.log()
        - 24 * torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64))
        - 48 * sigma.log()
        - (y[:, None] - mu).square().sum(-1) / (2 * sigma**2)
    )
    nll = -exponent.exp().sum(-1).log().mean()
    prior = -alpha.log().sum(-1).mean()
    loss, terms = task.loss(batch)
    torch.testing.assert_close(loss.double(), nll + prior, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(terms["nll"].double(), nll, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(terms["prior"].double(), prior, rtol=1e-4, atol=1e-4)


def test_without_prior_there_is_no_prior():
    task = mixture(prior=None)
    batch = next(iter(task.batches(DATA, True, LOADING, CPU).epoch(0)))
    loss, terms = task.loss(batch)
    assert set(terms) == {"nll"}
    assert loss == terms["nll"]


def test_annealing_and_distance_are_what_they_say_written_out_frame_by_frame():
    torch.manual_seed(0)
    model = network()
    model.eval()
    task = mixture(model, distance=3.0, temperature=16.0, annealing_epochs=2)
    batch = next(iter(task.batches(DATA, True, LOADING, CPU).epoch(1, start=5)))
    assert batch["progress"].tolist() == [0.75] * 16  # epoch 1 and a half of 2
    loss, terms = task.loss(batch)
    means, sigmas, weights = (output[:, 0] for output in model(batch["keypoints"]))
    total = off = 0.0
    for i in range(16):
        target = (batch["joints"][i, 0, 1:] / model.joint_scale()).double()
        parts, distances = [], []
        for k in range(5):
            mean = (means[i, k, 1:] / model.joint_scale()).double()
            normal = torch.distributions.Normal(mean, sigmas[i, k].double())
            parts.append((weights[i, k].double().log() + normal.log_prob(target).sum()) / 2)  # 16 ** 0.25
            distances.append((target - mean).norm(dim=-1).sum())
        total += 2 * torch.stack(parts).exp().sum().log() / 16
        off += (
            sum(share * distance for share, distance in zip(torch.stack(parts).softmax(0), distances, strict=True)) / 16
        )
    assert terms["temperature"] == 2
    torch.testing.assert_close(terms["distance"].double(), off, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(loss.double(), -total + terms["prior"] + 3 * off, rtol=1e-4, atol=1e-4)


def test_after_annealing_the_loss_is_the_sources():
    torch.manual_seed(0)
    model = network()
    model.eval()
    annealed = mixture(model, temperature=48.0, annealing_epochs=1.5)
    batches = annealed.batches(DATA, True, LOADING, CPU)
    assert len(batches) == 10
    assert [float(batch["progress"][0]) for batch in batches.epoch(1)] == pytest.approx(
        [(10 + i) / 15 for i in range(5)] + [1.0] * 5
    )
    batch = next(iter(batches.epoch(2)))
    torch.testing.assert_close(annealed.loss(batch)[0], mixture(model).loss(batch)[0])


def test_annealing_goes_on_where_a_run_was_cut():
    batches = mixture(temperature=2.0, annealing_epochs=3).batches(DATA, True, LOADING, CPU)
    whole = list(batches.epoch(1))
    for batch, again in zip(whole[4:], batches.epoch(1, start=4), strict=True):
        assert batch.keys() == again.keys()
        assert all(torch.equal(batch[name], again[name]) for name in batch)


def test_at_a_high_temperature_every_hypothesis_learns_from_every_frame():
    torch.manual_seed(0)
    model = network()
    for parameter in model.sigmas.parameters():
        torch.nn.init.zeros_(parameter)  # equal sigmas, so that gradients compare
    gradients = {}
    for temperature in (1.0, 1e4):
        task = mixture(model, prior=None, temperature=temperature, annealing_epochs=temperature > 1)
        batch = next(iter(task.batches(DATA, True, LOADING, CPU).epoch(0)))
        model.zero_grad()
        task.loss(batch)[0].backward()
        gradients[temperature] = model.means.bias.grad.view(5, -1).norm(dim=1)
    assert gradients[1e4].min() > 0.5 * gradients[1e4].max()
    assert gradients[1.0].min() < 0.5 * gradients[1.0].max()


def test_the_loss_is_float32_under_autocast():
    task = mixture()
    batch = next(iter(task.batches(DATA, True, LOADING, CPU).epoch(0)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = task.loss(batch)
    assert loss.dtype == torch.float32


@pytest.mark.slow
def test_training_lowers_the_likelihood_and_the_errors():
    torch.manual_seed(0)
    task = mixture()
    batches = task.batches(DATA, True, LOADING, CPU)
    before = evaluate(task).compute()
    optimizer = torch.optim.Adam(task.model.parameters(), lr=1e-3)
    task.model.train()
    for epoch in range(25):
        for batch in batches.epoch(epoch):
            loss, _ = task.loss(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    after = evaluate(task).compute()
    assert after[task.monitor] < 0.8 * before[task.monitor]
    assert after["nll_nats"] < before["nll_nats"]


def test_the_monitor_names_the_number_of_hypotheses():
    task = mixture(network(num_hypotheses=3))
    assert task.monitor == "best_of_3_mpjpe_mm"
    assert task.monitor in evaluate(task).compute()


@pytest.mark.parametrize(
    ("where", "train", "test"), [("train", True, False), ("test", False, True), ("both", True, True)]
)
def test_joints_go_missing_where_they_are_asked_to(where, train, test):
    task, seen = mixture(), []
    data = dataset(*DATA.sequences("train"), missing_joints=MissingJoints(2, where))
    task.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    batch = next(iter(task.batches(data, True, LOADING, CPU).epoch(0)))
    task.loss(batch)
    whole = next(iter(mixture().batches(DATA, True, LOADING, CPU).epoch(0)))
    assert torch.equal(seen[-1], whole["keypoints"]) != train
    task.predict(next(iter(task.batches(data, False, LOADING, CPU).epoch(0))))
    whole = next(iter(mixture().batches(DATA, False, LOADING, CPU).epoch(0)))
    assert torch.equal(seen[-1], whole["keypoints"]) != test
    assert task.metrics().conditions["missing_joints"] == f"2 of every frame ({where})"


def test_mirrored_samples_double_the_training_set():
    assert len(mixture(flip_augment=True).batches(DATA, True, LOADING, CPU)) == 20
    assert len(mixture().batches(DATA, True, LOADING, CPU)) == 10


def test_parity_with_the_seed_drops_the_rest_of_64():
    metrics = evaluate(mixture(parity="seed"))
    assert [row["frames"] for row in metrics.rows()] == [64, 64, 128, 128]
    assert "64" in metrics.protocol()["dropped"]
    assert metrics.protocol()["alignment"].startswith("none but the root (MPJPE)")


def test_multiview_is_a_column_where_it_is_asked_for():
    views = [sequence(70, "S9", "Walking", "Walking 1", seed=1, view=camera(f"c{i}", seed=i)) for i in range(3)]
    scores = evaluate(mixture(select="multiview"), dataset(*views)).compute()
    assert "multiview_mpjpe_mm" in scores


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prior": -1.0}, "task.prior must be null or a positive concentration, got -1.0"),
        ({"distance": -0.5}, "task.distance must not be negative, got -0.5"),
        ({"temperature": 0.5}, "task.temperature=0.5 must be at least 1"),
        ({"temperature": 9.0}, "task.annealing_epochs=0 not negative; to anneal set both"),
        ({"annealing_epochs": 2}, "task.temperature=1.0 must be at least 1 .* to anneal set both"),
        ({"select": "best"}, "task.select must be likely or multiview, got 'best'"),
        ({"parity": "paper"}, "parity must be null or seed, got 'paper'"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mixture(**options)


def test_a_model_of_another_task_is_refused_by_its_outputs():
    with pytest.raises(ValueError, match="outputs 'means, sigmas, weights'; Baseline3D gives 'joints'"):
        mixture(Baseline3D(**TRUNK, input="standardised"))


def test_a_model_without_statistics_is_refused():
    model = network()
    model.joint_scale = lambda: None
    with pytest.raises(ValueError, match="standardises keypoints and joints; GMHMDN does not"):
        mixture(model)
    assert isinstance(model.io, IO)


def test_scoring_before_any_evaluation_batch_is_an_error():
    with pytest.raises(ValueError, match="none were made"):
        mixture().metrics()
