"""Batches of crops: the same for any number of workers, resumable, honest about what cannot be read."""

import logging
import pickle

import numpy as np
import pytest
import torch

from pose2d.images.affine import warp_one
from pose2d.images.augment import Augmentation
from pose2d.images.crops import CropRules, Crops, CropSource
from pose2d.images.image import IMAGENET_MEAN, IMAGENET_STD, Normalization

RULES = {"size": (64, 48), "padding": 1.25, "aligned": False, "reduced_decode": False, "unreadable": "stop"}
NORMALIZATION = Normalization("rgb", IMAGENET_MEAN, IMAGENET_STD)


@pytest.fixture(scope="module")
def augmentation(conf):
    return Augmentation(**(conf("task/topdown2d")["augment"] | {"colour": 0.1}))


@pytest.fixture(scope="module")
def people(shared_folder, read_coco):
    return read_coco(shared_folder).people("train")


def make(people, loading, augmentation=None, training=True, shuffle="person", device="cpu", **rules):
    return Crops(
        people,
        CropRules(**(RULES | rules)),
        NORMALIZATION,
        augmentation,
        training,
        loading,
        torch.device(device),
        shuffle,
    )


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert torch.equal(a[name], b[name]), name


def test_batches_are_the_same_for_any_number_of_workers_and_resume_in_the_middle(people, loading, augmentation):
    alone = make(people, loading(3), augmentation)
    helped = make(people, loading(3, workers=2), augmentation)
    whole = list(alone.epoch(4))
    assert len(whole) == len(alone) == 4
    assert_same(list(helped.epoch(4)), whole)
    assert_same(list(helped.epoch(4, start=2)), whole[2:])
    other = list(alone.epoch(5))
    assert not torch.equal(other[0]["index"], whole[0]["index"])
    assert sorted(torch.cat([b["index"] for b in whole]).tolist()) == list(range(12))


def test_workers_can_be_started_afresh_as_macos_and_windows_do(people, loading, augmentation):
    batches = make(people, loading(3), augmentation)
    sent = pickle.dumps((batches.source, batches.loader.collate_fn, batches.loader.worker_init_fn))
    source, rows = pickle.loads(sent)[0], np.arange(3)
    assert_same([batches._prepare(source[0, rows])], [batches.batch(rows)])


def test_walking_an_epoch_leaves_the_global_generators_alone(people, loading, augmentation):
    before, state = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    list(make(people, loading(4, workers=1), augmentation).epoch(0))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_crops_equal_the_plain_path(people, loading, augmentation):
    """Image by image with OpenCV: read, warp, normalise; keypoints under the same matrix, sides exchanged."""
    batch = next(make(people, loading(12), augmentation.__class__(**vars(augmentation) | {"colour": 0.0})).epoch(0))
    mirrored = 0
    for row, index in enumerate(batch["index"].tolist()):
        matrix = batch["to_image"][row].double().numpy()
        image = people.images.read(int(people.image[index]))
        expected = (warp_one(image, matrix, (64, 48)) - np.array(IMAGENET_MEAN)) / IMAGENET_STD
        assert np.abs(batch["image"][row].permute(1, 2, 0).numpy() - expected).max() < 1.01 / 57
        visible = batch["visibility"][row].numpy() > 0
        points = batch["keypoints"][row].numpy() @ matrix[:, :2].T + matrix[:, 2]
        flipped = np.linalg.det(matrix[:, :2]) < 0
        order = list(people.skeleton.flip_index) if flipped else list(range(17))
        np.testing.assert_array_equal(visible, people.visibility[index][order] > 0)
        np.testing.assert_allclose(points[visible], people.keypoints[index][order][visible], atol=1e-3)
        mirrored += flipped
    assert 0 < mirrored < 12


def test_the_accelerators_path_gives_the_same_crops(people, loading, augmentation):
    rules = CropRules(**RULES)
    job = (1, np.arange(len(people)))
    warped = CropSource(people, rules, augmentation, 0, warp_here=True)[job]
    windows = CropSource(people, rules, augmentation, 0, warp_here=False)[job]
    crops = make(people, loading(12), augmentation)
    ours, theirs = crops._prepare(windows), crops._prepare(warped)
    assert (ours["image"] - theirs["image"]).abs().max() * 57 < 0.8  # half a level, times a colour gain of up to 1.21
    assert torch.equal(ours["keypoints"], theirs["keypoints"])


def test_evaluation_keeps_the_order_and_drops_nobody(people, loading):
    batches = list(make(people, loading(5), training=False).epoch(0))
    assert [len(b["index"]) for b in batches] == [5, 5, 2]
    assert torch.cat([b["index"] for b in batches]).tolist() == list(range(12))
    first = batches[0]["keypoints"][0][people.visibility[0] > 0]
    assert (first > -1).all()
    assert (first < torch.tensor([49.0, 65.0])).all()


@pytest.mark.parametrize("training", [True, False])
def test_processes_share_an_epoch_without_overlap(people, loading, training):
    shares = []
    for rank in range(2):
        crops = make(people, loading(3, rank=rank, world_size=2), training=training)
        assert len(crops) == 2
        shares.append(torch.cat([b["index"] for b in crops.epoch(0)]).tolist())
    assert sorted(shares[0] + shares[1]) == list(range(12))


def test_uneven_shares_are_filled_up_so_that_every_process_has_as_many(people, loading):
    shares = [
        torch.cat([b["index"] for b in make(people, loading(3, rank=rank, world_size=5, drop_last=False)).epoch(0)])
        for rank in range(5)
    ]
    assert [len(share) for share in shares] == [3] * 5
    assert sorted(set(torch.cat(shares).tolist())) == list(range(12))


def test_the_last_batch_is_filled_up_so_that_every_process_takes_every_step(people, loading):
    sizes = [
        [len(b["index"]) for b in make(people, loading(5, rank=rank, world_size=2, drop_last=False)).epoch(0)]
        for rank in range(2)
    ]
    assert sizes == [[6], [6]]  # a single one that is left over joins the batch before it


def test_shuffling_by_image_keeps_people_of_an_image_together(people, loading):
    rows = torch.cat([b["index"] for b in make(people, loading(4), shuffle="image").epoch(0)])
    images = people.image[rows.numpy()]
    assert len(np.flatnonzero(np.diff(images))) + 1 == len(people.images)
    assert images.tolist() != sorted(images)


def test_every_image_is_decoded_once_when_people_adjoin(people, loading, monkeypatch):
    reads = []
    read = type(people.images).read
    monkeypatch.setattr(type(people.images), "read", lambda self, i, r=1: reads.append(i) or read(self, i, r))
    list(make(people, loading(12), training=False).epoch(0))
    assert sorted(reads) == list(range(6))


def test_reduced_decoding_shows_the_same_picture(people, loading):
    """At a quarter of the resolution OpenCV's crop of the full image is the reference, softened alike."""
    plain, reduced = (
        next(make(people, loading(12), training=False, size=(32, 32), reduced_decode=r, padding=6.0).epoch(0))
        for r in (False, True)
    )
    sizes = np.abs(np.linalg.det(plain["to_image"][:, :, :2].numpy())) ** 0.5
    assert (sizes >= 4).all()

    def soften(image):
        return torch.nn.functional.avg_pool2d(image, 4, stride=1)

    difference = (soften(plain["image"]) - soften(reduced["image"])).abs() * 57
    shifted = (soften(plain["image"])[..., 1:] - soften(reduced["image"])[..., :-1]).abs() * 57
    assert difference.mean() < 4
    assert difference.mean() < 0.5 * shifted.mean()


def test_an_unreadable_image_stops_or_is_blank_named_and_counted(folder, read_coco, loading, caplog):
    people = read_coco(folder).people("train")
    broken = folder / "train2017" / "002.jpg"
    broken.write_bytes(broken.read_bytes()[:700])
    with pytest.raises(ValueError, match=r"002.jpg is a JPEG cut off after 700 bytes"):
        list(make(people, loading(12)).epoch(0))
    (folder / "train2017" / "004.jpg").unlink()
    crops = make(people, loading(12), unreadable="blank")
    with caplog.at_level(logging.WARNING):
        batch = next(crops.epoch(0))
        next(crops.epoch(1))
    lost = np.isin(people.image[batch["index"].numpy()], [2, 4])
    assert lost.sum() == 5
    assert (batch["visibility"].numpy()[lost] == 0).all()
    black = -torch.tensor(IMAGENET_MEAN) / torch.tensor(IMAGENET_STD)
    assert torch.allclose(batch["image"][torch.from_numpy(lost)], black[:, None, None])
    assert [path[-7:] for path in sorted(crops.unreadable)] == ["002.jpg", "004.jpg"]
    assert sum("cannot be read" in message for message in caplog.messages) == 2


def test_too_large_a_batch_names_both_numbers(people, loading):
    with pytest.raises(ValueError, match=r"12 people to train on, fewer than a batch of trainer.batch_size=20 on 1"):
        make(people, loading(20))


def test_wrong_settings_are_refused(people, loading):
    with pytest.raises(ValueError, match="stop or blank, got skip"):
        CropRules(**(RULES | {"unreadable": "skip"}))
    with pytest.raises(ValueError, match="person or image, got box"):
        make(people, loading(4), shuffle="box")
