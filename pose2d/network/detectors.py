"""Person detectors of other projects behind a session: RTMDet, YOLOX and whatever gives (n, 5) or (n, 6) boxes.

detector = PersonDetector(open_session("rtmdet_nano_person.onnx"), "rtmdet_nano_person.onnx")
box_xyxy, scores = detector.find(image)
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anypose.bounds import check_made
from anypose.settings import Misuse
from pose2d.images.decoding import cv2
from pose2d.images.image import Normalization
from pose2d.network.ports import Network, Port, describe_ports, image_input

log = logging.getLogger(__name__)
GREY = 114  # what fills a letterbox; RTMDet's, YOLOX's and ultralytics'
PERSON = 0  # the class of people in all of these
OVERLAP = 0.45  # of two boxes, from which on the worse one goes: YOLOX's, for raw outputs alone
_GRIDS = ((8, 16, 32), (8, 16, 32, 64))  # YOLOX's strides, without and with a fourth level


@dataclass(frozen=True)
class Preset:
    """How a family of detectors wants its images.

    Attributes:
        normalization: of the pixels.
        centred: the picture is in the middle of its letterbox, not at the top left.
        size: side of the square where a network leaves it open [px].
    """

    normalization: Normalization
    centred: bool
    size: int


PRESETS = {
    "rtmdet": Preset(Normalization("bgr", (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)), False, 640),
    "yolox": Preset(Normalization("bgr", (0.0,) * 3, (1.0,) * 3), False, 640),
    "ultralytics": Preset(Normalization("rgb", (0.0,) * 3, (255.0,) * 3), True, 640),
}
_NAMED = {"rtmdet": r"rtm-?_?det", "yolox": r"yolo-?_?x", "ultralytics": r"ultralytics|yolo-?_?(v8|v10|v?11|26)"}


def preset_of(source: str, preset: str) -> Preset:
    """The preset called `preset`; for "auto", that of the family which the file's name tells.

    Raises:
        ValueError: where the name tells none or several, or there is no such preset.
    """
    known = f"{', '.join(PRESETS)}"
    if preset == "auto":
        stem = re.split(r"[/\\]", source)[-1].lower()
        fitting = [name for name, pattern in _NAMED.items() if re.search(pattern, stem)]
        if len(fitting) != 1:
            raise ValueError(
                f"How {source} wants its pixels is nowhere in the file, and its name does not tell. Say whose way it "
                f"is: boxes.preset={'|'.join(PRESETS)}."
            )
        preset = fitting[0]
    if preset not in PRESETS:
        raise Misuse(f"boxes.preset must be auto or one of {known}, got {preset}.")
    return PRESETS[preset]


def letterbox(image: np.ndarray, size: tuple[int, int], centred: bool) -> tuple[np.ndarray, np.ndarray]:
    """An image made as large as fits into a frame of grey.

    Args:
        image: (H, W, 3) uint8.
        size: height and width of the frame [px].
        centred: in its middle; otherwise at the top left.

    Returns:
        The frame, and (2, 2): what to add to x and y in it, then what to multiply them by, to be in the image again.
    """
    height, width = image.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    inner = (max(1, round(height * scale)), max(1, round(width * scale)))
    top, left = ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2) if centred else (0, 0)
    frame = np.full((*size, 3), GREY, np.uint8)
    frame[top : top + inner[0], left : left + inner[1]] = cv2.resize(image, inner[::-1])
    return frame, np.array([[-left, -top], [width / inner[1], height / inner[0]]])


def decode_yolox(raw: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N, 5) left, top, right, bottom, score of people in YOLOX's raw (N, 5 + classes) (Ge et al. 2021).

    A row belongs to a cell of the grids of strides 8, 16, 32 (and 64): offset of the middle and logarithm of the size
    in strides, whether there is something, and the classes' probabilities.

    Args:
        size: height and width of the network's input [px].
    """
    cells, strides = [], []
    for stride in next(grids for grids in _GRIDS if _cells(grids, size) == len(raw)):
        y, x = np.mgrid[: size[0] // stride, : size[1] // stride]
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((x.size, 1), stride))
    cell, stride = np.concatenate(cells), np.concatenate(strides)
    raw = raw.astype(np.float64)
    middle = (raw[:, :2] + cell) * stride
    half = np.exp(raw[:, 2:4].clip(max=20)) * stride / 2
    return np.column_stack([middle - half, middle + half, raw[:, 4] * raw[:, 5 + PERSON]])


def _cells(strides: Sequence[int], size: tuple[int, int]) -> int:
    """How many cells grids of these strides have together."""
    return sum((size[0] // stride) * (size[1] // stride) for stride in strides)


def suppress(boxes: np.ndarray, scores: np.ndarray, overlap: float) -> np.ndarray:
    """Rows of (P, 4) boxes that stay, best first: none overlaps a better one by more than `overlap` (their IoU)."""
    waiting, kept = np.argsort(-scores, kind="stable"), []
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[waiting, :2])
        high = np.minimum(boxes[best, 2:], boxes[waiting, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        waiting = waiting[shared <= overlap * (area[best] + area[waiting] - shared)]
    return np.array(kept, dtype=np.int64)


class PersonDetector:
    """Finds the boxes of people with a network that came as a file.

    Args:
        session: the network. Its boxes are (1, n, 5) or (n, 5): left, top, right, bottom, score in pixels of its input,
            with a sixth number or a second output for the class, 0 for people; or YOLOX's raw output.
        source: its file, for messages.
        preset: "rtmdet", "yolox", "ultralytics", or "auto": what the file's name tells.
        size: height and width to show it images in, where it leaves that open; None is the preset's, 320 for "nano".
        min_score: boxes must score more.

    Attributes:
        nonfinite: how many boxes so far held NaN or infinity; they are left out, and the first of them
            is told in the log.
    """

    def __init__(
        self,
        session: Network,
        source: str,
        preset: str = "auto",
        size: tuple[int, int] | None = None,
        min_score: float = 0.3,
    ) -> None:
        self.session, self.source, self.min_score = session, source, min_score
        self.image = image_input(session.inputs, source)
        self.boxes, self.labels = _outputs(session.outputs, source)
        self.preset = preset_of(source, preset)
        side = 320 if "nano" in source.lower() else self.preset.size
        height, width = (own or asked for own, asked in zip(self.image.size, size or (side, side), strict=True))
        if size is not None and (height, width) != tuple(size):
            raise Misuse(f"boxes.size={list(size)} cannot be had: {source} takes {height}x{width} px.")
        if min(height, width) < 32 or height % 32 or width % 32:
            raise Misuse(f"boxes.size must be two multiples of 32, got {height} and {width}.")
        check_made(12.0 * height * width, f"boxes.size={[height, width]}")
        if self.image.batch not in (None, 1):
            raise ValueError(f"{source} wants {self.image.batch} images at once; a detector here sees one at a time.")
        self.size = (height, width)
        self.nonfinite = 0

    def find(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The people of one image (H, W, 3) uint8 RGB: (P, 4) boxes inside it [px], the best first, and (P,) scores."""
        frame, back = letterbox(image, self.size, self.preset.centred)
        normalization = None if self.image.dtype.kind in "ui" else self.preset.normalization
        found = self.session.run(self.image.feed(frame[None], normalization))
        labels = None if self.labels is None else found[self.labels]
        boxes, scores = self._people(found[self.boxes], labels)
        height, width = image.shape[:2]
        boxes = ((boxes.reshape(-1, 2, 2) + back[0]) * back[1]).clip(0, [width, height]).reshape(-1, 4)
        whole = np.flatnonzero((boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1))
        order = whole[np.argsort(-scores[whole], kind="stable")]
        return boxes[order], scores[order]

    def _people(self, found: np.ndarray, labels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """(P, 4) boxes [px of the network's input] and (P,) scores of people above the threshold."""
        table = found[0] if found.ndim == 3 and len(found) == 1 else found
        if table.ndim != 2 or (labels is not None and labels.size != len(table)):
            given = f" and {labels.shape} classes" if labels is not None else ""
            raise ValueError(f"{self.source} must give boxes (1, n, 5) of one picture, found {found.shape}{given}.")
        raw = labels is None and table.shape[1] > 5 and len(table) in {_cells(grids, self.size) for grids in _GRIDS}
        if raw:
            table = decode_yolox(table, self.size)
        elif table.shape[1] not in (5, 6):
            raise ValueError(f"{self.source} gives boxes of {table.shape[1]} numbers; known are 5, 6 and YOLOX's raw.")
        kind = labels.reshape(-1) if labels is not None else table[:, 5] if table.shape[1] == 6 else PERSON
        finite = np.isfinite(table[:, :5]).all(axis=1)
        if not finite.all() and not self.nonfinite:
            log.warning("%s: a box came out as NaN or infinite; those are left out.", self.source)
        self.nonfinite += int((~finite).sum())
        rows = np.flatnonzero(finite & (kind == PERSON) & (np.where(finite, table[:, 4], 0) > self.min_score))
        boxes, scores = table[rows, :4].astype(np.float64), table[rows, 4].astype(np.float64)
        if len(rows) and (scores.max() > 1.001 or boxes.max() <= 1.5):
            raise ValueError(
                f"{self.source} must give boxes in pixels of its input and scores in 0..1; found boxes up to "
                f"{boxes.max():.3g} and scores up to {scores.max():.3g}."
            )
        if raw:
            kept = suppress(boxes, scores, OVERLAP)
            boxes, scores = boxes[kept], scores[kept]
        return boxes, scores.clip(0, 1)


def _outputs(outputs: Sequence[Port], source: str) -> tuple[str, str | None]:
    """The names of the boxes and, where there is a second output, of their classes."""
    boxes = [port for port in outputs if len(port.shape) in (2, 3) and port.dtype.kind == "f"]
    labels = [port for port in outputs if port not in boxes and len(port.shape) in (1, 2)]
    widths = [port.shape[-1] for port in boxes]
    if len(boxes) != 1 or len(boxes) + len(labels) != len(outputs) or len(labels) > 1 or (widths[0] or 5) < 5:
        raise ValueError(
            f"{source} is no person detector of a known kind: it must give boxes (1, n, 5) or (1, n, 6), and a class "
            f"for each in a second output if at all; it gives {describe_ports(outputs)}. Export it with its "
            "non-maximum suppression inside."
        )
    rows, width = boxes[0].shape[-2:]
    if rows is not None and width is not None and width > 6 and rows < width:
        raise ValueError(
            f"{source} gives {describe_ports(boxes)}, candidates as columns. Export it with its non-maximum "
            "suppression inside (ultralytics: nms=True), so that it gives (1, n, 6)."
        )
    return boxes[0].name, labels[0].name if labels else None
