"""Every reader of foreign files against many damaged ones: what comes is data, or an error with the path."""

import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper
from safetensors.torch import save_file

from anypose.engine import checkpoint
from anypose.export.session import open_session
from anypose.formats.amc import bone_ends, read_amc
from anypose.formats.asf import read_asf
from anypose.formats.bvh import forward_kinematics, read_bvh
from anypose.formats.cdf import read_cdf
from anypose.formats.h5 import open_h5, read_array
from anypose.formats.keypoints import read_keypoints
from anypose.formats.mat import read_mat
from anypose.formats.npz import read_npz
from anypose.formats.plain_pickle import load_plain
from anypose.formats.tf_checkpoint import read_tf_checkpoint
from anypose.formats.trc import TrcSink
from pose2d.network.weight_files import read_weights
from pose3d.lifting.convert import read_bin
from pose3d.motion.h36m_cameras import read_metadata
from tests.anypose.export.test_session import network
from tests.anypose.formats.dancers import dancers
from tests.anypose.formats.foreign_keypoints import SIZE, as_mediapipe_wide, people
from tests.anypose.formats.test_tf_checkpoint import write_v1
from tests.pose3d.motion.motion_files import ASF, motion_32, write_amc, write_cdf, write_daz_bvh, write_metadata

MOTION = {"S1": {"Walking": np.zeros((3, 2, 3), np.float32)}, "meta": {"sides": [[1, 2], [3, 4]], "n": np.int64(3)}}
WEIGHTS = {"a.weight": torch.ones(3, 2), "a.bias": torch.zeros(3)}


def write_mat(path: Path) -> None:
    cell = np.empty((2, 1), dtype=object)
    cell[:, 0] = [np.ones((3, 4)), np.ones((2, 4))]
    scipy.io.savemat(path, {"annot2": cell, "b": np.eye(5)}, do_compression=True)


def write_motion(path: Path) -> None:
    (path.parent / "x.asf").write_text(ASF, encoding="utf-8")
    write_amc(path, read_asf(path.parent / "x.asf"), frames=2, seed=0)


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("numbers", data=np.arange(60.0).reshape(5, 12), chunks=(5, 12), compression="gzip")


def read_motion(path: Path) -> None:
    asf = read_asf(path.parent / "x.asf")
    bone_ends(asf, read_amc(path, asf), asf.bones)


def read_skeleton(path: Path) -> None:
    asf = read_asf(path)
    bone_ends(asf, np.zeros((2, sum(map(len, asf.dofs)))), asf.bones)


def read_hdf5(path: Path) -> None:
    with open_h5(path) as file:
        read_array(file, "numbers", path)


def read_moves(path: Path) -> None:
    bvh = read_bvh(path)
    forward_kinematics(bvh, bvh.joints)


def read_pickle(path: Path) -> None:
    with path.open("rb") as stream:
        load_plain(stream, str(path))


def write_trc(path: Path) -> None:
    with TrcSink(path) as sink:
        sink.write(dancers(frames=3))


def read_points(path: Path) -> None:
    read_keypoints(path, size=SIZE)


# Format: (writes a sound file, reads it).
FORMATS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "cdf": (
        lambda path: write_cdf(path, motion_32(7, 0), compress=6),
        lambda path: read_cdf(path.read_bytes(), "Pose", str(path)),
    ),
    "whole.cdf": (
        lambda path: write_cdf(path, motion_32(7, 0), whole=True),
        lambda path: read_cdf(path.read_bytes(), "Pose", str(path)),
    ),
    "h5": (write_hdf5, read_hdf5),
    "npz": (
        lambda path: np.savez(path, a=np.arange(20.0), held=np.array(MOTION, dtype=object)),
        lambda path: read_npz(path, ["a", "held"]),
    ),
    "pkl": (lambda path: path.write_bytes(pickle.dumps(MOTION, 2)), read_pickle),
    "mat": (write_mat, lambda path: read_mat(path, ["annot2", "b"])),
    "bvh": (lambda path: write_daz_bvh(path, 2), read_moves),
    "asf": (lambda path: path.write_text(ASF, encoding="utf-8"), read_skeleton),
    "amc": (write_motion, read_motion),
    "xml": (write_metadata, read_metadata),
    "ckpt": (write_v1, lambda path: dict(read_tf_checkpoint(path))),
    "csv": (lambda path: as_mediapipe_wide(path.parent, people(33)).rename(path), read_points),
    "trc": (write_trc, read_points),
    "bin": (lambda path: torch.save({"model_pos": WEIGHTS}, path), read_bin),
    "pt": (lambda path: checkpoint.save(path, {"model": WEIGHTS, "config": {"model": {}}}), checkpoint.load),
    "safetensors": (lambda path: save_file(WEIGHTS, path), read_weights),
    "onnx": (lambda path: network(path, [helper.make_node("Relu", ["x"], ["y"])]), open_session),
}


def damage(content: bytes, changes: list[tuple[float, int, bytes]], keep: float) -> bytes:
    """Overwrite, insert or cut out bytes at places (as shares of the length), then cut the end off."""
    damaged = bytearray(content)
    for place, removed, new in changes:
        at = int(place * len(damaged))
        damaged[at : at + removed] = new
    return bytes(damaged[: int(len(damaged) * min(1.0, 1.5 * keep))])


CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from([0, 1, 2, 4, 4, 8, 8, 100]), st.binary(max_size=8)), max_size=4
)


def attack(kind: str, folder: Path, changes: list[tuple[float, int, bytes]], keep: float) -> None:
    write, read = FORMATS[kind]
    sound, victim = folder / f"sound.{kind}", folder / f"victim.{kind}"
    if not sound.exists():
        write(sound)
        read(sound)
    victim.write_bytes(damage(sound.read_bytes(), changes, keep) or b"\0")
    try:
        read(victim)
    except ValueError as error:
        refused = str(error)
    else:
        refused = str(victim)
    assert str(victim) in refused


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, keep=st.floats(0, 1))
def test_damaged_files_are_read_or_refused(kind, tmp_path, changes, keep):
    attack(kind, tmp_path, changes, keep)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_are_read_or_refused_at_length(kind, tmp_path, at_length):
    @settings(max_examples=6_000 if at_length else 1_000)
    @given(changes=CHANGES, keep=st.floats(0, 1))
    def attacked(changes, keep):
        attack(kind, tmp_path, changes, keep)

    attacked()
