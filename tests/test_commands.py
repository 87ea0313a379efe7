"""Every command of the READMEs, CONTRIBUTING, docs/ and RESULTS.md: it composes as typed; the pages' run as typed, too.

Training is cut short by settings behind what was typed; files come from what the tests make up.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import hydra
import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra

from anypose import __main__ as dispatcher
from anypose.engine.place import CONF
from benchmarks.__main__ import choices, parse
from benchmarks.results import KEPT
from tests.own_files import python_of, write_own
from tests.pose3d.motion.motion_files import write_daz_bvh, write_release
from tests.pose3d.predict.walkers import walk

ROOT = Path(__file__).resolve().parents[1]
CHINESE = "README.zh-CN.md"  # has README.md's commands, says tests/test_readme.py, and its Python
PAGES = ["README.md", CHINESE, "CONTRIBUTING.md"]
PAGES += [f"anypose/released/{path.name}" for path in sorted((ROOT / "anypose/released").glob("*.md"))]
PAGES += [f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))]
# What cannot run on any machine, and why; it is composed all the same.
ELSEWHERE = re.compile(
    r"^make |^pip |^source |device=(npu|cuda)\b"  # makes environments; needs the device
    r"|--nproc-per-node|launcher=slurm|--device "  # eight of them, a cluster
    r"|source=(my\.mp4|0|http)|\bfetch\b|formats=mp4|--beside"  # a film, a camera, the network; minutes of drawing
    r"|--clips|benchmarks(?!\.results)|body\.anny"  # minutes, and the extra `body`
    # Detections of Human3.6M and COCO: tests/test_documented_commands.py builds what these name.
    r"|gmh_mdn_h36m_sh|videopose3d_h36m_cpn|simplebaseline_coco|human_detection"
    # Weights that others published, a photograph: tests/pose3d/lifting and tests/pose2d make files of their shapes.
    r"|init=\S*\.(pth|bin|tar|tr)|init=checkpoint-|photo\.jpg"
)
SMALL = [
    "dataset.train_subjects=1", "dataset.validation_subjects=1", "dataset.frames=320", "dataset.num_cameras=1",
    "trainer.batch_size=16",
]  # fmt: skip


def commands(page: str) -> list[str]:
    """The command lines of every bash block, comments stripped, continued lines joined."""
    found = []
    for body in re.findall(r"^```bash\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for line in body.replace("\\\n", " ").splitlines():
            if typed := re.sub(r"(^|\s+)#.*", "", line).strip():
                found.append(typed.removeprefix(".venv/bin/"))
    return found


ALL_MINE = re.compile(r"(model|dataset)=mine\b")  # CONTRIBUTING's examples, in a checkout of its own below
ALL = [(page, line) for page in PAGES for line in commands(page) if not ALL_MINE.search(line)]


def outside(page: str) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def spans(page: str) -> list[str]:
    """The commands in its sentences and tables that can be typed: of this project, and with nothing left out."""
    found = re.findall(r"`((?:python|anypose|make|torchrun)\s[^`]+)`", outside(page))
    ours = re.compile(
        r"python (-m (anypose|benchmarks|pose[23]d)|(train|evaluate|export|predict)\.py)\b|anypose |make "
    )
    found = [" ".join(body.split()) for body in found]
    return [line for line in found if ours.match(line) and not re.search(r"\.\.\.|<-|=mine\b", line)]


SPANS = {line for page in PAGES for line in spans(page)}
KEPT_ROWS = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(KEPT.rglob("*.json"))]
LINES_OF_RESULTS = {line for row in KEPT_ROWS for line in row["commands"]}


def configured(line: str) -> tuple[str, list[str]] | None:
    """The configuration that a command composes, and its overrides; None for one without."""
    words = shlex.split(line)
    scripts = [word for word in words if re.fullmatch(r"(train|evaluate|export|predict)\.py", word)]
    if scripts:
        name = scripts[0].removesuffix(".py")
        after = words[words.index(scripts[0]) + 1 :]
    elif words[:3] == ["python", "-m", "anypose"] and words[3] == "check":
        name, after = "check", words[4:]
    else:
        return None
    return name, [word for word in after if not word.startswith("-")]


def test_there_are_commands_on_every_page_that_shows_any():
    assert len(ALL) > 40
    assert {page for page, _ in ALL} >= {"README.md", "README.zh-CN.md", "CONTRIBUTING.md", "docs/data.md"}


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md", "RESULTS.md"])
def test_no_command_hides_where_it_is_not_collected(page):
    typed = re.compile(r"^\s*(?:\$ )?(?:python|anypose|make|pip|torchrun) .*", re.MULTILINE)
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert [line for language, body in blocks if language != "bash" for line in typed.findall(body)] == []
    assert re.findall(r"^(?: {4,}|\t+)(?:python|anypose|make|pip|torchrun) .*", outside(page), re.MULTILINE) == []


@pytest.mark.slow
@pytest.mark.parametrize("line", sorted({line for _, line in ALL} | LINES_OF_RESULTS | SPANS))
def test_a_command_is_there_and_composes_as_typed(line):
    words = shlex.split(line)
    assert words[0] in ("python", "make", "pip", "torchrun", "source", "anypose")
    if words[:3] == ["python", "-m", "anypose"] or words[0] == "anypose":
        assert words[3 if words[0] == "python" else 1] in dispatcher.commands()
    elif words[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(words[2])
        assert [word for word in words if re.match(r"tests/.*\.py$", word) and not (ROOT / word).is_file()] == []
    if words[:3] == ["python", "-m", "benchmarks"]:
        parse(words[3:])
    if words[0] == "make":
        assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
    if (found := configured(line)) is None:
        return
    name, overrides = found
    single = [re.sub(r"=([^,\[{]+),.*", r"=\1", word) for word in overrides if not word.startswith("hydra")]
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        hydra.compose(name, single)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with made-up data where the pages' commands look for it."""
    here = tmp_path_factory.mktemp("here")
    for subject in range(1, 13):
        write_daz_bvh(here / f"data/cmu/{subject:02}/{subject:02}_01.bvh", 360, seed=subject)
    index = "".join(f"{subject:02}_01  {'walk' if subject % 2 else 'run'}\n" for subject in range(1, 13))
    (here / "data/cmu/CMU-INDEX.md").write_text(index, encoding="utf-8")
    write_release(here / "data/h36m")
    write_own(here)
    return here


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("CONTRIBUTING.md", "docs/python.md")])
def test_the_python_of_a_page_names_what_is_there(page):
    for body in python_of(page):
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize("page", [*PAGES, "RESULTS.md", "CHANGELOG.md"])
def test_a_command_named_in_a_sentence_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for module in re.findall(r"python -m ((?:anypose|pose[23]d|benchmarks|tests)(?:\.\w+)*)", text):
        assert importlib.util.find_spec(module), module
    for name in re.findall(r"python -m anypose (\w+)|`anypose (\w+)", text):
        assert (name[0] or name[1]) in dispatcher.commands()
    for name in re.findall(r"python -m benchmarks ([\w-]+)", text):
        assert name in choices()
    for name in re.findall(r"experiment=(\w+)", text):
        assert [*(CONF / "experiment").glob(f"{name}*.yaml")], name


def test_both_readmes_have_the_same_python():
    ours, chinese = ([ast.dump(ast.parse(body)) for body in python_of(page)] for page in ("README.md", CHINESE))
    assert ours == chinese


@pytest.mark.slow
def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {"keypoints": np.random.default_rng(0).uniform(200, 900, (2, 3, 17, 2))}
    (body,) = python_of("README.md")
    assert '"my.mp4"' in body
    exec(compile(body.replace('"my.mp4"', '"example"'), "README.md", "exec"), names)  # a film wants others' networks
    assert names["joints"].shape == (2, 3, 17, 3)
    assert [*tmp_path.glob("walk*.bvh")]


def run(line: str, here: Path, root: Path = ROOT) -> None:
    """A command as typed, of the checkout `root`, its training cut short."""
    program, *words = shlex.split(line)
    if program == "anypose":
        words = ["-m", "anypose", *words]
    if words[0] == "train.py":
        words.append("debug=smoke")
        words += [] if re.search(r"dataset=|experiment=", line) else SMALL
        words += ["trainer.batch_size=16"] if re.search(r"dataset=|experiment=", line) else []
    if words[0].endswith(".py"):
        words[0] = str(root / words[0])
    environment = os.environ | {
        "PYTHONPATH": str(root),
        "PYTHONWARNINGS": "ignore",
        "XDG_CACHE_HOME": str(here / "cache"),
    }
    done = subprocess.run(
        [sys.executable, *words], cwd=here, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def to_run(page: str) -> list[str]:
    """What of a page can run anywhere, in its order; what it says twice, once."""
    return [line for line in dict.fromkeys(commands(page)) if not (ELSEWHERE.search(line) or ALL_MINE.search(line))]


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page != CHINESE and to_run(page)])
def test_the_commands_of_a_page_run_from_top_to_bottom(folder, page):
    for line in to_run(page):
        run(line, folder)


@pytest.mark.slow
def test_a_new_model_and_a_new_dataset_copied_out_of_contributing_run(tmp_path):
    kept = shutil.ignore_patterns(".*", "runs", "data", "tests", "docs", "results", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, tmp_path / "copy", ignore=kept)
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    files = ("pose3d/model/mine.py", "conf/model/mine.yaml", "conf/recipe/mine.yaml")
    files += ("pose3d/dataset/mine.py", "conf/dataset/mine.yaml")
    blocks = re.findall(r"^```(?:python|yaml)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for name, body in zip(files, blocks, strict=True):
        assert f"`{name}`" in text
        (tmp_path / "copy" / name).write_text(body, encoding="utf-8")
    (tmp_path / "copy" / "data" / "mine").mkdir(parents=True)
    for subject in ("ann", "bob"):
        joints = walk(np.arange(40) / 50, (0.0, 0.0), (1.0, 0.0))
        np.save(tmp_path / "copy" / "data" / "mine" / f"{subject}_walk_1.npy", joints)
    typed = [line for line in commands("CONTRIBUTING.md") if ALL_MINE.search(line)]
    assert len(typed) >= 3
    for line in typed:
        run(line, tmp_path / "copy", tmp_path / "copy")
