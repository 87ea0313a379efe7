"""CMU motion capture, as BVH or in its own Acclaim format, seen by virtual cameras; split by subject."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from anypose.camera import project, world_to_camera
from anypose.formats.amc import read_amc
from anypose.formats.asf import read_asf
from anypose.formats.bvh import read_bvh
from anypose.formats.files import require_folder
from anypose.settings import Misuse, judged
from anypose.skeleton import H36M_17
from pose3d.motion import cmu
from pose3d.motion.cache import cached_sequences
from pose3d.motion.missing_joints import MissingJoints
from pose3d.motion.remarks import part_name, remarks
from pose3d.motion.sequence import PoseSequence, Split
from pose3d.motion.units import METRES
from pose3d.motion.upright import check_upright, lies_along
from pose3d.motion.virtual_cameras import sample_cameras

INDEX = "CMU-INDEX.md"
MOST_CAMERAS = 100


@judged("dataset")
class CMU:
    """Folder trees of takes, each with cgspeed's `CMU-INDEX.md`, which names their actions, at its top.

    Args:
        root: the folder, or several.
        form: "bvh" for cgspeed's Daz-friendly conversion (`02/02_01.bvh`), "amc" for the database's own files
            (`02/02_01.amc` with the subject's `02/02.asf`).
        train_subjects: e.g. ["01", "03"]; None for every subject found that does not validate.
        validation_subjects: e.g. ["02", "08"].
        actions: rows of `pose3d.motion.cmu.ACTIONS` to keep; None for all.
        unit: of lengths in the files; None for what they say, or what makes a person.
        up: of the files' world: "y" as CMU's, "z" as other programs save them; None for y, if most stand in it.
        rate: frames per second of the files; None for what they say, which .amc do not.
        fps: frames per second to resample to; takes recorded slower stay as they are.
        frame_step: keep every n-th of those frames.
        num_cameras: views of each take.
        max_speed: a take is cut where a joint moves faster [m/s].
        seed: of the cameras; those of a take depend on (seed, take) only.
        allow_missing: go on without subjects that are not in the folder.
        cache: folder for parsed motion; None to parse every time.
        missing_joints, missing_in: see `pose3d.motion.missing_joints.MissingJoints`.
    """

    name = "cmu"
    keypoint_source = "exact projection into virtual cameras"

    def __init__(
        self,
        root: Sequence[str],
        form: str,
        train_subjects: Sequence[str] | None,
        validation_subjects: Sequence[str],
        actions: Sequence[str] | None,
        unit: Literal["m", "cm", "mm", "inch"] | None,
        up: Literal["y", "z"] | None,
        rate: float | None,
        fps: float,
        frame_step: int,
        num_cameras: int,
        max_speed: float,
        seed: int,
        allow_missing: bool,
        cache: str | None,
        missing_joints: int,
        missing_in: Literal["train", "test", "both"],
    ) -> None:
        self.missing_joints = MissingJoints(missing_joints, missing_in)
        if form not in ("bvh", "amc"):
            raise Misuse(f"dataset.form={form} must be bvh or amc.")
        self.form, self.unit, self.up, self.rate = form, unit, up, rate
        self.roots = [require_folder(folder, f"CMU motion capture, e.g. 02/02_01.{form}") for folder in root]
        if rate is not None and not 5 <= rate <= 1000:
            raise Misuse(f"dataset.rate={rate} must be 5 to 1000 frames per second.")
        if form == "amc" and rate is None:
            raise Misuse(
                "dataset.form=amc: Acclaim files do not say how many frames a second has. Nearly all of CMU's takes "
                "were recorded at 120: dataset.rate=120."
            )
        unknown = [action for action in actions or () if action not in cmu.ACTIONS]
        if unknown:
            raise Misuse(f"dataset.actions has {', '.join(unknown)}; CMU's are {', '.join(cmu.ACTIONS)}.")
        if frame_step < 1 or not 1 <= num_cameras <= MOST_CAMERAS or not 0 < fps <= 1000 or not max_speed > 0:
            raise Misuse(
                f"dataset.frame_step={frame_step} must be at least 1, num_cameras={num_cameras} 1 to {MOST_CAMERAS}, "
                f"fps={fps} in (0, 1000], max_speed={max_speed} above 0."
            )
        self.actions = tuple(action for action in cmu.ACTIONS if not actions or action in actions)
        self.fps, self.frame_step, self.num_cameras = float(fps), frame_step, num_cameras
        self.max_speed, self.seed, self.cache = float(max_speed), seed, cache
        self.told = ", ".join(map(str, self.roots))
        self.files = self._find_files()
        validation = _subjects(validation_subjects)
        train = _subjects(set(self.files) - set(validation) if train_subjects is None else train_subjects)
        self.subjects: dict[Split, tuple[str, ...]] = {"train": train, "validation": validation}
        if both := sorted(set(train) & set(validation)):
            raise Misuse(f"Subjects {', '.join(both)} are both in dataset.train_subjects and validation_subjects.")
        self.allow_missing = allow_missing
        # One index names the takes of all: CMU's covers the whole database.
        indexed = any((folder / INDEX).exists() for folder in self.roots)
        self.notes: tuple[str, ...] = () if indexed else (f"no {INDEX}, every action is 'Other'",)

    def _find_files(self) -> dict[str, list[Path]]:
        """{subject: its takes}, both in order."""
        files: dict[str, list[Path]] = {}
        everything = [path for folder in self.roots for path in folder.rglob("*")]
        found = [path for path in everything if path.suffix.lower() == f".{self.form}"]
        known: dict[str, Path] = {}
        for path in sorted(found, key=lambda path: path.stem):
            if not cmu.TAKE.fullmatch(path.stem):
                continue
            if path.stem in known:
                raise ValueError(f"{known[path.stem]} and {path} are both the take {path.stem}. Remove one of them.")
            known[path.stem] = path
            files.setdefault(path.stem.partition("_")[0], []).append(path)
        if not files:
            raise FileNotFoundError(
                f"dataset.root={self.told} has no file named SUBJECT_TAKE.{self.form} (02_01.{self.form}), "
                "neither there nor below."
            )
        if self.form == "amc":
            lacking = [path.stem for paths in files.values() for path in paths if not _skeleton(path).is_file()]
            if lacking:
                raise FileNotFoundError(
                    f"{', '.join(lacking[:8])}{', ...' if len(lacking) > 8 else ''} of dataset.root={self.told} need "
                    f"their subjects' skeletons beside them, e.g. {_skeleton(files[lacking[0].partition('_')[0]][0])}."
                )
        return files

    def _check_subjects(self, split: Split) -> tuple[str, ...]:
        """Notes on subjects without takes, or an error: training is scored, too; a score needs nobody to train on."""
        needed = self.subjects["validation"] + (self.subjects["train"] if split == "train" else ())
        missing = [subject for subject in needed if subject not in self.files]
        if missing and not self.allow_missing:
            raise FileNotFoundError(
                f"dataset.root={self.told} has no takes of subjects {', '.join(missing)}; it has "
                f"{', '.join(self.files)}. Change dataset.train_subjects and validation_subjects, or go on with "
                "dataset.allow_missing=true."
            )
        return tuple(f"no takes of subject {subject}" for subject in missing)

    def sequences(self, split: Split) -> list[PoseSequence]:
        """Every take of the split's subjects, `num_cameras` views each. Notes on what is lost are whole afterwards."""
        self.notes = tuple(dict.fromkeys((*self._check_subjects(split), *self.notes)))
        indices = [folder / INDEX for folder in self.roots if (folder / INDEX).exists()]
        descriptions = {take: words for index in indices for take, words in cmu.read_index(index).items()}
        takes = [
            (path, subject, action)
            for subject in self.subjects[split]
            for path in self.files.get(subject, ())
            if (action := cmu.action_of(descriptions.get(path.stem, ""))) in self.actions
        ]
        if not takes:
            raise Misuse(
                f"dataset.actions={','.join(self.actions)} leave no take of {split} subjects "
                f"{', '.join(self.subjects[split])}."
            )
        settings = {
            "takes": [(path.stem, subject, action) for path, subject, action in takes],
            **{
                key: getattr(self, key)
                for key in ("form", "unit", "rate", "fps", "frame_step", "num_cameras", "max_speed", "seed")
            },
            **({"up": "z"} if self.up == "z" else {}),
        }
        sequences = cached_sequences(
            self.cache,
            self.name,
            settings,
            [file for path, _, _ in takes for file in ((path, _skeleton(path)) if self.form == "amc" else (path,))],
            lambda: self._read(takes),
        )
        why = f"cut away whole: no half second without a joint faster than dataset.max_speed={self.max_speed:g} m/s"
        found = remarks(sequences, [path.stem for path, _, _ in takes], why)
        self.notes = tuple(dict.fromkeys((*self.notes, *found)))
        return sequences

    def _read(self, takes: Sequence[tuple[Path, str, str]]) -> list[PoseSequence]:
        """Views of all takes, once it is clear that they stand upright."""
        lying: dict[str, str] = {}
        views = []
        for path, subject, action in takes:
            joints, fps = self._joints(path)
            if self.up is None and (axis := lies_along(joints)):
                lying[str(path)] = axis
            views += self._views(path.stem, subject, action, joints, fps)
        check_upright(lying, len(takes))
        return views

    def _views(self, take: str, subject: str, action: str, joints: np.ndarray, fps: float) -> list[PoseSequence]:
        """The take's whole pieces from every camera; all pieces are seen by the same cameras."""
        pieces = cmu.whole_pieces(joints, fps, self.max_speed, min_seconds=0.5)
        if not pieces:
            return []
        motions = [cmu.resample(joints[piece], fps, self.fps)[:: self.frame_step] for piece in pieces]
        rng = np.random.default_rng([self.seed, zlib.crc32(take.encode())])
        cameras = sample_cameras(rng, np.concatenate(motions), self.num_cameras)
        views = []
        start = cmu.REST_FRAMES if self.form == "bvh" else 0
        for number, (piece, motion) in enumerate(zip(pieces, motions, strict=True), start=1):
            world = motion.astype(np.float32)
            views += [
                PoseSequence(
                    subject=subject,
                    action=action,
                    take=part_name(take, number, len(motions)),
                    camera=camera,
                    keypoints=project(world_to_camera(motion, camera), camera).astype(np.float32),
                    keypoint_skeleton=H36M_17,
                    joints=world,
                    skeleton=H36M_17,
                    fps=min(fps, self.fps) / self.frame_step,
                    first_frame=start + piece.start,
                    frame_stride=max(fps / self.fps, 1) * self.frame_step,
                )
                for camera in cameras
            ]
        return views

    def _joints(self, path: Path) -> tuple[np.ndarray, float]:
        """(T, 17, 3) [m] and frames per second of a take."""
        z_up = self.up == "z"
        if self.form == "bvh":
            bvh = read_bvh(path, self.rate)
            return cmu.joints_of_bvh(bvh, self.unit, str(path), z_up), bvh.fps
        asf = read_asf(_skeleton(path), METRES[self.unit] if self.unit else None)
        assert self.rate  # asked for in the constructor
        return cmu.joints_of_amc(asf, read_amc(path, asf), self.unit, str(path), z_up), self.rate


def _skeleton(path: Path) -> Path:
    """The subject's skeleton of an .amc take."""
    return path.with_name(f"{path.stem.partition('_')[0]}.asf")


def _subjects(subjects: Iterable[str | int]) -> tuple[str, ...]:
    """As CMU writes them, with two digits, from whatever the command line made of them."""
    return tuple(sorted(str(subject).zfill(2) for subject in subjects))
