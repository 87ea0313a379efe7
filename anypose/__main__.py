"""Every command of an installed anypose.    anypose check dataset=cmu dataset.root=data/cmu

`python -m anypose COMMAND ...` is the same. What a command takes is its own `--help`.
"""

from __future__ import annotations

import importlib
import sys

COMMANDS = {
    "doctor": ("anypose.doctor", "what is installed, which devices work and why the others do not"),
    "check": ("pose3d.motion.check", "what a motion dataset holds, against what it should hold"),
    "convert": ("pose3d.lifting.convert", "weights of VideoPose3D's own code as a checkpoint"),
    "offline": ("pose3d.lifting.offline", "the road of files from a test set to a number"),
    "photo": ("pose3d.predict.photo", "from a photograph to a pose in 3D"),
    "boxes": ("pose2d.images.boxes", "annotated boxes as a detector's result file"),
    "throughput": ("anypose.export.throughput", "how fast a network runs"),
    "joint_errors": ("pose3d.drawing.joint_errors", "errors joint by joint"),
    "skeletons": ("anypose.drawing.skeleton_pictures", "a picture of every skeleton"),
    "synthetic": ("pose3d.drawing.synthetic", "pictures of the invented motion"),
}


def main() -> None:
    """Run the command that the first word names."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print("anypose COMMAND ...\n")
        for command, (_, about) in COMMANDS.items():
            print(f"  {command:14}{about}")
        return
    if name not in COMMANDS:
        sys.exit(f"There is no command {name}. There are {', '.join(COMMANDS)}.")
    sys.argv = [f"anypose {name}", *sys.argv[2:]]
    importlib.import_module(COMMANDS[name][0]).main()


if __name__ == "__main__":
    main()
