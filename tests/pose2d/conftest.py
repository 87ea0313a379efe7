"""A small world for the 2D tests: a few generated JPEGs with people, settings as the YAML files have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from omegaconf import OmegaConf

from pose2d.dataset.coco import Coco
from pose2d.model.simplebaseline import SimpleBaseline
from pose2d.task.topdown2d import TopDown2D


@dataclass(frozen=True)
class Load:
    """What `anypose.engine.task.Loading` holds, without the engine."""

    batch_size: int
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    workers: int = 0
    drop_last: bool = True


@pytest.fixture(scope="session")
def loading() -> type[Load]:
    return Load


@pytest.fixture(scope="session")
def conf(repository: Path) -> Callable[[str], dict[str, Any]]:
    """`conf("task/topdown2d")`: the values of a YAML file, without `_target_`."""

    def read(name: str) -> dict[str, Any]:
        values = OmegaConf.to_container(OmegaConf.load(repository / "conf" / f"{name}.yaml"))
        assert isinstance(values, dict)
        values.pop("_target_", None)
        return values

    return read


@pytest.fixture(scope="session")
def small_model(conf) -> Callable[..., SimpleBaseline]:
    """A ResNet-18 pose network for 64x64 crops."""

    def make(**changes: Any) -> SimpleBaseline:
        small = {"depth": 18, "height": 64, "width": 64}
        return SimpleBaseline(**(conf("model/simplebaseline") | small | changes))

    return make


@pytest.fixture(scope="session")
def make_task(conf, small_model) -> Callable[..., TopDown2D]:
    """The task of conf/task/topdown2d.yaml around the small model, with some settings changed."""

    def make(model: SimpleBaseline | None = None, **changes: Any) -> TopDown2D:
        return TopDown2D(model or small_model(), **(conf("task/topdown2d") | changes))

    return make


def write_people(root: Path, images: int = 6, split: str = "train2017", seed: int = 0) -> dict[str, Any]:
    """JPEGs of noise with one to three "people" each, in COCO's layout; returns the annotations written."""
    rng = np.random.default_rng(seed)
    (root / split).mkdir(parents=True)
    (root / "annotations").mkdir(exist_ok=True)
    listed, annotations = [], []
    for i in range(images):
        height, width = int(rng.integers(90, 160)), int(rng.integers(90, 200))
        coarse = rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        listed.append({"id": 100 + i, "file_name": f"{i:03d}.jpg", "height": height, "width": width})
        for _ in range(1 + i % 3):
            low = rng.uniform([0, 0], [width - 50, height - 60])
            size = rng.uniform(30, 60, 2)
            points = low + rng.random((17, 2)) * size
            flags = rng.choice([0, 1, 2, 2, 2], 17)
            keypoints = np.column_stack([points * (flags > 0)[:, None], flags])
            for x, y, flag in keypoints:
                if flag:
                    cv2.circle(image, (int(x), int(y)), 2, (255, 255, 255), -1)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 100 + i,
                    "category_id": 1,
                    "iscrowd": 0,
                    "num_keypoints": int((flags > 0).sum()),
                    "keypoints": keypoints.ravel().tolist(),
                    "bbox": [*low.tolist(), *size.tolist()],
                    "area": float(size.prod() * 0.6),
                }
            )
        cv2.imwrite(str(root / split / f"{i:03d}.jpg"), image)
    truth = {"images": listed, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (root / "annotations" / f"person_keypoints_{split}.json").write_text(json.dumps(truth), encoding="utf-8")
    return truth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A writable folder of generated people, split train2017 and val2017."""
    write_people(tmp_path, 6, "train2017", seed=0)
    write_people(tmp_path, 4, "val2017", seed=1)
    return tmp_path


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `folder`, for tests that change nothing in it."""
    root = tmp_path_factory.mktemp("people")
    write_people(root, 6, "train2017", seed=0)
    write_people(root, 4, "val2017", seed=1)
    return root


@pytest.fixture(scope="session")
def read_coco(conf) -> Callable[..., Coco]:
    def read(root: Path, **changes: Any) -> Coco:
        return Coco(**(conf("dataset/coco") | {"root": str(root)} | changes))

    return read
