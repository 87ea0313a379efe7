"""Weights of others that users get for themselves.    anypose fetch blazepose

BlazePose's two networks (Google, Apache-2.0) come inside the official wheel of mediapipe. pip downloads that, from
whichever index or mirror it is set up with; the two files are taken out, checked and kept in the user's cache.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from anypose.cache import cache_folder
from anypose.engine.place import typed
from anypose.engine.sentences import told
from anypose.whole import write_whole

WHEEL = "mediapipe==0.10.21"
DOWNLOAD = ("--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64")
DETECTOR, LANDMARKS = "pose_detection.tflite", "pose_landmark_full.tflite"
SHA256 = {
    DETECTOR: "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    LANDMARKS: "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
}
MOST_BYTES = 50_000_000
COMMAND = f"{typed('fetch')} blazepose"


def blazepose_files() -> dict[str, Path]:
    """BlazePose's two files in the cache, by name.

    Raises:
        FileNotFoundError: with the command that gets them.
        ValueError: where a file is not the one that was published.
    """
    files = {name: cache_folder() / name for name in SHA256}
    missing = [str(path) for path in files.values() if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"keypoints=blazepose needs its weights, and {' and '.join(missing)} are not there. Get them once with "
            f"`{COMMAND}` (pip downloads a wheel of 36 MB), or name another network with keypoints.weights=FILE."
        )
    for name, path in files.items():
        check(name, path.read_bytes(), str(path))
    return files


def check(name: str, content: bytes, source: str) -> None:
    """Raise ValueError unless `content` is the published file `name`."""
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise ValueError(
            f"{source} must have sha256 {SHA256[name]}, found {found} ({len(content)} bytes). Delete it and run "
            f"`{COMMAND}` again."
        )


def take_out(wheel: Path, folder: Path) -> list[Path]:
    """Write the two networks of a mediapipe wheel into `folder`, each under its name only when it is whole.

    Raises:
        ValueError: where the wheel lacks one or holds another version of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with zipfile.ZipFile(wheel) as archive:
        for name in SHA256:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith(f"/{name}")]
            if len(entries) != 1 or entries[0].file_size > MOST_BYTES:
                raise ValueError(f"{wheel.name} must hold {name} once, found it {len(entries)} times.")
            content = archive.read(entries[0])
            check(name, content, f"{name} of {wheel.name}")
            write_whole(folder / name, lambda file, content=content: file.write(content))
            written.append(folder / name)
    return written


def fetch_blazepose(wheel: Path | None = None) -> list[Path]:
    """Get the wheel through pip, or take the given one, and keep its two networks."""
    if wheel is not None:
        return take_out(wheel, cache_folder())
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder, *DOWNLOAD, WHEEL]
        done = subprocess.run(command, capture_output=True, text=True)
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise OSError(
                f"pip could not download {WHEEL}: {said[-1] if said else 'it said nothing'}. Set an index or mirror as "
                f"for any other package, or download the wheel elsewhere and run `{COMMAND} --wheel FILE`."
            )
        return take_out(wheels[0], cache_folder())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Weights of others.")
    parser.add_argument("what", choices=["blazepose"], help="BlazePose's detector and landmark network, 9.4 MB")
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {WHEEL}, already downloaded")
    options = parser.parse_args(arguments)
    if options.wheel is not None and not zipfile.is_zipfile(options.wheel):
        sys.exit(f"--wheel {options.wheel} must be the wheel of {WHEEL}, and it is no wheel.")
    try:
        written = fetch_blazepose(options.wheel)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    print(*(f"{path} ({path.stat().st_size:,} bytes, sha256 as published)" for path in written), sep="\n")


if __name__ == "__main__":
    with told():
        main()
