"""Draws figures into an image: shaded, patterned capsules with a depth buffer, one part at a time.

A capsule is drawn as it would look from afar: a tapered stroke with the depth and the normals of a round limb. Its
silhouette, order and shading are right; its ends are a little rounder than perspective would have them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pose2d.synthesis.figure import MATERIALS, Head, Look, Parts

NEAREST = 0.3  # parts nearer to the lens are not drawn [m]
_HEAD = MATERIALS.index("head")


@dataclass(frozen=True, eq=False)
class Lens:
    """A pinhole camera: (..., 3) camera-frame points [m] to pixels.

    Attributes:
        focal: [px].
        centre: (2,) [px].
        height, width: of the image [px].
    """

    focal: float
    centre: tuple[float, float]
    height: int
    width: int

    def project(self, points: np.ndarray) -> np.ndarray:
        return points[..., :2] / points[..., 2:] * self.focal + np.array(self.centre)


@dataclass(frozen=True, eq=False)
class Light:
    """Where light comes from.

    Attributes:
        direction: (3,) unit vector towards the lamp, camera frame.
        ambient: share of light that comes from everywhere.
        colour: (3,) factor.
    """

    direction: np.ndarray
    ambient: float
    colour: np.ndarray


class Canvas:
    """An image being drawn.

    Attributes:
        colour: (H, W, 3) float32 grey levels.
        depth: (H, W) float32 [m].
        owner: (H, W) int16 number of the figure seen in a pixel, -1 for none.
    """

    def __init__(self, background: np.ndarray) -> None:
        self.colour = background.astype(np.float32)
        self.depth = np.full(background.shape[:2], np.inf, np.float32)
        self.owner = np.full(background.shape[:2], -1, np.int16)

    def draw(self, parts: Parts, look: Look, head: Head | None, lens: Lens, light: Light, owner: int) -> None:
        """Draw a figure, the farthest part first so that soft edges blend with what is behind them."""
        far_first = np.argsort(-np.minimum(parts.start[:, 2], parts.end[:, 2]))
        for i in far_first:
            if min(parts.start[i, 2], parts.end[i, 2]) > NEAREST:
                self._draw_part(parts, int(i), look, head, lens, light, owner)

    def _draw_part(
        self, parts: Parts, i: int, look: Look, head: Head | None, lens: Lens, light: Light, owner: int
    ) -> None:
        surface = _surface(parts, i, lens)
        if surface is None:
            return
        window = surface.window
        cover = surface.cover * (surface.depth < self.depth[window])
        if not cover.any():
            return
        alpha = cover[..., None]
        self.colour[window] += alpha * (_paint(surface, look, head) * _shade(surface, light) - self.colour[window])
        solid = cover > 0.5
        self.depth[window][solid] = np.broadcast_to(surface.depth, cover.shape)[solid]
        self.owner[window][solid] = owner

    def finish(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        return np.clip(self.colour + 0.5, 0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class _Surface:
    """The side of one part that the lens sees, in the (h, w) pixels around it.

    Attributes:
        window: those pixels of the image.
        cover: (h, w) how much of a pixel it takes.
        depth: (h, w) from the lens [m].
        nx, ny, bulge: (h, w) normal, `bulge` towards the lens.
        along: (h, w) from its start, 0, to its end, 1.
        radius: (h, w) of the limb there [m].
        sine: (h, w) of the angle around the limb from the middle of what is seen.
        length: [m].
        material: number of it in `MATERIALS`.
    """

    window: tuple[slice, slice]
    cover: np.ndarray
    depth: np.ndarray
    nx: np.ndarray
    ny: np.ndarray
    bulge: np.ndarray
    along: np.ndarray
    radius: np.ndarray
    sine: np.ndarray
    length: float
    material: int


def _surface(parts: Parts, i: int, lens: Lens) -> _Surface | None:
    """What the lens sees of part `i`; None where that lies outside the image."""
    ends = np.stack([parts.start[i], parts.end[i]])
    place = lens.project(ends)
    seen = _seen_radius(parts, i, ends)
    radius = seen * (lens.focal / ends[:, 2])
    low = np.floor((place - radius[:, None]).min(axis=0) - 1).astype(int)
    high = np.ceil((place + radius[:, None]).max(axis=0) + 2).astype(int)
    left, top = max(low[0], 0), max(low[1], 0)
    right, bottom = min(high[0], lens.width), min(high[1], lens.height)
    if right <= left or bottom <= top:
        return None
    x = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(place[0, 0])
    y = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(place[0, 1])
    axis = place[1] - place[0]
    squared = float(axis @ axis)
    unclipped = (x * axis[0] + y * axis[1]) / max(squared, 1e-6)
    along = np.clip(unclipped, 0, 1)
    # Beyond its ends a part that is wider than deep is as flat as it is deep.
    nearest = along - (seen.mean() / parts.radius[i].mean() - 1) * (unclipped - along)
    dx, dy = x - nearest * axis[0], y - nearest * axis[1]
    thickness = radius[0] + along * (radius[1] - radius[0])
    nx, ny = dx / thickness, dy / thickness
    bulge = np.sqrt(np.clip(1 - nx * nx - ny * ny, 0, 1))
    deep = parts.radius[i, 0] + along * (parts.radius[i, 1] - parts.radius[i, 0])
    return _Surface(
        window=(slice(top, bottom), slice(left, right)),
        cover=np.clip(thickness - np.sqrt(dx * dx + dy * dy) + 0.5, 0, 1),
        depth=ends[0, 2] + along * (ends[1, 2] - ends[0, 2]) - bulge * deep,
        nx=nx,
        ny=ny,
        bulge=bulge,
        along=along,
        radius=deep,
        sine=np.clip((nx * axis[1] - ny * axis[0]) / max(np.sqrt(squared), 1e-3), -1, 1),
        length=float(np.linalg.norm(ends[1] - ends[0])),
        material=int(parts.material[i]),
    )


def _paint(surface: _Surface, look: Look, head: Head | None) -> np.ndarray:
    """Its colour in even light."""
    if surface.material == _HEAD and head is not None:
        return _face(head, look, surface.nx, surface.ny, surface.bulge, surface.along)
    across = np.arcsin(surface.sine) * surface.radius
    return _cloth(look, surface.material, surface.along * surface.length, across)


def _shade(surface: _Surface, light: Light) -> np.ndarray:
    """(h, w, 3) factor on its colour."""
    x, y, z = light.direction
    lit = np.maximum(surface.nx * x + surface.ny * y - surface.bulge * z, 0)
    return (light.ambient + (1 - light.ambient) * lit)[..., None] * light.colour


def _seen_radius(parts: Parts, i: int, ends: np.ndarray) -> np.ndarray:
    """(2,) half widths of a part at its ends as seen from the camera [m]: a wide trunk is narrow from the side."""
    across = parts.across[i]
    if not across.any():
        return parts.radius[i]
    axis, view = ends[1] - ends[0], (ends[0] + ends[1]) / 2
    sideways = np.cross(view, axis)
    sideways = sideways / max(float(np.linalg.norm(sideways)), 1e-9)
    aligned = float(sideways @ across) ** 2
    return parts.radius[i] * np.sqrt(aligned * parts.widen[i] ** 2 + (1 - aligned))


def _cloth(look: Look, material: int, along: np.ndarray, around: np.ndarray) -> np.ndarray:
    """(h, w, 3) colours of a surface; `along` and `around` are its coordinates [m]."""
    kind, frequency, phase, strength = look.patterns[material]
    base, ink = look.colours[material], look.inks[material]
    u, v = along * frequency * 6.28 + phase, around * frequency * 6.28 + phase
    if kind == 1:
        print_ = np.sin(u) > 0
    elif kind == 2:
        print_ = np.sin(v) > 0
    elif kind == 3:
        print_ = (np.sin(u) > 0) ^ (np.sin(v) > 0)
    elif kind == 4:
        print_ = 0.5 + 0.25 * (np.sin(u * 0.37 + 2.1 * np.sin(v * 0.23)) + np.sin(v * 0.41 + 1.7 * np.sin(u * 0.29)))
    else:
        print_ = np.zeros(np.broadcast_shapes(u.shape, v.shape))
    return base + (strength * print_)[..., None] * (ink - base)


# Where things are on a head: direction (forward, left, up), how near the direction must be (cosine), grey levels.
_EYES = ((0.9, 0.4, -0.13), (0.9, -0.4, -0.13))
_BROWS = ((0.88, 0.4, 0.06), (0.88, -0.4, 0.06))
_MOUTH = (0.9, 0.0, -0.55)


def _face(head: Head, look: Look, nx: np.ndarray, ny: np.ndarray, bulge: np.ndarray, along: np.ndarray) -> np.ndarray:
    """(h, w, 3) colours of a head: hair above and behind, eyes, brows, mouth, by the direction of the surface."""
    normal = np.stack([nx, ny, -bulge], axis=-1)
    forward, left, up = (normal @ axis for axis in (head.forward, head.left, head.up))
    up = up - 0.55 * along  # the second end of the head's capsule is the chin
    paint = np.broadcast_to(look.colours[0], normal.shape).copy()

    def near(direction: tuple[float, float, float], tolerance: float) -> np.ndarray:
        ahead, aside, above = direction
        return (forward - ahead) ** 2 * 0.3 + (left - aside) ** 2 + (up - above) ** 2 < tolerance**2

    for eye in _EYES:
        paint[near(eye, 0.17)] = (235, 232, 228)
        paint[near(eye, 0.09)] = (40, 28, 20)
    hair = look.colours[1]
    for brow in _BROWS:
        paint[(forward > 0.5) & (np.abs(left - brow[1]) < 0.2) & (np.abs(up - brow[2]) < 0.05)] = hair
    paint[(forward > 0.4) & (np.abs(left) < 0.27) & (np.abs(up - _MOUTH[2]) < 0.06)] = (150, 70, 65)
    if look.beard:
        paint[(up < -0.45) & (forward > -0.2)] = hair
    if look.glasses:
        for eye in _EYES:
            paint[near(eye, 0.28) & ~near(eye, 0.21)] = (20, 20, 25)
    paint[(up > 0.55) | ((forward < -0.05) & (up > -0.45 - 0.6 * look.long_hair))] = hair
    return paint


def silhouette(parts: Parts, lens: Lens) -> np.ndarray:
    """(H, W) uint8, 255 where a figure is, by strokes: quick, and enough for its box and area."""
    mask = np.zeros((lens.height, lens.width), np.uint8)
    ends = np.stack([parts.start, parts.end], axis=1)
    place = np.clip(lens.project(ends), -9999, 9999).round().astype(int)
    for i in np.flatnonzero(ends[:, :, 2].min(axis=1) > NEAREST):
        seen = _seen_radius(parts, int(i), ends[i]) * lens.focal / ends[i, :, 2]
        first, last = place[i].tolist()
        # Flat ends, as drawn; a stroke's round ones would reach too far.
        inset = 0.0 if not parts.across[i].any() else 0.3
        shift = (inset * (place[i, 1] - place[i, 0])).astype(int).tolist()
        first, last = [first[k] + shift[k] for k in range(2)], [last[k] - shift[k] for k in range(2)]
        cv2.line(mask, first, last, 255, max(int(2 * seen.mean()), 1))
    return mask


def soften(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 as a cheap camera would have it: blurred, noisy, of another tint, compressed."""
    if rng.random() < 0.6:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.1)))
    gain = rng.uniform(0.8, 1.2) * rng.uniform(0.92, 1.08, 3)
    curve = (np.arange(256)[:, None] / 255.0) ** rng.uniform(0.75, 1.35) * 255 * gain
    levels = image.reshape(-1, 3).astype(np.intp)
    image = np.take_along_axis(np.clip(curve, 0, 255), levels, axis=0).reshape(image.shape)
    if rng.random() < 0.7:
        image = image + rng.normal(scale=rng.uniform(1, 9), size=image.shape[:2])[..., None]
    image = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        ok, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))])
        assert ok
        return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
    return image
