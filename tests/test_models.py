"""Every model of conf/model, found by its file: shapes as promised, a gradient for every parameter, no batch mixing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import Tensor, nn

from anypose.settings import Misuse
from tests.composing import composed

CONF = Path(__file__).resolve().parents[1] / "conf"
MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
LETTERS = {"B": 3, "H": 64, "W": 64, "P": 2}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> nn.Module:
    cfg = composed("train", f"model={request.param}")
    torch.manual_seed(0)
    return instantiate(cfg.model)


def inputs_of(model: Any) -> list[Tensor]:
    sizes = LETTERS | {"T": getattr(model, "receptive_field", 1) + 2}
    torch.manual_seed(1)
    return [
        torch.randn([size if isinstance(size, int) else sizes[size] for size in shape])
        for shape in model.io.inputs.values()
    ]


def outputs_of(model: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    found = model(*inputs)
    if isinstance(found, dict):
        return list(found.values())
    return [found] if isinstance(found, Tensor) else list(found)


def size_of(expression: int | str, inputs: dict[str, int]) -> int | None:
    """The value of "T" or "T - 26"; None for a letter that no input fixes."""
    if isinstance(expression, int):
        return expression
    letter, _, less = expression.partition(" - ")
    return inputs[letter] - int(less or 0) if letter in inputs else None


def test_outputs_have_the_shapes_that_io_promises(model):
    inputs = inputs_of(model.eval())
    letters = {}
    for tensor, shape in zip(inputs, model.io.inputs.values(), strict=True):
        letters |= {name: size for name, size in zip(shape, tensor.shape, strict=True) if isinstance(name, str)}
    with torch.no_grad():
        outputs = outputs_of(model, inputs)
    for (name, shape), tensor in zip(model.io.outputs.items(), outputs, strict=True):
        assert len(shape) == tensor.dim(), name
        wanted = [size_of(size, letters) for size in shape]
        fixed = [(want, found) for want, found in zip(wanted, tensor.shape, strict=True) if want is not None]
        assert all(want == found for want, found in fixed), f"{name}: {shape} promised, {tuple(tensor.shape)} found"
        assert tensor.isfinite().all()


def test_every_parameter_gets_a_gradient(model):
    model.train().zero_grad()
    outputs = outputs_of(model, inputs_of(model))
    sum((output * torch.randn_like(output)).sum() for output in outputs).backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle
    model.zero_grad()


def test_in_evaluation_a_sample_does_not_see_its_batch(model):
    model.eval()
    inputs = inputs_of(model)
    with torch.no_grad():
        together = outputs_of(model, inputs)
        alone = outputs_of(model, [tensor[1:2] for tensor in inputs])
    for whole, one in zip(together, alone, strict=True):
        torch.testing.assert_close(whole[1:2], one, rtol=1e-4, atol=1e-5)


def test_in_evaluation_the_same_input_gives_the_same_output(model):
    model.eval()
    inputs = inputs_of(model)
    with torch.no_grad():
        first, second = outputs_of(model, inputs), outputs_of(model, inputs)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    "word",
    [
        "model.num_blocks=-1", "model.linear_size=0", "model.max_weight_norm=-1", "model.max_weight_norm=0",
        "model.max_weight_norm=1e300",
        "model.batch_norm_eps=0", "model.dropout=2", "model=videopose3d model.channels=0",
        "model=videopose3d model.dropout=-0.5", "model=gmh_mdn model.num_hypotheses=0",
        "model=window_mlp model.num_blocks=-1", "model=window_tcn model.channels=0",
        "model=motionagformer model.num_heads=0",
        "model=motionagformer model.representation=-1", "model=simplebaseline model.num_keypoints=0",
        "model=simplebaseline model.bn_eps=-1", "model=total_capture model.num_stages=0",
        "task.stride=0", "task.subset=0", "task.subset=2", "model=videopose3d task.stride=-1",
        "model=motionagformer task.subset=-1", "model=videopose3d task=semi_supervised task.labelled_share=0",
        "model=videopose3d task=semi_supervised task.stride=0",
    ],
)  # fmt: skip
def test_a_number_that_no_network_or_task_can_have_is_refused_by_its_key(word: str) -> None:
    cfg = composed("train", *word.split())
    key = word.split()[-1].partition("=")[0].rpartition(".")[2]
    with pytest.raises(InstantiationException) as caught:
        instantiate(cfg.task, model=instantiate(cfg.model))
    assert isinstance(caught.value.__cause__, Misuse)
    assert key in str(caught.value.__cause__)
