"""The project's Python files as the tests of the architecture see them: parsed, with what they import.

A rule is a function from one file to the offences in it, so that it is tried on a bad example, too.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHOICES = ("dataset", "model", "task")
PACKAGES = ("anypose", "pose2d", "pose3d", "benchmarks")


@dataclass(frozen=True)
class Source:
    """One Python file: where it lies and what it says."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Everything in the tree, walked once for all rules."""
        return list(ast.walk(self.tree))

    @cached_property
    def imports(self) -> list[tuple[int, str]]:
        """Line and module of every import, wherever in the file; `from a.b import c` names a.b.c."""
        return list(imported_modules(self))

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


@cache
def room_of(module: str) -> str:
    """ "engine" for anypose.engine.run, "" for what stands beside the rooms."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (ROOT / parts[0] / parts[1]).is_dir() else ""


def imported_modules(source: Source) -> Iterator[tuple[int, str]]:
    for node in source.nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = source.path.split("/")[: -node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def documented(tree: ast.Module) -> list[ast.Module | ast.FunctionDef | ast.ClassDef]:
    return [tree, *(node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef))]


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


def check_project(rule: Rule) -> None:
    """Fail with every offence against a rule in the project's own files."""
    sources = project_sources()
    assert len(sources) > 10
    offences = report(rule, sources)
    assert not offences, f"{rule.__name__.replace('_', ' ')}:\n{offences}"
