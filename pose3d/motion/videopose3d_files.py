"""VideoPose3D's npz files: 3D per subject and take, 2D per view, read without trust and written so that it reads them.

    data_3d_<set>.npz             positions_3d  {subject: {take: (T, J, 3) [m], world}}
    data_2d_<set>_<detector>.npz  positions_2d  {subject: {take: [(T, K, 2 or 3) [px], one per camera]}}
                                  metadata      {layout_name, num_joints, keypoints_symmetry: [left, right]}

Cameras are in neither: that program has tables of its own, so a take's 2D fits its 3D only as seen by those cameras.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from anypose.camera import Camera, project, world_to_camera
from anypose.formats.npz import motion_array, read_npz
from anypose.skeleton import COCO_17, H36M_17, H36M_32, HUMANEVA_15, SH_16, Skeleton
from anypose.whole import write_whole
from pose3d.motion.h36m_cameras import published_cameras
from pose3d.motion.sequence import PoseSequence

Takes = dict[str, dict[str, Any]]
# Every file says which of its keypoints are left and which right. That tells the layouts apart. Stacked Hourglass files
# are in MPII's order, whatever their name says, and keep the joint names 3d-pose-baseline gave them.
_LAYOUTS = {
    (frozenset(map(str, skeleton.left)), frozenset(map(str, skeleton.right))): skeleton
    for skeleton in (H36M_17, COCO_17, SH_16, HUMANEVA_15)
}


def read_positions(path: Path) -> Takes:
    """{subject: {take: what the file holds}} of positions_3d."""
    return _takes(read_npz(path, ["positions_3d"])["positions_3d"], f"{path}, positions_3d")


def read_detections(path: Path) -> tuple[Takes, Skeleton, dict[str, Any]]:
    """{subject: {take: what the file holds}} of positions_2d, what the keypoints are, and the metadata."""
    members = read_npz(path, ["positions_2d", "metadata"])
    metadata = members["metadata"]
    symmetry = metadata.get("keypoints_symmetry") if isinstance(metadata, dict) else None
    sides = symmetry if isinstance(symmetry, list | tuple) else ()
    layout = tuple(frozenset(map(str, side)) for side in sides if isinstance(side, list | tuple))
    if len(layout) != 2 or layout not in _LAYOUTS:
        known = ", ".join(skeleton.name for skeleton in _LAYOUTS.values())
        raise ValueError(
            f"{path}, metadata: keypoints_symmetry must be [left, right] of one of {known}, found {str(symmetry)[:99]}."
        )
    return _takes(members["positions_2d"], f"{path}, positions_2d"), _LAYOUTS[layout], metadata


def views_of(value: Any, skeleton: Skeleton, frames: int | None, cameras: int, where: str) -> list[np.ndarray]:
    """Per camera (T, K, 2 or 3), checked. Detections that outlast the motion are cut, as VideoPose3D cuts them.

    Args:
        value: what the file holds for a take.
        skeleton: what the K keypoints are.
        frames: T of the motion; None where there is none.
        cameras: how many views there must be.
        where: file, subject and take, for errors.
    """
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != cameras:
        found = len(value) if isinstance(value, list | tuple | np.ndarray) else type(value).__name__
        raise ValueError(f"{where}: {cameras} views are wanted, found {found}.")
    views = []
    for number, view in enumerate(value, start=1):
        sizes = motion_array(view, ("T", "K", "C"), f"{where}, camera {number}").shape
        if sizes[0] < (frames or 1) or sizes[1] != skeleton.num_joints or sizes[2] not in (2, 3):
            wanted = f"({frames or 1} or more, {skeleton.num_joints}, 2 or 3)"
            raise ValueError(f"{where}, camera {number}: keypoints of shape {wanted} are wanted, found {sizes}.")
        views.append(view[:frames])
    return views


def write_videopose3d(folder: str | Path, sequences: Iterable[PoseSequence], detector: str = "gt") -> tuple[Path, Path]:
    """Write data_3d_h36m.npz and data_2d_h36m_<detector>.npz; returns their paths.

    Of Human3.6M's 32 joints VideoPose3D removes all but the 17 we have; the others are put on their parents.

    Args:
        folder: made if need be.
        sequences: takes of Human3.6M's subjects, each seen by the subject's four cameras in order; bring others there
            with `in_h36m_room`.
        detector: what the 2D file is called.
    """
    published = published_cameras()
    takes: dict[tuple[str, str], list[PoseSequence]] = {}
    for sequence in sequences:
        takes.setdefault((sequence.subject, sequence.take), []).append(sequence)
    positions: Takes = {}
    detections: Takes = {}
    skeletons = {view.keypoint_skeleton for views in takes.values() for view in views}
    for (subject, take), views in takes.items():
        cameras = published.get(subject, [])
        if len(views) != len(cameras) or not all(_same(v.camera, c) for v, c in zip(views, cameras, strict=True)):
            raise ValueError(
                f"{subject}, {take} is not seen by the four cameras that VideoPose3D's table has for {subject}, in "
                "order. Bring the motion into Human3.6M's room with in_h36m_room first."
            )
        positions.setdefault(subject, {})[take] = _spread(views[0].joints)
        detections.setdefault(subject, {})[take] = [view.keypoints for view in views]
    if len(skeletons) != 1:
        raise ValueError(
            f"All keypoints must be of one skeleton, found {', '.join(s.name for s in skeletons) or 'none'}."
        )
    (skeleton,) = skeletons
    metadata = {
        "layout_name": skeleton.name.partition("_")[0],
        "num_joints": skeleton.num_joints,
        "keypoints_symmetry": [list(skeleton.left), list(skeleton.right)],
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "data_3d_h36m.npz", folder / f"data_2d_h36m_{detector}.npz"
    contents = {"positions_3d": positions}, {"positions_2d": detections, "metadata": metadata}
    for path, content in zip(files, contents, strict=True):
        arrays: dict[str, Any] = {name: np.array(value, dtype=object) for name, value in content.items()}
        write_whole(path, partial(np.savez_compressed, **arrays))
    return files


def in_h36m_room(sequences: Iterable[PoseSequence], subjects: Sequence[str]) -> list[PoseSequence]:
    """The motion of `sequences` again, seen by Human3.6M's cameras: what VideoPose3D can train and test on.

    Args:
        sequences: any motion in `h36m_17`; of the views of a take the first counts.
        subjects: of Human3.6M, e.g. its five for training. Each of ours becomes the next of these, round and round.

    Returns:
        Four views of every take, the middle of its path over the middle of the room, named "<action> <subject> <take>".
    """
    takes = {(s.subject, s.take): s for s in reversed(list(sequences))}
    names = sorted({subject for subject, _ in takes})
    published = published_cameras()
    moved = []
    for (own, take), sequence in sorted(takes.items(), key=lambda item: item[0]):
        subject = subjects[names.index(own) % len(subjects)]
        root = sequence.joints[:, 0]
        joints = (sequence.joints - np.append((root.min(0) + root.max(0))[:2] / 2, 0)).astype(np.float32)
        for camera in published[subject]:
            keypoints = project(world_to_camera(joints, camera), camera)
            name = f"{sequence.action} {own} {take}"
            moved.append(
                replace(
                    sequence,
                    subject=subject,
                    take=name,
                    camera=camera,
                    joints=joints,
                    keypoints=keypoints,
                    keypoint_skeleton=sequence.skeleton,
                    scores=None,
                )
            )
    return moved


def _takes(value: Any, where: str) -> Takes:
    if not isinstance(value, Mapping) or not all(isinstance(takes, Mapping) for takes in value.values()):
        raise ValueError(f"{where}: a dictionary of subjects of dictionaries of takes is wanted, found {value!r:.80}.")
    return {str(subject): {str(take): held for take, held in takes.items()} for subject, takes in value.items()}


def _same(a: Camera, b: Camera) -> bool:
    return (
        np.allclose(a.rotation, b.rotation, atol=1e-4)
        and np.allclose(a.position, b.position, atol=1e-3)
        and np.allclose(a.intrinsics, b.intrinsics, rtol=1e-4)
    )


def _spread(joints: np.ndarray) -> np.ndarray:
    """(T, 17, 3) -> (T, 32, 3)."""
    source = []
    for joint, parent in zip(H36M_32.joints, H36M_32.parents, strict=True):
        source.append(H36M_17.index(joint) if joint in H36M_17.joints else source[parent])
    return joints[:, source]
