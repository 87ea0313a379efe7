"""Human3.6M as released: `S9/MyPoseFeatures/D3_Positions/*.cdf` and metadata.xml, or the archives they come in."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anypose.bounds import GROWTH_FREE, MOST_GROWTH
from anypose.formats.cdf import MAX_BYTES, read_cdf
from anypose.formats.files import read_bytes, require_folder
from anypose.settings import judged
from anypose.shapes import check_shape
from pose3d.motion import h36m
from pose3d.motion.cache import cached_sequences
from pose3d.motion.h36m_cameras import published_cameras, read_metadata
from pose3d.motion.sequence import PoseSequence, Split

# Within `root`, with the subject's folder in front: the release, and how h36m-fetch unpacks it.
FOLDERS = ("MyPoseFeatures/D3_Positions", "Poses_D3_Positions")
ARCHIVE = "Poses_D3_Positions_{subject}.tgz"
MAX_MEMBERS = 10_000
MAX_DESCRIPTION = 1 << 16


@judged("dataset")
class H36MCDF:
    """The official release, 2D by projecting the 3D through the cameras' full lens model.

    Args:
        root: folder of S1, S5, ... or of Poses_D3_Positions_S1.tgz, ...
        metadata: metadata.xml of the release's code; None to look for it in `root`, and to take the published camera
            table where it is not there.
        cache: folder for parsed motion; None to parse every time.
        protocol: see `pose3d.motion.h36m.Selection`.
    """

    name = "h36m_cdf"
    keypoint_source = "ground truth"

    def __init__(self, root: str, metadata: str | None, cache: str | None, **protocol: Any) -> None:
        self.selection = h36m.Selection(**protocol)
        self.missing_joints = self.selection.hidden()
        self.actions = self.selection.actions
        self.cache = cache
        self.root = require_folder(
            root, "Human3.6M: S1/MyPoseFeatures/D3_Positions/*.cdf, S5/..., or the release's .tgz"
        )
        self.takes: dict[str, dict[str, Path]] = {}
        self.archives: dict[str, Path] = {}
        for subject in h36m.SUBJECTS:
            folders = [self.root / subject / folder for folder in FOLDERS]
            archive = self.root / ARCHIVE.format(subject=subject)
            if folder := next((folder for folder in folders if folder.is_dir()), None):
                self.takes[subject] = h36m.take_files(folder.glob("*.cdf"))
            elif archive.is_file():
                self.archives[subject] = archive
                self.takes[subject] = h36m.take_files(Path(name) for name, _ in _members(archive))
        if not any(self.takes.values()):
            self._check(self.selection.needed("train"))
        self.metadata = Path(metadata).expanduser() if metadata else self.root / "metadata.xml"
        if metadata or self.metadata.exists():
            self.cameras = read_metadata(self.metadata)
            self.notes: tuple[str, ...] = ()
        else:
            self.cameras = published_cameras()
            self.notes = ("published camera table, no metadata.xml",)

    def _check(self, subjects: Sequence[str]) -> tuple[str, ...]:
        holds = "{subject}/" + f"{FOLDERS[0]}/*.cdf or {ARCHIVE}"
        return self.selection.check(self.takes, str(self.root), holds, subjects)

    def sequences(self, split: Split) -> list[PoseSequence]:
        """Every take of the split's subjects, four views each. Notes on missing takes are complete afterwards."""
        self.notes = tuple(dict.fromkeys((*self._check(self.selection.needed(split)), *self.notes)))
        subjects = self.selection.subjects(split)
        wanted = {subject: self._wanted(subject) for subject in subjects}
        files = [self.metadata] if self.metadata.exists() else []
        for subject in subjects:
            archive = self.archives.get(subject)
            files += [archive] if archive else list(wanted[subject].values())
        settings = {"takes": {s: list(wanted[s]) for s in subjects}, "frame_step": self.selection.frame_step}
        sequences = cached_sequences(
            self.cache,
            self.name,
            settings,
            files,
            lambda: [view for subject in subjects for view in self._views(subject, wanted[subject])],
        )
        return h36m.told(self.selection, sequences, self.notes)

    def _wanted(self, subject: str) -> dict[str, Path]:
        found = self.takes.get(subject, {})
        return {take: found[take] for take in self.selection.takes(subject) if take in found}

    def _views(self, subject: str, takes: dict[str, Path]) -> Iterator[PoseSequence]:
        motions: dict[str, np.ndarray] = {}
        if subject in self.archives:
            names = {path.name: take for take, path in takes.items()}
            for name, data in _members(self.archives[subject], names):
                motions[names[name]] = _joints(data, f"{self.archives[subject]}: {name}")
        for take, path in takes.items():
            joints = motions.pop(take) if motions else _joints(read_bytes(path, "a CDF file", MAX_BYTES), str(path))
            yield from h36m.views(subject, take, joints, self.cameras[subject], self.selection.frame_step)


def _joints(data: bytes, where: str) -> np.ndarray:
    """(T, 17, 3) float64 [m] out of a CDF file's variable Pose, (1, T, 96) [mm]."""
    pose = read_cdf(data, "Pose", where)
    check_shape(pose, (1, "T", 96), f"Pose of {where}")
    return h36m.joints_17(pose[0], where)


class _Member(tarfile.TarInfo):
    """Refuses descriptions of members that are no descriptions: tarfile reads them whole."""

    _DESCRIBING = (
        tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
    )  # fmt: skip

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> tarfile.TarInfo:
        member = super().frombuf(buf, encoding, errors)
        if member.type in cls._DESCRIBING and member.size > MAX_DESCRIPTION:
            raise tarfile.ReadError(f"the description of a member has {member.size} bytes")
        return member


def _members(archive: Path, wanted: Collection[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """(file name, contents) of the archive's CDF files that are `wanted`; names alone where that is None.

    Nothing is unpacked to disk, so what paths the archive holds does not matter.
    """
    left = max(GROWTH_FREE, MOST_GROWTH * archive.stat().st_size)
    try:
        with tarfile.open(archive, "r|gz", tarinfo=_Member) as tar:
            for number, member in enumerate(tar):
                if member.size > MAX_BYTES or number > MAX_MEMBERS:
                    raise ValueError(
                        f"{archive}: member {member.name[:80]} has {member.size} bytes, or there are too many."
                    )
                left -= member.size
                if left < 0:
                    raise ValueError(f"{archive} unpacks to more than {MOST_GROWTH} times its size. It is damaged.")
                name = Path(member.name).name
                if not member.isfile() or not name.endswith(".cdf"):
                    continue
                if wanted is None:
                    yield name, b""
                elif name in wanted and (file := tar.extractfile(member)):
                    yield name, file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{archive} is not a whole .tgz archive: {error}") from None
