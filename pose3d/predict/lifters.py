"""Which lifter: a checkpoint, or the project's own weights."""

from __future__ import annotations

from anypose.engine.finding import RELEASED
from anypose.engine.loading import load_network
from anypose.engine.place import PACKAGE
from anypose.settings import Misuse
from pose3d.lifter import Lifter

# The project's own weights, the best for keypoints of real detectors first.
PREFERRED = ("released_video", "baseline3d")
EXPORTED = (".onnx", ".om")


def open_lifter(name: str) -> Lifter:
    """The lifter that `lifter=` names: auto, the name of released weights, a checkpoint's path, or a run's folder."""
    if name == "auto":
        name = next(stem for stem in PREFERRED if (PACKAGE / RELEASED / f"{stem}.safetensors").is_file())
    if str(name).endswith(EXPORTED):
        raise Misuse(f"lifter={name} is an exported network. Name the checkpoint that it was made from.")
    model = load_network(name)
    if not isinstance(model, Lifter):
        raise ValueError(f"lifter={name} must be a lifting model, and it holds a {type(model).__name__}.")
    return model
