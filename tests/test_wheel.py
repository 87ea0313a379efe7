"""The wheel alone, in an empty environment and an empty folder: trains, evaluates, exports, lifts an array."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.own_files import write_own

ROOT = Path(__file__).resolve().parents[1]
SMALL = [
    "debug=smoke", "device=cpu", "trainer.batch_size=32", "model.linear_size=32", "dataset.train_subjects=1",
    "dataset.validation_subjects=1", "dataset.frames=400", "dataset.frame_step=20", "dataset.actions=[Walking]",
]  # fmt: skip
FOUR_LINES = """
import numpy as np
from pose3d import load_lifter
keypoints = np.random.default_rng(0).uniform(100, 900, (2, 7, 17, 2))
joints = load_lifter("released")(keypoints, skeleton="coco_17", image_size=(1920, 1080))
print(joints.shape, np.isfinite(joints).all())
"""
LIFT_OWN = """
import numpy as np
from pose3d import load_lifter
lifter = load_lifter("npz")
joints = lifter(np.load("mine.npz")["keypoints"], skeleton="mine", image_size=(1920, 1080))
print(joints.shape, lifter.output_skeleton.joints[0])
"""
INSIDE = {"anypose", "pose2d", "pose3d"}
NOT_BUILT_FROM = (".*", "runs", "data", "build", "dist", "*.egg-info", "__pycache__")


def core_dependencies() -> set[str]:
    """What an install without extras brings, as far as it is installed here."""
    wanted, found = ["anypose"], set()
    while wanted:
        for line in importlib.metadata.requires(wanted.pop()) or []:
            requirement = Requirement(line)
            name = requirement.name.lower()
            if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
                found.add(name)
                wanted.append(name)
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*NOT_BUILT_FROM))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(folder / "source")], check=True, timeout=300)
    (file,) = folder.glob("anypose-*.whl")
    return file


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder."""
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="module")
def anypose(wheel: Path, here: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs a program in an empty folder, of an environment with this wheel and its core dependencies, no extra's."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    paths = {key: str(home) for key in ("base", "platbase", "installed_base", "installed_platbase")}
    packages = Path(sysconfig.get_path("purelib", "venv", paths))
    programs = Path(sysconfig.get_path("scripts", "venv", paths))
    install = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet", "--no-deps"]
    subprocess.run([*install, str(wheel)], check=True, timeout=300)
    for name in core_dependencies():
        for top in {file.parts[0] for file in importlib.metadata.files(name) or [] if file.parts[0] != ".."}:
            place = Path(str(importlib.metadata.distribution(name).locate_file(top)))
            if place.exists() and not (packages / top).exists():
                (packages / top).symlink_to(place)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "ANYPOSE"))}

    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [str(programs / words[0]), *words[1:]],
            cwd=here,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    where = run("python", "-c", "import anypose, pose3d; print(anypose.__file__, pose3d.__file__)")
    assert where.count(str(packages)) == 2
    assert not list(here.iterdir())
    return run


@pytest.mark.slow
def test_the_wheel_holds_three_packages_with_conf_scripts_and_weights_inside(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == INSIDE
    conf = {file.relative_to(ROOT).as_posix() for file in (ROOT / "conf").rglob("*.yaml")}
    assert {f"anypose/{name}" for name in conf} <= set(names)
    scripts = {file.name for file in ROOT.glob("*.py")} - {"setup.py"}
    assert {name for name in names if name.startswith("anypose/scripts/")} == {f"anypose/scripts/{s}" for s in scripts}
    python = {file.relative_to(ROOT).as_posix() for top in INSIDE for file in (ROOT / top).rglob("*.py")}
    assert python <= set(names)
    assert {f"anypose/released/{file.name}" for file in (ROOT / "anypose/released").iterdir()} <= set(names)


@pytest.mark.slow
def test_it_trains_evaluates_exports_and_lifts_in_an_empty_folder(anypose, here):
    assert "train a model" in anypose("anypose")
    assert "Versions" in anypose("anypose", "doctor")
    anypose("anypose", "train", "model=baseline3d", *SMALL)
    assert "MPJPE" in anypose("anypose", "evaluate", "model=baseline3d", "device=cpu").upper()
    (results,) = here.glob("runs/baseline3d/*/results.json")
    assert (
        json.loads(results.read_text(encoding="utf-8"))["environment"]["command"]
        == "anypose evaluate model=baseline3d device=cpu"
    )
    assert json.loads(results.read_text(encoding="utf-8"))["environment"]["commit"].startswith("anypose 0.")
    anypose("anypose", "export", "model=baseline3d", "format=safetensors")
    (here / "lift.py").write_text(FOUR_LINES, encoding="utf-8")
    assert "(2, 7, 17, 3) True" in anypose("python", "lift.py")
    anypose("anypose", "check", "dataset=synthetic", *[word for word in SMALL if word.startswith("dataset")])
    assert "usage: anypose convert" in anypose("anypose", "convert", "--help")
    assert "anypose cache --empty" in anypose("anypose", "cache", "--help")
    assert "There is no command trian. Did you mean train?" in anypose("anypose", "trian", code=2)
    assert "trainer.epohcs does not exist" in anypose("anypose", "train", "trainer.epohcs=3", code=2)


@pytest.mark.slow
def test_own_files_train_score_and_lift_with_their_own_skeleton(anypose, here):
    write_own(here)
    own = ["dataset=custom", "dataset.skeleton=mine.yaml", "dataset.validation_subjects=bob", "dataset.rate=50"]
    table = ["dataset.file=mine.csv", "dataset.width=1920", "dataset.height=1080"]
    for run, file in {"npz": ["dataset.file=mine.npz"], "csv": table}.items():
        words = [*own, *file, "device=cpu", "debug=smoke", "trainer.batch_size=32", "model.linear_size=32"]
        anypose("anypose", "train", "model=baseline3d", *words, f"hydra.run.dir={run}")
    table_scores = anypose("anypose", "evaluate", "run=csv", "device=cpu")
    assert "joints: 8 (mine), relative to the pelvis" in table_scores
    assert "subjects: bob" in table_scores
    (here / "lift.py").write_text(LIFT_OWN, encoding="utf-8")
    assert "(200, 8, 3) pelvis" in anypose("python", "lift.py")


@pytest.mark.slow
def test_without_extras_it_lifts_keypoints_and_says_which_one_is_missing(anypose, here):
    printed = anypose("anypose", "predict", "source=example", "output=motion")
    assert "goes without its pictures, which need OpenCV: pip install 'anypose[video]'." in printed
    assert {".bvh", ".html", ".npz"} <= {file.suffix for file in (here / "motion").iterdir()}
    for words, sentence in {
        ("export", "checkpoint=released"): "format=onnx needs onnx and onnxruntime, which are not installed: pip",
        ("train", "pictures=true", *SMALL): "pictures=true needs matplotlib, which is not installed: pip",
        ("train", "model=simplebaseline", "debug=smoke"): "needs pycocotools, which is not installed: pip install",
        ("skeletons",): "Pictures need matplotlib",
    }.items():
        lines = anypose("anypose", *words, code=1).rstrip().splitlines()
        assert sentence in lines[-1]
        assert "Traceback" not in "\n".join(lines)
