"""The pictures of a run: poses and errors after an evaluation, the learning curve after training.

Which frames and which numbers are shown is decided here; `deploy.draw` and `deploy.charts` put them on paper.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deploy.charts import Curves, draw_bars, draw_curves
from deploy.draw import Drawing, draw_panel, save_figure, side_colours
from pose3d.errors import FrameErrors

log = logging.getLogger(__name__)

SAMPLES = 15  # of a panel, as in 3d-pose-baseline's


def draw_evaluation(metrics: Any, folder: Path, frames: Sequence[str] = ()) -> list[Path]:
    """Draw what an evaluation found.

    Writes `poses_typical.png` (of each action the frame with the median error), `poses_worst.png` (the worst frame of
    each of the worst sequences) or, where frames are named, `poses_chosen.png`; `error_by_action.png`,
    `error_by_joint.png`.

    Args:
        metrics: the scores of a lifting model, with its predictions inside.
        folder: where the pictures go.
        frames: "subject/take/camera/frame" each, e.g. "S9/Posing 1/55011271/120".

    Returns:
        The files written.

    Raises:
        ValueError: for scores that hold no 3D poses, or for a frame that was not scored.
    """
    if not isinstance(metrics, FrameErrors) or "joints" not in metrics.frames():
        raise ValueError(
            f"pictures=true draws the poses of a lifting model, and {type(metrics).__name__} holds none. "
            "Set pictures=false."
        )
    index, scores = metrics.scores()
    error = scores["mpjpe_mm"].numpy()
    protocol = metrics.protocol()
    note = " · ".join(
        f"{name.replace('_', ' ')}: {value if not isinstance(value, bool) else 'yes' if value else 'no'}"
        for name, value in protocol.items()
        if name != "alignment" and value != ""  # the names of the series say the alignment
    )
    summary = f"MPJPE {metrics.compute()['mpjpe_mm']:.1f} mm over {protocol['frames']:,} frames"
    panels = {"chosen": _find_frames(metrics, frames)} if frames else _select_frames(metrics, index.numpy(), error)
    headings = {
        "typical": "Typical: of each action the frame with the median error",
        "worst": "Worst: of each of the worst sequences the worst frame",
        "chosen": "Chosen frames",
    }
    paths = []
    for name, rows in panels.items():
        figure = draw_panel(
            _drawings(metrics, rows, error),
            metrics.packed.input_skeleton,
            metrics.packed.output_skeleton,
            f"{headings[name]}   ·   {summary}",
        )
        paths.append(save_figure(figure, folder / f"poses_{name}.png"))

    table = {row["action"]: row for row in metrics.rows() if row["action"] in metrics.actions}
    series = {"MPJPE": "mpjpe_mm", "P-MPJPE": "p_mpjpe_mm"}
    bars = {name: [row[key] for row in table.values()] for name, key in series.items()}
    paths.append(save_figure(draw_bars(list(table), bars, "Error by action", note), folder / "error_by_action.png"))

    skeleton = metrics.packed.output_skeleton
    distance = np.linalg.norm(_predicted(metrics) - _truth(metrics, index.numpy()), axis=-1).mean(0) * 1000
    names = [joint.replace("_", " ") for joint in skeleton.joints]
    bars = {"mean distance": distance.tolist()}
    figure = draw_bars(names, bars, "Error by joint", note, colours=side_colours(skeleton))
    paths.append(save_figure(figure, folder / "error_by_joint.png"))
    return _tell(paths)


def draw_training(folder: Path) -> list[Path]:
    """Draw `learning_curve.png` from a run's metrics.jsonl: the loss, and the validation error where there is one.

    Raises:
        FileNotFoundError: where there is no metrics.jsonl.
        ValueError: where it holds no line of training.
    """
    file = folder / "metrics.jsonl"
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist; `python train.py` writes it into the run's folder.")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    charts = [
        Curves("training loss", {"loss": _series(records, "train", "loss")}, logarithmic=True),
        Curves(
            "validation error [mm]",
            {
                name: series
                for name, key in {"MPJPE": "mpjpe_mm", "P-MPJPE": "p_mpjpe_mm"}.items()
                if len((series := _series(records, "validation", key))[0])
            },
        ),
    ]
    charts = [chart for chart in charts if any(len(x) for x, _ in chart.lines.values())]
    if not charts:
        raise ValueError(f"{file} holds {len(records)} lines and none with a training loss: there is nothing to draw.")
    return _tell([save_figure(draw_curves(charts, "Learning curve", str(folder)), folder / "learning_curve.png")])


def _select_frames(metrics: FrameErrors, index: np.ndarray, error: np.ndarray) -> dict[str, np.ndarray]:
    """Positions among the scored frames: one median frame an action, one worst frame a sequence."""
    sequence = metrics.packed.sequence.cpu().numpy()[index]
    action = np.array([metrics.actions.index(name) for _, name, _, _ in metrics.packed.names])[sequence]
    typical = []
    for i in range(len(metrics.actions)):
        (rows,) = np.nonzero(action == i)
        typical.append(rows[np.argsort(error[rows], kind="stable")[len(rows) // 2]])
    order = np.argsort(-error, kind="stable")
    _, first = np.unique(sequence[order], return_index=True)
    worst = order[np.sort(first)]
    return {"typical": np.array(typical[:SAMPLES]), "worst": worst[:SAMPLES]}


def _find_frames(metrics: FrameErrors, frames: Sequence[str]) -> np.ndarray:
    keys = metrics.arrays()
    names = [
        f"{subject}/{take}/{camera}/{frame}"
        for subject, take, camera, frame in zip(
            *(keys[name] for name in ("subject", "take", "camera", "frame")), strict=True
        )
    ]
    place = {name: position for position, name in enumerate(names)}
    if unknown := [frame for frame in frames if frame not in place]:
        raise ValueError(
            f"Frame {unknown[0]} was not scored. Frames are named subject/take/camera/frame, "
            f"from {names[0]} to {names[-1]}."
        )
    return np.array([place[frame] for frame in frames])


def _predicted(metrics: FrameErrors) -> np.ndarray:
    return metrics.frames()["joints"].numpy()


def _truth(metrics: FrameErrors, index: np.ndarray) -> np.ndarray:
    return metrics.packed.joints.cpu().numpy()[index]


def _drawings(metrics: FrameErrors, rows: np.ndarray, error: np.ndarray) -> list[Drawing]:
    packed = metrics.packed
    index = metrics.scores()[0].numpy()[rows]
    sequence = packed.sequence.cpu().numpy()[index]
    frame = index - packed.start.cpu().numpy()[sequence]
    keypoints = packed.keypoints.cpu().numpy()[index, :, :2]
    truth, predicted = _truth(metrics, index), _predicted(metrics)[rows]
    if packed.joint_frame == "world":  # z up; drawings have the camera's y down
        truth, predicted = truth[..., [0, 2, 1]] * [1, -1, 1], predicted[..., [0, 2, 1]] * [1, -1, 1]
    drawings = []
    for i, row in enumerate(rows):
        subject, action, take, camera = packed.names[sequence[i]]
        recording = take if take.startswith(action) else f"{action} {take}"
        title = f"{subject} · {recording} · {camera} · frame {frame[i]}"
        drawings.append(Drawing(title, keypoints[i], truth[i], predicted[i], float(error[row])))
    return drawings


def _series(records: list[dict[str, Any]], split: str, key: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(record["step"], record[key]) for record in records if record["split"] == split and key in record]
    steps, values = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(steps), np.array(values)


def _tell(paths: list[Path]) -> list[Path]:
    for path in paths:
        log.info("drew %s", path)
    return paths
