"""A motion as one table: a row for each person and frame, a column for each number, its unit in the column's name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anypose.formats.rows import format_rows
from anypose.formats.sink import GrowingFile, Sink
from anypose.motion import Motion
from anypose.skeleton import Skeleton

AXES = "xyz"


class CsvSink(Sink):
    """`NAME.csv`: time [s], id, then per joint world and camera coordinates [m], per keypoint x, y [px] and score.

    Empty cells where there is nothing; people who are not there have no row. `filled` keypoints have a 1 in a column of
    their own. Column names say what they hold: `left_knee_world_z_m`, `left_knee_camera_x_m`, `left_knee_x_px`,
    `left_knee_score`.
    """

    suffix = ".csv"

    def _begin(self, motion: Motion) -> None:
        names = ["time_s", "id"]
        patterns = ["%.6f", "%d"]
        for field, place in (("world", "world"), ("joints", "camera")):
            if getattr(motion, field) is not None:
                names += [f"{joint}_{place}_{axis}_m" for joint in _joints(motion.skeleton) for axis in AXES]
                patterns += ["%.4f"] * (3 * len(_joints(motion.skeleton)))
        if motion.keypoints is not None:
            for joint in _joints(motion.keypoint_skeleton):
                names += [f"{joint}_x_px", f"{joint}_y_px", f"{joint}_score"]
                patterns += ["%.2f", "%.2f", "%.3f"]
        if motion.filled is not None:
            names += [f"{joint}_filled" for joint in _joints(motion.keypoint_skeleton)]
            patterns += ["%d"] * len(_joints(motion.keypoint_skeleton))
        self._pattern = ",".join(patterns) + "\n"
        self._file = GrowingFile(self.path, (",".join(names) + "\n").encode())
        self.files.append(self.path)

    def _add(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        T, P = len(motion), len(motion.ids)
        columns = [np.repeat(motion.times, P), np.tile(motion.ids, T)]
        present = np.zeros(T * P, bool)
        for field in ("world", "joints", "keypoints", "filled"):
            values = getattr(motion, field)
            if values is not None:
                values = values.reshape(T * P, int(np.prod(values.shape[2:])))  # P may be 0
                columns.append(values)
                if field != "filled":
                    present |= np.isfinite(values).any(-1)
        rows = np.column_stack(columns)[present]
        self._file.append(format_rows(self._pattern, rows).replace("nan", "").encode())

    def close(self) -> None:
        """Let go of the file."""
        if self.files:
            self._file.close()


def _joints(skeleton: Skeleton | None) -> tuple[str, ...]:
    return skeleton.joints if skeleton else ()
