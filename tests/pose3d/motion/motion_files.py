"""Writers of motion files in their official layouts, for tests: the same motion in any of them."""

from __future__ import annotations

from pathlib import Path

import cdflib.cdfwrite
import h5py
import numpy as np

from pose3d.motion import h36m
from pose3d.motion.h36m_cameras import EXTRINSICS, INTRINSICS

# Which of the 32 joints lie where another does, in every released file.
COINCIDENT = {11: 0, 16: 13, 24: 13, 20: 19, 23: 22, 28: 27, 31: 30}


def protocol(train=("S1",), validation=("S9",), actions=None, **changed) -> dict:
    """What every reader of Human3.6M takes beside its own settings, see `h36m.Selection`."""
    settings = {"train_subjects": train, "validation_subjects": validation, "actions": actions, "frame_step": 1}
    rest = {"allow_missing": False, "leave_out": (), "missing_joints": 0, "missing_in": "both"}
    return {**settings, **rest, **changed}


def motion_32(frames: int, seed: int) -> np.ndarray:
    """(T, 96) [mm]: a cloud of joints the size of a person, drifting through Human3.6M's room."""
    rng = np.random.default_rng(seed)
    cloud = rng.normal(size=(32, 3)) * [200, 200, 400] + [0, 0, 1000]
    drift = rng.normal(size=(frames, 1, 3)).cumsum(0) * [20, 20, 1]
    joints = cloud + drift + rng.normal(size=(frames, 32, 3))
    for copy, of in COINCIDENT.items():
        joints[:, copy] = joints[:, of]
    return joints.reshape(frames, 96)


def take_frames(subject: str, take: str) -> int:
    """A length that differs from take to take."""
    return 5 + (len(subject) + 7 * len(take) + ord(take[-1])) % 6


def all_takes(subjects=h36m.SUBJECTS, actions=h36m.ACTIONS):
    """(subject, take, motion (T, 96) [mm]) of a whole, tiny Human3.6M."""
    for s, subject in enumerate(subjects):
        for a, action in enumerate(actions):
            for k, take in enumerate(h36m.takes_of(subject, action)):
                yield subject, take, motion_32(take_frames(subject, take), 1000 * s + 10 * a + k)


def write_cdf(
    path: Path, pose: np.ndarray, majority: str = "column_major", compress: int = 0, whole: bool = False
) -> None:
    """Variable Pose (1, T, 96) [mm]; cdflib sets the flag of the majority but leaves ordering the numbers to us."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    ordered = pose[None] if majority == "row_major" else np.asfortranarray(pose).ravel("K").reshape(1, *pose.shape)
    spec = {"Majority": majority, "Compressed": 6 if whole else 0}
    file = cdflib.cdfwrite.CDF(path, cdf_spec=spec)
    variable = {"Variable": "Pose", "Data_Type": 45, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": list(pose.shape)}
    file.write_var({**variable, "Compress": compress}, var_data=ordered)
    file.close()


def write_metadata(path: Path) -> None:
    """metadata.xml with the published cameras; subjects nobody has get zeros and the identity."""
    numbers = np.zeros((4, 11, 6))
    for subject, rows in EXTRINSICS.items():
        numbers[:, int(subject[1:]) - 1] = rows
    values = " ".join(repr(float(v)) for v in [*numbers.ravel(), *np.ravel(INTRINSICS)])
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<a><mapping><tr><td>1</td></tr></mapping><w0>[{values}]</w0></a>\n',
        encoding="utf-8",
    )


def write_cameras_h5(path: Path, cameras) -> None:
    """cameras.h5 of {subject: four cameras}, with its stray top-level array."""
    with h5py.File(path, "w") as file:
        file["3dtest"] = np.zeros((96, 1))
        for subject, views in cameras.items():
            for number, camera in enumerate(views, start=1):
                group = file.create_group(f"subject{subject[1:]}/camera{number}")
                group["R"] = camera.rotation.T
                group["T"] = camera.position[:, None] * 1000
                group["f"], group["c"] = camera.focal[:, None], camera.centre[:, None]
                group["k"], group["p"] = camera.radial[:, None], camera.tangential[:, None]
                group["Name"] = np.array([[ord(c)] for c in camera.name], dtype=np.float64)


def write_h5(path: Path, name: str, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file[name] = array


def write_release(root: Path, subjects=h36m.SUBJECTS, actions=h36m.ACTIONS, released_names: bool = True) -> None:
    """S1/MyPoseFeatures/D3_Positions/*.cdf and metadata.xml; S1's odd names as released, or renamed."""
    back = {renamed: released for released, renamed in h36m.RENAMED.items()}
    for subject, take, pose in all_takes(subjects, actions):
        action, _, number = take.partition(" ")
        if released_names and subject == "S1":
            take = f"{back.get(action, action)} {number}".strip()
        write_cdf(root / subject / "MyPoseFeatures/D3_Positions" / f"{take}.cdf", pose)
    write_cdf(root / subjects[0] / "MyPoseFeatures/D3_Positions" / "_ALL 1.cdf", motion_32(3, 0))
    write_metadata(root / "metadata.xml")


def write_h5_release(root: Path, cameras, subjects=h36m.SUBJECTS, actions=h36m.ACTIONS) -> None:
    """S1/MyPoses/3D_positions/*.h5, (96, T), and cameras.h5."""
    for subject, take, pose in all_takes(subjects, actions):
        write_h5(root / subject / "MyPoses/3D_positions" / f"{take}.h5", "3D_positions", pose.T)
    write_cameras_h5(root / "cameras.h5", cameras)


# cgspeed's skeleton without hands: joint, parent, offset [cm].
DAZ = [
    ("hip", None, (0, 0, 0)),
    ("abdomen", "hip", (0, 20.7, -0.7)),
    ("chest", "abdomen", (0, 11.7, -0.5)),
    ("neck", "chest", (0, 22.2, -2.2)),
    ("head", "neck", (-0.24, 7.1, 1.2)),
    ("leftEye", "head", (4.1, 8, 8)),
    ("rightEye", "head", (-3.7, 8, 8)),
]
for _side, _sign in (("r", -1), ("l", 1)):
    DAZ += [
        (f"{_side}Collar", "chest", (_sign * 2.7, 19.3, -4.9)),
        (f"{_side}Shldr", f"{_side}Collar", (_sign * 8.8, -2, 1.5)),
        (f"{_side}ForeArm", f"{_side}Shldr", (_sign * 28.2, -1.7, 0.5)),
        (f"{_side}Hand", f"{_side}ForeArm", (_sign * 22.6, 0.8, 7.1)),
        (f"{_side}Buttock", "hip", (_sign * 8.8, 4.4, 1.2)),
        (f"{_side}Thigh", f"{_side}Buttock", (0, -1.7, -2.2)),
        (f"{_side}Shin", f"{_side}Thigh", (0, -36.8, 0.7)),
        (f"{_side}Foot", f"{_side}Shin", (0, -45.1, -5.1)),
    ]


def write_daz_bvh(
    path: Path, frames: int, seed: int = 0, fps: float = 120.0, degrees: float = 20.0, height: float = 90.0
):
    """A take of cgspeed's kind: a slow, smooth walk along z with every joint swinging; returns its values (T, C)."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None] / fps
    swings = degrees * np.sin(time * rng.uniform(1, 3, 3 * len(DAZ)) + rng.uniform(0, 6, 3 * len(DAZ)))
    order = _depth_first()
    # In the database the pelvis is one bone and the collars do not turn.
    stiff = [i for i, row in enumerate(order) if row[0][1:] in ("Buttock", "Collar")]
    swings.reshape(frames, -1, 3)[:, stiff] = 0
    root = np.stack([0 * time[:, 0], height + 0 * time[:, 0], 100 * time[:, 0]], 1)
    values = np.concatenate([root, swings], 1)
    lines, open_joints, end = ["HIERARCHY"], [], "OFFSET 0 -4 12" if height else ""

    def close_until(parent):
        while open_joints and open_joints[-1] != parent:
            if open_joints[-1] in ("rFoot", "lFoot"):
                lines.append(f"End Site {{ {end} }}")
            lines.append("}")
            open_joints.pop()

    for name, parent, offset in order:
        close_until(parent)
        lines.append(f"{'ROOT' if parent is None else 'JOINT'} {name} {{ OFFSET {offset[0]} {offset[1]} {offset[2]}")
        position = "6 Xposition Yposition Zposition" if parent is None else "3"
        lines.append(f"CHANNELS {position} Zrotation Xrotation Yrotation")
        open_joints.append(name)
    close_until(None)
    lines += ["MOTION", f"Frames: {frames}", f"Frame Time: {1 / fps:.9f}"]
    lines += [" ".join(f"{v:.6f}" for v in row) for row in values]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return values


def _depth_first(parent=None):
    """DAZ with every joint right after its parent's earlier children."""
    rows = []
    for row in DAZ:
        if row[1] == parent:
            rows += [row, *_depth_first(row[0])]
    return rows


# A skeleton as the database writes them, without fingers and toes: bone, direction, length, axis, degrees of freedom.
_ASF_BONES = [
    ("lhipjoint", "0.566809 -0.746272 0.349008", 2.40479, "0 0 0", ""),
    ("lfemur", "0.34202 -0.939693 0", 7.1578, "0 0 20", "rx ry rz"),
    ("ltibia", "0.34202 -0.939693 0", 7.49137, "0 0 20", "rx"),
    ("rhipjoint", "-0.550236 -0.756381 0.353735", 2.37265, "0 0 0", ""),
    ("rfemur", "-0.34202 -0.939693 0", 7.43386, "0 0 -20", "rx ry rz"),
    ("rtibia", "-0.34202 -0.939693 0", 7.50908, "0 0 -20", "rx"),
    ("lowerback", "0.0138 0.9954 -0.0945", 2.04495, "0 0 0", "rx ry rz"),
    ("upperback", "0.0277 0.9994 -0.0209", 2.05008, "0 0 0", "rx ry rz"),
    ("thorax", "0.0031 0.9998 0.0204", 2.05699, "0 0 0", "rx ry rz"),
    ("lowerneck", "-0.0307 0.9951 0.0935", 1.7504, "0 0 0", "rx ry rz"),
    ("upperneck", "0.0562 0.9956 -0.0754", 1.7746, "0 0 0", "rx ry rz"),
    ("head", "0.0205 0.9976 -0.0658", 1.7739, "0 0 0", "rx ry rz"),
    ("lclavicle", "0.8196 0.5694 0.0662", 3.5, "0 0 0", "ry rz"),
    ("lhumerus", "1 0 0", 4.97, "0 0 0", "rx ry rz"),
    ("lradius", "1 0 0", 3.49, "0 0 0", "rx"),
    ("rclavicle", "-0.8223 0.5651 0.0659", 3.5, "0 0 0", "ry rz"),
    ("rhumerus", "-1 0 0", 5.24, "0 0 0", "rx ry rz"),
    ("rradius", "-1 0 0", 3.44, "0 0 0", "rx"),
]
ASF = (
    "# made for tests\n:version 1.10\n:name VICON\n:units\n  mass 1.0\n  length 0.45\n  angle deg\n"
    ":documentation\n   none\n"
    ":root\n   order TX TY TZ RX RY RZ\n   axis XYZ\n   position 0 0 0\n   orientation 0 0 0\n:bonedata\n"
    + "".join(
        f"  begin\n     id {i}\n     name {name}\n     direction {direction}\n     length {length}\n"
        f"     axis {axis} XYZ\n" + (f"    dof {dofs}\n    limits (-160.0 20.0)\n" if dofs else "") + "  end\n"
        for i, (name, direction, length, axis, dofs) in enumerate(_ASF_BONES, start=1)
    )
    + ":hierarchy\n  begin\n    root lhipjoint rhipjoint lowerback\n    lhipjoint lfemur\n    lfemur ltibia\n"
    "    rhipjoint rfemur\n    rfemur rtibia\n    lowerback upperback\n    upperback thorax\n"
    "    thorax lowerneck lclavicle rclavicle\n    lowerneck upperneck\n    upperneck head\n"
    "    lclavicle lhumerus\n    lhumerus lradius\n    rclavicle rhumerus\n    rhumerus rradius\n  end\n"
)


def write_amc(path: Path, asf, frames: int, seed: int, degrees: float = 20.0) -> np.ndarray:
    """A motion of `asf` in another order than its bones; returns the values (T, D) in the skeleton's order."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None] / 120
    total = sum(map(len, asf.dofs))
    values = degrees * np.sin(time * rng.uniform(1, 3, total) + rng.uniform(0, 6, total))
    values[:, :3] = np.stack([0 * time[:, 0], 18 + 0 * time[:, 0], 10 * time[:, 0]], 1)
    values = values.round(6)
    columns = np.cumsum([0, *map(len, asf.dofs)])
    order = [0, *range(len(asf.bones) - 1, 0, -1)]
    lines = ["#!OML:ASF made for tests", ":FULLY-SPECIFIED", ":DEGREES"]
    for frame, row in enumerate(values, start=1):
        lines.append(str(frame))
        for i in order:
            if asf.dofs[i]:
                lines.append(f"{asf.bones[i]} " + " ".join(f"{v:.6f}" for v in row[columns[i] : columns[i + 1]]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return values
