import os
import pickle
import runpy

import numpy as np
import pytest
import torch
from torch import nn

from anypose.engine import checkpoint
from anypose.export.session import open_session
from pose3d.lifting.convert import convert, main, read_bin
from pose3d.lifting.trajectory import ROOT
from tests.anypose.export.small_tasks import lifting_task, videopose3d


def published(model, **extra):
    """A file as VideoPose3D's run.py writes it."""
    optimizer = torch.optim.Adam(model.parameters(), amsgrad=True)
    model.eval()(torch.zeros(1, model.receptive_field, 17, model.keypoint_channels)).sum().backward()
    optimizer.step()
    content = {
        "epoch": 80,
        "lr": np.float64(1.7e-5),
        "random_state": np.random.RandomState(1234),
        "optimizer": optimizer.state_dict(),
        "model_pos": model.state_dict(),
        "model_traj": None,
        "random_state_semi": None,
    }
    return content | extra


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "old format"])
@pytest.mark.parametrize("channels", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_a_published_file_gives_the_same_outputs(tmp_path, archive, channels):
    model = lifting_task(videopose3d(keypoint_channels=channels, causal=True)).model
    torch.save(published(model), tmp_path / "net.bin", _use_new_zipfile_serialization=archive)
    settings = convert(tmp_path / "net.bin", tmp_path / "run", "h36m_17", "h36m_17", causal=True)
    assert (settings["kernel_sizes"], settings["channels"], settings["keypoint_channels"]) == ([3, 3, 3], 16, channels)
    keypoints = torch.randn(1, 40, 17, channels)
    (found,) = open_session(tmp_path / "run" / "last.pt").run({"keypoints": keypoints.numpy()}).values()
    with torch.no_grad():
        np.testing.assert_allclose(found, model(keypoints), atol=2e-6)
    assert checkpoint.load(tmp_path / "run" / "last.pt")["choices"] == {"model": "videopose3d"}


def test_the_ascend_port_s_file_loads_too(tmp_path):
    model = lifting_task(videopose3d()).model
    ported = {
        f"module.{name}": tensor.unsqueeze(-1) if tensor.dim() == 3 else tensor
        for name, tensor in model.state_dict().items()
    }
    torch.save({"model_pos": ported}, tmp_path / "model_best.bin")
    convert(tmp_path / "model_best.bin", tmp_path / "run", "h36m_17", "h36m_17", causal=False)
    state = checkpoint.load(tmp_path / "run" / "last.pt")["model"]
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


class Explosion:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Numpy:
    """A call under one of the names that are let through."""

    def __reduce__(self):
        return np.dtype, ("O8", False, True)


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "old format"])
def test_a_file_that_would_run_something_is_refused_and_nothing_runs(tmp_path, archive):
    content = published(videopose3d(), random_state=Explosion(tmp_path / "exploded"))
    torch.save(content, tmp_path / "net.bin", _use_new_zipfile_serialization=archive)
    with pytest.raises(ValueError, match=r"net.bin .* holds what is not read: .*mkdir"):
        read_bin(tmp_path / "net.bin")
    assert not (tmp_path / "exploded").exists()


def test_numpy_in_a_file_is_never_built(tmp_path):
    torch.save(published(videopose3d(), more=[Numpy(), np.arange(3), np.float32(1)]), tmp_path / "net.bin")
    content = read_bin(tmp_path / "net.bin")
    assert {type(content[key]).__name__ for key in ("random_state", "lr")} == {"Inert"}
    assert [type(value).__name__ for value in content["more"]] == ["Inert"] * 3
    assert isinstance(content["model_pos"]["shrink.bias"], torch.Tensor)


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps({"model_pos": 1}, protocol=2)])
def test_damaged_files_are_refused_with_their_size(tmp_path, content):
    (tmp_path / "net.bin").write_bytes(content)
    with pytest.raises(ValueError, match=rf"net.bin \({len(content)} bytes\) is damaged|must hold 'model_pos'"):
        read_bin(tmp_path / "net.bin")


def test_a_file_without_a_pose_network_names_what_it_holds(tmp_path):
    torch.save({"state_dict": {}, "epoch": 3}, tmp_path / "net.bin")
    with pytest.raises(ValueError, match=r"must hold 'model_pos', .*; found state_dict, epoch"):
        read_bin(tmp_path / "net.bin")
    torch.save({"model_pos": nn.Linear(2, 3).state_dict()}, tmp_path / "net.bin")
    with pytest.raises(ValueError, match="holds no temporal network: found weight, bias"):
        convert(tmp_path / "net.bin", tmp_path / "run", "h36m_17", "h36m_17", causal=False)
    with pytest.raises(FileNotFoundError, match=r"No weights at .*none.bin"):
        read_bin(tmp_path / "none.bin")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"layers_conv.a.weight": torch.zeros(16, 16, 3)}, r"1 unexpected \(layers_conv\.a\.weight\)"),
        ({"layers_conv.².weight": torch.zeros(16, 16, 3)}, r"1 unexpected \(layers_conv\.²\.weight\)"),
        ({"expand_conv.weight": torch.zeros(16)}, r"expand_conv\.weight must be a kernel .*, found \(16,\)"),
        ({"expand_conv.weight": torch.zeros(10**9, 34, 0)}, r"must be a kernel .*, found \(1000000000, 34, 0\)"),
        ({"shrink.weight": torch.zeros(())}, r"shrink\.weight must be a kernel .*, found \(\)"),
        ({"expand_conv.weight": torch.zeros(300_000, 34, 3)}, "of another shape"),  # squared it would be 1 TB
        ({"expand_conv.weight": "abc"}, "model_pos must hold tensors by name, found 'expand_conv.weight': str"),
        ({3: torch.zeros(1)}, "model_pos must hold tensors by name, found 3: Tensor"),
    ],
    ids=str,
)
def test_tensors_that_no_such_network_has_are_named(tmp_path, changed, told):
    torch.save({"model_pos": {**videopose3d().state_dict(), **changed}}, tmp_path / "net.bin")
    with pytest.raises(ValueError, match=rf"net\.bin.*{told}"):
        convert(tmp_path / "net.bin", tmp_path / "run", "h36m_17", "h36m_17", causal=False)
    assert not (tmp_path / "run").exists()


def test_skeletons_of_another_size_are_refused_with_the_numbers(tmp_path):
    torch.save(published(videopose3d()), tmp_path / "net.bin")
    with pytest.raises(
        ValueError, match=r"reads 34 and gives 51 numbers a frame; h36m_16 keypoints have 16 x 2 or x 3"
    ):
        convert(tmp_path / "net.bin", tmp_path / "run", "h36m_16", "h36m_17", causal=False)
    with pytest.raises(ValueError, match="humaneva_15 joints 45"):
        convert(tmp_path / "net.bin", tmp_path / "run", "h36m_17", "humaneva_15", causal=False)
    assert not (tmp_path / "run").exists()


def test_the_command_knows_published_files_and_asks_about_others(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save(published(videopose3d()), tmp_path / "pretrained_h36m_detectron_coco.bin")
    main(["pretrained_h36m_detectron_coco.bin"])
    assert "last.pt: coco_17 keypoints, kernel_sizes [3, 3, 3], causal False" in capsys.readouterr().out
    assert (tmp_path / "runs/videopose3d/pretrained_h36m_detectron_coco/last.pt").is_file()
    os.rename("pretrained_h36m_detectron_coco.bin", "mine.bin")
    with pytest.raises(SystemExit):
        main(["mine.bin"])
    assert "mine.bin do not say which keypoints they read: --keypoints h36m_17" in capsys.readouterr().err


@pytest.mark.parametrize("kernel_sizes", [[3, 3, 3], [3, 3], [5, 3]])
def test_a_dense_network_is_built_dense(tmp_path, kernel_sizes):
    model = lifting_task(videopose3d(kernel_sizes=kernel_sizes, dense=True)).model
    torch.save({"model_pos": model.state_dict(), "model_traj": None}, tmp_path / "net.bin")
    dense = None if len(set(kernel_sizes)) == 1 else True
    if dense:
        with pytest.raises(ValueError, match=r"kernels 5, 11 wide .* dense network of 5, 3, .*--dense or --dilated"):
            convert(tmp_path / "net.bin", tmp_path / "run", "h36m_17", "h36m_17", causal=False)
    settings = convert(tmp_path / "net.bin", tmp_path / "run", "h36m_17", "h36m_17", causal=False, dense=dense)
    assert (settings["kernel_sizes"], settings["dense"]) == (kernel_sizes, True)
    keypoints = torch.randn(1, 40, 17, 2)
    (found,) = open_session(tmp_path / "run" / "last.pt").run({"keypoints": keypoints.numpy()}).values()
    with torch.no_grad():
        np.testing.assert_allclose(found, model(keypoints), atol=2e-6)


def test_equal_kernels_are_dilated_and_cannot_be_called_dense(tmp_path):
    model = lifting_task(videopose3d()).model
    torch.save({"model_pos": model.state_dict()}, tmp_path / "net.bin")
    with pytest.raises(ValueError, match=r"was not trained with --dense: its kernels are 3, 3, 3 wide"):
        convert(tmp_path / "net.bin", tmp_path / "run", "h36m_17", "h36m_17", causal=False, dense=True)


def test_the_trajectory_network_comes_along(tmp_path):
    pose = lifting_task(videopose3d()).model
    place = pose.sibling(ROOT)
    content = {"model_pos": pose.state_dict(), "model_traj": place.state_dict()}
    torch.save(content, tmp_path / "net.bin")
    convert(tmp_path / "net.bin", tmp_path / "run", "h36m_17", "h36m_17", causal=False)
    state = checkpoint.load(tmp_path / "run" / "last.pt")
    assert state["choices"] == {"model": "videopose3d", "task": "semi_supervised"}
    keypoints = torch.randn(1, 40, 17, 2)
    found = open_session(tmp_path / "run" / "last.pt").run({"keypoints": keypoints.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found["joints"], pose(keypoints), atol=2e-6)
        np.testing.assert_allclose(found["trajectory"], place.eval()(keypoints), atol=2e-6)


def test_run_as_a_module_it_tells_in_a_sentence_too(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["convert", str(tmp_path / "pretrained_h36m_cpn.bin"), "--output", str(tmp_path)])
    with pytest.warns(RuntimeWarning, match="found in sys.modules"), pytest.raises(SystemExit) as stopped:
        runpy.run_module("pose3d.lifting.convert", run_name="__main__")
    assert stopped.value.code == 1
    assert capsys.readouterr().err == f"No weights at {tmp_path / 'pretrained_h36m_cpn.bin'}.\n"
