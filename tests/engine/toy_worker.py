"""One process of a run of the toy task: `torchrun ... -m tests.engine.toy_worker FOLDER '{"settings": ...}'`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from engine import distributed
from tests.engine.toy import ToyTask, make_trainer


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


def main(folder: Path, settings: dict[str, Any]) -> None:
    resume, dies = settings.pop("resume", None), settings.pop("dies", None)
    if settings.pop("stand_in", False):
        from tests.npu_fake import fake_hccl

        fake_hccl.install()
    task = ToyTask if dies is None else lambda net: DiesAt(net, dies)
    trainer = make_trainer(folder, task=task, **settings)
    with trainer.world:
        if resume:
            trainer.resume(Path(resume))
        best = trainer.fit()
        state = trainer.arithmetic.model_state(trainer.model)
        everyone = trainer.world.collect({"state": state, "best": best, "scores": trainer.scores})
        if trainer.world.rank == 0:
            torch.save(everyone, folder / "everyone.pt")


if __name__ == "__main__":
    assert distributed.BACKENDS
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
