"""Who may import whom: between packages, between the rooms of a package, between files."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.sources import (
    CHOICES,
    PACKAGES,
    ROOT,
    Rule,
    Source,
    check_project,
    choice_of,
    project_sources,
    report,
    room_of,
)

MAY_IMPORT = {
    "anypose": {"anypose"},
    "pose2d": {"anypose", "pose2d"},
    "pose3d": {"anypose", "pose2d", "pose3d"},
    "benchmarks": set(PACKAGES),
    "": {"anypose", "pose2d", "pose3d"},  # train.py and its sisters
}
NOBODY_IMPORTS = {"tests", *(path.stem for path in ROOT.glob("*.py"))}  # tests and scripts
# The rooms of a package from the ground up: a room may import those before it. "" are the files beside the rooms.
ROOMS = {
    # What a setting may be and how large a file may be is said of all by two words, so the engine knows words.
    "anypose": (("",), ("engine",), ("formats", "kernels"), ("drawing",), ("export",)),
    "pose2d": (("",), ("synthesis", "scores"), ("images",), ("network",), CHOICES, ("drawing",)),
    "pose3d": (("",), ("motion", "synthesis", "capture"), ("lifting", "body"), CHOICES, ("drawing",), ("predict",)),
}
ROOMS_ABOVE = {"anypose/doctor.py", "anypose/__main__.py"}  # files beside the rooms that look into all of them
# Commands read configuration and know the engine, wherever they stand; a task or a model never does.
COMMANDS = re.compile(
    r"pose3d/(motion/check|lifting/(convert|elsewhere|offline)|predict/\w+|drawing/\w+)\.py"
    r"|pose2d/(images/boxes|network/(pixels|loading))\.py"
)
BORDER = re.compile(r"anypose/(engine|export)/\w+\.py|benchmarks/.*|\w+\.py")


def imports_go_one_way(source: Source) -> Iterator[str]:
    for line, module in source.imports:
        top = module.split(".")[0]
        if (top in PACKAGES and top not in MAY_IMPORT[source.package]) or top in NOBODY_IMPORTS:
            yield f"line {line} imports {module}"


def rooms_import_downwards(source: Source) -> Iterator[str]:
    floors = ROOMS.get(source.package)
    if floors is None or source.path in ROOMS_ABOVE:
        return
    height = {room: floor for floor, rooms in enumerate(floors) for room in rooms}
    parts = source.path.split("/")
    here = parts[1] if len(parts) > 2 else ""
    if here not in height:
        yield f"stands in {here}/, a room that has no floor in ROOMS"
        return
    for line, module in source.imports:
        there = room_of(module)
        if module.split(".")[0] != source.package or there == here:
            continue
        if height[there] >= height[here]:
            yield f"line {line} imports {module}, from {there or 'the door'} into {here or 'the door'}"


def only_commands_of_pose_know_the_engine(source: Source) -> Iterator[str]:
    if source.package in ("pose2d", "pose3d") and not COMMANDS.fullmatch(source.path):
        for line, module in source.imports:
            if module.startswith("anypose.engine"):
                yield f"line {line} imports {module}"


def choices_import_parts_and_nothing_imports_a_choice(source: Source) -> Iterator[str]:
    if source.package in ("pose2d", "pose3d"):
        for line, module in source.imports:
            if choice_of(module) not in (None, source.choice):
                yield f"line {line} imports the choice {module}"


def models_know_nothing_of_training(source: Source) -> Iterator[str]:
    if source.choice and ".model." in source.choice:
        for line, module in source.imports:
            if module.split(".")[0] in ("hydra", "omegaconf") or module.startswith("torch.optim"):
                yield f"line {line} imports {module}"


def only_the_border_reads_configuration(source: Source) -> Iterator[str]:
    if not (BORDER.fullmatch(source.path) or COMMANDS.fullmatch(source.path)):
        for line, module in source.imports:
            if module.split(".")[0] in ("hydra", "omegaconf"):
                yield f"line {line} imports {module}"


RULES: list[Rule] = [
    imports_go_one_way,
    rooms_import_downwards,
    only_commands_of_pose_know_the_engine,
    choices_import_parts_and_nothing_imports_a_choice,
    models_know_nothing_of_training,
    only_the_border_reads_configuration,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_file_of_the_project_keeps_the_rule(rule: Rule) -> None:
    check_project(rule)


def test_a_room_lists_what_others_take_from_it() -> None:
    taken: dict[str, set[str]] = {}
    for source in project_sources():
        parts = source.path.split("/")
        here = ".".join(parts[:2]) if len(parts) > 2 else ""
        for _, module in source.imports:
            room = ".".join(module.split(".")[:2])
            if room_of(module) and room_of(module) not in CHOICES and room != here and module != room:
                taken.setdefault(room, set()).add(module.split(".")[2])
    assert len(taken) > 10
    for room, modules in sorted(taken.items()):
        text = (ROOT.joinpath(*room.split(".")) / "__init__.py").read_text(encoding="utf-8")
        _, _, listed = text.partition("Others take from ")
        assert sorted(modules) == sorted(re.findall(r"`(\w+)`", listed.partition(";")[0])), f"{room}/__init__.py"


def test_no_file_imports_itself_in_a_circle() -> None:
    names = {
        source.path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): source
        for source in project_sources()
    }
    arrows = {
        name: {module for _, module in source.imports if module in names and module != name}
        | {
            parent
            for _, module in source.imports
            if (parent := module.rpartition(".")[0]) in names and module not in names
        }
        for name, source in names.items()
    }
    arrows = {name: to - {name} for name, to in arrows.items()}
    while free := {name for name, to in arrows.items() if not to}:
        arrows = {name: to - free for name, to in arrows.items() if name not in free}
    assert not arrows, f"Circles among {sorted(arrows)}"


BAD_EXAMPLES = [
    (imports_go_one_way, "anypose/a.py", "from pose3d import lifter", "imports pose3d.lifter"),
    (
        only_commands_of_pose_know_the_engine,
        "pose3d/a.py",
        "def f():\n    import anypose.engine.run",
        "anypose.engine.run",
    ),
    (rooms_import_downwards, "anypose/engine/a.py", "from anypose.formats import bvh", "from formats into engine"),
    (rooms_import_downwards, "pose3d/motion/a.py", "from pose3d.capture import fields", "from capture into motion"),
    (rooms_import_downwards, "pose3d/drawer/a.py", "", "no floor"),
    (imports_go_one_way, "pose3d/drawing/a.py", "import benchmarks", "imports benchmarks"),
    (
        choices_import_parts_and_nothing_imports_a_choice,
        "pose3d/task/a.py",
        "from ..model import b",
        "pose3d.model.b",
    ),
    (
        choices_import_parts_and_nothing_imports_a_choice,
        "pose3d/a.py",
        "import pose3d.task.b",
        "pose3d.task.b",
    ),
    (models_know_nothing_of_training, "pose3d/model/a.py", "from torch.optim import Adam", "torch.optim"),
    (only_the_border_reads_configuration, "anypose/a.py", "import omegaconf", "omegaconf"),
]


@pytest.mark.parametrize(("rule", "path", "text", "offence"), BAD_EXAMPLES)
def test_a_rule_finds_what_it_is_for(rule: Rule, path: str, text: str, offence: str) -> None:
    assert offence in report(rule, [Source(path, text)])
