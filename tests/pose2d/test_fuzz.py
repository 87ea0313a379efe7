"""Images, annotations, boxes and weights, damaged at random: refused with a sentence, or read; nothing else."""

from __future__ import annotations

import copy
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pose2d.dataset.mpii import Mpii
from pose2d.images.decoding import decode
from pose2d.network.weight_files import read_weights
from tests.pose2d.conftest import write_people
from tests.pose3d.dataset import test_coco_legacy

FEW, MANY, AT_LENGTH = 60, 500, 2000
KINDS = ["JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF", "PPM"]


@pytest.fixture(params=[pytest.param("few", id="few"), pytest.param("many", id="many", marks=pytest.mark.slow)])
def rounds(request: pytest.FixtureRequest, at_length: bool) -> int:
    """How often each kind is damaged."""
    return FEW if request.param == "few" else AT_LENGTH if at_length else MANY


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Bytes changed, cut out, doubled, or cut off."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(max(1, min(len(changed), rng.choice((40, 400, len(changed) + 1)))))
        how = rng.randrange(5)
        if how == 0 and changed:
            changed[place : place + 1] = bytes([rng.randrange(256)])
        elif how == 1:
            del changed[place : place + rng.randint(1, 50)]
        elif how == 2:
            changed[place:place] = changed[place : place + rng.randint(1, 50)]
        elif how == 3:
            changed[place : place + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\x00\x00\x00\x80"))
        else:
            del changed[place:]
    return bytes(changed)


STRANGE: list[Any] = [
    None, True, "", "x", "12", -1, 0, 1, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), [], {}, [[]], [None],
    [1, "a"], {"a": 1}, [1e9] * 6, "../x", 0.5, [[1, 2], [3]], -(2**63),
]  # fmt: skip


def altered(tree: Any, rng: random.Random) -> Any:
    """The tree with a few of its nodes replaced, lost or doubled."""
    tree = json.loads(json.dumps(tree))  # nothing in it is there twice
    for _ in range(rng.randint(1, 3)):
        node = tree
        while True:
            keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
            if not keys:
                break
            key = rng.choice(list(keys))
            if isinstance(node[key], (dict, list)) and node[key] and rng.random() < 0.8:
                node = node[key]
                continue
            how = rng.randrange(4)
            if how == 0:
                del node[key]
            elif how == 1 and isinstance(node, list):
                node.insert(rng.randrange(len(node)), copy.deepcopy(node[key]))
            else:
                node[key] = copy.deepcopy(rng.choice(STRANGE))
            break
    return tree


def survives(read: Callable[[], Any]) -> None:
    """A reader takes its input or says in a sentence why not."""
    said = "nothing at all, as it was read"
    try:
        read()
    except (ValueError, FileNotFoundError) as error:
        said = str(error)
    assert len(said) > 20, said


@pytest.mark.parametrize("kind", KINDS)
def test_images(kind: str, rounds: int) -> None:
    buffer = io.BytesIO()
    rng = random.Random(kind)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 33, 3), dtype=np.uint8)).save(buffer, kind)
    for _ in range(rounds):
        survives(lambda: decode(damaged(buffer.getvalue(), rng), "a", upright=True, megapixels=4.0))


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    write_people(tmp_path, 3, "train2017", seed=0)
    write_people(tmp_path, 3, "val2017", seed=1)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("file", ["annotations", "boxes"])
def test_coco(coco: Path, read_coco: Any, file: str, rounds: int) -> None:
    path = coco / "annotations" / "person_keypoints_val2017.json"
    tree = json.loads(path.read_text(encoding="utf-8"))
    for annotation in tree["annotations"]:
        annotation["segmentation"] = [[1, 1, 9, 1, 9, 9]]
    tree["annotations"][0] |= {"iscrowd": 1, "segmentation": {"size": [3, 4], "counts": [5, 7]}}
    tree["categories"][0]["keypoints"] = ["nose"] * 17
    if file == "boxes":
        path = coco / "boxes.json"
        tree = [
            {"image_id": a["image_id"], "category_id": 1, "bbox": a["bbox"], "score": 0.9} for a in tree["annotations"]
        ]
    rng = random.Random(file)
    boxes = "boxes.json" if file == "boxes" else "ground_truth"

    def read() -> None:
        people = read_coco(coco, boxes=boxes).people("validation")
        if file == "annotations":
            people.truth["silhouettes"]()

    for _ in range(rounds):
        path.write_text(json.dumps(altered(tree, rng)), encoding="utf-8")
        survives(read)
        path.write_bytes(damaged(json.dumps(tree).encode(), rng))
        survives(read)


def test_coco_legacy_and_mpii(tmp_path: Path, conf: Any, rounds: int) -> None:
    test_coco_legacy.write_files(tmp_path)
    legacy = {"root": test_coco_legacy.ENTRIES}
    rng = random.Random(5)
    for _ in range(rounds):
        (tmp_path / "COCO.json").write_text(json.dumps(altered(legacy, rng)), encoding="utf-8")
        survives(lambda: test_coco_legacy.read(tmp_path).people("train"))
    (tmp_path / "annot").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"")
    entry = {
        "image": "a.jpg",
        "center": [50.0, 60.0],
        "scale": 1.0,
        "joints": [[1.0, 2.0]] * 16,
        "joints_vis": [1] * 16,
    }
    settings = conf("dataset/mpii") | {"root": str(tmp_path)}
    for _ in range(rounds):
        (tmp_path / "annot" / "train.json").write_text(
            json.dumps(altered([entry, entry, entry], rng)), encoding="utf-8"
        )
        survives(lambda: Mpii(**settings).people("train"))


@pytest.mark.parametrize("suffix", [".pth", ".npz", ".safetensors"])
def test_weights(tmp_path: Path, suffix: str, rounds: int) -> None:
    path, state = tmp_path / f"w{suffix}", {"conv1.weight": torch.ones(4, 3, 3, 3), "bn1.bias": torch.zeros(4)}
    if suffix == ".pth":
        torch.save({"state_dict": state}, path)
    elif suffix == ".npz":
        np.savez_compressed(path, **{name: tensor.numpy() for name, tensor in state.items()})  # pyright: ignore
    else:
        save_file(state, path)
    data, rng = path.read_bytes(), random.Random(suffix)
    for _ in range(rounds):
        path.write_bytes(damaged(data, rng))
        survives(lambda: read_weights(path))
