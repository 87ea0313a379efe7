"""Frames of video files, streams and webcams, upright and with their own time stamps, through PyAV or OpenCV."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from anypose.settings import Misuse
from pose3d.predict.people import Frame

log = logging.getLogger(__name__)

DECODERS = ("auto", "av", "opencv")
MEGAPIXELS = 120.0  # of a frame, where nobody says: as for pictures
OPENCV_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
EARLY = 1.0  # so much sooner than it says a video must end to be told as cut off [s]
PATIENCE = 10  # time after which a stream that says nothing is given up [s]
MISSING = "Video needs PyAV or OpenCV ({}): pip install 'anypose[video]'."


class Video:
    """A video file or a stream, through PyAV.

    Time stamps are those of the container, exact fractions of a second, from 0 at the first frame.

    Args:
        path: a file or a URL.
        live: a stream, unless it says how long it is: decoded without waiting for frames to be reordered in threads.
        megapixels: larger frames are not decoded.

    Attributes:
        name: of the file, without its suffix.
        size: (width, height) upright, known once the first frame is decoded [px].
        rate: frames a second as the container says, None where it does not.
        count: frames that the container promises, None where it does not.
        warnings: what was wrong with the file, for the report.
    """

    stills = False

    def __init__(self, path: str, live: bool = False, megapixels: float = MEGAPIXELS) -> None:
        try:
            import av
        except ImportError as error:
            raise ImportError(MISSING.format(error)) from error
        self.av: Any = av
        self.path, self.name, self.megapixels = path, source_name(path), megapixels
        self.size: tuple[int, int] | None = None
        self.warnings: list[str] = []
        try:
            start = time.monotonic()
            # FFmpeg takes what stands before a colon in a file's name for a protocol.
            address = f"file:{path}" if Path(path).is_file() else path
            most = {"max_pixels": str(int(1e6 * megapixels))}  # decoders refuse more before they take memory for it
            patience = (PATIENCE, PATIENCE) if live else None
            self.container: Any = self.av.open(address, timeout=patience, options=most)
        except (self.av.error.FFmpegError, UnicodeDecodeError) as error:
            size = f" ({Path(path).stat().st_size} bytes)" if Path(path).is_file() else ""
            said = f"{_said(error)}{'. Can it be reached from here?' if live else '.'}"
            if live and time.monotonic() - start >= PATIENCE:
                said = f"there was no answer within {PATIENCE} s."
            raise ValueError(f"source={path}{size} cannot be opened as video: {said}") from error
        if not self.container.streams.video:
            kinds = sorted({stream.type for stream in self.container.streams})
            self.container.close()
            raise ValueError(f"source={path} holds no video{', only ' + ' and '.join(kinds) if kinds else ''}.")
        self.live = live and self.container.duration is None  # a film on a server waits, and no frame of it is let go
        # As players choose: no cover picture, no preview.
        self.video = self.container.streams.best("video") or self.container.streams.video[0]
        self.video.codec_context.options = most
        _check_size(self.path, self.video.width, self.video.height, megapixels)
        self.video.thread_type = "SLICE" if self.live else "AUTO"
        rate = self.video.average_rate or self.video.guessed_rate
        self.rate = float(rate) if rate else None
        self.count: int | None = self.video.frames or None
        alone = len(self.container.streams) == 1  # sound may go on
        length, unit = self.video.duration, self.video.time_base
        length, unit = (length, unit) if length else (alone and self.container.duration, 1 / self.av.time_base)
        self.promised = 0.0 if self.live or not length else float(length * unit)  # the video's length [s]

    def frames(self) -> Iterator[Frame]:
        """Every frame in turn. What follows a fault in the file is left out, with a warning."""
        clock = _Clock(self.rate)
        guard = SameSize(self.path)
        index = 0
        try:
            for picture in self.container.decode(self.video):
                image = np.rot90(picture.to_ndarray(format="rgb24"), (picture.rotation or 0) // 90)
                self.size = guard(image, index)
                stamp = None if picture.pts is None else float(picture.pts * picture.time_base)
                yield Frame(index, clock(stamp), np.ascontiguousarray(image))
                index += 1
        except self.av.error.FFmpegError as error:
            large = f" (frames of more than max_megapixels={self.megapixels:g} are not decoded)"
            self.warnings.append(f"{self.path} cannot be decoded after frame {index}: {_said(error)}{large}")
            log.warning("%s.", self.warnings[-1])
        finally:
            self.container.close()
        if not index:
            raise ValueError(
                f"source={self.path} holds no frame that can be decoded"
                f"{': ' + self.warnings[-1].rpartition(': ')[2] if self.warnings else ''}."
            )
        last = (clock.last or 0.0) + max(clock.first or 0.0, 0.0)
        if not self.warnings and self.promised > max(1.05 * last, last + EARLY):
            self.warnings.append(
                f"{self.path} says that it lasts {self.promised:.1f} s, and its last frame is at {last:.1f} s"
            )
            log.warning("%s.", self.warnings[-1])


class CvVideo:
    """The same through OpenCV, and webcams: a number in place of a path. Attributes as `Video`'s."""

    stills = False

    def __init__(self, path: str, live: bool = False, megapixels: float = MEGAPIXELS) -> None:
        try:
            import cv2
        except ImportError as error:
            raise ImportError(MISSING.format(error)) from error
        webcam = path.isdecimal()
        self.cv2, self.path, self.live, self.megapixels = cv2, path, live or webcam, megapixels
        self.name = f"webcam{path}" if webcam else source_name(path)
        self.size: tuple[int, int] | None = None
        self.warnings: list[str] = []
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # its own lines say less than ours
        try:
            with _options_of_opencv(f"max_pixels;{int(1e6 * megapixels)}"):
                self.capture = cv2.VideoCapture(int(path) if webcam else path)
        finally:
            cv2.utils.logging.setLogLevel(level)
        if not self.capture.isOpened():
            if webcam:
                raise ValueError(f"source={path}: there is no webcam number {path}, or another program holds it.")
            raise ValueError(f"source={path} cannot be opened as video by OpenCV: damaged, without video, or unknown.")
        width, height = (int(self.capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        _check_size(path, width, height, megapixels)
        self.capture.set(cv2.CAP_PROP_BUFFERSIZE, 1 if self.live else 4)
        self.capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        rate, count = self.capture.get(cv2.CAP_PROP_FPS), self.capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.rate = float(rate) if rate and np.isfinite(rate) and rate > 0 else None
        self.count: int | None = int(count) if count > 0 and not self.live else None

    def frames(self) -> Iterator[Frame]:
        """Every frame in turn."""
        promised = check_key_frames(self.path, self.megapixels) if Path(self.path).is_file() else None
        clock, guard = _Clock(self.rate), SameSize(self.path)
        index = 0
        try:
            while True:
                there, picture = self.capture.read()
                if not there:
                    break
                image = self.cv2.cvtColor(picture, self.cv2.COLOR_BGR2RGB)
                self.size = guard(image, index)
                yield Frame(index, clock(self.capture.get(self.cv2.CAP_PROP_POS_MSEC) / 1000), image)
                index += 1
        finally:
            self.capture.release()
        if not index:
            raise ValueError(f"source={self.path} holds no frame that OpenCV can decode. decoder=av knows more kinds.")
        if promised and index < promised - 1:
            self.warnings.append(f"{self.path} promises {promised} frames, {index} could be decoded")
            log.warning("%s.", self.warnings[-1])


def open_video(path: str, decoder: str, live: bool = False, megapixels: float = MEGAPIXELS) -> Video | CvVideo:
    """A video through the decoder asked for; "auto" is PyAV where it is installed, else OpenCV."""
    if decoder not in DECODERS:
        raise Misuse(f"decoder must be one of {', '.join(DECODERS)}, got {decoder!r}.")
    if decoder == "opencv" or path.isdecimal():
        return CvVideo(path, live, megapixels)
    if decoder == "av":
        return Video(path, live, megapixels)
    try:
        import av  # noqa: F401
    except ImportError:
        return CvVideo(path, live, megapixels)
    return Video(path, live, megapixels)


def source_name(path: str) -> str:
    """ "walk" for videos/walk.mp4 and for rtsp://camera/walk?token=1."""
    return Path((path.partition("?")[0] if "://" in path else path).rstrip("/")).stem or "source"


def _check_size(path: str, width: int, height: int, megapixels: float) -> None:
    if width * height > 1e6 * megapixels:
        raise ValueError(
            f"source={path} has frames of {width}x{height} px, {width * height / 1e6:.0f} megapixels; up to "
            f"{megapixels:g} are decoded. If it is meant to be so large, set max_megapixels="
            f"{math.ceil(width * height / 1e6)}."
        )


@contextmanager
def _options_of_opencv(options: str) -> Iterator[None]:
    """What OpenCV hands to FFmpeg, unless the user says so."""
    before = os.environ.get(OPENCV_OPTIONS)
    os.environ.setdefault(OPENCV_OPTIONS, options)
    try:
        yield
    finally:
        if before is None:
            del os.environ[OPENCV_OPTIONS]


class _Clock:
    """Time stamps that begin at 0 and always increase: of the container, of its rate where it has none."""

    def __init__(self, rate: float | None) -> None:
        self.step = 1 / (rate or 30.0)
        self.first: float | None = None
        self.last: float | None = None

    def __call__(self, stamp: float | None) -> float:
        if self.first is None:
            self.first, self.last = stamp or 0.0, 0.0
            return 0.0
        assert self.last is not None
        time = self.last + self.step if stamp is None else stamp - self.first
        if time <= self.last:  # broken muxers repeat stamps
            time = self.last + self.step
        self.last = time
        return time


class SameSize:
    """The size of a source's pictures, which must not change."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.size: tuple[int, int] | None = None

    def __call__(self, image: np.ndarray, index: int) -> tuple[int, int]:
        size = (image.shape[1], image.shape[0])
        self.check(size, f"{index} of ")
        return size

    def check(self, size: tuple[int, int], before: str) -> None:
        """Raise ValueError where a frame has another size than those `before` it."""
        self.size = self.size or size
        if size != self.size:
            raise ValueError(
                f"source={self.path}: all frames must have one size, and after {before}{self.size[0]}x{self.size[1]} "
                f"comes one of {size[0]}x{size[1]}. Cut it there, or scale it to one size."
            )


def check_key_frames(path: str, megapixels: float) -> int | None:
    """Raise ValueError where the frames of a file change size, which happens at key frames alone.

    OpenCV goes on as if they did not, with pictures that never were. PyAV tells, where it is installed.

    Returns:
        How many frames the file says it has, None where it does not: OpenCV makes a number up from its length.
    """
    try:
        import av
        from av.error import FFmpegError
    except ImportError:
        return None
    guard, most = SameSize(path), {"max_pixels": str(int(1e6 * megapixels))}
    with suppress(FFmpegError, UnicodeDecodeError), av.open(f"file:{path}", options=most) as container:
        video = container.streams.video[0]
        video.codec_context.options = most
        video.codec_context.skip_frame = "NONKEY"
        for frame in container.decode(video):
            guard.check((frame.width, frame.height), "some of ")
        return video.frames or None
    return None


def _said(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".")
