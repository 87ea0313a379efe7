"""Two and four processes over gloo equal one; a dead one ends the job."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
import torch

from tests.anypose.engine.toy import make_trainer

# Of several processes Linux and macOS alone: a session of them is ended as one.
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no sessions of processes")
TOY = "tests.anypose.engine.toy_worker"
PLAIN = {"dropout": 0.0, "batch_norm": False}  # both depend on which process sees a sample


def torchrun(
    repository: Path, folder: Path, processes: int, module: str, argument: str
) -> subprocess.CompletedProcess[str]:
    folder.mkdir(parents=True, exist_ok=True)
    launcher = launch(
        ["--standalone", "--nproc-per-node", str(processes), "-m", module, str(folder), argument], repository, PIPE
    )
    try:
        output, errors = launcher.communicate(timeout=300)
    finally:
        leave_none(launcher)
    return subprocess.CompletedProcess(launcher.args, launcher.returncode, output, errors)


def launch(words: list[str], repository: Path, pipe: int | None = None) -> subprocess.Popen[str]:
    """torchrun in a session of its own, so that whatever it starts can be ended with it."""
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *words],
        cwd=repository,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
    )


def leave_none(launcher: subprocess.Popen[str]) -> None:
    """End what is left of a launcher's session: a worker would wait half an hour for one that is gone."""
    with suppress(ProcessLookupError):
        os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
    for line in subprocess.run(["ps", "-eo", "sid,pid"], capture_output=True, text=True).stdout.splitlines()[1:]:
        session, process = map(int, line.split())
        if session == launcher.pid:  # a worker has a group of its own
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def run(repository: Path, folder: Path, processes: int, **settings: Any) -> list[dict[str, Any]]:
    """What every process ended with."""
    done = torchrun(repository, folder, processes, TOY, json.dumps(settings))
    assert done.returncode == 0, done.stdout + done.stderr
    return torch.load(folder / "everyone.pt", weights_only=True)


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["loss"] for line in lines if line["split"] == "train"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run of one process: its folder and its trainer after the end."""
    folder = tmp_path_factory.mktemp("alone")
    trainer = make_trainer(folder, net=PLAIN)
    trainer.fit()
    return folder, trainer


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "validation"), [(2, 20), (4, 3)])
def test_processes_share_one_run(repository, tmp_path, alone, processes, validation):
    folder, trainer = alone
    everyone = run(repository, tmp_path, processes, net=PLAIN, validation=validation)
    assert len(everyone) == processes
    for other in everyone[1:]:
        for name, value in everyone[0]["state"].items():
            assert torch.equal(value, other["state"][name]), f"{name} differs between processes"
        assert other["scores"] == everyone[0]["scores"]
    # The same global batches as one process: the losses differ by the order of a sum.
    assert losses(tmp_path) == pytest.approx(losses(folder), rel=1e-4)
    for name, value in trainer.arithmetic.model_state(trainer.model).items():
        torch.testing.assert_close(everyone[0]["state"][name], value, rtol=1e-4, atol=1e-5)
    # Every sample is scored once (the toy's metrics assert it), also where a process has none.
    assert everyone[0]["scores"]["frames"] == validation
    if validation == 20:
        assert everyone[0]["best"] == pytest.approx(trainer.best, rel=1e-4)
    assert (tmp_path / "last.pt").is_file()


@pytest.mark.slow
def test_a_run_resumes_with_another_number_of_processes(repository, tmp_path, alone):
    folder, _ = alone
    run(repository, tmp_path, 2, net=PLAIN, max_steps=13)
    trainer = make_trainer(tmp_path, net=PLAIN)
    trainer.resume(tmp_path / "last.pt")
    trainer.fit()
    assert losses(tmp_path)[-1] == pytest.approx(losses(folder)[-1], rel=1e-4)


@pytest.mark.slow
def test_processes_resume_bit_for_bit_with_dropout_and_batchnorm(repository, tmp_path):
    whole = run(repository, tmp_path / "whole", 2)
    run(repository, tmp_path / "parts", 2, max_steps=13)
    parts = run(repository, tmp_path / "parts", 2, resume=str(tmp_path / "parts" / "last.pt"))
    for a, b in zip(whole, parts, strict=True):
        assert all(torch.equal(value, b["state"][name]) for name, value in a["state"].items())


@pytest.mark.slow
def test_o2_is_shared_too(repository, tmp_path, alone):
    everyone = run(repository, tmp_path, 2, net=PLAIN, level="o2", loss_scale="dynamic")
    assert torch.equal(everyone[0]["state"]["last.weight"], everyone[1]["state"]["last.weight"])
    assert losses(tmp_path) == pytest.approx(losses(alone[0]), rel=2e-2)


@pytest.mark.slow
def test_two_hosts_find_each_other_and_share_one_run(repository, tmp_path, alone):
    """Both are this one, each with a launcher of its own, as docs/devices.md has the line."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    line = [
        *("--nnodes", "2", "--nproc-per-node", "1"),
        *("--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{port}"),
        *("-m", TOY, str(tmp_path), json.dumps({"net": PLAIN})),
    ]
    hosts = [launch(line, repository) for _ in range(2)]
    try:
        assert [host.wait(timeout=300) for host in hosts] == [0, 0]
    finally:
        for host in hosts:
            leave_none(host)
    assert len(torch.load(tmp_path / "everyone.pt", weights_only=True)) == 2
    assert losses(tmp_path) == pytest.approx(losses(alone[0]), rel=1e-4)


@pytest.mark.slow
def test_a_dead_process_ends_the_job_with_its_error(repository, tmp_path):
    begun = time.monotonic()
    done = torchrun(repository, tmp_path, 2, TOY, json.dumps({"net": PLAIN, "dies": 13}))
    assert done.returncode != 0
    assert "rank 1 has lost its data" in done.stderr
    assert time.monotonic() - begun < 120, "the other process must not wait for it"
    assert (tmp_path / "last.pt").is_file(), "the epoch before it is kept"


@pytest.mark.slow
def test_linear_scaling_takes_more_samples_at_a_larger_rate(repository, tmp_path):
    run(repository, tmp_path, 2, net=PLAIN, linear_scaling=True, batch_size=4, learning_rate=0.005, epochs=1)
    trainer = make_trainer(tmp_path / "one", net=PLAIN, epochs=1)  # batch 8, rate 0.01
    trainer.fit()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[0]["lr"] == pytest.approx(0.01)
    assert losses(tmp_path) == pytest.approx(losses(tmp_path / "one"), rel=1e-4)


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path, monkeypatch):
    class Three:
        rank, size = 0, 3

    from tests.anypose.engine import toy

    monkeypatch.setattr(toy, "World", lambda device: Three())
    with pytest.raises(ValueError, match=r"trainer.batch_size=8 is over all processes and must divide by 3 of them"):
        make_trainer(tmp_path)


def test_batchnorm_over_processes_needs_a_device_that_can(tmp_path, monkeypatch):
    from anypose.engine.distributed import World

    monkeypatch.setattr(World, "__init__", lambda self, device: vars(self).update(rank=0, size=2, device=device))
    with pytest.raises(ValueError, match=r"trainer.sync_batchnorm=true needs device=cuda or device=npu"):
        make_trainer(tmp_path, sync_batchnorm=True)


class Two:
    """The second of two processes, as far as a trainer asks while it is built."""

    rank, size = 1, 2

    def wrap(self, module: torch.nn.Module) -> torch.nn.Module:
        return module

    def broadcast(self, value: Any) -> Any:
        return value


def test_linear_scaling_doubles_batch_and_rate_of_two_processes(tmp_path, monkeypatch):
    from tests.anypose.engine import toy

    monkeypatch.setattr(toy, "World", lambda device: Two())
    scaled = make_trainer(tmp_path, linear_scaling=True, learning_rate=0.01, batch_size=8, capture="never")
    assert scaled.batch_size == 16
    assert scaled.schedule.set_rate(scaled.optimizer, 0, 0) == pytest.approx(0.02)
    plain = make_trainer(tmp_path, learning_rate=0.01, batch_size=8, capture="never")
    assert plain.batch_size == 8
    assert plain.schedule.set_rate(plain.optimizer, 0, 0) == pytest.approx(0.01)


def test_every_process_scores_with_the_buffers_of_the_first(tmp_path, monkeypatch):
    """Each has BatchNorm statistics with its own last batch in them: scored with those, scores would differ."""
    import torch.distributed as dist

    from anypose.engine.distributed import World
    from anypose.engine.evaluation import evaluate

    trainer = make_trainer(tmp_path)
    world = trainer.world
    shared = []

    def from_first(buffer: torch.Tensor, src: int) -> None:
        assert src == 0
        shared.append(buffer)
        buffer.fill_(3)

    monkeypatch.setattr(dist, "broadcast", from_first)
    monkeypatch.setattr(world, "size", 2)
    monkeypatch.setattr(World, "collect", lambda self, value: [value])
    monkeypatch.setattr(World, "broadcast", lambda self, value: value)
    evaluate(trainer.task, trainer.validation, trainer.device, world)
    assert len(shared) == len(list(trainer.model.buffers())) > 3
    assert all((buffer == 3).all() for buffer in trainer.model.buffers())
