import numpy as np
import torch

from pose3d.capture.assembly import assemble, find_peaks, match
from pose3d.capture.fields import draw_fields, draw_heatmaps
from pose3d.capture.layout import BODY
from tests.pose3d.capture.capture_people import limb_offsets, project, random_people


def crowd(num: int, seed: int, height: int = 92, width: int = 230):
    """Maps of `num` people side by side, and their keypoints."""
    joints = random_people(num, seed)
    keypoints = project(joints).float()
    shift = torch.arange(num) % 10 * 170.0 - 60
    keypoints[..., 0] += shift[:, None]
    keypoints[..., 1] += (torch.arange(num) // 10 * 300.0)[:, None]
    offsets = limb_offsets(joints)
    directions = (offsets / offsets.norm(dim=-1, keepdim=True)).float()
    everywhere = torch.ones(1, num, BODY.num_limbs, dtype=torch.bool)
    heatmaps = draw_heatmaps(keypoints[None], torch.ones(1, num, 20, dtype=torch.bool), height, width, 8.0)[0]
    fields = draw_fields(BODY, keypoints[None], directions[None], everywhere, height, width, 8.0)[0]
    return keypoints.numpy(), heatmaps, fields


def test_peaks_are_found_to_a_tenth_of_a_cell():
    rng = np.random.default_rng(0)
    keypoints = torch.from_numpy(rng.uniform(40, 320, (1, 1, 20, 2)).astype(np.float32))
    maps = draw_heatmaps(keypoints, torch.ones(1, 1, 20, dtype=torch.bool), 46, 46, 8.0)[0, :20]
    peaks, values = find_peaks(maps, 0.1, 5)
    assert (values[:, 0] > 0).all()
    assert (values[:, 1:] == 0).all()
    assert (peaks[:, 0] * 8 - keypoints[0, 0]).abs().max() < 0.16 * 8


def test_a_flat_top_is_one_peak_and_an_empty_map_none():
    maps = torch.zeros(2, 10, 10)
    maps[0, 4:6, 4:6] = 0.5
    _, values = find_peaks(maps, 0.1, 8)
    assert (values[0] > 0).sum() == 1
    assert (values[1] > 0).sum() == 0


def test_matching_is_one_to_one_and_takes_the_best_pair_first():
    rng = np.random.default_rng(0)
    scores = rng.uniform(-1, 1, (7, 6, 6)).astype(np.float32)
    matched = match(scores)
    for table, row in zip(scores, matched, strict=True):
        left, expected = table.copy(), np.full(6, -1)
        while left.max() > 0:
            i, j = np.unravel_index(left.argmax(), left.shape)
            expected[i] = j
            left[i], left[:, j] = -1, -1
        np.testing.assert_array_equal(row, expected)


def test_twenty_people_are_told_apart():
    keypoints, heatmaps, fields = crowd(20, seed=2)
    people = assemble(BODY, heatmaps, fields, 8.0)
    height, width = 92 * 8, 230 * 8
    complete = 0
    for truth in keypoints:
        distance = np.linalg.norm(people.keypoints - truth, axis=-1)  # (P, J)
        found = (people.scores > 0) & (distance < 8)
        inside = (truth >= 0).all(-1) & (truth[:, 0] < width) & (truth[:, 1] < height)
        best = found.sum(1).argmax()
        complete += found[best].sum() / inside.sum() > 0.85
    assert len(people) <= 26  # a joint hidden behind a neighbour's may leave a fragment
    assert complete >= 18
    assert (np.diff(people.person_scores) <= 0).all()


def test_one_person_is_found_whole_and_in_place():
    keypoints, heatmaps, fields = crowd(1, seed=4)
    people = assemble(BODY, heatmaps, fields, 8.0)
    assert len(people) == 1
    found = people.scores[0] > 0
    assert found.sum() >= 18
    assert np.abs(people.keypoints[0] - keypoints[0])[found].max() < 2.0


def test_nobody_gives_an_empty_record_of_the_right_shape():
    people = assemble(BODY, torch.zeros(21, 46, 46), torch.zeros(69, 46, 46), 8.0)
    assert len(people) == 0
    assert people.keypoints.shape == (0, 20, 2)
