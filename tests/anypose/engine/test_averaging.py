"""The weights' moving average: what it is, where it goes, and that a run resumes with it bit for bit."""

import pytest
import torch

from anypose.engine import checkpoint
from anypose.engine.evaluation import evaluate
from tests.anypose.engine.toy import make_trainer


@pytest.mark.slow
def test_the_average_is_the_recurrence_over_the_weights_of_all_steps(tmp_path):
    trainer = make_trainer(tmp_path, ema=0.7, epochs=1)
    start = {name: value.double().clone() for name, value in trainer.model.state_dict().items()}
    history, plain = [], trainer.train_step

    def watched(batch):
        result = plain(batch)
        history.append({name: value.double().clone() for name, value in trainer.model.state_dict().items()})
        return result

    trainer.train_step = watched
    trainer.fit()
    assert len(history) == 10
    for name, expected in start.items():
        for step, weights in enumerate(history, start=1):
            decay = min(0.7, step / (step + 10))
            expected = decay * expected + (1 - decay) * weights[name]
        if name == "norm.num_batches_tracked":
            expected = history[-1][name]
        torch.testing.assert_close(trainer.average.weights[name].double(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(("level", "scale"), [("fp32", None), ("o2", "dynamic")])
@pytest.mark.parametrize("stop", [10, 13], ids=["epoch's end", "inside an epoch"])
def test_a_run_with_an_average_resumes_bit_for_bit(tmp_path, level, scale, stop):
    settings = {"level": level, "loss_scale": scale, "ema": 0.9}
    whole = make_trainer(tmp_path / "whole", **settings)
    whole.fit()
    make_trainer(tmp_path / "parts", **settings, max_steps=stop).fit()
    resumed = make_trainer(tmp_path / "parts", **settings)
    resumed.resume(tmp_path / "parts" / "last.pt")
    resumed.fit()
    first, second = (checkpoint.load(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    for weights in ("model", "trained"):
        assert all(torch.equal(first[weights][name], second[weights][name]) for name in first[weights])


def test_evaluating_leaves_the_trained_weights_as_they_were(tmp_path):
    """Averaging changes no step: the weights beneath are those of a run without it."""
    plain = make_trainer(tmp_path / "plain", level="o2", loss_scale="dynamic")
    plain.fit()
    averaged = make_trainer(tmp_path / "averaged", level="o2", loss_scale="dynamic", ema=0.9)
    averaged.fit()
    trained = checkpoint.load(tmp_path / "averaged" / "last.pt")["trained"]
    expected = checkpoint.load(tmp_path / "plain" / "last.pt")["model"]
    assert all(torch.equal(trained[name], expected[name]) for name in expected)


def test_the_average_is_what_is_scored_and_saved(tmp_path):
    trainer = make_trainer(tmp_path, ema=0.9)
    trainer.fit()
    state = checkpoint.load(tmp_path / "last.pt")
    assert not torch.equal(state["model"]["first.weight"], state["trained"]["first.weight"])
    trainer.model.load_state_dict(state["model"])
    _, scores = evaluate(trainer.task, trainer.validation, trainer.device, trainer.world)
    assert scores == state["metrics"]


def test_an_average_begins_where_a_run_without_one_stopped_and_can_be_dropped(tmp_path):
    make_trainer(tmp_path / "run", max_steps=10).fit()
    saved = checkpoint.load(tmp_path / "run" / "last.pt")["model"]
    begun = make_trainer(tmp_path / "run", ema=0.9)
    begun.resume(tmp_path / "run" / "last.pt")
    assert all(torch.equal(begun.average.weights[name], saved[name]) for name in saved)
    begun.fit()
    trained = checkpoint.load(tmp_path / "run" / "last.pt")["trained"]
    dropped = make_trainer(tmp_path / "run")
    dropped.resume(tmp_path / "run" / "last.pt")
    assert all(torch.equal(value, trained[name]) for name, value in dropped.model.state_dict().items())


@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0])
def test_a_decay_outside_of_0_to_1_is_refused(tmp_path, decay):
    with pytest.raises(ValueError, match=rf"trainer.ema must lie between 0 and 1, or be null for none; got {decay}"):
        make_trainer(tmp_path, ema=decay)
