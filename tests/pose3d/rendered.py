"""Few and small pictures of rendered people, for tests."""

from typing import Any

from pose3d.dataset.synthetic_people import SyntheticPeople

FEW: dict[str, Any] = {
    "seed": 1,
    "train_images": 5,
    "validation_images": 2,
    "height": 96,
    "width": 96,
    "bodies": 1,
    "free_poses": 0.5,
    "turned": 360.0,
    "sizes": (0.4, 1.5),
    "occluded": 0.3,
}


def rendered_people(**changes: Any) -> Any:
    return SyntheticPeople(**{**FEW, **changes})
