"""What a motion dataset holds, as a table against what it should hold; and its motion written for VideoPose3D."""

from __future__ import annotations

from collections.abc import Iterable

from pose3d.motion import h36m
from pose3d.motion.sequence import MotionDataset, PoseSequence, Split
from pose3d.motion.videopose3d_files import in_h36m_room

SPLITS: tuple[Split, ...] = ("train", "validation")
H36M_SUBJECTS: dict[Split, tuple[str, ...]] = {
    "train": ("S1", "S5", "S6", "S7", "S8"),
    "validation": ("S9", "S11"),
}


def report(dataset: MotionDataset, sequences: dict[Split, list[PoseSequence]]) -> Iterable[str]:
    """Lines of a table: takes, views and frames of every subject and action, and what they should be where known."""
    yield f"{dataset.name}, keypoints: {dataset.keypoint_source}"
    for split in SPLITS:
        yield ""
        groups: dict[str, list[PoseSequence]] = {}
        for key in ("subject", "action"):
            for sequence in sequences[split]:
                groups.setdefault(getattr(sequence, key), []).append(sequence)
        rows = {**groups, "all": sequences[split]}
        known = {name: _expected(dataset, split, name) for name in rows}
        column = any(frames is not None for frames in known.values())  # of what is expected
        title = f"{'expected':>10}" if column else ""
        yield f"{split:20}{'takes':>8}{'views':>8}{'frames':>10}{title}{'minutes':>9}"
        for name, views in rows.items():
            takes = {(view.subject, view.take): view for view in views}
            frames = sum(map(len, takes.values()))
            minutes = sum(len(view) / view.fps for view in takes.values()) / 60
            number = "" if known[name] is None else f"{known[name]:,}"
            expected = f"{number:>10}" if column else ""
            yield f"{name:20}{len(takes):8,}{len(views):8,}{frames:10,}{expected}{minutes:9.1f}"
        yield f"{sum(map(len, sequences[split])):,} frames over all views"
    yield ""
    yield f"notes: {'; '.join(dataset.notes) or 'none'}"


def for_videopose3d(sequences: list[PoseSequence], split: Split) -> list[PoseSequence]:
    """Human3.6M as it is; other motion before Human3.6M's cameras, under names of its subjects."""
    if all(sequence.subject in h36m.SUBJECTS for sequence in sequences):
        return sequences
    return in_h36m_room(sequences, H36M_SUBJECTS[split])


def _expected(dataset: MotionDataset, split: Split, name: str) -> int | None:
    """Frames of a subject of Human3.6M, or of all of them, where all of it was asked for."""
    selection = getattr(dataset, "selection", None)
    if not isinstance(selection, h36m.Selection) or selection.actions != h36m.ACTIONS or selection.frame_step > 1:
        return None
    if name == "all":
        return sum(h36m.FRAMES[subject] for subject in selection.subjects(split))
    return h36m.FRAMES.get(name)
