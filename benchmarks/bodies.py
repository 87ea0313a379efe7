"""Bodies fitted to people whose joints are known: errors before and after the fit, and its time.

python -m benchmarks.bodies CMU [--wild WILD] [--json FILE]

CMU is a folder of takes as BVH. Their motion is put on random bodies, ten seconds at 30 frames/s, and seen by a
virtual camera: exactly (joints and keypoints), and as a detector would: keypoints of BlazePose's layout disturbed,
then lifted frame by frame ("lifted"), or with all that predict does before a body is fitted ("predicted"). The plain
way, fitting frame by frame (`benchmarks.frame_by_frame`), is timed on the first seconds of "predicted". WILD holds
cam01.npz, ... as benchmarks.real_people says; the twelve limb joints are scored there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from anypose.camera import Camera, project, world_to_camera
from anypose.engine.run import environment
from anypose.formats.bvh import read_bvh
from anypose.metrics import mpjpe, mpjve, p_mpjpe
from anypose.motion import Motion
from anypose.skeleton import BLAZEPOSE_33, H36M_17
from benchmarks.frame_by_frame import frame_by_frame
from benchmarks.real_people import centred, errors, joints_of
from pose3d.body.fit import Fit, Fitter
from pose3d.body.people import Person, random_bodies
from pose3d.body.seen import Seen
from pose3d.motion.cmu import joints_of_bvh, resample
from pose3d.motion.detector_noise import DetectorNoise
from pose3d.motion.virtual_cameras import CameraRanges, sample_cameras
from pose3d.predict.ground import find_contacts
from pose3d.predict.pipeline import Pipeline
from pose3d.predict.sinks import save

TAKES = ("02/02_01", "05/05_02", "08/08_01", "09/09_01", "10/10_01", "13/13_08")
FPS, SECONDS = 30.0, 10.0
PLAIN_FRAMES = 60
WAYS = ("exact", "lifted", "predicted")
PLAIN = CameraRanges(
    radial=((0, 0), (0, 0), (0, 0)), tangential=((0, 0), (0, 0)), focal=(850.0, 850.0), centre=(500.0, 500.0)
)
NOISE = DetectorNoise(jitter=0.01, outliers=0.01, swaps=0.0, missing=0.02)
ENDS = (("hip", "knee"), ("knee", "foot"), ("shoulder", "elbow"), ("elbow", "wrist"))
LIMBS = [(H36M_17.index(f"{s}_{a}"), H36M_17.index(f"{s}_{b}")) for s in ("left", "right") for a, b in ENDS]
FEET = [H36M_17.index("left_foot"), H36M_17.index("right_foot")]


def seen_by_predict(
    name: str, times: np.ndarray, keypoints: np.ndarray, camera: Camera, folder: Path, **settings: object
) -> Motion:
    """Keypoints (T, 33, 3) of one person lifted, placed and stood on the floor, as predict does it."""
    size = (camera.width, camera.height)
    given = Motion(
        name,
        times,
        np.array([1]),
        keypoints=keypoints[:, None].astype(np.float32),
        keypoint_skeleton=BLAZEPOSE_33,
        size=size,
    )
    save(given, folder / f"{name}.npz", overwrite=True)
    return Pipeline(focal=float(camera.focal[0]), people=1, **settings)(folder / f"{name}.npz")


def scores(found: np.ndarray, truth: np.ndarray, stands: np.ndarray) -> dict[str, float]:
    """Errors of (T, 17, 3) joints; skate is how far feet that truly stand move in a frame, NaN where none does."""
    a, b = (torch.from_numpy(points - points[:, :1]) for points in (found, truth))
    bones = [np.stack([points[:, j] - points[:, i] for i, j in LIMBS], 1) for points in (found, truth)]
    cosine = (bones[0] * bones[1]).sum(-1) / np.linalg.norm(bones[0], axis=-1) / np.linalg.norm(bones[1], axis=-1)
    both = stands[1:] & stands[:-1]
    steps = [np.linalg.norm(np.diff(points[:, FEET], axis=0), axis=-1)[both] for points in (found, truth)]
    skate = [step.mean() if len(step) else np.nan for step in steps]
    return {
        "mpjpe_mm": 1e3 * float(mpjpe(a, b).mean()),
        "p_mpjpe_mm": 1e3 * float(p_mpjpe(a, b).mean()),
        "limbs_degrees": float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()),
        "mpjve_mm": 1e3 * float(mpjve(a, b).mean()),
        "skate_mm": 1e3 * float(skate[0]),
        "true_skate_mm": 1e3 * float(skate[1]),
        "contact_frames": int(both.sum()),
    }


def fitted(fitter: Fitter, seen: Seen) -> tuple[Fit, float]:
    """The fit, and its seconds of the processor."""
    start = time.process_time()
    return fitter(seen), time.process_time() - start


def plainly(
    fitter: Fitter, seen: Seen, fit: Fit, spent: float, truth: np.ndarray, stands: np.ndarray
) -> dict[str, float]:
    """The plain way's errors, its speed, and how many times its time ours is a frame."""
    start, frames = time.process_time(), min(PLAIN_FRAMES, len(seen))
    found = frame_by_frame(fitter, seen, fit, frames)
    each = (time.process_time() - start) / frames
    ratio = each / (spent / len(seen))
    return scores(found, truth[:frames], stands[:frames]) | {"frames_per_second": 1 / each, "ratio": ratio}


def one(person: Person, rng: np.random.Generator, name: str, folder: Path, fitter: Fitter) -> list[dict]:
    """Rows of a person who moves: exact and as a detector sees them, before and after."""
    joints, surface = person.points(H36M_17), person.points(BLAZEPOSE_33)
    camera = sample_cameras(rng, np.concatenate([joints[:, :1], surface], 1), 1, PLAIN)[0]
    truth, places = world_to_camera(joints, camera), project(world_to_camera(surface, camera), camera)
    times = np.arange(len(joints)) / FPS
    stands = find_contacts(joints[:, FEET], times)
    lens = np.array([camera.focal[0], *camera.centre])
    rows = []
    disturbed, sure = NOISE(rng, places, BLAZEPOSE_33)
    assert sure is not None
    exact = np.concatenate([places, np.ones((*places.shape[:2], 1))], -1)
    found = np.concatenate([disturbed, sure[..., None]], -1)
    for way in WAYS:
        before, keypoints, contacts, up = truth, exact, stands, None
        if way != "exact":
            settings = {"smooth": "off", "hold_feet": False} if way == "lifted" else {}
            motion = seen_by_predict(name, times, found, camera, folder, **settings)
            assert motion.keypoints is not None
            assert motion.contacts is not None
            before = joints_of(motion)[:, 0].astype(np.float64)
            assert motion.camera is not None
            keypoints, contacts = motion.keypoints[:, 0].astype(np.float64), motion.contacts[:, 0]
            up = motion.camera.rotation[:, 2]
        seen = Seen(times, before, H36M_17, keypoints, BLAZEPOSE_33, lens, contacts, up)
        fit, spent = fitted(fitter, seen)
        after = fit.points(fitter.poser.human)
        known = np.isfinite(before).all((1, 2))
        for stage, points in (("before", before), ("after", after)):
            rows.append({"take": name, "seen": way, "stage": stage})
            rows[-1] |= scores(points[known], truth[known], stands[known])
        rows[-1] |= {
            "stature_mm": 1e3 * (fit.shape.stature - person.stature),
            "frames_per_second": len(times) / spent,
            "residual_px": float(np.nanmean(fit.residual_px)),
        }
        if way == "predicted":
            rows.append(
                {"take": name, "seen": way, "stage": "plain"} | plainly(fitter, seen, fit, spent, truth, stands)
            )
        for row in rows[-3 if way == "predicted" else -2 :]:
            short = {key: round(value, 2) if isinstance(value, float) else value for key, value in row.items()}
            print(json.dumps(short), flush=True)
    return rows


def real(wild: Path, folder: Path) -> list[dict]:
    """The twelve limb joints of the real clips: predict without and with a body."""
    rows = []
    for camera in ("cam01", "cam03"):
        known = np.load(wild / f"{camera}.npz")
        at, truth = known["frames"], centred(known["joints"], BLAZEPOSE_33)
        marks = known["landmarks"]
        keypoints = np.concatenate([marks[..., :2], marks[..., 3:4]], -1)[:, None].astype(np.float32)
        times = np.arange(len(marks)) / float(known["fps"])
        width, height = (int(side) for side in known["size"])
        given = Motion(
            camera, times, np.array([1]), keypoints=keypoints, keypoint_skeleton=BLAZEPOSE_33, size=(width, height)
        )
        save(given, folder / f"{camera}.npz", overwrite=True)
        for body in (False, True):
            pipeline = Pipeline(people=1, body=body)
            motion = pipeline(folder / f"{camera}.npz")
            values = errors(centred(joints_of(motion)[at, 0], motion.skeleton or H36M_17), truth)
            names = ("mpjpe_mm", "n_mpjpe_mm", "p_mpjpe_mm", "mpjve_mm")
            rows.append(
                {"clip": camera, "stage": "after" if body else "before", **dict(zip(names, values, strict=True))}
            )
            rows[-1] |= pipeline.bodies.report().get("1", {}) if pipeline.bodies is not None else {}
            print(json.dumps(rows[-1]), flush=True)
    return rows


def means(rows: list[dict]) -> dict[str, float]:
    """Of takes; of skate over all their contact frames: a run of a second has two, a walk of ten a hundred."""
    frames = np.array([row["contact_frames"] for row in rows], float)
    found = {}
    for key in [key for key, value in rows[0].items() if isinstance(value, float)]:
        values = np.abs([row[key] for row in rows])
        share = frames if key.endswith("skate_mm") else np.ones(len(rows))
        found[key] = float(np.average(values[share > 0], weights=share[share > 0]))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Score and print, row by row."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bodies", description=__doc__)
    parser.add_argument("cmu", type=Path, nargs="+", help="folders of subjects")
    parser.add_argument("--wild", type=Path)
    parser.add_argument("--takes", type=int, default=len(TAKES))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    rows: dict[str, list[dict]] = {"invented": [], "real": []}
    rng, fitter = np.random.default_rng(0), Fitter(H36M_17, BLAZEPOSE_33)
    with TemporaryDirectory() as name:
        folder = Path(name)
        if options.wild:
            rows["real"] = real(options.wild, folder)
        for take in TAKES[: options.takes]:
            path = next(file for root in options.cmu if (file := root / f"{take}.bvh").is_file())
            bvh = read_bvh(path)
            motion = resample(joints_of_bvh(bvh), bvh.fps, FPS)[: int(FPS * SECONDS)]
            for person in random_bodies(motion, rng, 1):
                rows["invented"] += one(person, rng, path.stem, folder, fitter)
    print(environment()["processor"])
    for way in WAYS:
        for stage in ("before", "after", "plain"):
            chosen = [row for row in rows["invented"] if (row["seen"], row["stage"]) == (way, stage)]
            if not chosen:
                continue
            print(f"{way:9}{stage:7}" + ", ".join(f"{key} {value:.2f}" for key, value in means(chosen).items()))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
