"""One process of shared runs of every recipe: `torchrun ... -m tests.recipe_worker FOLDER fake|stub`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from anypose.engine.checkpoint import to_cpu
from tests.anypose.engine.toy_worker import pretend
from tests.test_recipes import RECIPES, make_trainer, small


def main(folder: Path, stand_in: str) -> None:
    """For each recipe, what every process ended with goes to FOLDER/<recipe>.pt."""
    pretend(stand_in)
    for recipe in RECIPES:
        cfg = small(recipe, "device=npu", "device.index=0", "trainer.capture=never")
        cfg.trainer.batch_size = 4
        cfg.trainer.ema = None  # an average is shared when it is scored; what is compared here is the weights
        trainer = make_trainer(cfg, folder / recipe)
        with trainer.world:
            trainer.fit()
            state = to_cpu(trainer.arithmetic.model_state(trainer.model))
            everyone = trainer.world.collect({"state": state, "scores": trainer.scores})
            if trainer.world.rank == 0:
                torch.save(everyone, folder / f"{recipe}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
