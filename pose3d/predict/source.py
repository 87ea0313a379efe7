"""What a source is: a video, a webcam, a stream, pictures, or somebody's keypoints."""

from __future__ import annotations

import glob
import importlib.util
import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from anypose.engine.finding import RELEASED
from anypose.engine.place import PACKAGE
from anypose.formats.keypoints import SUFFIXES, read_keypoints
from anypose.motion import Motion
from anypose.settings import Misuse
from pose3d.predict.people import Frame
from pose3d.predict.video import open_video, source_name

log = logging.getLogger(__name__)

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
PHOTOS = (".heic", ".heif", ".avif", ".dng", ".cr2", ".nef", ".arw")  # what cameras write beside JPEG
FILMS = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mts")
KEYPOINTS = (*SUFFIXES, ".pkl")
LABELS = (".json", ".txt")  # folders of such files are keypoints
MOTIONS = (".bvh", ".c3d", ".glb", ".fbx", ".amc", ".asf", ".mot", ".sto")
PACKED = (".gz", ".zip", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar")
TABLES = (".h5", ".hdf5", ".slp", ".mat", ".xml", ".yml", ".yaml", ".parquet", ".feather", ".xlsx", ".toml", ".md")
NETWORKS = (".pt", ".pth", ".onnx", ".om", ".tflite", ".safetensors", ".ckpt", ".engine")
URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
EXAMPLE = "example"  # the source that comes with the project
STILLS = 30.0  # pictures a second where nobody says


class Pictures(Protocol):
    """A source of frames; attributes as `pose3d.predict.video.Video`'s."""

    name: str
    size: tuple[int, int] | None
    rate: float | None
    count: int | None
    live: bool
    stills: bool
    warnings: list[str]

    def frames(self) -> Iterator[Frame]:
        """Every frame in turn, once."""
        ...


class Images:
    """Image files in the order of their names, numbers by value.

    Args:
        files: of the images.
        name: for reports.
        rate: pictures a second.
        megapixels: larger ones are not decoded.
    """

    live, stills = False, True

    def __init__(self, files: Sequence[Path], name: str, rate: float | None, megapixels: float = 120.0) -> None:
        self.files, self.name = files, name
        self.rate: float | None = rate or STILLS
        self.count: int | None = len(files)
        self.megapixels = megapixels
        self.size: tuple[int, int] | None = None
        self.warnings: list[str] = []

    def frames(self) -> Iterator[Frame]:
        """Every image in turn, an orientation tag obeyed."""
        from pose2d.images.decoding import decode

        self.size = self.one_size()
        limit = {"megapixels": self.megapixels, "setting": "max_megapixels"}
        for index, file in enumerate(self.files):
            image = decode(file.read_bytes(), str(file), upright=True, **limit)
            yield Frame(index, index / (self.rate or STILLS), image)

    def one_size(self) -> tuple[int, int]:
        """(width, height) of all of them, upright [px]; looked at before the first is decoded."""
        from pose2d.images.headers import read_header

        sizes: dict[tuple[int, int], Path] = {}
        for file in self.files:
            header = read_header(file.read_bytes(), str(file))
            sides = (header.height, header.width) if header.sideways else (header.width, header.height)
            sizes.setdefault(sides, file)
            if len(sizes) > 1:
                (first, one), (second, other) = sizes.items()
                raise ValueError(
                    f"source={self.files[0].parent}: all images must have one size, and {other.name} is "
                    f"{second[0]}x{second[1]} where {one.name} is {first[0]}x{first[1]}. Scale them to one size, or "
                    "name those of one with a pattern."
                )
        return next(iter(sizes))


def expand(source: str | Path | int | Sequence[str | Path | int] | None) -> list[str]:
    """The single sources that `source=` names: a list, a pattern of several files that are no images, null the example.

    Raises:
        FileNotFoundError: for a pattern that nothing fits.
    """
    if source is None:
        return [EXAMPLE]
    if isinstance(source, str | Path | int):
        text = str(source)
        text = unquote(text[7:]) if text.startswith("file://") else text
        text = os.path.expanduser(text)  # the shell leaves the ~ of source=~/walk.mp4
        if not text.strip():
            raise Misuse("source= names nothing. Name a video, images, a webcam's number or keypoints.")
        if not is_pattern(text):
            return [text]
        files = sorted(glob.glob(text, recursive=True), key=natural)
        if not files:
            raise FileNotFoundError(f"source={text} fits no file. Looked in {Path.cwd()}.")
        return [text] if all(Path(file).suffix.lower() in IMAGES for file in files) else files
    if not source:
        raise Misuse("source=[] names nothing. Name a video, a folder of images, a webcam's number or keypoints.")
    return [single for one in source for single in expand(one)]


def open_source(source: str, settings: Any) -> Pictures | Motion:
    """One source: frames, or the motion of a file of keypoints.

    Args:
        source: a path, URL, pattern, or webcam's number.
        settings: of conf/predict.yaml.
    """
    if source == EXAMPLE:
        source = str(PACKAGE / RELEASED / "example.npz")
    if holds_keypoints(source):
        return read_keypoints(source, settings.skeleton, settings.size, settings.fps)
    return open_pictures(source, settings.decoder, settings.fps, settings.max_megapixels)


def open_companion(source: str, settings: Any) -> Pictures | None:
    """The video that a file of keypoints was made from, where `video=` names it; the example can do without."""
    if source == EXAMPLE and importlib.util.find_spec("cv2") is None:
        log.warning("source=example goes without its pictures, which need OpenCV: pip install 'anypose[video]'.")
        return None
    path = str(PACKAGE / RELEASED / "example.mp4") if source == EXAMPLE else settings.video
    return None if path is None else open_pictures(str(path), settings.decoder, settings.fps, settings.max_megapixels)


def open_pictures(source: str, decoder: str, rate: float | None, megapixels: float = 120.0) -> Pictures:
    """The frames of one source.

    Raises:
        FileNotFoundError: where nothing is there.
        ValueError: where it is none of the kinds, or empty.
    """
    if webcam := re.fullmatch(r"(?:/dev/video)?(\d+)", source):
        return open_video(webcam[1], decoder, live=True, megapixels=megapixels)
    if URL.match(source):
        return open_video(source, decoder, live=True, megapixels=megapixels)
    if is_pattern(source):
        files = [Path(file) for file in sorted(glob.glob(source, recursive=True), key=natural)]
        return Images(files, source_name(str(files[0].parent.resolve())), rate, megapixels)
    path = Path(source).expanduser()
    if path.is_dir():
        return Images(_images_in(path, source), source_name(str(path.resolve())), rate, megapixels)
    _check_file(path, source)
    if path.suffix.lower() in IMAGES:
        return Images([path], path.stem, rate, megapixels)
    return open_video(str(path), decoder, megapixels=megapixels)


def _images_in(folder: Path, source: str) -> list[Path]:
    """The images of a folder in their order."""
    found = sorted(folder.iterdir(), key=lambda file: natural(file.name))
    if files := [file for file in found if file.suffix.lower() in IMAGES]:
        return files
    films = [file.suffix for file in found if file.suffix.lower() in FILMS]
    hint = f" For all of its films say 'source={folder}/*{films[0]}'." if films else ""
    names = ", ".join(file.name for file in found[:3]) or "nothing"
    raise ValueError(f"source={source} must hold images, found {names}.{hint}")


def _check_file(path: Path, source: str) -> None:
    """Refuse what is not there, and what is neither a video nor an image: in words of what it is."""
    if not path.exists():
        raise FileNotFoundError(f"source={source} does not exist. Looked for {path.absolute()}.")
    if path.stat().st_size == 0:
        raise ValueError(f"source={source} is empty (0 bytes).")
    suffix = path.suffix.lower()
    if suffix in NETWORKS:
        raise ValueError(
            f"source={source} is a network, and a source is a video, images or keypoints. To use it say "
            f"keypoints.weights={source} or lifter={source}."
        )
    if suffix in PACKED:
        raise ValueError(f"source={source} is packed. Unpack it first.")
    if suffix in MOTIONS:
        raise ValueError(
            f"source={source} is motion in 3D already, and a source is a video, images or keypoints in 2D."
        )
    if suffix in PHOTOS:
        raise ValueError(f"source={source} is a photo of a kind that is not read here. Save it as JPEG or PNG.")
    if suffix in TABLES:
        raise ValueError(
            f"source={source} is no video, and keypoints are read from {', '.join(SUFFIXES)} files or folders of them: "
            "see docs/formats.md."
        )


def holds_keypoints(source: str) -> bool:
    """Whether a source is a file of keypoints, or a folder of files that are a frame each.

    Pictures go before such files, which may tell of them, but not before OpenPose's, which draws pictures beside them.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        suffixes = {file.suffix.lower() for file in path.iterdir()}
        return any(path.glob("*_keypoints.json")) or bool(suffixes & {*LABELS} and not suffixes & {*IMAGES, *FILMS})
    return path.suffix.lower() in KEYPOINTS


def is_pattern(text: str) -> bool:
    """Whether a source is a glob, and not a file whose name has brackets in it."""
    return glob.has_magic(text) and not Path(text).exists() and not URL.match(text)


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts frame10 after frame9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
