"""What a motion dataset holds, and should hold.    python -m anypose check dataset=h36m_cdf dataset.root=data/h36m"""

import sys

from hydra.utils import instantiate
from omegaconf import DictConfig

from anypose.engine.command import command
from anypose.engine.durable import check_folder
from pose3d.motion.inventory import SPLITS, for_videopose3d, report
from pose3d.motion.sequence import PoseSequence, Split
from pose3d.motion.videopose3d_files import write_videopose3d


@command("check")
def main(cfg: DictConfig) -> None:
    """Read both splits, print what is in them, and write them for VideoPose3D if asked to."""
    if cfg.videopose3d:
        check_folder(cfg.videopose3d, "videopose3d")
    dataset = instantiate(cfg.dataset)
    if not hasattr(dataset, "sequences"):
        raise ValueError(f"`check` counts motion, and dataset={dataset.name} is of pictures.")
    print(f"Reading both splits of {dataset.name}: a large dataset takes minutes.", file=sys.stderr, flush=True)
    sequences: dict[Split, list[PoseSequence]] = {split: dataset.sequences(split) for split in SPLITS}
    print(*report(dataset, sequences), sep="\n")
    if cfg.videopose3d:
        views = [view for split in SPLITS for view in for_videopose3d(sequences[split], split)]
        print(*(f"wrote {file}" for file in write_videopose3d(cfg.videopose3d, views)), sep="\n")


if __name__ == "__main__":
    main()  # pyright: ignore[reportCallIssue]
