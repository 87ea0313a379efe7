"""Every command of an installed anypose.    anypose train model=baseline3d

`python -m anypose COMMAND ...` is the same. What a command takes is its own `--help`. torch is not imported before a
command is known: the list of them and a misspelt one are answered at once.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import runpy
import sys
from contextlib import suppress
from pathlib import Path

from anypose.output import write_out

# The scripts of a checkout; in a wheel they lie inside the package.
RUN = {
    "train": "train a model",
    "evaluate": "score a trained one: a table, results.json, pictures",
    "predict": "from a video, pictures or keypoints to motion",
    "export": "a trained network as ONNX, OM or safetensors",
}
COMMANDS = {
    "doctor": ("anypose.doctor", "what is installed, which devices work and why the others do not"),
    "check": ("pose3d.motion.check", "what a motion dataset holds, against what it should hold"),
    "cache": ("pose3d.motion.cache", "what is kept of parsed motion; --empty removes it"),
    "fetch": ("pose3d.predict.fetch", "weights of others: BlazePose, out of the wheel of mediapipe"),
    "convert": ("pose3d.lifting.convert", "weights of VideoPose3D's own code as a checkpoint"),
    "offline": ("pose3d.lifting.offline", "the road of files from a test set to a number"),
    "photo": ("pose3d.predict.photo", "from a photograph to a pose in 3D"),
    "boxes": ("pose2d.images.boxes", "annotated boxes as a detector's result file"),
    "throughput": ("anypose.export.throughput", "how fast a network runs"),
    "joint_errors": ("pose3d.drawing.joint_errors", "errors joint by joint"),
    "skeletons": ("anypose.drawing.skeleton_pictures", "a picture of every skeleton"),
    "synthetic": ("pose3d.drawing.synthetic", "pictures of the invented motion"),
}
MISUSED = 2


def commands() -> dict[str, str]:
    """Every command that is there, with what it does."""
    return RUN | {name: about for name, (_, about) in COMMANDS.items()}


def main() -> None:
    """Run the command that the first word names, or list them."""
    try:
        chosen = choose()
        write_out()
    except OSError as error:
        with suppress(OSError):
            write_out()
        sys.exit(f"{error.strerror}.")
    if chosen:
        run(chosen)


def choose() -> str | None:
    """The command that the first word names; None where that asks for the list, or the version, which are printed."""
    program = "anypose" if Path(sys.argv[0]).stem == "anypose" else "python -m anypose"
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    known = commands()
    if name in ("-h", "--help", "help"):
        print(f"{program} COMMAND ...        {program} COMMAND --help says what it takes\n")
        for command, about in known.items():
            print(f"  {command:14}{about}")
        print(f"\nStart with `{program} train model=baseline3d`: minutes on a CPU, nothing to download.")
        return None
    if name in ("-V", "--version", "version"):
        print(f"anypose {importlib.metadata.version('anypose')}")
        return None
    if name not in known:
        near = difflib.get_close_matches(name.removesuffix(".py"), known, n=2)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(known)}."
        print(f"There is no command {name}. {hint}", file=sys.stderr)
        sys.exit(MISUSED)
    sys.argv = [f"{program} {name}", *sys.argv[2:]]  # what `typed` goes by
    return name


def run(name: str) -> None:
    """Run a command on the words that follow it in `sys.argv`."""
    from anypose.engine.place import SCRIPTS, as_typed  # the engine first: it makes importing torch safe
    from anypose.engine.sentences import told

    with told():  # a missing extra, too
        if name in RUN:
            runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
        else:
            module = importlib.import_module(COMMANDS[name][0])
            module.__doc__ = as_typed(module.__doc__ or "")  # which its --help shows
            module.main()


if __name__ == "__main__":
    main()
