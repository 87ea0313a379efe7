"""Ids of people who cross in films with known ids, beside a greedy tracker by overlap alone.

python -m benchmarks.tracking [--films 12]

Two to five people walk in one room for eight seconds, at 25 frames/s. Their keypoints are exact but for jitter; of whom
less than a third is in sight, nobody sees anything. No pixels are drawn.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose3d.predict.film import Film
from pose3d.predict.people import Found, iou
from pose3d.predict.tracks import Tracker

ACTIONS = ("Walking", "WalkTogether", "Walking", "Greeting", "Walking")
OVERLAP = 0.3


def films(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(T,) times and (T, P, 17, 3) detections of each film."""
    for number in range(count):
        film = Film(100 + number, ACTIONS[: 2 + number % 4], 8.0, 25.0, (640, 360), apart=0.45)
        yield film.times, film.detections([sight for _, sight in film.frames(pixels=False)])


class Greedy:
    """The nearest box of the frame before, the best overlap first: what many demos do."""

    def __init__(self) -> None:
        self.boxes: dict[int, np.ndarray] = {}
        self.number = 0

    def __call__(self, found: Sequence[Found], time: float) -> dict[int, Found]:
        """The people of one frame by their ids."""
        old, new = list(self.boxes), [person.box for person in found]
        chosen: dict[int, int] = {}
        if old and new:
            overlap = iou(np.stack([self.boxes[i] for i in old]), np.stack(new))
            while overlap.max() > OVERLAP:
                row, column = np.unravel_index(overlap.argmax(), overlap.shape)
                chosen[old[row]] = int(column)
                overlap[row], overlap[:, column] = -1, -1
        for column in set(range(len(found))) - set(chosen.values()):
            self.number += 1
            chosen[self.number] = column
        self.boxes = {number: new[column] for number, column in chosen.items()}
        return {number: found[column] for number, column in chosen.items()}


def follow(tracker: Callable, times: np.ndarray, detections: np.ndarray) -> tuple[np.ndarray, float]:
    """(T, P) the id that each person got, 0 where nobody saw them; and the seconds of the processor."""
    ids, spent = np.zeros(detections.shape[:2], int), 0.0
    rng = np.random.default_rng(0)
    for t, frame in enumerate(detections):
        there = rng.permutation(np.flatnonzero(np.isfinite(frame[:, 0, 0])))
        people = [Found(frame[p], 1.0) for p in there]
        start = time.process_time()
        chosen = tracker(people, float(times[t]))
        spent += time.process_time() - start
        for number, person in chosen.items():
            ids[t, there[[one is person for one in people].index(True)]] = number
    return ids, spent


def scores(ids: np.ndarray) -> np.ndarray:
    """Right detections of the best matching of ids and people, detections, switches, fragments."""
    names = sorted(set(ids[ids > 0].tolist()))
    hits = np.array([[(ids[:, p] == name).sum() for name in names] for p in range(ids.shape[1])])
    rows, columns = linear_sum_assignment(-hits)
    tracks = [person[person > 0] for person in ids.T]
    switches = sum(int((np.diff(track) != 0).sum()) for track in tracks)
    return np.array([hits[rows, columns].sum(), (ids > 0).sum(), switches, len(names) - ids.shape[1]], float)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracking", description=__doc__)
    parser.add_argument("--films", type=int, default=12)
    made = list(films(parser.parse_args(arguments).films))
    for name, tracker in (("ours", Tracker), ("greedy by overlap", Greedy)):
        total, spent, frames = np.zeros(4), 0.0, 0
        for times, detections in made:
            ids, seconds = follow(tracker(), times, detections)
            total, spent, frames = total + scores(ids), spent + seconds, frames + len(times)
        right, seen, switches, many = total
        print(
            f"{name:18} IDF1 {100 * right / seen:.2f} %, {switches:.0f} switches, {many:.0f} ids too many, of "
            f"{seen:.0f} detections in {frames} frames; {1e3 * spent / frames:.2f} ms a frame"
        )


if __name__ == "__main__":
    main()
