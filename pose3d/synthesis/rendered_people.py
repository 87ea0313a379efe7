"""Rendered people in COCO's form with their exact joints in 3D: scenes to pixels, scenes to annotations.

Who stands where is a scene's business (`dataset=synthetic_people` makes them up, `dataset=rendered_motion` takes them
from recorded motion); clothes, light and scenery are drawn for every image. This lives here and not in pose2d because
poses come from motion, which pose2d does not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from anypose.bounds import check_made
from anypose.settings import Misuse
from anypose.skeleton import get_skeleton
from pose2d.people import COCO_SIGMAS, COCO_UPPER, People, coco_annotation, coco_truth
from pose2d.synthesis.figure import Look, coco_keypoints, dress
from pose2d.synthesis.render import Canvas, Lens, Light, silhouette, soften
from pose2d.synthesis.scenery import draw_background, draw_occluder

BYTES_PER_PIXEL = 60  # while an image is drawn
BYTES_PER_IMAGE = 6000  # of people's annotations
SMALLEST = 60  # area of a figure that counts [px^2]


@dataclass(frozen=True, eq=False)
class Person:
    """One figure of one image: (17, 3) joints in the camera frame [m], clothes, and whether something covers it."""

    joints: np.ndarray
    look: Look
    occluded: bool


class Stage(Protocol):
    """What images show, each a function of its number.

    Attributes:
        key: seeds of clothes, light and scenery; the image's number follows them.
        height, width: of every image [px], multiples of 8.
    """

    key: tuple[int, ...]
    height: int
    width: int

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What the image is called in messages."""
        ...

    def scene(self, index: int) -> tuple[Lens, list[Person]]:
        """The camera and the people of an image, the farthest first."""
        ...


class RenderedImages:
    """Implements `pose2d.people.Images`: every image is drawn when it is read."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def __len__(self) -> int:
        return len(self.stage)

    def name(self, index: int) -> str:
        return self.stage.name(index)

    def read(self, index: int, reduce: int = 1) -> np.ndarray:
        stage = self.stage
        lens, people = stage.scene(index)
        rng = np.random.default_rng((*stage.key, 1, index))
        lamp = rng.normal([0.0, -1.0, -0.8])  # from above and from behind the camera more often than not
        light = Light(lamp / np.linalg.norm(lamp), rng.uniform(0.35, 0.8), rng.uniform(0.85, 1.1, 3))
        canvas = Canvas(draw_background(rng, stage.height, stage.width))
        for number, person in enumerate(people):
            parts, head = dress(person.joints, person.look)
            canvas.draw(parts, person.look, head, lens, light, number)
            if person.occluded:
                rows, columns = np.nonzero(silhouette(parts, lens))
                if len(rows):
                    box = np.array([columns.min(), rows.min(), columns.max(), rows.max()])
                    draw_occluder(rng, canvas.colour, canvas.depth, canvas.owner, box)
        image = soften(canvas.finish(), rng)
        if reduce == 1:
            return image
        return np.ascontiguousarray(
            image.reshape(stage.height // reduce, reduce, stage.width // reduce, reduce, 3)
            .mean(axis=(1, 3))
            .astype(np.uint8)
        )


def check_rendered(images: int, height: int, width: int) -> None:
    """Refuse numbers and sizes [px] of images that are none, or more than there is memory for.

    Raises:
        Misuse: naming the setting.
    """
    if min(height, width) < 64 or height % 8 or width % 8:
        raise Misuse(f"dataset.height and dataset.width must be multiples of 8 from 64 on, got {height} and {width}.")
    check_made(height * width * BYTES_PER_PIXEL, f"dataset.height={height} and dataset.width={width}")
    check_made(images * BYTES_PER_IMAGE, f"dataset.train_images or validation_images, {images} annotated images,")


def annotated_scenes(stage: Stage) -> People:
    """Everyone of every scene who can be seen, annotated; "joints" and "lenses" of `truth` are exact."""
    rows: list[tuple] = []
    annotations = []
    lenses = np.zeros((len(stage), 3))
    for index in range(len(stage)):
        lens, crowd = stage.scene(index)
        lenses[index] = lens.focal, *lens.centre
        for person in crowd:
            found = annotate(person, lens)
            if found is None:
                continue
            keypoints, flags, box, area = found
            rows.append((index, box, keypoints, flags, person.joints))
            xywh = np.concatenate([box[:2], box[2:] - box[:2]])
            annotations.append(coco_annotation(len(rows), index + 1, keypoints, flags, xywh, area))
    image, boxes, keypoints, visibility, joints = (np.array(column) for column in zip(*rows, strict=True))
    sizes = np.tile([stage.height, stage.width], (len(stage), 1))
    listed = [{"id": i + 1, "height": stage.height, "width": stage.width} for i in range(len(stage))]
    return People(
        images=RenderedImages(stage),
        image_ids=np.arange(1, len(stage) + 1),
        image_sizes=sizes,
        image=image,
        ids=np.arange(1, len(rows) + 1),
        box_xyxy=boxes.astype(np.float64),
        box_scores=np.ones(len(rows)),
        keypoints=keypoints,
        visibility=visibility,
        skeleton=get_skeleton("coco_17"),
        sigmas=np.array(COCO_SIGMAS),
        upper=COCO_UPPER,
        box_source="ground truth",
        truth={"coco": coco_truth(listed, annotations), "joints": joints, "lenses": lenses},
    )


def annotate(person: Person, lens: Lens) -> tuple[np.ndarray, np.ndarray, np.ndarray, float] | None:
    """What an annotator would write down, or None where there is next to nothing of the person in the image.

    Labelled is what lies inside the image and is not on the far side of the head; whatever else covers it.

    Returns:
        (17, 2) keypoints [px], (17,) 2 or 0, (4,) box left, top, right, bottom [px], and the area [px^2].
    """
    points = coco_keypoints(person.joints)
    parts, head = dress(person.joints, person.look)
    keypoints = lens.project(points)
    inside = (keypoints >= 0).all(axis=1) & (keypoints < [lens.width, lens.height]).all(axis=1) & (points[:, 2] > 0.3)
    to_camera = -head.centre / np.linalg.norm(head.centre)
    outward = points[:5] - head.centre
    facing = outward @ to_camera / np.linalg.norm(outward, axis=1)
    inside[:5] &= facing > -0.15
    rows, columns = np.nonzero(silhouette(parts, lens))
    if inside.sum() < 3 or len(rows) < SMALLEST:
        return None
    box = np.array([columns.min(), rows.min(), columns.max(), rows.max()], dtype=np.float64)
    if (box[2:] - box[:2]).min() < 4:
        return None
    return keypoints, np.where(inside, 2, 0), box, float(len(rows))
