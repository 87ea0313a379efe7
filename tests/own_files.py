"""A person's own files of keypoints and joints, written by what docs/data.md shows, and as a table."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]


def python_of(page: str) -> list[str]:
    """Its blocks of Python."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def write_own(here: Path) -> None:
    """mine.npz, mine.yaml and mine.csv: two hundred frames of ann and bob, eight joints."""
    rng = np.random.default_rng(0)
    resting = np.array([[0, 0], [-1, 0], [-1, 4], [-1, 8], [1, 0], [1, 4], [1, 8], [0, -5]]) * 0.1
    xyz = np.concatenate([resting, np.zeros((8, 1))], -1) + rng.normal(0, 0.02, (200, 8, 3)) + [0, 0, 4.0]
    names: dict = {"uv": xyz[..., :2] / xyz[..., 2:] * 1100 + [960, 540], "xyz": xyz}
    names |= {"who": np.repeat(["ann", "bob"], 100), "what": np.repeat(["walk", "run", "walk", "run"], 50)}
    (body,) = python_of("docs/data.md")
    for file in ("mine.npz", "mine.yaml"):
        assert f'"{file}"' in body
        body = body.replace(f'"{file}"', repr(str(here / file)))
    exec(compile(body, "docs/data.md", "exec"), names)
    joints = yaml.safe_load((here / "mine.yaml").read_text(encoding="utf-8"))["joints"]
    columns = [f"{joint}_{axis}_px" for joint in joints for axis in "xy"]
    columns += [f"{joint}_{axis}_m" for joint in joints for axis in "xyz"]
    numbers = np.concatenate([names["uv"].reshape(200, -1), xyz.reshape(200, -1)], 1)
    rows = [",".join([who, *map(str, row)]) for who, row in zip(names["who"], numbers, strict=True)]
    (here / "mine.csv").write_text("\n".join([",".join(["subject", *columns]), *rows]), encoding="utf-8")
