"""Images in files: which are there, how large they must be, which way up they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from anypose.settings import Misuse
from pose2d.images.decoding import MEGAPIXELS, check_size, decode
from pose2d.images.headers import Header, read_header

ORIENTATIONS = ("auto", "stored", "upright")
_SAMPLE = 32  # images whose headers are read before the first step
_BYTES = 8.0  # of a file for a pixel: four channels of 16 bits, not compressed


class ImageFiles:
    """Implements `pose2d.people.Images`.

    Args:
        folder: where the names start from.
        names: of the files.
        sizes: (I, 2) height and width [px] that the annotations are for, or None where nobody says.
        orientation: which way up the annotations mean a picture whose file has an orientation of EXIF's: "stored" as
            its pixels lie (COCO), "upright" as it is shown, "auto" as the annotated size tells.
        max_megapixels: larger images are not decoded.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        sizes: np.ndarray | None = None,
        orientation: str = "stored",
        max_megapixels: float = MEGAPIXELS,
    ) -> None:
        if orientation not in ORIENTATIONS:
            raise Misuse(f"dataset.orientation must be one of {', '.join(ORIENTATIONS)}, got {orientation}.")
        if not max_megapixels > 0:
            raise Misuse(f"dataset.max_megapixels must be above 0, got {max_megapixels}.")
        self.folder, self.names = folder, tuple(names)
        self.sizes, self.orientation, self.max_megapixels = sizes, orientation, max_megapixels

    def require(self, rows: np.ndarray) -> None:
        """Raise unless the images of these rows are there and a sample of them is as large as the annotations say."""
        rows = np.unique(rows)
        paths = [PurePosixPath(self.names[row]) for row in rows.tolist()]
        parents = {str(path.parent) for path in paths}
        there = {parent: set(os.listdir(self.folder / parent)) for parent in parents if (self.folder / parent).is_dir()}
        missing = [str(path) for path in paths if path.name not in there.get(str(path.parent), ())]
        if missing:
            raise FileNotFoundError(
                f"{self.folder} lacks {len(missing)} of the {len(paths)} images with people in them: "
                f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}. "
                "Complete the folder, or point dataset.root at the one that has them."
            )
        if self.sizes is not None:
            for row in rows[:: -(-len(rows) // _SAMPLE)].tolist():
                self._upright(row, read_header(self._bytes(row), self.name(row)))

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        """The path of the file."""
        return str(self.folder / self.names[index])

    def read(self, index: int, reduce: int = 1) -> np.ndarray:
        """The pixels, the way up that the annotations mean."""
        encoded, name = self._bytes(index), self.name(index)
        header = read_header(encoded, name)
        upright = self.orientation == "upright" if self.sizes is None else self._upright(index, header)
        return decode(encoded, name, reduce, upright, self.max_megapixels, header=header)

    def _bytes(self, index: int) -> bytes:
        path = self.folder / self.names[index]
        size, most = path.stat().st_size, 1e6 * (1 + _BYTES * self.max_megapixels)
        if size > most:
            raise ValueError(
                f"{path} has {size / 1e6:.0f} MB, more than an image of dataset.max_megapixels={self.max_megapixels:g} "
                f"can have. If it is an image, raise that to {np.ceil(size / _BYTES / 1e6):.0f}."
            )
        return path.read_bytes()

    def _upright(self, index: int, header: Header) -> bool:
        """Whether the annotations are for the picture turned upright; ValueError where they are for neither."""
        name = self.name(index)
        check_size(header, name, self.max_megapixels, "dataset.max_megapixels")
        height, width = (int(side) for side in self.sizes[index])  # pyright: ignore[reportOptionalSubscript]
        stored = (header.height, header.width) == (height, width)
        turned = (header.width, header.height) if header.sideways else (header.height, header.width)
        fits = {"stored": stored, "upright": turned == (height, width)}
        if self.orientation != "auto":
            if fits[self.orientation]:
                return self.orientation == "upright"
        elif fits["stored"] != fits["upright"] or (stored and header.orientation == 1):
            return fits["upright"]
        elif stored:
            raise ValueError(
                f"{name} lies {_WORDS[header.orientation]} (EXIF orientation {header.orientation}), and its annotated "
                f"size {width}x{height} does not tell whether the keypoints are for the picture as stored or as shown. "
                "Say it: dataset.orientation=stored or upright."
            )
        hint = ""
        if other := [way for way, fit in fits.items() if fit]:
            hint = (
                f" It would fit as {other[0]} (EXIF orientation {header.orientation}): dataset.orientation={other[0]}."
            )
        raise ValueError(
            f"{name} is {header.width}x{header.height} px, its annotations are for {width}x{height}.{hint} "
            "Boxes and keypoints would be off; use the images that were annotated, or correct the annotations' sizes."
        )


_WORDS = {2: "mirrored", 3: "upside down", 4: "upside down and mirrored"} | dict.fromkeys(range(5, 9), "on its side")
