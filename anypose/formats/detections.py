"""Other people's keypoints on their way to a `Motion`: frames of persons, what the points are, when the frames were."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from anypose.bounds import largest_of, limit
from anypose.formats.files import LARGEST
from anypose.motion import Motion
from anypose.skeleton import SKELETONS, Skeleton, get_skeleton

MAX_FRAMES = 2_000_000
MAX_PEOPLE = 1_000  # in one frame
MAX_POINTS = 1_000  # of one person
LARGEST_SIDE = 100_000  # of a picture [px]
LARGEST_RATE = 100_000  # [frames/s]
SLOWEST = 5.0  # a motion's frames are never so far apart in the median [s]
RATE = 30.0  # frames/s where neither the file nor the user says
# Layouts of whole bodies whose first points are one of ours.
BEGIN_WITH = {136: "halpe_26", 68: "halpe_26", 135: "body_25b", 134: "openpose_18", 133: "coco_17"}
# What others call our skeletons.
ALIASES = {
    "coco": "coco_17",
    "coco17": "coco_17",
    "coco_wholebody": "coco_17",
    "wholebody": "coco_17",
    "coco_133": "coco_17",
    "coco133": "coco_17",
    "h36m": "h36m_17",
    "human36m": "h36m_17",
    "halpe26": "halpe_26",
    "halpe": "halpe_26",
    "halpe_136": "halpe_26",
    "halpe136": "halpe_26",
    "halpe_68": "halpe_26",
    "body25": "body_25",
    "body25b": "body_25b",
    "coco_18": "openpose_18",
    "coco18": "openpose_18",
    "openpose18": "openpose_18",
    "mpi": "openpose_15",
    "mpii": "mpii_16",
    "blazepose": "blazepose_33",
    "mediapipe": "blazepose_33",
}


@dataclass(eq=False)
class Detections:
    """Frames of persons as a file has them.

    Attributes:
        where: the file, for messages.
        frames: for each frame its number, or its time where `timed`, and its persons: an id or None, and (K, 3) x, y,
            score.
        declared: what the file says its points are, or None.
        usual: what they are in files of its form, unless the user says otherwise.
        size: width and height of the picture as the file says, or None.
        timed: whether frames have times [s] instead of numbers.
        rate: frames/s as the file says, or None.
    """

    where: str
    frames: list[tuple[float, list[tuple[int | None, np.ndarray]]]] = field(default_factory=list)
    declared: Skeleton | None = None
    usual: Skeleton | None = None
    size: tuple[int, int] | None = None
    timed: bool = False
    rate: float | None = None

    def add(self, number: float, people: Sequence[tuple[int | None, np.ndarray]]) -> None:
        """The next frame."""
        if len(people) > MAX_PEOPLE or len(self.frames) >= MAX_FRAMES:
            raise ValueError(
                f"{self.where}, frame {number:g}: at most {MAX_FRAMES} frames of {MAX_PEOPLE} people are read, "
                f"found {len(people)} people."
            )
        for person, _ in people:
            if person is not None and not (isinstance(person, int) and -(2**63) <= person < 2**63):
                raise ValueError(f"{self.where}, frame {number:g}: an id must be a whole number, found {person!s:.40}.")
        self.frames.append((float(number), list(people)))


def number_of(value: Any, where: str) -> float:
    """A frame's number or time.

    Raises:
        ValueError: with `where`, for what is none.
    """
    if not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise ValueError(f"{where} must be a number within {LARGEST:g}, found {value!s:.40}.")
    return float(value)


def points_of(value: Any, where: str, width: int = 3) -> np.ndarray:
    """(K, width) float64 of a flat or nested list of numbers; null is NaN.

    Raises:
        ValueError: with `where`, for anything else.
    """
    try:
        flat: np.ndarray = np.array(value, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        flat = np.empty(0)
    if flat.ndim not in (1, 2) or not flat.size or (flat.ndim == 1 and flat.size % width) or _too_large(flat):
        raise ValueError(f"{where} must be numbers, {width} a point, found {str(value)[:60]}.")
    points: np.ndarray = flat.reshape(-1, width) if flat.ndim == 1 else flat
    if points.shape[1] != width or len(points) > MAX_POINTS:
        raise ValueError(
            f"{where} must be at most {MAX_POINTS} points of {width} numbers, found {len(points)} of {points.shape[1]}."
        )
    return points


def _too_large(numbers: np.ndarray) -> bool:
    return bool((np.abs(numbers) > LARGEST).any())


def list_of(value: Any, where: str, name: str) -> list[Any]:
    """A list of a document, or an error that names it."""
    if not isinstance(value, list):
        raise ValueError(f"{where}: '{name}' must be a list, found {described(value)}.")
    return value


def described(value: Any) -> str:
    """What a value of a document is, for messages."""
    if isinstance(value, Mapping):
        return f"an object with {', '.join(str(key)[:30] for key in list(value)[:6]) or 'nothing'}"
    if isinstance(value, list):
        return f"a list of {len(value)}" + (
            f", first {described(value[0])}" if value and not isinstance(value[0], list) else ""
        )
    return f"{type(value).__name__} {str(value)[:40]}"


def frame_number(name: str, otherwise: float) -> float:
    """The last number in a file's name: 12 of walk_000000000012_keypoints.json."""
    numbers = re.findall(r"\d+", Path(name).stem)
    return float(numbers[-1][-15:]) if numbers else otherwise


def skeleton_by_names(names: Sequence[str]) -> Skeleton | None:
    """The skeleton whose joints these are, in this order, under our names or COCO's."""
    wanted = tuple(str(name).lower().replace(" ", "_").replace("ankle", "foot") for name in names)
    return next((skeleton for skeleton in SKELETONS.values() if skeleton.joints == wanted), None)


def named_skeleton(name: str | Skeleton) -> Skeleton:
    """A skeleton by our name for it or by another's."""
    return name if isinstance(name, Skeleton) else get_skeleton(ALIASES.get(name.lower(), name))


def declared_skeleton(name: str, where: str) -> Skeleton:
    """The skeleton that a file names, or an error that says which file."""
    try:
        return named_skeleton(name[:80])
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def settle_layout(points: int, declared: Skeleton | None, asked: str | Skeleton | None, where: str) -> Skeleton:
    """What K points a person are: as the file says or as the user says, never because of their number."""
    if asked is None and declared is None:
        fitting = [name for name, skeleton in SKELETONS.items() if skeleton.num_joints == points]
        fitting += [BEGIN_WITH[points]] if points in BEGIN_WITH else []
        raise ValueError(
            f"{where} does not say what its {points} points are. Say skeleton=, "
            + (f"for example {' or '.join(fitting)}." if fitting else f"one of {', '.join(SKELETONS)}.")
        )
    skeleton = declared if asked is None else named_skeleton(asked)
    assert skeleton is not None
    if declared is not None and skeleton != declared:
        raise ValueError(f"{where} says that its points are {declared.name}, and skeleton= says {skeleton.name}.")
    if skeleton.num_joints != points and BEGIN_WITH.get(points) != skeleton.name:
        raise ValueError(f"{where} has {points} points a person, and {skeleton.name} has {skeleton.num_joints}.")
    return skeleton


def to_motion(
    found: Detections,
    skeleton: str | Skeleton | None,
    size: tuple[int, int] | None,
    rate: float | None,
    facts: Mapping[str, Any],
) -> Motion:
    """The `Motion` of what was found.

    Without ids in the file, the people of a frame stand in the file's order and `facts["tracked"]` is False: who is who
    from frame to frame is then not known. A rate that nobody says is 30, and `facts["assumed"]` says so. Where the
    file numbers its frames, `facts["frames_per_second"]` is the rate that made times of them.
    """
    where = found.where
    everyone = [points for _, people in found.frames for _, points in people]
    if not everyone:
        raise ValueError(f"{where} has nobody in its {len(found.frames)} frames.")
    counts = sorted({len(points) for points in everyone})
    if len(counts) > 1:
        raise ValueError(f"{where}: everybody must have as many points, found {' and '.join(map(str, counts[:5]))}.")
    layout = settle_layout(counts[0], found.declared, found.usual if skeleton is None else skeleton, where)
    ids, numbers, columns, tracked = _who_is_where(found)
    facts = dict(facts) | {"tracked": tracked}
    rate = rate or found.rate
    if not found.timed:
        if rate is None:
            facts["assumed"] = [f"{RATE:g} frames/s"]
        facts["frames_per_second"] = float(rate or RATE)
        numbers = numbers / facts["frames_per_second"]
    elif len(numbers) > 1 and (step := float(np.median(np.diff(numbers)))) > SLOWEST:
        raise ValueError(
            f"{where}: times must be seconds, and its frames are {step:g} apart. Are they milliseconds, or numbers?"
        )
    most = largest_of(sum(points.nbytes for points in everyone))
    if len(numbers) * len(ids) * layout.num_joints * 3 * 4 > most:
        raise ValueError(f"{where}: {len(ids)} people in {len(numbers)} frames are more than {limit(most)} hold.")
    if rate is not None and not 0 < rate <= LARGEST_RATE:
        raise ValueError(f"{where}: its rate must be frames a second, found {rate:g}.")
    if found.size is not None and not all(0 < side <= LARGEST_SIDE for side in found.size):
        raise ValueError(
            f"{where}: its pictures must have 1 to {LARGEST_SIDE} px a side, found {str(found.size)[:60]}."
        )
    _to_pixels(everyone, size or found.size, where)
    keypoints = np.full((len(numbers), len(ids), layout.num_joints, 3), np.nan, np.float32)
    for (_, people), row, places in zip(found.frames, range(len(numbers)), columns, strict=True):
        for (_, points), place in zip(people, places, strict=True):
            if _too_large(points):
                raise ValueError(f"{where}: coordinates must be within {LARGEST:g} px.")
            keypoints[row, place] = points[: layout.num_joints]
    hide_unlabelled(keypoints)
    if found.size is not None and size is not None and tuple(size) != tuple(found.size):
        raise ValueError(f"{where} is of pictures of {found.size[0]}x{found.size[1]}, size= says {size[0]}x{size[1]}.")
    return Motion(
        Path(where).stem,
        numbers,
        np.array(ids, dtype=np.int64),
        keypoints=keypoints,
        keypoint_skeleton=layout,
        size=size or found.size,
        facts=facts,
    )


def _to_pixels(everyone: Sequence[np.ndarray], size: tuple[int, int] | None, where: str) -> None:
    """Shares of the picture become pixels, in place: OpenPose's keypoint_scale=3 and ultralytics' normalize=True.

    Nobody is a pixel tall, so a file without a coordinate above 1 has shares.
    """
    points = np.concatenate([points[:, :2] for points in everyone])
    points = points[np.isfinite(points).all(-1) & (points != 0).any(-1)]
    if not len(points) or points.max() > 1:
        return
    if points.min() < 0:
        raise ValueError(
            f"{where}: coordinates must be pixels or shares of the picture, found {points.min():.3g} to "
            f"{points.max():.3g}. OpenPose writes pixels with --keypoint_scale 0."
        )
    if size is None:
        raise ValueError(f"{where} has shares of the picture, none above 1. Say its size=[width, height].")
    for person in everyone:
        person[:, :2] *= size


def hide_unlabelled(keypoints: np.ndarray) -> None:
    """Points at (0, 0), which is how most say that one was not found, become NaN; scores come to 0..1. In place."""
    nowhere = (keypoints[..., 0] == 0) & (keypoints[..., 1] == 0)
    keypoints[nowhere] = np.nan
    np.clip(keypoints[..., 2], 0, 1, out=keypoints[..., 2])
    keypoints[np.isnan(keypoints).any(-1)] = np.nan


def _who_is_where(found: Detections) -> tuple[list[int], np.ndarray, list[list[int]], bool]:
    """Ids, (T,) numbers of the frames, the column of each person of each frame, and whether ids are people."""
    found.frames.sort(key=lambda frame: frame[0])
    numbers = np.array([number for number, _ in found.frames], dtype=np.float64)
    if (np.diff(numbers) <= 0).any():
        twice = numbers[:-1][np.diff(numbers) <= 0][0]
        raise ValueError(f"{found.where}: frames must differ, {twice:g} is there twice.")
    tracked = all(person is not None for _, people in found.frames for person, _ in people)
    if not tracked:
        most = max(len(people) for _, people in found.frames)
        columns = [list(range(len(people))) for _, people in found.frames]
        return list(range(1, most + 1)), numbers, columns, most == 1
    ids = sorted({person for _, people in found.frames for person, _ in people if person is not None})
    place = {person: p for p, person in enumerate(ids)}
    columns = [[place[person] for person, _ in people if person is not None] for _, people in found.frames]
    for (number, _), there in zip(found.frames, columns, strict=True):
        if len(set(there)) != len(there):
            raise ValueError(f"{found.where}, frame {number:g}: a person's id is there twice.")
    return ids, numbers, columns, True
