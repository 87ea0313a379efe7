"""Every recipe of conf/recipe, found by its file: trains on what comes with the project, is saved, and comes back."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.utils.data import DataLoader

from anypose.engine import checkpoint
from anypose.engine.distributed import World
from anypose.engine.evaluation import evaluate
from anypose.engine.restore import build_task
from anypose.engine.run import Run
from anypose.engine.task import Batch, Loading
from anypose.engine.trainer import Trainer
from anypose.kernels.swap import Kernels
from tests.composing import composed

CONF = Path(__file__).resolve().parents[1] / "conf"
RECIPES = sorted(path.stem for path in (CONF / "recipe").glob("*.yaml"))
QUICK = ("baseline3d", "videopose3d")
SMALL = {  # a few samples of whatever dataset the recipe picks
    "dataset.train_subjects": 1, "dataset.validation_subjects": 1, "dataset.frames": 60,
    "dataset.num_cameras": 1, "dataset.takes": 1, "dataset.invented.num_cameras": 1, "dataset.invented.takes": 1,
    "dataset.invented.train_subjects": 1, "dataset.invented.validation_subjects": 1, "dataset.invented.frames": 60,
    "dataset.train_images": 8, "dataset.validation_images": 4, "dataset.bodies": 4, "trainer.workers": 0,
    "model.height": 64, "model.width": 64, "model.linear_size": 128, "task.size": 48,
}  # fmt: skip
SHALLOW = {"motionagformer": ["model.num_blocks=2", "model.num_frames=6", "task.subset=1.0", "task.train_step=6"]}


def small(model: str, *overrides: str) -> DictConfig:
    chosen = {word.partition("=")[0] for word in overrides}
    usual = [word for word in ("device=cpu", "precision=fp32") if word.partition("=")[0] not in chosen]
    cfg = composed("train", f"model={model}", *SHALLOW.get(model, []), *usual, "debug=smoke", *overrides)
    for key, value in SMALL.items():
        if isinstance(OmegaConf.select(cfg, key), int):
            OmegaConf.update(cfg, key, value)
    cfg.trainer.batch_size = min(cfg.trainer.batch_size, 4 if "train_images" in cfg.dataset else 8)
    cfg.trainer.max_steps = 2
    cfg.trainer.evaluation_batches = None  # all of the little there is
    cfg.optimizer.lr = min(cfg.optimizer.lr, 1e-3)  # a recipe's rate is for its whole batches
    return cfg


def make_trainer(cfg: DictConfig, folder: Path) -> Trainer:
    device = instantiate(cfg.device)
    device.seed(cfg.seed)
    config = OmegaConf.to_container(cfg, resolve=True)
    world = World(device)
    return Trainer(
        task=instantiate(cfg.task, model=instantiate(cfg.model)),
        dataset=instantiate(cfg.dataset),
        optimizer=instantiate(cfg.optimizer),
        schedule=instantiate(cfg.schedule),
        precision=instantiate(cfg.precision),
        device=device,
        world=world,
        run=Run(folder, config, {"model": "x"}, [], writes=world.rank == 0),  # pyright: ignore[reportArgumentType]
        kernels=partial(Kernels, cfg.kernels),
        seed=cfg.seed,
        **cfg.trainer,
    )


def score(state: dict[str, Any], batch_size: int = 8) -> dict[str, float]:
    """What a checkpoint scores on the CPU."""
    config: Any = OmegaConf.create(state["config"])
    task = build_task(config, state, Path("the checkpoint"))
    loading = Loading(batch_size, config.seed, drop_last=False)
    device = instantiate(OmegaConf.load(CONF / "device" / "cpu.yaml"))
    batches = task.batches(instantiate(config.dataset), False, loading, device.torch)
    return evaluate(task, batches, device, World(device))[1]


@pytest.mark.parametrize(
    "recipe", [pytest.param(one, marks=[] if one in QUICK else pytest.mark.slow) for one in RECIPES]
)
def test_a_recipe_trains_lowers_its_loss_and_its_checkpoint_scores_the_same(recipe, tmp_path):
    cfg = small(recipe)
    trainer = make_trainer(cfg, tmp_path)
    batch = next(iter(trainer.batches.epoch(0)))
    losses = []
    for _ in range(3):
        trainer.device.seed(1)  # the same dropout every time
        for group in trainer.optimizer.param_groups:
            group["lr"] = cfg.optimizer.lr / 10  # downhill is the question, not how far at once
        trainer.model.train()
        losses.append(float(trainer.train_step(batch)[0]))
    assert losses[-1] < losses[0], losses

    best = trainer.fit()
    state = checkpoint.load(tmp_path / "best.pt")
    assert score(state, cfg.trainer.batch_size)[trainer.task.monitor] == pytest.approx(best, rel=1e-6)


def of_images(recipe: str) -> bool:
    """Its dataset is of pictures: told from the files, for a composition takes a quarter of a second."""
    chosen = OmegaConf.load(CONF / "recipe" / f"{recipe}.yaml").defaults
    (dataset,) = [choice["/dataset"] for choice in chosen if "/dataset" in choice]
    return "train_images" in OmegaConf.load(CONF / "dataset" / f"{dataset}.yaml")


OF_IMAGES = [recipe for recipe in RECIPES if of_images(recipe)]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", OF_IMAGES)
def test_workers_that_inherit_nothing_give_the_same_batches(recipe, tmp_path):
    """macOS and Windows start processes by `spawn`: what a worker needs is sent to it."""
    batches: Any = make_trainer(small(recipe), tmp_path).batches
    batches = getattr(batches, "crops", batches)
    given = {key: getattr(batches.loader, key) for key in ("dataset", "sampler", "collate_fn", "worker_init_fn")}
    spawned = DataLoader(**given, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    torch.testing.assert_close(next(iter(spawned)), next(iter(batches.loader)), rtol=0, atol=0)


def by_precision(*levels: str) -> list:
    """Every recipe with every level; those that take minutes are marked."""
    return [
        pytest.param(recipe, level, marks=[] if recipe == "baseline3d" else [pytest.mark.slow])
        for recipe in RECIPES
        for level in levels
    ]


def first_losses(trainer: Trainer, steps: int) -> list[float]:
    """Of the first steps, each on the same batch, without dropout."""
    trainer.model.train()
    for module in trainer.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    batch = next(iter(trainer.batches.epoch(0)))
    found = []
    for step in range(steps):
        trainer.schedule.set_rate(trainer.optimizer, step, 0)
        found.append(float((trainer.captured or trainer.train_step)(batch)[0]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "level"), by_precision("bf16", "o1", "o2"))
def test_every_precision_learns_what_fp32_learns(recipe, level, tmp_path):
    reference = first_losses(make_trainer(small(recipe), tmp_path / "fp32"), 5)
    # A fixed scale: the dynamic one begins so large that it skips the first steps.
    scaled = ["precision.loss_scale=16"] if level in ("o1", "o2") else []
    curve = first_losses(make_trainer(small(recipe, f"precision={level}", *scaled), tmp_path / level), 5)
    scale = max(map(abs, reference))
    assert curve == pytest.approx(reference, rel=0, abs=(0.05 if level == "bf16" else 0.02) * scale)


@pytest.mark.parametrize(
    "device", [pytest.param("cuda", marks=pytest.mark.cuda), pytest.param("npu", marks=pytest.mark.npu)]
)
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("level", ["fp32", "o1", "o2"])
@pytest.mark.parametrize("capture", ["never", "auto"])
def test_real_hardware_learns_what_the_cpu_learns(recipe, level, capture, device, tmp_path):
    """`pytest -m cuda`, `pytest -m npu`. Rounding differs from device to device, so do losses after a few steps."""
    scaled = ["precision.loss_scale=16"] if level != "fp32" else []
    reference = first_losses(make_trainer(small(recipe), tmp_path / "cpu"), 6)
    exact = {"cuda": ["device.tf32=false"], "npu": ["device.hf32=false"]}[device]
    cfg = small(recipe, f"precision={level}", *scaled, f"device={device}", *exact, f"trainer.capture={capture}")
    trainer = make_trainer(cfg, tmp_path / device)
    curve = first_losses(trainer, 6)
    scale = max(map(abs, reference))
    assert curve == pytest.approx(reference, rel=0, abs=(0.01 if level == "fp32" else 0.05) * scale)
    if capture == "auto":
        assert trainer.captured is not None
        assert not trainer.captured.failed
    trainer.device.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker")  # of one core
@pytest.mark.parametrize("recipe", OF_IMAGES)
def test_with_workers_an_interrupted_run_of_images_goes_on_bit_for_bit(recipe, tmp_path):
    """In the middle of an epoch, with batches in the workers' hands; the uninterrupted run has none."""

    def trained(folder: str, workers: int) -> Trainer:
        cfg = small(recipe, "trainer.ema=0.9", "task.augment.colour=0.2")
        cfg.trainer.update({"workers": workers, "max_steps": None, "epochs": 2, "batch_size": 2})
        return make_trainer(cfg, tmp_path / folder)

    whole = trained("whole", workers=0)
    whole.fit()
    parts = trained("parts", workers=2)
    stop = len(parts.batches) + 2
    step = parts.train_step

    def interrupted(batch: Batch) -> Tensor:
        if parts.step == stop - 1:
            signal.raise_signal(signal.SIGTERM)
        return step(batch)

    parts.train_step = interrupted
    with pytest.raises(SystemExit):
        parts.fit()
    resumed = trained("parts", workers=2)
    resumed.resume(tmp_path / "parts" / "last.pt")
    assert (resumed.done.epoch, resumed.done.batch) == (1, 2)
    assert len(resumed.batches) > 3
    resumed.fit()
    states = [checkpoint.load(tmp_path / folder / "last.pt") for folder in ("whole", "parts")]
    for part in ("model", "trained", "optimizer", "metrics", "rng", "best"):
        torch.testing.assert_close(states[0][part], states[1][part], rtol=0, atol=0)
