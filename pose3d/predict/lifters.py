"""Which lifter: a checkpoint, or the project's own weights."""

from __future__ import annotations

from pathlib import Path

from anypose.engine.run import PACKAGE, RELEASED
from pose3d.lifter import Lifter
from pose3d.predict.photo import load_lifter

# The project's own weights, the best for keypoints of real detectors first.
PREFERRED = ("released_video", "baseline3d")


def open_lifter(name: str) -> Lifter:
    """The lifter that `lifter=` names: auto, the name of released weights, or a checkpoint's path.

    Raises:
        FileNotFoundError: naming the released weights that there are.
    """
    released = {path.stem: path for path in sorted((PACKAGE / RELEASED).glob("*.safetensors"))}
    if name == "auto":
        path = next(released[stem] for stem in PREFERRED if stem in released)
    elif name in released:
        path = released[name]
    else:
        path = Path(name).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"lifter={name} does not exist. It must be a checkpoint of a lifting model, auto, or one of the "
                f"released weights: {', '.join(released)}."
            )
    model = load_lifter(path)
    if getattr(model, "keypoint_frame", None) not in ("pixel", "screen"):
        raise ValueError(f"lifter={name} must be a lifting model, and it holds a {type(model).__name__}.")
    return model
