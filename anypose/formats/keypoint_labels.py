"""Keypoints in label files, as ultralytics' save_txt=True writes them: a .txt a frame, a line a person.

A line is the class, the box (4), for each keypoint x, y and how sure it is, then how sure the person is where
save_conf=True, then an id where people were tracked; all lengths are shares of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anypose.formats.detections import MAX_POINTS, Detections, named_skeleton, settle_layout
from anypose.formats.files import LARGEST, plain_number, read_bytes
from anypose.skeleton import Skeleton

MAX_BYTES = 1 << 22  # of a frame
BEFORE = 5  # numbers that stand before the keypoints


def read_labels(files: Sequence[tuple[float, Path]], found: Detections, skeleton: str | Skeleton | None) -> str:
    """Add a frame for each file; gives the name of the form.

    Args:
        files: the frame's number, and its file.
        found: where to add them.
        skeleton: what the points are, without which it is not known where they end.

    Raises:
        ValueError: naming file and line, for what is no such label, and where `skeleton` must be said.
    """
    people = [(number, _lines(file)) for number, file in files]
    lengths = sorted({len(line) for _, lines in people for line in lines})
    where = found.where
    if not lengths:
        raise ValueError(f"{where} has nobody in its {len(files)} frames.")
    longest = lengths[-1]
    if lengths[0] < longest - 1:
        raise ValueError(f"{where}: every person must have as many numbers, found {lengths[:4]}.")
    if skeleton is None:
        settle_layout((longest - BEFORE) // 3, None, None, where)
    layout = named_skeleton(skeleton or "")
    K = layout.num_joints
    width = next((width for width in (3, 2) if 0 <= longest - BEFORE - width * K <= 2), None)
    if width is None or lengths[0] < BEFORE + width * K:
        raise ValueError(
            f"{where}: a person of {layout.name} has a class, a box and {K} points of 2 or 3 numbers, found "
            f"{lengths[0]} numbers."
        )
    last = np.array([line[-1] for _, lines in people for line in lines if len(line) == longest])
    after = longest - BEFORE - width * K
    tracked = after == 2 or (after == 1 and bool((last == np.rint(last)).all()))  # else it is how sure the person is
    for number, lines in people:
        rows = [np.array(line[BEFORE : BEFORE + width * K]).reshape(K, width) for line in lines]
        rows = [np.column_stack([row, np.ones(K)]) if width == 2 else row for row in rows]
        # Who has just come in has no id yet.
        ids = [int(line[-1]) if tracked and len(line) == longest else None for line in lines]
        found.add(number, list(zip(ids, rows, strict=True)))
    return "ultralytics"


def _lines(file: Path) -> list[list[float]]:
    """The numbers of each line of a file."""
    if file.stat().st_size == 0:  # of a frame without anybody
        return []
    lines = []
    for place, line in enumerate(read_bytes(file, "labels", MAX_BYTES).decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            numbers = [plain_number(word) for word in line.split()[: 3 * MAX_POINTS]]
            if len(numbers) <= BEFORE or not all(abs(number) <= LARGEST for number in numbers):
                raise ValueError(len(numbers))
        except ValueError:
            raise ValueError(
                f"{file}, line {place} should be a person of ultralytics' labels (class, box, x y score of each "
                f"keypoint), found {line[:40]!r}."
            ) from None
        lines.append(numbers)
    return lines
