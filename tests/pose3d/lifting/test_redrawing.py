from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from anypose.engine.task import Loading
from anypose.skeleton import H36M_16, H36M_17, Skeleton, get_skeleton
from pose3d.lifting.redrawing import Redrawn, RedrawnBatches
from pose3d.synthesis.detections import Detections
from pose3d.synthesis.points import Points
from pose3d.synthesis.proportions import Proportions
from pose3d.synthesis.redrawn import Redraw
from pose3d.synthesis.viewpoints import Viewpoints

PLAIN = Redraw(
    Proportions(0.0, 0, 0, 0), 0.0, 0.0, Viewpoints(0.0, (0, 0), 0, (3, 6), 0.0), Points(["h36m"], 0.0),
    Detections(0, 0, 0, 0, 0, 0, 0),
)  # fmt: skip
CPU = torch.device("cpu")


@dataclass
class Take:
    take: str
    fps: float
    joints: np.ndarray
    subject: str = "a"
    skeleton: Skeleton = H36M_17

    def __len__(self) -> int:
        return len(self.joints)


def takes(length=40, fps=50.0):
    rng = np.random.default_rng(0)
    pose = rng.normal(0, 0.4, (17, 3)).astype(np.float32)
    one = [
        Take(f"walk {number}", fps, (pose * (1 + 0.01 * np.arange(length)[:, None, None] + number)).astype(np.float32))
        for number in range(2)
    ]
    return [*one, *one]  # the second view of each


def reader(**options):
    fields = {
        "keypoint_frame": "ray", "output_skeleton": H36M_17, "input_skeleton": H36M_16, "frames_read": None,
        "receptive_field": 1, "causal": False, "keypoint_channels": 2, "whole_window": False,
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **options})


def batches(model, redraw=PLAIN, sequences=None, **loading):
    settings = {"batch_size": 16, "seed": 3, "rank": 0, "world_size": 1, **loading}
    return RedrawnBatches(sequences or takes(), redraw, model, Loading(**settings), CPU)


def test_every_frame_of_every_take_is_seen_once_and_views_do_not_count():
    made = list(batches(reader(), batch_size=20).epoch(0))
    assert [len(batch["joints"]) for batch in made] == [20] * 4
    sizes = torch.cat([batch["joints"][:, 0].norm(dim=(-1, -2)) for batch in made])
    assert len(torch.unique((sizes * 1e3).round())) >= 79  # each pose of its own size
    assert made[0]["keypoints"].shape == (20, 1, 16, 2)


def test_an_epoch_goes_on_where_it_was_left_and_differs_from_the_next():
    source = batches(reader())
    whole, rest = list(source.epoch(1)), list(source.epoch(1, start=2))
    for one, other in zip(whole[2:], rest, strict=True):
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=0, atol=0)
    assert not torch.equal(whole[0]["joints"], next(source.epoch(2))["joints"])


def test_processes_share_the_frames():
    parts = [batches(reader(), rank=rank, world_size=2, batch_size=8) for rank in range(2)]
    assert [len(part) for part in parts] == [5, 5]
    one, other = (next(part.epoch(0))["joints"] for part in parts)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("world_size", [1, 2])
def test_without_drop_last_no_frame_is_lost_and_no_batch_holds_one(world_size):
    parts = [
        batches(reader(), rank=rank, world_size=world_size, batch_size=13, drop_last=False)
        for rank in range(world_size)
    ]
    sizes = [[len(batch["joints"]) for batch in part.epoch(0)] for part in parts]
    assert sizes == [[13] * 6 + [2]] if world_size == 1 else [[13, 13, 14]] * 2
    assert [len(part) for part in parts] == [len(own) for own in sizes]


def test_frames_that_are_not_read_have_no_score_and_the_target_is_the_middle():
    model = reader(
        input_skeleton=get_skeleton("common_16"), frames_read=(0, 3, 6), receptive_field=7, keypoint_channels=3
    )
    batch = next(batches(model).epoch(0))
    assert batch["keypoints"].shape == (16, 7, 16, 3)
    read = batch["keypoints"][..., 2].amax(-1) > 0
    assert read.tolist() == [[True, False, False, True, False, False, True]] * 16
    # The middle frame's camera looks at the hips: their slopes are opposite for level, symmetric hips alone, but small.
    assert batch["joints"].shape == (16, 1, 17, 3)


def test_a_network_of_pixels_is_refused():
    with pytest.raises(ValueError, match=r"keypoints in the frame 'pixel' and gives h36m_17. Set model.input=centred"):
        batches(reader(keypoint_frame="pixel"))


def test_a_batch_larger_than_the_motion_is_refused():
    with pytest.raises(
        ValueError, match=r"A batch needs 100 samples \(trainer.batch_size=100 on 1 processes\).* 80 frames"
    ):
        batches(reader(), batch_size=100)


def test_a_dataset_is_redrawn_where_it_says_how():
    assert isinstance(SimpleNamespace(redraw=PLAIN), Redrawn)
    assert not isinstance(SimpleNamespace(), Redrawn)
