"""COCO's results as pycocotools loads them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anypose.formats.coco_results import CocoSink
from anypose.skeleton import BLAZEPOSE_33, H36M_17
from tests.anypose.formats.dancers import dancers, part


def test_pycocotools_loads_every_person_of_every_frame(tmp_path, capsys) -> None:
    pycocotools = pytest.importorskip("pycocotools.coco", reason="NO PYCOCOTOOLS: pip install 'anypose[image]'")
    motion = dancers(people=2)
    motion.keypoints[4, 1] = np.nan
    motion.keypoints[5, 0, 3] = np.nan
    with CocoSink(tmp_path / "dance_coco.json") as sink:
        sink.write(part(motion, slice(0, 5)))
        assert len(json.loads(sink.path.read_text(encoding="utf-8"))) == 9
        sink.write(part(motion, slice(5, 12)))
    truth = pycocotools.COCO()
    truth.dataset = {"images": [{"id": i} for i in range(12)], "categories": [{"id": 1}], "annotations": []}
    truth.createIndex()
    results = truth.loadRes(str(sink.path))
    assert len(results.anns) == 2 * 12 - 1
    first = results.loadAnns(results.getAnnIds(imgIds=[5]))[0]
    assert np.reshape(first["keypoints"], (17, 3))[3].tolist() == [0, 0, 0]
    np.testing.assert_allclose(np.reshape(first["keypoints"], (17, 3))[4], motion.keypoints[5, 0, 4], atol=6e-3)
    assert first["score"] == pytest.approx(np.delete(motion.keypoints[5, 0, :, 2], 3).mean(), abs=1e-3)


def test_other_keypoints_become_cocos_or_are_refused(tmp_path) -> None:
    points = np.random.default_rng(0).uniform(0, 1, (12, 1, 33, 3)).astype(np.float32)
    with CocoSink(tmp_path / "a_coco.json") as sink:
        sink.write(dancers(keypoints=points, keypoint_skeleton=BLAZEPOSE_33))
    entry = json.loads(sink.path.read_text(encoding="utf-8"))[0]
    assert entry["keypoints"][17 * 3 - 3 :] == pytest.approx(points[0, 0, 28], abs=6e-3)
    with (
        pytest.raises(ValueError, match="h36m_17 cannot be converted to coco_17: 'nose'"),
        CocoSink(tmp_path / "b_coco.json") as sink,
    ):
        sink.write(dancers(keypoint_skeleton=H36M_17))
    assert not (tmp_path / "b_coco.json").exists()
