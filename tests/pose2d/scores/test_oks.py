"""Suppression and rescoring against loops; a whole evaluation through COCO's files."""

import json

import numpy as np
import pytest
import torch

from pose2d.people import COCO_SIGMAS
from pose2d.scores.average_precision import Truth, fast_statistics, pycocotools_statistics
from pose2d.scores.oks import KeypointScores, oks_nms, rescore

SIGMAS = np.array(COCO_SIGMAS)


def test_sigmas_are_cocos():
    from pycocotools.cocoeval import Params

    np.testing.assert_allclose(Params(iouType="keypoints").kpt_oks_sigmas, SIGMAS)


def test_suppression_equals_the_loop():
    rng = np.random.default_rng(0)
    people = rng.uniform(0, 100, (5, 17, 2))
    keypoints = people[rng.integers(0, 5, 40)] + rng.normal(size=(40, 17, 2)) * rng.choice([0.2, 1, 5], (40, 1, 1))
    scores, areas = rng.random(40), rng.uniform(2000, 9000, 40)
    for threshold in (0.3, 0.9):
        kept = []
        for candidate in sorted(range(40), key=lambda i: -scores[i]):
            similar = []
            for better in kept:
                size = (areas[candidate] + areas[better]) / 2 + np.spacing(1)
                terms = [
                    np.exp(-((p - q) ** 2).sum() / ((2 * s) ** 2 * size * 2))
                    for p, q, s in zip(keypoints[candidate], keypoints[better], SIGMAS, strict=True)
                ]
                similar.append(np.mean(terms))
            if all(s <= threshold for s in similar):
                kept.append(candidate)
        assert oks_nms(keypoints, scores, areas, SIGMAS, threshold).tolist() == kept
        assert len(kept) < 40


def test_scores_are_means_of_the_confident_keypoints_times_the_boxes():
    scores = np.array([[0.9, 0.5, 0.1], [0.1, 0.2, 0.0]])
    np.testing.assert_allclose(rescore(scores, np.array([0.5, 1.0]), 0.2), [0.35, 0.0])


@pytest.fixture
def people(shared_folder, read_coco):
    return read_coco(shared_folder).people("validation")


def scored(people, evaluator="pycocotools", results=None, nms=0.9, **prediction):
    metrics = KeypointScores(
        people, np.full(len(people), 5000.0), evaluator, nms, 0.2, results, {"flip test": True}, {}
    )
    order = torch.arange(len(people))
    truth = {"keypoints": torch.from_numpy(people.keypoints).float(), "scores": torch.ones(people.visibility.shape)}
    truth |= prediction
    for rows in order.split(3):
        metrics.update({name: tensor[rows] for name, tensor in truth.items()}, {"index": rows})
    return metrics


@pytest.mark.parametrize("evaluator", ["pycocotools", "fast"])
def test_the_truth_scores_a_hundred(people, evaluator):
    scores = scored(people, evaluator).compute()
    assert scores["ap"] == scores["ar"] == pytest.approx(100)
    assert list(scores) == [
        *("ap", "ap_50", "ap_75", "ap_medium", "ap_large", "ar", "ar_50", "ar_75", "ar_medium", "ar_large")
    ]


def test_both_evaluators_agree_on_bad_predictions(people):
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=people.keypoints.shape) * 3).float()
    keypoints = torch.from_numpy(people.keypoints).float() + noise
    scores = torch.rand(people.visibility.shape, generator=torch.Generator().manual_seed(0))
    slow = scored(people, keypoints=keypoints, scores=scores).compute()
    fast = scored(people, "fast", keypoints=keypoints, scores=scores).compute()
    assert 5 < slow["ap"] < 95
    assert slow == fast


def test_results_are_written_in_cocos_format(people, tmp_path):
    scored(people, results=str(tmp_path / "results.json")).compute()
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert len(results) == len(people)
    assert results[0].keys() == {"image_id", "category_id", "keypoints", "score"}
    assert len(results[0]["keypoints"]) == 51
    assert {r["image_id"] for r in results} == set(people.image_ids.tolist())


def test_the_protocol_comes_with_the_numbers(people):
    metrics = scored(people)
    metrics.unreadable = {"a.jpg": "cut off"}
    protocol = metrics.protocol()
    assert protocol["boxes"] == "ground truth"
    assert (protocol["people"], protocol["images"], protocol["OKS-NMS"]) == (7, 4, 0.9)
    assert protocol["flip test"] is True
    assert protocol["images that could not be read"] == 1
    row = metrics.rows()[0]
    assert row["people"] == 7
    assert row["ap"] == pytest.approx(100)
    arrays = metrics.arrays()
    assert len({len(a) for a in arrays.values()}) == 1
    assert arrays["person_id"].tolist() == people.ids.tolist()


def test_processes_can_be_joined(people):
    whole = scored(people)
    parts = []
    for rows in torch.arange(len(people)).split(4):
        metrics = KeypointScores(people, np.full(len(people), 5000.0), "fast", 0.9, 0.2, None, {}, {})
        state = whole.state()
        metrics.update({"keypoints": state["keypoints"][rows], "scores": state["scores"][rows]}, {"index": rows})
        parts.append(metrics.state())
    joined = KeypointScores(people, np.full(len(people), 5000.0), "fast", 0.9, 0.2, None, {}, {})
    assert joined.state()["keypoints"].shape == (0, 17, 2)
    joined.load({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
    assert joined.compute() == whole.compute()


def test_minus_one_is_explained(folder, read_coco):
    people = read_coco(folder).people("validation")
    for annotation in people.truth["coco"]["annotations"]:
        annotation["iscrowd"] = 1
    with pytest.raises(ValueError, match=r"AP is -1: none of the 4 images .* Annotations of a test set"):
        scored(people).compute()


def test_an_unknown_evaluator_is_refused(people):
    with pytest.raises(ValueError, match=r"pycocotools or fast, got numba"):
        scored(people, "numba")


def test_scores_are_computed_once_for_what_is_collected(people, monkeypatch):
    metrics, calls = scored(people), []
    score = metrics._score
    monkeypatch.setattr(metrics, "_score", lambda: calls.append(1) or score())
    first = metrics.compute()
    assert metrics.rows()[0]["ap"] == first["ap"]
    assert len(calls) == 1
    far = metrics.state()
    far["keypoints"] = far["keypoints"] + 500
    metrics.load(far)
    assert metrics.compute()["ap"] == 0
    assert len(calls) == 2


@pytest.mark.parametrize("evaluator", ["pycocotools", "fast"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["keypoints", "scores"])
def test_what_is_no_number_has_no_score_and_is_named(people, evaluator, bad, where, tmp_path, caplog):
    """pycocotools gives NaN keypoints an AP of 100."""
    results = tmp_path / "results.json"
    broken = {
        "keypoints": torch.from_numpy(people.keypoints).float(),
        "scores": torch.ones(people.visibility.shape),
    }
    broken[where][1, 3] = bad
    metrics = scored(people, evaluator, str(results), **{where: broken[where]})
    scores = metrics.compute()
    assert len(scores) == 10
    assert all(np.isnan(value) for value in scores.values())
    name = people.images.name(int(people.image[1]))
    words = f"1 of {len(people)} people, first person {people.ids[1]} in {name}"
    assert words in metrics.protocol()["non_finite"]
    assert words in caplog.text
    assert not results.exists()
    assert np.isnan(metrics.rows()[0]["ap"])


def test_finite_predictions_say_nothing_of_it(people):
    assert scored(people).protocol()["non_finite"] == ""


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_neither_evaluator_takes_what_is_no_number(people, bad):
    truth, sigmas = people.truth["coco"], people.sigmas
    keypoints = np.full((1, 17, 2), bad)
    image_ids = people.image_ids[people.image[:1]]
    with pytest.raises(ValueError, match="34 of 34 keypoints to be scored are NaN or infinite"):
        fast_statistics(Truth.of(truth), image_ids, keypoints, np.ones(1), sigmas)
    result = {"image_id": int(image_ids[0]), "category_id": 1, "keypoints": [1.0] * 51, "score": bad}
    with pytest.raises(ValueError, match="1 of 1 scores of keypoints to be scored are NaN"):
        pycocotools_statistics(truth, [result], "keypoints", sigmas)
    with pytest.raises(ValueError, match="51 of 51 keypoints"):
        pycocotools_statistics(truth, [result | {"keypoints": [bad] * 51, "score": 1.0}], "keypoints", sigmas)
