"""A film of made-up people, rendered: the example of predict, and scenes with known ids for its tracker.

python -m pose3d.predict.film anypose/released      writes example.mp4 and example.npz, its keypoints
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from anypose.engine.durable import check_folder
from anypose.engine.sentences import told
from anypose.formats.motion_npz import NpzSink
from anypose.motion import Motion
from anypose.skeleton import COCO_17
from pose2d.synthesis.figure import coco_keypoints, draw_look, dress
from pose2d.synthesis.render import Canvas, Lens, Light, soften
from pose2d.synthesis.scenery import draw_background
from pose3d.synthesis.actions import ACTIONS
from pose3d.synthesis.body import draw_body
from pose3d.synthesis.performance import record

JITTER = 0.006  # of the example's keypoints, as a share of the person's height in the picture
FOUND = 0.35  # share of keypoints that must be in sight for a detector to find somebody
HIDDEN = 0.2  # score of a keypoint behind somebody


class Film:
    """People who walk about in front of one camera, a function of its arguments.

    Args:
        seed: another seed is another film.
        actions: what each of the people does, see `pose3d.synthesis.actions`.
        seconds: how long.
        rate: frames a second.
        size: width and height, multiples of 8 [px].
        apart: how much farther from the camera each stays than the one before [m]; small makes them meet.

    Attributes:
        joints: (T, P, 17, 3) Human3.6M's joints in camera axes [m].
        keypoints: (T, P, 17, 2) COCO's keypoints [px].
    """

    def __init__(
        self, seed: int, actions: Sequence[str], seconds: float, rate: float, size: tuple[int, int], apart: float = 0.5
    ) -> None:
        self.seed, self.rate, self.size = seed, rate, size
        frames = round(seconds * rate)
        self.times = np.arange(frames) / rate
        people = []
        self.looks = []
        for number, action in enumerate(actions):
            rng = np.random.default_rng((seed, number))
            take = record(ACTIONS[action], draw_body(rng, 0.04), rng, rate, frames).astype(np.float64)
            take[..., 1] += apart * (number - (len(actions) - 1) / 2)
            people.append(take)
            self.looks.append(draw_look(np.random.default_rng((seed, number, 1))))
        world = np.stack(people, 1)
        tilt, height, away = 0.12, 1.7, 5.6
        level = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
        down = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
        self.joints = (world - [0, -away, height]) @ (down @ level).T
        self.lens = Lens(0.85 * max(size), (size[0] / 2 - 0.5, size[1] / 2 - 0.5), size[1], size[0])
        self.points = np.stack([[coco_keypoints(one) for one in frame] for frame in self.joints])
        self.keypoints = self.lens.project(self.points)

    def __len__(self) -> int:
        return len(self.times)

    def frames(self, pixels: bool = True) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(H, W, 3) uint8 RGB, and (P, 17) whether a keypoint is in sight, frame by frame."""
        rng = np.random.default_rng((self.seed, 99))
        lamp = np.array([0.3, -1.0, -0.8])
        light = Light(lamp / np.linalg.norm(lamp), 0.7, np.ones(3))
        scenery = 255 - 0.6 * (
            255 - draw_background(rng, self.size[1], self.size[0]).astype(np.float32)
        )  # a bright room
        for joints, points, keypoints in zip(self.joints, self.points, self.keypoints, strict=True):
            canvas = Canvas(scenery.copy())
            for number in np.argsort(-joints[:, 0, 2]).tolist():
                parts, head = dress(joints[number], self.looks[number])
                canvas.draw(parts, self.looks[number], head, self.lens, light, number)
            image = soften(canvas.finish(), np.random.default_rng(0)) if pixels else np.zeros(0, np.uint8)
            yield image, self.in_sight(canvas, points, keypoints)

    def in_sight(self, canvas: Canvas, points: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
        """(P, 17) whether a keypoint is in the picture and nobody else is in front of it."""
        column, row = np.round(keypoints).astype(int).transpose(2, 0, 1)
        inside = (column >= 0) & (row >= 0) & (column < self.size[0]) & (row < self.size[1])
        owner = canvas.owner[row.clip(0, self.size[1] - 1), column.clip(0, self.size[0] - 1)]
        mine = np.arange(len(points))[:, None]
        nearer = canvas.depth[row.clip(0, self.size[1] - 1), column.clip(0, self.size[0] - 1)] < points[..., 2] - 0.2
        return inside & ~((owner >= 0) & (owner != mine) & nearer)

    def detections(self, in_sight: Sequence[np.ndarray], jitter: float = JITTER) -> np.ndarray:
        """(T, P, 17, 3) keypoints as a detector might give them, with scores; NaN for whom it does not find."""
        rng = np.random.default_rng((self.seed, 7))
        sight = np.stack(in_sight)
        tall = np.ptp(self.keypoints[..., 1], axis=-1)[..., None, None]
        noise = rng.normal(0, jitter, self.keypoints.shape) * tall * np.where(sight, 1, 4)[..., None]
        scores = np.where(sight, rng.uniform(0.7, 1.0, sight.shape), HIDDEN)
        found = np.concatenate([self.keypoints + noise, scores[..., None]], -1)
        found[sight.mean(-1) < FOUND] = np.nan
        return found.astype(np.float32)


def write_video(path: Path, frames: Iterator[np.ndarray], rate: float, size: tuple[int, int], quality: int) -> None:
    """H.264 of (H, W, 3) uint8 RGB frames."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(quality), "preset": "veryslow"}
        for image in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the example."""
    parser = argparse.ArgumentParser(prog="python -m pose3d.predict.film", description=__doc__)
    parser.add_argument("folder", type=Path, help="where example.mp4 and example.npz go")
    folder = check_folder(parser.parse_args(arguments).folder, "folder")
    film = Film(56, ["Walking", "WalkTogether"], 6.0, 25.0, (640, 360), apart=0.9)
    in_sight: list[np.ndarray] = []

    def images() -> Iterator[np.ndarray]:
        for image, sight in film.frames():
            in_sight.append(sight)
            yield image

    write_video(folder / "example.mp4", images(), film.rate, film.size, quality=33)
    keypoints = film.detections(in_sight)
    facts = {"keypoints": "made up: exact ones of rendered people, with jitter", "tracked": False}
    motion = Motion("example", film.times, np.arange(1, keypoints.shape[1] + 1), keypoints=keypoints,
                    keypoint_skeleton=COCO_17, size=film.size, facts=facts)  # fmt: skip
    with NpzSink(folder / "example.npz", overwrite=True) as sink:
        sink.write(motion)


if __name__ == "__main__":
    with told():
        main()
