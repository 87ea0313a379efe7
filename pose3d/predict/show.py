"""A window with the newest frame, its keypoints, latency and frames a second."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from anypose.motion import Motion

log = logging.getLogger(__name__)

TITLE = "anypose: q stops"
STOP = ("q", "\x1b")

Window = Callable[[np.ndarray], bool]  # shows (H, W, 3) uint8 RGB; false when it was asked to stop


class Show:
    """Draws chunk after chunk; where there is no display, says so once and does nothing more.

    Args:
        window: opens it.
    """

    def __init__(self, window: Callable[[], Window] | None = None) -> None:
        self.open, self.window = window or open_window, None
        self.works = True
        self.last = time.perf_counter()
        self.rate = 0.0

    def __call__(self, motion: Motion, pictures: Sequence[np.ndarray] | None, pipeline: Any) -> bool:
        """Show the last frame of a chunk; false when the window was asked to stop."""
        now = time.perf_counter()
        self.rate += 0.1 * (len(motion) / max(now - self.last, 1e-6) - self.rate)
        self.last = now
        if not self.works:
            return True
        try:
            if pictures is None:
                raise RuntimeError(f"{motion.name} has no pictures")
            self.window = self.window or self.open()
            text = f"{1e3 * (now - pipeline.arrived):.0f} ms  {self.rate:.0f} frames/s"
            return self.window(annotated(pictures[-1], motion, text))
        except RuntimeError as error:
            self.works = False
            log.warning("show=true: there is nothing to see here: %s. The files grow all the same.", error)
        return True


def open_window() -> Window:
    """A window of OpenCV's or, where it is built without any, as its headless wheels are, of Tk's.

    Raises:
        RuntimeError: where there is no display, or nothing that draws on it.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise RuntimeError("there is no display")  # asked for a window without one, OpenCV's Qt ends the process
    import cv2

    try:
        return CvWindow()
    except cv2.error:
        pass
    try:
        return TkWindow()
    except ImportError as error:
        raise RuntimeError(
            f"OpenCV is built without windows, and Tk is not there ({error}); pip install opencv-python in place of "
            "opencv-python-headless"
        ) from error


class CvWindow:
    """OpenCV's."""

    def __init__(self) -> None:
        import cv2

        self.cv2: Any = cv2
        cv2.namedWindow(TITLE)

    def __call__(self, image: np.ndarray) -> bool:
        self.cv2.imshow(TITLE, image[..., ::-1])
        key = chr(self.cv2.waitKey(1) & 0xFF)
        return key not in STOP and self.cv2.getWindowProperty(TITLE, self.cv2.WND_PROP_VISIBLE) > 0


class TkWindow:
    """Python's own."""

    def __init__(self) -> None:
        import tkinter

        try:
            self.root = tkinter.Tk()
        except tkinter.TclError as error:
            raise RuntimeError(str(error)) from error
        self.tkinter, self.stopped = tkinter, False
        self.root.title(TITLE)
        self.label = tkinter.Label(self.root, borderwidth=0)
        self.label.pack()
        self.root.bind("<Key>", lambda event: self.stop() if event.char in STOP else None)
        self.root.protocol("WM_DELETE_WINDOW", self.stop)

    def __call__(self, image: np.ndarray) -> bool:
        data = b"P6 %d %d 255 " % (image.shape[1], image.shape[0]) + np.ascontiguousarray(image).tobytes()
        self.photo = self.tkinter.PhotoImage(data=data, format="PPM")  # kept, or it would be gone before it is drawn
        self.label.configure(image=self.photo)
        self.root.update()
        return not self.stopped

    def stop(self) -> None:
        """End the source with the frame it is at."""
        self.stopped = True


def annotated(picture: np.ndarray, motion: Motion, text: str) -> np.ndarray:
    """(H, W, 3) the picture of a motion's last frame with everybody's bones and a line of text."""
    import cv2

    image = np.ascontiguousarray(picture).copy()
    assert motion.keypoints is not None
    assert motion.keypoint_skeleton is not None
    assert motion.size is not None
    points = motion.keypoints[-1] * [image.shape[1] / motion.size[0], image.shape[0] / motion.size[1], 1]
    for person in points:
        for child, parent in motion.keypoint_skeleton.bones:
            if np.isfinite(person[[child, parent]]).all():
                ends = [tuple(np.round(person[i, :2]).astype(int).tolist()) for i in (child, parent)]
                cv2.line(image, ends[0], ends[1], (80, 220, 120), 2, cv2.LINE_AA)
    cv2.putText(image, text, (10, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 2, cv2.LINE_AA)
    return image
