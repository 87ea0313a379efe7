import numpy as np
import pytest
import torch

from anypose.skeleton import H36M_17
from pose3d.motion.packed import pack
from pose3d.motion.windows import SequenceBatches, WindowBatches
from tests.pose3d.motion.random_motion import camera, sequence

CPU = torch.device("cpu")
LENGTHS = (7, 1, 30, 12)


def packed(frame="screen", lengths=LENGTHS):
    sequences = [
        sequence(n, take=f"Walking {i}", seed=i, view=camera(f"c{i}", width=1000 + i)) for i, n in enumerate(lengths)
    ]
    return pack(sequences, input_skeleton=H36M_17, output_skeleton=H36M_17, keypoint_frame=frame)


def windows(frames, **options):
    defaults = {"receptive_field": 9, "batch_size": 5, "seed": 0, "device": CPU}
    return WindowBatches(frames, **{**defaults, **options})


def naive_chunks(frames, receptive_field, causal, stride, flip):
    """Chunk by chunk with np.pad, as one would write it first. {(row, mirrored): (keypoints, joints, root)}."""
    past = receptive_field - 1 if causal else (receptive_field - 1) // 2
    future = receptive_field - 1 - past
    left, right = list(H36M_17.left), list(H36M_17.right)
    chunks = {}
    for start, end, edge in zip(frames.start.tolist(), frames.end.tolist(), frames.mirror.tolist(), strict=True):
        length = end - start
        count = -(-length // stride)
        offset = (count * stride - length) // 2
        for chunk in range(count):
            first, last = chunk * stride - offset, (chunk + 1) * stride - offset

            def cut(array, low, high, start=start, end=end, length=length):
                inside = array[start:end][max(low, 0) : max(min(high, length), 0)]
                pads = (max(-low, 0), max(high - length, 0))
                return np.pad(inside, (pads, *[(0, 0)] * (array.ndim - 1)), mode="edge")

            keypoints = cut(frames.keypoints.numpy(), first - past, last + future)
            joints = cut(frames.joints.numpy(), first, last)
            root = cut(frames.root.numpy(), first, last)
            chunks[start + max(first, 0), False] = keypoints, joints, root
            if flip:
                keypoints, joints, root = keypoints.copy(), joints.copy(), root.copy()
                keypoints[..., 0] = np.float32(edge) - keypoints[..., 0]
                joints[..., 0] *= -1
                root[..., 0] *= -1
                keypoints[:, left + right] = keypoints[:, right + left]
                joints[:, left + right] = joints[:, right + left]
                chunks[start + max(first, 0), True] = keypoints, joints, root
    return chunks


@pytest.mark.parametrize("frame", ["pixel", "screen"])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("receptive_field", "stride"), [(1, 1), (9, 1), (9, 4), (27, 3), (1, 5)])
def test_an_epoch_is_every_chunk_of_a_naive_generator_bit_for_bit(frame, flip, causal, receptive_field, stride):
    frames = packed(frame)
    expected = naive_chunks(frames, receptive_field, causal, stride, flip)
    batches = windows(
        frames,
        receptive_field=receptive_field,
        causal=causal,
        stride=stride,
        flip=flip,
        drop_last=False,
        trajectory=True,
    )
    seen = []
    for batch in batches.epoch(3):
        for keypoints, joints, root, row in zip(
            batch["keypoints"], batch["joints"], batch["root"], batch["index"].tolist(), strict=True
        ):
            mirrored = [
                m for m in (False, True) if (row, m) in expected and np.array_equal(expected[row, m][0], keypoints)
            ]
            assert mirrored, f"row {row} is no chunk of the naive generator"
            np.testing.assert_array_equal(joints.numpy(), expected[row, mirrored[0]][1])
            np.testing.assert_array_equal(root.numpy(), expected[row, mirrored[0]][2])
            seen.append((row, mirrored[0]))
    assert sorted(seen) == sorted(expected)
    sizes = [len(batch["index"]) for batch in batches.epoch(3)]
    assert len(sizes) == len(batches)
    assert min(sizes) > 1  # batch norm learns nothing from one sample: a last one joins the batch before it
    assert max(sizes) <= 6


def test_devices_without_overlapping_views_get_the_same_windows(monkeypatch):
    frames = packed()
    expected = [batch["keypoints"] for batch in windows(frames, receptive_field=27).epoch(0)]

    gathered = windows(frames, receptive_field=27)
    monkeypatch.setattr("pose3d.motion.windows.OVERLAPPING_VIEWS", ())
    for batch, keypoints in zip(gathered.epoch(0), expected, strict=True):
        torch.testing.assert_close(batch["keypoints"], keypoints, rtol=0, atol=0)


def test_the_order_follows_from_seed_and_epoch_alone():
    frames = packed()
    first = [batch["index"].tolist() for batch in windows(frames).epoch(1)]
    torch.manual_seed(99)
    torch.rand(3)
    assert [batch["index"].tolist() for batch in windows(frames).epoch(1)] == first
    assert [batch["index"].tolist() for batch in windows(frames).epoch(2)] != first
    assert [batch["index"].tolist() for batch in windows(frames, seed=1).epoch(1)] != first


def test_an_epoch_taken_up_in_the_middle_goes_on_as_if_never_left():
    whole = [batch["index"].tolist() for batch in windows(packed()).epoch(4)]
    assert [batch["index"].tolist() for batch in windows(packed()).epoch(4, start=3)] == whole[3:]


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_an_epoch_without_overlap_and_agree_with_one_process(world_size):
    frames = packed()
    alone = [set(b["index"].tolist()) for b in windows(frames, batch_size=4 * world_size).epoch(0)]
    ranks = [
        [set(b["index"].tolist()) for b in windows(frames, batch_size=4, rank=rank, world_size=world_size).epoch(0)]
        for rank in range(world_size)
    ]
    assert [set.union(*together) for together in zip(*ranks, strict=True)] == alone
    assert sum(len(batch) for rank in ranks for batch in rank) == sum(len(batch) for batch in alone)


def test_keeping_the_last_batch_keeps_the_ranks_in_step():
    frames = packed()  # 50 frames
    ranks = [windows(frames, batch_size=4, rank=rank, world_size=3, drop_last=False) for rank in range(3)]
    counts = [[len(batch["index"]) for batch in rank.epoch(0)] for rank in ranks]
    assert counts == [[4, 4, 4, 5]] * 3  # 51 for 50: one comes twice, and a single one left over joins the last batch
    seen = {int(row) for rank in ranks for batch in rank.epoch(0) for row in batch["index"]}
    assert len(seen) == 50
    assert [len(rank) for rank in ranks] == [4] * 3
    assert [len(b["index"]) for b in windows(frames, batch_size=8, drop_last=False).epoch(0)] == [8] * 6 + [2]
    assert [len(b["index"]) for b in windows(frames, batch_size=8).epoch(0)] == [8] * 6


def test_a_batch_larger_than_the_split_names_both_numbers():
    with pytest.raises(ValueError, match=r"needs 128 samples \(trainer.batch_size=64 on 2 processes\).*has 50"):
        windows(packed(), batch_size=64, world_size=2)


def test_host_memory_batches_are_copied_one_ahead(monkeypatch):
    frames = packed()
    events = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    batches = windows(frames, device=torch.device("meta"))
    plain = batches.batch
    monkeypatch.setattr(batches, "batch", lambda picks: events.append("copy") or plain(picks))
    for batch in batches.epoch(0):
        events.append("use")
        assert batch["keypoints"].device.type == "meta"
    assert events[:4] == ["copy", "copy", "use", "copy"]
    assert events.count("copy") == events.count("use") == len(batches)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("receptive_field", [1, 9, 27])
@pytest.mark.parametrize("per_batch", [13, 1000])
def test_evaluation_sees_every_frame_once_with_its_own_window(receptive_field, causal, per_batch):
    frames = packed("pixel")
    batches = SequenceBatches(
        frames, receptive_field=receptive_field, causal=causal, device=CPU, frames_per_batch=per_batch
    )
    expected = naive_chunks(frames, receptive_field, causal, 1, False)
    seen = []
    for batch in batches.epoch():
        index = batch["index"].flatten().tolist()
        stretch = batch["keypoints"].flatten(0, 1)
        assert batch["mirror"].flatten(0, 1).shape == stretch.shape[:1]
        for i, row in enumerate(index):
            if row >= 0:
                window = stretch[i : i + receptive_field]
                np.testing.assert_array_equal(window.numpy(), expected[row, False][0])
                middle = i if receptive_field == 1 else i + batches.past
                assert batch["mirror"].flatten()[middle] == frames.mirror[frames.sequence[row]]
                seen.append(row)
    assert seen == list(range(sum(LENGTHS)))


def test_evaluation_is_dealt_to_the_ranks_batch_by_batch():
    frames = packed()
    ranks = [
        SequenceBatches(frames, receptive_field=9, device=CPU, rank=r, world_size=3, frames_per_batch=7)
        for r in range(3)
    ]
    rows = [row for rank in ranks for batch in rank.epoch() for row in batch["index"].flatten().tolist() if row >= 0]
    assert sorted(rows) == list(range(sum(LENGTHS)))
    assert [len(list(rank.epoch(start=1))) for rank in ranks] == [len(rank) - 1 for rank in ranks]
