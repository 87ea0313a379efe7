"""Keypoint networks of other projects behind a session: SimCC (RTMPose), MoveNet, heatmaps. Arrays in, arrays out.

    finder = KeypointFinder(open_session("rtmpose-m.onnx"), "rtmpose-m.onnx")
    keypoints, scores = finder.find(image, box_xyxy)

What a network is, its inputs and outputs say; what its keypoints are they do not: only MoveNet's are known as COCO's.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pose2d.images.affine import crop_matrices, fit_aspect, invert, transform, warp_one
from pose2d.images.image import IMAGENET_MEAN, IMAGENET_STD, Normalization
from pose2d.network.heatmap import Coding
from pose2d.network.ports import ImageInput, Network, Port, answers, describe_ports, image_input

PADDING = 1.25  # a crop's size relative to the box: RTMPose's, ViTPose's and MoveNet's
IMAGENET = Normalization("rgb", IMAGENET_MEAN, IMAGENET_STD)  # RTMPose's, and that of most networks of heatmaps
AT_ONCE = 16  # people that a network of any batch size is shown together
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recognised:
    """What a keypoint network of another project is, as its inputs and outputs tell.

    Attributes:
        kind: "simcc", "movenet" or "heatmaps".
        image: its input.
        outputs: names of what is decoded; SimCC's are x, then y.
        num_keypoints: K; None where the file leaves it open.
        skeleton: name of what the keypoints are, None where the network does not say.
    """

    kind: str
    image: ImageInput
    outputs: tuple[str, ...]
    num_keypoints: int | None
    skeleton: str | None

    @property
    def crop_size(self) -> tuple[int, int]:
        """(H, W) of the crop [px]."""
        height, width = self.image.size
        assert height is not None  # `recognise` saw to it
        assert width is not None
        return height, width


def recognise(inputs: Sequence[Port], outputs: Sequence[Port], source: str) -> Recognised:
    """What kind of keypoint network this is, from its inputs and outputs.

    Raises:
        ValueError: for any other network, naming `source`, what is known and what the file has.
    """
    image = image_input(inputs, source, AT_ONCE)
    if None in image.size:
        raise ValueError(
            f"{source} leaves the size of its input open ({describe_ports(inputs)}). A keypoint network must say it: "
            "export it with a fixed height and width."
        )
    shapes = [port.shape for port in outputs]
    names = tuple(port.name for port in outputs)
    if len(shapes) == 2 and all(len(shape) == 3 for shape in shapes) and shapes[0][1] == shapes[1][1]:
        swapped = names[0].lower().endswith("y") and names[1].lower().endswith("x")
        return Recognised("simcc", image, names[::-1] if swapped else names, shapes[0][1], None)
    if len(shapes) == 1 and len(shapes[0]) == 4:
        if shapes[0][1:] == (1, 17, 3) and image.last:
            return Recognised("movenet", image, names, 17, "coco_17")
        if _is_scaled_down(shapes[0][2:], image.size):
            return Recognised("heatmaps", image, names, shapes[0][1], None)
    raise ValueError(
        f"{source} is no keypoint network of a known kind. Known: SimCC (RTMPose: two outputs (B, K, x) and "
        "(B, K, y)), MoveNet of one person (an output (1, 1, 17, 3)), heatmaps (one output (B, K, h, w)). It has "
        f"{describe_ports(outputs)}."
    )


def _is_scaled_down(cells: Sequence[int | None], size: Sequence[int | None]) -> bool:
    """Whether maps of so many cells can be those of a crop of that size, both in one ratio; free sizes can."""
    pairs = [(cell, side) for cell, side in zip(cells, size, strict=True) if cell is not None and side is not None]
    return all(0 < cell <= side for cell, side in pairs) and len({side / cell for cell, side in pairs}) <= 1


def decode_simcc(x: np.ndarray, y: np.ndarray, crop_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Where SimCC's two classifications are highest (Li et al. 2022), as RTMPose reads them.

    Args:
        x, y: (B, K, n W) and (B, K, n H): a value for each n-th of a pixel across and down.
        crop_size: (H, W) [px].

    Returns:
        (B, K, 2) keypoints [crop px] and (B, K) scores: the lower of the two peaks, cut to 0..1.
    """
    height, width = crop_size
    if x.ndim != 3 or y.ndim != 3 or x.shape[:2] != y.shape[:2] or x.shape[2] * height != y.shape[2] * width:
        raise ValueError(
            f"SimCC's outputs must be (B, K, n W) and (B, K, n H) for a crop of H, W = {height}, {width}; they are "
            f"{x.shape} and {y.shape}."
        )
    place = np.stack([x.argmax(axis=2) * (width / x.shape[2]), y.argmax(axis=2) * (height / y.shape[2])], axis=2)
    return place, np.minimum(x.max(axis=2), y.max(axis=2)).clip(0, 1).astype(np.float64)


def decode_movenet(found: np.ndarray, crop_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(B, 1, K, 3) y, x in 0..1 of the crop and scores, as (B, K, 2) keypoints [crop px] and (B, K) scores."""
    height, width = crop_size
    people = found[:, 0].astype(np.float64)
    return people[..., 1::-1] * [width, height], people[..., 2]


def decode_heatmaps(
    heatmaps: np.ndarray, crop_size: tuple[int, int], decoder: str, aligned: bool, peak: float
) -> tuple[np.ndarray, np.ndarray]:
    """(B, K, h, w) heatmaps as (B, K, 2) keypoints [crop px] and (B, K) scores.

    Args:
        decoder, aligned, peak: see `pose2d.network.heatmap.Coding`.
    """
    rows, columns = heatmaps.shape[2:]
    # A Gaussian of two cells at 64 of them is what nearly all of these networks were trained with.
    coding = Coding(crop_size, (rows, columns), aligned, False, max(columns, rows) / 32, 3.0, peak, "window", decoder)
    keypoints, scores = coding.decode(torch.from_numpy(heatmaps.astype(np.float32)))
    height = float(np.nanmax(scores.numpy(), initial=0))
    if height > 2:
        raise ValueError(
            f"The heatmaps are up to {height * peak:.4g} high where they should be about {peak:g}. Say what a certain "
            "keypoint's height is: keypoints.peak=255 for mks0601's networks."
        )
    return keypoints.double().numpy(), scores.double().numpy().clip(0, 1)


class KeypointFinder:
    """Finds the keypoints of people in boxes with a network that came as a file.

    Args:
        session: the network.
        source: its file, for messages.
        normalization: of the pixels; None is ImageNet's for floating-point inputs, and grey levels for MoveNet and
            for inputs of whole numbers.
        padding: the box grows by this factor after its aspect has been fitted.
        decoder, aligned, peak: of heatmaps, see `pose2d.network.heatmap.Coding`.

    Attributes:
        network: what was recognised.
        nonfinite: how many keypoints so far came out as NaN or infinite; they get NaN and a score of 0, and the first
            of them is told in the log.
    """

    def __init__(
        self,
        session: Network,
        source: str,
        normalization: Normalization | None = None,
        padding: float = PADDING,
        decoder: str = "dark",
        aligned: bool = False,
        peak: float = 1.0,
    ) -> None:
        self.session, self.source = session, source
        self.network = recognise(session.inputs, session.outputs, source)
        whole_numbers = self.network.image.dtype.kind in "ui"
        if normalization is not None and (whole_numbers or self.network.kind == "movenet"):
            raise ValueError(f"{source} takes grey levels as they are; leave out the normalisation of its input.")
        raw = whole_numbers or self.network.kind == "movenet"
        self.normalization = None if raw else normalization or IMAGENET
        self.padding, self.decoder, self.aligned, self.peak = padding, decoder, aligned, peak
        self.nonfinite = 0

    def find(self, image: np.ndarray, box_xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The keypoints of the people of one image.

        Args:
            image: (H, W, 3) uint8 RGB.
            box_xyxy: (P, 4) left, top, right, bottom of each person [px].

        Returns:
            (P, K, 2) float64 [image px] and (P, K) float64 scores in 0..1, 0 with NaN where nothing was found.
        """
        box_xyxy = np.asarray(box_xyxy, dtype=np.float64).reshape(-1, 4)
        extent = box_xyxy[:, 2:] - box_xyxy[:, :2]
        if not np.isfinite(box_xyxy).all() or (extent < 0).any() or (extent.sum(axis=1) <= 0).any():
            raise ValueError(f"Boxes must be left, top, right, bottom with an extent, got {box_xyxy.tolist()[:3]}.")
        size = self.network.crop_size
        centre = box_xyxy[:, :2] + extent / 2
        width = fit_aspect(extent, size[1] / size[0], self.padding)[:, 0]
        upright, as_it_is = np.zeros(len(centre)), np.zeros(len(centre), bool)
        to_image = invert(crop_matrices(centre, width, upright, as_it_is, size, self.aligned))
        step = self.network.image.batch or AT_ONCE
        parts = [
            self._batch(np.stack([warp_one(image, matrix, size) for matrix in to_image[first : first + step]]))
            for first in range(0, len(to_image), step)
        ]
        if not parts:
            K = self.network.num_keypoints or 0
            return np.zeros((0, K, 2)), np.zeros((0, K))
        keypoints, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
        lost = ~(np.isfinite(keypoints).all(axis=2) & np.isfinite(scores))
        if lost.any() and not self.nonfinite:
            log.warning("%s: a keypoint came out as NaN or infinite; those are taken as not found.", self.source)
        self.nonfinite += int(lost.sum())
        nothing = lost | (scores <= 0)
        keypoints = transform(np.where(nothing[..., None], np.nan, keypoints), to_image)
        return keypoints, np.where(nothing, 0.0, scores.clip(0, 1))

    def _batch(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints [crop px] and scores of (B, H, W, 3) uint8 crops, at most as many as the network takes."""
        count, network = len(crops), self.network
        if network.image.batch is not None:
            crops = np.concatenate([crops, np.zeros((network.image.batch - count, *crops.shape[1:]), np.uint8)])
        found = self.session.run(network.image.feed(crops, self.normalization))
        arrays = [array[:count] for array in answers(found, network.outputs, len(crops), self.source)]
        points = arrays[0].shape[2 if network.kind == "movenet" else 1]
        if network.num_keypoints not in (None, points):
            raise ValueError(f"{self.source} must give {network.num_keypoints} keypoints, and it gave {points}.")
        # The highest of what is no number is nowhere: a joint whose map holds one is told apart before it is decoded.
        lost = ~np.logical_and.reduce([np.isfinite(a).reshape(count, a.shape[1], -1).all(axis=2) for a in arrays])
        if network.kind == "movenet":
            return decode_movenet(arrays[0], network.crop_size)
        arrays = [np.nan_to_num(array, posinf=0.0, neginf=0.0) for array in arrays]
        if network.kind == "simcc":
            keypoints, scores = decode_simcc(arrays[0], arrays[1], network.crop_size)
        else:
            if not _is_scaled_down(arrays[0].shape[2:], network.crop_size):
                raise ValueError(
                    f"{self.source} gave heatmaps {arrays[0].shape[2:]} of crops {network.crop_size}: a crop made "
                    "smaller, both sides alike, is wanted."
                )
            keypoints, scores = decode_heatmaps(arrays[0], network.crop_size, self.decoder, self.aligned, self.peak)
        return keypoints, np.where(lost, np.nan, scores)
