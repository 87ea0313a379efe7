"""tests/npu_stub/run.py where it cannot run: it says so, and only `--may-skip` calls that a success."""

from __future__ import annotations

import subprocess

import pytest

from tests.npu_stub import run


def test_a_machine_without_a_compiler_is_told(monkeypatch, capsys):
    monkeypatch.setattr(run.platform, "system", lambda: "Linux")
    monkeypatch.setattr(run.shutil, "which", lambda tool: None if tool == "gcc" else f"/bin/{tool}")
    reason = "torch_npu over stand-in libraries was not tested (gcc is not there; the stand-in libraries need gcc and "
    assert run.main(["-k", "x"]) == 1
    assert f"FAILED: {reason}" in capsys.readouterr().out
    assert run.main(["--may-skip"]) == 0
    assert f"SKIPPED: {reason}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        ("Darwin", 0, "torch_npu is made for Linux, this is Darwin"),
        ("Linux", 1, "gcc finds no C headers: <stdin>:1:10: fatal error: dlfcn.h: No such file or directory"),
        ("Linux", 0, None),
    ],
)
def test_what_the_stand_in_libraries_need_is_named(monkeypatch, system, code, expected):
    error = "<stdin>:1:10: fatal error: dlfcn.h: No such file or directory\ncompilation terminated.\n"
    monkeypatch.setattr(run.platform, "system", lambda: system)
    monkeypatch.setattr(run.shutil, "which", lambda tool: f"/bin/{tool}")
    monkeypatch.setattr(run.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], code, "", error))
    assert run.missing_tool() == expected


def test_torch_npu_is_the_one_of_this_torch_and_an_index_without_it_is_named(monkeypatch, tmp_path):
    asked = []

    def pip(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(run, "PACKAGES", tmp_path / "packages")
    monkeypatch.setattr(run.importlib.metadata, "version", lambda name: "2.13.0+cpu")
    monkeypatch.setattr(run.subprocess, "run", pip)
    assert run.install_torch_npu() == "pip could not install torch-npu==2.13.0.*"
    info = tmp_path / "packages" / "torch_npu-2.13.0.post1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch_npu\nVersion: 2.13.0.post1\n", encoding="utf-8")
    assert run.install_torch_npu() is None
    assert len(asked) == 1
