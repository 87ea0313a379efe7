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
# What places people, finds the floor and turns bones; named as in Human3.6M.
NEEDED = ("hip", "thorax", *(f"{side}_{joint}" for side in ("left", "right") for joint in ("hip", "knee", "foot")))


def chosen_lifter(name: str) -> str:
    """The name of the weights that `lifter=` means by auto; any other name is its own."""
    if name != "auto":
        return str(name)
    return next(stem for stem in PREFERRED if (PACKAGE / RELEASED / f"{stem}.safetensors").is_file())


def open_lifter(name: str) -> Lifter:
    """The lifter that `lifter=` names: auto, the name of released weights, a checkpoint's path, or a run's folder."""
    name = chosen_lifter(name)
    if str(name).endswith(EXPORTED):
        raise Misuse(f"lifter={name} is an exported network. Name the checkpoint that it was made from.")
    model = load_network(name)
    if not isinstance(model, Lifter):
        raise ValueError(f"lifter={name} must be a lifting model, and it holds a {type(model).__name__}.")
    if lacks := [joint for joint in NEEDED if joint not in model.output_skeleton.joints]:
        raise Misuse(
            f"lifter={name} gives the joints of '{model.output_skeleton.name}', and predict needs {', '.join(lacks)} "
            "to place people and to find the floor. In Python it lifts all the same: "
            f"load_lifter({name!r})(keypoints, skeleton={model.input_skeleton.name!r}, image_size=...)."
        )
    return model
