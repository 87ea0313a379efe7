"""dataset=mixed_motion: invented and recorded motion in one training split, scored on one of them."""

from __future__ import annotations

from anypose.settings import Misuse, judged
from pose3d.motion.sequence import MotionDataset, PoseSequence, Split, require_motion


@judged("dataset")
class MixedMotion:
    """A MotionDataset that trains on two others at once. How they are mixed is how many frames each gives.

    Args:
        invented: a MotionDataset, dataset=synthetic in conf/dataset/mixed_motion.yaml.
        recorded: another, dataset=cmu there.
        validation: "invented" or "recorded": which of the two is scored. The other's validation split is not read.
    """

    def __init__(self, invented: MotionDataset, recorded: MotionDataset, validation: str) -> None:
        require_motion(invented, "dataset.invented")
        require_motion(recorded, "dataset.recorded")
        if validation not in ("invented", "recorded"):
            raise Misuse(f"dataset.validation must be invented or recorded, got {validation}.")
        if invented.missing_joints != recorded.missing_joints:
            raise Misuse(
                "dataset.invented and dataset.recorded must hide the same number of joints in the same split: "
                f"missing_joints is {invented.missing_joints} and {recorded.missing_joints}."
            )
        self.invented, self.recorded = invented, recorded
        self.validation = invented if validation == "invented" else recorded
        self.name = f"{self.validation.name}, trained on {invented.name} and {recorded.name}"
        self.keypoint_source = self.validation.keypoint_source
        self.actions = self.validation.actions
        self.missing_joints = self.validation.missing_joints

    @property
    def notes(self) -> tuple[str, ...]:
        """Of both: what the training split lacks concerns the number, too. A reader completes its own while reading."""
        return tuple(dict.fromkeys((*self.invented.notes, *self.recorded.notes)))

    def sequences(self, split: Split) -> list[PoseSequence]:
        """Both training splits, one after the other; the validation split of the one to be scored."""
        if split == "validation":
            return self.validation.sequences(split)
        return [*self.invented.sequences(split), *self.recorded.sequences(split)]
