"""Weights of VideoPose3D's own code, or of Ascend's port of it, as a checkpoint of this project.

    python -m anypose convert pretrained_h36m_cpn.bin
    python evaluate.py run=runs/videopose3d/pretrained_h36m_cpn dataset=h36m_npz dataset.keypoints=cpn_ft_h36m_dbb

Such a `.bin` is a pickle that also holds an optimiser and a random state, and `torch.load` would run whatever it names.
Here only tensors and plain containers are built; the random state becomes an empty object.

What the weights cannot tell must be said: --keypoints is the layout of the 2D, and the wrong one is the most common
mistake with these files (COCO and Human3.6M both have 17 keypoints); --causal for a network trained with that flag.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from anypose.archives import read_archive, reason_of
from anypose.bounds import check_repeated
from anypose.engine import checkpoint
from anypose.engine.durable import check_folder
from anypose.engine.finding import LAST, RUNS
from anypose.engine.fitting import built_to_fit
from anypose.engine.place import CONF
from anypose.engine.run import write_json
from anypose.engine.sentences import told
from anypose.export.metadata import sha256
from anypose.skeleton import get_skeleton
from pose3d.lifting.published import both_from_published, dense_kernels, from_published

# (keypoints, joints) of the files that are handed around.
KNOWN = {
    "pretrained_h36m_cpn": ("h36m_17", "h36m_17"),
    "pretrained_h36m_detectron_coco": ("coco_17", "h36m_17"),
    "pretrained_humaneva15_detectron": ("coco_17", "humaneva_15"),
}


class Inert:
    """Stands for what a file names and nobody needs: takes any arguments and any state, and does nothing."""

    def __init__(self, *_arguments: Any) -> None: ...

    def __setstate__(self, _state: Any) -> None: ...


# NumPy's random state and the arrays in it, under the names that its versions pickle them by.
_NAMES = [
    "_codecs.encode",
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.random.__RandomState_ctor",
    "numpy.random._mt19937.MT19937",
    "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._pickle.__randomstate_ctor",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
]


def read_bin(path: Path) -> dict[str, Any]:
    """The file's dictionary, with tensors and plain values; anything of NumPy is an `Inert`.

    Raises:
        ValueError: for a file that is damaged, names anything else, or holds no pose network.
    """
    if not path.is_file():
        raise FileNotFoundError(f"No weights at {path}.")
    try:
        content = read_archive(path, [(Inert, name) for name in _NAMES], _NAMES)
    except checkpoint.UNREADABLE as error:
        raise ValueError(
            f"{path} ({path.stat().st_size} bytes) is damaged, or holds what is not read: {reason_of(error)}."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("model_pos"), Mapping):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path} must hold 'model_pos', the pose network of VideoPose3D; found {found or 'nothing'}.")
    trajectory = content.get("model_traj")
    if trajectory is not None and not isinstance(trajectory, Mapping):
        raise ValueError(f"{path}: model_traj must hold a network, found {type(trajectory).__name__}.")
    tensors: list[Tensor] = []
    for key, network in (("model_pos", content["model_pos"]), ("model_traj", trajectory or {})):
        for name, value in network.items():
            if not isinstance(name, str) or not isinstance(value, Tensor):
                raise ValueError(
                    f"{path}: {key} must hold tensors by name, found {name!r:.40}: {type(value).__name__}."
                )
            tensors.append(value)
    check_repeated(tensors, path, str(path))
    return content


def shape_of(state: Mapping[str, Tensor], source: str, dense: bool | None = None) -> dict[str, Any]:
    """The settings of a network that its weights tell.

    Args:
        state: from `from_published`.
        source: the file, for messages.
        dense: whether it was trained with --dense; None tells it from the widths of the kernels, where these do.

    Returns:
        kernel_sizes, channels, dense, and the numbers of input and output values.

    Raises:
        ValueError: where the weights are of no such network, or of one that `dense` would have to tell.
    """
    wide = [name for name in state if name == "expand_conv.weight" or _is_wide(name)]
    if "expand_conv.weight" not in state or "shrink.weight" not in state:
        raise ValueError(f"{source} holds no temporal network: found {', '.join(list(state)[:5])}, ...")
    kernels = [state[name] for name in sorted(wide, key=lambda name: (name != "expand_conv.weight", _number(name)))]
    for name in (*wide, "shrink.weight"):
        if state[name].dim() != 3 or not state[name].numel():
            raise ValueError(f"{source}: {name} must be a kernel (C_out, C_in, W), found {tuple(state[name].shape)}.")
    widths = [kernel.shape[2] for kernel in kernels]
    undilated = dense_kernels(widths)
    if dense is None:
        # As wide as dilated kernels of one size reach: nobody dilates kernels of 3, 7 and 19.
        dense = undilated is not None and len(set(widths)) > 1 and len(set(undilated)) == 1
        if not dense and undilated is not None and len(set(widths)) > 1:
            raise ValueError(
                f"{source}: kernels {', '.join(map(str, widths))} wide are those of a dense network of "
                f"{', '.join(map(str, undilated))}, or dilated ones of these sizes. Say which: --dense or --dilated."
            )
    if dense and undilated is None:
        raise ValueError(f"{source} was not trained with --dense: its kernels are {', '.join(map(str, widths))} wide.")
    return {
        "kernel_sizes": undilated if dense else widths,
        "channels": kernels[0].shape[0],
        "dense": dense,
        "inputs": kernels[0].shape[1],
        "outputs": state["shrink.weight"].shape[0],
    }


def _is_wide(name: str) -> bool:
    return _number(name) >= 0 and _number(name) % 2 == 0


def _number(name: str) -> int:
    """Of a layer's kernel; -1 for any other name."""
    match = re.fullmatch(r"layers_conv\.([0-9]{1,4})\.weight", name)
    return int(match[1]) if match else -1


def convert(
    file: Path, output: Path, keypoints: str, joints: str, causal: bool, dense: bool | None = None
) -> dict[str, Any]:
    """Write `output`/last.pt; with its trajectory network, the semi-supervised task, where the file has one.

    Args:
        file: the .bin.
        output: folder of the new run.
        keypoints, joints: names of the skeletons.
        causal: whether the network was trained with --causal.
        dense: whether with --dense; None tells it from the weights.

    Returns:
        The model's settings.

    Raises:
        ValueError: when the weights do not fit the skeletons, naming what differs.
    """
    content = read_bin(file)
    state = from_published(content["model_pos"])
    shape = shape_of(state, str(file), dense)
    overrides = [
        "model=videopose3d",
        f"model.kernel_sizes={shape['kernel_sizes']}",
        f"model.channels={shape['channels']}",
        f"model.input_skeleton={keypoints}",
        f"model.output_skeleton={joints}",
        f"model.causal={str(causal).lower()}",
        f"model.dense={str(shape['dense']).lower()}",
    ]
    choices = {"model": "videopose3d"}
    both = content.get("model_traj") is not None
    if both:
        choices["task"] = "semi_supervised"
        overrides += ["task=semi_supervised", "task.loss=mpjpe"]
    num_keypoints, outputs = get_skeleton(keypoints).num_joints, 3 * get_skeleton(joints).num_joints
    if shape["inputs"] not in (2 * num_keypoints, 3 * num_keypoints) or shape["outputs"] != outputs:
        raise ValueError(
            f"{file} reads {shape['inputs']} and gives {shape['outputs']} numbers a frame; {keypoints} keypoints have "
            f"{num_keypoints} x 2 or x 3, {joints} joints {outputs}. Say which they are: --keypoints, --joints."
        )
    overrides.append(f"model.keypoint_channels={shape['inputs'] // num_keypoints}")
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        config = compose("train", overrides)

    def build() -> nn.Module:
        model = instantiate(config.model)
        return instantiate(config.task, model=model).model if both else model

    if both:
        state = both_from_published(content)
    model = built_to_fit(build, lambda network: network, state, str(file))
    output.mkdir(parents=True, exist_ok=True)
    container = OmegaConf.to_container(config, resolve=True)
    checkpoint.save(output / LAST, {"model": model.state_dict(), "config": container, "choices": choices})
    write_json(output / "environment.json", {"converted_from": str(file), "sha256": sha256(file), "choices": choices})
    return dict(config.model)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Weights of VideoPose3D's own code.")
    parser.add_argument("file", type=Path, help="pretrained_h36m_cpn.bin, model_best.bin, ...")
    parser.add_argument("--keypoints", help="layout of the 2D it was trained on: h36m_17, coco_17, ...")
    parser.add_argument("--joints", help="skeleton of its output: h36m_17, humaneva_15")
    parser.add_argument("--causal", action="store_true", help="it was trained with --causal")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--dense", dest="dense", action="store_true", default=None, help="it was trained with --dense")
    shape.add_argument(
        "--dilated", dest="dense", action="store_false", help="it was not, whatever its kernels look like"
    )
    parser.add_argument("--output", type=Path, help=f"folder of the run; {RUNS}/videopose3d/<name of the file>")
    given = parser.parse_args(arguments)
    known = KNOWN.get(given.file.stem, (None, "h36m_17"))
    keypoints = given.keypoints or known[0]
    if keypoints is None:
        parser.error(
            f"the weights in {given.file.name} do not say which keypoints they read: --keypoints h36m_17 for "
            "Human3.6M's layout (CPN, ground truth, Ascend's model_best.bin), coco_17 for Detectron's on COCO"
        )
    output = check_folder(given.output or RUNS / "videopose3d" / given.file.stem, "--output")
    settings = convert(given.file, output, keypoints, given.joints or known[1], given.causal, given.dense)
    told = ", ".join(f"{name} {settings[name]}" for name in ("kernel_sizes", "causal", "dense"))
    print(f"{output / LAST}: {keypoints} keypoints, {told}")


if __name__ == "__main__":
    with told():
        main()
