"""dataset=redrawn_people: motion on other bodies, with a new camera and a new detector for every sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anypose.settings import Misuse
from pose3d.motion.sequence import MotionDataset, PoseSequence, Split
from pose3d.synthesis.detections import Detections
from pose3d.synthesis.points import Points
from pose3d.synthesis.proportions import Proportions
from pose3d.synthesis.redrawn import Redraw
from pose3d.synthesis.viewpoints import Viewpoints

if TYPE_CHECKING:
    from pose3d.body.drawn import DrawnBodies


class RedrawnPeople:
    """A MotionDataset whose training split is drawn anew in every epoch; one of its sources is scored, as it stands.

    Args:
        invented: a MotionDataset, dataset=synthetic in conf/dataset/redrawn_people.yaml; None for none.
        recorded: another, or None.
        more: another that only trains, or None.
        validation: "recorded" or "invented": which is scored.
        body_share, size_spread, bone_spread, width_spread: see `Proportions`.
        recombination: probability that a sample gets another's trunk, both arms, or one arm, each.
        limb_turns: standard deviation of the angle that limbs are turned by [degrees].
        handheld, camera_pitch, camera_roll, camera_distance, focal_error: see `Viewpoints`.
        points, points_spread: see `Points`.
        anny_share: of the samples whose joints and points are those of one of Anny's bodies (extra `body`), posed as
            the redrawn person is.
        noise, outliers, swaps, hidden_joints, hidden_frames, cut_off, hidden_future: see `Detections`.
    """

    def __init__(
        self,
        invented: MotionDataset | None,
        recorded: MotionDataset | None,
        more: MotionDataset | None,
        validation: str,
        body_share: float,
        size_spread: float,
        bone_spread: float,
        width_spread: float,
        recombination: float,
        limb_turns: float,
        handheld: float,
        camera_pitch: Sequence[float],
        camera_roll: float,
        camera_distance: Sequence[float],
        focal_error: float,
        points: Sequence[str],
        points_spread: float,
        anny_share: float,
        noise: float,
        outliers: float,
        swaps: float,
        hidden_joints: float,
        hidden_frames: float,
        cut_off: float,
        hidden_future: float,
    ) -> None:
        sources = {"invented": invented, "recorded": recorded}
        scored = sources.get(validation)
        if scored is None:
            raise Misuse(
                f"dataset.validation={validation} must be one that is there, "
                f"{' or '.join(name for name, source in sources.items() if source is not None) or 'and none is'}."
            )
        if not 0 <= recombination <= 1:
            raise Misuse(f"dataset.recombination={recombination} must lie in [0, 1].")
        if not 0 <= limb_turns <= 90:
            raise Misuse(f"dataset.limb_turns={limb_turns} must lie in [0, 90] degrees.")
        for key, values in {"camera_pitch": camera_pitch, "camera_distance": camera_distance}.items():
            if len(values) != 2:
                raise Misuse(f"dataset.{key}={list(values)} must be [low, high].")
        self.sources = [source for source in (recorded, more, invented) if source is not None]
        self.validation = scored
        self.redraw = Redraw(
            Proportions(body_share, size_spread, bone_spread, width_spread),
            recombination,
            limb_turns,
            Viewpoints(
                handheld,
                (camera_pitch[0], camera_pitch[1]),
                camera_roll,
                (camera_distance[0], camera_distance[1]),
                focal_error,
            ),
            Points(tuple(points), points_spread),
            Detections(noise, outliers, swaps, hidden_joints, hidden_frames, cut_off, hidden_future),
            _bodies(anny_share, points),
        )
        self.name = f"{scored.name}, trained on people redrawn from {' and '.join(s.name for s in self.sources)}"
        self.keypoint_source = scored.keypoint_source
        self.actions = scored.actions
        self.missing_joints = scored.missing_joints

    @property
    def notes(self) -> tuple[str, ...]:
        """Of all: what the training split lacks concerns the number, too."""
        return tuple(dict.fromkeys(note for source in self.sources for note in source.notes))

    def sequences(self, split: Split) -> list[PoseSequence]:
        """All training motion, to be redrawn; the validation split of what is scored."""
        if split == "validation":
            return self.validation.sequences(split)
        return [sequence for source in self.sources for sequence in source.sequences(split)]


def _bodies(share: float, points: Sequence[str]) -> DrawnBodies | None:
    """Anny's, where a share of the samples is to have them; without them its package need not be there."""
    if not share:
        return None
    from pose3d.body.captured import require_body
    from pose3d.body.drawn import DrawnBodies

    require_body("dataset.anny_share")
    return DrawnBodies(share, points)
