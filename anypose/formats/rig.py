"""A skeleton as a tree of nodes that each turn what hangs from them: what BVH and glTF have instead of joints.

A node's turn carries all its children alike, but the bones from a hip to its legs, or from the thorax to its shoulders,
turn each for itself. Such a bone gets a node of its own at the place of its parent. So every joint comes out where the
constant bones put it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anypose.quaternions import inverse, multiply
from anypose.skeleton import Skeleton

# What the node of a bone is called that turns for itself, where an animator has a name for it.
BONES = {
    "left_hip": "left_pelvis",
    "right_hip": "right_pelvis",
    "spine": "lower_back",
    "left_shoulder": "left_clavicle",
    "right_shoulder": "right_clavicle",
    "neck": "neck_base",
    "upper_neck": "neck_base",
}


@dataclass(frozen=True, eq=False)
class Rig:
    """N nodes, parents first.

    Attributes:
        names: of the nodes; a joint's node has the joint's name.
        parents: index of the node above, -1 for the root.
        bones: the joint whose bone's turn each node has in the world.
        joints: the joint whose offset from its parent each node has; -1 where it is at the place of the node above.
        ends: joints without children.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    bones: tuple[int, ...]
    joints: tuple[int, ...]

    @property
    def ends(self) -> tuple[int, ...]:
        """Nodes that nothing hangs from."""
        return tuple(node for node in range(len(self.names)) if node not in self.parents)

    def offsets(self, rest: np.ndarray, skeleton: Skeleton) -> np.ndarray:
        """(N, 3) each node from the one above it in the rest pose (J, 3)."""
        offsets = np.zeros((len(self.names), 3))
        for node, joint in enumerate(self.joints):
            if joint >= 0 and skeleton.parents[joint] >= 0:
                offsets[node] = rest[joint] - rest[skeleton.parents[joint]]
        return offsets

    def turns(self, rotations: np.ndarray) -> np.ndarray:
        """(..., N, 4) turns against the node above, of (..., J, 4) turns of bones in the world."""
        world = np.asarray(rotations, dtype=np.float64)[..., list(self.bones), :]
        world = world / np.linalg.norm(world, axis=-1, keepdims=True)
        turned = multiply(inverse(world[..., list(self.parents), :]), world)
        root = self.parents.index(-1)
        turned[..., root, :] = world[..., root, :]
        return turned


def build_rig(skeleton: Skeleton) -> Rig:
    """The nodes of a skeleton, depth first."""
    names: list[str] = []
    parents: list[int] = []
    bones: list[int] = []
    joints: list[int] = []

    def add(name: str, parent: int, bone: int, joint: int) -> int:
        names.append(name)
        parents.append(parent)
        bones.append(bone)
        joints.append(joint)
        return len(names) - 1

    def visit(joint: int, above: int) -> None:
        children = [child for child, parent in skeleton.bones if parent == joint]
        root = skeleton.parents[joint] < 0
        alone = len(children) == 1 and not root
        node = add(skeleton.joints[joint], above, children[0] if alone else joint, joint)
        for child in children:
            name = BONES.get(skeleton.joints[child], f"{skeleton.joints[joint]}_to_{skeleton.joints[child]}")
            visit(child, node if alone else add(name, node, child, -1))

    visit(skeleton.parents.index(-1), -1)
    return Rig(tuple(names), tuple(parents), tuple(bones), tuple(joints))
