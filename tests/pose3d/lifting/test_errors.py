import math

import numpy as np
import pytest
import torch

from anypose import metrics
from anypose.skeleton import H36M_17
from pose3d.lifting.bone_lengths import of_one_length
from pose3d.lifting.errors import PoseErrors
from pose3d.motion.packed import pack
from tests.pose3d.motion.random_motion import sequence

ACTIONS = ("Directions", "Walking", "Sitting")


def frames_of(*specs):
    """specs: (subject, action, take, frames)."""
    sequences = [sequence(n, s, a, t, seed=i) for i, (s, a, t, n) in enumerate(specs)]
    return pack(sequences, input_skeleton=H36M_17, output_skeleton=H36M_17, keypoint_frame="pixel")


def predict(frames, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return frames.joints + 0.05 * torch.randn(frames.joints.shape, generator=generator)


def errors(frames, predicted=None, order=None, drop_last=False, by_subject=False, batch=50):
    scored = PoseErrors(
        frames, actions=ACTIONS, protocol={"keypoints": "made up"}, drop_last=drop_last, by_subject=by_subject
    )
    predicted = predict(frames) if predicted is None else predicted
    order = torch.arange(len(frames)) if order is None else order
    for index in order.split(batch):
        scored.update({"joints": predicted[index][None]}, {"index": index[None]})
    return scored


SPECS = (
    ("S9", "Walking", "Walking 1", 130),
    ("S9", "Sitting", "Sitting 2", 70),
    ("S11", "Walking", "Walking", 40),
    ("S11", "Sitting", "Sitting 1", 1),
)


def naive_table(frames, predicted, rows):
    """Frame by frame in Python: {action: {score: mean}}."""
    table = {}
    for row in rows:
        action = frames.names[int(frames.sequence[row])][1]
        p, t = predicted[row].double(), frames.joints[row].double()
        distances = (p - t).norm(dim=-1)
        scores = table.setdefault(action, {"mpjpe_mm": [], "p_mpjpe_mm": [], "n_mpjpe_mm": [], "pck150_percent": []})
        scores["mpjpe_mm"].append(distances.mean().item() * 1000)
        scores["p_mpjpe_mm"].append(metrics.p_mpjpe(p, t).item() * 1000)
        scores["n_mpjpe_mm"].append(metrics.n_mpjpe(p, t).item() * 1000)
        scores["pck150_percent"].append((distances < 0.15).double().mean().item() * 100)
    return {a: {name: np.mean(values) for name, values in scores.items()} for a, scores in table.items()}


def test_actions_are_averaged_over_frames_and_the_average_over_actions():
    frames = frames_of(*SPECS)
    predicted = predict(frames)
    expected = naive_table(frames, predicted, range(len(frames)))
    rows = {row["action"]: row for row in errors(frames, predicted).rows()}
    assert list(rows) == ["Walking", "Sitting", "Average", "Frame-wise"]  # the dataset's order, absent ones left out
    for action, scores in expected.items():
        for name, value in scores.items():
            assert math.isclose(rows[action][name], value, rel_tol=1e-4), (action, name)
    for name in expected["Walking"]:
        mean = (expected["Walking"][name] + expected["Sitting"][name]) / 2
        assert math.isclose(rows["Average"][name], mean, rel_tol=1e-4)
        framewise = (expected["Walking"][name] * 170 + expected["Sitting"][name] * 71) / 241
        assert math.isclose(rows["Frame-wise"][name], framewise, rel_tol=1e-4)
    assert [row["frames"] for row in rows.values()] == [170, 71, 241, 241]


def test_velocity_errors_stay_inside_a_sequence_and_weigh_it_by_its_frames():
    frames = frames_of(*SPECS)
    predicted = predict(frames)
    expected = {}
    for start, end, (_, action, _, _) in zip(frames.start, frames.end, frames.names, strict=True):
        if end - start > 1:  # one frame has no velocity
            each = metrics.mpjve(predicted[start:end], frames.joints[start:end]).mean() * 1000
            expected.setdefault(action, []).append((each.item(), int(end - start)))
    rows = {row["action"]: row["mpjve_mm"] for row in errors(frames, predicted).rows()}
    for action, parts in expected.items():
        mean = sum(value * n for value, n in parts) / sum(n for _, n in parts)
        assert math.isclose(rows[action], mean, rel_tol=1e-5)


def test_scores_do_not_depend_on_the_order_or_the_size_of_the_batches():
    frames = frames_of(*SPECS)
    shuffled = torch.randperm(len(frames), generator=torch.Generator().manual_seed(0))
    assert errors(frames).rows() == errors(frames, order=shuffled, batch=7).rows()


def test_padding_is_not_scored():
    frames = frames_of(*SPECS)
    scored = errors(frames)
    wild = torch.full((1, 2, 17, 3), 9.0)
    scored.update({"joints": wild}, {"index": torch.tensor([[-1, -1]])})
    assert scored.rows() == errors(frames).rows()


def test_drop_last_leaves_out_the_rest_of_64_of_each_action_in_dictionary_order():
    frames = frames_of(*SPECS)
    predicted = predict(frames)
    # Walking: rows 0..129 (S9) then 200..239 (S11), 170 in all, 128 kept. Sitting: 130..199 and 240, 71, 64 kept.
    kept = [*range(128), *range(130, 194)]
    expected = naive_table(frames, predicted, kept)
    scored = errors(frames, predicted, drop_last=True)
    rows = {row["action"]: row for row in scored.rows()}
    for action in expected:
        assert math.isclose(rows[action]["mpjpe_mm"], expected[action]["mpjpe_mm"], rel_tol=1e-5)
    assert (rows["Walking"]["frames"], rows["Sitting"]["frames"]) == (128, 64)
    assert scored.protocol()["frames"] == 192
    assert "64" in scored.protocol()["dropped"]
    assert errors(frames).protocol()["dropped"] == "nothing"


def test_dropping_every_frame_is_an_error():
    frames = frames_of(*SPECS)
    scored = PoseErrors(frames, actions=("Walking", "Sitting"), protocol={}, drop_last=True, by_subject=False)
    scored.update({"joints": frames.joints[:40, None]}, {"index": torch.arange(40)[:, None]})
    with pytest.raises(ValueError, match=r"whole batches of 64 .* none of Walking, Sitting has so many"):
        scored.compute()


def test_by_subject_repeats_the_table_for_each_subject():
    frames = frames_of(*SPECS)
    predicted = predict(frames)
    rows = {row["action"]: row for row in errors(frames, predicted, by_subject=True).rows()}
    assert list(rows)[4:] == ["S9 Walking", "S9 Sitting", "S9 Average", "S11 Walking", "S11 Sitting", "S11 Average"]
    alone = naive_table(frames, predicted, range(200, 240))
    assert math.isclose(rows["S11 Walking"]["mpjpe_mm"], alone["Walking"]["mpjpe_mm"], rel_tol=1e-5)
    mean = (rows["S9 Walking"]["mpjpe_mm"] + rows["S9 Sitting"]["mpjpe_mm"]) / 2
    assert math.isclose(rows["S9 Average"]["mpjpe_mm"], mean)
    assert rows["S11 Average"]["mpjve_mm"] == rows["S11 Walking"]["mpjve_mm"]  # Sitting has one frame and no velocity


def test_compute_gives_the_average_and_the_framewise_numbers_by_name():
    scored = errors(frames_of(*SPECS))
    rows = {row["action"]: row for row in scored.rows()}
    computed = scored.compute()
    assert computed["mpjpe_mm"] == rows["Average"]["mpjpe_mm"]
    assert computed["framewise_p_mpjpe_mm"] == rows["Frame-wise"]["p_mpjpe_mm"]
    assert "frames" not in computed
    assert all(type(value) is float for value in computed.values())


def test_states_of_two_ranks_add_up():
    frames = frames_of(*SPECS)
    halves = torch.arange(len(frames)).split(121)
    states = [errors(frames, order=half).state() for half in halves]
    whole = errors(frames)
    merged = errors(frames, order=halves[0])
    merged.load({name: torch.cat([state[name] for state in states]) for name in states[0]})
    assert merged.rows() == whole.rows()


def test_a_frame_scored_twice_is_an_error():
    frames = frames_of(*SPECS)
    scored = errors(frames)
    scored.update({"joints": predict(frames)[None, 7:9]}, {"index": torch.tensor([[7, 8]])})
    with pytest.raises(ValueError, match="2 frames were predicted twice, the first in row 7"):
        scored.compute()


def test_scoring_nothing_is_an_error():
    nothing = PoseErrors(frames_of(*SPECS), actions=ACTIONS, protocol={}, drop_last=False, by_subject=False)
    with pytest.raises(ValueError, match="Nothing was predicted"):
        nothing.compute()


def test_an_action_the_dataset_does_not_list_is_an_error():
    frames = frames_of(("S1", "Jumping", "Jumping 1", 3))
    with pytest.raises(ValueError, match="gives sequences of Jumping, but its actions are Directions, Walking"):
        errors(frames)


def test_arrays_let_others_score_the_predictions():
    frames = frames_of(*SPECS)
    predicted = predict(frames)
    shuffled = torch.randperm(len(frames), generator=torch.Generator().manual_seed(0))
    arrays = errors(frames, predicted, order=shuffled).arrays()
    its = (arrays["subject"] == "S11") & (arrays["take"] == "Walking") & (arrays["camera"] == "cam")
    assert arrays["frame"][its].tolist() == list(range(40))
    np.testing.assert_array_equal(arrays["joints"][its], predicted[200:240].numpy())
    np.testing.assert_array_equal(arrays["truth"][its], frames.joints[200:240].numpy())
    assert set(arrays["action"][its]) == {"Walking"}


def test_the_protocol_says_what_was_scored():
    protocol = errors(frames_of(*SPECS)).protocol()
    assert protocol["keypoints"] == "made up"
    assert protocol["subjects"] == "S9, S11"
    assert protocol["frames"] == 241
    assert "17 (h36m_17)" in protocol["joints"]
    assert "2 actions" in protocol["average"]


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_a_prediction_that_is_not_finite_is_counted_and_never_averaged_away(broken):
    frames = frames_of(*SPECS)
    predicted = predict(frames)
    predicted[150, 3, 1] = broken  # S9 Sitting
    scored = errors(frames, predicted, by_subject=True)
    table = scored.table()
    whole = errors(frames, predict(frames), by_subject=True).table()
    for row in ("Sitting", "Average", "Frame-wise", "S9 Sitting", "S9 Average"):
        assert all(math.isnan(value) for name, value in table[row].items() if name != "frames"), row
    for row in ("Walking", "S11 Average", "S9 Walking", "S11 Sitting"):
        assert {k: v for k, v in table[row].items() if not math.isnan(v)} == pytest.approx(
            {k: v for k, v in whole[row].items() if not math.isnan(v)}
        )
    assert all(math.isnan(value) for value in scored.compute().values())
    said = scored.protocol()["non_finite"]
    assert said.startswith("the predictions of 1 of 241 frames, first S9/Sitting/Sitting 2/")
    assert ", frame 20:" in said
    assert errors(frames).protocol()["non_finite"] == ""


def test_truth_that_is_not_finite_is_refused():
    frames = frames_of(*SPECS)
    frames.joints[7, 2, 0] = float("nan")
    with pytest.raises(ValueError, match="The true joints of 1 of 241 frames are not finite"):
        errors(frames, predict(frames_of(*SPECS))).compute()


def test_bones_of_one_length_are_those_of_each_sequence_s_own_predictions():
    frames = frames_of(("S9", "Walking", "Walking 1", 40), ("S9", "Sitting", "Sitting 2", 25))
    predicted = predict(frames)
    predicted[3, 5] = math.nan
    order = torch.arange(65).flip(0)
    scored = PoseErrors(frames, actions=ACTIONS, protocol={}, drop_last=False, by_subject=False, bones=True)
    scored.update({"joints": predicted[order][None]}, {"index": order[None]})
    held = scored.frames()["joints"]
    assert held[3].isnan().any()
    slopes = frames.slopes(torch.arange(65)).numpy()
    for rows in ([row for row in range(40) if row != 3], list(range(40, 65))):
        alone = of_one_length(predicted[rows].double().numpy(), slopes[rows], H36M_17, H36M_17)
        np.testing.assert_allclose(held[rows], alone, atol=1e-5)
    assert "one length" in scored.protocol()["bones"]
    assert "bones" not in errors(frames).protocol()
