"""Two people walk, written the way everybody else writes keypoints."""

from __future__ import annotations

import csv
import json

import numpy as np

from anypose.formats.keypoint_columns import MEDIAPIPE

SIZE = (640, 480)
RNG = np.random.default_rng(7)


def people(K, T=4, P=2):
    """(T, P, K, 3) in a picture of 640x480, one point of one person not found."""
    points = RNG.uniform([1, 1, 0.1], [640, 480, 1], (T, P, K, 3)).round(3)
    points[1, 0, 3] = 0
    return points


def write(path, data):
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def openpose(points):
    return {
        "version": 1.3,
        "people": [{"person_id": [-1], "pose_keypoints_2d": person.ravel().tolist()} for person in points],
    }


def landmarks(person):
    return [{"x": x / 640, "y": y / 480, "z": 0.1, "visibility": s} for x, y, s in person.tolist()]


def as_openpose_folder(tmp, points):
    folder = tmp / "json"
    folder.mkdir()
    for t, frame in enumerate(points):
        write(folder / f"walk_{t:012d}_keypoints.json", openpose(frame))
    return folder


def as_alphapose(tmp, points):
    entries = [
        {
            "image_id": f"{t}.jpg",
            "category_id": 1,
            "keypoints": person.ravel().tolist(),
            "score": 2.5,
            "idx": p + 1,
            "box": [1, 2, 3, 4],
        }
        for t, frame in enumerate(points)
        for p, person in enumerate(frame)
    ]
    return write(tmp / "alphapose-results.json", entries)


def as_alphapose_open(tmp, points):
    return write(tmp / "alpha.json", {f"{t}.jpg": openpose(frame) for t, frame in enumerate(points)})


def as_alphapose_cmu_folder(tmp, points):
    folder = tmp / "sep-json"
    folder.mkdir()
    for t, frame in enumerate(points):
        bodies = [{"joints": person.ravel().tolist()} for person in frame]
        write(folder / f"{t}.json", {"version": "AlphaPose v0.3", "bodies": bodies})
    return folder


def as_coco_results(tmp, points):
    entries = [
        {"image_id": t, "category_id": 1, "keypoints": person.ravel().tolist(), "score": 0.9}
        for t, frame in enumerate(points)
        for person in frame
    ]
    return write(tmp / "results.json", entries)


def as_ultralytics(tmp, points):
    frames = [
        [
            {
                "name": "person",
                "class": 0,
                "confidence": 0.9,
                "track_id": p + 1,
                "box": {"x1": 1},
                "keypoints": dict(zip(("x", "y", "visible"), person.T.tolist(), strict=True)),
            }
            for p, person in enumerate(frame)
        ]
        for frame in points
    ]
    return write(tmp / "yolo.json", frames)


def instance(person):
    return {
        "keypoints": person[:, :2].tolist(),
        "keypoint_scores": person[:, 2].tolist(),
        "bbox": [[1, 2, 3, 4]],
        "bbox_score": 1.0,
    }


def as_mmpose(tmp, points, **meta):
    info = [{"frame_id": t + 1, "instances": [instance(person) for person in frame]} for t, frame in enumerate(points)]
    return write(tmp / "mmpose.json", {"meta_info": meta, "instance_info": info})


def as_mmpose_list(tmp, points):
    return write(tmp / "mmpose.json", [[[instance(person) for person in frame]] for frame in points])


def as_mediapipe(tmp, points):
    return write(
        tmp / "mp.json",
        [{"frame": t, "pose_landmarks": [landmarks(p) for p in frame]} for t, frame in enumerate(points)],
    )


def as_mediapipe_legacy(tmp, points):
    return write(
        tmp / "mp.json", {"frames": [{"poseLandmarks": {"landmark": landmarks(frame[0])}} for frame in points]}
    )


def as_mediapipe_long(tmp, points):
    with (tmp / "mp.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["frame", "landmark", "x", "y", "z", "visibility"])
        for t, frame in enumerate(points):
            for name, point in zip(MEDIAPIPE, landmarks(frame[0]), strict=True):
                table.writerow([t, name.upper() if t % 2 else name, point["x"], point["y"], 0, point["visibility"]])
    return tmp / "mp.csv"


def as_mediapipe_wide(tmp, points):
    with (tmp / "mp.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([f"{axis}{i}" for i in range(1, 34) for axis in ("x", "y", "z", "v")])
        for frame in points:
            table.writerow([p[axis] for p in landmarks(frame[0]) for axis in ("x", "y", "z", "visibility")])
    return tmp / "mp.csv"


def as_rtmlib(tmp, points, **more):
    np.savez(tmp / "rtm.npz", keypoints=points[..., :2], scores=points[..., 2], **more)
    return tmp / "rtm.npz"


def as_detectron(tmp, points):
    frames = np.empty(len(points), dtype=object)
    for t, frame in enumerate(points):
        four = np.stack([frame[..., 0], frame[..., 1], frame[..., 2] * 7, frame[..., 2]], 1).astype(np.float32)
        frames[t] = [[], four]
    np.savez_compressed(
        tmp / "walk.mp4.npz", boxes=frames, segments=frames, keypoints=frames, metadata={"w": 640, "h": 480}
    )
    return tmp / "walk.mp4.npz"


def as_videopose3d(tmp, points):
    meta = {
        "layout_name": "coco",
        "num_joints": 17,
        "keypoints_symmetry": [[1, 3], [2, 4]],
        "video_metadata": {"walk": {"w": 640, "h": 480}},
    }
    positions = {"walk": {"custom": [points[:, 0, :, :2]]}}
    np.savez_compressed(tmp / "data_2d_custom_walk.npz", metadata=meta, positions_2d=positions)
    return tmp / "data_2d_custom_walk.npz"
