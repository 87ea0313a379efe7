"""The capture network's way from maps to people in metres, with whatever the chip lacks refused."""

import torch

from anypose.engine.task import Loading
from pose3d.capture.fields import draw_fields, draw_heatmaps
from pose3d.capture.layout import BODY
from tests.pose3d.task.test_orientation_fields import Oracle, make_task, rendered


def test_people_are_assembled_and_lifted_with_operators_the_chip_has(strict):
    npu = torch.device("npu", 0)
    model = Oracle().to(npu)
    task = make_task(model, size=208, evaluator="fast", augment=None, mask="none")
    loading = Loading(2, seed=0, drop_last=False)
    task.batches(rendered(2), True, loading, npu)
    first, second = (list(side) for side in zip(*BODY.limbs, strict=True))
    scores = None
    for batch in task.batches(rendered(2), False, loading, npu).epoch(0):
        keypoints, labelled = batch["keypoints"], batch["labelled"]
        model.heatmaps = draw_heatmaps(keypoints, labelled, 26, 26, 8)
        limbs = labelled[:, :, first] & labelled[:, :, second]
        model.fields = draw_fields(BODY, keypoints, batch["directions"], limbs, 26, 26, 8)
        scores = scores or task.metrics()
        with torch.no_grad():
            prediction = task.predict(batch)
        assert prediction["joints"].device.type == "npu"
        scores.update(prediction, batch)
    assert scores is not None
    found = scores.compute()
    assert found["ap"] > 80
    assert found["p_mpjpe_mm"] < 30
