"""The pictures of a run: poses and errors after an evaluation, the learning curve after training.

Which frames and which numbers are shown is decided here; `anypose.drawing` puts them on paper.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anypose.drawing.charts import Curves, draw_bars, draw_curves
from anypose.drawing.poses import Drawing, draw_panel, save_figure, side_colours
from anypose.engine.place import typed
from anypose.settings import Misuse
from pose2d.drawing import people as draw2d
from pose2d.scores.collected import Collected
from pose3d.capture.scores import CaptureScores
from pose3d.drawing import fields as draw_fields
from pose3d.drawing.hypotheses import draw_hypotheses, title_of
from pose3d.lifting.errors import FrameErrors
from pose3d.lifting.mixture_errors import MixtureErrors

log = logging.getLogger(__name__)

SAMPLES = 15  # of a panel, as in 3d-pose-baseline's


def draw_evaluation(metrics: Any, folder: Path, frames: Sequence[str] = ()) -> list[Path]:
    """Draw what an evaluation found: poses of a lifting model (`draw_lifting`), or people in images.

    Args:
        metrics: the scores, with the predictions inside.
        folder: where the pictures go.
        frames: the poses to draw, where not the typical and the worst ones; lifting models only.

    Returns:
        The files written.

    Raises:
        ValueError: for scores that hold no poses to draw, or for a frame that was not scored.
    """
    if isinstance(metrics, FrameErrors):
        return _tell(draw_lifting(metrics, folder, frames))
    if frames:
        raise Misuse(f"frames={list(frames)} chooses poses of a lifting model. Use pictures=true alone.")
    if isinstance(metrics, Collected):
        return _tell(draw2d.draw_evaluation(metrics, folder))
    if isinstance(metrics, CaptureScores):
        return _tell(draw_fields.draw_evaluation(metrics, folder))
    raise Misuse(
        f"pictures=true draws lifted poses or keypoints in images, and {type(metrics).__name__} holds neither. "
        "Set pictures=false."
    )


def draw_lifting(metrics: FrameErrors, folder: Path, frames: Sequence[str] = ()) -> list[Path]:
    """Draw the poses and errors of a lifting model.

    Writes `poses_typical.png` (of each action the frame with the median error), `poses_worst.png` (the worst frame of
    each of the worst sequences) or, where frames are named, `poses_chosen.png`; `error_by_action.png`,
    `error_by_joint.png`; for a model with several hypotheses also `hypotheses.png` and `error_by_count.png`.

    Args:
        metrics: the scores; of several hypotheses the one that `metrics.frames()["joints"]` holds is judged.
        folder: where the pictures go.
        frames: "subject/take/camera/frame" each, e.g. "S9/Posing 1/55011271/120".
    """
    state = {name: value.numpy() for name, value in metrics.frames().items()}
    truth = metrics.truth(torch.from_numpy(state["index"])).numpy()
    distance = np.linalg.norm(state["joints"] - truth, axis=-1) * 1000  # (n, J)
    error = distance.mean(-1)
    panels = {"chosen": _find_frames(metrics, frames)} if frames else _select_frames(metrics, state["index"], error)
    headings = {
        "typical": "Typical: of each action the frame with the median error",
        "worst": "Worst: of each of the worst sequences the worst frame",
        "chosen": "Chosen frames",
    }
    table = {row["action"]: row for row in metrics.rows() if row["action"] in metrics.actions}
    series = _columns(next(iter(table.values())))
    judged = next(iter(series))
    average = np.mean([row[series[judged]] for row in table.values()])
    protocol = metrics.protocol()
    summary = f"{judged} {average:.1f} mm over {protocol['frames']:,} frames"
    told = " · ".join(
        f"{key}: {protocol[key]}" for key in ("dataset", "subjects", "keypoints", "alignment") if protocol.get(key)
    )
    skeleton = metrics.packed.output_skeleton
    paths = []
    for name, rows in panels.items():
        heading = f"{headings[name]}   ·   {summary}"
        drawings = _drawings(metrics, state, rows, error)
        figure = draw_panel(drawings, metrics.packed.input_skeleton, skeleton, heading, told)
        paths.append(save_figure(figure, folder / f"poses_{name}.png"))
    note = " · ".join(
        f"{name.replace('_', ' ')}: {value if not isinstance(value, bool) else 'yes' if value else 'no'}"
        for name, value in protocol.items()
        if value != "" and not (name == "alignment" and "MPJPE" in series)  # the names of the series say it
    )
    if isinstance(metrics, MixtureErrors):
        rows = next(iter(panels.values()))
        paths += draw_hypotheses(metrics, rows[:: max(1, len(rows) // 4)][:4].tolist(), folder, told, note)
    bars = {name: [row[key] for row in table.values()] for name, key in series.items()}
    paths.append(save_figure(draw_bars(list(table), bars, "Error by action", note), folder / "error_by_action.png"))
    names = [joint.replace("_", " ") for joint in skeleton.joints]
    bars = {"mean distance": distance.mean(0).tolist()}
    figure = draw_bars(names, bars, "Error by joint", note, colours=side_colours(skeleton), sides=True)
    return [*paths, save_figure(figure, folder / "error_by_joint.png")]


def draw_training(folder: Path) -> list[Path]:
    """Draw `learning_curve.png` from a run's metrics.jsonl: the loss, and the validation error where there is one.

    Raises:
        FileNotFoundError: where there is no metrics.jsonl.
        ValueError: where it holds no line of training.
    """
    file = folder / "metrics.jsonl"
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist; `{typed('train')}` writes it into the run's folder.")
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    scored = [record for record in records if record["split"] == "validation"]
    keys = [key for key in (scored[0] if scored else {}) if key not in ("split", "step", "epoch", "non_finite")]
    columns = _columns(dict.fromkeys(keys, 0.0)) or {key: key for key in keys[:1]}
    unit = " [mm]" if any(key.endswith("_mm") for key in columns.values()) else ""
    charts = [
        Curves("training loss", {"loss": _series(records, "train", "loss")}, logarithmic=True),
        Curves(f"validation{unit}", {name: _series(records, "validation", key) for name, key in columns.items()}),
    ]
    charts = [chart for chart in charts if any(len(x) for x, _ in chart.lines.values())]
    if not charts or "loss" not in charts[0].lines:
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


def _columns(row: dict[str, Any]) -> dict[str, str]:
    """The errors to show, by the name to print: the one the task is judged by, then what it compares with."""
    judged = [key for key in ("mpjpe_mm", "multiview_mpjpe_mm", "most_likely_mpjpe_mm") if key in row]
    beside = [key for key in row if key == "p_mpjpe_mm" or re.fullmatch(r"best_of_\d+_mpjpe_mm", key)]
    named = {"mpjpe_mm": "MPJPE", "p_mpjpe_mm": "P-MPJPE"}
    return {named.get(key, key.removesuffix("_mpjpe_mm").replace("_", " ")): key for key in judged[:1] + beside[:1]}


def _drawings(metrics: FrameErrors, state: dict[str, np.ndarray], rows: np.ndarray, error: np.ndarray) -> list[Drawing]:
    packed = metrics.packed
    index = state["index"][rows]
    sequence = packed.sequence.cpu().numpy()[index]
    frame = packed.source_frames(torch.from_numpy(index).to(packed.device)).cpu().numpy()
    keypoints = packed.keypoints.cpu().numpy()[index, :, :2]
    truth, predicted = metrics.truth(torch.from_numpy(index)).numpy(), state["joints"][rows]
    hypotheses = state["means"][rows] if "means" in state else predicted[:, None][:, :0]
    if packed.joint_frame == "world":  # z up; drawings have the camera's y down
        truth, predicted, hypotheses = (p[..., [0, 2, 1]] * [1, -1, 1] for p in (truth, predicted, hypotheses))
    drawings = []
    for i, row in enumerate(rows):
        subject, action, take, camera = packed.names[sequence[i]]
        title = title_of(subject, action, take, camera, int(frame[i]))
        drawings.append(Drawing(title, keypoints[i], truth[i], predicted[i], float(error[row]), hypotheses[i]))
    return drawings


def _series(records: list[dict[str, Any]], split: str, key: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(record["step"], record[key]) for record in records if record["split"] == split and key in record]
    steps, values = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(steps), np.array(values, dtype=float)  # null, which was no number, is NaN


def _tell(paths: list[Path]) -> list[Path]:
    for path in paths:
        log.info("drew %s", path)
    return paths
