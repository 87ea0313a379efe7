"""A body of a few hundred vertices in the format of Anny's: its rig, its words, tubes for a skin.

The numbers are rough ones of an adult at rest [m], z up, facing -y, left is +x; nothing of Anny is in them.
"""

from __future__ import annotations

import numpy as np

from pose3d.body.anny import VARIATIONS, WORDS, Anny

# Bone: the one before it, where it begins, how thick it is. The left side and the middle.
BONES = {
    "Hips": ("", (0, 0, 0), 0.10), "LHipJoint": ("Hips", (0, 0, 0), 0.10),
    "LeftUpLeg": ("LHipJoint", (0.11, 0, -0.02), 0.07), "LeftLeg": ("LeftUpLeg", (0.13, -0.03, -0.44), 0.05),
    "LeftFoot": ("LeftLeg", (0.15, 0.01, -0.87), 0.04), "LeftToeBase": ("LeftFoot", (0.16, -0.13, -0.92), 0.03),
    "LowerBack": ("Hips", (0, 0.03, 0.09), 0.11), "Spine": ("LowerBack", (0, 0.02, 0.24), 0.11),
    "Spine1": ("Spine", (0, 0.03, 0.38), 0.11), "LeftShoulder": ("Spine1", (0.03, -0.01, 0.49), 0.05),
    "LeftArm": ("LeftShoulder", (0.18, 0, 0.47), 0.04), "LeftForeArm": ("LeftArm", (0.36, -0.01, 0.27), 0.03),
    "LeftHand": ("LeftForeArm", (0.49, -0.17, 0.13), 0.02), "LThumb": ("LeftHand", (0.49, -0.21, 0.12), 0.01),
    "LeftFingerBase": ("LeftHand", (0.50, -0.20, 0.11), 0.02),
    "LeftHandFinger1": ("LeftFingerBase", (0.52, -0.26, 0.08), 0.02),
    "Neck": ("Spine1", (0, 0.01, 0.57), 0.05), "Neck1": ("Neck", (0, -0.01, 0.62), 0.05),
    "Head": ("Neck1", (0, -0.02, 0.68), 0.08),
}  # fmt: skip
TIPS = {"Head": (0, -0.03, 0.85), "LeftToeBase": (0.16, -0.20, -0.93), "LThumb": (0.50, -0.26, 0.09),
        "LeftHandFinger1": (0.54, -0.33, 0.05)}  # fmt: skip
PLACES = {  # of the skin's keypoints, and what carries them
    "nose": ("Head", (0, -0.13, 0.69)), "left_eye": ("Head", (0.03, -0.11, 0.72)),
    "left_ear": ("Head", (0.08, -0.03, 0.70)), "left_heel": ("LeftFoot", (0.15, 0.05, -0.93)),
    "left_big_toe": ("LeftToeBase", (0.13, -0.19, -0.93)), "left_small_toe": ("LeftToeBase", (0.19, -0.16, -0.93)),
}  # fmt: skip
AROUND, ALONG = 6, 3
SLOTS = 5  # bones of a vertex, most of them of no weight: Anny has seven


def mirrored(name: str) -> str:
    for left, right in (("Left", "Right"), ("LHip", "RHip"), ("LThumb", "RThumb"), ("left_", "right_")):
        if name.startswith(left):
            return right + name.removeprefix(left)
    return name


def both_sides(table: dict, other) -> dict:
    return table | {mirrored(name): other(*row) for name, row in table.items() if mirrored(name) != name}


def made_up_body() -> Anny:
    """The body; its shapes are large, so that words can be told from its bones."""
    flip = np.array([-1.0, 1, 1])
    bones = both_sides(BONES, lambda above, at, thick: (mirrored(above), tuple(flip * at), thick))
    tips = both_sides({name: (at,) for name, at in TIPS.items()}, lambda at: (tuple(flip * at),))
    places = both_sides(PLACES, lambda bone, at: (mirrored(bone), tuple(flip * at)))
    names = tuple(bones)
    heads = np.array([at for _, at, _ in bones.values()], float)
    vertices, outwards, skin, faces = [], [], [], []
    for row, (name, (above, at, thick)) in enumerate(bones.items()):
        below = [there for before, there, _ in bones.values() if before == name]
        end = np.array(tips[name][0] if name in tips else below[0], float)
        along = end - at if np.linalg.norm(end - at) > 0.02 else np.array([0, 0, 0.02])
        side = np.cross(along, [0.3, 1, 0.2])
        side /= np.linalg.norm(side)
        other = np.cross(along, side) / np.linalg.norm(along)
        start = len(vertices)
        for step in range(ALONG):
            for angle in np.arange(AROUND) * 2 * np.pi / AROUND:
                outwards.append(np.cos(angle) * side + np.sin(angle) * other)
                vertices.append(at + along * step / (ALONG - 1) + thick * outwards[-1] * (1 - 0.45 * step))
                share = (0.6, 0.9, 1.0)[step] if above else 1.0
                skin.append(((row, names.index(above) if above else 0), (share, 1 - share)))
        for ring in range(ALONG - 1):
            for i in range(AROUND):
                a, b = start + ring * AROUND + i, start + ring * AROUND + (i + 1) % AROUND
                faces += [[a, b, a + AROUND], [b, b + AROUND, a + AROUND]]
    surface = {}
    for name, (bone, at) in places.items():
        surface[name] = np.arange(len(vertices), len(vertices) + 2)
        for offset in (-0.005, 0.005):
            vertices.append(at + np.array([0, offset, 0]))
            outwards.append(np.zeros(3))
            skin.append(((names.index(bone), 0), (1.0, 0.0)))
    points, thicker = np.array(vertices), np.array(outwards)
    variations, vertex_shapes, head_shapes = [], [], []
    starts = np.cumsum([0, *VARIATIONS.values()])[:-1]
    column = {word: start for word, start in zip(WORDS, starts, strict=True)}

    def add(words: dict[str, int], stretch: tuple[float, float, float], thicken: float = 0.0) -> None:
        variations.append(np.isin(np.arange(17), [column[word] + row for word, row in words.items()]))
        vertex_shapes.append(points * stretch + thicken * thicker)
        head_shapes.append(heads * stretch)

    def long_legs(factor: float) -> None:
        add({"proportions": int(factor > 0)}, (0, 0, 0))
        for array in (vertex_shapes[-1], head_shapes[-1]):
            source = points if len(array) == len(points) else heads
            array[:, 2] = factor * np.where(source[:, 2] < 0, 1.0, -0.6) * source[:, 2]

    for row, size in enumerate((-0.65, -0.5, -0.3, 0.0, -0.02)):
        add({"age": row}, (size, size, 0.9 * size))
    for row, size in enumerate((-0.16, 0.16)):
        add({"height": row}, (size, size, size))
        add({"gender": row}, (-0.06 + 0.12 * row, 0, 0))
        add({"gender": 1, "height": row}, (0, 0, -0.02))
        long_legs(0.08 * (2 * row - 1))
    for row in range(3):
        add({"weight": row}, (0.02 * (row - 1), 0.05 * (row - 1), 0), 0.02 * (row - 1))
        add({"muscle": row}, (0.04 * (row - 1), 0, 0), 0.01 * (row - 1))
    return Anny(
        names,
        tuple(names.index(above) if above else -1 for above, _, _ in bones.values()),
        points,
        np.stack(vertex_shapes),
        heads,
        np.stack(head_shapes),
        np.stack(variations),
        np.pad([bones for bones, _ in skin], ((0, 0), (0, SLOTS - 2))),
        np.pad([shares for _, shares in skin], ((0, 0), (0, SLOTS - 2))),
        np.array(faces),
        {name: np.isin(np.arange(len(points)), rows).astype(float) for name, rows in surface.items()},
    )
