"""BlazePose under LiteRT: a detector finds people, a landmark network follows each from frame to frame.

The networks are Google's (Bazarevsky et al. 2020, Apache-2.0), `pose3d.predict.fetch` gets them; decoding is ours,
after their model cards and graphs.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from anypose.skeleton import BLAZEPOSE_33
from pose3d.predict.fetch import DETECTOR, LANDMARKS, blazepose_files
from pose3d.predict.people import Found, Frame, iou

DETECTED, CROP = 224, 256  # sides of the two networks' inputs [px]
STRIDES = (8, 16, 32, 32, 32)
SURE = 0.5  # scores of the detector and of the landmark network that count as a person
LEAST = 0.1  # score of a point in the picture that nothing can be seen of
SAME = 0.5  # overlap from which on two regions are of one person
LOOK_AGAIN = 0.5  # new people are looked for so often [s]
MARGIN = 1.25  # of the region around the circle that holds the body
HIPS, CIRCLE = 33, 34  # the auxiliary points that give the next frame's region


class BlazePose:
    """Implements `KeypointNetwork`.

    Args:
        people: at most so many are followed; None for everyone.
        files: the two networks by name, None for those in the cache.
        threads: of each network.
    """

    skeleton = BLAZEPOSE_33
    name = "BlazePose full"

    def __init__(self, people: int | None = None, files: dict[str, Path] | None = None, threads: int = 1) -> None:
        files = files or blazepose_files()
        self.detector, self.landmarks = (_Network(files[name], threads) for name in (DETECTOR, LANDMARKS))
        self.anchors = anchors()
        self.people, self.every = people, LOOK_AGAIN
        self.regions: list[Region] = []
        self.looked = -math.inf

    def find(self, frame: Frame) -> list[Found]:
        """Everyone in the frame, those followed from the frame before first."""
        found, regions = self.follow(frame.image, self.regions)
        full = self.people is not None and len(found) >= self.people
        if not full and (len(found) < len(self.regions) or not found or frame.time - self.looked >= self.every):
            self.looked = frame.time
            new = [region for region in self.look(frame.image) if not any(region.same(old) for old in regions)]
            room = None if self.people is None else self.people - len(found)
            more, places = self.follow(frame.image, new[:room])
            found, regions = found + more, regions + places
        kept = distinct(found)
        self.regions = [regions[i] for i in kept]
        return [found[i] for i in kept]

    def follow(self, image: np.ndarray, regions: list[Region]) -> tuple[list[Found], list[Region]]:
        """The people in regions of the picture, and where each will be looked for in the next one."""
        found, following = [], []
        for region in regions:
            points, landmarks, score = region.read(image, self.landmarks)
            if score >= SURE:
                found.append(Found(scored(points[:33]).astype(np.float32), score, landmarks[:33].astype(np.float32)))
                following.append(Region.around(points[HIPS, :2], points[CIRCLE, :2]))
        return found, following

    def look(self, image: np.ndarray) -> list[Region]:
        """The regions of the people that the detector finds, the surest first."""
        import cv2

        height, width = image.shape[:2]
        scale = DETECTED / max(height, width)
        inner = max(round(width * scale), 1), max(round(height * scale), 1)
        left, top = (DETECTED - inner[0]) // 2, (DETECTED - inner[1]) // 2
        canvas = np.zeros((1, DETECTED, DETECTED, 3), np.float32)
        small = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
        canvas[0, top : top + inner[1], left : left + inner[0]] = small / 127.5 - 1
        outputs = {output.shape[-1]: output[0] for output in self.detector(canvas)}
        scores = 1 / (1 + np.exp(-outputs[1][:, 0].clip(-50, 50)))
        sure = np.flatnonzero(scores >= SURE)
        sure = sure[np.argsort(-scores[sure])]
        points = outputs[12][sure, 4:].reshape(-1, 4, 2) + self.anchors[sure, None] * DETECTED
        points = (points - (left, top)) / scale
        regions: list[Region] = []
        for hips, circle in zip(points[:, 0], points[:, 1], strict=True):
            region = Region.around(hips, circle)
            if not any(region.same(other) for other in regions):
                regions.append(region)
        return regions


class Region:
    """A turned square around a person: centre (2,) [px], side [px], and the turn that makes them upright [rad]."""

    def __init__(self, centre: np.ndarray, side: float, turn: float) -> None:
        self.centre, self.side, self.turn = np.asarray(centre, np.float64), float(side), float(turn)

    @classmethod
    def around(cls, hips: np.ndarray, circle: np.ndarray) -> Region:
        """Around the hips (2,), with a point (2,) above them on the circle that holds the whole body [px]."""
        x, y = circle - hips
        return cls(hips, 2 * MARGIN * math.hypot(x, y), math.pi / 2 - math.atan2(-y, x))

    def same(self, other: Region) -> bool:
        """Whether two regions are of one person."""
        boxes = [np.array([[*(r.centre - r.side / 2), *(r.centre + r.side / 2)]]) for r in (self, other)]
        return bool(iou(*boxes)[0, 0] > SAME)

    def read(self, image: np.ndarray, network: _Network) -> tuple[np.ndarray, np.ndarray, float]:
        """(39, 5) x, y [px], z, visibility and presence in 0..1 of this region, (39, 3) [m], and the person's score."""
        import cv2

        unit = self.side / CROP
        cos, sin = math.cos(self.turn) * unit, math.sin(self.turn) * unit
        turned = np.array([[cos, -sin], [sin, cos]])
        corner = self.centre - turned @ (CROP / 2, CROP / 2)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crop = cv2.warpAffine(image, np.column_stack([turned, corner]), (CROP, CROP), flags=flags)
        outputs = {output.size: output for output in network(np.multiply(crop[None], np.float32(1 / 255)))}
        points = outputs[195].reshape(39, 5).astype(np.float64)
        points[:, :2] = points[:, :2] @ turned.T + corner
        points[:, 2] *= unit
        points[:, 3:] = 1 / (1 + np.exp(-points[:, 3:].clip(-50, 50)))
        landmarks = outputs[117].reshape(39, 3).astype(np.float64)
        landmarks[:, :2] = (
            landmarks[:, :2] @ turned.T / unit
        )  # from the axes of the crop, turned about its line of sight
        return points, landmarks, float(outputs[1].reshape(()))


def scored(points: np.ndarray) -> np.ndarray:
    """(33, 3) x, y [px] and a score of landmarks (33, 5): the visibility; what is hidden is still placed quite well.

    On two real clips points with a visibility below 0.2 were 61 px off, above 0.5 19 px, of people 1,000 px tall. Only
    what lies outside of the picture, by its presence, is not there.
    """
    score = np.where(points[:, 4] >= SURE, np.maximum(points[:, 3], LEAST), 0)
    return np.column_stack([points[:, :2], score])


def distinct(found: list[Found]) -> list[int]:
    """Which of the people stay: of two that lie on one another, the surer."""
    kept: list[int] = []
    for i in sorted(range(len(found)), key=lambda i: -found[i].score):
        if all(_apart(found[i], found[k]) for k in kept):
            kept.append(i)
    return sorted(kept)


def _apart(first: Found, second: Found) -> bool:
    """Whether two people are two: their boxes differ, or their points by more than two answers for one person do."""
    if iou(first.box[None], second.box[None])[0, 0] < 0.7:
        return True
    size = math.sqrt(max(float(np.prod(np.ptp(first.keypoints[:, :2], axis=0))), 1.0))
    moved = np.linalg.norm(first.keypoints[:, :2] - second.keypoints[:, :2], axis=-1)
    return float(np.median(moved)) > 0.15 * size


def anchors() -> np.ndarray:
    """(2254, 2) centres of the detector's anchors, in 0..1 of its input: two a cell and layer."""
    centres = []
    for stride in sorted(set(STRIDES)):
        cells = math.ceil(DETECTED / stride)
        grid = np.stack(np.meshgrid(*[(np.arange(cells) + 0.5) / cells] * 2), -1).reshape(-1, 2)
        centres.append(np.repeat(grid, 2 * STRIDES.count(stride), axis=0))
    return np.concatenate(centres)


class _Network:
    """One .tflite file: a (1, S, S, 3) float32 image in, the outputs in their order out."""

    def __init__(self, path: Path, threads: int) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ImportError(f"BlazePose runs under LiteRT ({error}): pip install 'anypose[video]'.") from error
        self.interpreter: Any = Interpreter(model_path=str(path), num_threads=threads)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]["index"]
        self.outputs = [output["index"] for output in self.interpreter.get_output_details()]

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        self.interpreter.set_tensor(self.input, image)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(output) for output in self.outputs]
