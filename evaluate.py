"""Evaluate a trained model.    python evaluate.py model=baseline3d"""

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from anypose.engine.command import command
from anypose.engine.device import Device
from anypose.engine.distributed import World
from anypose.engine.durable import check_file, check_folder
from anypose.engine.evaluation import evaluate
from anypose.engine.restore import build_task, choose_model, restore, results_folder, typed_keys
from anypose.engine.results import describe_weights, finite, report, write_predictions
from anypose.engine.task import Loading, make_batches
from anypose.kernels.swap import Kernels


@command("evaluate", choose_model)
def main(cfg: DictConfig) -> float:
    """Score a trained model, print the table and write the results; return the score."""
    config, state, path = restore(cfg)
    folder = check_folder(cfg.output or results_folder(path, state), "output")
    predictions = cfg.predictions and check_file(cfg.predictions, "predictions")
    device: Device
    with instantiate(config.device) as device, World(device) as world:
        dataset = instantiate(config.dataset)
        if cfg.init:
            from pose3d.lifting.elsewhere import task_elsewhere

            task = task_elsewhere(config, typed_keys(), state["choices"]["model"], path, dataset, device.torch)
        else:
            task = build_task(config, state, path)
        task.model.to(device.torch)
        size = config.trainer.evaluation_batch_size or config.trainer.batch_size
        loading = Loading(size, config.seed, world.rank, world.size, config.trainer.workers, drop_last=False)
        batches = make_batches(task, dataset, False, loading, device.torch)
        instantiate(config.precision).resolve(device).prepare(task.model)
        Kernels(cfg.kernels, task.model)
        where = str(device)
        if cfg.runtime != "torch":
            from anypose.export.runtime import compute_with

            name = state["choices"]["model"]
            where = compute_with(task, cfg.runtime, cfg.network, path, name, str(device.torch))
        part = cfg.trainer.evaluation_batches  # never the run's own: a smoke run may be scored whole
        metrics, scores = evaluate(task, batches, device, world, part)
        if world.rank == 0:
            settings = OmegaConf.to_container(config, resolve=True)
            print(report(metrics, folder, where, path, describe_weights(state, path), settings, part))
            if predictions:
                write_predictions(predictions, metrics)
            if cfg.pictures or cfg.frames:
                from pose3d.drawing.pictures import draw_evaluation

                draw_evaluation(metrics, folder, cfg.frames)
        return finite(scores[task.monitor], task.monitor, metrics)


if __name__ == "__main__":
    main()
