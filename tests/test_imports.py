"""The architecture as tests: who may import whom, which words stay where, how a file looks.

Each rule is a function from one parsed file to the offences in it, so a rule is tried on a bad example too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHOICES = ("dataset", "model", "task")
PACKAGES = ("anypose", "pose2d", "pose3d", "benchmarks")
MAY_IMPORT = {
    "anypose": {"anypose"},
    "pose2d": {"anypose", "pose2d"},
    "pose3d": {"anypose", "pose2d", "pose3d"},
    "benchmarks": set(PACKAGES),
    "": {"anypose", "pose2d", "pose3d"},  # train.py and its sisters
}
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
    r"pose3d/(motion/check|lifting/(convert|elsewhere|offline)|predict/\w+|drawing/\w+)\.py|pose2d/network/(pixels|loading)\.py"
)
BORDER = re.compile(r"anypose/(engine|export)/\w+\.py|benchmarks/.*|\w+\.py")
LONGEST_FILE = 320
DEVICE_WORDS = re.compile(r"(?<![a-z])(cuda|npu|hccl|nccl|torch_npu|apex)(?![a-z])", re.IGNORECASE)
KNOW_DEVICES = re.compile(
    r"anypose/(engine/(device|precision|distributed|capture)|export/\w+|doctor)\.py|benchmarks/.*|conf/device/.*"
)
# What a paper does not say: quicker ways stand in anypose/kernels and are put in from outside.
MODELS = re.compile(
    r"pose[23]d/(model|task)/|pose2d/network/resnet|pose3d/lifting/(residual_mlp|temporal|streaming_form|mixture\.|traj)"
)
MACHINE_WORDS = re.compile(r"onednn|mkldnn|winograd|(?<![a-z])avx|(?<![a-z._])cpus?(?![a-z(])", re.IGNORECASE)
DRAWERS = {"utils", "util", "common", "helpers", "helper", "misc"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")
OPEN_OTHERS = re.compile(r"^(os|av|self\.av|tarfile|archive|Image|Run)$")  # whose `open` is no file of text's
MACHINE_PATHS = re.compile(r"(?<![\w.~*/-])/(work|root|home|tmp|Users)/\w")


@dataclass(frozen=True)
class Source:
    """One Python file: where it lies and what it says."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def package(self) -> str:
        return self.path.split("/")[0] if "/" in self.path else ""

    @property
    def choice(self) -> str | None:
        """ "pose3d.model.baseline3d" for a file the command line can choose, else None."""
        return choice_of(self.path.removesuffix(".py").replace("/", "."))


Rule = Callable[[Source], Iterator[str]]


def choice_of(module: str) -> str | None:
    parts = module.split(".")
    chosen = len(parts) > 2 and parts[0] in ("pose2d", "pose3d") and parts[1] in CHOICES
    return ".".join(parts[:3]) if chosen and parts[2] != "__init__" else None


def imported_modules(source: Source) -> Iterator[tuple[int, str]]:
    """Every module named by an import, wherever in the file; `from a.b import c` names a.b and a.b.c."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = source.path.split("/")[: -node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def imports_go_one_way(source: Source) -> Iterator[str]:
    scripts = {path.stem for path in ROOT.glob("*.py")}
    for line, module in imported_modules(source):
        top = module.split(".")[0]
        if (top in PACKAGES and top not in MAY_IMPORT[source.package]) or top in scripts | {"tests"}:
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
    for line, module in imported_modules(source):
        there = room_of(module)
        if module.split(".")[0] != source.package or there == here:
            continue
        if height[there] >= height[here]:
            yield f"line {line} imports {module}, from {there or 'the door'} into {here or 'the door'}"


def room_of(module: str) -> str:
    """ "engine" for anypose.engine.run, "" for what stands beside the rooms."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (ROOT / parts[0] / parts[1]).is_dir() else ""


def only_commands_of_pose_know_the_engine(source: Source) -> Iterator[str]:
    if source.package in ("pose2d", "pose3d") and not COMMANDS.fullmatch(source.path):
        for line, module in imported_modules(source):
            if module.startswith("anypose.engine"):
                yield f"line {line} imports {module}"


def choices_import_parts_and_nothing_imports_a_choice(source: Source) -> Iterator[str]:
    if source.package in ("pose2d", "pose3d"):
        for line, module in imported_modules(source):
            if choice_of(module) not in (None, source.choice):
                yield f"line {line} imports the choice {module}"


def models_know_nothing_of_training(source: Source) -> Iterator[str]:
    if source.choice and ".model." in source.choice:
        for line, module in imported_modules(source):
            if module.split(".")[0] in ("hydra", "omegaconf") or module.startswith("torch.optim"):
                yield f"line {line} imports {module}"


def models_name_no_machine(source: Source) -> Iterator[str]:
    if MODELS.match(source.path):
        for number, line in enumerate(source.text.splitlines(), start=1):
            yield from (f"line {number} says {word}" for word in MACHINE_WORDS.findall(line))
        for line, module in imported_modules(source):
            if module.startswith("anypose.kernels"):
                yield f"line {line} imports {module}"


def only_the_border_reads_configuration(source: Source) -> Iterator[str]:
    if not (BORDER.fullmatch(source.path) or COMMANDS.fullmatch(source.path)):
        for line, module in imported_modules(source):
            if module.split(".")[0] in ("hydra", "omegaconf"):
                yield f"line {line} imports {module}"


def device_words_stay_where_devices_are_known(source: Source) -> Iterator[str]:
    if KNOW_DEVICES.fullmatch(source.path):
        return
    text = source.text
    if source.package == "":  # a script's docstring shows commands, and those name devices
        for docstring in filter(None, (ast.get_docstring(node, clean=False) for node in documented(source.tree))):
            text = text.replace(docstring, "")
    for number, line in enumerate(text.splitlines(), start=1):
        for word in DEVICE_WORDS.findall(line):
            yield f"line {number} says {word}"


def files_are_one_idea_long(source: Source) -> Iterator[str]:
    length = len(source.text.splitlines())
    if length > LONGEST_FILE:
        yield f"has {length} lines, more than {LONGEST_FILE}"
    if Path(source.path).stem in DRAWERS:
        yield "is named like a drawer, not like an idea"


def nothing_is_unfinished(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), start=1):
        if found := UNFINISHED.search(line):
            yield f"line {number} says {found[0]}"


def no_handler_catches_everything(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            if caught in ("everything", "Exception", "BaseException"):
                yield f"line {node.lineno} catches {caught}"


def public_names_have_docstrings(source: Source) -> Iterator[str]:
    if source.path.endswith("__init__.py"):
        return
    for node in documented(source.tree):
        name = getattr(node, "name", "the module")
        if name != "main" and not name.startswith("_") and not ast.get_docstring(node):  # the module speaks for main
            yield f"{name} has no docstring"


def documented(tree: ast.Module) -> list[ast.Module | ast.FunctionDef | ast.ClassDef]:
    return [tree, *(node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef))]


def no_path_of_one_machine(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), start=1):
        if found := MACHINE_PATHS.search(line):
            yield f"line {number} names {found[0]}..."


def text_has_an_encoding(source: Source) -> Iterator[str]:
    """Without one Windows reads and writes in its own."""
    if not re.search(r"open\(|_text\(", source.text):
        return
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call) or {"encoding", None} & {word.arg for word in node.keywords}:
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        whose = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        place = 0 if whose else 1  # of the mode: path.open(mode), open(path, mode)
        modes = [*node.args[place : place + 1], *(word.value for word in node.keywords if word.arg == "mode")]
        text = all(isinstance(mode, ast.Constant) and re.fullmatch(r"[rwax+t]+", str(mode.value)) for mode in modes)
        given = len(node.args) - (name == "write_text")  # path.write_text(text, encoding)
        method = bool(whose) and name in ("read_text", "write_text") and not given
        if method or (name == "open" and text and not OPEN_OTHERS.search(whose)):
            yield f"line {node.lineno} leaves the encoding of {name} to the machine"


PACKAGE_RULES: list[Rule] = [
    imports_go_one_way,
    rooms_import_downwards,
    only_commands_of_pose_know_the_engine,
    choices_import_parts_and_nothing_imports_a_choice,
    models_know_nothing_of_training,
    models_name_no_machine,
    only_the_border_reads_configuration,
    device_words_stay_where_devices_are_known,
    files_are_one_idea_long,
    nothing_is_unfinished,
    no_handler_catches_everything,
    public_names_have_docstrings,
    no_path_of_one_machine,
    text_has_an_encoding,
]


@cache
def read(folder: Path, pattern: str) -> list[Source]:
    return [
        Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob(pattern))
    ]


def project_sources() -> list[Source]:
    return read(ROOT, "*.py") + [source for package in PACKAGES for source in read(ROOT / package, "**/*.py")]


def report(rule: Rule, sources: list[Source]) -> str:
    return "\n".join(f"{source.path} {offence}" for source in sources for offence in rule(source))


@pytest.mark.parametrize("rule", PACKAGE_RULES, ids=lambda rule: rule.__name__)
def test_every_file_of_the_project_keeps_the_rule(rule: Rule) -> None:
    sources = project_sources()
    assert len(sources) > 10
    offences = report(rule, sources)
    assert not offences, f"{rule.__name__.replace('_', ' ')}:\n{offences}"


@pytest.mark.slow
def test_a_room_lists_what_others_take_from_it() -> None:
    taken: dict[str, set[str]] = {}
    for source in project_sources():
        parts = source.path.split("/")
        here = ".".join(parts[:2]) if len(parts) > 2 else ""
        for _, module in imported_modules(source):
            room = ".".join(module.split(".")[:2])
            if room_of(module) and room_of(module) not in CHOICES and room != here and module != room:
                taken.setdefault(room, set()).add(module.split(".")[2])
    assert len(taken) > 10
    for room, modules in sorted(taken.items()):
        text = (ROOT.joinpath(*room.split(".")) / "__init__.py").read_text(encoding="utf-8")
        _, _, listed = text.partition("Others take from ")
        assert sorted(modules) == sorted(re.findall(r"`(\w+)`", listed.partition(";")[0])), f"{room}/__init__.py"


def test_tests_are_as_short_and_as_finished_as_the_code() -> None:
    tests = [source for source in read(ROOT / "tests", "**/*.py") if source.path != "tests/test_imports.py"]
    for rule in (files_are_one_idea_long, no_path_of_one_machine, text_has_an_encoding):
        assert not report(rule, tests)


def test_configuration_names_devices_only_under_conf_device() -> None:
    files = [path for path in (ROOT / "conf").rglob("*.yaml") if path.parent.name != "device"]
    settings = [
        (path, re.sub(r"(^|\s)#.*", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)) for path in files
    ]
    assert [(str(path), DEVICE_WORDS.findall(text)) for path, text in settings if DEVICE_WORDS.search(text)] == []


def test_no_file_imports_itself_in_a_circle() -> None:
    names = {
        source.path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): source
        for source in project_sources()
    }
    arrows = {
        name: {module for _, module in imported_modules(source) if module in names and module != name}
        | {
            parent
            for _, module in imported_modules(source)
            if (parent := module.rpartition(".")[0]) in names and module not in names
        }
        for name, source in names.items()
    }
    arrows = {name: to - {name} for name, to in arrows.items()}
    while free := {name for name, to in arrows.items() if not to}:
        arrows = {name: to - free for name, to in arrows.items() if name not in free}
    assert not arrows, f"Circles among {sorted(arrows)}"


def test_inheritance_is_one_level_deep() -> None:
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}  # nn.Module is not ours
        for source in project_sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
    }
    deep = [
        f"{name} <- {base} <- {grandparent}"
        for name, above in bases.items()
        for base in above & bases.keys()
        for grandparent in bases[base] & bases.keys()
    ]
    assert deep == []


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
    (models_name_no_machine, "pose3d/model/a.py", "# quick on a CPU", "line 1 says CPU"),
    (models_name_no_machine, "pose2d/network/resnet.py", "torch.ops.mkldnn.x()", "says mkldnn"),
    (
        models_name_no_machine,
        "pose3d/lifting/temporal.py",
        "from anypose.kernels import winograd",
        "imports anypose.kernels",
    ),
    (only_the_border_reads_configuration, "anypose/a.py", "import omegaconf", "omegaconf"),
    (device_words_stay_where_devices_are_known, "anypose/a.py", "x = y.is_cuda", "says cuda"),
    (device_words_stay_where_devices_are_known, "train.py", '"""device=npu"""\nx = "hccl"', "says hccl"),
    (files_are_one_idea_long, "anypose/a.py", "\n" * 321, "321 lines"),
    (files_are_one_idea_long, "anypose/utils.py", "", "drawer"),
    (nothing_is_unfinished, "anypose/a.py", "# TODO later", "says TODO"),
    (no_handler_catches_everything, "anypose/a.py", "try:\n    f()\nexcept:\n    g()", "catches everything"),
    (public_names_have_docstrings, "anypose/a.py", '"""A."""\ndef f(): ...', "f has no docstring"),
    (no_path_of_one_machine, "anypose/a.py", 'x = "/home/me"', "names /home/m"),
    (text_has_an_encoding, "anypose/a.py", "a = path.read_text()", "line 1 leaves the encoding of read_text"),
    (text_has_an_encoding, "anypose/a.py", "a.open(mode='a')", "line 1 leaves the encoding of open"),
    (text_has_an_encoding, "anypose/a.py", "open(a)", "line 1 leaves the encoding of open"),
]


@pytest.mark.parametrize(("rule", "path", "text", "offence"), BAD_EXAMPLES)
def test_a_rule_finds_what_it_is_for(rule: Rule, path: str, text: str, offence: str) -> None:
    assert offence in report(rule, [Source(path, text)])


def test_the_word_input_is_not_a_device() -> None:
    assert not report(device_words_stay_where_devices_are_known, [Source("anypose/a.py", "input_size = 3")])
