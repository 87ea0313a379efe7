"""Skins for the viewer's page: meshes as small integers, what people have in common only once."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import numpy as np

from anypose.formats.glb import Mesh

UNIT = 1e-4  # of vertices [m]


def pack(people: Iterable[tuple[Mesh, np.ndarray]]) -> dict[str, Any]:
    """What the page needs to draw everybody's skin from turned bones.

    Args:
        people: of each the mesh and the rest pose (J, 3) that it is over.

    Returns:
        "unit" [m]; "kinds", each "bones" (V, 4) uint8, "weights" (V, 4) uint8 of sum 255 and "faces" (F, 3) uint16;
        "people", each its "kind", "vertices" (V, 3) int16 of the unit and "rest" (J, 3) [m]. Arrays are base64.

    Raises:
        ValueError: where a mesh has more vertices than 16 bits number.
    """
    kinds: list[dict[str, str]] = []
    packed = []
    for mesh, rest in people:
        if len(mesh.vertices) > 1 << 16:
            raise ValueError(f"The viewer holds skins of up to {1 << 16} vertices; this one has {len(mesh.vertices)}.")
        kind = {
            "bones": _text(mesh.bones, "u1"),
            "weights": _text(shares(mesh.weights), "u1"),
            "faces": _text(np.concatenate(list(mesh.faces.values())), "<u2"),
        }
        if kind not in kinds:
            kinds.append(kind)
        vertices = np.clip(np.round(mesh.vertices / UNIT), -32767, 32767)
        packed.append({
            "kind": kinds.index(kind), "vertices": _text(vertices, "<i2"), "rest": np.round(rest, 5).tolist(),
        })  # fmt: skip
    return {"unit": UNIT, "kinds": kinds, "people": packed}


def shares(weights: np.ndarray) -> np.ndarray:
    """Weights (V, 4) of sum 1 as integers of sum 255; what rounding leaves goes to the largest."""
    small = np.floor(255 * weights).astype(int)
    rows = np.arange(len(weights))
    small[rows, weights.argmax(-1)] += 255 - small.sum(-1)
    return small


def _text(array: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array).astype(kind).tobytes()).decode()
