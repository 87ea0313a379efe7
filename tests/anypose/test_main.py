"""anypose/__main__.py: every command is found by its name, in a checkout as in a wheel."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from anypose import __main__ as anypose
from anypose.engine import place

BUFFERED = {"PYTHONUNBUFFERED": ""}  # as it is where nobody asks for another way


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["anypose", *words])
    anypose.main()


def test_every_command_is_listed_and_can_be_imported(monkeypatch, capsys, repository):
    typed(monkeypatch)
    page = capsys.readouterr().out
    scripts = {file.stem for file in repository.glob("*.py")} - {"setup"}
    for name in scripts | set(anypose.COMMANDS):
        assert f"\n  {name} " in page
    for module, _ in anypose.COMMANDS.values():
        assert callable(importlib.import_module(module).main)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("trian", "There is no command trian. Did you mean train?"),
        ("evaluate.py", "There is no command evaluate.py. Did you mean evaluate?"),
        ("zzz", "There is no command zzz. There are train, evaluate,"),
    ],
)
def test_a_misspelt_command_gets_the_nearest_and_the_code_of_misuse(monkeypatch, capsys, word, sentence):
    with pytest.raises(SystemExit) as stop:
        typed(monkeypatch, word)
    assert stop.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("word", ["--help", "trian"])
def test_what_runs_nothing_waits_for_no_torch(repository, word):
    look = f"import runpy, sys; sys.argv = ['anypose', '{word}']\n"
    look += "try: runpy.run_module('anypose', run_name='__main__')\nexcept SystemExit: pass\n"
    look += "print(sorted({'torch', 'numpy', 'hydra', 'omegaconf'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", look], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NO /dev/full")
@pytest.mark.parametrize("word", ["--help", "--version"])
def test_a_reader_who_has_gone_is_told_in_a_line(repository, word):
    command = f"{sys.executable} -m anypose {word} > /dev/full"
    done = subprocess.run(
        command, shell=True, cwd=repository, capture_output=True, text=True, env=os.environ | BUFFERED
    )
    assert (done.returncode, done.stderr) == (1, "No space left on device.\n")


def test_the_version_is_said(monkeypatch, capsys):
    typed(monkeypatch, "--version")
    assert capsys.readouterr().out.startswith("anypose 0.")


def test_a_command_gets_the_words_after_its_name(monkeypatch, capsys):
    with pytest.raises(SystemExit) as stop:
        typed(monkeypatch, "convert", "--help")
    assert stop.value.code == 0
    assert "usage: " in capsys.readouterr().out


def test_commands_are_named_as_they_are_typed_where_one_is(monkeypatch):
    assert place.typed("train") == "python train.py"
    assert place.typed("doctor") == "python -m anypose doctor"
    monkeypatch.setattr(place.sys, "argv", ["python -m anypose check"])  # as the dispatcher names itself
    assert place.typed("train") == "python -m anypose train"
    monkeypatch.setattr(place.sys, "argv", ["anypose check"])
    assert (
        place.as_typed("see `python train.py` and `python -m anypose doctor`")
        == "see `anypose train` and `anypose doctor`"
    )
    monkeypatch.setattr(place.sys, "argv", ["mine.py"])
    monkeypatch.setattr(place, "INSTALLED", True)
    assert place.typed("train") == "anypose train"
