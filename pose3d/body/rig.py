"""The fitted body as others take it: joints and turns of the rig's bones, and the mesh that they carry."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from anypose.formats.glb import Mesh, bone_mesh
from anypose.skeleton import ANNY_38, Skeleton
from pose3d.body.anny import Anny, load_anny
from pose3d.body.few_bones import few_bones
from pose3d.body.keypoint_body import FREE, KeypointBody, Shape
from pose3d.body.points import Point

# House names of the rig's 31 bones, where each begins; "end" points make the last bones visible.
RIG_JOINTS = {
    "Hips": "hip", "LHipJoint": "left_pelvis", "LeftUpLeg": "left_hip", "LeftLeg": "left_knee",
    "LeftFoot": "left_foot", "LeftToeBase": "left_toe", "LowerBack": "lower_back", "Spine": "spine",
    "Spine1": "chest", "LeftShoulder": "left_collar", "LeftArm": "left_shoulder", "LeftForeArm": "left_elbow",
    "LeftHand": "left_wrist", "LThumb": "left_thumb", "LeftFingerBase": "left_palm", "LeftHandFinger1": "left_fingers",
    "Neck": "thorax", "Neck1": "middle_neck", "Head": "upper_neck",
    "RightShoulder": "right_collar", "RightArm": "right_shoulder", "RightForeArm": "right_elbow",
    "RightHand": "right_wrist", "RThumb": "right_thumb", "RightFingerBase": "right_palm",
    "RightHandFinger1": "right_fingers", "RHipJoint": "right_pelvis", "RightUpLeg": "right_hip",
    "RightLeg": "right_knee", "RightFoot": "right_foot", "RightToeBase": "right_toe",
}  # fmt: skip


# The tip of a last bone is the vertex that it carries alone and that lies farthest from where it begins.
TIPS = {
    "head_top": "Head", "left_toe_end": "LeftToeBase", "right_toe_end": "RightToeBase", "left_thumb_end": "LThumb",
    "right_thumb_end": "RThumb", "left_fingers_end": "LeftHandFinger1", "right_fingers_end": "RightHandFinger1",
}  # fmt: skip


@dataclass(eq=False)
class BodyRig:
    """The rig of `ANNY_38`."""

    anny: Anny = field(default_factory=load_anny)

    def __post_init__(self) -> None:
        anny = self.anny
        bones = {joint: bone for bone, joint in RIG_JOINTS.items()}
        self.heads = [anny.index(bones[joint]) if joint in bones else -1 for joint in ANNY_38.joints]
        self.tips = {joint: self._tip(anny.index(bone)) for joint, bone in TIPS.items()}
        # The bone that ends in each joint is the parent's.
        self.bones = [self.heads[parent] if parent >= 0 else 0 for parent in ANNY_38.parents]

    @cached_property
    def skin(self) -> tuple[np.ndarray, np.ndarray]:
        """(V, 4) bones that carry a vertex in a file, and how much."""
        return few_bones(KeypointBody([Point(joints=((FREE[0], 1.0),))], self.anny))

    def _tip(self, bone: int) -> int:
        share = np.where(self.anny.skin_bones == bone, self.anny.skin_weights, 0.0).sum(-1)
        far = np.linalg.norm(self.anny.vertices - self.anny.heads[bone], axis=-1)
        return int(np.where(share > 0.6 * share.max(), far, -1.0).argmax())

    def rest(self, words: np.ndarray) -> np.ndarray:
        """(38, 3) joints at rest, facing -y, left is +x, the hip at 0 [m]."""
        heads, skin = self.anny.rest_heads(words), self.anny.rest(words)
        rest = [
            skin[self.tips[joint]] if head < 0 else heads[head]
            for joint, head in zip(ANNY_38.joints, self.heads, strict=True)
        ]
        return np.array(rest) - rest[0]

    def pose(
        self, body: KeypointBody, shape: Shape, turns: np.ndarray, root: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of a fit: (T, 38, 3) joints [m], (T, 38, 3, 3) turns of the bones that end in them."""
        world, heads = body.place(shape, turns, root)
        turned = world[:, [body.carriers[bone] for bone in self.bones]]
        rest = self.rest(shape.words)
        joints = np.empty((len(turns), len(rest), 3))
        joints[:, 0] = heads[:, 0]
        for joint, parent in enumerate(ANNY_38.parents):
            if parent >= 0:
                joints[:, joint] = joints[:, parent] + turned[:, joint] @ (rest[joint] - rest[parent])
        return joints, turned

    def mesh(self, words: np.ndarray) -> Mesh:
        """The skin of the person that words describe, carried by the bones of `ANNY_38`."""
        anny = self.anny
        vertices = anny.rest(words) - anny.rest_heads(words)[0]
        # A bone is told by a joint in which it ends.
        ends = {bone: joint for joint, bone in reversed(list(enumerate(self.bones))) if joint}
        carriers, weights = self.skin
        bones = np.vectorize(ends.__getitem__, otypes=[int])(carriers)
        corners = vertices[anny.faces]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals = np.zeros_like(vertices)
        for corner in range(3):
            np.add.at(normals, anny.faces[:, corner], across)
        length = np.linalg.norm(normals, axis=-1, keepdims=True)
        normals = np.where(length > 1e-12, normals / np.maximum(length, 1e-12), [0.0, 0.0, 1.0])
        return Mesh(vertices, normals, {"middle": anny.faces}, bones, weights)


@dataclass(eq=False)
class Meshes:
    """Makes the mesh of the person whose rest pose it is given, for `GlbSink`."""

    rig: BodyRig
    people: dict[int, np.ndarray] = field(default_factory=dict)

    def __call__(self, skeleton: Skeleton, rest: np.ndarray) -> Mesh:
        """The skin over a rest pose (38, 3); plain bones where nobody could be fitted."""
        if skeleton != ANNY_38 or not self.people:
            return bone_mesh(skeleton, rest)
        words = min(self.people.values(), key=lambda words: float(np.abs(self.rig.rest(words) - rest).sum()))
        return self.rig.mesh(words)
