"""Every name and argument of torch_npu, apex and ais_bench that the project uses is one they have.

The signatures are recorded in tests/npu_contract.json; `make test-npu` compares those of torch_npu with the wheel.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONTRACT = json.loads((ROOT / "tests" / "npu_contract.json").read_text(encoding="utf-8"))
NOT_TORCH_NPU = {"CUDAGraph", "cudnn"}


def chains(source: str, roots: tuple[str, ...]) -> Iterator[tuple[str, ast.Call | None]]:
    """Every dotted name behind one of the roots, e.g. "set_device" of self.module.set_device(0), and its call."""
    tree = ast.parse(source)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            dotted = ast.unparse(node)
            for root in roots:
                if dotted.startswith(f"{root}."):
                    yield dotted.removeprefix(f"{root}."), calls.get(id(node))


def signature(text: str) -> inspect.Signature:
    scope: dict = {}
    exec(f"def function{text}: ...", scope)
    return inspect.signature(scope["function"])


def misuses(source: str, roots: tuple[str, ...], contract: dict[str, str]) -> list[str]:
    """What is not in the contract, or is called with arguments it does not take."""
    found = []
    for name, call in chains(source, roots):
        known = next((key for key in contract if name == key or name.startswith(f"{key}.")), None)
        if known is None:
            found.append(f"{name} is not recorded")
        elif call is not None and known == name and contract[known].startswith("("):
            keywords = {keyword.arg: 0 for keyword in call.keywords if keyword.arg}
            try:
                signature(contract[known]).bind(*[0] * len(call.args), **keywords)
            except TypeError as error:
                found.append(f"{ast.unparse(call)}: {error}; it is {name}{contract[known]}")
    return found


ENGINE_ROOTS = ("self.module", "device.module", "module")


@pytest.mark.parametrize("file", ["device", "capture", "loss_scale"])
def test_what_the_engine_asks_of_torch_npu_is_there(file):
    source = (ROOT / "anypose" / "engine" / f"{file}.py").read_text(encoding="utf-8")
    used = list(chains(source, ENGINE_ROOTS))
    assert used
    assert not misuses(source, ENGINE_ROOTS, CONTRACT["torch.npu"])


def test_the_graph_class_is_recorded():
    source = (ROOT / "anypose" / "engine" / "device.py").read_text(encoding="utf-8")
    names = set(re.findall(r'graph_class = "(\w+)"', source)) - NOT_TORCH_NPU
    assert names == {"NPUGraph"}
    assert names <= CONTRACT["torch.npu"].keys()


def test_what_the_engine_asks_of_apex_is_there():
    source = (ROOT / "anypose" / "engine" / "precision.py").read_text(encoding="utf-8")
    names = {name for name, _ in chains(source, ("self.amp",))}
    assert names == set(CONTRACT["apex.amp"])
    assert not misuses(source, ("self.amp",), CONTRACT["apex.amp"])


def test_what_a_session_asks_of_ais_bench_is_there():
    source = (ROOT / "anypose" / "export" / "session.py").read_text(encoding="utf-8")
    contract = CONTRACT["ais_bench.infer.interface"]
    constructed = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "InferSession"
    ]
    assert constructed
    for call in constructed:
        signature(contract["InferSession"]).bind(*[0] * len(call.args), **{k.arg: 0 for k in call.keywords if k.arg})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("self.module.set_compile_mode(jit=False)", "unexpected keyword argument 'jit'"),
        ("self.module.set_device()", "missing a required argument: 'device'"),
        ("self.module.is_bf16_suported()", "is_bf16_suported is not recorded"),
        ("self.module.conv.allow_tf32 = True", "conv.allow_tf32 is not recorded"),
    ],
)
def test_a_wrong_use_is_found(line, expected):
    (problem,) = misuses(line, ENGINE_ROOTS, CONTRACT["torch.npu"])
    assert expected in problem
