"""What a checkpoint says of how far its run had come is held against what a run writes, before anything is trained."""

import copy

import pytest
import torch

from anypose.engine import checkpoint
from anypose.engine.progress import Progress
from tests.anypose.engine.toy import make_trainer


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    make_trainer(folder, epochs=1).fit()
    return checkpoint.load(folder / "last.pt")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"best": "low"}, "its best must be a number, or none, found 'low'"),
        ({"best": torch.zeros(3)}, "its best must be a number"),
        ({"scored": [3]}, r"its scored must be a whole number from 0, or none, found \[3\]"),
        ({"metrics": {"error_mm": "low"}}, "its metrics must be scores by name"),
        ({"step": 10**30}, "its step must be a whole number from 0"),
        ({"epoch": -1}, "its epoch must be a whole number"),
        ({"batch": True}, "its batch must be a whole number"),
        ({"batch": 10**6, "epoch": 0}, "its batch 1000000 must be below the 10 of an epoch"),
        ({"batch_size": "8"}, "its batch_size must be a whole number"),
        ({"batches": 1.5}, "its batches must be a whole number from 0, or none"),
        ({"rng": [torch.zeros(3)]}, "its rng must be states of random generators"),
        ({"rng": [{"cpu": torch.zeros(7)}]}, "its rng must be states"),
        ({"rng": [{"cpu": torch.zeros(7, dtype=torch.uint8)}]}, "its rng must be states"),
        ({"rng": [{}]}, "its rng must be states"),
        ({"kernels": ["packed"]}, "its kernels must be ways by kinds of layers"),
        ({"kernels": {"dropout": ["packed"]}}, "its kernels must be ways"),
    ],
)
def test_what_no_run_writes_is_named(written, tmp_path, changed, told):
    checkpoint.save(tmp_path / "last.pt", written | changed)
    with pytest.raises(ValueError, match=rf"last.pt: {told}"):
        make_trainer(tmp_path / "again", epochs=2).resume(tmp_path / "last.pt")


def _of(values, name, value):
    return {place: {**kept, name: value} for place, kept in values.items()}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        # A fused step takes the shape for granted, and wrote beyond the end.
        (
            lambda kept: _of(kept, "exp_avg", torch.zeros(1)),
            r"exp_avg of parameter 0 must have its shape .*found \(1,\)",
        ),
        (lambda kept: _of(kept, "step", torch.zeros(3)), r"step of parameter 0 .*or be one number; found \(3,\)"),
        (lambda kept: _of(kept, "step", "x"), "step of parameter 0 .*found 'x'"),
        (lambda kept: _of(kept, "exp_avg", 0.5), "exp_avg of parameter 0 .*found 0.5"),
        (
            lambda kept: _of(kept, "evil", torch.zeros(4)),
            "it keeps step, exp_avg, exp_avg_sq of parameter 0, found step",
        ),
        (lambda kept: {place: {"step": torch.zeros(())} for place in kept}, "it keeps step, .* found step"),
        (lambda kept: {str(place): values for place, values in kept.items()}, "and the file something for '0'"),
        (lambda kept: kept | {99: kept[0]}, "and the file something for 99"),
        (lambda kept: list(kept.values()), "'list' object has no attribute 'items'"),
    ],
)
def test_an_optimiser_takes_back_what_it_keeps_alone(written, tmp_path, change, told):
    changed = change(copy.deepcopy(written["optimizer"]))
    checkpoint.save(tmp_path / "last.pt", written | {"optimizer": changed})
    with pytest.raises(ValueError, match=rf"last.pt: the state of its optimizer does not fit .*{told}"):
        make_trainer(tmp_path / "again", epochs=2).resume(tmp_path / "last.pt")


@pytest.mark.parametrize("where", ["model", "trained"])
def test_an_average_and_the_weights_behind_it_are_both_the_model_s(tmp_path, where):
    trainer = make_trainer(tmp_path / "run", ema=0.9, epochs=1)
    trainer.fit()
    state = checkpoint.load(tmp_path / "run" / "last.pt")
    name = next(iter(state[where]))
    checkpoint.save(tmp_path / "last.pt", state | {where: {**state[where], name: torch.zeros(1)}})
    with pytest.raises(ValueError, match=rf"last.pt does not fit .*of another shape \({name}"):
        make_trainer(tmp_path / "again", ema=0.9, epochs=2).resume(tmp_path / "last.pt")


def test_epochs_that_come_out_short_are_told_and_what_was_meant_is_not(caplog):
    caplog.set_level("INFO")
    Progress.tell_few(2, 4, 28)  # somebody said so many
    Progress.tell_few(2, None, 1125)
    assert caplog.messages == []
    Progress.tell_few(2, None, 28)
    assert caplog.messages == [
        "trainer.epochs=2 of 28 steps each: 56 in all, few for most networks; trainer.epochs=36 has 1,000."
    ]
