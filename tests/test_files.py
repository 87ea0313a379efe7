"""How a file looks: short, finished, documented, without the words of one device or the paths of one machine."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.sources import ROOT, Rule, Source, check_project, documented, project_sources, read, report

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
NAMED = re.compile(r"`((?:anypose|pose2d|pose3d|benchmarks)(?:\.\w+)+)")
DRAWERS = {"utils", "util", "common", "helpers", "helper", "misc"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")
OPEN_OTHERS = re.compile(r"^(os|av|self|self\.av|tarfile|archive|Image|Run)$")  # whose `open` is no file of text's
MACHINE_PATHS = re.compile(r"(?<![\w.~*/-])/(work|root|home|tmp|Users)/\w")


def models_name_no_machine(source: Source) -> Iterator[str]:
    if MODELS.match(source.path):
        for number, line in enumerate(source.text.splitlines(), start=1):
            yield from (f"line {number} says {word}" for word in MACHINE_WORDS.findall(line))
        for line, module in source.imports:
            if module.startswith("anypose.kernels"):
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
    for node in source.nodes:
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            goes_on = not isinstance(node.body[-1], ast.Raise)  # what is raised again is not lost
            if caught in ("everything", "Exception", "BaseException") and goes_on:
                yield f"line {node.lineno} catches {caught}"


def public_names_have_docstrings(source: Source) -> Iterator[str]:
    if source.path.endswith("__init__.py"):
        return
    for node in documented(source.tree):
        name = getattr(node, "name", "the module")
        if name != "main" and not name.startswith("_") and not ast.get_docstring(node):  # the module speaks for main
            yield f"{name} has no docstring"


def no_path_of_one_machine(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), start=1):
        if found := MACHINE_PATHS.search(line):
            yield f"line {number} names {found[0]}..."


def names_in_text_are_there(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), start=1):
        yield from (f"line {number} names {name}, which is not there" for name in NAMED.findall(line) if absent(name))


@cache
def absent(name: str) -> bool:
    """Whether there is no such module, or nothing of that name in it."""
    place, parts = ROOT, name.split(".")
    while parts and (place / parts[0]).is_dir():
        place = place / parts.pop(0)
    module = bool(parts) and (place / f"{parts[0]}.py").is_file()
    file = place / (f"{parts.pop(0)}.py" if module else "__init__.py")
    return bool(parts) and not re.search(rf"\b{parts[0]}\b", file.read_text(encoding="utf-8"))


def text_has_an_encoding(source: Source) -> Iterator[str]:
    """Without one Windows reads and writes in its own."""
    if not re.search(r"open\(|_text\(", source.text):
        return
    for node in source.nodes:
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


RULES: list[Rule] = [
    models_name_no_machine,
    device_words_stay_where_devices_are_known,
    files_are_one_idea_long,
    nothing_is_unfinished,
    no_handler_catches_everything,
    public_names_have_docstrings,
    no_path_of_one_machine,
    names_in_text_are_there,
    text_has_an_encoding,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_file_of_the_project_keeps_the_rule(rule: Rule) -> None:
    check_project(rule)


def test_tests_are_as_short_and_as_finished_as_the_code() -> None:
    tests = read(ROOT / "tests", "**/*.py")
    assert not report(files_are_one_idea_long, tests)
    others = [source for source in tests if source.path != "tests/test_files.py"]  # whose examples are bad
    for rule in (no_path_of_one_machine, text_has_an_encoding):
        assert not report(rule, others)


def test_configuration_names_devices_only_under_conf_device() -> None:
    files = [path for path in (ROOT / "conf").rglob("*.yaml") if path.parent.name != "device"]
    settings = [
        (path, re.sub(r"(^|\s)#.*", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)) for path in files
    ]
    assert [(str(path), DEVICE_WORDS.findall(text)) for path, text in settings if DEVICE_WORDS.search(text)] == []


def test_inheritance_is_one_level_deep() -> None:
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}  # nn.Module is not ours
        for source in project_sources()
        for node in source.nodes
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
    (models_name_no_machine, "pose3d/model/a.py", "# quick on a CPU", "line 1 says CPU"),
    (models_name_no_machine, "pose2d/network/resnet.py", "torch.ops.mkldnn.x()", "says mkldnn"),
    (
        models_name_no_machine,
        "pose3d/lifting/temporal.py",
        "from anypose.kernels import winograd",
        "imports anypose.kernels",
    ),
    (device_words_stay_where_devices_are_known, "anypose/a.py", "x = y.is_cuda", "says cuda"),
    (device_words_stay_where_devices_are_known, "train.py", '"""device=npu"""\nx = "hccl"', "says hccl"),
    (files_are_one_idea_long, "anypose/a.py", "\n" * 321, "321 lines"),
    (files_are_one_idea_long, "anypose/utils.py", "", "drawer"),
    (nothing_is_unfinished, "anypose/a.py", "# TODO later", "says TODO"),
    (no_handler_catches_everything, "anypose/a.py", "try:\n    f()\nexcept:\n    g()", "catches everything"),
    (public_names_have_docstrings, "anypose/a.py", '"""A."""\ndef f(): ...', "f has no docstring"),
    (no_path_of_one_machine, "anypose/a.py", 'x = "/home/me"', "names /home/m"),
    (names_in_text_are_there, "anypose/a.py", '"""`anypose.engine.nobody`"""', "line 1 names anypose.engine.nobody"),
    (names_in_text_are_there, "anypose/a.py", "# see `anypose.camera.nobody`", "names anypose.camera.nobody"),
    (text_has_an_encoding, "anypose/a.py", "a = path.read_text()", "line 1 leaves the encoding of read_text"),
    (text_has_an_encoding, "anypose/a.py", "a.open(mode='a')", "line 1 leaves the encoding of open"),
    (text_has_an_encoding, "anypose/a.py", "open(a)", "line 1 leaves the encoding of open"),
]


@pytest.mark.parametrize(("rule", "path", "text", "offence"), BAD_EXAMPLES)
def test_a_rule_finds_what_it_is_for(rule: Rule, path: str, text: str, offence: str) -> None:
    assert offence in report(rule, [Source(path, text)])


def test_the_word_input_is_not_a_device() -> None:
    assert not report(device_words_stay_where_devices_are_known, [Source("anypose/a.py", "input_size = 3")])
