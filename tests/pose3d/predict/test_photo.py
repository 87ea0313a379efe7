"""From a photograph to a pose in 3D: the same keypoints as an evaluation finds, lifted from where lifters look."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from anypose.engine import checkpoint
from anypose.engine.task import Loading
from anypose.skeleton import convert, get_skeleton
from pose2d.model.simplebaseline import SimpleBaseline
from pose2d.task.topdown2d import TopDown2D
from pose3d.dataset.synthetic_people import SyntheticPeople
from pose3d.predict.photo import PICTURE, TALL, frame_person, lift, main, read_photo, usable_keypoints
from tests.anypose.export.small_tasks import baseline3d, videopose3d

COCO = get_skeleton("coco_17")
SIZES = {"depth": 18, "height": 64, "width": 64}


def values(repository, name):
    return OmegaConf.to_container(OmegaConf.load(repository / "conf" / f"{name}.yaml"))


def settings(repository, name, **changes):
    return {key: value for key, value in values(repository, name).items() if key != "_target_"} | changes


@pytest.fixture
def task(repository) -> TopDown2D:
    torch.manual_seed(0)
    model = SimpleBaseline(**settings(repository, "model/simplebaseline", **SIZES))
    torch.nn.init.normal_(model.final_layer.weight, std=1.0)
    return TopDown2D(model.eval(), **settings(repository, "task/topdown2d", reduced_decode=False))


@pytest.fixture
def people(repository) -> SyntheticPeople:
    few = {"train_images": 1, "validation_images": 1, "bodies": 1, "height": 96, "width": 128}
    return SyntheticPeople(**settings(repository, "dataset/synthetic_people", **few))


def test_people_of_an_image_are_found_as_in_an_evaluation(task, people):
    crops = task.batches(people, False, Loading(8, seed=0, drop_last=False), torch.device("cpu"))
    batch = next(iter(crops.epoch(0)))
    with torch.no_grad():
        expected = task.predict(batch)
    found = task.find(crops.people.images.read(0), crops.people.box_xyxy, COCO)
    torch.testing.assert_close(found["keypoints"], expected["keypoints"], atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(found["scores"], expected["scores"], atol=1e-5, rtol=1e-4)


def test_a_person_is_put_into_the_middle_at_a_fixed_size():
    keypoints = np.random.default_rng(0).uniform(20, 50, (17, 2))
    framed = frame_person(keypoints)
    low, high = framed.min(axis=0), framed.max(axis=0)
    assert (high - low).max() == pytest.approx(TALL)
    np.testing.assert_allclose((low + high) / 2, PICTURE / 2)
    np.testing.assert_allclose(frame_person(3 * keypoints + 100), framed)


@pytest.mark.parametrize("model", [baseline3d(), videopose3d().eval()], ids=["pixels", "screen"])
def test_a_lifter_sees_the_framed_keypoints_in_its_own_frame_and_length(model):
    model.eval()
    keypoints = np.random.default_rng(1).uniform(20, 300, (17, 2))
    framed = torch.from_numpy(frame_person(convert(keypoints, COCO, model.input_skeleton))).float()
    if model.keypoint_frame == "screen":
        framed = framed / (PICTURE / 2) - 1
    with torch.no_grad():
        expected = model(framed.repeat(1, model.receptive_field, 1, 1))[0, 0]
    np.testing.assert_allclose(lift(model, keypoints, COCO), expected.numpy(), atol=1e-5)


@pytest.mark.slow
def test_the_command_writes_a_picture_and_the_numbers(task, people, repository, tmp_path, capsys):
    cv2 = pytest.importorskip("cv2")
    torch.nn.init.constant_(task.model.final_layer.bias, 0.5)  # a peak somewhere, of half a certain one's height
    cv2.imwrite(str(tmp_path / "photo.png"), people.people("train").images.read(0))
    config = {
        "task": values(repository, "task/topdown2d"),
        "model": values(repository, "model/simplebaseline") | SIZES,
    }
    checkpoint.save(tmp_path / "keypoints.pt", {"model": task.model.state_dict(), "config": config})
    arguments = [str(tmp_path / "photo.png"), "--keypoints", str(tmp_path / "keypoints.pt")]
    main([*arguments, "--output", str(tmp_path / "pose.png")])
    assert (tmp_path / "pose.png").stat().st_size > 10_000
    arrays = np.load(tmp_path / "pose.npz")
    assert arrays["joints"].shape == (17, 3)
    assert np.isfinite(arrays["joints"]).all()
    assert arrays["keypoints"].shape == (17, 2)
    assert "17 joints" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"--box 500 0 10 10 has no part of .*photo.png, which is 128x96"):
        main([*arguments, "--box", "500", "0", "10", "10"])
    with pytest.raises(FileNotFoundError, match=r"missing.jpg does not exist"):
        main(["missing.jpg", *arguments[1:]])
    with pytest.raises(ValueError, match=r"photo.png is a PNG of 128x96 px.*set --max-megapixels="):
        main([*arguments, "--max-megapixels", "0.001"])
    with pytest.raises(ValueError, match=r"--box nan 0 10 10 has no part"):
        main([*arguments, "--box", "nan", "0", "10", "10"])
    with pytest.raises(ValueError, match=r"must be a picture's name"):
        main([*arguments, "--output", "pose.npz"])
    with pytest.raises(ValueError, match=r"--lifter a.onnx is an exported network"):
        main([*arguments, "--lifter", "a.onnx"])
    with pytest.raises(FileNotFoundError, match=r"--keypoints .* is a folder. It must be a checkpoint"):
        main([arguments[0], "--keypoints", str(tmp_path)])
    capsys.readouterr()
    torch.nn.init.zeros_(task.model.final_layer.weight)
    torch.nn.init.constant_(task.model.final_layer.bias, 0.004)
    checkpoint.save(tmp_path / "keypoints.pt", {"model": task.model.state_dict(), "config": config})
    (tmp_path / "pose.png").unlink()
    with pytest.raises(ValueError, match=r"Nobody was found: .* mean score of 0.00, below --min-score 0.1. Say where"):
        main([*arguments, "--output", str(tmp_path / "pose.png")])
    assert not (tmp_path / "pose.png").exists()


def test_what_is_no_picture_is_told_for_what_it_is(tmp_path):
    with pytest.raises(ValueError, match=r"is a folder, and photo takes one picture. predict source="):
        read_photo(tmp_path, 120)
    (tmp_path / "walk.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(100))
    with pytest.raises(ValueError, match=r"walk.mp4 is a video, and photo takes a picture. predict source="):
        read_photo(tmp_path / "walk.mp4", 120)
    (tmp_path / "net.onnx").write_bytes(b"\x08\x07\x12\x07pytorch")
    with pytest.raises(ValueError, match=r"net.onnx \(11 bytes\) cannot be decoded as an image"):
        read_photo(tmp_path / "net.onnx", 120)


def test_a_photograph_on_its_side_is_turned(tmp_path):
    image = pytest.importorskip("PIL.Image")
    exif = image.Exif()
    exif[274] = 6
    image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert read_photo(tmp_path / "a.jpg", 120).shape == (60, 40, 3)


def test_keypoints_found_badly_are_named_and_those_not_found_are_not_lifted():
    keypoints, scores = np.zeros((17, 2)), np.full(17, 0.9)
    assert usable_keypoints(keypoints, scores, COCO, 0.1) == []
    scores[[0, 9]] = 0.02
    assert usable_keypoints(keypoints, scores, COCO, 0.1) == ["nose", "left_wrist"]
    keypoints[3] = np.nan
    with pytest.raises(ValueError, match=r"these were not found: left_ear\."):
        usable_keypoints(keypoints, scores, COCO, 0.1)
    with pytest.raises(ValueError, match=r"mean score of 0.00"):
        usable_keypoints(keypoints, np.full(17, np.nan), COCO, 0.1)


@pytest.mark.slow
def test_movenet_and_the_released_lifter_make_a_pose_of_a_real_photograph(real_data, tmp_path, capsys):
    root, network = real_data("coco_mini"), real_data("video") / "movenet_lightning_int8_v4_float.onnx"
    photo = next(iter(sorted(root.rglob("000000*.jpg"))))
    main([str(photo), "--keypoints", str(network), "--output", str(tmp_path / "p.png"), "--min-score", "0.01"])
    assert "17 joints" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"rtmdet_nano_person.onnx"):
        main([str(photo), "--keypoints", str(network.with_name("rtmdet_nano_person.onnx"))])


def test_a_network_of_other_keypoints_than_the_skeleton_s_is_refused(task):
    box = np.array([[0.0, 0, 30, 30]])
    with pytest.raises(ValueError, match=r"has 17 keypoints, skeleton mpii_16 has 16"):
        task.find(np.zeros((40, 40, 3), np.uint8), box, get_skeleton("mpii_16"))


def test_a_network_that_lifts_nothing_is_refused(task):
    with pytest.raises(ValueError, match=r"--lifter must be a lifting model, got SimpleBaseline"):
        lift(task.model, np.zeros((17, 2)), COCO)
