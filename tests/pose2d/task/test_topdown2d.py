"""The task: its loss against each lineage's formula, its predictions, learning, and what it refuses."""

import math

import numpy as np
import pytest
import torch

from pose2d.images.affine import transform
from tests.learning import few_steps


def batch_of(task, people, loading, count=4):
    crops = task.batches(people, True, loading(count), torch.device("cpu"))
    return next(crops.epoch(0))


@pytest.mark.parametrize(
    ("settings", "formula"),
    [
        # mks0601: mean over everything of valid * (p - t)^2 at height 255.
        ({"peak": 255.0, "loss_factor": 1.0}, lambda p, t, w: (w * (p - t) ** 2).mean()),
        # microsoft: for every joint half the mean squared error of p * w and t * w, then the mean over joints.
        (
            {"peak": 1.0, "loss_factor": 0.5},
            lambda p, t, w: np.mean([0.5 * ((p[:, k] * w[:, k] - t[:, k] * w[:, k]) ** 2).mean() for k in range(17)]),
        ),
    ],
)
def test_the_loss_is_the_lineages(make_task, shared_folder, read_coco, loading, settings, formula):
    task = make_task(**settings)
    batch = batch_of(task, read_coco(shared_folder), loading)
    task.model.eval()
    loss, terms = task.loss(batch)
    predicted = task.model(batch["image"]).detach().double().numpy()
    target, weight = task.coding.encode(batch["keypoints"], batch["visibility"])
    assert 0 < weight.mean() < 1
    expected = formula(predicted, target.double().numpy(), weight.double().numpy()[:, :, None, None])
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert terms["heatmap_error"].item() == loss.item()
    assert not terms["heatmap_error"].requires_grad


def test_tensorflows_regulariser_covers_kernels_and_nothing_else(make_task, shared_folder, read_coco, loading):
    plain, regular = make_task(), make_task(l2=1e-5)
    regular.model.load_state_dict(plain.model.state_dict())
    batch = batch_of(plain, read_coco(shared_folder), loading)
    difference = regular.loss(batch)[0] - plain.loss(batch)[0]
    kernels = [p for p in plain.model.parameters() if p.ndim == 4]
    assert len(kernels) == 24
    expected = 0.5e-5 * sum(float((p.detach().double() ** 2).sum()) for p in kernels)
    assert difference.item() == pytest.approx(expected, rel=1e-2)


def test_unlabelled_keypoints_teach_nothing(make_task, shared_folder, read_coco, loading):
    task = make_task()
    batch = batch_of(task, read_coco(shared_folder), loading)
    batch["visibility"][:] = 0
    assert task.loss(batch)[0].item() == 0


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("aligned", [False, True])
def test_predictions_land_in_the_image_where_the_heatmaps_say(
    make_task, shared_folder, read_coco, loading, monkeypatch, flip_test, aligned
):
    """With perfect heatmaps for crop and mirrored crop, predictions are the annotated keypoints."""
    task = make_task(flip_test=flip_test, aligned=aligned, support=float("inf"))
    coco = read_coco(shared_folder)
    batch = next(task.batches(coco, False, loading(12), torch.device("cpu")).epoch(0))
    people = coco.people("validation")
    index = task.flip_index

    def perfect(image):
        points, mirrored = batch["keypoints"], batch["keypoints"][:, index].clone()
        mirrored[..., 0] = 63 - mirrored[..., 0]
        points = torch.cat([points, mirrored]) if len(image) > len(points) else points
        return task.coding.encode(points, torch.ones(points.shape[:2]))[0]

    monkeypatch.setattr(task, "model", perfect)
    prediction = task.predict(batch)
    labelled = people.visibility > 0
    cell = 4 * np.sqrt(np.abs(np.linalg.det(batch["to_image"][:, :, :2].numpy())))
    error = np.linalg.norm(prediction["keypoints"].numpy() - people.keypoints, axis=2) / cell[:, None]
    inside = ((batch["keypoints"] > 6) & (batch["keypoints"] < 57)).all(dim=-1).numpy()
    # In cells; the biased convention is an eighth of a cell off after averaging with its shifted mirror image.
    expected = 0.125 if flip_test and not aligned else 0.0
    assert np.median(error[labelled & inside]) == pytest.approx(expected, abs=0.03)
    assert (labelled & inside).sum() > 20
    np.testing.assert_allclose(
        transform(batch["keypoints"], batch["to_image"])[torch.from_numpy(labelled)],
        people.keypoints[labelled],
        atol=1e-3,
    )


@pytest.mark.slow
def test_a_few_steps_lower_the_loss(make_task, shared_folder, read_coco, loading):
    torch.manual_seed(0)
    task = make_task(augment=None)
    batch = batch_of(task, read_coco(shared_folder), loading, count=6)
    losses, _ = few_steps(task, batch, 12)
    assert min(losses[-3:]) < 0.8 * losses[0]


def test_evaluation_scores_the_validation_people(make_task, shared_folder, read_coco, loading):
    task = make_task()
    task.model.eval()
    crops = task.batches(read_coco(shared_folder), False, loading(4), torch.device("cpu"))
    metrics = task.metrics()
    with torch.inference_mode():
        for batch in crops.epoch(0):
            metrics.update(task.predict(batch), batch)
    assert task.monitor in metrics.compute()
    protocol = metrics.protocol()
    assert (protocol["boxes"], protocol["input"], protocol["decoding"]) == ("ground truth", "64x64", "udp")
    assert protocol["flip test"] is True


@pytest.mark.slow
def test_what_the_network_sees_and_thinks_of_a_person_can_be_looked_at(make_task, shared_folder, read_coco, loading):
    task = make_task(channels="bgr")
    task.model.eval()
    crops = task.batches(read_coco(shared_folder), False, loading(4), torch.device("cpu"))
    crop, heatmaps = task.metrics().look(2)
    batch = crops.batch(np.array([2]))
    expected = task.normalization.apply(torch.from_numpy(crop)[None])
    torch.testing.assert_close(expected, batch["image"], atol=1e-5, rtol=0)
    with torch.no_grad():
        keypoints, _ = task.coding.decode(torch.from_numpy(heatmaps)[None] * task.coding.peak)
        found = task.predict(batch)["keypoints"]
    torch.testing.assert_close(transform(keypoints, batch["to_image"]), found, atol=1e-3, rtol=0)


def test_the_protocol_is_told_before_the_first_score(make_task, shared_folder, read_coco, loading, caplog):
    caplog.set_level("INFO")
    make_task().batches(read_coco(shared_folder), False, loading(4), torch.device("cpu"))
    told = (
        "ap is measured under: boxes ground truth, people 7, dataset coco, input 64x64, flip test True, decoding udp."
    )
    assert told in caplog.messages


def test_starting_weights_are_loaded_for_training_only(
    make_task, small_model, shared_folder, read_coco, loading, tmp_path
):
    donor = small_model()
    torch.save(donor.state_dict(), tmp_path / "w.pth")
    task = make_task(weights=str(tmp_path / "w.pth"))
    before = task.model.conv1.weight.clone()
    task.batches(read_coco(shared_folder), False, loading(4), torch.device("cpu"))
    assert torch.equal(task.model.conv1.weight, before)
    task.batches(read_coco(shared_folder), True, loading(4), torch.device("cpu"))
    assert torch.equal(task.model.conv1.weight, donor.conv1.weight)


def test_the_cache_is_used_in_training(make_task, shared_folder, read_coco, loading, tmp_path):
    task = make_task(cache=str(tmp_path / "cache"), cache_size=64)
    list(task.batches(read_coco(shared_folder), True, loading(4), torch.device("cpu")).epoch(0))
    assert next((tmp_path / "cache").glob("*.pixels")).stat().st_size == 12 * 64 * 64 * 3


def test_head_sizes_are_needed_for_pckh(make_task, shared_folder, read_coco, loading):
    task = make_task(metric="pckh")
    task.batches(read_coco(shared_folder), False, loading(4), torch.device("cpu"))
    with pytest.raises(ValueError, match=r"task.metric=pckh needs head boxes, which only dataset=mpii has"):
        task.metrics()
    assert task.monitor == "pckh"


def test_what_does_not_fit_is_refused(make_task, small_model, shared_folder, read_coco, loading, conf):
    with pytest.raises(ValueError, match=r"5 keypoints, coco's skeleton coco_17 has 17. Set model.num_keypoints=17"):
        make_task(small_model(num_keypoints=5)).batches(read_coco(shared_folder), True, loading(4), torch.device("cpu"))
    with pytest.raises(ValueError, match=r"ap or pckh, got oks"):
        make_task(metric="oks")
    with pytest.raises(ValueError, match=r"evaluation batches made last, and none were made"):
        make_task().metrics()
    wrong = small_model()
    wrong.io.outputs.clear()
    wrong.io.outputs["joints"] = ("B", 17, 3)
    with pytest.raises(ValueError, match=r"output 'heatmaps'; SimpleBaseline gives 'joints'"):
        make_task(wrong)
    with pytest.raises(TypeError, match=r"wobble"):
        make_task(augment=conf("task/topdown2d")["augment"] | {"wobble": 1})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"padding": 0}, "task.padding must be a number above 0 and at most 100, got 0"),
        ({"padding": math.nan}, "task.padding must be a number above 0 and at most 100, got nan"),
        ({"loss_factor": -1}, "task.loss_factor must be a number above 0, got -1"),
        ({"l2": "much"}, "task.l2 must be a number 0 or more, got 'much'"),
        ({"nms_threshold": 7}, "task.nms_threshold must be a number 0 or more and at most 1, got 7"),
        ({"cache_size": 0}, "task.cache_size must be a number 1 or more"),
        ({"keep_images": -1}, "task.keep_images must be a number 0 or more, got -1"),
    ],
)
def test_a_task_is_not_built_with_numbers_that_cannot_be(make_task, changes, words):
    with pytest.raises(ValueError, match=words):
        make_task(**changes)
