import json

import numpy as np
import pytest

from deploy.capture_figure import read_losses, table


def write(folder, *steps: int) -> None:
    lines = [{"split": "train", "step": step, "loss": step / 100} for step in steps] + [{"split": "validation"}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_losses_are_read_step_by_step(tmp_path):
    write(tmp_path, 1, 2, 3)
    assert read_losses(tmp_path) == [0.01, 0.02, 0.03]


def test_means_over_several_steps_are_no_single_losses(tmp_path):
    write(tmp_path, 5, 10)
    with pytest.raises(ValueError, match=r"must have a line for every step\. Train with trainer\.log_every=1"):
        read_losses(tmp_path)


def test_the_last_ten_are_compared_with_the_same_ten():
    losses, nothing = np.arange(30) / 1000, np.arange(100) / 500
    rows = {row["of"]: row for row in table(losses.tolist(), nothing.tolist())}
    assert rows["last ten losses"]["mean"] == f"{losses[20:].mean():.5f}"
    assert rows["zero predictor, the same crops"]["mean"] == f"{nothing[20:30].mean():.5f}"
    assert rows["zero predictor, the same crops"]["crops"] == 10
    assert rows["zero predictor"]["mean"] == f"{nothing.mean():.5f}"
    assert rows["zero predictor"]["crops"] == 100
