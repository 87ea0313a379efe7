"""anypose/engine/helping.py: --help is a page, --help=all has every key with its comment."""

from __future__ import annotations

import os
import runpy
import sys

import pytest

from anypose.engine import helping
from anypose.engine.place import CONF


def test_a_page_has_every_choice_and_ten_keys_with_values_and_meaning():
    page = helping.page("train", "Train.")
    assert len(page.splitlines()) < 60
    for group in ("model", "dataset", "experiment", "device"):
        for option in (CONF / group).glob("*.yaml"):
            assert option.stem in page
    assert "  trainer.epochs=2                        passes over the training split" in page
    assert len(helping.PAGES["train"][2]) == 10
    assert "python train.py model=baseline3d " in page


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted(path.stem for path in CONF.glob("*.yaml")))
def test_every_command_has_a_page_and_all_of_its_keys(command):
    assert "Choices:" in helping.page(command, "About.")
    cfg, _ = helping.compose(command, [])
    told = helping.everything(command, [])
    for key in cfg:
        assert f"{key}" in told


def test_all_keys_are_those_of_the_chosen_model_with_the_comments_of_its_files():
    told = helping.everything("train", ["model=videopose3d", "trainer.epochs=9"])
    assert "model=videopose3d    VideoPose3D (Pavllo et al., CVPR 2019)" in told
    assert "  model.causal=false                      end the window at the output frame: no future frames" in told
    assert "  trainer.epochs=9" in told
    assert "_target_" not in told


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["--help"], 0, "Often changed:"),
        (["-h"], 0, "Often changed:"),
        (["model=gmh_mdn", "--help=all"], 0, "model=gmh_mdn "),
        (["model=gmh_mnd", "--help=all"], 2, "model=gmh_mnd does not exist. Did you mean model=gmh_mdn?"),
    ],
)
def test_help_is_asked_for_as_everywhere(monkeypatch, capsys, repository, words, code, expected):
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    try:
        runpy.run_path(str(repository / "train.py"), run_name="__main__")
        ended = 0
    except SystemExit as stop:
        ended = stop.code
    assert ended == code
    assert expected in "".join(capsys.readouterr())


def test_a_reader_who_goes_before_the_end_is_no_failure(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        helping.show("a page")
        helping.show("and one more, that nobody reads")
