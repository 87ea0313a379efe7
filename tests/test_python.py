"""What the packages give to Python: docs/python.md as it stands, and every name of their faces."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from anypose.engine import checkpoint

ROOT = Path(__file__).resolve().parents[1]


def blocks(page: str) -> list[str]:
    """The Python of a page of docs/."""
    return re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def save_run(folder: Path, model: str, task: str, **settings: object) -> None:
    """A run's folder with untrained weights."""
    section = OmegaConf.load(ROOT / "conf" / "model" / f"{model}.yaml")
    section.update(settings)
    chosen = OmegaConf.load(ROOT / "conf" / "task" / f"{task}.yaml")
    config = OmegaConf.create({"parity": None, "model": section, "task": chosen})
    values = OmegaConf.to_container(config, resolve=True)
    state = {"model": instantiate(section).state_dict(), "config": values, "choices": {"model": model, "task": task}}
    folder.mkdir(parents=True)
    checkpoint.save(folder / "last.pt", state)


@pytest.mark.slow
def test_the_page_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    cv2 = pytest.importorskip("cv2")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("keypoints.npy", rng.uniform(200, 900, (5, 17, 2)))
    cv2.imwrite("photo.jpg", rng.integers(0, 255, (480, 640, 3), np.uint8))
    save_run(tmp_path / "runs/baseline3d/mine", "baseline3d", "lifting3d", linear_size=32)
    save_run(tmp_path / "runs/simplebaseline/mine", "simplebaseline", "topdown2d")
    names: dict = {"torch": torch}
    parts = blocks("python.md")
    assert len(parts) >= 4
    for part in parts:
        exec(compile(part, "docs/python.md", "exec"), names)
    assert names["joints"].shape == (5, 17, 3)
    assert names["keypoints"].shape == (1, 17, 2)
    assert names["scores"].shape == (1, 17)
    assert names["lifter"](names["keypoints"][:, None], skeleton="coco_17", image_size=(640, 480)).shape == (
        1,
        1,
        17,
        3,
    )
    assert "(5, 17, 3)" in capsys.readouterr().out


@pytest.mark.parametrize("package", ["anypose", "pose2d", "pose3d"])
def test_every_public_name_of_a_face_is_listed_and_there(package):
    face = importlib.import_module(package)
    assert sorted(face.__all__) == sorted(face.FACE)
    assert set(face.__all__) <= set(dir(face))
    for name in face.__all__:
        assert getattr(face, name) is not None
    with pytest.raises(AttributeError, match=rf"{package} has no 'nothing'. It has .*{face.__all__[-1]}"):
        _ = face.nothing


def untold(name: str, node: object, about: str) -> list[str]:
    """What the docstring `about` does not say of a function: its arguments, that it raises, the shape of an array.

    Args:
        name: of the function, for the answer.
        node: the function.
        about: its docstring, or that of the class it makes.
    """
    source = textwrap.dedent(inspect.getsource(node))  # pyright: ignore[reportArgumentType]
    lacks = [f"{name}: Raises" for _ in re.findall(r"^\s+raise ", source, re.MULTILINE)[:1] if "Raises:" not in about]
    for argument in inspect.signature(node).parameters.values():  # pyright: ignore[reportArgumentType]
        if argument.name != "self" and not re.search(rf"\b{argument.name}\b", about):
            lacks.append(f"{name}: {argument.name}")
        elif re.match(r"np\.ndarray|Tensor|Array|Points", str(argument.annotation)):
            told = re.search(rf"\b{argument.name}\b[^:]*: .*?\(.*?\)", about)
            lacks += [] if told else [f"{name}: shape of {argument.name}"]
    return lacks


def public_functions(face: object) -> Iterator[tuple[str, object, str]]:
    """Name, function and docstring of all that a face gives: functions, what makes a class, methods to call."""
    for name in face.__all__:  # pyright: ignore[reportAttributeAccessIssue]
        given = getattr(face, name)
        if inspect.isfunction(given):
            yield name, given, inspect.getdoc(given) or ""
        elif inspect.isclass(given):
            for method, function in vars(given).items():
                if not inspect.isfunction(function) or function.__code__.co_filename == "<string>":  # of a dataclass
                    continue
                if method in ("__init__", "__post_init__"):
                    yield name, function, inspect.getdoc(given) or ""
                elif method == "__call__" or not method.startswith("_"):
                    yield f"{name}.{method}", function, function.__doc__ or ""


@pytest.mark.parametrize("package", ["anypose", "pose2d", "pose3d"])
def test_what_a_face_gives_says_what_it_takes_and_what_it_raises(package):
    functions = list(public_functions(importlib.import_module(package)))
    assert functions
    assert [lack for name, function, about in functions for lack in untold(name, function, about)] == []


def test_what_a_docstring_does_not_say_is_found():
    def bad(points: Tensor, scale: float) -> None:
        """Moves points."""
        raise ValueError(points * scale)

    def good(points: Tensor) -> None:
        """Moves.

        Args:
            points: (N, 3) of them.
        """

    assert untold("bad", bad, bad.__doc__ or "") == ["bad: Raises", "bad: shape of points", "bad: scale"]
    assert untold("good", good, good.__doc__ or "") == []


def test_importing_a_face_loads_nothing_else():
    code = "import sys, anypose, pose2d, pose3d; print('torch' in sys.modules, 'hydra' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == ["False", "False"]
