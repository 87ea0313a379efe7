"""Every command that a header of conf/ names: its options compose, and its classes take what they are given.

An experiment that sets something of its own dataset's would hand it to any other, too; only building shows it.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from anypose.engine import run
from anypose.engine.task import Loading
from tests.pose2d.conftest import write_people
from tests.pose3d.dataset import test_coco_legacy

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
assert run.PACKAGE.parent == ROOT  # importing it registers the resolver that train.yaml uses
_COMMAND = re.compile(r"^#.*?python (train|evaluate|export|predict)\.py (.+)$", re.MULTILINE)
HEADERS = [
    pytest.param(
        script,
        words,
        id=f"{path.stem}-{script}-{number}",
        # A command that exchanges a dataset is where one's settings meet another's class.
        marks=() if " dataset=" in words else pytest.mark.slow,
    )
    for path in sorted(CONF.rglob("*.yaml"))
    for number, (script, words) in enumerate(
        _COMMAND.findall(re.sub(r"\\\n#\s*", " ", path.read_text(encoding="utf-8")))
    )
    if "..." not in words
]
BROUGHT = {"task": {"model"}, "optimizer": {"params", "fused"}}  # by the scripts and the trainer


def composed(script: str, words: list[str]) -> DictConfig:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return compose(script, [word.lstrip("+") if word.startswith("++") else word for word in words])


def takes(node: Any, brought: set[str], where: str) -> None:
    """Bind the settings of a node, and of those inside it, to the class that it names."""
    if not isinstance(node, dict):
        return
    for name, child in node.items():
        takes(child, set(), f"{where}.{name}")
    if "_target_" in node:
        module, _, name = node["_target_"].rpartition(".")
        target = getattr(importlib.import_module(module), name)
        if target.__module__.split(".")[0] not in ("anypose", "pose2d", "pose3d"):
            return
        parameters = inspect.signature(target).parameters
        given = {key for key in node if not key.startswith("_")}
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            return
        assert given <= parameters.keys(), f"{where}: {name} does not take {given - parameters.keys()}"
        needed = {key for key, parameter in parameters.items() if parameter.default is parameter.empty}
        assert needed <= given | brought, f"{where}: {name} lacks {needed - given}"


@pytest.mark.slow
@pytest.mark.parametrize(("script", "words"), HEADERS)
def test_what_a_header_says_composes_and_its_classes_take_it(script: str, words: str) -> None:
    options = [word for word in shlex.split(words, comments=True) if "=" in word]
    options = [word for word in options if not word.startswith(("-", "checkpoint=", "output=", "hydra"))]
    if "-m" in words.split():  # the first job of a sweep
        options = [re.sub(r"=([^,\[{]+),.*", r"=\1", word) for word in options]
    cfg = OmegaConf.to_container(composed(script, options), resolve=False)
    assert isinstance(cfg, dict)
    for group in ("model", "dataset", "task", "optimizer", "schedule"):
        takes(cfg.get(group), BROUGHT.get(group, set()), group)


def test_there_are_commands_in_the_headers() -> None:
    assert len(HEADERS) > 20


SMALL = ["device=cpu", "precision=fp32", "trainer.workers=0"]
FIELDS = ["task.size=64", "task.evaluation_size=64", "task.baseline=0", "model.width=0.125", "model.num_stages=2"]
CROPS = ["model.depth=18", "model.height=64", "model.width=64", "task.weights=null"]


def coco(root: Path) -> None:
    for seed, split in enumerate(("train2017", "val2017")):
        write_people(root, 4, split, seed)
        path = root / "annotations" / f"person_keypoints_{split}.json"
        outline = '"segmentation": [[1, 1, 60, 1, 60, 60]], "iscrowd"'
        path.write_text(path.read_text(encoding="utf-8").replace('"iscrowd"', outline), encoding="utf-8")


IMAGES = {
    "total_capture_seed coco": (coco, ["model=total_capture", "experiment=total_capture_seed", *FIELDS]),
    "total_capture_seed coco_legacy": (
        test_coco_legacy.write_files,
        ["model=total_capture", "experiment=total_capture_seed", "dataset=coco_legacy", *FIELDS],
    ),
    "total_capture coco": (coco, ["model=total_capture", "dataset=coco", *FIELDS]),
    **{
        f"simplebaseline_coco_{name} coco": (
            coco,
            ["model=simplebaseline", f"experiment=simplebaseline_coco_{name}", *CROPS],
        )
        for name in ("mks", "modern", "msra")
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", IMAGES)
def test_an_experiment_on_images_trains_and_scores_with_every_dataset_that_names_it(name: str, tmp_path: Path) -> None:
    make, options = IMAGES[name]
    make(tmp_path)
    boxes = ["dataset.boxes=ground_truth"] if "simplebaseline" in name else []
    cfg = composed("train", [*options, *boxes, *SMALL, f"dataset.root={tmp_path}"])
    task = instantiate(cfg.task, model=instantiate(cfg.model))
    dataset = instantiate(cfg.dataset)
    device = torch.device("cpu")
    loss, _ = task.loss(next(iter(task.batches(dataset, True, Loading(2, seed=0), device).epoch(0))))
    assert torch.isfinite(loss)
    task.model.eval()
    batches, metrics = task.batches(dataset, False, Loading(2, seed=0, drop_last=False), device), task.metrics()
    with torch.no_grad():
        for batch in batches.epoch(0):
            metrics.update(task.predict(batch), batch)
    assert task.monitor in metrics.compute()
