"""COCO keypoint results: a list with an entry for each person and frame, as COCO's evaluation reads it.

`image_id` is the number of the frame from 0, `keypoints` x, y [px] and score of COCO's 17, zeros where one is not
known, `score` their mean. `time` [s], `track_id` and `skeleton` are ours; COCO's own tools pass over them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anypose.formats.rows import format_rows
from anypose.formats.sink import GrowingFile, Sink
from anypose.motion import Motion
from anypose.skeleton import COCO_17, convert


class CocoSink(Sink):
    """`NAME_coco.json`."""

    suffix = "_coco.json"
    needs = ("keypoints",)

    def _begin(self, motion: Motion) -> None:
        assert motion.keypoint_skeleton is not None
        convert(np.zeros((motion.keypoint_skeleton.num_joints, 3)), motion.keypoint_skeleton, COCO_17)
        self._file = GrowingFile(self.path, b"[", b"\n]\n")
        self._entries = 0
        self.files.append(self.path)

    def _add(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        assert motion.keypoints is not None
        assert motion.keypoint_skeleton is not None
        T, P = len(motion), len(motion.ids)
        points = convert(motion.keypoints.astype(np.float64), motion.keypoint_skeleton, COCO_17).reshape(T * P, 17, 3)
        known = np.asarray(np.isfinite(points).all(-1))
        points = np.where(known[..., None], points, 0)
        scores = points[..., 2].sum(-1) / np.maximum(known.sum(-1), 1)
        frames = np.repeat(np.arange(self.frames, self.frames + T), P)
        rows = np.column_stack(
            [frames, np.repeat(motion.times, P), np.tile(motion.ids, T), scores, points.reshape(T * P, 51)]
        )[known.any(-1)]
        pattern = (
            '{"image_id": %d, "category_id": 1, "time": %.6f, "track_id": %d, "score": %.4f, '
            f'"skeleton": "{COCO_17.name}", "keypoints": [{", ".join(["%.2f, %.2f, %.3f"] * 17)}]}}\n'
        )
        entries = format_rows(pattern, rows).splitlines()
        if entries:
            self._file.append((("," if self._entries else "") + "\n" + ",\n".join(entries)).encode())
        self._entries += len(entries)

    def close(self) -> None:
        """Let go of the file."""
        if self.files:
            self._file.close()
