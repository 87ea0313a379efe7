"""The stand-in itself: its numbers, its errors, its graphs."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn

from tests.npu_fake.tensors import Graph, Refused


def train(device: str, level: torch.dtype | None = None) -> tuple[float, nn.Module]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(4, 8, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(48, 3)
    )
    model.to(device)
    inputs = torch.randn(6, 4, 8).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(4):
        with torch.autocast(device, dtype=level, enabled=level is not None):
            loss = model(inputs).float().square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item(), model


@pytest.mark.parametrize("level", [None, torch.float16, torch.bfloat16])
def test_it_computes_what_the_cpu_computes(level):
    assert train("npu", level)[0] == train("cpu", level)[0]


def test_tensors_of_two_devices_do_not_mix():
    with pytest.raises(RuntimeError, match="to be on the same device"):
        torch.ones(2, device="npu") + torch.ones(2)
    with pytest.raises(RuntimeError, match="on the same device, but aten::cat got npu:0 and cpu"):
        torch.cat([torch.ones(2, device="npu"), torch.ones(2)])
    with pytest.raises(TypeError, match="can't convert npu:0 device type tensor to numpy"):
        torch.ones(2, device="npu").numpy()


def test_checkpoints_and_copies_move_between_devices():
    _, model = train("npu")
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    for device in ("cpu", "npu"):
        file.seek(0)
        state = torch.load(file, map_location=device, weights_only=True)
        assert {value.device.type for value in state.values()} == {device}
    twin = copy.deepcopy(model)
    with torch.no_grad():
        model[0].weight.zero_()
    assert twin[0].weight.abs().sum() > 0


def test_strict_mode_refuses_what_the_chip_lacks(strict):
    with pytest.raises(Refused, match=r"torch\.float64 is refused"):
        torch.ones(2, dtype=torch.float64).to("npu")
    with pytest.raises(Refused, match="aten::huber_loss is refused"):
        nn.functional.huber_loss(torch.ones(2, device="npu"), torch.zeros(2, device="npu"))


def test_recording_executes_nothing_and_replaying_reads_the_inputs_anew():
    x, total = torch.ones(3, device="npu"), torch.zeros(3, device="npu")
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        y = (x * 2).relu()
        total += y
    assert total.cpu().tolist() == [0, 0, 0]
    for value in (1.0, 5.0):
        x.fill_(value)
        graph.replay()
    assert y.cpu().tolist() == [10, 10, 10]
    assert total.cpu().tolist() == [12, 12, 12]


def test_a_recorded_training_step_equals_an_eager_one():
    ends = []
    for captured in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1)).to("npu")
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1, capturable=True)
        inputs = torch.randn(8, 4).to("npu")

        def step(model=model, optimizer=optimizer, inputs=inputs):
            optimizer.zero_grad()
            model(inputs).square().mean().backward()
            optimizer.step()

        step()
        graph = torch.npu.NPUGraph()
        if captured:
            with torch.npu.graph(graph):
                step()
        for _ in range(3):
            graph.replay() if captured else step()
        ends.append([parameter.detach().cpu() for parameter in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


@pytest.mark.parametrize("read", [lambda x: x.sum().item(), lambda x: x.cpu(), lambda x: bool(x[0] > 0)])
def test_while_recording_the_host_may_read_nothing(read):
    x = torch.ones(3, device="npu")
    with pytest.raises(RuntimeError, match="operation not permitted when stream is capturing"), Graph():
        read(x)
    assert Graph.recording is None
