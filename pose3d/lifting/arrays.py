"""A lifter for arrays: keypoints as a detector gives them in, joints out, everything judged by name."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from anypose.skeleton import Skeleton, get_skeleton, mirror
from pose3d.lifter import Lifter
from pose3d.lifting.bone_lengths import has_limbs, of_one_length
from pose3d.lifting.missing_keypoints import FEWEST, as_read, complete, missing
from pose3d.lifting.sliding import Poses, joined, lift_sequences
from pose3d.motion.packed import mirror_keypoints

Array = TypeVar("Array", np.ndarray, Tensor)

PICTURE, TALL = 1000, 500  # of the pictures that lifters of pixels are trained on, and of the people in them [px]
TRAINED_FOCAL = 1150.0  # of their cameras [px]
ASSUMED_FOCAL = 0.85  # of a camera that nobody knows, in longer sides of its picture: a phone's main one when filming


class ArrayLifter:
    """A trained lifter that takes the keypoints of any skeleton, any picture, any number of frames and people.

    Args:
        model: the network.
        source: where it comes from, for messages.
        device: where it computes.
        flip: show the network the mirrored person, too, and take the mean (the papers' flip test): twice the work for
            an error that is a few per cent lower. Mixtures give their poses as they are.
        bones: hold the bones of each sequence to one length, both sides alike, which wants frames of one person along T
            (`pose3d.lifting.bone_lengths`); None does where the network reads rays and gives the joints that it takes.
            Mixtures give their poses as they are.

    Attributes:
        model: the network.
        input_skeleton: what the network reads; keypoints of another skeleton are converted by name.
        output_skeleton: what the J joints are; `output_skeleton.joints` are their names.
        receptive_field: R, the frames that a pose is seen in.

    Raises:
        ValueError: for a network that is no lifter, a device that is not there, and `bones` without limbs.
    """

    def __init__(
        self, model: Lifter, source: str, device: str = "cpu", flip: bool = False, bones: bool | None = False
    ) -> None:
        if not isinstance(model, Lifter):
            raise ValueError(
                f"{source} holds a {type(model).__name__}, which is no lifter: it does not take keypoints to joints. "
                "load_task opens any checkpoint."
            )
        if bones and not has_limbs(model.output_skeleton):
            raise ValueError(
                f"bones=True needs hips, knees, feet, shoulders, elbows and wrists; {source} gives "
                f"{', '.join(model.output_skeleton.joints)}."
            )
        self.model, self.source, self.device = onto(model, device).eval(), source, torch.device(device)
        if bones is None:  # joints of a network of pixels lie on lines of sight only where the focal length is known
            bones = model.keypoint_frame == "ray" and has_limbs(model.output_skeleton)
        self.flip, self.bones = flip, bones
        self.input_skeleton, self.output_skeleton = model.input_skeleton, model.output_skeleton
        self.receptive_field = model.receptive_field

    def __call__(
        self, keypoints: Array, *, skeleton: str | Skeleton, image_size: tuple[int, int], focal: float | None = None
    ) -> Array:
        """Joints in the camera's axes (x right, y down, z away), relative to the hip [m].

        A keypoint that is NaN, (0, 0) or has a score of 0 is missing: it is filled in for the network, and the joint of
        that name is NaN. With fewer than five keypoints the whole pose is.

        Args:
            keypoints: (K, 2), (T, K, 2) or (..., T, K, 2) in pixels, frames of one sequence along T; or 3, with scores.
            skeleton: what the K keypoints are, e.g. "coco_17", or the name of the network's own.
            image_size: width and height of the picture [px].
            focal: the camera's focal length [px], which tells how people far from the middle are turned; None assumes
                that people are seen from straight ahead.

        Returns:
            (..., J, 3), an array or a tensor as `keypoints` is, float32.

        Raises:
            TypeError: where `keypoints` are no array.
            ValueError: naming what must hold and what was found: a shape, pixels, a skeleton, the picture's size.
        """
        return _as_given(self._run(keypoints, skeleton, image_size, focal).joints, keypoints)

    def hypotheses(
        self, keypoints: Array, *, skeleton: str | Skeleton, image_size: tuple[int, int], focal: float | None = None
    ) -> tuple[Array, Array]:
        """Every pose that a mixture holds possible, (..., M, J, 3) [m], and their weights (..., M).

        Args:
            keypoints: (K, 2), (T, K, 2) or (..., T, K, 2) in pixels, as of a call, which has `skeleton`, `image_size`
                and `focal`, too.

        Raises:
            ValueError: for a network that gives one pose a frame, and as of a call.
        """
        _, means, weights = self._run(keypoints, skeleton, image_size, focal)
        if means is None or weights is None:
            raise ValueError(f"{self.source} gives one pose a frame, not several; model=gmh_mdn gives several.")
        return _as_given(means, keypoints), _as_given(weights, keypoints)

    def _run(self, given: Any, skeleton: str | Skeleton, image_size: tuple[int, int], focal: float | None) -> Poses:
        own = self.input_skeleton  # a person's own has a name that only the checkpoint knows
        source = skeleton if isinstance(skeleton, Skeleton) else own if skeleton == own.name else get_skeleton(skeleton)
        points = check_keypoints(given, source, image_size)
        if focal is not None and not (isinstance(focal, (int, float, np.number)) and 0 < focal < float("inf")):
            raise ValueError(f"focal must be a positive number of pixels or None, got {focal!r}.")
        leading = points.shape[:-2]
        if 0 in leading:  # nobody, or no frame: the shapes of somebody who is not seen
            unseen = self._run(torch.full(points.shape[-2:], torch.nan), source, image_size, focal)
            return unseen.each(lambda part: part.new_zeros(*leading, *part.shape))
        points = points.reshape(-1, leading[-1] if leading else 1, *points.shape[-2:])  # (N, T, K, C)
        points[missing(points)] = torch.nan
        filled, lost = self._filled(points, source)
        people = self._as_trained(filled, image_size, focal)
        joints, means, weights = joined([self._both_ways(person) for person in people], torch.stack)
        enough = (~lost).sum(-1) >= FEWEST
        if self.bones and means is None:
            joints = self._of_one_length(joints, enough, points, source, camera(image_size, focal))
        unknown = self._unknown(missing(points), source) | ~enough[..., None]
        joints[unknown] = torch.nan
        if means is not None:
            means = means.masked_fill(unknown[:, :, None, :, None], torch.nan)
        return Poses(joints, means, weights).each(lambda part: part.reshape(*leading, *part.shape[2:]))

    def _filled(self, points: Tensor, source: Skeleton) -> tuple[Tensor, Tensor]:
        """(N, T, K', C) the keypoints that the network reads [px], and (N, T, K') which of them were missing.

        Args:
            points: (N, T, K, 2 or 3) of `source`, NaN where one is missing.
        """
        read = as_read(points, source, self.model)
        lost = missing(read)
        filled = complete(read, lost, self.model)
        if self.model.keypoint_channels == 3:  # a score of 0 tells a network that reads scores what is missing
            scores = filled[..., 2:] if filled.shape[-1] == 3 else torch.ones_like(filled[..., :1])
            filled = torch.cat([filled[..., :2], scores.masked_fill(lost[..., None], 0.0)], -1)
        return filled, lost

    def _of_one_length(
        self, joints: Tensor, enough: Tensor, points: Tensor, source: Skeleton, camera: tuple[float, float, float]
    ) -> Tensor:
        """(N, T, J, 3) joints with bones of one length, a sequence after the other.

        Args:
            joints: as the network gives them; enough: (N, T) whether a frame's are of any use.
            points: (N, T, K, 2 or 3) the keypoints of `source` [px], NaN where they are missing.
            camera: focal length and principal point [px].
        """
        focal, *middle = camera
        slopes = (points[..., :2].numpy() - middle) / focal
        moved = joints.numpy().astype(np.float64)
        for person, frames in enumerate(enough.numpy()):
            if frames.any():
                moved[person, frames] = of_one_length(
                    moved[person, frames], slopes[person, frames], self.output_skeleton, source
                )
        return torch.from_numpy(moved).to(joints)

    def _as_trained(self, frames: Tensor, image_size: tuple[int, int], focal: float | None) -> Tensor:
        """(N, T, K, C) keypoints [px] in the coordinates that the network reads."""
        length, *middle = camera(image_size, focal)
        xy, rest = frames[..., :2], frames[..., 2:]
        rays = (xy - xy.new_tensor(middle)) / length
        if self.model.keypoint_frame == "ray":
            xy = rays
        elif focal is not None:
            xy = rays * TRAINED_FOCAL + PICTURE / 2
        else:  # as tall as people are there, in the middle; one scale a sequence, or a crouch were a step back
            low, high = xy.amin(-2, keepdim=True), xy.amax(-2, keepdim=True)
            tall = (high - low).amax(-1, keepdim=True).median(1, keepdim=True).values.clamp(min=1e-6)
            xy = (xy - (low + high) / 2) * (TALL / tall) + PICTURE / 2
        if self.model.keypoint_frame == "screen":
            xy = xy * (2 / PICTURE) - 1
        return torch.cat([xy, rest], -1)[..., : self.model.keypoint_channels].float()

    def _both_ways(self, frames: Tensor) -> Poses:
        """As `_predict`; one pose is the mean of that and of the mirrored person's, mirrored back."""
        poses = self._predict(frames)
        if not self.flip or poses.means is not None or not self.input_skeleton.left:
            return poses
        axis = PICTURE if self.model.keypoint_frame == "pixel" else 0.0  # what x and its mirror image add up to
        mirrored = mirror_keypoints(frames, frames.new_full(frames.shape[:1], axis), self.input_skeleton)
        return Poses((poses.joints + mirror(self._predict(mirrored).joints, self.output_skeleton)) / 2)

    @torch.no_grad()
    def _predict(self, frames: Tensor) -> Poses:
        """(T, K, C) to (T, J, 3), and of a mixture (T, M, J, 3) and (T, M) too; the ends of a sequence are repeated."""
        return lift_sequences(self.model, frames[None].to(self.device)).each(lambda part: part[0].float().cpu())

    def _unknown(self, lost: Tensor, source: Skeleton) -> Tensor:
        """(N, T, J) joints whose own keypoint, by name, is among the `lost` (N, T, K) of `source`; never the root."""
        names, root = source.joints, self.output_skeleton.root
        columns = [
            names.index(joint) if joint in names and place != root else -1
            for place, joint in enumerate(self.output_skeleton.joints)
        ]
        padded = torch.cat([lost, torch.zeros_like(lost[..., :1])], -1)  # column -1: no keypoint has that name
        return padded[..., columns]


def _as_given(found: Tensor, keypoints: Array) -> Array:
    """An array or a tensor, as `keypoints` is."""
    result: Any = found.numpy() if isinstance(keypoints, np.ndarray) else found.to(keypoints.device)
    return result


def camera(image_size: tuple[int, int], focal: float | None) -> tuple[float, float, float]:
    """Focal length, as given or assumed, and the middle of the picture [px]."""
    width, height = image_size
    return ASSUMED_FOCAL * max(width, height) if focal is None else focal, width / 2, height / 2


def onto(model: Lifter, device: str) -> Lifter:
    """The network on a device; in a sentence, where there is none of that name."""
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={device} cannot be used here: {reason}. `anypose doctor` says which can.") from error


def check_keypoints(given: Any, skeleton: Skeleton, image_size: tuple[int, int]) -> Tensor:
    """The keypoints as a float64 tensor on the CPU, a copy.

    Raises:
        TypeError: where they are no array.
        ValueError: naming what must hold and what was found.
    """
    points = _as_tensor(given)
    K = skeleton.num_joints
    if points.ndim < 2 or points.shape[-1] not in (2, 3) or points.shape[-2] != K:
        shape = tuple(points.shape)
        raise ValueError(
            f"keypoints must have shape (..., {K}, 2) or (..., {K}, 3) with scores, as {skeleton.name} has {K} "
            f"keypoints, got {shape}. Frames come before them: ({K}, 2) is one frame, (T, {K}, 2) a sequence."
        )
    try:
        width, height = (float(side) for side in image_size)
    except (TypeError, ValueError):
        width = height = 0.0
    if not (0 < width < float("inf") and 0 < height < float("inf")):
        raise ValueError(f"image_size must be width and height in pixels, as (1920, 1080), got {image_size!r}.")
    there = points[..., :2][~missing(points)]
    if len(there):
        _check_place(there, width, height)
    return points


def _as_tensor(given: Any) -> Tensor:
    """Keypoints as float64, a copy, NaN where a masked array hides one."""
    if isinstance(given, Tensor):
        numbers = not (given.is_complex() or given.dtype == torch.bool)
    elif isinstance(given, np.ndarray):
        numbers = given.dtype.kind in "iuf"
    else:
        raise TypeError(f"keypoints must be a NumPy array or a torch tensor, got {type(given).__name__}.")
    if not numbers:
        raise ValueError(f"keypoints must be real numbers, got {given.dtype}.")
    if isinstance(given, Tensor):
        return given.detach().to("cpu", torch.float64, copy=True)
    return torch.from_numpy(np.ma.filled(np.ma.array(given, dtype=np.float64, copy=True), np.nan))


def _check_place(there: Tensor, width: float, height: float) -> None:
    """Refuse (n, 2) points that cannot be pixels of a picture of this size."""
    if there.isinf().any():
        raise ValueError("keypoints hold infinite values; NaN or (0, 0) says that one is missing.")
    low, high = there.amin(0).tolist(), there.amax(0).tolist()
    if max(high) <= 2 and min(low) >= -2 and min(width, height) > 20:
        raise ValueError(
            f"keypoints must be in pixels of a {width:g}x{height:g} picture; these lie between {min(low):.3g} and "
            f"{max(high):.3g}. Multiply by width and height first."
        )
    if low[0] < -width or high[0] > 2 * width or low[1] < -height or high[1] > 2 * height:
        raise ValueError(
            f"keypoints lie far outside a {width:g}x{height:g} picture: x from {low[0]:.0f} to {high[0]:.0f}, y "
            f"from {low[1]:.0f} to {high[1]:.0f}. image_size is (width, height)."
        )
