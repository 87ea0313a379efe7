"""PCKh against microsoft's arithmetic written out loop by loop."""

import numpy as np
import pytest
import torch

from anypose.skeleton import get_skeleton
from pose2d.people import People
from pose2d.scores.pckh import HeadScores

MPII = get_skeleton("mpii_16")
P = 40


class Nothing:
    """Images that nobody reads."""

    def __len__(self):
        return P

    def name(self, index):
        return str(index)

    def read(self, index, reduce=1):
        raise AssertionError


@pytest.fixture
def people():
    rng = np.random.default_rng(0)
    return People(
        images=Nothing(), image_ids=np.arange(P), image_sizes=np.zeros((P, 2)), image=np.arange(P), ids=np.arange(P),
        box_xyxy=np.zeros((P, 4)), box_scores=np.ones(P), keypoints=rng.uniform(0, 500, (P, 16, 2)),
        visibility=2 * (rng.random((P, 16)) < 0.8).astype(int), skeleton=MPII, sigmas=np.ones(16), upper=(),
        box_source="ground truth", truth={"head_sizes": rng.uniform(40, 120, P)},
    )  # fmt: skip


def scored(people, predicted):
    metrics = HeadScores(people, {"dataset": "mpii"}, {})
    for rows in torch.arange(P).split(7):
        keypoints = torch.from_numpy(predicted)[rows].float()
        metrics.update({"keypoints": keypoints, "scores": torch.ones(len(rows), 16)}, {"index": rows})
    return metrics


def test_scores_equal_microsofts_rule_at_the_true_thresholds(people):
    rng = np.random.default_rng(1)
    predicted = people.keypoints + rng.normal(size=(P, 16, 2)) * 8
    metrics = scored(people, predicted)
    expected = {}
    for name, threshold in {"pckh": 0.5, "pckh_10": 0.1}.items():
        joint_rates, counts = [], []
        for k in range(16):
            seen = [i for i in range(P) if people.visibility[i, k]]
            hits = [
                np.linalg.norm(predicted[i, k] - people.keypoints[i, k]) / (0.6 * people.truth["head_sizes"][i])
                <= threshold
                for i in seen
            ]
            joint_rates.append(100 * np.mean(hits))
            counts.append(0 if k in (6, 7) else len(seen))
        expected[name] = np.sum(np.array(joint_rates) * np.array(counts) / np.sum(counts))
        if name == "pckh":
            ankles = (joint_rates[0] + joint_rates[5]) / 2
            head = joint_rates[9]
    assert metrics.compute() == pytest.approx(expected, rel=1e-4)
    assert 10 < expected["pckh_10"] < expected["pckh"] < 95
    row = metrics.rows()[0]
    assert row["ankle"] == pytest.approx(ankles, rel=1e-4)
    assert row["head"] == pytest.approx(head, rel=1e-4)
    assert metrics.protocol()["threshold"] == "0.5 of 0.6 x the head box's diagonal"


def test_pelvis_and_thorax_do_not_count(people):
    predicted = people.keypoints.copy()
    predicted[:, 6:8] += 1000
    assert scored(people, predicted).compute()["pckh"] == 100
    assert MPII.joints[6:8] == ("hip", "shoulders")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_has_no_score_and_is_named(people, bad):
    predicted = people.keypoints.copy()
    predicted[5] = bad
    metrics = scored(people, predicted)
    assert all(np.isnan(value) for value in metrics.compute().values())
    assert np.isnan(metrics.rows()[0]["head"])
    assert f"1 of {P} people, first person 5 in 5" in metrics.protocol()["non_finite"]
