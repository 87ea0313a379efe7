"""Keypoints by hand as their makers' documentation has them, with what real recordings have: nobody, gaps, ids."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anypose.formats.keypoints import read_keypoints

# OpenPose's doc/02_output.md and getPoseBodyPartMapping(COCO_18), (MPI_15) and (BODY_25B).
LIMBS = "RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle"
COCO = f"Nose Neck {LIMBS} REye LEye REar LEar"
MPI = f"Head Neck {LIMBS} Chest"
BODY_25B = (
    "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle RAnkle "
    "Neck HeadTop LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"
)
# What its points are here where names differ. Neck is the shoulders' middle in COCO, MPII's upper neck in the others.
OURS = {"LAnkle": "left_foot", "RAnkle": "right_foot", "Head": "head_top", "Chest": "spine"}


def person(names: str, left: float = 100) -> dict:
    """Its point i lies at (left + i, 200 + i); hands and face as OpenPose writes them beside it."""
    points = [number for i in range(len(names.split())) for number in (left + i, 200 + i, 0.875)]
    empty = {f"{part}_keypoints_2d": [] for part in ("face", "hand_left", "hand_right")}
    return {"person_id": [-1], "pose_keypoints_2d": points, **empty, "pose_keypoints_3d": []}


@pytest.mark.parametrize(
    ("names", "skeleton", "neck"),
    [(COCO, None, "shoulders"), (MPI, None, "upper_neck"), (BODY_25B, "body_25b", "upper_neck")],
)
def test_openposes_other_models_have_their_published_order(tmp_path, names, skeleton, neck) -> None:
    path = tmp_path / "walk_000000000000_keypoints.json"
    path.write_text(json.dumps({"version": 1.3, "people": [person(names)]}), encoding="utf-8")
    motion = read_keypoints(path, skeleton)
    for i, name in enumerate(names.split()):
        joint = OURS.get(name, neck if name == "Neck" else None)
        joint = joint or "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]
        joint = joint.replace("l_", "left_", 1) if name[0] == "L" else joint
        joint = joint.replace("r_", "right_", 1) if name[0] == "R" else joint
        found = motion.keypoints[0, 0, motion.keypoint_skeleton.index(joint)]
        assert found.tolist() == [100 + i, 200 + i, 0.875], name


def test_openposes_folder_of_several_people_nobody_and_frames_that_are_not_there(tmp_path) -> None:
    frames = {100: [100, 300], 101: [], 102: [300], 105: [110, 310, 500]}
    for number, lefts in frames.items():
        people = [person(COCO, left) for left in lefts]
        path = tmp_path / f"cam 2_{number:012d}_keypoints.json"
        path.write_text(json.dumps({"version": 1.3, "people": people, "part_candidates": []}), encoding="utf-8")
    motion = read_keypoints(tmp_path, rate=50)
    assert motion.times == pytest.approx(np.array([100, 101, 102, 105]) / 50)
    assert np.isfinite(motion.keypoints[:, :, 0, 0]).sum(axis=1).tolist() == [2, 0, 1, 3]
    assert motion.facts["tracked"] is False


@pytest.mark.parametrize(
    ("ids", "tracked", "found"),
    [
        ([[[0.0], [0.0]], [0.0]], False, [1, 2]),  # no tracker, which is AlphaPose's default
        ([[3.0], [[7.0], [9.0]]], True, [3, 7]),  # --pose_track, boxes put together by its suppression
        ([1, 2], True, [1, 2]),  # --pose_flow
    ],
)
def test_alphaposes_idx_is_a_person_where_it_tracked(tmp_path, ids, tracked, found) -> None:
    entries = [
        {"image_id": f"{t}.jpg", "category_id": 1, "keypoints": [9.0, 8, 0.5] * 17, "score": 2.9, "box": [], "idx": idx}
        for t in (0, 1)
        for idx in ids
    ]
    (tmp_path / "alphapose-results.json").write_text(json.dumps(entries), encoding="utf-8")
    motion = read_keypoints(tmp_path / "alphapose-results.json", "coco_17")
    assert (motion.facts["tracked"], motion.ids.tolist()) == (tracked, found)


@pytest.mark.parametrize("told", [True, False])
def test_shares_of_the_picture_become_pixels_or_its_size_is_asked_for(tmp_path, told) -> None:
    """--keypoint_scale 3 of OpenPose; ControlNet's documents also say the size."""
    shares = {"people": [{"pose_keypoints_2d": [0.25, 0.5, 0.9] * 17 + [0, 0, 0]}]}
    frames = [shares | ({"canvas_width": 640, "canvas_height": 480} if told else {})]
    (tmp_path / "a.json").write_text(json.dumps(frames), encoding="utf-8")
    if not told:
        with pytest.raises(ValueError, match=r"a\.json has shares of the picture, none above 1\. Say its size="):
            read_keypoints(tmp_path / "a.json")
    motion = read_keypoints(tmp_path / "a.json", size=None if told else (640, 480))
    assert motion.size == (640, 480)
    assert motion.keypoints[0, 0, 0, :2].tolist() == [160, 240]
    assert np.isnan(motion.keypoints[0, 0, 17]).all(), "which was not found"


def test_ultralytics_shares_are_its_normalize(tmp_path) -> None:
    keypoints = {"x": [0.5] * 17, "y": [0.25] * 17, "visible": [0.9] * 17}
    frame = [{"name": "person", "class": 0, "confidence": 0.9, "box": {}, "keypoints": keypoints}]
    (tmp_path / "a.json").write_text(json.dumps([frame, [], frame]), encoding="utf-8")
    motion = read_keypoints(tmp_path / "a.json", "coco_17", (640, 480))
    assert motion.keypoints[2, 0, 16].tolist() == pytest.approx([320, 120, 0.9])
    assert np.isnan(motion.keypoints[1]).all()
