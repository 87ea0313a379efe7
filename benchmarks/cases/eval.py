"""Scoring: MPJPE and P-MPJPE of many poses, and COCO's AP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from anypose.metrics import mpjpe, p_mpjpe
from benchmarks import naive, peers
from benchmarks.ceilings import copy_seconds
from benchmarks.harness import Comparison, Row, Settings, compare
from pose2d.scores.average_precision import Truth, fast_statistics, pycocotools_statistics


def run(settings: Settings) -> Iterator[Row]:
    """Poses of 17 joints in float32, as a model gives them."""
    predicted, target = _poses(100_000)
    peer, by_frame = naive.p_mpjpe, naive.p_mpjpe_by_pose
    peer_name, loop_name = "numpy SVD", "numpy SVD by pose"
    if settings.peers and (loss := peers.load(settings.peers, peers.VIDEOPOSE3D, "common/loss.py")):
        peer, peer_name = loss.p_mpjpe, "VideoPose3D"
    if settings.peers and (procrustes := peers.load(settings.peers, peers.PORT, "src/procrustes.py")):
        by_frame, loop_name = _loop(procrustes.get_transformation), "weigq"
    yield compare(_scores("P-MPJPE of 100,000 poses", p_mpjpe, peer, peer_name, predicted, target, settings), settings)
    few = predicted[:1000], target[:1000]
    yield compare(_scores("P-MPJPE of 1,000 poses", p_mpjpe, by_frame, loop_name, *few, settings), settings)
    yield compare(_scores("MPJPE of 100,000 poses", mpjpe, naive.mpjpe, "numpy", predicted, target, settings), settings)
    yield compare(_average_precision(5000), settings)


def _poses(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    person = rng.normal(size=(17, 3)) * (0.15, 0.45, 0.12)
    target = person + rng.normal(scale=0.1, size=(count, 17, 3))
    predicted = target + rng.normal(scale=0.05, size=target.shape)
    return torch.from_numpy(predicted).float(), torch.from_numpy(target).float()


def _scores(
    name: str,
    ours: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    peer: Callable[[np.ndarray, np.ndarray], float],
    peer_name: str,
    predicted: torch.Tensor,
    target: torch.Tensor,
    settings: Settings,
) -> Comparison:
    """A mean over poses, our side from where the model leaves them, the peer's from numpy arrays."""
    device = settings.device.torch
    on_device = predicted.to(device), target.to(device)
    arrays = predicted.numpy(), target.numpy()
    return Comparison(
        name,
        ours=lambda: ours(*on_device).mean().item(),
        peer=lambda: peer(*arrays),
        peer_name=peer_name,
        difference=lambda: abs(ours(*on_device).mean().item() - float(peer(*arrays))),
        tolerance=1e-6,  # a micrometre
        floor=copy_seconds(predicted.nbytes, settings),
    )


def _loop(transformation: Callable[..., tuple]) -> Callable[[np.ndarray, np.ndarray], float]:
    """P-MPJPE by a peer that aligns one pose at a time: the second points of its result are the aligned ones."""

    def score(predicted: np.ndarray, target: np.ndarray) -> float:
        aligned = [transformation(y, p, True)[1] for p, y in zip(predicted, target, strict=True)]
        return naive.mpjpe(np.stack(aligned), target)

    return score


def _average_precision(num_images: int) -> Comparison:
    """COCO's ten numbers for as many images as val2017 has, two people an image, two detections a person."""
    truth, results = _coco(num_images, np.random.default_rng(0))
    sigmas = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
    image_ids = np.array([result["image_id"] for result in results])
    keypoints = np.array([result["keypoints"] for result in results]).reshape(len(results), 17, 3)[:, :, :2]
    scores = np.array([result["score"] for result in results])

    def ours() -> np.ndarray:
        return fast_statistics(Truth.of(truth), image_ids, keypoints, scores, sigmas)

    def peer() -> np.ndarray:
        return pycocotools_statistics(truth, results, "keypoints", sigmas)

    return Comparison(
        f"AP over {num_images:,} images",
        ours,
        peer,
        "pycocotools",
        difference=lambda: float(np.abs(ours() - peer()).max()),
        tolerance=1e-12,
    )


def _coco(num_images: int, rng: np.random.Generator) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """An annotation file as a dictionary, and detections of differing quality."""
    annotations, results = [], []
    for image in range(num_images):
        for _ in range(rng.integers(0, 5)):
            size = rng.uniform(20, 250)
            points = rng.uniform(0, 400, 2) + rng.uniform(size=(17, 2)) * (size / 2, size)
            visible = rng.integers(0, 3, 17) if rng.uniform() > 0.1 else np.zeros(17, int)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": 1,
                    "iscrowd": int(rng.uniform() < 0.02),
                    "keypoints": np.concatenate([points, visible[:, None]], 1).ravel().tolist(),
                    "num_keypoints": int((visible > 0).sum()),
                    "bbox": [*points.min(0).tolist(), size / 2, size],
                    "area": size * size / 2,
                }
            )
            for _ in range(2):
                guess = points + rng.normal(scale=rng.uniform(0, 0.15) * size, size=points.shape)
                keypoints = np.concatenate([guess, np.ones((17, 1))], 1).ravel().tolist()
                results.append(
                    {"image_id": image, "category_id": 1, "keypoints": keypoints, "score": float(rng.uniform())}
                )
    images = [{"id": image} for image in range(num_images)]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}, results
