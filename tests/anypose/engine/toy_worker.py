"""A process of a run of the toy task: `torchrun ... -m tests.anypose.engine.toy_worker FOLDER '{"settings": ...}'`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from anypose.engine import distributed
from anypose.engine.checkpoint import to_cpu
from anypose.engine.device import Npu
from tests.anypose.engine.toy import ToyData, ToyTask, make_trainer


class DiesAt(ToyTask):
    """Rank 1 raises in one of its steps."""

    def __init__(self, model: torch.nn.Module, step: int) -> None:
        super().__init__(model)
        self.calls, self.step = 0, step

    def loss(self, batch: dict[str, torch.Tensor]) -> Any:
        if self.calls == self.step and os.environ["RANK"] == "1":
            raise RuntimeError("rank 1 has lost its data")
        self.calls += 1
        return super().loss(batch)


def pretend(stand_in: str) -> Npu:
    """An npu in pure Python ("fake"), or the real torch_npu over stand-in libraries ("stub")."""
    from tests.npu_fake import hccl

    if stand_in == "fake":
        from tests.npu_fake import stand_in as fake
        from tests.npu_fake.tensors import to_host

        fake.install()
    else:
        from tests.npu_stub import kernels
        from tests.npu_stub.kernels import to_host

        kernels.install()
    hccl.install(to_host)
    return Npu(0, False, jit_compile=False, internal_format=False, hf32=True, hf32_evaluation=False)


def main(folder: Path, settings: dict[str, Any]) -> None:
    """Args: settings: of `make_trainer`, and `resume`, `dies` (a step), `npu` (which stand-in computes),
    `validation` (so many samples).
    """
    resume, dies = settings.pop("resume", None), settings.pop("dies", None)
    stand_in, validation = settings.pop("npu", None), settings.pop("validation", 20)
    if stand_in:
        settings["device"] = pretend(stand_in)
    task = ToyTask if dies is None else lambda net: DiesAt(net, dies)
    trainer = make_trainer(folder, task=task, data=ToyData(validation=validation), **settings)
    with trainer.world:
        if resume:
            trainer.resume(Path(resume))
        best = trainer.fit()
        state = to_cpu(trainer.arithmetic.model_state(trainer.model))
        everyone = trainer.world.collect({"state": state, "best": best, "scores": trainer.scores})
        if trainer.world.rank == 0:
            torch.save(everyone, folder / "everyone.pt")


if __name__ == "__main__":
    assert distributed.BACKENDS
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
