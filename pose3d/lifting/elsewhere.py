"""`evaluate.py model=NAME init=FILE dataset=...`: weights that other code trained, scored by this project's protocol.

    3d-pose-baseline, GMH-MDN   the TensorFlow checkpoint, or an npz of it              model=baseline3d, gmh_mdn
    weigq's port                its ckpt_best.pth.tar                                   model=baseline3d
    VideoPose3D, Ascend's port  the .bin; with task=semi_supervised model_traj, too     model=videopose3d
    MotionAGFormer              its motionagformer-*.pth.tr                             model=motionagformer
    microsoft, mmpose, mks0601  as `pose2d.network.weights` reads them                  model=simplebaseline
    Monocular Total Capture     as `pose3d.capture.weights` reads them                  model=total_capture
    this project                a checkpoint of the same model

What the weights tell of the model's settings is taken from them, what was typed stands, and what nobody can tell is
asked for. Means and deviations that files leave out come from the dataset's training split, as their authors' did.
"""

from __future__ import annotations

import logging
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from anypose.engine import checkpoint
from anypose.engine.device import Device as Device
from anypose.engine.fitting import check_buildable
from anypose.engine.task import Loading, Task, make_batches
from pose2d.network.lineages import lineage_settings
from pose2d.network.weights import architecture, convert, load_weights, read_weights
from pose3d.capture.weights import load_capture_weights
from pose3d.lifting.convert import KNOWN, read_bin, shape_of
from pose3d.lifting.published import both_from_published, from_published
from pose3d.lifting.published_agformer import from_published_agformer, size_of

log = logging.getLogger(__name__)
SPARE = 10_000_000  # numbers of a network that files leave out: statistics, an adjacency
IMAGES = {"simplebaseline": load_weights, "total_capture": load_capture_weights}


def task_elsewhere(config: DictConfig, typed: set[str], name: str, path: Path, dataset: Any, device: Any) -> Task:
    """The task of a command's configuration around the weights of a file.

    Args:
        config: composed; settings of the model that the weights tell are changed in it.
        typed: the keys that were said on the command line: these stand.
        name: the choice of the model.
        path: the weights.
        dataset: what will be scored; its training split where statistics are missing.
        device: to compute those on.

    Raises:
        ValueError: where the file does not fit, or does not tell what must be known.
    """
    content = _read(path, name)
    ours = "config" in content and "model" in content
    model = {f"model.{key}": value for key, value in content["config"]["model"].items()} if ours else {}
    with _of(name, path):
        told = model or dict(_told(name, content, path))
    for key, value in told.items():
        if key not in typed:
            OmegaConf.update(config, key, value, force_add=True)
    if not ours:
        _check_said(name, typed | told.keys(), path)
    words = ", ".join(f"{key}={value}" for key, value in told.items() if not key.endswith("_target_"))
    log.info("init=%s tells %s.", path, words or "no setting of the model")

    def build() -> Any:
        return instantiate(config.task, model=instantiate(config.model))

    _check_size(build, config, content, path)
    task = build()
    if ours:
        checkpoint.load_weights(task.model, content["model"], str(path))
    elif name == "motionagformer":
        log.info("init=%s is of %s.", path, task.take_weights(path, "init"))
    elif name in IMAGES:
        IMAGES[name](task.model, path, "init", whole=True)
    else:
        _load(task, name, content, path, dataset, device)
    return task


def _check_said(name: str, known: set[str], path: Path) -> None:
    """Refuse to guess what weights cannot tell: `known` are the keys that they or the command line say."""
    if name == "videopose3d" and "model.input_skeleton" not in known:
        raise ValueError(
            f"init={path}: the weights do not say which keypoints they read. Say model.input_skeleton=h36m_17 for "
            "Human3.6M's layout (CPN, ground truth, Ascend's model_best.bin), coco_17 for Detectron's on COCO."
        )
    if name == "simplebaseline" and "experiment" not in known and not {"model.height", "model.width"} <= known:
        raise ValueError(
            f"init={path}: the weights do not say the size of the crops they were trained on, and nor does the file's "
            "name (as in pose_resnet_50_256x192). Say model.height=256 model.width=192, or whichever it was."
        )


def _check_size(build: Callable[[], Any], config: DictConfig, content: Any, path: Path) -> None:
    """Refuse to build a network that the file has not the numbers of: what names and shapes tell may be anything."""
    check_buildable(build, config.model)
    with torch.device("meta"):
        needed = sum(tensor.numel() for tensor in build().model.state_dict().values())
    if needed > SPARE + 2 * (held := _numbers(content)):
        raise ValueError(
            f"init={path} has {held} numbers, and the network that it tells of has {needed}. Is it a checkpoint of "
            "another model?"
        )


def _numbers(content: Any) -> int:
    if isinstance(content, Mapping):
        return sum(map(_numbers, content.values()))
    return math.prod(content.shape) if isinstance(content, (np.ndarray, torch.Tensor)) else 0


@contextmanager
def _of(name: str, path: Path) -> Iterator[None]:
    """Around what goes by the names and shapes that other code gives its tensors."""
    try:
        yield
    except (LookupError, TypeError, AttributeError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else "their names or shapes are not of its kind"
        raise ValueError(
            f"init={path} has tensors that no model={name} has: {what}. Is it a checkpoint of another model?"
        ) from error


def _read(path: Path, name: str) -> dict[str, Any]:
    """A checkpoint of this project as `checkpoint.load` gives it, VideoPose3D's networks, or arrays by name."""
    if path.suffix == ".safetensors" or (path.suffix == ".pt" and _is_ours(path)):
        return checkpoint.load(path)
    return read_bin(path) if name == "videopose3d" else read_weights(path, "init")


def _is_ours(path: Path) -> bool:
    try:
        checkpoint.load(path, mapped=True)
    except ValueError:
        return False  # whoever else reads it says what is wrong with it
    return True


def _told(name: str, content: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Any]]:
    """Settings that weights tell, by their keys."""
    if name == "videopose3d":
        shape = shape_of(from_published(content["model_pos"]), str(path))
        yield from ((f"model.{key}", shape[key]) for key in ("kernel_sizes", "channels", "dense"))
        keypoints, joints = KNOWN.get(path.stem, (None, None))
        if keypoints:
            yield from (("model.input_skeleton", keypoints), ("model.output_skeleton", joints))
        if shape["inputs"] % 3 == 0 and shape["inputs"] % 2:
            yield "model.keypoint_channels", 3
    elif name == "motionagformer":
        yield from ((f"model.{key}", value) for key, value in size_of(from_published_agformer(content)).items())
    elif name == "simplebaseline":
        source, weights = convert(content)
        yield from ((f"model.{key}", value) for key, value in architecture(weights).items())
        yield from lineage_settings(source, f"init={path}").items()
        if size := re.search(r"(?<!\d)(\d{2,3})x(\d{2,3})(?!\d)", path.name):
            yield from (("model.height", int(size[1])), ("model.width", int(size[2])))
    elif "w1.weight" in content:  # weigq's port
        yield from (("model.linear_size", int(content["w1.weight"].shape[0])), ("model.batch_norm_eps", 1e-5))
        yield from (("model.max_weight_norm", None), ("model.batch_norm", True))
        yield "model.num_blocks", len({key.split(".")[1] for key in content if key.startswith("linear_stages.")})
        yield "model.predict_14", content["w2.weight"].shape[0] == 42
    elif any(key.startswith("linear_model/") for key in content):
        names = {key.removesuffix(":0"): value for key, value in content.items()}
        yield "model.linear_size", int(names["linear_model/w1"].shape[1])
        yield "model.num_blocks", len({key.split("/")[1] for key in names if "/two_linear_" in key})
        yield "model.batch_norm", any("batch_normalization" in key for key in names)
        if name == "gmh_mdn" and "linear_model/b5" in names:
            yield "model.num_hypotheses", len(names["linear_model/b5"])


def _load(task: Any, name: str, content: Mapping[str, Any], path: Path, dataset: Any, device: Any) -> None:
    """Into a lifter: VideoPose3D's networks as they are, MLPs with statistics of the training split."""
    if name == "videopose3d":
        state = from_published(content["model_pos"])
        if isinstance(task.model, nn.ModuleDict):  # pose and trajectory
            if content.get("model_traj") is None:
                raise ValueError(f"init={path} has no model_traj: score the pose alone with task=lifting3d.")
            state = both_from_published(content)
        elif content.get("model_traj") is not None:
            log.info("init=%s has a trajectory network, too: task=semi_supervised scores both.", path)
        checkpoint.load_weights(task.model, state, str(path))
        return
    choice = sys.modules[type(task.model).__module__]
    weigq = "w1.weight" in content and hasattr(choice, "from_weigq")
    ours = choice.from_weigq if weigq else choice.from_tensorflow
    log.info("Means and deviations, which init=%s leaves out, are those of the training split.", path)
    make_batches(task, dataset, True, Loading(1, 0, drop_last=False), device)  # fits them
    with _of(name, path):
        state = ours(content, task.model.state_dict())
    checkpoint.load_weights(task.model, state, str(path))
