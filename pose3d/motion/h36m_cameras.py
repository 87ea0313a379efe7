"""Human3.6M's four cameras per subject: from metadata.xml, from cameras.h5, or as published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.parsers import expat

import numpy as np

from anypose.camera import Camera
from anypose.formats.files import require_file
from anypose.formats.h5 import open_h5, read_array
from pose3d.motion.h36m import CAMERA_IDS

if TYPE_CHECKING:
    import h5py

# Width and height [px].
SIZES = ((1000, 1002), (1000, 1000), (1000, 1000), (1000, 1002))

# fx, fy, cx, cy, k1, k2, k3, p1, p2 of the four lenses [px]: the same for every subject.
# fmt: off
INTRINSICS = (
    (1145.04940459, 1143.78109572, 512.54150496, 515.45148698,
     -0.20709891, 0.24777518, -0.00307515, -0.00142447, -0.0009757),
    (1149.67569987, 1147.59161667, 508.84862165, 508.06491709,
     -0.19421363, 0.24040854, 0.00681998, -0.00274089, -0.00161903),
    (1149.14071676, 1148.79896857, 519.81583718, 501.40265889,
     -0.20833819, 0.25548801, -0.0024605, -0.00076, 0.00148439),
    (1145.51133842, 1144.77392808, 514.96819732, 501.88201854,
     -0.19838409, 0.21832368, -0.00894781, -0.00181336, -0.00058721),
)
# fmt: on

# Three Euler angles [rad] and the camera's centre [mm] of the four cameras, as metadata.xml gives them.
EXTRINSICS = {
    "S1": (
        (-1.38382776, -3.167343044, 0.413636308, 1841.107, 4955.2846, 1563.4454),
        (-1.355171191, 3.139344271, 2.76026318, 1761.2785, -5078.0066, 1606.265),
        (-1.354604538, -3.095853755, -0.415010681, -1846.7777, 5215.0465, 1491.9725),
        (-1.290847257, -3.203538253, -2.728572987, -1794.7897, -3722.6989, 1574.8927),
    ),
    "S5": (
        (-1.376177135, -3.162567665, 0.440809993, 2097.3915, 4880.9447, 1605.7325),
        (-1.356305056, 3.129318052, 2.744737447, 2031.7008, -5167.933, 1612.9231),
        (-1.356274346, -3.079821598, -0.382865372, -1620.5949, 5171.6587, 1496.437),
        (-1.313320162, -3.225745153, -2.753300059, -1637.1737, -3867.3173, 1547.0333),
    ),
    "S6": (
        (-1.373840656, -3.149629086, 0.41533827, 1935.4517, 4950.2458, 1618.0838),
        (-1.352734829, 3.123066225, 2.738607279, 1969.8039, -5128.7388, 1632.7788),
        (-1.362954244, -3.072977418, -0.405919808, -1769.5965, 5185.3612, 1476.9934),
        (-1.315748616, -3.233646335, -2.744526705, -1721.6687, -3884.1313, 1540.4879),
    ),
    "S7": (
        (-1.376790086, -3.156345568, 0.437827264, 1974.513, 4926.3545, 1597.8326),
        (-1.351159474, 3.125417209, 2.7424245, 1937.0584, -5119.7898, 1631.5665),
        (-1.362020173, -3.076396127, -0.385859473, -1741.8111, 5208.2494, 1464.8246),
        (-1.312299035, -3.232267145, -2.756176733, -1734.7106, -3832.4214, 1548.583),
    ),
    "S8": (
        (-1.377291004, -3.161796846, 0.423258143, 2150.6518, 4896.161, 1611.9047),
        (-1.355295979, 3.129067978, 2.768184001, 2219.9657, -5148.4531, 1613.044),
        (-1.356333055, -3.07903933, -0.395738229, -1571.2215, 5137.0186, 1498.1761),
        (-1.312614669, -3.226691305, -2.768038432, -1476.9134, -3896.7411, 1547.9722),
    ),
    "S9": (
        (-1.386601536, -3.182925515, 0.441478758, 2044.4585, 4935.1173, 1481.2275),
        (-1.363583537, 3.148921896, 2.769578398, 1990.9597, -5123.8106, 1568.8048),
        (-1.348881723, -3.102960693, -0.382788964, -1670.9922, 5211.9857, 1528.388),
        (-1.302163641, -3.20525795, -2.73209049, -1696.0435, -3827.0999, 1591.4127),
    ),
    "S11": (
        (-1.382538574, -3.180329446, 0.435684449, 2098.4402, 4926.5547, 1500.2786),
        (-1.367089379, 3.143009948, 2.743148048, 2083.1824, -4912.1728, 1561.0786),
        (-1.339535252, -3.100642401, -0.434419468, -1609.8153, 5177.336, 1537.8967),
        (-1.30528201, -3.206818652, -2.737593013, -1590.738, -3854.169, 1578.0176),
    ),
}


def published_cameras() -> dict[str, list[Camera]]:
    """{subject: its four cameras} from the tables above, for who has motion without a camera file."""
    return {subject: _cameras(np.array(rows), np.array(INTRINSICS)) for subject, rows in EXTRINSICS.items()}


def read_metadata(path: str | Path) -> dict[str, list[Camera]]:
    """{subject: its four cameras} of S1 to S11 from the release's metadata.xml.

    Its element w0 holds 300 numbers: 4 cameras x 11 subjects x (3 angles, 3 translations in mm), then 4 x 9
    intrinsics.
    """
    path = require_file(path, "metadata.xml of Human3.6M's code release", 16 << 20)
    text = _element_text(path, "w0").strip().strip("[]")
    try:
        numbers = np.array(text.split(), dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"{path}: element w0 must hold numbers; {error}.") from None
    if len(numbers) != 300 or not np.isfinite(numbers).all():
        raise ValueError(f"{path}: element w0 must hold 300 finite numbers, found {len(numbers)}.")
    extrinsics = numbers[:264].reshape(4, 11, 6)
    return {f"S{i + 1}": _cameras(extrinsics[:, i], numbers[264:].reshape(4, 9)) for i in range(11)}


def read_cameras_h5(path: str | Path) -> dict[str, list[Camera]]:
    """{subject: its four cameras} from cameras.h5: groups /subject1/camera1, ... with R (transposed), T, f, c, k, p."""
    path = require_file(path, "cameras.h5 of Human3.6M in h5", 16 << 20)
    cameras: dict[str, list[Camera]] = {}
    with open_h5(path) as file:
        for group in (name for name in map(str, file) if name.startswith("subject")):
            subject = f"S{group.removeprefix('subject')}"
            cameras[subject] = [_camera_h5(file, f"{group}/camera{i + 1}", i, path) for i in range(4)]
    if not cameras:
        raise ValueError(f"{path} has no group 'subject1', ...; is it cameras.h5?")
    return cameras


def _camera_h5(file: h5py.File, group: str, index: int, path: Path) -> Camera:
    values = {}
    for key, size in {"R": 9, "T": 3, "f": 2, "c": 2, "k": 3, "p": 2, "Name": 8}.items():
        values[key] = read_array(file, f"{group}/{key}", path).ravel()
        if len(values[key]) != size:
            raise ValueError(f"{path}: {group}/{key} must hold {size} numbers, found {len(values[key])}.")
    name = "".join(chr(int(code) % 128) for code in values["Name"])
    if name != CAMERA_IDS[index]:
        raise ValueError(f"{path}: {group}/Name is {name!r}, expected {CAMERA_IDS[index]!r}.")
    return Camera(
        name=name,
        rotation=values["R"].reshape(3, 3).T,
        position=values["T"] / 1000,
        focal=values["f"],
        centre=values["c"],
        radial=values["k"],
        tangential=values["p"],
        width=SIZES[index][0],
        height=SIZES[index][1],
    )


def euler_rotation(angles: np.ndarray) -> np.ndarray:
    """(3, 3) Rx(a) Ry(b) Rz(c) of three angles [rad], with the signs of Human3.6M's code (Ry as usual)."""
    (ca, cb, cc), (sa, sb, sc) = np.cos(angles), np.sin(angles)
    x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    z = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    return x @ y @ z


def _cameras(extrinsics: np.ndarray, intrinsics: np.ndarray) -> list[Camera]:
    """The four cameras of one subject from (4, 6) and (4, 9) as in metadata.xml."""
    return [
        Camera(
            name=name,
            rotation=euler_rotation(pose[:3]),
            position=pose[3:] / 1000,
            focal=lens[:2],
            centre=lens[2:4],
            radial=lens[4:7],
            tangential=lens[7:],
            width=size[0],
            height=size[1],
        )
        for name, size, pose, lens in zip(CAMERA_IDS, SIZES, extrinsics, intrinsics, strict=True)
    ]


def _element_text(path: Path, tag: str) -> str:
    """The text of the first element `tag`. A DOCTYPE is refused, so no entity can be defined, let alone expanded."""
    parser = expat.ParserCreate()
    texts: list[str] = []
    inside = done = False

    def refuse(*_: object) -> None:
        raise expat.ExpatError("a DOCTYPE is not allowed")

    def start(name: str, _: object) -> None:
        nonlocal inside
        inside = name == tag and not done

    def end(name: str) -> None:
        nonlocal inside, done
        done = done or name == tag
        inside = False

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = lambda text: texts.append(text) if inside else None
    try:
        parser.Parse(path.read_bytes(), True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise ValueError(f"{path}: not the XML that metadata.xml is: {error}.") from None
    if not done:
        raise ValueError(f"{path}: no element <{tag}>; is it Human3.6M's metadata.xml?")
    return "".join(texts)
