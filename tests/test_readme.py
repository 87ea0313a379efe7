"""The documents tell the truth: their commands run, the files they name exist, both languages say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "RESULTS.md", "CHANGELOG.md"]
DOCUMENTS += [f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))]
FILE_NAME = re.compile(
    r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|md|ya?ml|toml|txt|png)|(?:conf|anypose|pose2d|pose3d|benchmarks|results|tests|docs)/[\w./-]*)`"
)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def blocks(document: str, language: str) -> list[str]:
    """The code blocks in that language, "" for those without one."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [
        body for name, body in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL) if name == language
    ]


def commands(document: str) -> list[str]:
    """The command lines of every bash block, comments stripped."""
    lines = [line for block in blocks(document, "bash") for line in block.splitlines()]
    return [line for line in (re.sub(r"(^|\s+)#.*", "", line).strip() for line in lines) if line]


def headings(document: str) -> list[int]:
    """The levels of the headings, in order; comments in code blocks are not headings."""
    text = re.sub(r"^```.*?^```", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [len(marks) for marks in re.findall(r"^(#+) ", text, flags=re.MULTILINE)]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = {*FILE_NAME.findall(text), *LINK.findall(text)}
    # Our examples, the originals' files, a dataset's, what a command writes.
    elsewhere = re.compile(
        r"\bmine\b|test_mine|modelarts|\bboot_|^main/|^vp3d_|^prepare_|^CMU-INDEX|^ignore_list|^people\.png|^angle_by|^\.parity"
    )
    beside = (ROOT / document).parent  # pictures of a page are named from where it lies
    there = {name for name in named if (ROOT / name).exists() or (beside / name).exists()}
    missing = sorted(name for name in named - there if not elsewhere.search(name))
    assert not missing, f"{document} names files that are not there: {missing}"


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_the_links_and_pictures_of_a_page_are_there(page: str) -> None:
    targets = LINK.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert [target for target in targets if not (ROOT / "docs" / target).exists()] == []


def anchors(document: Path) -> set[str]:
    """What GitHub makes of a page's headings: small letters, no punctuation, a hyphen for each space."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_link_into_a_page_ends_at_a_heading(document: str) -> None:
    here = ROOT / document
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", here.read_text(encoding="utf-8"))
    assert [name for page, name in links if name not in anchors((here.parent / page) if page else here)] == []


def test_the_tree_in_the_readme_is_the_tree() -> None:
    tree = next(block for block in blocks("README.md", "") if "conf/" in block)
    drawn = {name.rstrip("/") for line in tree.splitlines() for name in line.partition("  ")[0].split()}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages | {"conf", "tests", "train.py", "evaluate.py"} <= drawn
    assert sorted(name for name in drawn if not (ROOT / name).exists()) == []


@pytest.mark.parametrize("document", ["README.md", "README.zh-CN.md"])
@pytest.mark.parametrize("group", ["model", "dataset"])
def test_every_choice_is_in_the_readme(document: str, group: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    choices = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}
    assert {choice for choice in choices if not re.search(rf"`({group}=)?{choice}`", text)} == set()


def test_both_languages_have_the_same_commands_and_headings() -> None:
    assert commands("README.md") == commands("README.zh-CN.md")
    assert headings("README.md") == headings("README.zh-CN.md")


def test_make_targets_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {match for name in DOCUMENTS for match in re.findall(r"\bmake ([a-z-]+)", " ".join(commands(name)))}
    assert named
    assert named <= targets


@pytest.mark.parametrize("document", ["README.md", "README.zh-CN.md"])
def test_the_readme_is_short(document: str) -> None:
    assert len((ROOT / document).read_text(encoding="utf-8").splitlines()) < 150


def test_the_version_is_one_everywhere() -> None:
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version
    assert f"\n## {version[1]}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\nversion: {version[1]}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
