"""dataset=mpi_inf_3dhp_images: MPI-INF-3DHP's frames with its annotations, real people whose 3D is known.

The training set comes as videos; their frames must lie in files, e.g. by
`ffmpeg -i S1/Seq1/imageSequence/video_0.avi -q:v 2 S1/Seq1/imageFrames/video_0/frame_%06d.jpg`. Frames without a file
are left out, so a part of them will do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from anypose.formats.files import require_folder
from anypose.formats.npz import motion_array
from anypose.settings import Misuse
from anypose.skeleton import H36M_17, MPI_INF_3DHP_17, get_skeleton
from pose2d.images.image_files import ImageFiles
from pose2d.people import COCO_SIGMAS, COCO_UPPER, People, Split, coco_annotation, coco_truth
from pose3d.motion.mpi_inf_3dhp import picture_size, read_test, read_training, test_folder
from pose3d.motion.pinhole import fit_pinhole
from pose3d.motion.units import UNITS, metres_per_unit

# COCO's limbs are 3DHP's of the same name; its face has no counterpart.
_COCO = get_skeleton("coco_17")
_SHARED = [name for name in _COCO.joints if name in MPI_INF_3DHP_17.joints]
_TO_COCO = [_COCO.joints.index(name) for name in _SHARED]
_FROM_3DHP = [MPI_INF_3DHP_17.joints.index(name) for name in _SHARED]
AIR = 0.1  # a box reaches this share of its longer side beyond the joints


class View(NamedTuple):
    """One camera's frames.

    Attributes:
        keypoints: (T, 17, 2) [px], skeleton mpi_inf_3dhp_17.
        joints: (T, 17, 3) camera frame [m].
        valid: (T,) bool.
        files: (T,) of the frames' images, relative to the dataset's folder.
        size: width and height [px].
    """

    keypoints: np.ndarray
    joints: np.ndarray
    valid: np.ndarray
    files: list[str]
    size: tuple[int, int]


class MPIINF3DHPImages:
    """A PeopleDataset: one person an image, 12 of COCO's keypoints and the head top labelled, all known in 3D.

    Args:
        root: folder of S1/Seq1/annot.mat, ... and TS1/annot_data.mat, ... (there or in `mpi_inf_3dhp_test_set`).
        annotation: "annot3", the people's own size, as lifting needs; or "univ_annot3", scaled to one height.
        train_subjects: of S1 to S8, each with Seq1 and Seq2.
        validation_subjects: of TS1 to TS6.
        cameras: of training, 0 to 13.
        unit: of the 3D; None for the one that makes people of the size of people, as published millimetres.
        frame_step: keep every n-th frame.
        train_files, validation_files: where a frame's image is, from `root` or the test set's folder on; the fields are
            subject, sequence, camera and frame, which counts from 1.
        max_megapixels: larger images are not decoded.
    """

    name = "mpi_inf_3dhp_images"

    def __init__(
        self,
        root: str,
        annotation: str,
        train_subjects: Sequence[str],
        validation_subjects: Sequence[str],
        cameras: Sequence[int],
        unit: Literal["m", "cm", "mm"] | None,
        frame_step: int,
        train_files: str,
        validation_files: str,
        max_megapixels: float,
    ) -> None:
        if annotation not in ("annot3", "univ_annot3"):
            raise Misuse(f"dataset.annotation must be annot3 or univ_annot3, got {annotation}.")
        if not (train_subjects and validation_subjects and cameras):
            raise Misuse(
                "dataset.train_subjects, validation_subjects and cameras must name at least one each, got "
                f"{list(train_subjects)}, {list(validation_subjects)} and {list(cameras)}."
            )
        if frame_step < 1:
            raise Misuse(f"dataset.frame_step must be at least 1, got {frame_step}.")
        self.root = require_folder(root, "S1/Seq1/annot.mat, ... and TS1/annot_data.mat, ...")
        self.annotation, self.cameras, self.frame_step = annotation, tuple(cameras), frame_step
        self.unit = unit
        self.subjects = {"train": tuple(train_subjects), "validation": tuple(validation_subjects)}
        self.files = {"train": train_files, "validation": validation_files}
        self.max_megapixels = max_megapixels
        for split in ("train", "validation"):
            self._example(split)
        self.skeleton = _COCO
        self.notes: tuple[str, ...] = (f"{annotation}, lenses fitted to 2D and 3D, no keypoints of the face",)

    def people(self, split: Split) -> People:
        """Everyone in the frames that have a file."""
        views = self._test_views() if split == "validation" else self._train_views()
        parts = [part for view in views if (part := self._chosen(view))]
        if not parts:
            pattern = self.files[split]
            raise FileNotFoundError(
                f"{self.root} has no image of a {split} frame like {self._example(split)}. Extract the videos' frames, "
                f"or say with dataset.{split}_files where they are (now {pattern})."
            )
        return _table(self.root, parts, self.max_megapixels)

    def _example(self, split: Split) -> str:
        subject = self.subjects[split][0]
        return self._file(split, subject, "Seq1", self.cameras[0], 1)

    def _file(self, split: Split, subject: str, sequence: str, camera: int, frame: int) -> str:
        pattern = self.files[split]
        try:
            file = pattern.format(subject=subject, sequence=sequence, camera=camera, frame=frame)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise Misuse(
                f"dataset.{split}_files={pattern} must be a path with the fields {{subject}}, {{sequence}}, {{camera}} "
                f"and {{frame}}; {error} cannot be filled in."
            ) from error
        return (test_folder(self.root).relative_to(self.root) / file).as_posix() if split == "validation" else file

    def _train_views(self) -> Iterator[View]:
        for subject in self.subjects["train"]:
            for sequence in ("Seq1", "Seq2"):
                path = self.root / subject / sequence / "annot.mat"
                for camera, keypoints, joints in read_training(path, self.annotation, self.cameras):
                    count = min(len(keypoints), len(joints))
                    files = [self._file("train", subject, sequence, camera, frame + 1) for frame in range(count)]
                    valid = np.ones(count, bool)
                    joints = self._in_metres(joints[:count], valid, f"{path}, camera {camera}")
                    yield View(keypoints[:count].astype(np.float64), joints, valid, files, picture_size(subject))

    def _test_views(self) -> Iterator[View]:
        for subject in self.subjects["validation"]:
            path = test_folder(self.root) / subject / "annot_data.mat"
            seen, places, flags = read_test(path, self.annotation)
            keypoints, valid = motion_array(seen, ("T", 17, 2), f"{path}, annot2").astype(np.float64), flags > 0
            if not len(keypoints) == len(places) == len(valid):
                lengths = f"{len(keypoints)}, {len(places)} and {len(valid)}"
                raise ValueError(f"{path}: 2D, 3D and valid flags must be of one length, found {lengths} frames.")
            joints = motion_array(np.where(valid[:, None, None], places, 1.0), ("T", 17, 3), f"{path}, 3D")
            joints = self._in_metres(joints, valid, str(path))
            files = [self._file("validation", subject, "", 0, frame + 1) for frame in range(len(valid))]
            yield View(keypoints, joints, valid, files, picture_size(subject))

    def _in_metres(self, joints: np.ndarray, valid: np.ndarray, where: str) -> np.ndarray:
        """(T, 17, 3) in the file's unit -> float64 [m], judged by the valid frames."""
        joints = joints.astype(np.float64)
        if not valid.any():
            return joints
        return joints * metres_per_unit(joints[valid], MPI_INF_3DHP_17, self.unit, where, UNITS, fine=False)

    def _chosen(self, view: View) -> dict[str, Any] | None:
        """What the table needs of a view's frames that are valid and have a file; None where there are none."""
        folders = {str(Path(file).parent) for file in view.files}
        there = {
            f"{folder}/{path.name}"
            for folder in folders
            if (self.root / folder).is_dir()
            for path in (self.root / folder).iterdir()
        }
        readable = view.valid & np.array([file in there for file in view.files])
        readable[np.arange(len(readable)) % self.frame_step != 0] = False
        rows = np.flatnonzero(readable)
        if not len(rows):
            return None
        camera = fit_pinhole(
            view.files[0], view.joints[view.valid].reshape(-1, 3), view.keypoints[view.valid].reshape(-1, 2), view.size
        )
        return {
            "files": [view.files[row] for row in rows],
            "keypoints": view.keypoints[rows],
            "joints": view.joints[rows],
            "lens": np.tile([camera.focal.mean(), *camera.centre], (len(rows), 1)),
            "size": np.tile(view.size[::-1], (len(rows), 1)),
        }


def _table(root: Path, parts: list[dict[str, Any]], max_megapixels: float) -> People:
    seen, joints, lenses, sizes = (
        np.concatenate([part[name] for part in parts]) for name in ("keypoints", "joints", "lens", "size")
    )
    count = len(seen)
    keypoints, visibility = np.zeros((count, 17, 2)), np.zeros((count, 17), np.int64)
    keypoints[:, _TO_COCO] = seen[:, _FROM_3DHP]
    inside = (keypoints >= 0).all(-1) & (keypoints < sizes[:, None, ::-1]).all(-1)
    visibility[:, _TO_COCO] = np.where(inside, 2, 0)[:, _TO_COCO]
    air = AIR * np.ptp(seen, axis=1).max(axis=-1, keepdims=True)
    low = np.maximum(seen.min(axis=1) - air, 0)
    high = np.minimum(seen.max(axis=1) + air, sizes[:, ::-1] - 1)
    extent = np.maximum(high - low, 1)
    boxes, areas = np.concatenate([low, extent], axis=1), extent.prod(axis=1) / 2  # a person fills about half of a box
    annotations = [
        coco_annotation(row + 1, row + 1, keypoints[row], visibility[row], boxes[row], float(areas[row]))
        for row in range(count)
    ]
    files = [file for part in parts for file in part["files"]]
    listed = [
        {"id": row + 1, "file_name": files[row], "height": int(sizes[row, 0]), "width": int(sizes[row, 1])}
        for row in range(count)
    ]
    return People(
        images=ImageFiles(root, files, sizes, max_megapixels=max_megapixels),
        image_ids=np.arange(1, count + 1),
        image_sizes=sizes.astype(np.int64),
        image=np.arange(count),
        ids=np.arange(1, count + 1),
        box_xyxy=np.concatenate([low, low + extent], axis=1),
        box_scores=np.ones(count),
        keypoints=keypoints,
        visibility=visibility,
        skeleton=_COCO,
        sigmas=np.array(COCO_SIGMAS),
        upper=COCO_UPPER,
        box_source="ground truth",
        truth={
            "coco": coco_truth(listed, annotations),
            "joints": _h36m(joints),
            "lenses": lenses,
        },
    )


def _h36m(joints: np.ndarray) -> np.ndarray:
    """(P, 17, 3) of 3DHP in the order of h36m_17, the head's top as its head.

    3DHP has no point of the face: the middle between throat and head stands in for it, and nobody is taught it.
    """
    at = {name: joints[:, row] for row, name in enumerate(MPI_INF_3DHP_17.joints)}
    at["neck"] = (at["thorax"] + at["head"]) / 2
    at["head"] = at["head_top"]
    return np.stack([at[name] for name in H36M_17.joints], axis=1)
