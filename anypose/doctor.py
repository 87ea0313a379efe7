"""What is installed, which devices work and why the others do not, which extras and datasets are there.

    python -m anypose doctor

Prints plain text to paste into a bug report; it changes nothing and imports optional packages only to ask them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from anypose.engine.device import Cpu, Cuda, Npu
from anypose.engine.place import CONF
from anypose.engine.sentences import told

# After anypose.engine.device, which makes `import torch` safe where torch_npu is installed without CANN.
import torch  # isort: skip
import yaml

Rows = list[tuple[str, str]]

ASCEND_VARIABLES = ("ASCEND_TOOLKIT_HOME", "ASCEND_OPP_PATH", "ASCEND_RT_VISIBLE_DEVICES", "SOC_VERSION")


def version_of(distribution: str) -> str | None:
    """The installed version, None where the distribution is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions() -> Rows:
    """The project, the interpreter, the machine and the core dependencies."""
    rows = [
        ("anypose", version_of("anypose") or "not installed; run `make setup` or `pip install -e .`"),
        ("python", f"{platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores"),
        ("torch", f"{torch.__version__}, CUDA {torch.version.cuda or 'no'}, {torch.get_num_threads()} CPU threads"),
    ]
    for name in ("numpy", "hydra-core", "omegaconf"):
        rows.append((name, version_of(name) or "not installed"))
    return rows


def devices() -> Rows:
    """For each kind of device how many there are, or why it cannot be used; `device=auto` takes the first."""
    rows = []
    for kind in (Npu, Cuda, Cpu):
        problem = kind.problem()
        if problem:
            rows.append((kind.type, f"no: {problem}"))
        elif kind is Cpu:
            rows.append((kind.type, f"yes: {torch.backends.cpu.get_cpu_capability()}"))
        else:
            module = torch.get_device_module(kind.type)
            names = [module.get_device_name(index) for index in range(module.device_count())]
            rows.append((kind.type, f"yes: {', '.join(names)}"))
    return rows


def ascend() -> Rows:
    """What the Ascend path needs beyond torch: torch_npu, CANN's environment, the runtimes of OM files."""
    rows = [("torch-npu", version_of("torch-npu") or "not installed: pip install 'anypose[npu]', after CANN")]
    rows += [(name, os.environ.get(name, "not set")) for name in ASCEND_VARIABLES]
    for module in ("acl", "ais_bench"):
        found = importlib.util.find_spec(module) is not None
        rows.append((module, "found" if found else "not found; it comes with CANN and its tools"))
    return rows


def runtimes() -> Rows:
    """The execution providers of onnxruntime."""
    if importlib.util.find_spec("onnxruntime") is None:
        return [("onnxruntime", "not installed: pip install 'anypose[export]'")]
    import onnxruntime

    return [("onnxruntime", f"{onnxruntime.__version__}: {', '.join(onnxruntime.get_available_providers())}")]


def extras(requirements: Iterable[str]) -> Rows:
    """Which extras are complete, and the line that completes the others.

    Args:
        requirements: as package metadata has them, e.g. 'h5py<4,>=3.8; extra == "h36m"'.
    """
    needed: dict[str, list[str]] = {}
    for requirement in requirements:
        match = re.match(r"([\w.-]+)(?!.*\[).*;.*extra == [\"']([\w-]+)[\"']", requirement)
        if match:
            needed.setdefault(match[2], []).append(match[1])
    rows = []
    for extra, names in needed.items():
        missing = [name for name in names if version_of(name) is None]
        have = ", ".join(f"{name} {version_of(name)}" for name in names if name not in missing)
        lacking = f"lacks {', '.join(missing)}: pip install 'anypose[{extra}]'"
        rows.append((extra, lacking if missing else have))
    return rows


def datasets(folder: Path = CONF / "dataset") -> Rows:
    """Which datasets are embedded, and where the files of the others are looked for; those in parts, part by part."""
    rows = []
    for path in sorted(folder.glob("*.yaml")):
        roots = roots_of(path)
        told = [f"{key}={root}: {'found' if Path(root).expanduser().exists() else 'not there'}" for key, root in roots]
        rows.append((path.stem, f"needs files; {', '.join(told)}" if told else "embedded, nothing to download"))
    return rows


def roots_of(path: Path, key: str = "dataset") -> list[tuple[str, str]]:
    """(key, path) of every root or file that a dataset's YAML and the datasets it consists of name."""
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    found = [(f"{key}.{name}", str(content[name] or name.upper())) for name in ("root", "file") if name in content]
    for entry in content.get("defaults", []):
        part, option = next(iter(entry.items())) if isinstance(entry, dict) else (entry, None)
        name, _, place = str(part).partition("@")
        if place:
            found += roots_of(path.with_name(f"{option or name}.yaml"), f"{key}.{place}")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print every section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    requirements = importlib.metadata.requires("anypose") if version_of("anypose") else []
    sections = {
        "Versions": versions(),
        "Devices": devices(),
        "Ascend": ascend(),
        "Runtimes": runtimes(),
        "Extras": extras(requirements or []) or [("", "unknown, because anypose is not installed")],
        "Datasets": datasets(),
    }
    width = max(len(name) for rows in sections.values() for name, _ in rows)
    for title, rows in sections.items():
        print(title)
        for name, value in rows:
            print(f"  {name:{width}}  {value}")


if __name__ == "__main__":
    with told():
        main()
