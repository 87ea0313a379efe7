"""Random people in the capture network's body layout, for tests: a tree of limbs in front of a camera."""

import torch

from pose3d.capture.layout import BODY

FOCAL, CENTRE = 500.0, 184.0
# Rough adult proportions [m] of the 23 body limbs; loops through the chest are filled in from the joints.
LENGTHS = {
    0: 0.52, 1: 0.42, 2: 0.41, 3: 0.52, 4: 0.42, 5: 0.41, 6: 0.18, 7: 0.29, 8: 0.26, 10: 0.18, 11: 0.29, 12: 0.26,
    14: 0.17, 15: 0.06, 16: 0.06, 17: 0.09, 18: 0.09, 19: 0.28, 20: 0.25,
}  # fmt: skip
DOWN = {0: (0.2, 1.0, 0.1), 3: (-0.2, 1.0, 0.1), 6: (1.0, 0.1, 0.0), 10: (-1.0, 0.1, 0.0), 14: (0, -0.8, -0.4),
        19: (0, -1, 0), 20: (0, 1, 0)}  # fmt: skip


def random_people(num: int, seed: int = 0) -> torch.Tensor:
    """(num, J, 3) joints in the camera frame [m], float64."""
    generator = torch.Generator().manual_seed(seed)
    joints = torch.zeros(num, BODY.num_joints, 3, dtype=torch.float64)
    root = torch.randn(num, 3, generator=generator, dtype=torch.float64) * torch.tensor([0.15, 0.15, 0.3])
    joints[:, BODY.root] = root + torch.tensor([0.0, -0.4, 4.0])
    for limb in BODY.tree:
        a, b = BODY.limbs[limb]
        towards = torch.tensor(DOWN.get(limb, (0.0, 0.6, 0.0)), dtype=torch.float64)
        towards = towards + 0.6 * torch.randn(num, 3, generator=generator, dtype=torch.float64)
        joints[:, b] = joints[:, a] + LENGTHS[limb] * towards / towards.norm(dim=-1, keepdim=True)
    return joints


def project(joints: torch.Tensor) -> torch.Tensor:
    """(..., 2) pinhole projection [px]."""
    return joints[..., :2] / joints[..., 2:] * FOCAL + CENTRE


def limb_offsets(joints: torch.Tensor) -> torch.Tensor:
    """(..., L, 3) from each limb's first joint to its second."""
    first, second = (list(side) for side in zip(*BODY.limbs, strict=True))
    return joints[..., second, :] - joints[..., first, :]
