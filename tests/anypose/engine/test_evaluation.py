"""What is scored: how much of it, and of which kind."""

from __future__ import annotations

import pytest

from tests.anypose.engine.toy import ToyTask, make_trainer


def test_so_many_batches_are_scored_as_were_asked_for(tmp_path):
    class Some(ToyTask):
        def metrics(self):
            metrics = super().metrics()
            metrics.in_order = lambda: metrics.state()["error"]
            return metrics

    trainer = make_trainer(tmp_path, task=Some, epochs=1, evaluation_batches=2)
    trainer.fit()
    assert trainer.scores["frames"] == 16  # of 20


def test_a_dataset_of_another_kind_is_refused_in_words(tmp_path):
    class Reads(ToyTask):
        reads = "sequences"

    with pytest.raises(ValueError, match=r"Reads needs a dataset of motion .*; ToyData has nothing of the kind"):
        make_trainer(tmp_path, task=Reads)
