"""`--help`: a page of the choices and the keys that people change; `--help=all`: every key with its comment."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from anypose.engine.place import CONF, typed

# For each command: its examples, the groups it is chosen by, and the keys that people change.
PAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "train": (
        (
            "model=baseline3d                                  minutes on a CPU, nothing to download",
            "model=videopose3d debug=smoke                     a few steps of anything, to see that it runs",
            "model=baseline3d dataset=custom dataset.file=mine.npz dataset.skeleton=mine.yaml \\",
            "    dataset.validation_subjects=bob               your own data: docs/data.md has the files in ten lines",
            "model=baseline3d experiment=baseline3d_cmu dataset.root=data/cmu    a protocol; its number is in the file",
            "model=baseline3d resume=auto                      go on where the latest run stopped",
            "-m model=baseline3d seed=0,1,2                    a sweep; ends in a table",
        ),
        ("model", "dataset", "experiment", "device", "precision"),
        (
            "dataset.root", "trainer.epochs", "trainer.batch_size", "trainer.workers", "optimizer.lr", "model.dropout",
            "seed", "resume", "init", "pictures",
        ),
    ),
    "evaluate": (
        (
            "model=baseline3d pictures=true                    the latest run of that model",
            "run=runs/baseline3d/2026-01-31_12-00-00           another one",
            "checkpoint=released                               the project's own weights",
            "checkpoint=FILE dataset=cmu dataset.root=data/cmu     on other data than it was trained on",
        ),
        ("model", "dataset", "device", "precision"),
        (
            "run", "checkpoint", "dataset.root", "output", "predictions", "pictures", "frames", "task.flip_test",
            "runtime", "parity",
        ),
    ),
    "predict": (
        (
            "source=my.mp4                                     npz, JSON, BVH, GLB, ... of everyone in it",
            "source=0 show=true                                a webcam",
            "source=keypoints.json skeleton=coco_17            your own detector's keypoints",
            "source=my.mp4 formats=[bvh,html] people=1 height=1.78",
        ),
        ("device",),
        (
            "source", "output", "formats", "people", "height", "focal", "skeleton", "keypoints.weights",
            "boxes.weights", "lifter",
        ),
    ),
    "export": (
        (
            "model=baseline3d                                  ONNX, compared with torch before it counts",
            "checkpoint=released format=safetensors",
            "model=videopose3d sizes.T=243 dynamic=[B]",
            "model=simplebaseline pixels=true                  uint8 pictures in, normalised inside",
        ),
        ("model",),
        ("run", "checkpoint", "format", "output", "opset", "dtype", "sizes.B", "dynamic", "streaming", "real"),
    ),
    "check": (
        ("dataset=cmu dataset.root=data/cmu                  what is there, against what there should be",),
        ("dataset",),
        ("dataset.root", "videopose3d"),
    ),
}  # fmt: skip
WIDTH = 110


def asked_for(arguments: Sequence[str]) -> str | None:
    """ "" for --help, "all" for --help=all, None where neither is among the arguments."""
    for argument in arguments:
        if argument in ("-h", "--help"):
            return ""
        if argument.startswith("--help="):
            return argument.partition("=")[2]
    return None


def show(text: str) -> None:
    """Print; whoever reads it, `head` or a pager, may go before the end."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its own end


def page(command: str, about: str) -> str:
    """The short page: how it is typed, what can be chosen, what people change."""
    examples, groups, keys = PAGES.get(command, ((), _groups(command), ()))
    cfg, _ = compose(command, [])
    lines = [about, *([""] if examples else []), *(f"  {_begun(command, example)}" for example in examples)]
    lines += ["", "Choices:"]
    for group in groups:
        lines += _wrapped(group, [file.stem for file in sorted((CONF / group).glob("*.yaml"))])
    if keys:
        comments = {"dataset.root": "where the files of the dataset lie"} | comments_of(command, cfg)
        lines += ["", "Often changed:"]
        lines += [_line(key, cfg, comments) for key in keys]
    chosen = " model=videopose3d" if "model" in groups else ""
    lines += [
        "",
        f"`{typed(command)} --help=all{chosen}` lists every key, with what it means; `--cfg job` in its place",
        "prints the whole configuration as YAML. HYDRA_FULL_ERROR=1 before a command shows where an error was raised.",
    ]
    return "\n".join(lines)


def _begun(command: str, example: str) -> str:
    """With what is typed before it; a line that goes on begins below."""
    return f"{' ' * len(typed(command)) if example.startswith(' ') else typed(command)} {example}"


def everything(command: str, overrides: Sequence[str]) -> str:
    """Every key of the command with these overrides: value and comment, section after section."""
    cfg, chosen = compose(command, overrides)
    comments = comments_of(command, cfg, chosen)
    keys = [key for key in _leaves(OmegaConf.to_container(cfg, resolve=False)) if not key.endswith("_")]
    parts, section = [], None
    for key in sorted(keys, key=lambda key: "." in key):  # those of no section first, in their order
        head = key.partition(".")[0] if "." in key else ""
        if head != section:
            section = head
            option = f"={chosen[head]}" if chosen.get(head) else ""
            first = _first_comment(CONF / head / f"{chosen.get(head)}.yaml") if head else ""
            parts.append("\n" + (f"{head}{option}    {first}".rstrip() if head else "Of the command itself"))
        parts.append(_line(key, cfg, comments))
    return "\n".join(parts).lstrip("\n")


def compose(command: str, overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str]]:
    """The configuration with these overrides, and which option each group took."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        cfg = hydra.compose(command, list(overrides), return_hydra_config=True)
    chosen = {str(group): str(option) for group, option in cfg.hydra.runtime.choices.items() if option}
    OmegaConf.set_struct(cfg, False)
    del cfg["hydra"]
    return cfg, chosen


def comments_of(command: str, cfg: DictConfig, chosen: dict[str, str] | None = None) -> dict[str, str]:
    """{dotted key: the comment beside it} of the command's own file and those of its options."""
    options = compose(command, [])[1] if chosen is None else chosen
    found = _read(CONF / f"{command}.yaml", "")
    for group, option in options.items():
        file = CONF / group / f"{option}.yaml"
        if file.is_file() and group in cfg:
            found |= _read(file, f"{group}.")
    return found


def _read(file: Path, prefix: str) -> dict[str, str]:
    """Comments behind the keys of a YAML of blocks."""
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    last = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        match = re.match(r"( *)([\w.]+):(?: |$)", line)
        words = re.search(r"(?:^|\s)#\s?(.*)$", line)
        if match:
            indent = len(match[1])
            path = [*[level for level in path if level[0] < indent], (indent, match[2])]
            last = prefix + ".".join(name for _, name in path)
            found[last] = words[1].strip() if words else ""
        elif words and line.startswith(" ") and last:  # a comment that goes on in the next line
            found[last] = f"{found[last]} {words[1].strip()}".strip()
    return found


def _first_comment(file: Path) -> str:
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    words = [line.lstrip("# ") for line in lines if line.startswith("#") and "@package" not in line]
    return words[0] if words else ""


def _leaves(node: Any, prefix: str = "") -> list[str]:
    found = []
    for key, value in node.items():
        name = f"{prefix}{key}"
        found += _leaves(value, f"{name}.") if isinstance(value, dict) and value else [name]
    return found


def _line(key: str, cfg: DictConfig, comments: dict[str, str]) -> str:
    parent = OmegaConf.select(cfg, key.rpartition(".")[0]) if "." in key else cfg
    name = key.rpartition(".")[2]
    missing = parent is None or name not in parent
    node = None if missing else OmegaConf.to_container(parent, resolve=False)[name]  # pyright: ignore
    value = "null" if node is None else str(node).lower() if isinstance(node, bool) else str(node)
    shown = f"  {key}={'...' if missing else value}"
    return f"{shown:40}  {comments.get(key, '')}".rstrip()


def _wrapped(name: str, words: list[str]) -> list[str]:
    lines, line = [], f"  {name + '=':13}"
    for word in words:
        if len(line) + len(word) > WIDTH:
            lines.append(line.rstrip())
            line = " " * 15
        line += word + "  "
    return [*lines, line.rstrip()]


def _groups(command: str) -> tuple[str, ...]:
    try:
        return tuple(group for group in compose(command, [])[1] if (CONF / group).is_dir() and "/" not in group)
    except HydraException:
        return ()
