"""A motion as NumPy's .npz: every array under the name it has in `Motion`, and the names of its joints.

times (T,) [s], ids (P,), keypoints (T, P, K, 3), filled, joints (T, P, J, 3) [m] in camera axes, world (T, P, J, 3) [m]
with z up, rotations, rest, contacts, hypotheses as in `anypose.motion`; keypoint_names (K,), joint_names (J,) and the
names of the skeletons, keypoint_skeleton and skeleton; size (2,) [px]; camera and facts as JSON. NaN where nobody is.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from anypose.camera import Camera
from anypose.formats.motion_json import describe_camera
from anypose.formats.npz import names_in_npz, read_npz
from anypose.formats.renewed_file import RenewedFile
from anypose.formats.sink import ARRAYS, Sink
from anypose.formats.spool import Spool
from anypose.motion import Motion
from anypose.skeleton import SKELETONS, Skeleton


class NpzSink(Sink):
    """`NAME.npz`. A zip archive cannot grow, so it is written anew every few seconds and when the sink is closed."""

    suffix = ".npz"

    def _begin(self, motion: Motion) -> None:
        self._file = RenewedFile(self.path, tuple(field for field in ARRAYS if field != "rest"), write_spool)

    def _add(self, motion: Motion, pictures: Sequence[np.ndarray] | None) -> None:
        self._file.append(motion)
        self.files = self._file.files

    def close(self) -> None:
        """Write the last frames."""
        if self._first is not None:
            self._first = None
            self._file.close(last=self.frames > 0)  # or the disk was full before the first chunk


def write_spool(file: IO[bytes], spool: Spool) -> None:
    """Write what a spool holds."""
    assert spool.last is not None
    # Numbers of people hardly shrink; the NaN of people who come and go do.
    packing = zipfile.ZIP_STORED if spool.density > 0.5 else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(file, "w", packing, compresslevel=1) as archive:
        for name, array in _small(spool, spool.last).items():
            _member(archive, name, array.dtype, array.shape, [array])
        for field in spool.kept:
            kind, shape = spool.kind(field)
            _member(archive, field, kind, (spool.num_frames, len(spool.ids), *shape), spool.blocks(field))


def _small(spool: Spool, last: Motion) -> dict[str, np.ndarray]:
    """All but the long arrays."""
    arrays = {"times": np.concatenate(spool.times), "ids": np.array(spool.ids, dtype=np.int64)}
    if last.keypoint_skeleton is not None:
        arrays["keypoint_names"] = np.array(last.keypoint_skeleton.joints)
        arrays["keypoint_skeleton"] = np.array(last.keypoint_skeleton.name)
    if last.skeleton is not None:
        arrays["joint_names"] = np.array(last.skeleton.joints)
        arrays["skeleton"] = np.array(last.skeleton.name)
    if spool.rest:
        arrays["rest"] = np.stack([spool.rest[person] for person in spool.ids])
    if last.size is not None:
        arrays["size"] = np.array(last.size)
    if last.camera is not None:
        arrays["camera"] = np.array(json.dumps(describe_camera(last)))
    arrays["facts"] = np.array(json.dumps(dict(last.facts), default=lambda value: value.tolist()))
    return arrays


def _member(
    archive: zipfile.ZipFile, name: str, kind: np.dtype, shape: tuple[int, ...], blocks: Iterable[np.ndarray]
) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        stream: IO[bytes] = member
        header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(stream, header)
        for block in blocks:
            stream.write(np.ascontiguousarray(block).data if block.size else b"")


def read_motion_npz(path: str | Path) -> Motion:
    """The motion of a file that `NpzSink` wrote; skeletons are found by their names."""
    path = Path(path)
    names = names_in_npz(path)
    for name in ("times", "ids"):
        if name not in names:
            raise ValueError(f"{path} has no array '{name}', so it is no motion of ours; it has {', '.join(names)}.")
    known = (*ARRAYS, "times", "ids", "keypoint_names", "joint_names", "keypoint_skeleton", "skeleton", "size")
    data = read_npz(path, [name for name in (*known, "camera", "facts") if name in names])
    fields: dict[str, Any] = {field: data[field] for field in ARRAYS if field in data}
    for field, joints in (("keypoint_skeleton", "keypoint_names"), ("skeleton", "joint_names")):
        if field in data:
            fields[field] = _skeleton(str(data[field]), data.get(joints), f"{path}, {field}")
    if "size" in data:
        fields["size"] = tuple(int(value) for value in np.ravel(data["size"])[:2])
    try:
        if camera := json.loads(str(data["camera"])) if "camera" in data else None:
            size = camera.pop("size")
            fields["camera"] = Camera(**camera, width=size[0], height=size[1])
        fields["facts"] = json.loads(str(data.get("facts", "{}")))
        return Motion(path.stem, np.asarray(data["times"], np.float64), np.asarray(data["ids"], np.int64), **fields)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise ValueError(f"{path} is no motion of ours: {error}") from None


def _skeleton(name: str, joints: np.ndarray | None, where: str) -> Skeleton:
    skeleton = SKELETONS.get(name)
    if skeleton is None or (joints is not None and tuple(np.ravel(joints).tolist()) != skeleton.joints):
        raise ValueError(f"{where}: '{name[:40]}' with these joints is unknown here; there are {', '.join(SKELETONS)}.")
    return skeleton
