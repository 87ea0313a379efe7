"""MPI-INF-3DHP: its own annotation files, or the two npz files most lifters read it from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from anypose.camera import camera_to_world
from anypose.formats.files import require_folder
from anypose.formats.npz import motion_array, read_npz
from anypose.motion import stretches
from anypose.settings import Misuse, judged
from anypose.skeleton import MPI_INF_3DHP_17
from pose3d.motion.cache import cached_sequences
from pose3d.motion.missing_joints import MissingJoints
from pose3d.motion.mpi_inf_3dhp import picture_size, read_test, read_training, test_folder
from pose3d.motion.pinhole import fit_pinhole
from pose3d.motion.remarks import part_name, remarks
from pose3d.motion.sequence import PoseSequence, Split
from pose3d.motion.units import UNITS, metres_per_unit

# Annotated frames and frames per second of the training sequences.
TRAIN = {
    ("S1", "Seq1"): (6416, 25), ("S1", "Seq2"): (12430, 50), ("S2", "Seq1"): (6502, 25), ("S2", "Seq2"): (6081, 25),
    ("S3", "Seq1"): (12488, 50), ("S3", "Seq2"): (12283, 50), ("S4", "Seq1"): (6171, 25), ("S4", "Seq2"): (6675, 25),
    ("S5", "Seq1"): (12820, 50), ("S5", "Seq2"): (12312, 50), ("S6", "Seq1"): (6188, 25), ("S6", "Seq2"): (6145, 25),
    ("S7", "Seq1"): (6239, 25), ("S7", "Seq2"): (6320, 25), ("S8", "Seq1"): (6468, 25), ("S8", "Seq2"): (6054, 25),
}  # fmt: skip
TEST = ("TS1", "TS2", "TS3", "TS4", "TS5", "TS6")
TEST_FPS = 25
NPZ = {"train": "data_train_3dhp.npz", "validation": "data_test_3dhp.npz"}


@judged("dataset")
class MPIINF3DHP:
    """Fourteen cameras around eight people, and six test sequences; each view stands in a world of its own.

    What is read, for training and test alike: `data_train_3dhp.npz` and `data_test_3dhp.npz` where `root` has them,
    otherwise `S1/Seq1/annot.mat`, ... and `TS1/annot_data.mat`, ... (there or in `mpi_inf_3dhp_test_set`).

    Args:
        root: the folder.
        annotation: "univ_annot3", people scaled to one height, as is scored; or "annot3", their own size (not in npz).
        train_subjects: of S1 to S8.
        validation_subjects: of TS1 to TS6.
        cameras: of training, 0 to 13; lifters use the eight at chest height.
        unit: of the 3D; None for the one that makes people of the size of people, as published millimetres.
        frame_step: keep every n-th frame.
        cache: folder for parsed motion; None to parse every time.
        missing_joints, missing_in: see `pose3d.motion.missing_joints.MissingJoints`.
    """

    name = "mpi_inf_3dhp"
    keypoint_source = "ground truth"
    actions = ("Seq1", "Seq2", *TEST)

    def __init__(
        self,
        root: str,
        annotation: str,
        train_subjects: Sequence[str],
        validation_subjects: Sequence[str],
        cameras: Sequence[int],
        unit: Literal["m", "cm", "mm"] | None,
        frame_step: int,
        cache: str | None,
        missing_joints: int,
        missing_in: Literal["train", "test", "both"],
    ) -> None:
        self.missing_joints = MissingJoints(missing_joints, missing_in)
        people = tuple(dict.fromkeys(subject for subject, _ in TRAIN))
        for key, chosen, possible in (
            ("annotation", (annotation,), ("univ_annot3", "annot3")),
            ("train_subjects", train_subjects, people),
            ("validation_subjects", validation_subjects, TEST),
            ("cameras", cameras, range(14)),
            ("frame_step", (min(frame_step, 1),), (1,)),
        ):
            wrong = [str(value) for value in chosen if value not in possible]
            if wrong:
                raise Misuse(f"dataset.{key} has {', '.join(wrong)}; possible are {', '.join(map(str, possible))}.")
        self.root = require_folder(root, f"S1/Seq1/annot.mat, ... and TS1/annot_data.mat, ..., or {NPZ['train']}")
        self.annotation, self.cameras, self.unit = annotation, tuple(cameras), unit
        self.frame_step, self.cache = frame_step, cache
        self.subjects: dict[Split, tuple[str, ...]] = {
            "train": tuple(train_subjects),
            "validation": tuple(validation_subjects),
        }
        self.notes = (f"{annotation}, lenses fitted to 2D and 3D, each view in a world of its own",)

    def _files(self, split: Split) -> list[Path]:
        if (self.root / NPZ[split]).is_file():
            return [self.root / NPZ[split]]
        if split == "train":
            return [self.root / s / seq / "annot.mat" for s, seq in TRAIN if s in self.subjects[split]]
        return [test_folder(self.root) / subject / "annot_data.mat" for subject in self.subjects[split]]

    def sequences(self, split: Split) -> list[PoseSequence]:
        """Every chosen view of every sequence; test sequences in the stretches whose frames are valid."""
        splits: tuple[Split, ...] = ("train", "validation") if split == "train" else ("validation",)
        lacking = {part: [path for path in self._files(part) if not path.is_file()] for part in splits}
        if missing := [path for paths in lacking.values() for path in paths]:
            names = ", ".join(path.relative_to(self.root).as_posix() for path in missing)
            instead = ", ".join(NPZ[part] for part, paths in lacking.items() if paths)
            raise FileNotFoundError(f"dataset.root={self.root} has no {names}, nor {instead}.")
        files = self._files(split)
        settings = {
            "subjects": self.subjects[split],
            **{key: getattr(self, key) for key in ("annotation", "cameras", "unit", "frame_step")},
        }
        read = {
            (True, "train"): self._train_npz,
            (True, "validation"): self._test_npz,
            (False, "train"): self._train_mat,
            (False, "validation"): self._test_mat,
        }[files[0].suffix == ".npz", split]
        sequences = cached_sequences(
            self.cache, self.name, settings, files, lambda: [s for view in read(files) for s in self._sequences(view)]
        )
        wanted = ("Seq1", "Seq2") if split == "train" else self.subjects[split]
        found = remarks(sequences, wanted, "in which no frame is valid")
        self.notes = tuple(dict.fromkeys((*self.notes, *found)))
        return sequences

    def _train_mat(self, files: list[Path]) -> Iterator[_View]:
        for path in files:
            subject, sequence = path.parts[-3:-1]
            frames, fps = TRAIN[subject, sequence]
            for camera, keypoints, joints in read_training(path, self.annotation, self.cameras):
                where = f"{path}, camera {camera}"
                yield _View(where, subject, sequence, camera, fps, keypoints[:frames], joints[:frames])

    def _train_npz(self, files: list[Path]) -> Iterator[_View]:
        data = self._read_npz(files[0])
        for (subject, sequence), (_, fps) in TRAIN.items():
            if subject not in self.subjects["train"]:
                continue
            held = data.get(f"{subject} {sequence}")
            views = held[0] if isinstance(held, list | tuple) and held else None
            for camera in self.cameras:
                where = f"{files[0]}, {subject} {sequence}, camera {camera}"
                view = views.get(str(camera)) if isinstance(views, dict) else None
                if not isinstance(view, dict):
                    raise ValueError(f"{where}: there is none; is it {NPZ['train']} as P-STMO writes it?")
                yield _View(where, subject, sequence, camera, fps, view.get("data_2d"), view.get("data_3d"))

    def _test_mat(self, files: list[Path]) -> Iterator[_View]:
        for path in files:
            name = path.parent.name
            yield _View(str(path), name, name, 0, TEST_FPS, *read_test(path, self.annotation))

    def _test_npz(self, files: list[Path]) -> Iterator[_View]:
        data = self._read_npz(files[0])
        for name in self.subjects["validation"]:
            held = data.get(name)
            if not isinstance(held, dict):
                raise ValueError(f"{files[0]} has no {name}; is it {NPZ['validation']} as P-STMO writes it?")
            arrays = [held.get(key) for key in ("data_2d", "data_3d", "valid")]
            yield _View(f"{files[0]}, {name}", name, name, 0, TEST_FPS, *arrays)

    def _read_npz(self, path: Path) -> dict[str, Any]:
        if self.annotation != "univ_annot3":
            raise Misuse(f"dataset.annotation={self.annotation}, but {path} holds univ_annot3 only.")
        data = read_npz(path, ["data"])["data"]
        if not isinstance(data, dict):
            raise ValueError(f"{path}: data must be a dictionary, found {type(data).__name__}.")
        return data

    def _sequences(self, view: _View) -> Iterator[PoseSequence]:
        """The view's stretches of valid frames, all with one lens."""
        keypoints = motion_array(view.keypoints, ("T", 17, 2), f"{view.where}, 2D").astype(np.float32)
        joints = motion_array(view.joints, ("T", 17, 3), f"{view.where}, 3D").astype(np.float64)
        valid = np.ones(len(joints), dtype=bool)
        if view.valid is not None:
            valid = motion_array(view.valid, ("T",), f"{view.where}, valid frames") > 0
        if not len(keypoints) == len(joints) == len(valid):
            lengths = f"{len(keypoints)}, {len(joints)} and {len(valid)}"
            raise ValueError(f"{view.where}: 2D, 3D and valid flags must be of one length, found {lengths} frames.")
        if valid.any():
            joints *= metres_per_unit(joints[valid], MPI_INF_3DHP_17, self.unit, view.where, UNITS, fine=False)
        seen, shown = joints[valid].reshape(-1, 3), keypoints[valid].reshape(-1, 2)
        camera = fit_pinhole(str(view.camera), seen, shown, picture_size(view.subject))
        pieces = stretches(valid)
        for number, (start, stop) in enumerate(pieces, start=1):
            part = slice(start, stop, self.frame_step)
            yield PoseSequence(
                subject=view.subject,
                action=view.action,
                take=part_name(view.action, number, len(pieces)),
                camera=camera,
                keypoints=keypoints[part],
                keypoint_skeleton=MPI_INF_3DHP_17,
                joints=camera_to_world(joints[part], camera).astype(np.float32),
                skeleton=MPI_INF_3DHP_17,
                fps=view.fps / self.frame_step,
                first_frame=start,
                frame_stride=self.frame_step,
            )


class _View(NamedTuple):
    """What a file says of one camera's view: keypoints [px] and camera-frame joints [mm], unchecked."""

    where: str
    subject: str
    action: str
    camera: int
    fps: float
    keypoints: Any
    joints: Any
    valid: Any = None
