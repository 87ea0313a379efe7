import numpy as np
import pytest

from anypose.export.network import Options
from anypose.export.session import open_session
from anypose.export.throughput import Timing, main, measure
from anypose.export.write import export_onnx
from tests.anypose.export.small_tasks import lifting_task, videopose3d


def exported(tmp_path, **changes):
    settings = {"opset": 11, "dtype": "float32", "sizes": {"T": 90}, "dynamic": [], "conv2d": False, "streaming": False}
    export_onnx(lifting_task(videopose3d(causal=True)), tmp_path / "net.onnx", Options(**settings | changes), {}, None)
    return tmp_path / "net.onnx"


def test_the_seed_s_throughput_is_all_frames_that_go_in_over_the_mean():
    """The port's on a 310: 715,495 fps of 2 x 6115 frames are 17.09 ms a call."""
    timing = Timing(np.full(100, 0.0170930), inputs=2 * 6115, outputs=5873)
    assert timing.input_rate == pytest.approx(715_495, rel=1e-4)
    assert timing.output_rate == pytest.approx(343_591, rel=1e-4)


def test_frames_are_counted_as_they_go_in_and_come_out(tmp_path):
    timing = measure(open_session(exported(tmp_path)), None, loop=3, warmup=0)
    assert (timing.inputs, timing.outputs, len(timing.seconds)) == (2 * 90, 64, 3)
    assert (timing.seconds > 0).all()


def test_a_free_shape_must_be_said(tmp_path):
    session = open_session(exported(tmp_path, dynamic=["T"]))
    with pytest.raises(ValueError, match=r"Input 2d_poses is \(2, None, 17, 2\): say how large .*--shape"):
        measure(session, None, loop=1, warmup=0)
    assert measure(session, [2, 40, 17, 2], loop=1, warmup=0).outputs == 14


@pytest.mark.slow
def test_a_network_with_states_and_no_calls_are_refused(tmp_path):
    with pytest.raises(ValueError, match="inputs 2d_poses, state_0, state_1, state_2; only networks with one input"):
        measure(open_session(exported(tmp_path, streaming=True, sizes={})), None, loop=1, warmup=0)
    with pytest.raises(ValueError, match="--loop must be at least 1, got 0"):
        measure(open_session(exported(tmp_path)), None, loop=0, warmup=0)


def test_the_command_prints_both_counts(tmp_path, capsys):
    main(["--model", str(exported(tmp_path)), "--loop", "2"])
    printed = capsys.readouterr().out
    assert "CPUExecutionProvider" in printed
    assert "compute_time (ms): min = " in printed
    assert "input frames: 180 a call" in printed
    assert "poses: 64 a call" in printed
