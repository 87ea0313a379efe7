"""Scores of a lifting model: collected frame by frame, averaged per action, told with their protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anypose.metrics import auc, mpjpe, n_mpjpe, p_mpjpe, pck
from anypose.settings import Misuse
from pose3d.lifting.bone_lengths import of_one_length
from pose3d.motion.packed import Packed

SEED_BATCH = 64  # 3d-pose-baseline and GMH-MDN score whole batches of this size and drop the rest of each action
FRAMES_AT_ONCE = 65536

Frames = dict[str, Tensor]


class FrameErrors:
    """Collects predictions by frame and averages their scores; a subclass says what the scores of a frame are.

    The average is over the frames of each action, then over the actions, unweighted: the number papers print. Beside
    it stands the plain average over all frames. A frame whose prediction is not finite is never averaged away: every
    average that it belongs to is NaN, and the protocol counts such frames.

    Args:
        packed: the evaluated frames with their truth.
        actions: the table's rows, in order.
        protocol: what the scores are measured under; what is known here (frames, subjects, averaging) is added.
        drop_last: leave out the last `frames % 64` frames of each action, as 3d-pose-baseline and GMH-MDN do.
        by_subject: also a row for each subject and action, and each subject's average.
    """

    def __init__(
        self,
        packed: Packed,
        *,
        actions: Sequence[str],
        protocol: dict[str, Any],
        drop_last: bool,
        by_subject: bool,
    ) -> None:
        self.packed, self.drop_last, self.by_subject = packed, drop_last, by_subject
        present = {action for _, action, _, _ in packed.names}
        if unlisted := sorted(present - set(actions)):
            raise ValueError(
                f"The dataset gives sequences of {', '.join(unlisted)}, but its actions are {', '.join(actions)}."
            )
        self.actions = [action for action in actions if action in present]
        self.subjects = list(dict.fromkeys(subject for subject, _, _, _ in packed.names))
        self.conditions = protocol
        self.parts: list[Frames] = []
        self.scored: tuple[Tensor, Frames] | None = None
        self.non_finite = torch.zeros(0, dtype=torch.long)  # rows whose prediction is not finite, once scored

    def frame_scores(self, predicted: Frames, truth: Tensor) -> Frames:
        """Scores of single frames.

        Args:
            predicted: what `update` was given, (n, ...) each.
            truth: (n, J, 3) joints [m].

        Returns:
            (n,) each, under names that carry the unit.
        """
        raise TypeError(f"{type(self).__name__} must define frame_scores.")

    def motion_scores(self, predicted: Frames, truth: Tensor) -> Frames:
        """Scores of two neighbours in time, (n - 1,) each; counted where the two are that."""
        return {}

    # Collecting

    def update(self, prediction: Frames, batch: Frames) -> None:
        index = batch["index"].flatten()
        counted = index >= 0
        part = {name: value.flatten(0, 1)[counted] for name, value in prediction.items()}
        self.load({**part, "index": index[counted]}, keep=True)

    def state(self) -> Frames:
        return {name: torch.cat([part[name] for part in self.parts]) for name in self.parts[0]}

    def load(self, state: Frames, keep: bool = False) -> None:
        self.parts = [*self.parts, state] if keep else [state]
        self.scored = None

    # Scoring

    def frames(self) -> Frames:
        """What was collected, on the host, in the order of `packed`, without what the protocol drops."""
        if not self.parts:
            raise ValueError("Nothing was predicted: there is nothing to score.")
        state = {name: value.cpu() for name, value in self.state().items()}
        order = state["index"].argsort()
        state = {name: value[order] for name, value in state.items()}
        index = state["index"]
        if len(twice := index[1:][index.diff() == 0]):
            raise ValueError(f"{len(twice)} frames were predicted twice, the first in row {int(twice[0])}.")
        if self.drop_last:
            action = self.group(index, 1, self.actions)
            kept = [rows[: len(rows) - len(rows) % SEED_BATCH] for rows in _members(action, len(self.actions))]
            order = torch.cat(kept).sort().values
            if not len(order):
                raise Misuse(
                    f"parity=seed scores whole batches of {SEED_BATCH} frames of an action, and none of "
                    f"{', '.join(self.actions)} has so many. Set parity=null, or score more frames."
                )
            state = {name: value[order] for name, value in state.items()}
        if self.packed.scale is not None and "joints" in state:
            state["joints"] = state["joints"] * self.packed.scale.cpu()[state["index"], None, None]
        return state

    def truth(self, index: Tensor) -> Tensor:
        """(n, J, 3) true joints of rows of `packed` [m], on the host."""
        joints = self.packed.joints[index.to(self.packed.device)].cpu()
        return joints if self.packed.scale is None else joints * self.packed.scale.cpu()[index, None, None]

    def group(self, index: Tensor, field: int, names: Sequence[str]) -> Tensor:
        """Which of `names` each row belongs to, by field 0 (subject) or 1 (action) of its sequence's name."""
        place = {name: i for i, name in enumerate(names)}
        of_sequence = torch.tensor([place[name[field]] for name in self.packed.names])
        return of_sequence[self.packed.sequence.cpu()[index]]

    def scores(self) -> tuple[Tensor, Frames]:
        """The rows of `packed` that count, and every score of each of them (n,), NaN where it has none."""
        if self.scored is None:
            state = self.frames()
            index = state.pop("index")
            truth = self.truth(index)
            if broken := int((~_finite(truth)).sum()):
                raise ValueError(
                    f"The true joints of {broken} of {len(index)} frames are not finite: nothing to score."
                )
            finite = torch.stack([_finite(value) for value in state.values()]).all(0)
            self.non_finite = index[~finite]
            pieces = []
            for start in range(0, len(index), FRAMES_AT_ONCE):
                rows = slice(start, start + FRAMES_AT_ONCE)
                pieces.append(self.frame_scores({name: value[rows] for name, value in state.items()}, truth[rows]))
            scores = {name: torch.cat([piece[name] for piece in pieces]).double() for name in pieces[0]}
            sequence = self.packed.sequence.cpu()[index]
            follows = (index.diff() == 1) & (sequence.diff() == 0)
            for name, values in self.motion_scores(state, truth).items():
                # A sequence's mean stands for each of its frames: weighted by T, as VideoPose3D does, not by T - 1.
                mean = _means(values[follows].double(), sequence[1:][follows], len(self.packed.names))
                scores[name] = mean[sequence]
            for values in scores.values():
                values[~finite] = torch.inf  # NaN says that a frame has no such score, and would be left out
            self.scored = index, scores
        return self.scored

    def table(self) -> dict[str, dict[str, float]]:
        """Row name to averages: the actions, "Average", "Frame-wise", then the subjects if asked for."""
        index, scores = self.scores()
        action = self.group(index, 1, self.actions)
        table = self._action_rows(action, scores, "")
        table["Frame-wise"] = {name: _number(values.nanmean()) for name, values in scores.items()}
        table["Frame-wise"]["frames"] = len(index)
        if self.by_subject:
            subject = self.group(index, 0, self.subjects)
            for i, name in enumerate(self.subjects):
                its = subject == i
                table |= self._action_rows(action[its], {key: v[its] for key, v in scores.items()}, f"{name} ")
        return table

    def _action_rows(self, action: Tensor, scores: Frames, prefix: str) -> dict[str, dict[str, float]]:
        counts = torch.bincount(action, minlength=len(self.actions))
        present = counts.nonzero().flatten().tolist()
        means = {name: _means(values, action, len(self.actions)) for name, values in scores.items()}
        rows = {
            prefix + self.actions[i]: {**{name: _number(m[i]) for name, m in means.items()}, "frames": int(counts[i])}
            for i in present
        }
        average = {name: _number(m[present].nanmean()) for name, m in means.items()}
        return {**rows, f"{prefix}Average": {**average, "frames": int(counts.sum())}}

    # What anypose.engine.task.Metrics asks for

    def compute(self) -> dict[str, float]:
        table = self.table()
        scores = {name: value for name, value in table["Average"].items() if name != "frames"}
        return scores | {f"framewise_{name}": table["Frame-wise"][name] for name in scores}

    def rows(self) -> list[dict[str, Any]]:
        return [{"action": name, **averages} for name, averages in self.table().items()]

    def protocol(self) -> dict[str, Any]:
        index, _ = self.scores()
        num_actions = len(self.group(index, 1, self.actions).unique())
        skeleton = self.packed.output_skeleton
        root = "hip" if skeleton.root is None else skeleton.joints[skeleton.root]
        return {
            **self.conditions,
            "subjects": ", ".join(self.subjects),
            "frames": len(index),
            "joints": f"{skeleton.num_joints} ({skeleton.name}), relative to the {root}, "
            f"{self.packed.joint_frame} frame",
            **({} if self.packed.scale is None else {"scale": "the true one of each frame"}),
            "dropped": f"the last frames % {SEED_BATCH} of each action" if self.drop_last else "nothing",
            "average": f"over the frames of an action, then over {num_actions} actions, unweighted",
            "non_finite": self._non_finite(len(index)),
        }

    def _non_finite(self, frames: int) -> str:
        """In words, "" where every prediction is finite."""
        if not len(self.non_finite):
            return ""
        row = int(self.non_finite[0])
        sequence = int(self.packed.sequence[row])
        where = f"{'/'.join(self.packed.names[sequence])}, frame {row - int(self.packed.start[sequence])}"
        return f"the predictions of {len(self.non_finite)} of {frames} frames, first {where}: no average holds them"

    def arrays(self) -> dict[str, np.ndarray]:
        """Every prediction with its truth and its keys: subject, action, take, camera and frame of the source."""
        state = self.frames()
        index = state.pop("index")
        sequence = self.packed.sequence.cpu()[index]
        names = np.array(self.packed.names)[sequence.numpy()]
        keys = {name: names[:, i] for i, name in enumerate(("subject", "action", "take", "camera"))}
        frame = self.packed.source_frames(index.to(self.packed.device)).cpu()
        truth = self.truth(index)
        arrays = {name: value.numpy() for name, value in {**state, "truth": truth, "frame": frame}.items()}
        return {**keys, **arrays}


class PoseErrors(FrameErrors):
    """The scores of one pose per frame, "joints" (..., J, 3): MPJPE, P-MPJPE, N-MPJPE, MPJVE, PCK at 150 mm, AUC.

    Args:
        bones: hold the bones of each sequence to one length first (`pose3d.lifting.bone_lengths`).
        **others: as `FrameErrors`'s.
    """

    def __init__(self, packed: Packed, *, bones: bool = False, **others: Any) -> None:
        super().__init__(packed, **others)
        self.bones = bones
        if bones:
            self.conditions = {**self.conditions, "bones": "of one length in each sequence; no true joint is used"}

    def frames(self) -> Frames:
        state = super().frames()
        if self.bones:
            state["joints"] = self.of_one_length(state["joints"], state["index"])
        return state

    def of_one_length(self, joints: Tensor, index: Tensor) -> Tensor:
        """The joints (n, J, 3) of rows of `packed`; those that are not finite stay what they are."""
        rows = index.to(self.packed.device)
        slopes, sequence = self.packed.slopes(rows).cpu().numpy(), self.packed.sequence[rows].cpu()
        held, finite = joints.clone(), _finite(joints)
        for number in sequence.unique().tolist():
            its = (sequence == number) & finite
            if its.any():
                found = of_one_length(
                    joints[its].double().numpy(),
                    slopes[its.numpy()],
                    self.packed.output_skeleton,
                    self.packed.input_skeleton,
                )
                held[its] = torch.from_numpy(found).to(held)
        return held

    def frame_scores(self, predicted: Frames, truth: Tensor) -> Frames:
        return pose_scores(predicted["joints"], truth)

    def motion_scores(self, predicted: Frames, truth: Tensor) -> Frames:
        return velocity_scores(predicted["joints"], truth)


def pose_scores(joints: Tensor, truth: Tensor) -> Frames:
    """(n, J, 3) predicted and true joints [m] to the scores of single frames, (n,) each."""
    return {
        "mpjpe_mm": mpjpe(joints, truth) * 1000,
        "p_mpjpe_mm": p_mpjpe(joints, truth) * 1000,
        "n_mpjpe_mm": n_mpjpe(joints, truth) * 1000,
        "pck150_percent": pck(joints, truth) * 100,
        "auc_percent": auc(joints, truth) * 100,
    }


def velocity_scores(joints: Tensor, truth: Tensor) -> Frames:
    """(n, J, 3) predicted and true joints [m] to the scores of neighbours in time, (n - 1,) each."""
    return {"mpjve_mm": mpjpe(joints.diff(dim=0), truth.diff(dim=0)) * 1000}


def _finite(values: Tensor) -> Tensor:
    """(n,) whether all of (n, ...) is finite."""
    return values.isfinite().flatten(1).all(1) if values.ndim > 1 else values.isfinite()


def _number(average: Tensor) -> float:
    """The average, NaN where a frame that is not finite belongs to it."""
    value = float(average)
    return value if math.isfinite(value) else math.nan


def _members(group: Tensor, count: int) -> list[Tensor]:
    """The positions of each of `count` groups, in order."""
    order = group.argsort(stable=True)
    return list(order.split(torch.bincount(group, minlength=count).tolist()))


def _means(values: Tensor, group: Tensor, count: int) -> Tensor:
    """(count,) mean of each group's values, NaN left out, NaN for a group without any."""
    valid = ~values.isnan()
    sums = torch.zeros(count, dtype=torch.float64).index_add(0, group[valid], values[valid])
    return sums / torch.bincount(group[valid], minlength=count)
