"""Where on a body the keypoints of a 2D network lie: bodies drawn at random are rendered, and the network looks.

python -m benchmarks.network_points CMU [CMU_MORE ...] [--weights FILE] [--people 500]

CMU are folders of takes as BVH: their poses are put on random bodies (extra `body`), coloured and shaded before a
random background, each seen once by a camera at 0 to 20 degrees. What is printed: the mean offset of each point from
Human3.6M's joint of that name, in the axes of the bone that carries it, and the lengths between points on somebody of
1.73 m, which `pose3d.lifting.bone_lengths` holds bones to. --weights is predict's keypoints.weights; without it
BlazePose is looked at.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from anypose.formats.bvh import read_bvh
from anypose.skeleton import H36M_17, Skeleton
from pose3d.body.anny import Anny, load_anny
from pose3d.body.keypoint_body import FREE, KeypointBody, keypoint_body
from pose3d.body.people import Person, random_bodies
from pose3d.body.points import ADULT
from pose3d.lifting.bone_lengths import LENGTHS, LIMBS, measured
from pose3d.motion.cmu import joints_of_bvh
from pose3d.predict.networks import open_network
from pose3d.predict.people import Frame
from pose3d.predict.settings import complete

SIZE, FOCAL = (640, 720), 700.0  # [px]
DISTANCES, ELEVATIONS = (2.6, 4.5), (0.0, 20.0)  # [m], [degrees]
# The bone whose axes a point's offset is measured in; X is the point's side.
CARRIERS = {"hip": "Hips", "knee": "XUpLeg", "foot": "XLeg", "shoulder": "Spine1", "elbow": "XArm", "wrist": "XForeArm"}
SHIRT = ("LowerBack", "Spine1", "LeftShoulder", "RightShoulder", "LeftArm", "RightArm")
TROUSERS = ("Hips", "LeftUpLeg", "RightUpLeg", "LeftLeg", "RightLeg")
SKINS = [[224, 172, 140], [198, 134, 100], [141, 85, 56], [240, 200, 175]]
SURE = 0.5  # scores of points that count


@dataclass(frozen=True)
class View:
    """One body as it was seen.

    Attributes:
        joints: (17, 3) Human3.6M's in camera axes [m].
        turns: (F, 3, 3) of the free bones, to camera axes.
        scale: stature over `ADULT`.
        pixels: (12, 3) the network's points of `LIMBS`, NaN where it has none, and their scores.
    """

    joints: np.ndarray
    turns: np.ndarray
    scale: float
    pixels: np.ndarray


def poses(folders: Sequence[Path], rng: np.random.Generator) -> Iterator[np.ndarray]:
    """(1, 17, 3) frames of takes, twenty of one, the folders in turn; z up [m], without end."""
    files = [sorted(folder.rglob("*.bvh")) for folder in folders]
    if empty := [str(folder) for folder, takes in zip(folders, files, strict=True) if not takes]:
        raise SystemExit(f"{empty[0]} holds no take as BVH.")
    for turn in itertools.count():
        takes = files[turn % len(files)]
        joints = joints_of_bvh(read_bvh(takes[rng.integers(len(takes))]))
        for frame in rng.choice(len(joints), min(20, len(joints)), replace=False):
            yield joints[[frame]]


def skinned(anny: Anny, body: KeypointBody, person: Person) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3) vertices of the first frame and (F, 3, 3) turns of the free bones, in the axes of the motion."""
    shape = body.shape(person.words)
    rest = anny.rest(person.words)
    turns, heads = body.place(shape, person.turns[:1], person.root[:1])
    carriers = np.array(body.carriers)[anny.skin_bones]
    vertices = np.zeros_like(rest)
    for bone in range(len(FREE)):
        share = np.where(carriers == bone, anny.skin_weights, 0).sum(-1, keepdims=True)
        vertices += share * ((rest - shape.heads[bone]) @ turns[0, bone].T + heads[0, bone])
    return vertices, turns[0]


def camera(target: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) turn to camera axes and (3,) place of a camera that looks at a point."""
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(*ELEVATIONS))
    towards = -np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    right = np.cross(towards, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), towards]), target - towards * rng.uniform(*DISTANCES)


def render(vertices: np.ndarray, anny: Anny, parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 picture of vertices in camera axes: farthest faces first, lit from the side of the camera.

    Args:
        parts: (faces,) name of the bone that each face goes with.
    """
    corners = vertices[anny.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-12
    middles = corners.mean(1)
    light = np.array([rng.uniform(-0.6, 0.6), -0.6, -0.7])
    bright = 0.45 + 0.55 * (normals @ (light / np.linalg.norm(light))).clip(0, 1)
    colours = np.empty((len(parts), 3))
    colours[:] = SKINS[rng.integers(len(SKINS))]
    colours[np.isin(parts, SHIRT)] = rng.integers(20, 240, 3)
    colours[np.isin(parts, TROUSERS)] = rng.integers(10, 160, 3)
    colours[np.char.endswith(parts, "Foot")] = rng.integers(0, 255, 3)
    scene = rng.integers(60, 220, (6, 5, 3)).astype(np.uint8)
    image = np.ascontiguousarray(cv2.resize(scene, SIZE, interpolation=cv2.INTER_CUBIC))
    places = np.round((vertices[:, :2] / vertices[:, 2:] * FOCAL + np.array(SIZE) / 2) * 16).astype(np.int32)
    front = (normals * middles).sum(-1) < 0
    for face in np.argsort(-middles[:, 2]):
        if front[face]:
            colour = (colours[face] * bright[face]).clip(0, 255).tolist()
            cv2.fillConvexPoly(image, places[anny.faces[face]], colour, shift=4)
    return np.asarray(cv2.GaussianBlur(image, (3, 3), 0))


@dataclass(frozen=True)
class Sight:
    """One body before one camera.

    Attributes:
        person: who it is.
        joints: (17, 3) Human3.6M's in camera axes [m].
        turns: (F, 3, 3) of the free bones, to camera axes.
        image: (H, W, 3) uint8.
    """

    person: Person
    joints: np.ndarray
    turns: np.ndarray
    image: np.ndarray


def sights(folders: Sequence[Path], people: int, views: int, seed: int) -> Iterator[Sight]:
    """So many random bodies, each rendered before so many cameras, one after the other."""
    rng = np.random.default_rng(seed)
    anny, body = load_anny(), keypoint_body(H36M_17)
    heaviest = anny.skin_bones[np.arange(len(anny.vertices)), anny.skin_weights.argmax(1)]
    parts = np.array(FREE)[np.array(body.carriers)[heaviest]][anny.faces[:, 0]]
    drawn = poses(folders, rng)
    for _ in range(people):
        person = next(random_bodies(next(drawn), rng, 1))
        vertices, turns = skinned(anny, body, person)
        joints = person.points(H36M_17)[0]
        for _ in range(views):
            turn, place = camera(joints[0], rng)
            image = render((vertices - place) @ turn.T, anny, parts, rng)
            yield Sight(person, (joints - place) @ turn.T, turn @ turns, image)


def look(folders: Sequence[Path], weights: str | None, people: int, seed: int) -> tuple[Skeleton, list[View]]:
    """What the network sees of so many bodies; those that it does not find are left out."""
    network = open_network(complete({"keypoints": {"weights": weights}}), stills=True)
    rows = [network.skeleton.index(joint) for joint in LIMBS]
    views = []
    for number, sight in enumerate(sights(folders, people, 1, seed)):
        if found := network.find(Frame(number, float(number), sight.image)):
            best = max(found, key=lambda one: one.score)
            scale = sight.person.stature / ADULT
            views.append(View(sight.joints, sight.turns, scale, best.keypoints[rows, :3]))
    return network.skeleton, views


def carrier(joint: str) -> tuple[str, int, np.ndarray]:
    """Kind of a limb's joint, its carrier's row, and (3, 3) from outwards, up, forward to the carrier's axes."""
    side, _, kind = joint.partition("_")
    bone = CARRIERS[kind].replace("X", side.capitalize())
    return kind, FREE.index(bone), np.array([[1 if side == "left" else -1, 0, 0], [0, 0, -1], [0, 1, 0]], float)


def offset(views: Sequence[View], kind: str) -> tuple[np.ndarray, int, float]:
    """(3,) outwards, up, forward of a point from its joint on an adult [m], how many were seen, and what is left [m].

    Every view gives two equations, across and down at the joint's depth; least squares, weighted so that what a network
    got wrong altogether counts little.
    """
    slopes, values = [], []
    for view in views:
        for row, joint in enumerate(LIMBS):
            name, bone, axes = carrier(joint)
            x, y, score = view.pixels[row]
            if name != kind or not np.isfinite([x, y]).all() or score < SURE:
                continue
            there = view.joints[H36M_17.index(joint)]
            slope = there[:2] / there[2]
            turned = view.scale * view.turns[bone] @ axes
            slopes.append(turned[:2] - np.outer(slope, turned[2]))
            values.append((([x, y] - np.array(SIZE) / 2) / FOCAL - slope) * there[2])
    left, right = np.array(slopes), np.array(values)
    solution, weights = np.zeros(3), np.ones(len(left))
    for _ in range(30):
        root = np.sqrt(weights)[:, None]
        solution = np.linalg.lstsq((left * root[..., None]).reshape(-1, 3), (right * root).ravel(), rcond=None)[0]
        rest = np.linalg.norm(right - left @ solution, axis=-1)
        weights = 1 / (1 + (rest / (1.48 * np.median(rest))) ** 2)
    return solution, len(left), float(np.median(rest))


def lengths(views: Sequence[View], offsets: dict[str, np.ndarray]) -> np.ndarray:
    """(8,) medians over all bodies of `LENGTHS` between joints that are moved by their offsets, for an adult [m]."""
    rows = []
    for view in views:
        points = np.stack([view.joints[H36M_17.index(joint)] for joint in LIMBS]) / view.scale
        for row, joint in enumerate(LIMBS):
            kind, bone, axes = carrier(joint)
            points[row] += view.turns[bone] @ axes @ offsets[kind]
        rows.append(measured(points))
    return np.median(rows, axis=0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Look, and print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.network_points", description=__doc__)
    parser.add_argument("cmu", type=Path, nargs="+")
    parser.add_argument("--weights")
    parser.add_argument("--people", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    skeleton, views = look(options.cmu, options.weights, options.people, options.seed)
    print(
        f"{skeleton.name}: found {len(views)} of {options.people}; outwards, up, forward [mm], seen, median left [mm]"
    )
    offsets = {}
    for kind in CARRIERS:
        offsets[kind], count, left = offset(views, kind)
        print(f"{kind:9}" + "".join(f"{1e3 * part:6.0f}" for part in offsets[kind]) + f"{count:7}{1e3 * left:6.0f}")
    nothing = {kind: np.zeros(3) for kind in CARRIERS}
    for name, own, joint in zip(LENGTHS, lengths(views, offsets), lengths(views, nothing), strict=True):
        print(f"{name:10} {own:.3f} m, between Human3.6M's joints {joint:.3f} m")


if __name__ == "__main__":
    main()
