"""AIST++: real dances of thirty people, detected in nine views and triangulated (annotations CC BY 4.0, Google)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from anypose.camera import Camera
from anypose.formats.files import read_bytes, require_file, require_folder
from anypose.formats.npz import motion_array
from anypose.formats.plain_pickle import load_plain
from anypose.motion import stretches
from anypose.settings import Misuse, judged
from anypose.skeleton import COCO_17
from pose3d.motion.cache import cached_sequences
from pose3d.motion.missing_joints import MissingJoints
from pose3d.motion.pinhole import rodrigues, straightened
from pose3d.motion.remarks import part_name, remarks
from pose3d.motion.sequence import PoseSequence, Split
from pose3d.motion.units import UNITS, metres_per_unit

FPS = 60.0
VIEWS = tuple(f"c0{number}" for number in range(1, 10))
GENRES = {
    "gBR": "Break", "gPO": "Pop", "gLO": "Lock", "gMH": "MiddleHipHop", "gLH": "LAHipHop",
    "gHO": "House", "gWA": "Waack", "gKR": "Krump", "gJS": "StreetJazz", "gJB": "BalletJazz",
}  # fmt: skip
MAX_BYTES = 1 << 28
# Z up from the database's y up.
_UPRIGHT = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


@judged("dataset")
class AIST:
    """The annotations as published: keypoints2d, keypoints3d, cameras, splits, ignore_list.txt.

    The 2D are detections with scores (clipped to 0..1), moved to where a lens without distortion shows them. Frames in
    which a view or the 3D lacks a joint are left out, and what is left is cut there into stretches of half a second or
    more.

    Args:
        root: the folder of annotations.
        views: of c01 to c09.
        train_split, validation_split: names of files in `splits`, without .txt.
        actions: of `GENRES`; None for all.
        unit: of the 3D; None for the one that makes people of the size of people, as published centimetres.
        frame_step: keep every n-th frame.
        allow_missing: go on without sequences whose files are not there.
        cache: folder for parsed motion; None to parse every time.
        missing_joints, missing_in: see `pose3d.motion.missing_joints.MissingJoints`.
    """

    name = "aist"
    keypoint_source = "AIST++ detections"

    def __init__(
        self,
        root: str,
        views: Sequence[str],
        train_split: str,
        validation_split: str,
        actions: Sequence[str] | None,
        unit: Literal["m", "cm", "mm"] | None,
        frame_step: int,
        allow_missing: bool,
        cache: str | None,
        missing_joints: int,
        missing_in: Literal["train", "test", "both"],
    ) -> None:
        self.missing_joints = MissingJoints(missing_joints, missing_in)
        for key, chosen, possible in (("views", views, VIEWS), ("actions", actions or (), GENRES.values())):
            wrong = [value for value in chosen if value not in possible]
            if wrong:
                raise Misuse(f"dataset.{key} has {', '.join(wrong)}; AIST++ has {', '.join(possible)}.")
        if frame_step < 1:
            raise Misuse(f"dataset.frame_step={frame_step} must be at least 1.")
        self.views, self.unit, self.frame_step, self.cache = tuple(views), unit, frame_step, cache
        self.allow_missing = allow_missing
        self.actions = tuple(genre for genre in GENRES.values() if not actions or genre in actions)
        self.root = require_folder(root, "AIST++'s keypoints2d, keypoints3d, cameras and splits")
        self.settings = {name: setting for name, setting in _lines(self.root / "cameras" / "mapping.txt", 2)}
        ignore = self.root / "ignore_list.txt"
        ignored = {name for (name,) in _lines(ignore, 1)} if ignore.exists() else set()
        self.names: dict[Split, list[str]] = {}
        self.missing: dict[Split, list[str]] = {}
        splits: dict[Split, str] = {"train": train_split, "validation": validation_split}
        for split, file in splits.items():
            names = {_sequence(name) for (name,) in _lines(self.root / "splits" / f"{file}.txt", 1)} - ignored
            wanted = sorted(name for name in names if GENRES.get(name[:3]) in self.actions)
            self.names[split] = [name for name in wanted if all(path.is_file() for path in self._files(name))]
            self.missing[split] = [name for name in wanted if name not in self.names[split]]
        self.notes: tuple[str, ...] = ()

    def _files(self, name: str) -> list[Path]:
        setting = self.settings.get(name, "of no setting")
        return [
            self.root / "keypoints2d" / f"{name}.pkl",
            self.root / "keypoints3d" / f"{name}.pkl",
            self.root / "cameras" / f"{setting}.json",
        ]

    def sequences(self, split: Split) -> list[PoseSequence]:
        """Every chosen view of every sequence of the split; what is missing is named before training, of both."""
        needed: tuple[Split, ...] = ("train", "validation") if split == "train" else ("validation",)
        missing = [name for part in needed for name in self.missing[part]]
        if (missing and not self.allow_missing) or not all(self.names[part] for part in needed):
            raise FileNotFoundError(
                f"dataset.root={self.root} lacks the files of {len(missing)} sequences of the splits: "
                f"{', '.join(missing[:8])}{', ...' if len(missing) > 8 else ''}. Get them, or go on without with "
                "dataset.allow_missing=true."
            )
        names = self.names[split]
        settings = {"names": names, "views": self.views, "unit": self.unit, "frame_step": self.frame_step}
        files = [path for name in names for path in self._files(name)]
        sequences = cached_sequences(
            self.cache, self.name, settings, files, lambda: [s for name in names for s in self._read(name)]
        )
        found = remarks(sequences, names, "in which no half second is whole in 2D and 3D")
        without = [f"without {len(missing)} sequences"] if missing else []
        self.notes = tuple(dict.fromkeys((*self.notes, *without, *found)))
        return sequences

    def _read(self, name: str) -> Iterator[PoseSequence]:
        path_2d, path_3d, path_cameras = self._files(name)
        seen = motion_array(_unpickled(path_2d, "keypoints2d"), (9, "T", 17, 3), f"{path_2d}, keypoints2d")
        joints = motion_array(_unpickled(path_3d, "keypoints3d_optim"), ("T", 17, 3), f"{path_3d}, keypoints3d_optim")
        if seen.shape[1] != len(joints):
            raise ValueError(f"{path_2d} has {seen.shape[1]} frames, {path_3d} has {len(joints)}.")
        known = joints[np.isfinite(joints).all((1, 2))]
        metres = metres_per_unit(known, COCO_17, self.unit, str(path_3d), UNITS, fine=False) if len(known) else 0.0
        world = (metres * joints.astype(np.float64) @ _UPRIGHT.T).astype(np.float32)
        subject = re.search(r"_(d\d+)_", name)
        for view in self.views:
            camera, distortion = read_camera(path_cameras, view)
            detected = seen[VIEWS.index(view)].astype(np.float64)
            whole = np.isfinite(detected).all((1, 2)) & np.isfinite(world).all((1, 2))
            pieces = [(start, stop) for start, stop in stretches(whole) if stop - start >= FPS / 2]
            for number, (start, stop) in enumerate(pieces, start=1):
                part = slice(start, stop, self.frame_step)
                yield PoseSequence(
                    subject=subject[1] if subject else name,
                    action=GENRES[name[:3]],
                    take=part_name(name, number, len(pieces)),
                    camera=camera,
                    keypoints=straightened(detected[part, :, :2], camera, distortion).astype(np.float32),
                    keypoint_skeleton=COCO_17,
                    joints=world[part],
                    skeleton=COCO_17,
                    fps=FPS / self.frame_step,
                    first_frame=start,
                    frame_stride=self.frame_step,
                    scores=detected[part, :, 2].clip(0, 1).astype(np.float32),
                )


def read_camera(path: Path, view: str) -> tuple[Camera, np.ndarray]:
    """The view's camera, without distortion and in a world with z up [m]; and OpenCV's k1, k2, p1, p2, k3 apart."""
    try:
        cameras = json.loads(read_bytes(path, "AIST++'s cameras", 1 << 20))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}.") from None
    listed = cameras if isinstance(cameras, list) else []
    held = next((camera for camera in listed if isinstance(camera, dict) and camera.get("name") == view), None)
    if held is None:
        raise ValueError(f"{path} has no camera '{view}'.")
    shapes = {"size": (2,), "matrix": (3, 3), "rotation": (3,), "translation": (3,), "distortions": (5,)}
    values = {}
    for key, shape in shapes.items():
        try:
            values[key] = np.array(held.get(key), dtype=np.float64)
        except (ValueError, TypeError):
            values[key] = np.empty(0)
        if values[key].shape != shape or not np.isfinite(values[key]).all():
            found = str(held.get(key))[:80]
            raise ValueError(f"{path}, camera {view}: '{key}' must be {shape} finite numbers, found {found}.")
    rotation = rodrigues(values["rotation"])
    return Camera(
        name=view,
        rotation=rotation @ _UPRIGHT.T,
        position=_UPRIGHT @ (-rotation.T @ values["translation"]) / 100,
        focal=values["matrix"][[0, 1], [0, 1]],
        centre=values["matrix"][:2, 2],
        radial=np.zeros(3),
        tangential=np.zeros(2),
        width=int(values["size"][0]),
        height=int(values["size"][1]),
    ), values["distortions"]


def _sequence(name: str) -> str:
    """The sequence of a video: gBR_sBM_c01_d04_mBR0_ch01 is a view of gBR_sBM_cAll_d04_mBR0_ch01."""
    return re.sub(r"_c\d\d_", "_cAll_", name)


def _lines(path: Path, words: int) -> list[tuple[str, ...]]:
    """The lines of a list of names, each split into `words`."""
    text = read_bytes(path, "one of AIST++'s lists", 16 << 20).decode("utf-8", errors="replace")
    lines = [tuple(line.split()) for line in text.splitlines() if line.strip()]
    for number, line in enumerate(lines, start=1):
        if len(line) != words:
            raise ValueError(f"{path}, line {number}: {words} words are wanted, found '{' '.join(line)[:80]}'.")
    return lines


def _unpickled(path: Path, key: str) -> Any:
    with require_file(path, "AIST++'s keypoints", MAX_BYTES).open("rb") as stream:
        held = load_plain(stream, str(path))
    if not isinstance(held, dict) or key not in held:
        found = ", ".join(map(str, held))[:80] if isinstance(held, dict) else type(held).__name__
        raise ValueError(f"{path} has no '{key}', found {found}.")
    return held[key]
