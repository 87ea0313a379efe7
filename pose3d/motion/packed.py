"""Many sequences laid end to end in a few contiguous tensors, and what is done to all of them at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from anypose.camera import Camera, mirror_intrinsics, to_rays, to_screen, world_to_camera
from anypose.skeleton import Skeleton, convert, convert_known, mirror
from pose3d.lifter import KeypointFrame
from pose3d.motion.sequence import PoseSequence

log = logging.getLogger(__name__)

JointFrame = Literal["camera", "world"]
FRAMES_AT_ONCE = 1 << 16  # that are mirrored


@dataclass(frozen=True, eq=False)
class Packed:
    """All frames of many sequences, one after the other.

    Attributes:
        keypoints: (N, K, C) in the model's keypoint frame.
        joints: (N, J, 3) relative to the root [m].
        root: (N, 3) the root itself [m].
        scale: (N,) metres that 1 of `joints` is, None where it is one: errors are told in metres.
        start, end: (S,) first row of each sequence, and one past its last.
        sequence: (N,) which sequence a row belongs to.
        rotation: (S, 3, 3) world to camera.
        intrinsics: (S, 9) focal length 2, centre 2, radial 3, tangential 2, in the units of the keypoints.
        numbers: (S, 2) what the source calls the first frame, and its frames from one to the next.
        mirror: (S,) an image's mirror takes x to mirror - x: its width in pixels, 0 on the screen and for rays.
        input_skeleton, output_skeleton: what the K keypoints and the J joints are.
        joint_frame: the axes of the joints.
        names: (subject, action, take, camera) of each sequence.
    """

    keypoints: Tensor
    joints: Tensor
    root: Tensor
    start: Tensor
    end: Tensor
    sequence: Tensor
    rotation: Tensor
    intrinsics: Tensor
    numbers: Tensor
    mirror: Tensor
    input_skeleton: Skeleton
    output_skeleton: Skeleton
    joint_frame: JointFrame
    names: tuple[tuple[str, str, str, str], ...]
    scale: Tensor | None = None

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def device(self) -> torch.device:
        return self.keypoints.device

    def source_frames(self, rows: Tensor) -> Tensor:
        """(n,) int64 what the source calls the frames in `rows` (n,), the nearest where motion was resampled."""
        sequence = self.sequence[rows]
        first, stride = self.numbers[sequence].unbind(1)
        return (first + (rows - self.start[sequence]) * stride).round().long()

    def slopes(self, rows: Tensor) -> Tensor:
        """(n, K, 2) x/z and y/z of the keypoints in `rows` (n,), distortion left aside; NaN for missing ones."""
        keypoints = self.keypoints[rows]
        focal, centre = self.intrinsics[self.sequence[rows]][:, None, :4].split(2, dim=-1)
        slopes = (keypoints[..., :2] - centre) / focal
        missing = keypoints[..., 2:3] == 0 if keypoints.shape[-1] == 3 else slopes.isnan()[..., :1]
        return slopes.masked_fill(missing, torch.nan)

    def to(self, device: torch.device) -> Packed:
        """The same on `device`; where it does not fit there, in pinned host memory, and the log says so."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        try:
            return replace(self, **{name: tensor.to(device) for name, tensor in tensors.items()})
        except torch.OutOfMemoryError:
            size = sum(tensor.nbytes for tensor in tensors.values())
            log.warning("%.1f GB of packed frames do not fit %s; they stay in host memory.", size / 1e9, device)
            return replace(self, **{name: tensor.pin_memory() for name, tensor in tensors.items()})


def pack(
    sequences: Sequence[PoseSequence],
    *,
    input_skeleton: Skeleton,
    output_skeleton: Skeleton,
    keypoint_frame: KeypointFrame,
    keypoint_channels: int = 2,
    keypoints_may_miss: bool = False,
    joint_frame: JointFrame = "camera",
    device: torch.device | str = "cpu",
) -> Packed:
    """Convert the sequences to a model's skeletons and frames and lay them end to end.

    Raises:
        ValueError: no sequence, keypoints that cannot give the input skeleton, or scores that are not there.
    """
    if not sequences:
        raise ValueError("There is no sequence to pack: the dataset's choice of subjects and actions is empty.")
    lengths = [len(sequence) for sequence in sequences]
    end = np.cumsum(lengths)
    total = int(end[-1])
    keypoints = np.empty((total, input_skeleton.num_joints, keypoint_channels), np.float32)
    joints = np.empty((total, output_skeleton.num_joints, 3), np.float32)
    root = np.empty((total, 3), np.float32)
    for sequence, last, length in zip(sequences, end, lengths, strict=True):
        rows = slice(last - length, last)
        if keypoints_may_miss:
            keypoints[rows] = _known_keypoints(sequence, input_skeleton, keypoint_frame)
        else:
            keypoints[rows] = _keypoints(sequence, input_skeleton, keypoint_frame, keypoint_channels)
        joints[rows], root[rows] = _joints(sequence, output_skeleton, joint_frame)
    cameras = [sequence.camera for sequence in sequences]
    packed = Packed(
        keypoints=torch.from_numpy(keypoints),
        joints=torch.from_numpy(joints),
        root=torch.from_numpy(root),
        start=torch.from_numpy(end - np.array(lengths)),
        end=torch.from_numpy(end),
        sequence=torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)),
        rotation=torch.from_numpy(np.stack([camera.rotation for camera in cameras]).astype(np.float32)),
        intrinsics=torch.from_numpy(
            np.stack([_intrinsics(camera, keypoint_frame) for camera in cameras]).astype(np.float32)
        ),
        numbers=torch.tensor([(s.first_frame, s.frame_stride) for s in sequences], dtype=torch.float32),
        mirror=torch.tensor([float(camera.width) if keypoint_frame == "pixel" else 0.0 for camera in cameras]),
        input_skeleton=input_skeleton,
        output_skeleton=output_skeleton,
        joint_frame=joint_frame,
        names=tuple((s.subject, s.action, s.take, s.camera.name) for s in sequences),
        scale=_scale(sequences),
    )
    return packed.to(torch.device(device))


def _scale(sequences: Sequence[PoseSequence]) -> Tensor | None:
    if all(sequence.scale is None for sequence in sequences):
        return None
    ones = (np.ones(len(s), np.float32) if s.scale is None else s.scale.astype(np.float32) for s in sequences)
    return torch.from_numpy(np.concatenate(list(ones)))


def _keypoints(sequence: PoseSequence, skeleton: Skeleton, frame: KeypointFrame, channels: int) -> np.ndarray:
    try:
        keypoints = convert(sequence.keypoints, sequence.keypoint_skeleton, skeleton)
    except ValueError as error:
        raise ValueError(
            f"The model reads {skeleton.name} keypoints, {sequence.name} has {sequence.keypoint_skeleton.name}: {error}"
        ) from error
    keypoints = _in_frame(keypoints, sequence, frame)
    if channels == 2:
        return keypoints
    if sequence.scores is None:
        raise ValueError(
            f"The model reads a score with every keypoint, and {sequence.name} has none. "
            "Choose a dataset with detections, or model.keypoint_channels=2."
        )
    scores = convert(sequence.scores[..., None], sequence.keypoint_skeleton, skeleton)
    return np.concatenate([keypoints, scores], axis=-1)


def _known_keypoints(sequence: PoseSequence, skeleton: Skeleton, frame: KeypointFrame) -> np.ndarray:
    """(T, K, 3) with a score, which is 0 for what the sequence's keypoints have no way to, and 1 where it has none."""
    keypoints, known = convert_known(sequence.keypoints, sequence.keypoint_skeleton, skeleton)
    scores = np.ones((*keypoints.shape[:2], 1), np.float32)
    if sequence.scores is not None:
        scores, _ = convert_known(sequence.scores[..., None], sequence.keypoint_skeleton, skeleton)
    there = np.array(known)
    seen = np.zeros((*keypoints.shape[:2], 3), np.float32)
    seen[:, there, :2] = _in_frame(keypoints[:, there], sequence, frame)
    seen[:, there, 2:] = scores[:, there]
    return seen


def _in_frame(keypoints: np.ndarray, sequence: PoseSequence, frame: KeypointFrame) -> np.ndarray:
    if frame == "screen":
        return to_screen(keypoints, sequence.camera.width, sequence.camera.height)
    return to_rays(keypoints, sequence.camera) if frame == "ray" else keypoints


def _intrinsics(camera: Camera, frame: KeypointFrame) -> np.ndarray:
    """(9,) for keypoints in that frame; rays have left the camera behind."""
    if frame == "ray":
        return np.array([1.0, 1, 0, 0, 0, 0, 0, 0, 0])
    return camera.screen_intrinsics if frame == "screen" else camera.intrinsics


def _joints(sequence: PoseSequence, skeleton: Skeleton, frame: JointFrame) -> tuple[np.ndarray, np.ndarray]:
    """(T, J, 3) relative to the root, and the (T, 3) root."""
    if sequence.skeleton.root is None:
        raise ValueError(
            f"{sequence.name} has {sequence.skeleton.name} joints, and those have no hip to be relative to."
        )
    joints = sequence.joints
    if frame == "camera":
        joints = world_to_camera(joints, sequence.camera)
    root = joints[:, sequence.skeleton.root]
    return convert(joints - root[:, None], sequence.skeleton, skeleton), root


def pad(packed: Packed, before: int, after: int) -> tuple[Packed, Tensor]:
    """Repeat the first frame of every sequence `before` times and the last one `after` times.

    Returns:
        The padded frames, and (N',) for each of them its row in `packed`, -1 where it repeats an edge.
    """
    rows = torch.arange(len(packed), device=packed.device)
    if before + after == 0:
        return packed, rows
    shift = torch.arange(len(packed.names), device=packed.device) * (before + after)
    start, end = packed.start + shift, packed.end + shift + before + after
    sequence = torch.repeat_interleave(end - start)
    rows = torch.arange(len(sequence), device=packed.device) - before - shift[sequence]
    inside = torch.minimum(torch.maximum(rows, packed.start[sequence]), packed.end[sequence] - 1)
    padded = replace(
        packed,
        keypoints=packed.keypoints[inside],
        joints=packed.joints[inside],
        root=packed.root[inside],
        scale=None if packed.scale is None else packed.scale[inside],
        start=start,
        end=end,
        sequence=sequence,
    )
    return padded, torch.where(rows == inside, rows, -1)


def mirror_keypoints(keypoints: Tensor, mirror: Tensor, skeleton: Skeleton) -> Tensor:
    """The keypoints of the mirrored image.

    Args:
        keypoints: (..., K, C), x first.
        mirror: (...), what x and its mirror image add up to.
        skeleton: what the K keypoints are.
    """
    swapped = keypoints[..., list(skeleton.flip_index), :]
    return torch.cat([mirror[..., None, None] - swapped[..., :1], swapped[..., 1:]], dim=-1)


def _doubled(frames: Tensor, mirrored: Callable[[slice], Tensor]) -> Tensor:
    """(2 N, ...) the frames (N, ...), and behind them what `mirrored` makes of some of them at a time.

    All at once would hold a third and a fourth copy for a moment: most of a gigabyte for all of Human3.6M.
    """
    count = len(frames)
    both = frames.new_empty((2 * count, *frames.shape[1:]))
    both[:count] = frames
    for start in range(0, count, FRAMES_AT_ONCE):
        both[count + start : count + start + FRAMES_AT_ONCE] = mirrored(slice(start, start + FRAMES_AT_ONCE))
    return both


def with_mirror_image(packed: Packed) -> Packed:
    """The frames, and behind them their mirror images."""
    intrinsics = mirror_intrinsics(packed.intrinsics)
    intrinsics[:, 2] += packed.mirror  # the centre is negated; in pixels the mirror is the picture's right edge
    root = packed.root * torch.tensor([-1.0, 1.0, 1.0], device=packed.device)

    def keypoints(rows: slice) -> Tensor:
        edges = packed.mirror[packed.sequence[rows]]
        return mirror_keypoints(packed.keypoints[rows], edges, packed.input_skeleton)

    return replace(
        packed,
        keypoints=_doubled(packed.keypoints, keypoints),
        joints=_doubled(packed.joints, lambda rows: mirror(packed.joints[rows], packed.output_skeleton)),
        root=torch.cat([packed.root, root]),
        scale=None if packed.scale is None else packed.scale.repeat(2),
        start=torch.cat([packed.start, packed.start + len(packed)]),
        end=torch.cat([packed.end, packed.end + len(packed)]),
        sequence=torch.cat([packed.sequence, packed.sequence + len(packed.names)]),
        intrinsics=torch.cat([packed.intrinsics, intrinsics]),
        rotation=packed.rotation.repeat(2, 1, 1),
        numbers=packed.numbers.repeat(2, 1),
        mirror=packed.mirror.repeat(2),
        names=packed.names * 2,
    )
