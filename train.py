"""Train a model.    python train.py model=baseline3d device=npu"""

from functools import partial

from hydra.utils import instantiate
from omegaconf import DictConfig

from anypose.engine.command import command
from anypose.engine.device import Device
from anypose.engine.distributed import World
from anypose.engine.finding import find_checkpoint
from anypose.engine.fitting import check_buildable
from anypose.engine.run import Run
from anypose.engine.task import Task
from anypose.engine.trainer import Trainer
from anypose.kernels.swap import Kernels


def build(cfg: DictConfig) -> Task:
    """The network, inside what trains it."""
    return instantiate(cfg.task, model=instantiate(cfg.model))


@command("train")
def main(cfg: DictConfig) -> float:
    """Train the model that the configuration names; return the last score, for sweeps."""
    device: Device
    with instantiate(cfg.device) as device, World(device) as world, Run.open(cfg, world.rank == 0) as run:
        check_buildable(partial(build, cfg), cfg.model)
        device.seed(cfg.seed)  # before the weights are drawn
        trainer = Trainer(
            task=build(cfg),
            dataset=instantiate(cfg.dataset),
            optimizer=instantiate(cfg.optimizer),
            schedule=instantiate(cfg.schedule),
            precision=instantiate(cfg.precision),
            device=device,
            world=world,
            run=run,
            kernels=partial(Kernels, cfg.kernels),
            seed=cfg.seed,
            **cfg.trainer,
        )
        checkpoint = world.broadcast(run.resumed)
        if checkpoint:
            trainer.resume(checkpoint)
        elif cfg.init:
            trainer.start_from(find_checkpoint(run.model, file=cfg.init, key="init"))
        score = trainer.fit()
        if cfg.pictures and world.rank == 0:
            from pose3d.drawing.pictures import draw_training

            draw_training(run.folder)
        return score


if __name__ == "__main__":
    main()
