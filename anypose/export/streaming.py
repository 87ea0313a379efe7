"""Frames one by one, as a camera gives them: each pose as soon as the network can know it.

    stream = open_stream("runs/videopose3d/.../last.pt")           # or videopose3d.onnx, exported with streaming=true
    for keypoints in camera:                                       # (17, 2) on the screen
        joints = stream.push(keypoints)                            # (17, 3) [m], or None for the first few

A causal model answers for the frame it was just given. Another one answers for a frame (R - 1) / 2 earlier; `finish`
gives the answers still due. The poses are those of the whole sequence at once, its first and last frame repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from anypose.export.session import Session, load_model, open_session
from anypose.kernels.frame_by_frame import FrameByFrame


class Frames(Protocol):
    """A network that keeps its own activations: `anypose.kernels.frame_by_frame.FrameByFrame`, or `SessionFrames`."""

    receptive_field: int
    causal: bool
    keypoint_shape: tuple[int, int]

    def reset(self, people: int) -> None:
        """Forget all frames; the next ones are of so many people."""
        ...

    def step(self, keypoints: np.ndarray) -> np.ndarray:
        """(B, K, C) -> (B, J, 3)."""
        ...


def open_stream(path: str | Path, device: str = "cpu") -> Stream:
    """A stream through a file written with streaming=true, or on the CPU through the model of a checkpoint."""
    path = Path(path)
    if path.suffix != ".pt":
        return Stream(SessionFrames(open_session(path, device)))
    model = load_model(path)
    streaming = getattr(model, "streaming", None)
    if streaming is None or device != "cpu":
        raise ValueError(
            f"{path} holds {type(model).__name__}, and device={device} was asked for. A checkpoint is streamed on the "
            "CPU alone, and it must be of a network over time, such as VideoPose3D. For other devices export it with "
            "streaming=true."
        )
    return Stream(FrameByFrame(streaming()))


class SessionFrames:
    """A network with explicit states, and its states.

    Args:
        session: of a file written with streaming=true, or `TorchSession(model.streaming())`.
    """

    def __init__(self, session: Session) -> None:
        facts = session.metadata
        if not facts.get("streaming"):
            raise ValueError(
                f"A stream needs a network that takes its states as inputs, this one ({session.runtime}) takes "
                f"{', '.join(port.name for port in session.inputs)}. Export it with streaming=true."
            )
        self.session = session
        self.keypoints, *self.state_ports = session.inputs
        _, _, K, C = (size or 0 for size in self.keypoints.shape)
        self.keypoint_shape = K, C
        self.receptive_field, self.causal = int(facts["receptive_field"]), bool(facts["causal"])

    def reset(self, people: int) -> None:
        shapes = [(people, *(size or 0 for size in port.shape[1:])) for port in self.state_ports]
        self.states = [np.zeros(shape, np.float32) for shape in shapes]

    def step(self, keypoints: np.ndarray) -> np.ndarray:
        feeds: dict[str, Any] = {self.keypoints.name: keypoints[:, None]}
        feeds |= {port.name: state for port, state in zip(self.state_ports, self.states, strict=True)}
        joints, *self.states = self.session.run(feeds).values()
        return joints[:, 0]


class Stream:
    """Poses for the frames of one sequence after the other."""

    def __init__(self, network: Frames) -> None:
        self.network = network
        field = network.receptive_field
        self.past = field - 1 if network.causal else (field - 1) // 2
        self.latency = field - 1 - self.past  # frames between a frame and its pose
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of another sequence."""
        self.last: np.ndarray | None = None
        self.count = 0

    def push(self, keypoints: np.ndarray) -> np.ndarray | None:
        """The next frame.

        Args:
            keypoints: (K, C) screen coordinates, or (B, K, C) of several people, always the same number of them.

        Returns:
            (J, 3) or (B, J, 3) joints [m] of the frame `latency` before this one; None for the first `latency` frames.
        """
        single = np.ndim(keypoints) == 2
        frame = np.asarray(keypoints, np.float32)[None] if single else np.asarray(keypoints, np.float32)
        people = len(frame) if self.last is None else len(self.last)
        if frame.shape != (people, *self.network.keypoint_shape):
            K, C = self.network.keypoint_shape
            raise ValueError(
                f"Frame {self.count} must be ({people}, {K}, {C}): {people} people of {K} keypoints with {C} values, "
                f"got an array of shape {np.shape(keypoints)}."
            )
        if not np.isfinite(frame).all():
            raise ValueError(f"Frame {self.count} has keypoints that are NaN or infinite. Fill gaps before lifting.")
        if self.last is None:
            self.network.reset(people)
            for _ in range(self.past):  # the first frame, repeated into the past
                self.network.step(frame)
        joints = self.network.step(frame)
        self.last = frame
        self.count += 1
        if self.count <= self.latency:
            return None
        return joints[0] if single else joints

    def finish(self) -> Iterator[np.ndarray]:
        """The poses of the last `latency` frames, (B, J, 3) each, with the last frame repeated into the future."""
        if self.last is None:
            return
        for number in range(self.latency):
            joints = self.network.step(self.last)
            if self.count + number >= self.latency:
                yield joints
        self.reset()

    def run(self, keypoints: np.ndarray) -> np.ndarray:
        """(T, K, C) of a whole sequence -> (T, J, 3) joints [m], frame by frame."""
        self.reset()
        poses = [self.push(frame) for frame in keypoints]
        return np.stack([pose for pose in poses if pose is not None] + [pose[0] for pose in self.finish()])
