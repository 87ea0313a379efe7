"""Boxes of people in a detector's result file, COCO's format, for `dataset.boxes=FILE`.

    python -m anypose boxes data/coco/annotations/person_keypoints_val2017.json --output data/coco/dets/annotated.json
    python -m anypose boxes ANNOTATIONS --output FILE --copies 3 --jitter 0.05

They are the annotated boxes, as a perfect detector would report them, and beside each some worse copies with lower
scores. So the whole way from a detector's file through rescoring and OKS-NMS to AP can be walked without a detector.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anypose.engine.durable import check_file
from anypose.engine.sentences import told
from anypose.whole import write_text
from pose2d.images.json_files import read_json


def annotated_boxes(truth: dict[str, Any], copies: int, jitter: float, seed: int) -> list[dict[str, Any]]:
    """The boxes of everyone with labelled keypoints, and copies of them that a detector might report as well.

    Args:
        truth: COCO annotations.
        copies: boxes for each person; the first is the annotated one.
        jitter: standard deviation of where the edges of the other copies are, relative to the box's size.
        seed: of the jitter.
    """
    if copies < 1 or jitter < 0:
        raise ValueError(f"--copies must be 1 or more and --jitter 0 or more, got {copies} and {jitter}.")
    rng = np.random.default_rng(seed)
    found = []
    for person in truth["annotations"]:
        if person.get("iscrowd", 0) or not person.get("num_keypoints", 0) or min(person["bbox"][2:]) <= 0:
            continue
        box = np.array(person["bbox"], dtype=np.float64)
        low, high = box[:2], box[:2] + box[2:]
        for copy in range(copies):
            off = jitter * rng.normal(size=(2, 2)) * box[2:] if copy else np.zeros((2, 2))
            corner = np.minimum(low + off[0], high - 1)
            extent = np.maximum(high + off[1] - corner, 1)
            found.append(
                {
                    "image_id": person["image_id"],
                    "category_id": 1,
                    "bbox": [*corner.round(2).tolist(), *extent.round(2).tolist()],
                    "score": round(0.95 ** (copy + 1), 4),
                }
            )
    if not found:
        raise ValueError(f"Nobody among {len(truth['annotations'])} annotations has labelled keypoints.")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path, help="COCO's person_keypoints_*.json")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the result file to write")
    parser.add_argument("--copies", type=int, default=1, metavar="N", help="boxes for each person")
    parser.add_argument("--jitter", type=float, default=0.05, help="of the copies, relative to the box")
    parser.add_argument("--seed", type=int, default=0, help="of the jitter")
    options = parser.parse_args(arguments)
    output = check_file(options.output, "--output")
    truth = read_json(options.annotations, "annotations")
    found = annotated_boxes(truth, options.copies, options.jitter, options.seed)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, json.dumps(found))
    images = len({entry["image_id"] for entry in found})
    print(f"{output}: {len(found)} boxes in {images} images.")


if __name__ == "__main__":
    with told():
        main()
