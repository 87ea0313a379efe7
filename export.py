"""Write a trained model as a file for other runtimes.    python export.py model=videopose3d format=onnx"""

from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from anypose.engine.command import command
from anypose.engine.durable import check_file
from anypose.engine.finding import products_folder
from anypose.engine.restore import build_task, choose_model, restore
from anypose.export.metadata import sha256
from anypose.export.om import Atc
from anypose.export.write import Options, export_network


@command("export", choose_model)
def main(cfg: DictConfig) -> None:
    """Write a trained model as a file for other runtimes."""
    config, state, checkpoint = restore(cfg)
    name = state["choices"]["model"]
    output = check_file(cfg.output or products_folder(checkpoint, name) / f"{name}.{cfg.format}", "output")
    task: Any = build_task(config, state, checkpoint)
    if cfg.pixels:
        from pose2d.network.pixels import PixelTask

        task = PixelTask(task)
    sizes = {letter: size for letter, size in cfg.sizes.items() if size is not None}
    export_network(
        task,
        output,
        cfg.format,
        Options(cfg.opset, cfg.dtype, sizes, list(cfg.dynamic), cfg.conv2d, cfg.streaming),
        Atc(cfg.soc_version, cfg.precision_mode, cfg.aipp, list(cfg.atc_options)),
        about={
            "checkpoint": str(checkpoint),
            "checkpoint_sha256": sha256(checkpoint),
            "choices": state["choices"],
            "config": OmegaConf.to_container(config, resolve=True),
        },
        real=instantiate(config.dataset) if cfg.real else None,
    )


if __name__ == "__main__":
    main()
