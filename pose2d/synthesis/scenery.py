"""What stands behind and in front of rendered people: made-up walls, floors, things, and things in the way."""

from __future__ import annotations

import cv2
import numpy as np


def draw_background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W, 3) float32 grey levels: a wall and perhaps a floor, both textured, with things on them."""
    image = texture(rng, height, width)
    if rng.random() < 0.7:
        horizon = int(rng.uniform(0.35, 0.9) * height)
        tilt = rng.uniform(-0.06, 0.06) * width
        floor = texture(rng, height, width)
        corners = np.array([[0, horizon - tilt], [width, horizon + tilt], [width, height], [0, height]], dtype=np.int32)
        mask = np.zeros((height, width), np.uint8)
        cv2.fillConvexPoly(mask, corners, 255)
        image = np.where(mask[..., None] > 0, floor, image)
    for _ in range(rng.poisson(9)):
        _put_thing(rng, image, rng.uniform(0.04, 0.45))
    return image


def texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W, 3) float32 grey levels: two colours mixed by noise of several scales, by stripes, or by a gradient.

    Made at half the resolution, which is all it needs.
    """
    rows, columns = -(-height // 2), -(-width // 2)
    first, second = colour(rng), colour(rng)
    if rng.random() < 0.6:
        second = first + (second - first) * rng.uniform(0.1, 0.5)
    mix, weight = np.zeros((rows, columns), np.float32), 1.0
    for scale in (2, 5, 12, 40):
        coarse = rng.random((max(scale * rows // columns, 2), scale), dtype=np.float32)
        mix += np.float32(weight) * cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_LINEAR)
        weight *= rng.uniform(0.35, 0.95)
    mix = (mix - mix.min()) / max(float(np.ptp(mix)), 1e-6)
    kind = rng.random()
    if kind < 0.25:
        angle, period = rng.uniform(0, np.pi), rng.uniform(2, 30)
        wave = np.arange(columns) * np.cos(angle) + np.arange(rows)[:, None] * np.sin(angle)
        mix = 0.3 * mix + 0.7 * (wave % period < period * rng.uniform(0.15, 0.85))
    elif kind < 0.4:
        mix = 0.3 * mix + 0.7 * np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    paint = first.astype(np.float32) + mix.astype(np.float32)[..., None] * (second - first).astype(np.float32)
    return cv2.resize(paint, (width, height), interpolation=cv2.INTER_LINEAR)


def colour(rng: np.random.Generator) -> np.ndarray:
    """(3,) grey levels, more often dull than loud."""
    return 255 * rng.uniform(0.05, 1.0) * (1 - rng.beta(1.0, 2.5) * rng.random(3))


def _put_thing(rng: np.random.Generator, image: np.ndarray, size: float) -> None:
    """Draw a box, disc, polygon or bar, `size` of the image's diagonal large, in place."""
    mask = thing_mask(rng, image.shape[0], image.shape[1], rng.uniform(0, 1, 2), size)
    left, top, width, height = cv2.boundingRect(mask)
    if width == 0:
        return
    window = (slice(top, top + height), slice(left, left + width))
    if rng.random() < 0.4:
        paint = texture(rng, height, width)
    else:
        shading = np.linspace(rng.uniform(0.6, 1), rng.uniform(0.6, 1), width, dtype=np.float32)
        paint = colour(rng).astype(np.float32) * shading[None, :, None]
    image[window] += mask[window][..., None] * np.float32(1 / 255) * (paint - image[window])


def thing_mask(rng: np.random.Generator, height: int, width: int, place: np.ndarray, size: float) -> np.ndarray:
    """(H, W) uint8, 255 inside: the outline of something around `place` (in shares of width and height)."""
    mask = np.zeros((height, width), np.uint8)
    centre = place * [width, height]
    reach = size * np.hypot(height, width) / 2
    angle = rng.uniform(0, 360)
    axes = reach * rng.uniform(0.25, 1.0, 2)
    kind = rng.integers(4)
    if kind == 0:
        corners = cv2.boxPoints((tuple(centre), tuple(2 * axes), angle if rng.random() < 0.5 else 0.0))
        cv2.fillConvexPoly(mask, corners.astype(np.int32), 255, cv2.LINE_AA)
    elif kind == 1:
        cv2.ellipse(mask, (tuple(centre), tuple(2 * axes), angle), 255, -1, cv2.LINE_AA)
    elif kind == 2:
        turns = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
        corners = centre + np.stack([np.cos(turns), np.sin(turns)], axis=1) * reach * rng.uniform(
            0.3, 1, (len(turns), 1)
        )
        cv2.fillPoly(mask, [corners.astype(np.int32)], 255, cv2.LINE_AA)
    else:
        way = reach * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        thickness = max(int(reach * rng.uniform(0.08, 0.4)), 1)
        start, end = ((int(x), int(y)) for x, y in (centre - way, centre + way))
        cv2.line(mask, start, end, 255, thickness, cv2.LINE_AA)
    return mask


def draw_occluder(
    rng: np.random.Generator, image: np.ndarray, depth: np.ndarray, owner: np.ndarray, box: np.ndarray
) -> None:
    """Put something in front of a figure, in place.

    Args:
        image: (H, W, 3) float32.
        depth: (H, W), set to 0 where the thing is.
        owner: (H, W), set to -1 there.
        box: (4,) left, top, right, bottom of the figure [px].
    """
    height, width = depth.shape
    size = rng.uniform(0.3, 0.9) * np.hypot(*(box[2:] - box[:2])) / np.hypot(height, width)
    edge = rng.uniform(0, 1, 2)
    edge[rng.integers(2)] = rng.choice([0.0, 1.0])  # mostly over an edge of the figure, as tables and walls are
    place = (box[:2] + edge * (box[2:] - box[:2])) / [width, height]
    mask = thing_mask(rng, height, width, place, float(size))
    image += mask[..., None] * np.float32(1 / 255) * (texture(rng, height, width) - image)
    covered = mask > 127
    depth[covered] = 0.0
    owner[covered] = -1
