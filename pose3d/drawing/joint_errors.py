"""Errors joint by joint, and of the limbs apart, from what evaluate.py wrote.

python evaluate.py model=baseline3d dataset=cmu dataset.root=data/cmu predictions=predictions.npz
python -m anypose joint_errors predictions.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from anypose.engine.results import format_table
from anypose.engine.sentences import told
from anypose.formats.npz import read_npz
from anypose.metrics import procrustes_align
from anypose.skeleton import SKELETONS, Skeleton, get_skeleton

# Trunks are other points in every marker set; where limbs bend and end, data sets agree best.
LIMBS = ("hip", "knee", "foot", "shoulder", "elbow", "wrist")
FRAMES_AT_ONCE = 65536


def joint_errors(
    joints: np.ndarray, truth: np.ndarray, action: np.ndarray, skeleton: Skeleton
) -> list[dict[str, str | float]]:
    """Rows for a table [mm]: each joint, the twelve limb joints, all joints.

    Averages are over the frames of an action, then over the actions, as evaluate.py's. P-MPJPE is fitted to all joints.

    Args:
        joints: (N, J, 3) predicted, relative to the root [m].
        truth: (N, J, 3) the same of the truth [m].
        action: (N,) names.
        skeleton: what the J joints are.
    """
    predicted, true = torch.from_numpy(joints).double(), torch.from_numpy(truth).double()
    aligned = torch.cat(
        [
            procrustes_align(*pair)
            for pair in zip(predicted.split(FRAMES_AT_ONCE), true.split(FRAMES_AT_ONCE), strict=True)
        ]
    )
    columns = {}
    for name, found in (("mpjpe_mm", predicted), ("p_mpjpe_mm", aligned)):
        error = 1000 * (found - true).norm(dim=-1).numpy()
        columns[name] = np.mean([error[action == one].mean(0) for one in np.unique(action)], axis=0)  # (J,)
    limbs = [i for i, joint in enumerate(skeleton.joints) if joint.partition("_")[2] in LIMBS]
    groups = {joint: [i] for i, joint in enumerate(skeleton.joints)}
    groups |= {f"{len(limbs)} limb joints": limbs, f"all {skeleton.num_joints}": list(range(skeleton.num_joints))}
    return [
        {"joint": label, **{name: float(values[rows].mean()) for name, values in columns.items()}}
        for label, rows in groups.items()
    ]


def main() -> None:
    """Print the table of one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="what `evaluate` wrote with predictions=FILE")
    parser.add_argument("--skeleton", default="h36m_17", choices=list(SKELETONS), help="of the joints")
    options = parser.parse_args()
    skeleton = get_skeleton(options.skeleton)
    held = read_npz(options.file, ["joints", "truth", "action"])
    if held["joints"].ndim != 3 or held["joints"].shape[1] != skeleton.num_joints:
        raise ValueError(
            f"{options.file} must hold joints (N, {skeleton.num_joints}, 3) of --skeleton {skeleton.name}, "
            f"found {held['joints'].shape}."
        )
    print(format_table(joint_errors(held["joints"], held["truth"], held["action"], skeleton)))


if __name__ == "__main__":
    with told():
        main()
