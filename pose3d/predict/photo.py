"""From a photograph to a pose in 3D: a keypoint network on a person's box, then a lifter.

    python -m anypose photo photo.jpg --keypoints runs/simplebaseline/2026-01-31_12-00-00/last.pt --output pose.png
    python -m anypose photo photo.jpg --keypoints ... --box 120 40 210 380 --lifter runs/videopose3d/.../last.pt

A photograph says neither where its camera stood nor how large its people are, so the person is lifted as if seen by the
cameras that lifters are trained with: 500 pixels tall in the middle of a picture of 1000.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anypose.engine.device import Device as Device  # before torch: it makes importing torch safe  # isort: skip

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from anypose.camera import to_screen
from anypose.drawing.poses import INK, Frame, draw_joints, new_figure, save_figure
from anypose.engine import checkpoint
from anypose.engine.finding import RELEASED, find_checkpoint
from anypose.engine.restore import build_task
from anypose.skeleton import Skeleton, convert, get_skeleton
from pose2d.drawing.people import Overlay, draw_overlay
from pose2d.images.decoding import decode

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE = 1000  # width and height of the picture that a person is put into [px]
TALL = 500  # their larger extent in it [px]


def load_task(path: Path) -> Any:
    """The trained task of a checkpoint, ready to predict."""
    state = checkpoint.load(path)
    task = build_task(OmegaConf.create(state["config"]), state, path)  # pyright: ignore[reportArgumentType]
    task.model.eval()
    return task


def load_lifter(path: Path) -> Any:
    """The lifting network of a checkpoint; released weights bring a model and no task."""
    state = checkpoint.load(path)
    model = instantiate(OmegaConf.create(state["config"]).model)
    checkpoint.load_weights(model, state["model"], str(path))
    return model.eval()


def frame_person(keypoints: np.ndarray) -> np.ndarray:
    """(K, 2) keypoints moved and scaled to where lifters are used to seeing people [px of the picture]."""
    low, high = keypoints.min(axis=0), keypoints.max(axis=0)
    scale = TALL / max(float((high - low).max()), 1e-6)
    return (keypoints - (low + high) / 2) * scale + PICTURE / 2


def lift(model: Any, keypoints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(J, 3) joints in the camera frame, relative to the root [m], of (K, 2) keypoints of a photograph [px].

    A network that sees several frames is shown the same one again and again.
    """
    if getattr(model, "keypoint_frame", None) not in ("pixel", "screen"):
        raise ValueError(f"--lifter must be a lifting model, got {type(model).__name__}. Train one: model=baseline3d.")
    seen = frame_person(convert(keypoints.astype(np.float64), skeleton, model.input_skeleton))
    if model.keypoint_frame == "screen":
        seen = to_screen(seen, PICTURE, PICTURE)
    frames = torch.from_numpy(seen.astype(np.float32)).expand(1, model.receptive_field, -1, -1)
    with torch.no_grad():
        joints = model(frames)
    if not isinstance(joints, torch.Tensor):
        raise ValueError(f"--lifter must give one pose a frame, and {type(model).__name__} gives several.")
    return joints[0, 0].double().numpy()


def draw(overlay: Overlay, skeleton: Skeleton, joints: np.ndarray, output: Skeleton) -> Figure:
    """The person in the photograph beside the pose, from the camera's side and from further round."""
    figure = new_figure(10.2, 3.8)
    seen, front, side = (figure.add_axes((0.01 + i * 0.33, 0.02, 0.32, 0.86)) for i in range(3))
    draw_overlay(seen, overlay, skeleton)
    frame = Frame.around(joints)
    draw_joints(front, joints, output, frame)
    turned = joints @ np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
    draw_joints(side, turned, output, Frame.around(turned))
    for axes, name in ((seen, "keypoints"), (front, "lifted"), (side, "from the side")):
        axes.set_title(name, fontsize=10, color=INK)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m anypose photo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument(
        "--keypoints", type=Path, required=True, metavar="FILE", help="checkpoint of model=simplebaseline"
    )
    parser.add_argument(
        "--lifter", default=RELEASED, metavar="CHECKPOINT", help="checkpoint of a lifter, or the released one"
    )
    parser.add_argument(
        "--box", type=float, nargs=4, metavar=("X", "Y", "W", "H"), help="of the person; else the whole"
    )
    parser.add_argument("--skeleton", default="coco_17", help="what the keypoints are")
    parser.add_argument("--output", type=Path, default=Path("pose.png"), help="the picture; beside it an .npz")
    options = parser.parse_args(arguments)
    if not options.photo.is_file():
        raise FileNotFoundError(f"{options.photo} does not exist.")
    image = decode(options.photo.read_bytes(), str(options.photo))
    height, width = image.shape[:2]
    x, y, w, h = options.box or (0, 0, width, height)
    box = np.array([x, y, x + w, y + h], dtype=np.float64)
    if min(w, h) <= 0 or x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise ValueError(f"--box {x:g} {y:g} {w:g} {h:g} has no part of {options.photo}, which is {width}x{height}.")
    skeleton = get_skeleton(options.skeleton)
    task = load_task(options.keypoints)
    if not hasattr(task, "find"):
        raise ValueError(f"--keypoints must be a checkpoint of model=simplebaseline, got {type(task.model).__name__}.")
    found = task.find(image, box[None], skeleton)
    keypoints, scores = found["keypoints"][0].double().numpy(), found["scores"][0].double().numpy()
    released = options.lifter == RELEASED
    model = load_lifter(find_checkpoint("baseline3d", file=RELEASED) if released else Path(options.lifter))
    joints = lift(model, keypoints, skeleton)
    overlay = Overlay(image, box, keypoints, scores, None, None, "")
    save_figure(draw(overlay, skeleton, joints, model.output_skeleton), options.output)
    arrays = options.output.with_suffix(".npz")
    np.savez(arrays, keypoints=keypoints, scores=scores, joints=joints)
    print(f"{options.output} and {arrays}: keypoints with a mean score of {scores.mean():.2f}, {len(joints)} joints.")


if __name__ == "__main__":
    main()
