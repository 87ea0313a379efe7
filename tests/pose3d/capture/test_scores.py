import numpy as np
import pytest
import torch

from anypose.metrics import p_mpjpe
from pose3d.capture.fields import draw_fields
from pose3d.capture.layout import BODY
from pose3d.capture.people import Targets, targets_of
from pose3d.capture.scenes import Batch
from pose3d.capture.scores import CaptureScores, limb_angles
from tests.pose3d.capture.capture_scene import make_people

ROOT = BODY.root


def crowd():
    """Two people in the first of two images, one in the second; 3D joints at random."""
    rng = np.random.default_rng(7)
    people = make_people([0, 0, 1], rng.uniform(10, 190, (3, 17, 2)), np.full((3, 17), 2), 200, 200)
    flat = targets_of(people, False, "x")
    return people, Targets(flat.keypoints, flat.labelled, rng.normal([0, 0, 5], size=(3, BODY.num_joints, 3)))


def scorer(people, targets, **changes) -> CaptureScores:
    settings = {"protocol": {}, "unreadable": {}, "stride": 8, "evaluator": "fast", "results": None} | changes
    return CaptureScores(people, targets, **settings)


def prediction_of(targets: Targets) -> dict[str, torch.Tensor]:
    """The truth as if it had been found; the second image's person is the second in the list."""
    J = BODY.num_joints
    keypoints, scores = torch.zeros(2, 2, J, 2), torch.zeros(2, 2, J)
    joints, person_scores = torch.full((2, 2, J, 3), torch.nan), torch.zeros(2, 2)
    for person, (image, place) in enumerate([(0, 0), (0, 1), (1, 0)]):
        known = torch.from_numpy(targets.labelled[person])
        keypoints[image, place] = torch.from_numpy(targets.keypoints[person]).float() * known[:, None]
        scores[image, place] = known.float() * 0.8
        joints[image, place] = torch.from_numpy(targets.joints[person]).float()
        joints[image, place][~known] = torch.nan
        person_scores[image, place] = 1.5 - 0.1 * person
    fields = torch.zeros(2, BODY.num_fields, 25, 25)
    return {
        "keypoints": keypoints,
        "scores": scores,
        "joints": joints,
        "person_scores": person_scores,
        "fields": fields,
    }


def batch_of(targets: Targets) -> Batch:
    keypoints = torch.zeros(2, 2, BODY.num_joints, 2)
    labelled = torch.zeros(2, 2, BODY.num_joints).bool()
    directions = torch.zeros(2, 2, BODY.num_limbs, 3)
    first, second = (list(side) for side in zip(*BODY.limbs, strict=True))
    for person, (image, place) in enumerate([(0, 0), (0, 1), (1, 0)]):
        keypoints[image, place] = torch.from_numpy(targets.keypoints[person]).float()
        labelled[image, place] = torch.from_numpy(targets.labelled[person])
        offset = targets.joints[person][second] - targets.joints[person][first]
        directions[image, place] = torch.from_numpy(offset / np.linalg.norm(offset, axis=-1, keepdims=True)).float()
    spatial = torch.tensor([[True, True], [True, False]])
    return {"keypoints": keypoints, "labelled": labelled, "directions": directions, "spatial": spatial,
            "index": torch.tensor([0, 1])}  # fmt: skip


@pytest.mark.parametrize("evaluator", ["fast", "pycocotools"])
def test_the_truth_scores_full_marks(evaluator):
    people, targets = crowd()
    scores = scorer(people, targets, evaluator=evaluator)
    scores.update(prediction_of(targets), batch_of(targets))
    found = scores.compute()
    assert found["ap"] == pytest.approx(100)
    assert found["ar"] == pytest.approx(100)
    assert found["mpjpe_mm"] == pytest.approx(0, abs=1e-3)
    assert found["p_mpjpe_mm"] == pytest.approx(0, abs=1e-2)
    assert scores.protocol()["people found (OKS >= 0.5)"] == 3


def test_mpjpe_is_relative_to_the_neck_and_p_mpjpe_aligned():
    people, targets = crowd()
    prediction = prediction_of(targets)
    noise = torch.randn(2, 2, BODY.num_joints, 3, generator=torch.Generator().manual_seed(0)) * 0.1
    prediction["joints"] += noise + 7.0  # a common shift costs nothing
    scores = scorer(people, targets)
    scores.update(prediction, batch_of(targets))
    found = scores.compute()
    relative, aligned = [], []
    for person, (image, place) in enumerate([(0, 0), (0, 1), (1, 0)]):
        known = targets.labelled[person]
        a, b = prediction["joints"][image, place].double().numpy(), targets.joints[person]
        relative.append(np.linalg.norm((a - a[ROOT] - b + b[ROOT])[known], axis=-1).mean())
        aligned.append(float(p_mpjpe(torch.from_numpy(a[known]), torch.from_numpy(b[known]))))
    assert found["mpjpe_mm"] == pytest.approx(1000 * np.mean(relative), rel=1e-4)
    assert found["p_mpjpe_mm"] == pytest.approx(1000 * np.mean(aligned), rel=1e-4)


def test_bodies_are_scored_beside_what_was_lifted_on_the_same_joints():
    people, targets = crowd()
    prediction = prediction_of(targets)
    true = prediction["joints"].clone()
    prediction["joints"] += 0.05 * torch.randn(true.shape, generator=torch.Generator().manual_seed(1))
    prediction["fitted"] = torch.where(torch.isnan(true), 9.0, true)  # a body has joints that were not found
    prediction["fitted"][1] = torch.nan
    scores = scorer(people, targets, fitted=True)
    scores.update(prediction, batch_of(targets))
    found = scores.compute()
    alone = scorer(people, targets)
    alone.update(prediction, batch_of(targets))
    assert alone.compute()["mpjpe_mm"] == found["mpjpe_mm"] > 50
    assert "fitted_mpjpe_mm" not in alone.compute()
    # Two of three fit exactly; the third has no body and counts as lifted.
    assert 10 < found["fitted_mpjpe_mm"] < found["mpjpe_mm"] / 2
    assert found["fitted_p_mpjpe_mm"] < found["p_mpjpe_mm"] / 2
    assert scores.protocol()["people without a body, scored as lifted"] == 1
    assert scorer(people, targets, fitted=True).state()["fitted"].shape == (0, 1, BODY.num_joints, 3)


def test_people_are_matched_to_the_nearest_and_only_once():
    people, targets = crowd()
    prediction = prediction_of(targets)
    prediction["keypoints"][0, 1] = prediction["keypoints"][0, 0]  # twice the same person
    prediction["joints"][0, 1] += 100.0  # would be a large error if it were matched
    prediction["joints"][0, 1, ROOT] -= 100.0
    scores = scorer(people, targets)
    scores.update(prediction, batch_of(targets))
    assert scores.compute()["mpjpe_mm"] == pytest.approx(0, abs=1e-3)
    assert scores.protocol()["people found (OKS >= 0.5)"] == 2


def test_nobody_found_scores_zero_and_claims_no_errors():
    people, targets = crowd()
    prediction = prediction_of(targets)
    prediction["person_scores"].zero_()
    scores = scorer(people, targets, evaluator="pycocotools")
    scores.update(prediction, batch_of(targets))
    found = scores.compute()
    assert found["ap"] == 0
    assert "mpjpe_mm" not in found
    assert found["angle_deg"] == pytest.approx(90)


def test_a_field_turned_by_an_angle_scores_that_angle():
    keypoints = torch.zeros(1, 1, BODY.num_joints, 2)
    keypoints[..., BODY.limbs[0][0], :], keypoints[..., BODY.limbs[0][1], :] = 40.0, 120.0
    labelled = torch.zeros(1, 1, BODY.num_joints).bool()
    labelled[..., list(BODY.limbs[0])] = True
    true = torch.tensor([0.6, 0.0, 0.8]).expand(1, 1, BODY.num_limbs, 3)
    turned = torch.tensor([0.0, 0.6, 0.8]).expand(1, 1, BODY.num_limbs, 3)
    fields = draw_fields(BODY, keypoints, turned, torch.ones(1, 1, BODY.num_limbs).bool(), 25, 25, 8)
    batch = {"keypoints": keypoints, "labelled": labelled, "directions": true, "spatial": torch.tensor([[True]])}
    total, count = limb_angles(fields, batch, 8)
    assert count[0].tolist() == [1.0] + [0.0] * (BODY.num_limbs - 1)
    assert float(total[0, 0]) == pytest.approx(np.degrees(np.arccos(0.64)), abs=1e-3)
    batch["spatial"] = torch.tensor([[False]])  # in the image: a right angle
    batch["directions"] = torch.tensor([1.0, 0, 0]).expand(1, 1, BODY.num_limbs, 3)
    assert float(limb_angles(fields, batch, 8)[0][0, 0]) == pytest.approx(90, abs=1e-3)


def test_processes_can_be_joined():
    people, targets = crowd()
    whole, parts = scorer(people, targets), []
    prediction, batch = prediction_of(targets), batch_of(targets)
    whole.update(prediction, batch)
    for row in (0, 1):
        part = scorer(people, targets)
        part.update(*({name: tensor[row : row + 1] for name, tensor in d.items()} for d in (prediction, batch)))
        parts.append(part.state())
    joined = scorer(people, targets)
    joined.load({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
    assert joined.compute() == whole.compute()
    assert joined.rows()[0]["limb"] == "neck to right_hip"
    assert len(joined.arrays()["predicted_keypoints"]) == 3


@pytest.mark.parametrize("name", ["keypoints", "scores", "person_scores", "fields", "joints"])
@pytest.mark.parametrize("evaluator", ["fast", "pycocotools"])
def test_what_is_no_number_has_no_score_and_is_named(name, evaluator, tmp_path):
    """A person whose score is NaN would not be counted as found, a field of NaN drop out of the mean angle."""
    people, targets = crowd()
    scores = scorer(people, targets, evaluator=evaluator, results=str(tmp_path / "r.json"))
    prediction = prediction_of(targets)
    prediction[name][1].view(-1)[0] = torch.inf if name == "joints" else torch.nan  # NaN joints were not found
    scores.update(prediction, batch_of(targets))
    found = scores.compute()
    assert np.isnan(found["ap"])
    assert np.isnan(found["angle_deg"])
    assert "1 of 2 images, first " in scores.protocol()["non_finite"]
    assert people.images.name(1) in scores.protocol()["non_finite"]
    assert not (tmp_path / "r.json").exists()


def test_maps_that_are_no_numbers_are_told_apart_from_nobody():
    """A network that diverged finds nobody; its score is none, not 0."""
    people, targets = crowd()
    scores = scorer(people, targets)
    empty = {name: torch.zeros_like(tensor) for name, tensor in prediction_of(targets).items()}
    scores.update(empty | {"heatmaps": torch.full((2, 21, 4, 4), torch.nan)}, batch_of(targets))
    assert np.isnan(scores.compute()["ap"])
    scores = scorer(people, targets)
    scores.update(empty | {"heatmaps": torch.zeros(2, 21, 4, 4)}, batch_of(targets))
    assert scores.compute()["ap"] == 0
    assert scores.protocol()["non_finite"] == ""
