"""Cached crops: pixel for pixel where a person fits, kept over processes, refused where the disk is too small."""

import re
import shutil

import numpy as np
import pytest
import torch

from pose2d.images.augment import Augmentation
from pose2d.images.crop_cache import CropCache
from pose2d.images.crops import CropRules, Crops
from pose2d.images.image import IMAGENET_MEAN, IMAGENET_STD, Normalization

RULES = CropRules((64, 48), 1.25, False, False, "stop")
NORMALIZATION = Normalization("rgb", IMAGENET_MEAN, IMAGENET_STD)


@pytest.fixture
def people(folder, read_coco):
    return read_coco(folder).people("train")


@pytest.fixture(scope="module")
def augmentation(conf):
    calm = {"scale_limit": 0.2, "shift_probability": 0.0, "half_body_probability": 0.0}
    return Augmentation(**(conf("task/topdown2d")["augment"] | calm))


def crops(people, loading, augmentation, patches):
    return Crops(
        *(people, RULES, NORMALIZATION, augmentation, True, loading(6), torch.device("cpu")),
        shuffle="person",
        patches=patches,
    )


def test_people_who_fit_give_the_same_batches_with_and_without_the_cache(people, loading, augmentation, tmp_path):
    cache = CropCache(tmp_path / "cache", people, RULES, 192, augmentation.widest())
    assert (cache.side == 192).all()
    for epoch in range(2):
        plain = list(crops(people, loading, augmentation, None).epoch(epoch))
        cached = list(crops(people, loading, augmentation, cache).epoch(epoch))
        for a, b in zip(plain, cached, strict=True):
            assert torch.equal(a["index"], b["index"])
            assert (a["image"] - b["image"]).abs().max() * 57 < 1.01  # the last bit of a rounded grey level
    assert cache.done.all()


def test_a_full_cache_needs_no_images_any_more(people, loading, augmentation, tmp_path):
    cache = CropCache(tmp_path / "cache", people, RULES, 192, augmentation.widest())
    before = list(crops(people, loading, augmentation, cache).epoch(3))
    shutil.rmtree(people.images.folder)
    again = CropCache(tmp_path / "cache", people, RULES, 192, augmentation.widest())
    assert again.done.all()
    after = list(crops(people, loading, augmentation, again).epoch(3))
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(before, after, strict=True))


def test_larger_people_are_shrunk_by_averaging_to_the_right_place(people, tmp_path):
    cache = CropCache(tmp_path / "cache", people, RULES, 32, 1.0)
    assert (cache.side > 32).all()
    for row in range(len(people)):
        patch, to_patch = cache.patch(row), cache.to_patch[row]
        image = people.images.read(int(people.image[row])).astype(np.float64)
        scale = to_patch[0, 0]
        # A pixel of the patch is the mean of the image under it; take those whose square lies inside the image.
        for column, line in [(16, 16), (10, 20)]:
            low = (np.array([column, line]) - 0.5 - to_patch[:, 2]) / scale
            high = (np.array([column, line]) + 0.5 - to_patch[:, 2]) / scale
            if (low < 0).any() or (high > np.array(image.shape[1::-1]) - 1).any():
                continue
            fine = np.array(
                [
                    image[int(np.floor(y + 0.5)), int(np.floor(x + 0.5))]
                    for y in np.linspace(low[1], high[1], 41)[:-1] + (high[1] - low[1]) / 80
                    for x in np.linspace(low[0], high[0], 41)[:-1] + (high[0] - low[0]) / 80
                ]
            )
            assert np.abs(fine.mean(axis=0) - patch[line, column]).max() < 3


def test_other_boxes_or_sizes_are_another_cache(people, tmp_path):
    stems = {CropCache(tmp_path, people, RULES, size, widest).stem for size in (32, 64) for widest in (1.0, 1.5)}
    assert len(stems) == 4


def test_a_disk_too_small_is_refused_before_the_first_step(people, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1_000_000))
    with pytest.raises(ValueError, match=re.escape("needs 9.4 GB for 12 people of 16192x16192 px and has 0.0 GB")):
        CropCache(tmp_path, people, RULES, 16192, 1.0)
