"""Build stand-ins for the CANN libraries, so that the real torch_npu loads on any machine.

tests/npu_stub/run.py calls it; it needs gcc and nm.

Only the names of C functions come from torch_npu's symbol tables; what they do is in cann.c, or nothing.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("cann.c")
MAIN = "libascendcl.so"
OTHERS = ("libhccl.so", "libacl_op_compiler.so", "libge_runner.so", "libgraph.so", "libacl_tdt_channel.so")
OURS = re.compile(r"(acl|rt[A-Z]|Msprof|Hccl|Hcom)")


def build(folder: Path, packages: Path) -> list[str]:
    """Compile the libraries into `folder`; return the functions that do nothing and return 0.

    Args:
        packages: where torch_npu is installed.
    """
    package, torch = packages / "torch_npu", Path(importlib.util.find_spec("torch").origin).parent  # not imported
    wanted: set[str] = set()
    there: set[str] = set()
    libraries = [*package.glob("_C*.so"), *(p for p in package.glob("lib/*.so") if "atb" not in p.name)]
    for library in libraries:
        undefined, defined = symbols(library)
        wanted |= undefined
        there |= defined
    for library in torch.glob("lib/*.so*"):
        there |= symbols(library)[1]
    written = SOURCE.read_text(encoding="utf-8")
    done = set(re.findall(r"^\w[\w\s*]*?\b((?:acl|rt|Msprof|Hccl)\w+)\s*\(", written, re.MULTILINE))
    empty = sorted(name for name in wanted - there - done if OURS.match(name))

    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "cann.c"
    source.write_text(written + "".join(f"long {name}() {{ return 0; }}\n" for name in empty), encoding="utf-8")
    compile_library(folder, MAIN, str(source), "-ldl")
    nothing = folder / "nothing.c"
    nothing.write_text("static int nothing;\n", encoding="utf-8")
    for name in OTHERS:
        compile_library(
            folder, name, str(nothing), "-Wl,--no-as-needed", f"-L{folder}", f"-l:{MAIN}", "-Wl,-rpath,$ORIGIN"
        )  # fmt: skip
    return empty


def symbols(library: Path) -> tuple[set[str], set[str]]:
    """Names that the library needs, and names that it defines."""
    undefined, defined = set(), set()
    listing = subprocess.run(["nm", "-D", str(library)], capture_output=True, text=True, check=True).stdout
    for line in listing.splitlines():
        kind, name = line.split()[-2:]
        if kind == "U":
            undefined.add(name.split("@")[0])
        elif kind not in "wv":
            defined.add(name.split("@")[0])
    return undefined, defined


def compile_library(folder: Path, name: str, *arguments: str) -> None:
    flags = ["-w", "-O1", "-fPIC", "-shared", f"-Wl,-soname,{name}", "-o", str(folder / name)]
    subprocess.run(["gcc", *flags, *arguments], check=True)
