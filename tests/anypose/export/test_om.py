import json
import os
import stat

import pytest

from anypose.export.network import Options
from anypose.export.om import Atc, compile_om, write_command
from anypose.export.write import export_network
from pose2d.images.image import IMAGENET_MEAN, IMAGENET_STD, Normalization
from tests.anypose.export.small_tasks import lifting_task, videopose3d

SHAPES = {"2d_poses": (2, 6115, 17, 2)}


def options(**changes) -> Options:
    return Options(
        **{"opset": 11, "dtype": "float32", "sizes": {"T": 40}, "dynamic": [], "conv2d": False, "streaming": False}
        | changes
    )


def test_the_command_is_the_seed_s(tmp_path):
    """The seed prints it for vp3d/vp3d.onnx on a 310P3."""
    command = Atc("Ascend310P3", None, False, []).command(tmp_path / "vp3d.onnx", SHAPES)
    assert command == [
        "atc",
        "--framework=5",
        f"--model={tmp_path / 'vp3d.onnx'}",
        f"--output={tmp_path / 'vp3d'}",
        "--input_format=NCHW",
        "--input_shape=2d_poses:2,6115,17,2",
        "--log=error",
        "--soc_version=Ascend310P3",
    ]


@pytest.mark.parametrize(
    ("mode", "flag"),
    [
        ("origin", "--precision_mode_v2=origin"),
        ("cube_fp16in_fp32out", "--precision_mode_v2=cube_fp16in_fp32out"),
        ("must_keep_origin_dtype", "--precision_mode=must_keep_origin_dtype"),
    ],
)
def test_precision_goes_under_the_flag_that_knows_the_mode(tmp_path, mode, flag):
    command = Atc("Ascend910B3", mode, False, ["--op_select_implmode=high_precision"]).command(
        tmp_path / "n.onnx", SHAPES
    )
    assert flag in command
    assert sum(part.startswith("--precision") for part in command) == 1
    assert command[-1] == "--op_select_implmode=high_precision"


def test_inputs_of_another_rank_are_nd(tmp_path):
    command = Atc("Ascend310P3", None, False, []).command(tmp_path / "n.onnx", {"a": (1, 2, 34), "b": (1, 3)})
    assert "--input_format=ND" in command
    assert "--input_shape=a:1,2,34;b:1,3" in command


def test_the_command_is_saved_so_that_a_shell_runs_it(tmp_path):
    task = lifting_task(videopose3d())
    write_command(Atc("Ascend310P3", None, False, ["--log dir=a b"]), tmp_path / "a net.onnx", SHAPES, task)
    text = (tmp_path / "a net.atc.sh").read_text(encoding="utf-8")
    assert text.startswith("#!/bin/sh\natc \\\n")
    assert f"'--model={tmp_path / 'a net.onnx'}'" in text
    assert "'--log dir=a b'" in text


@pytest.mark.parametrize("mode", [None, "origin", "force_fp32"])
@pytest.mark.parametrize("conv2d", [False, True])
@pytest.mark.slow
def test_with_atc_on_the_path_the_om_is_made_and_described(tmp_path, atc_on_path, capsys, mode, conv2d):
    path = tmp_path / "net.om"
    atc = Atc("Ascend310P3", mode, False, [])
    export_network(lifting_task(videopose3d()), path, "om", options(conv2d=conv2d), atc, {}, None)
    header = json.loads(path.read_bytes().partition(b"\n")[0])
    assert header["soc_version"] == "Ascend310P3"
    printed = capsys.readouterr().out
    assert (
        f"atc --framework=5 --model={tmp_path / 'net.onnx'} --output={tmp_path / 'net'} --input_format=NCHW" in printed
    )
    facts = json.loads((tmp_path / "net.om.json").read_text(encoding="utf-8"))
    assert facts["soc_version"] == "Ascend310P3"
    assert facts["receptive_field"] == 27
    names = {"net.om", "net.om.json", "net.onnx", "net.onnx.json", "net.onnx.parity.txt", "net.atc.sh"}
    assert {file.name for file in tmp_path.iterdir()} == names


def test_without_atc_the_error_says_how_to_get_it_and_what_is_ready(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    task = lifting_task(videopose3d())
    with pytest.raises(FileNotFoundError, match=r"atc, and it is not on the PATH. .*CANN toolkit.*set_env.sh"):
        export_network(task, tmp_path / "net.om", "om", options(), Atc("Ascend310P3", None, False, []), {}, None)
    assert (tmp_path / "net.onnx").is_file()
    assert (tmp_path / "net.atc.sh").is_file()
    assert not (tmp_path / "net.om").exists()
    assert not (tmp_path / "net.om.json").exists()


def test_when_atc_fails_its_words_are_shown_and_an_older_om_stays(tmp_path, atc_on_path):
    task = lifting_task(videopose3d())
    (tmp_path / "net.om").write_text("older", encoding="utf-8")
    with pytest.raises(ValueError, match=r"(?s)atc ended with 1 .*E10001: Value \[Ascend9\]"):
        export_network(task, tmp_path / "net.om", "om", options(), Atc("Ascend9", None, False, []), {}, None)
    assert (tmp_path / "net.om").read_text(encoding="utf-8") == "older"
    assert not (tmp_path / "net.om.json").exists()


@pytest.mark.skipif(os.name == "nt", reason="what stands in for atc here is a script of a shell")
def test_an_atc_that_leaves_nothing_behind_is_a_failure(tmp_path, monkeypatch):
    script = tmp_path / "bin" / "atc"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho nothing to do\n", encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(script.parent))
    with pytest.raises(ValueError, match=r"(?s)atc ended with 0 and no net.om.*nothing to do"):
        compile_om(["atc", "--output=x"], tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"soc_version": "310P3"}, "must be 'Ascend' and the chip's name in `npu-smi info`, .*got '310P3'"),
        ({"soc_version": 310}, "must be 'Ascend' and the chip's name in `npu-smi info`, .*got 310"),
        ({"precision_mode": "half"}, "precision_mode must be null, one of fp16, origin, .*got 'half'"),
    ],
)
def test_a_chip_or_mode_that_is_none_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Atc(**{"soc_version": "Ascend310P3", "precision_mode": None, "aipp": False, "options": []} | changes)


def test_free_axes_and_int8_cannot_be_compiled(tmp_path):
    task, atc = lifting_task(videopose3d()), Atc("Ascend310P3", None, False, [])
    for changes in ({"dynamic": ["T"]}, {"dtype": "int8"}):
        with pytest.raises(ValueError, match=r"format=om needs fixed shapes and float weights, got dynamic="):
            export_network(task, tmp_path / "net.om", "om", options(**changes), atc, {}, None)
    assert list(tmp_path.iterdir()) == []


def test_the_aipp_file_is_the_image_task_s_own_normalisation(tmp_path):
    task = lifting_task(videopose3d())
    atc = Atc("Ascend310P3", None, True, [])
    with pytest.raises(ValueError, match=r"aipp=true lets the chip normalise images, and VideoPose3D reads none"):
        write_command(atc, tmp_path / "net.onnx", SHAPES, task)
    task.normalization = Normalization("rgb", IMAGENET_MEAN, IMAGENET_STD)
    command = write_command(atc, tmp_path / "net.onnx", {"image": (1, 3, 256, 192)}, task)
    assert f"--insert_op_conf={tmp_path / 'net.aipp.cfg'}" in command
    text = (tmp_path / "net.aipp.cfg").read_text(encoding="utf-8")
    assert "src_image_size_w: 192" in text
    assert "src_image_size_h: 256" in text
    assert "min_chn_0: 123.675" in text
    assert "var_reci_chn_2: 0.01742919" in text
