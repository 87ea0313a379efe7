"""The vendor's road of files from a test set to a number, for networks of one fixed shape.

    python -m anypose offline preprocess --dataset Human3.6M/ --save prep/
    python -m anypose offline infer --model videopose3d.om --input prep/inputs/ --output results/
    python -m anypose offline postprocess --preprocess-data prep/ --infer-results results/

`preprocess` writes for every view of every take, numbered from 1 and grouped by action, float32 in C order:

    prep/inputs/001_Directions.bin          (2, 6115, 17, 2) keypoints on the screen, 1,663,280 bytes; the second is the
                                            mirror image
    prep/ground_truths/001_Directions.bin   (2, T, 17, 3) joints [m], camera frame, relative to the hip, which itself
                                            holds its place in the camera frame
    prep/delta_dict_padding.json            {"001_Directions": frames added at the end, 5873 - T}

A sequence has 121 copies of its first frame before it and 121 of its last behind it, the network's window less one, and
then as many more as make it 6115. `infer` (or ais_bench) writes results/001_Directions_0.bin, (2, 5873, 17, 3). These
are the files of Ascend's ACL_PyTorch scripts for VideoPose3D: either side can be exchanged for theirs.
"""

from __future__ import annotations

import argparse
import glob
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from tqdm import tqdm

from anypose.bounds import check_made
from anypose.camera import to_screen
from anypose.engine.durable import check_folder
from anypose.engine.place import CONF, typed
from anypose.engine.sentences import told
from anypose.export.session import PROVIDERS, Session, open_session
from anypose.metrics import mpjpe
from anypose.settings import Misuse
from anypose.skeleton import H36M_17, convert, mirror
from anypose.whole import write_text, write_whole
from pose3d.motion.sequence import PoseSequence

RECEPTIVE_FIELD = 243
LENGTH = 5873 + RECEPTIVE_FIELD - 1  # the longest test sequence (S9 "Discussion 1") with its padding
PADDING_FILE = "delta_dict_padding.json"


def preprocess(
    sequences: Sequence[PoseSequence],
    folder: Path,
    length: int = LENGTH,
    receptive_field: int = RECEPTIVE_FIELD,
) -> dict[str, int]:
    """Write the files for `sequences` into `folder`; the padding file last, as the sign that all are there.

    Returns:
        What the padding file holds.

    Raises:
        ValueError: for a sequence that is longer than the network, or a folder that holds another test set.
    """
    if not 1 <= receptive_field <= length:
        raise Misuse(f"--length {length} must be at least --receptive-field {receptive_field}, and that at least 1.")
    check_made(4.0 * 2 * length * H36M_17.num_joints * 2, f"--length {length}")
    past = (receptive_field - 1) // 2
    actions = list(dict.fromkeys(sequence.action for sequence in sequences))
    ordered = [sequence for action in actions for sequence in sequences if sequence.action == action]
    names = [f"{number:03d}_{sequence.action}" for number, sequence in enumerate(ordered, start=1)]
    for sequence in ordered:
        if len(sequence) > length - receptive_field + 1:
            raise ValueError(
                f"{sequence.name} has {len(sequence)} frames; a network of length {length} and window "
                f"{receptive_field} takes {length - receptive_field + 1}. Export a longer one and say so with --length."
            )
    for part in ("inputs", "ground_truths"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        if others := sorted({file.stem for file in (folder / part).glob("*.bin")} - set(names)):
            raise ValueError(f"{folder / part} holds {others[0]}.bin of another test set. Choose an empty folder.")
    (folder / PADDING_FILE).unlink(missing_ok=True)  # until all are there again
    deltas = {}
    for name, sequence in zip(tqdm(names, desc="preprocess", leave=False, disable=None), ordered, strict=True):
        delta = length - receptive_field + 1 - len(sequence)
        keypoints = convert(sequence.keypoints, sequence.keypoint_skeleton, H36M_17)
        screen = to_screen(keypoints, sequence.camera.width, sequence.camera.height)
        padded = np.pad(screen, ((past, receptive_field - 1 - past + delta), (0, 0), (0, 0)), mode="edge")
        joints = convert(sequence.joints_camera(), sequence.skeleton, H36M_17)
        joints[:, 1:] -= joints[:, :1]
        write_bin(folder / "inputs" / f"{name}.bin", both_views(padded))
        write_bin(folder / "ground_truths" / f"{name}.bin", both_views(joints))
        deltas[name] = delta
    write_text(folder / PADDING_FILE, json.dumps(deltas))
    return deltas


def both_views(points: np.ndarray) -> np.ndarray:
    """(T, 17, D) -> (2, T, 17, D): as it is, and mirrored."""
    return np.stack([points, mirror(points, H36M_17)]).astype(np.float32)


def infer(session: Session, inputs: Path, output: Path) -> int:
    """Run the network over every .bin of a folder; write <name>_0.bin, _1.bin, ... for its outputs.

    Returns:
        The number of files.

    Raises:
        ValueError: for a file that has not the bytes of the network's input.
    """
    files = sorted(inputs.glob("*.bin"))
    if not files:
        raise FileNotFoundError(f"--input {inputs} holds no .bin file. `{typed('offline')} preprocess` makes them.")
    (port,) = session.inputs
    if None in port.shape:
        raise ValueError(
            f"Files have no shape: the network's input must have a fixed one, {port.name} is {port.shape}. "
            "Export it without dynamic axes."
        )
    if output.is_dir() and output.samefile(inputs):
        raise Misuse(f"--output {output} must be another folder than --input.")
    shape = [size for size in port.shape if size is not None]
    output.mkdir(parents=True, exist_ok=True)
    for file in files:  # or a run that is stopped leaves a mixture with what another network wrote
        for earlier in output.glob(f"{glob.escape(file.stem)}_[0-9]*.bin"):
            earlier.unlink()
    for file in tqdm(files, desc="infer", leave=False, disable=None):
        array = read_bin(file, shape, port.dtype)
        for number, result in enumerate(session.run({port.name: array}).values()):
            write_bin(output / f"{file.stem}_{number}.bin", result)
    return len(files)


@dataclass(frozen=True)
class ActionErrors:
    """Mean error of each action [m], and the frames it is over."""

    errors: dict[str, float]
    frames: dict[str, int]

    @property
    def average(self) -> float:
        """The unweighted mean over actions [m]."""
        return sum(self.errors.values()) / len(self.errors)

    def __str__(self) -> str:
        width = max(map(len, self.errors))
        rows = [f"{name:<{width}}  {1000 * error:6.1f}  {self.frames[name]:7d}" for name, error in self.errors.items()]
        head = f"{'action':<{width}}  {'MPJPE':>6}  {'frames':>7}"
        verdict = f"Protocol #1 (MPJPE) action-wise average:{1000 * self.average:.1f}mm"
        return "\n".join([head, *rows, "==== Validation Results ====", verdict])


def postprocess(prepared: Path, results: Path) -> ActionErrors:
    """MPJPE of the results, averaged over both views of each frame, over an action's frames, then over actions.

    Args:
        prepared: the folder that `preprocess` (or the vendor's script) wrote.
        results: the folder of NNN_Action_0.bin, ours or ais_bench's.
    """
    padding = prepared / PADDING_FILE
    if not padding.is_file():
        raise FileNotFoundError(f"--preprocess-data {prepared} has no {PADDING_FILE}: preprocess did not finish there.")
    try:
        deltas = json.loads(padding.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        deltas = None
    if not isinstance(deltas, dict) or not all(
        re.fullmatch(r"\w+", name) and type(delta) is int for name, delta in deltas.items()
    ):
        raise ValueError(f"{padding} is damaged: it must hold a number of frames for each name, {{'001_Walking': 12}}.")
    sums: dict[str, float] = {}
    frames: dict[str, int] = {}
    for name, delta in deltas.items():
        truth = read_bin(prepared / "ground_truths" / f"{name}.bin", (2, -1, 17, 3))
        predicted = read_bin(results / f"{name}_0.bin", (2, -1, 17, 3))
        kept = predicted.shape[1] - max(delta, 0)
        if kept != truth.shape[1]:
            raise ValueError(
                f"{results / f'{name}_0.bin'} has {predicted.shape[1]} frames, of which {delta} are padding; "
                f"ground_truths/{name}.bin has {truth.shape[1]}. They are of different networks or test sets."
            )
        joints = (predicted[0, :kept] + mirror(predicted[1, :kept], H36M_17)) / 2
        target = truth[0]
        target[:, 0] = 0
        if not (np.isfinite(joints).all() and np.isfinite(target).all()):
            raise ValueError(f"{name}: its predictions or its ground truth hold NaN or infinity: there is no score.")
        errors = mpjpe(torch.from_numpy(joints), torch.from_numpy(target))
        action = name.partition("_")[2]
        sums[action] = sums.get(action, 0.0) + float(errors.double().sum())
        frames[action] = frames.get(action, 0) + kept
    return ActionErrors({action: total / frames[action] for action, total in sums.items()}, frames)


def read_bin(file: Path, shape: Sequence[int], dtype: np.dtype | type = np.float32) -> np.ndarray:
    """The raw array in a file; one size may be -1.

    Raises:
        ValueError: when the bytes do not make the shape.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing.")
    size, item = file.stat().st_size, np.dtype(dtype).itemsize
    unit = item * int(np.prod([length for length in shape if length != -1]))
    if size == 0 or (size % unit if -1 in shape else size != unit):
        wanted = f"a multiple of {unit}" if -1 in shape else str(unit)
        raise ValueError(
            f"{file} has {size} bytes; {np.dtype(dtype)} of shape {tuple(shape)} has {wanted}. It was made for another "
            "network, or not written to its end."
        )
    return np.fromfile(file, dtype).reshape(shape)


def write_bin(file: Path, array: np.ndarray) -> None:
    """Raw, in C order, under its name only when it is whole."""
    write_whole(file, lambda out: out.write(np.ascontiguousarray(array).data), durable=False)  # there are hundreds


def ais_bench_command(model: Path, inputs: Path, output: Path) -> list[str]:
    """The vendor's command line for the same step, of the compiled network alone; it names its folder by the time."""
    files = ["--model", str(model.with_suffix(".om")), "--input", f"{inputs}/", "--output", f"{output}/"]
    return ["python3", "-m", "ais_bench", *files, "--batchsize", "1"]


def main(arguments: Sequence[str] | None = None) -> None:
    """The commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("preprocess", help="a test set as files")
    prepare.add_argument("-d", "--dataset", help="folder of data_3d_h36m.npz and data_2d_h36m_<keypoints>.npz")
    prepare.add_argument("-s", "--save", type=Path, required=True, help="folder to write")
    prepare.add_argument("-k", "--keypoints", default="cpn_ft_h36m_dbb", help="the 2D file of --dataset")
    prepare.add_argument("-ste", "--subjects-test", default="S9,S11", help="subjects of --dataset")
    prepare.add_argument("--length", type=int, default=LENGTH, help="frames of the network's input")
    prepare.add_argument("--receptive-field", type=int, default=RECEPTIVE_FIELD, help="of the network")
    prepare.add_argument("overrides", nargs="*", help="settings: dataset=cmu dataset.root=...")
    run = commands.add_parser("infer", help="the network over the files")
    run.add_argument("--model", type=Path, required=True, help=".onnx or .om")
    run.add_argument("--input", type=Path, required=True, help="folder of .bin")
    run.add_argument("--output", type=Path, required=True, help="folder to write")
    run.add_argument("--device", default="cpu", help=f"{', '.join(PROVIDERS)}, with :1 for the second")
    score = commands.add_parser("postprocess", help="the number")
    score.add_argument("--preprocess-data", type=Path, required=True, help="folder that preprocess wrote")
    score.add_argument("--infer-results", type=Path, required=True, help="folder that infer or ais_bench wrote")
    given = parser.parse_args(arguments)
    if given.command == "preprocess":
        check_folder(given.save, "--save")
        dataset = _dataset(given.dataset, given.keypoints, given.subjects_test, given.overrides)
        deltas = preprocess(dataset.sequences("validation"), given.save, given.length, given.receptive_field)
        frames = sum(given.length - given.receptive_field + 1 - delta for delta in deltas.values())
        print(f"{len(deltas)} files of {given.length} frames in {given.save / 'inputs'}, {frames} frames to score.")
    elif given.command == "infer":
        check_folder(given.output, "--output")
        session = open_session(given.model, given.device)
        print("The same with the vendor's tool:", shlex.join(ais_bench_command(given.model, given.input, given.output)))
        print(f"{infer(session, given.input, given.output)} files in {given.output}, by {session.runtime}.")
    else:
        print(postprocess(given.preprocess_data, given.infer_results))


def _dataset(root: str | None, keypoints: str, subjects: str, overrides: list[str]) -> Any:
    """The dataset of the command line, built from its configuration."""
    if root is not None:
        folder = ["dataset=h36m_npz", f"dataset.root={root}", f"dataset.keypoints={keypoints}"]
        overrides = [*folder, f"dataset.validation_subjects=[{subjects}]", *overrides]
    elif not overrides:
        raise SystemExit("preprocess needs --dataset FOLDER, or dataset=NAME with its settings.")
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return instantiate(compose("train", ["model=videopose3d", *overrides]).dataset)


if __name__ == "__main__":
    with told():
        main()
