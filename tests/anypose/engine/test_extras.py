"""anypose/engine/extras.py: a missing package is named before the work that ends in it."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from anypose.engine import extras


@pytest.fixture
def without(monkeypatch):
    """Makes packages seem not to be installed."""
    found = importlib.util.find_spec

    def hide(*names: str) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else found(name))

    return hide


@pytest.mark.parametrize(
    ("settings", "module", "sentence"),
    [
        ({"pictures": True}, "matplotlib", "pictures=true needs matplotlib, which is not installed: pip install"),
        ({"trainer": {"tensorboard": True}}, "tensorboard", "trainer.tensorboard=true needs tensorboard, which"),
        ({"runtime": "onnx"}, "onnxruntime", "runtime=onnx needs onnxruntime, which is not installed"),
        ({"format": "onnx"}, "onnx", "format=onnx needs onnx, which is not installed: pip install 'anypose[export]'."),
        (
            {"task": {"metric": "ap", "evaluator": "pycocotools"}},
            "pycocotools",
            "task.evaluator=pycocotools needs pycocotools, which is not installed: pip install 'anypose[image]'.",
        ),
    ],
)
def test_a_setting_names_the_package_it_will_come_to_need(without, settings, module, sentence):
    extras.check_extras(OmegaConf.create(settings))
    without(module)
    with pytest.raises(ImportError, match=re.escape(sentence)):
        extras.check_extras(OmegaConf.create(settings))


def test_what_a_setting_leaves_out_is_not_asked_for(without):
    without("matplotlib", "pycocotools", "onnx")
    extras.check_extras(
        OmegaConf.create(
            {"pictures": False, "task": {"metric": "pckh", "evaluator": "pycocotools"}, "format": "safetensors"}
        )
    )


@pytest.mark.parametrize(
    ("launcher", "module", "missing"),
    [
        ("joblib", "joblib", "joblib, which is"),
        ("joblib", "hydra_plugins.hydra_joblib_launcher", "hydra-joblib-launcher, which is"),
        ("slurm", "submitit", "submitit, which is"),
    ],
)
def test_a_launcher_names_its_package(without, launcher, module, missing):
    extras.check_launcher([f"hydra/launcher={launcher}", "seed=0,1"])
    without(module)
    with pytest.raises(ImportError, match=rf"hydra/launcher={launcher} needs {missing} not .*anypose\[sweep\]"):
        extras.check_launcher([f"hydra/launcher={launcher}", "seed=0,1"])
    extras.check_launcher(["seed=0,1"])


@pytest.mark.slow
def test_nothing_is_trained_and_no_folder_left_and_the_sentence_is_the_last_line(repository, tmp_path):
    hide = "import sys\nsys.modules['matplotlib'] = None\n"
    (tmp_path / "sitecustomize.py").write_text(hide, encoding="utf-8")
    (tmp_path / "here").mkdir()
    done = subprocess.run(
        [sys.executable, str(repository / "train.py"), "debug=smoke", "device=cpu", "pictures=true"],
        cwd=tmp_path / "here",
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{repository}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last == "pictures=true needs matplotlib, which is not installed: pip install 'anypose[draw]'."
    assert not list((tmp_path / "here").iterdir())
