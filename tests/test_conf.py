"""The configuration mirrors the code, both ways, and every option composes."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from anypose.engine import run
from anypose.engine.settings import check_settings

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
assert run.PACKAGE.parent == ROOT  # importing it registers the resolver that train.yaml uses

PRIMARY = sorted(path.stem for path in CONF.glob("*.yaml"))
OPTIONS = sorted(path.relative_to(CONF).with_suffix("").as_posix() for path in CONF.glob("*/*.yaml"))
CHOICES = [option for option in OPTIONS if option.split("/")[0] in ("model", "dataset", "task")]
PROTOCOLS = [option for option in OPTIONS if option.split("/")[0] in ("recipe", "experiment")]
WHOLE = [option for option in PROTOCOLS if not option.endswith("_cpu")]  # as published, not made small for a CPU
BROUGHT = {"engine", "pose2d", "pose3d"}  # packages whose classes the configuration builds
GIVEN = {"task": {"model"}, "optimizer": {"params", "fused"}}  # arguments that the entry scripts and the trainer bring


@pytest.fixture(autouse=True)
def conf() -> Iterator[None]:
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        yield


def read(option: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / f"{option}.yaml").read_text(encoding="utf-8")) or {}


def target_of(option: str) -> Any:
    module, _, name = read(option)["_target_"].rpartition(".")
    return getattr(importlib.import_module(module), name)


def composed(config: str, *overrides: str) -> DictConfig:
    cfg = compose(config, list(overrides))
    OmegaConf.to_container(cfg, resolve=True)  # every interpolation has a value
    return cfg


def same_settings(after: Any, before: Any) -> bool:
    """Equal, but for single values that stand for a list of one."""
    if isinstance(after, dict) and isinstance(before, dict):
        return after.keys() == before.keys() and all(same_settings(after[key], before[key]) for key in after)
    return after == before or after == [before]


def of_their_kind(cfg: DictConfig, command: str) -> bool:
    """Whether every setting is of the kind that its class takes, as it stands."""
    before = OmegaConf.to_container(cfg)
    check_settings(cfg, command)
    return same_settings(OmegaConf.to_container(cfg), before)


@pytest.mark.parametrize("config", PRIMARY)
def test_every_command_composes_as_it_stands(config):
    cfg = composed(config)
    assert config not in ("train", "evaluate", "export") or of_their_kind(cfg, config)


@pytest.mark.slow
@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_its_settings_are_of_their_kind(option):
    group, _, name = option.partition("/")
    if group == "hydra":
        pytest.skip("Hydra's own groups lie one folder deeper")
    if group == "recipe":
        group = "model"  # which a recipe goes with, by its name
    assert of_their_kind(composed("train", f"{group}={name}"), "train")


@pytest.mark.parametrize("group", ["model", "dataset", "task"])
def test_a_choice_is_a_file_in_the_code_and_a_file_in_conf(group):
    code = {path.stem for package in ("pose2d", "pose3d") for path in (ROOT / package / group).glob("[!_]*.py")}
    conf = {path.stem for path in (CONF / group).glob("*.yaml")}
    assert code == conf, f"without YAML: {code - conf}; without code: {conf - code}"


@pytest.mark.parametrize("option", CHOICES)
def test_the_target_of_a_choice_lies_in_the_file_of_its_name(option):
    group, _, name = option.partition("/")
    assert re.fullmatch(rf"pose[23]d\.{group}\.{name}\.\w+", read(option)["_target_"])


@pytest.mark.parametrize("option", [option for option in OPTIONS if "_target_" in read(option)])
def test_a_value_has_one_home(option):
    """The YAML sets every argument of its class, and the class has no default for any of them."""
    values = {key for key in read(option) if key not in ("_target_", "_partial_", "_recursive_", "defaults")}
    target = target_of(option)
    if target.__module__.split(".")[0] not in BROUGHT:
        return
    arguments = inspect.signature(target).parameters
    takes_any = any(argument.kind is argument.VAR_KEYWORD for argument in arguments.values())
    given = GIVEN.get(option.split("/")[0], set())
    named = {name for name, argument in arguments.items() if argument.kind is not argument.VAR_KEYWORD}
    assert not values - named or takes_any, f"conf/{option}.yaml sets what {target.__name__} does not take"
    assert not named - values - given, f"{target.__name__} takes what conf/{option}.yaml does not set"
    twice = {name for name in values & named if arguments[name].default is not inspect.Parameter.empty}
    assert not twice, f"{twice} have a default in {target.__name__} and a value in conf/{option}.yaml"


def test_the_trainers_settings_have_one_home():
    from anypose.engine.trainer import Trainer

    keywords = [p for p in inspect.signature(Trainer).parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert {p.name for p in keywords} == set(read("trainer/default"))
    assert all(p.default is p.empty for p in keywords)


def test_a_file_names_at_most_one_class_and_never_inside_something():
    def nested(node: Any) -> bool:
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
        return any((isinstance(child, dict) and "_target_" in child) or nested(child) for child in children)

    callbacks = CONF / "hydra" / "callbacks"  # Hydra wants a name around each
    offenders = [
        path.relative_to(CONF).as_posix()
        for path in CONF.rglob("*.yaml")
        if path.parent != callbacks and nested(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    ]
    assert not offenders


def test_every_model_has_a_recipe_and_every_recipe_a_model():
    recipes, models = ({path.stem for path in (CONF / group).glob("*.yaml")} for group in ("recipe", "model"))
    assert recipes == models


@pytest.mark.parametrize("option", PROTOCOLS)
def test_a_recipe_begins_with_its_command_and_the_result_to_expect(option):
    group, _, name = option.partition("/")
    lines = (CONF / f"{option}.yaml").read_text(encoding="utf-8").splitlines()
    header = []
    for line in lines:
        if not line.startswith("#"):
            break
        header.append(line)
    text = "\n".join(header)
    assert header[0] == "# @package _global_"
    choice = f"experiment={name}" if group == "experiment" else f"model={name}"
    assert re.search(rf"^#   python train\.py .*\b{choice}\b", text, re.MULTILINE), text
    assert re.search(r"\b(Expect|Measured)\b.*\d", text), "the header must say which number to expect"


def test_debug_shrinks_what_stands_above_and_the_command_line_wins():
    assert composed("train", "debug=smoke").trainer.max_steps == 4
    assert composed("train", "debug=smoke", "trainer.max_steps=9").trainer.max_steps == 9


def test_slurm_is_ready():
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    cfg = compose("train", ["hydra/launcher=slurm", "hydra.launcher.partition=gpu"], return_hydra_config=True)
    launcher = cfg.hydra.launcher
    assert (launcher.nodes, launcher.tasks_per_node, launcher.partition) == (1, 8, "gpu")
    assert launcher._target_.endswith("SlurmLauncher")


def test_misspelt_keys_and_options_are_refused():
    with pytest.raises(HydraException, match=r"Could not override 'trainer\.epohcs'"):
        compose("train", ["trainer.epohcs=3"])
    with pytest.raises(HydraException, match="Could not find 'model/basline3d'"):
        compose("train", ["model=basline3d"])


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_says_what_it_is(option):
    assert (CONF / f"{option}.yaml").read_text(encoding="utf-8").startswith("# "), "the first line is a comment"


@pytest.mark.parametrize("option", [option for option in WHOLE if re.search("/(baseline3d|gmh_mdn)_h36m", option)])
def test_published_protocols_are_free_of_what_the_embedded_recipe_changes(option):
    """An experiment lies on top of its model's recipe, which is tuned for minutes on a CPU."""
    name = option.removeprefix("experiment/")
    cfg = composed("train", f"model={name.split('_h36m')[0]}", f"experiment={name}")
    assert (cfg.model.dropout, cfg.task.flip_augment) == (0.5, False)
    assert (cfg.trainer.batch_size, cfg.trainer.epochs, cfg.optimizer.lr) == (64, 200, 1e-3)
    assert (cfg.schedule.decay, cfg.schedule.decay_steps) == (0.96, 100_000)
    if "gmh_mdn" in name:
        assert (cfg.task.distance, cfg.task.temperature, cfg.task.annealing_epochs) == (0, 1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("option", [option for option in WHOLE if re.search("/videopose3d_h(36m|umaneva)", option)])
def test_published_temporal_protocols_are_free_of_it_too(option):
    cfg = composed("train", "model=videopose3d", f"experiment={option.removeprefix('experiment/')}")
    epochs, batch_size, decay = {"humaneva": (1000, 128, 0.996), "semi": (200, 64, 0.98)}.get(
        option.rpartition("_")[2], (80, 1024, 0.95)
    )
    assert (cfg.trainer.epochs, cfg.trainer.batch_size, cfg.schedule.decay) == (epochs, batch_size, decay)
    assert (cfg.model.channels, cfg.model.dropout) == (1024, 0.25)
    assert (cfg.optimizer.lr, cfg.optimizer.amsgrad, cfg.trainer.drop_last) == (1e-3, True, False)
    assert (cfg.schedule.batchnorm_momentum, cfg.task.flip_augment, cfg.task.flip_test) == ([0.1, 0.001], True, True)


@pytest.mark.parametrize("option", [option for option in PROTOCOLS if re.search("/simplebaseline_coco_", option)])
def test_published_protocols_of_images_train_the_published_network(option):
    cfg = composed("train", "model=simplebaseline", f"experiment={option.removeprefix('experiment/')}")
    model = cfg.model
    assert (model.depth, model.trunk_channels, model.deconv_channels) == (50, 64, 256)
    assert (model.height, model.width, cfg.schedule.decay, cfg.optimizer.betas) == (256, 192, 0.1, [0.9, 0.999])


def test_the_seed_of_total_capture_trains_the_published_network():
    cfg = composed("train", "model=total_capture", "experiment=total_capture_seed")
    assert (cfg.model.num_stages, cfg.model.width, cfg.model.norm, cfg.model.init) == (6, 1.0, "none", "xavier")
    assert (cfg.task.size, cfg.task.evaluation_size, cfg.optimizer.betas) == (368, 368, [0.9, 0.999])
