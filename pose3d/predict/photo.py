"""From a photograph to a pose in 3D: a keypoint network on a person's box, then a lifter.

    python -m anypose photo photo.jpg --keypoints runs/simplebaseline/2026-01-31_12-00-00/last.pt --output pose.png
    python -m anypose photo photo.jpg --keypoints ... --box 120 40 210 380 --lifter runs/videopose3d/.../last.pt

A photograph says neither where its camera stood nor how large its people are, so the person is lifted as if seen by the
cameras that lifters are trained with: 500 pixels tall in the middle of a picture of 1000.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from anypose.engine.device import Device as Device  # before torch: it makes importing torch safe  # isort: skip

import numpy as np
import torch

from anypose.camera import to_screen
from anypose.drawing.poses import INK, Frame, draw_joints, new_figure, save_figure
from anypose.engine.durable import check_file
from anypose.engine.finding import RELEASED
from anypose.engine.loading import load_network
from anypose.engine.sentences import told
from anypose.settings import Misuse
from anypose.skeleton import Skeleton, convert
from anypose.whole import write_whole
from pose2d.drawing.people import Overlay, draw_overlay
from pose2d.images.decoding import MEGAPIXELS, decode
from pose3d.lifter import Lifter
from pose3d.lifting.arrays import PICTURE, TALL, TRAINED_FOCAL
from pose3d.predict.networks import open_finder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def read_photo(path: Path, megapixels: float) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a photograph, the way up that it is shown.

    Args:
        path: the file.
        megapixels: larger photographs are refused.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder, and photo takes one picture. predict source={path} takes all of them.")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist.")
    try:
        return decode(path.read_bytes(), str(path), upright=True, megapixels=megapixels, setting="--max-megapixels")
    except ValueError as error:
        if "It is a video." in str(error):
            raise ValueError(
                f"{path} is a video, and photo takes a picture. predict source={path} takes it."
            ) from error
        raise


def usable_keypoints(keypoints: np.ndarray, scores: np.ndarray, skeleton: Skeleton, min_score: float) -> list[str]:
    """The names of keypoints that were found badly.

    Args:
        keypoints: (K, 2) [px].
        scores: (K,).
        min_score: the mean of a person's scores must reach it; single ones below it are found badly.

    Raises:
        ValueError: where nobody was found, or keypoints of somebody were not.
    """
    finite = np.isfinite(keypoints).all(axis=1) & np.isfinite(scores)
    mean = float(np.where(finite, scores, 0.0).mean())
    if mean < min_score:
        raise ValueError(
            f"Nobody was found: the keypoints have a mean score of {mean:.2f}, below --min-score {min_score:g}. Say "
            "where the person is with --box X Y W H, or take a network that was trained on such pictures."
        )
    if not finite.all():
        lost = ", ".join(name for name, there in zip(skeleton.joints, finite, strict=True) if not there)
        raise ValueError(
            f"A lifter needs every keypoint, and these were not found: {lost}. Say more of the person's box."
        )
    return [name for name, score in zip(skeleton.joints, scores, strict=True) if score < min_score]


def frame_person(keypoints: np.ndarray) -> np.ndarray:
    """(K, 2) keypoints moved and scaled to where lifters are used to seeing people [px of the picture]."""
    low, high = keypoints.min(axis=0), keypoints.max(axis=0)
    scale = TALL / max(float((high - low).max()), 1e-6)
    return (keypoints - (low + high) / 2) * scale + PICTURE / 2


def lift(model: Any, keypoints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(J, 3) joints in the camera frame, relative to the root [m], of (K, 2) keypoints of a photograph [px].

    A network that sees several frames is shown the same one again and again.
    """
    if not isinstance(model, Lifter):
        raise ValueError(f"--lifter must be a lifting model, got {type(model).__name__}. Train one: model=baseline3d.")
    seen = frame_person(convert(keypoints.astype(np.float64), skeleton, model.input_skeleton))
    if model.keypoint_frame == "screen":
        seen = to_screen(seen, PICTURE, PICTURE)
    elif model.keypoint_frame == "ray":
        seen = (seen - PICTURE / 2) / TRAINED_FOCAL
    if model.keypoint_channels == 3:  # every keypoint is there
        seen = np.concatenate([seen, np.ones_like(seen[:, :1])], axis=1)
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument(
        "--keypoints", type=Path, required=True, metavar="FILE", help="checkpoint of model=simplebaseline, or ONNX"
    )
    parser.add_argument(
        "--lifter", default=RELEASED, metavar="CHECKPOINT", help="checkpoint of a lifter, or the released one"
    )
    parser.add_argument(
        "--box", type=float, nargs=4, metavar=("X", "Y", "W", "H"), help="of the person; else the whole"
    )
    parser.add_argument("--skeleton", default="coco_17", help="what the keypoints are")
    parser.add_argument("--output", type=Path, default=Path("pose.png"), help="the picture; beside it an .npz")
    parser.add_argument("--min-score", type=float, default=0.1, help="below it, on average, nobody was found")
    parser.add_argument("--max-megapixels", type=float, default=MEGAPIXELS, help="of the photograph")
    options = parser.parse_args(arguments)
    if options.output.suffix == ".npz":
        raise Misuse(f"--output {options.output} must be a picture's name, .png or .pdf; the .npz lies beside it.")
    check_file(options.output, "--output")
    image = read_photo(options.photo, options.max_megapixels)
    height, width = image.shape[:2]
    x, y, w, h = options.box or (0, 0, width, height)
    box = np.array([x, y, x + w, y + h], dtype=np.float64)
    if not np.isfinite(box).all() or min(w, h) <= 0 or x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise Misuse(f"--box {x:g} {y:g} {w:g} {h:g} has no part of {options.photo}, which is {width}x{height}.")
    if not options.keypoints.is_file():
        what = "is a folder" if options.keypoints.is_dir() else "does not exist"
        raise FileNotFoundError(f"--keypoints {options.keypoints} {what}. It must be a checkpoint or an ONNX file.")
    if str(options.lifter).endswith((".onnx", ".om")):
        raise ValueError(
            f"--lifter {options.lifter} is an exported network. Name the checkpoint that it was made from."
        )
    finder, skeleton = open_finder(options.keypoints, options.skeleton)
    model = load_network(options.lifter)
    found, certain = finder.find(image, box[None])
    keypoints, scores = found[0], certain[0]
    doubtful = usable_keypoints(keypoints, scores, skeleton, options.min_score)
    joints = lift(model, keypoints, skeleton)
    overlay = Overlay(image, box, keypoints, scores, None, None, "")
    save_figure(draw(overlay, skeleton, joints, cast("Skeleton", model.output_skeleton)), options.output)
    arrays = options.output.with_suffix(".npz")
    write_whole(arrays, partial(np.savez, keypoints=keypoints, scores=scores, joints=joints))
    print(f"{options.output} and {arrays}: keypoints with a mean score of {scores.mean():.2f}, {len(joints)} joints.")
    if doubtful:
        print(f"Hardly found (scores below {options.min_score:g}), so their joints are guesses: {', '.join(doubtful)}.")


if __name__ == "__main__":
    with told():
        main()
