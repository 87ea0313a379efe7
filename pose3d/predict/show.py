"""A window with the newest frame, its keypoints, latency and frames a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from anypose.motion import Motion

log = logging.getLogger(__name__)

TITLE = "anypose: q stops"
STOP = (ord("q"), 27)


class Show:
    """Draws chunk after chunk; where there is no display, says so once and does nothing more."""

    def __init__(self) -> None:
        self.works = True
        self.last = time.perf_counter()
        self.rate = 0.0

    def __call__(self, motion: Motion, pictures: Sequence[np.ndarray] | None, pipeline: Any) -> bool:
        """Show the last frame of a chunk; false when the window was asked to stop."""
        now = time.perf_counter()
        self.rate += 0.1 * (len(motion) / max(now - self.last, 1e-6) - self.rate)
        self.last = now
        if pictures is None or not self.works:
            return True
        import cv2

        image = annotated(pictures[-1], motion, f"{1e3 * (now - pipeline.arrived):.0f} ms  {self.rate:.0f} frames/s")
        try:
            cv2.imshow(TITLE, image[..., ::-1])
            return cv2.waitKey(1) & 0xFF not in STOP
        except cv2.error as error:
            self.works = False
            log.warning("show=true: there is no window here (%s); the files grow all the same.", error.err.strip())
        return True


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
