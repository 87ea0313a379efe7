import math

import numpy as np
import pytest
import torch

from anypose import metrics
from anypose.skeleton import H36M_17
from pose3d.lifting.mixture import log_density
from pose3d.lifting.mixture_errors import MixtureErrors
from pose3d.motion.packed import pack
from tests.pose3d.motion.random_motion import camera, sequence

SCALE = torch.full((16, 3), 0.25)


def frames(cameras=1, length=40):
    """One subject, two actions, `cameras` views of each take of one motion."""
    sequences = []
    for number, action in enumerate(("Walking", "Sitting")):
        views = [camera(f"c{i}", seed=10 + i) for i in range(cameras)]
        sequences += [sequence(length + number, "S9", action, f"{action} 1", seed=number, view=view) for view in views]
    return pack(sequences, input_skeleton=H36M_17, output_skeleton=H36M_17, keypoint_frame="pixel")


def mixture(packed, seed=0):
    generator = torch.Generator().manual_seed(seed)
    means = packed.joints[:, None] + 0.1 * torch.randn(len(packed), 5, 17, 3, generator=generator)
    means[..., 0, :] = 0
    sigmas = 0.3 + torch.rand(len(packed), 5, generator=generator)
    return means, sigmas, torch.randn(len(packed), 5, generator=generator).softmax(-1)


def scored(packed, parts=None, select="likely", drop_last=False):
    errors = MixtureErrors(
        packed,
        scale=SCALE,
        rows=slice(1, None),
        select=select,
        actions=("Walking", "Sitting"),
        protocol={},
        drop_last=drop_last,
        by_subject=False,
    )
    means, sigmas, weights = parts or mixture(packed)
    for index in torch.randperm(len(packed), generator=torch.Generator().manual_seed(1)).split(33):
        prediction = {"means": means[index, None], "sigmas": sigmas[index, None], "weights": weights[index, None]}
        errors.update(prediction, {"index": index[:, None]})
    return errors


def test_every_rule_is_what_a_loop_over_frames_and_hypotheses_gives():
    packed = frames()
    means, sigmas, weights = mixture(packed)
    expected = {name: [] for name in ("best", "best_p", "likely", "mean", "nll")}
    for row in range(len(packed)):
        truth = packed.joints[row].double()
        each = [(hypothesis.double() - truth).norm(dim=-1).mean().item() * 1000 for hypothesis in means[row]]
        expected["best"].append(min(each))
        expected["best_p"].append(min(metrics.p_mpjpe(h.double(), truth).item() * 1000 for h in means[row]))
        expected["likely"].append(each[int(weights[row].argmax())])
        blend = sum(w * h for w, h in zip(weights[row].double(), means[row].double(), strict=True))
        expected["mean"].append((blend - truth).norm(dim=-1).mean().item() * 1000)
        density = 0.0
        for w, s, h in zip(weights[row].double(), sigmas[row].double(), means[row].double(), strict=True):
            squared = ((h - truth)[1:] / 0.25).square().sum()
            density += w * torch.exp(-squared / (2 * s**2)) / (s * math.sqrt(2 * math.pi)) ** 48
        expected["nll"].append(-math.log(density))
    rows = {row["action"]: row for row in scored(packed).rows()}
    for name, column in {
        "best": "best_of_5_mpjpe_mm",
        "best_p": "best_of_5_p_mpjpe_mm",
        "likely": "most_likely_mpjpe_mm",
        "mean": "weighted_mean_mpjpe_mm",
        "nll": "nll_nats",
    }.items():
        assert math.isclose(rows["Walking"][column], np.mean(expected[name][:40]), rel_tol=1e-4), column
        assert math.isclose(rows["Sitting"][column], np.mean(expected[name][40:]), rel_tol=1e-4), column
    assert rows["Average"]["best_of_5_mpjpe_mm"] < rows["Average"]["most_likely_mpjpe_mm"]


def test_coverage_is_what_it_claims_for_an_honest_mixture_and_not_for_a_boastful_one():
    packed = frames(length=400)
    torch.manual_seed(0)
    means, sigmas, weights = mixture(packed)
    chosen = torch.multinomial(weights, 1)[:, 0]
    rows = torch.arange(len(packed))
    truth = means[rows, chosen] + sigmas[rows, chosen][:, None, None] * 0.25 * torch.randn(len(packed), 17, 3)
    packed.joints[:, 1:] = truth[:, 1:]
    errors = scored(packed, (means, sigmas, weights))
    honest = errors.compute()
    observed = errors.calibration(torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0]))
    assert [float(observed[i]) * 100 for i in (2, 3)] == pytest.approx(
        [honest["coverage50_percent"], honest["coverage90_percent"]], abs=1e-3
    )
    assert abs(float(observed[1]) - 0.2) < 0.05
    assert float(observed[4]) == 1
    assert abs(honest["coverage50_percent"] - 50) < 5
    assert abs(honest["coverage90_percent"] - 90) < 4
    boastful = scored(packed, (means, 0.6 * sigmas, weights)).compute()
    assert boastful["coverage90_percent"] < 40
    assert boastful["nll_nats"] > honest["nll_nats"]


def test_many_frames_are_calibrated_on_some_of_them(monkeypatch):
    monkeypatch.setattr("pose3d.lifting.mixture_errors.CALIBRATED_FRAMES", 20)
    packed = frames(length=100)
    errors = scored(packed)
    _, scores = errors.scores()
    assert int((~scores["coverage50_percent"].isnan()).sum()) == 21  # every 10th of 201
    assert not scores["nll_nats"].isnan().any()
    assert "one frame in 10" in errors.protocol()["coverage"]


def test_several_cameras_choose_the_pose_they_agree_on():
    packed = frames(cameras=4)
    means, sigmas, weights = mixture(packed)
    means[:] = packed.joints[:, None]
    means[:, :4, 1:, 2] += 0.3 * torch.randn(len(packed), 4, 16)  # wrong in depth, each view along its own axis
    sigmas[:] = 0.4
    weights[:] = torch.tensor([0.3, 0.2, 0.2, 0.2, 0.1])  # and the right one never the likeliest
    shuffle = torch.rand(len(packed), 5).argsort(-1)
    means, weights = means[torch.arange(len(packed))[:, None], shuffle], weights.gather(1, shuffle)
    errors = scored(packed, (means, sigmas, weights), select="multiview")
    average = errors.compute()
    assert average["multiview_mpjpe_mm"] < 0.01
    assert average["most_likely_mpjpe_mm"] > 50
    np.testing.assert_allclose(errors.arrays()["joints"], packed.joints, atol=1e-5)
    assert "multiview" in errors.protocol()
    assert "multiview" not in scored(packed).protocol()


def test_a_camera_whose_frames_were_dropped_is_left_out_of_the_agreement():
    packed = frames(cameras=2, length=40)  # Walking: 80 rows, 64 kept; Sitting: 82 rows, 64 kept
    errors = scored(packed, select="multiview", drop_last=True)
    state = errors.frames()
    alone = (state["index"] >= 24) & (state["index"] < 40)  # their partners, rows 64..79, were dropped
    assert alone.sum() == 16
    means, sigmas, weights = (state[name][alone] for name in ("means", "sigmas", "weights"))
    flat, every = means[:, :, 1:].flatten(2), (16, 5, 5)
    own = log_density(flat, flat[:, None].expand(*every, -1), 0.25 * sigmas[:, None].expand(every), weights[:, None])
    expected = means[torch.arange(16), own.argmax(-1)]
    torch.testing.assert_close(state["joints"][alone], expected, rtol=1e-4, atol=1e-5)


def test_multiview_with_one_camera_is_an_error():
    with pytest.raises(ValueError, match="needs several cameras of the same take"):
        scored(frames(), select="multiview")


def test_the_shown_pose_is_the_likeliest_and_files_hold_all_hypotheses():
    packed = frames()
    means, _, weights = mixture(packed)
    arrays = scored(packed).arrays()
    assert arrays["means"].shape == (81, 5, 17, 3)
    expected = means[torch.arange(81), weights.argmax(-1)]
    np.testing.assert_array_equal(arrays["joints"], expected)
    np.testing.assert_array_equal(arrays["truth"], packed.joints)


def test_the_protocol_says_that_best_of_uses_the_truth():
    assert "uses ground truth" in scored(frames()).protocol()["best_of"]
