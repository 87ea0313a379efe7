"""The 2D networks of predict: BlazePose, or a person's own files with boxes from a detector."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from anypose.engine.loading import load_task
from anypose.export.session import open_session
from anypose.settings import Misuse
from anypose.skeleton import Skeleton, get_skeleton
from pose3d.predict.blazepose import BlazePose
from pose3d.predict.people import Found, Frame, KeypointNetwork, iou

LOOK_AGAIN = 0.25  # new people are looked for so often [s]
SAME = 0.4  # overlap of boxes from which on two are of one person
GROWN = 1.15  # a box around keypoints leaves out hands and crown
SEEN = 0.2  # mean score of its keypoints below which a person is lost
CHECKPOINTS = (".pt", ".safetensors")

Find = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]  # image, (P, 4) boxes -> (P, K, 2), (P, K)


class Finder(Protocol):
    """Finds keypoints in boxes.

    Attributes:
        nonfinite: how many came out as NaN or infinite so far.
    """

    nonfinite: int

    def find(self, image: np.ndarray, box_xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(P, K, 2) keypoints [px] and (P, K) scores of the people of an image in (P, 4) boxes."""
        ...


class TopDown:
    """Implements `KeypointNetwork`: keypoints inside boxes, which a detector finds and keypoints carry on.

    Args:
        find: keypoints and scores of the people in boxes.
        skeleton: what they are.
        name: for reports.
        detect: (P, 4) boxes and (P,) scores of a picture; None: its whole extent is one.
        every: new people are looked for so often [s].
        broken: sentences on what came out as no number so far.
    """

    def __init__(
        self,
        find: Find,
        skeleton: Skeleton,
        name: str,
        detect: Callable | None,
        every: float,
        broken: Callable[[], list[str]] = list,
    ) -> None:
        self._find, self.skeleton, self.name, self.detect, self.every = find, skeleton, name, detect, every
        self.broken = broken
        self.boxes = np.zeros((0, 4))
        self.looked = -math.inf

    def find(self, frame: Frame) -> list[Found]:
        """Everyone in the frame."""
        boxes = self.boxes
        if not len(boxes) or (self.detect and frame.time - self.looked >= self.every):
            self.looked = frame.time
            boxes = self.with_new(boxes, frame.image)
        if not len(boxes):
            return []
        keypoints, scores = self._find(frame.image, boxes)
        found = []
        for points, sure in zip(keypoints, scores, strict=True):
            if np.isfinite(points[:, 0]).sum() >= 3 and np.nanmean(sure) >= SEEN:
                found.append(Found(np.column_stack([points, sure]).astype(np.float32), float(np.nanmean(sure))))
        kept: list[Found] = []
        for person in sorted(found, key=lambda one: -one.score):
            if all(iou(person.box[None], other.box[None])[0, 0] < 0.8 for other in kept):
                kept.append(person)
        self.boxes = np.array([grown(person.box, frame.image.shape) for person in kept]).reshape(-1, 4)
        return kept

    def with_new(self, boxes: np.ndarray, image: np.ndarray) -> np.ndarray:
        """The boxes and those of people who are in none of them yet."""
        if self.detect is None:
            return np.array([[0.0, 0.0, image.shape[1], image.shape[0]]])
        new, _scores = self.detect(image)
        apart = (iou(new, boxes) < SAME).all(1) if len(boxes) and len(new) else np.ones(len(new), bool)
        return np.concatenate([boxes, new[apart]])


def grown(box: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(4,) a box around keypoints made that of a person, cut at the picture's border."""
    middle, half = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2 * GROWN, 4)
    limit = np.array([shape[1], shape[0]], np.float64)
    return np.concatenate([(middle - half).clip(0, limit - 2), (middle + half).clip(2, limit)])


def open_network(settings: Any, stills: bool) -> KeypointNetwork:
    """The 2D network that the settings name.

    Args:
        settings: of conf/predict.yaml.
        stills: the frames are single pictures: everyone is looked for in each.
    """
    keypoints, boxes, skeleton, device = settings.keypoints, settings.boxes, settings.skeleton, settings.where
    every = 0.0 if stills else LOOK_AGAIN
    if keypoints.weights is None:
        if boxes.weights is not None:
            raise Misuse(
                f"boxes.weights={boxes.weights} has no effect: BlazePose brings its own detector. Name a network for "
                "the boxes with keypoints.weights=FILE."
            )
        network = BlazePose()
        network.every = 0.0 if stills else network.every
        return network
    path = Path(keypoints.weights).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"keypoints.weights={keypoints.weights} does not exist.")
    finder, found_skeleton = open_finder(path, skeleton, device, keypoints.peak)
    detector = None
    if boxes.weights is not None:
        from pose2d.network.detectors import PersonDetector  # wants OpenCV, as pictures do; keypoints need none

        session = open_session(boxes.weights, device)
        detector = PersonDetector(session, str(boxes.weights), boxes.preset, min_score=boxes.min_score)

    def broken() -> list[str]:
        counts = {f"{path} gave {finder.nonfinite} keypoints": finder.nonfinite}
        if detector is not None:
            counts[f"{boxes.weights} gave {detector.nonfinite} boxes"] = detector.nonfinite
        return [f"{what} that are NaN or infinite, taken as not found" for what, count in counts.items() if count]

    return TopDown(finder.find, found_skeleton, path.name, detector and detector.find, every, broken)


def open_finder(path: Path, skeleton: str | None, device: str = "cpu", peak: float = 1.0) -> tuple[Finder, Skeleton]:
    """What finds the keypoints of people in boxes, by the network of a file, and what the keypoints are.

    Args:
        path: a checkpoint, or an exported network.
        skeleton: what the keypoints are, where the file does not say.
        device: where an exported network runs.
        peak: height of a certain keypoint in an exported network's heatmaps.
    """
    return _checkpoint(path, skeleton) if path.suffix in CHECKPOINTS else _foreign(path, skeleton, device, peak)


class _Trained:
    """Implements `Finder` by a task that finds keypoints in pictures."""

    def __init__(self, task: Any, skeleton: Skeleton) -> None:
        self.task, self.skeleton, self.nonfinite = task, skeleton, 0

    def find(self, image: np.ndarray, box_xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Finder`."""
        found = self.task.find(image, box_xyxy, self.skeleton)
        keypoints, scores = (found[name].double().cpu().numpy() for name in ("keypoints", "scores"))
        self.nonfinite += int((~np.isfinite(keypoints).all(-1) | ~np.isfinite(scores)).sum())
        return keypoints, scores.clip(0, 1)


def _checkpoint(path: Path, skeleton: str | None) -> tuple[Finder, Skeleton]:
    task = load_task(path)
    if not hasattr(task, "find"):
        raise ValueError(
            f"keypoints.weights={path} must find keypoints in pictures, and it holds a {type(task.model).__name__}. "
            "Train one: model=simplebaseline."
        )
    layout = get_skeleton(skeleton or "coco_17")
    return _Trained(task, layout), layout


def _foreign(path: Path, skeleton: str | None, device: str, peak: float) -> tuple[Finder, Skeleton]:
    from pose2d.network.foreign import KeypointFinder  # wants OpenCV

    finder = KeypointFinder(open_session(path, device), str(path), peak=peak)
    told = finder.network.skeleton
    if told is None and skeleton is None:
        raise ValueError(
            f"keypoints.weights={path} gives {finder.network.num_keypoints} keypoints and does not say which. Say it: "
            "skeleton=coco_17, halpe_26, ..."
        )
    if told and skeleton and told != skeleton:
        raise Misuse(f"skeleton={skeleton} cannot be: {path} gives {told}.")
    layout = get_skeleton(skeleton or str(told))
    if finder.network.num_keypoints not in (None, layout.num_joints):
        raise Misuse(
            f"skeleton={layout.name} has {layout.num_joints} keypoints, {path} gives {finder.network.num_keypoints}."
        )
    finder.network = replace(finder.network, num_keypoints=layout.num_joints)  # where the file leaves it open
    return finder, layout
