"""ONNX to Ascend's .om with atc: the command line, its files, and running it where it can run."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anypose.engine.task import Task
from anypose.settings import Misuse
from anypose.whole import drafts, write_text

ONNX_FRAMEWORK = 5  # atc's number for it
PRECISION_MODES = ("force_fp16", "allow_fp32_to_fp16", "must_keep_origin_dtype", "allow_mix_precision", "force_fp32")
PRECISION_MODES_V2 = ("fp16", "origin", "cube_fp16in_fp32out", "mixed_float16", "mixed_bfloat16")


@dataclass(frozen=True)
class Atc:
    """How to compile.

    Attributes:
        soc_version: "Ascend" and the chip's name in `npu-smi info`: Ascend310P3, Ascend910B3. One .om fits one chip.
        precision_mode: one of atc's two spellings of precision, or None for its default, which is fp16. "origin" and
            "cube_fp16in_fp32out" keep millimetres at more time.
        aipp: let the chip normalise: the .om of an image model then takes uint8 pixels, (B, H, W, 3) RGB.
        options: further flags as typed, e.g. ["--op_select_implmode=high_precision"].
    """

    soc_version: str
    precision_mode: str | None
    aipp: bool
    options: Sequence[str]

    def __post_init__(self) -> None:
        if not str(self.soc_version).startswith("Ascend"):  # the command line makes a number of 310
            raise Misuse(
                f"soc_version must be 'Ascend' and the chip's name in `npu-smi info`, as Ascend310P3, got "
                f"{self.soc_version!r}."
            )
        if self.precision_mode not in (None, *PRECISION_MODES, *PRECISION_MODES_V2):
            raise Misuse(
                f"precision_mode must be null, one of {', '.join(PRECISION_MODES_V2)}, or for an old CANN one of "
                f"{', '.join(PRECISION_MODES)}, got {self.precision_mode!r}."
            )

    def command(self, onnx: Path, shapes: Mapping[str, Sequence[int]], aipp: Path | None = None) -> list[str]:
        """The command line that makes `onnx` into the .om beside it.

        Args:
            onnx: the network.
            shapes: {input: shape}, numbers only.
            aipp: the file that says how to normalise, None for float input.
        """
        four = all(len(shape) == 4 for shape in shapes.values())
        inputs = ";".join(f"{name}:{','.join(map(str, shape))}" for name, shape in shapes.items())
        line = [
            "atc",
            f"--framework={ONNX_FRAMEWORK}",
            f"--model={onnx}",
            f"--output={onnx.with_suffix('')}",
            f"--input_format={'NCHW' if four else 'ND'}",
            f"--input_shape={inputs}",
            "--log=error",
            f"--soc_version={self.soc_version}",
        ]
        if self.precision_mode:
            flag = "precision_mode_v2" if self.precision_mode in PRECISION_MODES_V2 else "precision_mode"
            line.append(f"--{flag}={self.precision_mode}")
        if aipp:
            line.append(f"--insert_op_conf={aipp}")
        return [*line, *self.options]


def write_command(atc: Atc, onnx: Path, shapes: Mapping[str, Sequence[int]], task: Task) -> list[str]:
    """Write the command line (.atc.sh) and, where asked for, the AIPP file (.aipp.cfg) beside the network.

    Returns:
        The command.
    """
    aipp = None
    if atc.aipp:
        normalization = getattr(task, "normalization", None)
        if normalization is None:
            raise Misuse(
                f"aipp=true lets the chip normalise images, and {type(task.model).__name__} reads none. Leave it false."
            )
        aipp = onnx.with_suffix(".aipp.cfg")
        height, width = next(iter(shapes.values()))[2:]
        write_text(aipp, normalization.aipp(height, width))
    command = atc.command(onnx, shapes, aipp)
    write_text(onnx.with_suffix(".atc.sh"), "#!/bin/sh\n" + " \\\n    ".join(map(shlex.quote, command)) + "\n")
    return command


def compile_om(command: Sequence[str], onnx: Path) -> Path:
    """Run the command; the .om appears only when atc has finished it.

    Raises:
        FileNotFoundError: when there is no atc.
        ValueError: when atc fails, with its last lines.
    """
    if shutil.which("atc") is None:
        raise FileNotFoundError(
            "format=om needs atc, and it is not on the PATH. It is part of Huawei's CANN toolkit, which has no package "
            "on the index: install the toolkit and source its set_env.sh, or copy the network to a machine that has "
            f"it. {onnx} and the command, {onnx.with_suffix('.atc.sh')}, are ready."
        )
    target = onnx.with_suffix(".om")
    with drafts(onnx.parent) as folder:
        draft = folder / target.name
        aside = [f"--output={draft.with_suffix('')}" if part.startswith("--output=") else part for part in command]
        done = subprocess.run(aside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode or not draft.is_file():
            last = "\n".join(done.stdout.strip().splitlines()[-8:])
            raise ValueError(
                f"atc ended with {done.returncode} and no {target.name}. The command is "
                f"{onnx.with_suffix('.atc.sh')}; atc's last words:\n{last}"
            )
        os.replace(draft, target)
    return target
