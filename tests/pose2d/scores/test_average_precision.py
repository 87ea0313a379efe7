"""The vectorised statistics against pycocotools, on people drawn to meet every rule of the matching."""

import numpy as np
import pytest

from pose2d.scores.average_precision import STATISTICS, Truth, fast_statistics, pycocotools_statistics

SIGMAS = np.array(
    [0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89]
)
SIGMAS = SIGMAS / 10


def random_set(seed: int, images: int, ties: bool = False):
    """Annotations with crowds, unlabelled people, every size, empty images; detections near, far, double, too many."""
    rng = np.random.default_rng(seed)
    annotations, results = [], []
    for image in range(1, images + 1):
        for _ in range(rng.integers(0, 5)):
            size = np.exp(rng.uniform(np.log(15), np.log(300)))
            low = rng.uniform(0, 300, 2)
            points = low + rng.random((17, 2)) * size
            visible = rng.integers(0, 3, 17) * (rng.random() > 0.2)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": 1,
                    "iscrowd": int(rng.random() < 0.15),
                    "num_keypoints": int((visible > 0).sum()),
                    "keypoints": np.column_stack([points * (visible > 0)[:, None], visible]).ravel().tolist(),
                    "bbox": [*low.tolist(), size, size],
                    "area": size**2 * rng.uniform(0.4, 0.9),
                }
            )
            for _ in range(rng.integers(0, 4) + 25 * (rng.random() < 0.03)):
                noise = rng.normal(size=(17, 2)) * size * rng.choice([0.0, 0.03, 0.06, 0.3])
                score = rng.integers(0, 5) / 4 if ties else rng.random()
                results.append(detection(image, points + noise, score))
        for _ in range(rng.integers(0, 2)):
            results.append(detection(image, rng.uniform(0, 400, (17, 2)), rng.random()))
    truth = {
        "images": [{"id": i} for i in range(1, images + 1)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
    return truth, results


def detection(image: int, points: np.ndarray, score: float) -> dict:
    keypoints = np.column_stack([points, np.ones(17)]).ravel().tolist()
    return {"image_id": image, "category_id": 1, "keypoints": keypoints, "score": float(score)}


def columns(results):
    keypoints = np.array([r["keypoints"] for r in results]).reshape(len(results), 17, 3)[:, :, :2]
    return np.array([r["image_id"] for r in results]), keypoints, np.array([r["score"] for r in results])


@pytest.mark.parametrize(("seed", "ties"), [(0, False), (1, False), (2, True), (3, True)])
def test_the_ten_statistics_equal_those_of_pycocotools(seed, ties):
    truth, results = random_set(seed, images=150, ties=ties)
    expected = pycocotools_statistics(truth, results, "keypoints", SIGMAS)
    assert 0.05 < expected[0] < 0.95
    np.testing.assert_array_equal(fast_statistics(Truth.of(truth), *columns(results), SIGMAS), expected)


def test_the_truth_itself_scores_one_and_a_missing_size_scores_minus_one():
    truth, _ = random_set(5, images=20)
    people = [a for a in truth["annotations"] if not a["iscrowd"] and a["num_keypoints"]]
    for annotation in truth["annotations"]:
        annotation["area"] = 50.0**2
    results = [{**a, "score": 1.0} for a in people]
    row = dict(zip(STATISTICS, fast_statistics(Truth.of(truth), *columns(results), SIGMAS), strict=True))
    assert row["ap"] == pytest.approx(1.0)
    assert row["ar"] == pytest.approx(1.0)
    assert row["ap_large"] == row["ar_large"] == -1


def test_no_detection_near_anyone_scores_zero():
    truth, _ = random_set(6, images=5)
    results = [detection(1, np.full((17, 2), 5000.0), 0.5)]
    assert fast_statistics(Truth.of(truth), *columns(results), SIGMAS)[0] == 0
    assert pycocotools_statistics(truth, results, "keypoints", SIGMAS)[0] == 0
