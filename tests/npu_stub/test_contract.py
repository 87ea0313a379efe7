"""The recorded signatures are those of the installed torch_npu.

ANYPOSE_RECORD=1 python -m tests.npu_stub.run -k contract      records them anew
"""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch_npu  # pyright: ignore[reportMissingImports]

RECORD = Path(__file__).parents[1] / "npu_contract.json"
NAMES = json.loads(RECORD.read_text(encoding="utf-8"))["torch.npu"]


def found(name: str) -> str:
    """The signature of a callable, "attribute" for anything else that is there or can be set."""
    target: Any = torch.npu
    *path, last = name.split(".")
    for part in path:
        target = getattr(target, part)
    if last == "allow_internal_format":  # can be set and not be read
        torch.npu.config.allow_internal_format = False
        return "attribute"
    value = getattr(target, last)
    if not callable(value):
        return "attribute"
    try:
        signature = inspect.signature(value)
    except ValueError:  # written in C++
        return "(*args, **kwargs)"
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_signature_is_the_wheels(name):
    if os.environ.get("ANYPOSE_RECORD"):
        record = json.loads(RECORD.read_text(encoding="utf-8"))
        record["torch.npu"][name] = found(name)
        record["versions"]["torch_npu"] = torch_npu.__version__.split("+")[0]
        RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return
    assert found(name) == NAMES[name]
