"""Who is who over time: detections of each frame get the ids of the people they are.

A person moves on as they did: each is expected where their speed takes them, and matched to what was found there by
likeness of keypoints (OKS) and boxes (IoU), all at once (Hungarian method). Someone lost is waited for, so that who
walks behind another keeps the id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pose3d.predict.people import Found, iou, similarity

LEAST = 0.12  # likeness below which two are not one person
PATIENCE = 1.0  # time for which someone lost is waited for [s]
MEMORY = 0.15  # time over which a speed is averaged [s]
FADING = 0.5  # after so long unseen a person is expected to have stopped [s]
SPREAD = 0.5  # in box sizes: how far off the expected place someone may turn up after being lost
SHAPE = 0.25  # weight of how alike two people are built and posed, against where they are


@dataclass(eq=False)
class _Track:
    """A person who is followed: the last keypoints (K, 3), when, and how fast the body moves (2,) [px/s]."""

    number: int
    keypoints: np.ndarray
    time: float
    speed: np.ndarray
    frames: int = 1

    def expected(self, time: float) -> np.ndarray:
        """(K, 3) where the person should be at `time`."""
        gap = time - self.time
        travel = min(gap, FADING) - 0.5 * min(gap, FADING) ** 2 / FADING * (gap > FADING)
        moved = self.keypoints.copy()
        moved[:, :2] += self.speed * travel
        return moved

    def update(self, found: Found, time: float) -> None:
        """Take in what was found."""
        step = max(time - self.time, 1e-3)
        now = (_middle(found.keypoints) - _middle(self.keypoints)) / step
        share = 1 - np.exp(-step / MEMORY)
        if self.frames == 1:
            share = 1.0
        self.speed = self.speed + share * (now - self.speed)
        # Points that are not seen this time stay where the body takes them.
        points = self.expected(time)
        seen = np.isfinite(found.keypoints[:, 0])
        points[seen] = found.keypoints[seen]
        self.keypoints, self.time, self.frames = points, time, self.frames + 1


class Tracker:
    """Gives ids to the people of frame after frame.

    Args:
        patience: how long someone lost is waited for [s].
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.tracks: list[_Track] = []
        self.number = 0

    def __call__(self, found: Sequence[Found], time: float) -> dict[int, Found]:
        """The people of one frame by their ids."""
        self.tracks = [track for track in self.tracks if time - track.time <= self.patience]
        found = [person for person in found if np.isfinite(person.keypoints[:, 0]).any()]
        chosen: dict[int, Found] = {}
        likeness = self.likeness(found, time)
        taken = set()
        for row, column in assign(likeness):
            if likeness[row, column] > LEAST:
                self.tracks[row].update(found[column], time)
                chosen[self.tracks[row].number] = found[column]
                taken.add(column)
        for column, person in enumerate(found):
            if column not in taken:
                self.number += 1
                self.tracks.append(_Track(self.number, person.keypoints.astype(np.float64), time, np.zeros(2)))
                chosen[self.number] = person
        return chosen

    def likeness(self, found: Sequence[Found], time: float) -> np.ndarray:
        """(tracks, found) in 0..1: how well each of those found fits where each person is expected."""
        if not found or not self.tracks:
            return np.zeros((len(self.tracks), len(found)))
        expected = np.stack([track.expected(time) for track in self.tracks])
        there = np.stack([person.keypoints for person in found])
        boxes = [np.stack([_box(points) for points in group]) for group in (expected, there)]
        gaps = np.array([time - track.time for track in self.tracks])
        near = similarity(expected, there)
        over = iou(*boxes)
        middles = [np.stack([_middle(points) for points in group]) for group in (expected, there)]
        # Two who stand in one place differ in pose and size.
        shape = similarity(_moved(expected, -middles[0]), _moved(there, -middles[1]))
        size = np.sqrt(np.prod(boxes[0][:, 2:] - boxes[0][:, :2], axis=1).clip(1))
        distance = np.linalg.norm(middles[1][None] - middles[0][:, None], axis=-1) / size[:, None]
        # Who was lost for a while may turn up farther away.
        loose = np.exp(-0.5 * (distance / (SPREAD * (0.2 + np.minimum(gaps, 1)))[:, None]) ** 2)
        where = np.maximum((near + over) / 2, 0.6 * loose)
        return (1 - SHAPE) * where + SHAPE * shape * (where > LEAST)


def assign(likeness: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of a row and a column of (N, M), each taken once, that are most alike together (Hungarian method)."""
    best = likeness.argmax(int(likeness.shape[0] <= likeness.shape[1])) if likeness.size else np.zeros(0, int)
    if len(set(best.tolist())) == len(best):  # everyone's best is nobody else's: the usual case
        pairs = np.column_stack([np.arange(len(best)), best])
        return (pairs if likeness.shape[0] <= likeness.shape[1] else pairs[:, ::-1]).tolist()
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-likeness)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def dense(frames: Sequence[dict[int, Found]], num_keypoints: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Ids (P,) in the order of their numbers, keypoints (T, P, K, 3), and landmarks as many, None where there are none.

    NaN where a person is not found.
    """
    ids = sorted(set().union(*frames)) if frames else []
    keypoints = np.full((len(frames), len(ids), num_keypoints, 3), np.nan, np.float32)
    landmarks, known = keypoints.copy(), False
    for t, people in enumerate(frames):
        for number, person in people.items():
            keypoints[t, ids.index(number)] = person.keypoints
            if person.landmarks is not None:
                landmarks[t, ids.index(number)], known = person.landmarks, True
    return np.array(ids, np.int64), keypoints, landmarks if known else None


def _moved(points: np.ndarray, by: np.ndarray) -> np.ndarray:
    """(N, K, 3) people, each moved by its own of (N, 2) [px]."""
    return np.concatenate([points[..., :2] + by[:, None], points[..., 2:]], axis=-1)


def _middle(keypoints: np.ndarray) -> np.ndarray:
    """(2,) median of the points that were found [px]; np.nanmedian takes a millisecond."""
    places = np.sort(keypoints[np.isfinite(keypoints[:, 0]), :2], axis=0)
    return (places[(len(places) - 1) // 2] + places[len(places) // 2]) / 2


def _box(keypoints: np.ndarray) -> np.ndarray:
    xy = keypoints[:, :2]
    return np.concatenate([np.nanmin(xy, axis=0), np.nanmax(xy, axis=0)])
