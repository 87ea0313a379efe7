"""The real peers, loaded by path from checkouts of their repositories; nothing of theirs is in this project."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

PORT = ("weigq", "3d_pose_baseline_pytorch")
VIDEOPOSE3D = ("facebookresearch", "VideoPose3D")


def load(peers: Path, peer: tuple[str, str], file: str) -> types.ModuleType | None:
    """A module of a checkout, e.g. `common/loss.py`; None where the folder has no such checkout.

    The folder may hold `VideoPose3D` or `facebookresearch/VideoPose3D`.

    Raises:
        FileNotFoundError: a checkout without that file.
    """
    owner, name = peer
    found = [folder for folder in (peers / name, peers / owner / name) if folder.is_dir()]
    if not found:
        return None
    path = found[0] / file
    if not path.is_file():
        raise FileNotFoundError(f"--peer-dir has {found[0]}, but no {file} in it; is it {owner}/{name}?")
    module_name = f"peer_{name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
