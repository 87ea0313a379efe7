"""What the pose networks of other projects are shown and give: settings that their weights mean nothing without."""

from __future__ import annotations

from dataclasses import dataclass

from pose2d.images.image import IMAGENET_MEAN, IMAGENET_STD, Normalization
from pose2d.network.heatmap import Coding


@dataclass(frozen=True)
class Lineage:
    """One project's networks.

    Attributes:
        experiment: the file of conf/experiment that has its settings.
        normalization: of the pixels.
        aligned: UDP's convention; None where the project has networks of both.
        peak: height of a certain keypoint.
    """

    experiment: str
    normalization: Normalization
    aligned: bool | None
    peak: float


_BGR = Normalization("bgr", IMAGENET_MEAN, IMAGENET_STD)  # BGR pixels, numbers in RGB order: as they were trained
_RGB = Normalization("rgb", IMAGENET_MEAN, IMAGENET_STD)
_TF = Normalization("bgr", (123.68, 116.78, 103.94), (1.0, 1.0, 1.0))
LINEAGES = {  # by what `pose2d.network.weights.convert` takes a file for
    "microsoft or this project": Lineage("simplebaseline_coco_msra", _BGR, False, 1.0),
    "TF-slim or mks0601": Lineage("simplebaseline_coco_mks", _TF, False, 255.0),
    "mmpose": Lineage("simplebaseline_coco_modern", _RGB, None, 1.0),
}


def check_lineage(source: str, normalization: Normalization, coding: Coding, where: str) -> None:
    """Refuse to score a network with other settings than it was trained with.

    Args:
        source: whose it is.
        normalization, coding: the settings.
        where: the file, as the user named it.

    Raises:
        ValueError: with the settings that differ and what sets them all.
    """
    lineage = LINEAGES.get(source)
    if lineage is None:
        raise ValueError(f"{where} is from {source}: weights to start a training from (task.weights=), not to score.")
    wanted = {
        "channels": lineage.normalization.channels,
        "mean": list(lineage.normalization.mean),
        "std": list(lineage.normalization.std),
        "peak": lineage.peak,
    } | ({} if lineage.aligned is None else {"aligned": lineage.aligned})
    found = {
        "channels": normalization.channels,
        "mean": list(normalization.mean),
        "std": list(normalization.std),
        "peak": coding.peak,
        "aligned": coding.aligned,
    }
    differing = {name: value for name, value in wanted.items() if found[name] != value}
    if differing:
        told = ", ".join(f"task.{name}={value} (not {found[name]})" for name, value in differing.items())
        raise ValueError(
            f"{where} is from {source}, whose networks need {told}. experiment={lineage.experiment} sets all that "
            "is theirs, and 50 layers on 256x192 px; say model.depth, model.height and model.width for others."
        )
