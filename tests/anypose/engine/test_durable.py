"""An hour of training survives kills, full disks, failing evaluations, clocks and second processes."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from anypose.engine import checkpoint, durable
from anypose.engine.durable import check_file, check_folder, locked, remove_empty
from anypose.engine.progress import Progress
from anypose.engine.run import Run
from anypose.settings import Misuse
from tests.anypose.engine.test_trainer import BreaksAt, records, same, weights
from tests.anypose.engine.toy import ToyMetrics, ToyTask, make_trainer


class Killed(BaseException):
    """As a kill at this moment."""


@pytest.mark.parametrize("at", range(1, 7), ids=lambda at: f"write {at}")
def test_a_kill_between_any_two_files_loses_no_best_and_no_score(tmp_path, monkeypatch, at):
    whole = make_trainer(tmp_path / "whole", learning_rate=0.3)
    whole.fit()
    trainer = make_trainer(tmp_path / "parts", learning_rate=0.3)
    writes, save = [], checkpoint.save

    def dying(path, state):
        if len(writes) == at:
            raise Killed
        writes.append(path)
        save(path, state)

    monkeypatch.setattr(checkpoint, "save", dying)
    with pytest.raises(Killed):
        trainer.fit()
    monkeypatch.setattr(checkpoint, "save", save)
    resumed = make_trainer(tmp_path / "parts", learning_rate=0.3)
    resumed.resume(tmp_path / "parts" / "last.pt")
    resumed.fit()
    assert same(weights(whole), weights(resumed))
    assert records(tmp_path / "whole", "validation") == records(tmp_path / "parts", "validation")
    best = [checkpoint.load(tmp_path / name / "best.pt") for name in ("whole", "parts")]
    assert best[0]["step"] == best[1]["step"]
    assert same(best[0]["model"], best[1]["model"])


def test_an_evaluation_that_fails_keeps_the_weights_of_its_epoch(tmp_path):
    class Fails(ToyTask):
        def predict(self, batch):
            raise RuntimeError("no memory for the evaluation")

    with pytest.raises(RuntimeError, match="no memory"):
        make_trainer(tmp_path, task=Fails).fit()
    assert checkpoint.load(tmp_path / "last.pt")["step"] == 10
    resumed = make_trainer(tmp_path, epochs=1)
    resumed.resume(tmp_path / "last.pt")
    assert resumed.fit() == records(tmp_path, "validation")[-1]["error_mm"]  # scored without a step
    assert [line["step"] for line in records(tmp_path, "validation")] == [10]


@pytest.mark.parametrize("step", [10, 30], ids=["an epoch's last step", "the run's last step"])
def test_a_signal_in_a_last_step_is_scored_when_the_run_goes_on(tmp_path, step):
    class Interrupted(BreaksAt):
        def loss(self, batch):
            self.calls += 1
            if self.calls == step:
                signal.raise_signal(signal.SIGTERM)
            return ToyTask.loss(self, batch)

    with pytest.raises(SystemExit):
        make_trainer(tmp_path / "parts", task=lambda net: Interrupted(net, step)).fit()
    resumed = make_trainer(tmp_path / "parts")
    resumed.resume(tmp_path / "parts" / "last.pt")
    whole = make_trainer(tmp_path / "whole")
    assert resumed.fit() == whole.fit()
    assert records(tmp_path / "whole", "validation") == records(tmp_path / "parts", "validation")


def test_a_line_cut_by_a_full_disk_does_not_block_the_run(tmp_path, caplog):
    caplog.set_level("INFO")
    make_trainer(tmp_path, epochs=1).fit()
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"split": "train", "st\xff')
    resumed = make_trainer(tmp_path, epochs=2)
    resumed.resume(tmp_path / "last.pt")
    resumed.fit()
    assert "A line of metrics.jsonl is damaged and left out" in caplog.text
    assert [line["step"] for line in records(tmp_path, "train")] == [5, 10, 15, 20]


def test_best_pt_holds_the_weights_alone_and_says_so_when_it_is_resumed(tmp_path):
    make_trainer(tmp_path, epochs=1).fit()
    best, last = (checkpoint.load(tmp_path / name) for name in ("best.pt", "last.pt"))
    assert set(best) == {"format", "model", "config", "choices", "step", "epoch", "metrics"}
    assert same(best["model"], last["model"])
    with pytest.raises(
        ValueError, match=r"best\.pt holds weights but no batch, best, optimizer, .*last\.pt.*init=FILE"
    ):
        make_trainer(tmp_path).resume(tmp_path / "best.pt")


def test_a_resumed_run_may_lie_in_another_folder_and_takes_its_past_along(tmp_path):
    make_trainer(tmp_path / "a", epochs=1).fit()
    resumed = make_trainer(tmp_path / "b", epochs=2, learning_rate=0.0001)
    resumed.resume(tmp_path / "a" / "last.pt")
    resumed.fit()
    assert [line["step"] for line in records(tmp_path / "b", "train")] == [5, 10, 15, 20]
    assert (tmp_path / "b" / "best.pt").is_file()


def test_fewer_batches_inside_an_epoch_are_refused_and_between_epochs_trained(tmp_path):
    from tests.anypose.engine.toy import ToyData

    make_trainer(tmp_path / "inside", max_steps=4).fit()
    with pytest.raises(ValueError, match=r"inside an epoch, at batch 4 of 10, and an epoch .* has 3 now"):
        make_trainer(tmp_path / "inside", data=ToyData(train=24)).resume(tmp_path / "inside" / "last.pt")
    make_trainer(tmp_path / "between", epochs=2).fit()
    resumed = make_trainer(tmp_path / "between", epochs=3, data=ToyData(train=24))
    resumed.resume(tmp_path / "between" / "last.pt")
    resumed.fit()
    assert resumed.step == 23, "the third epoch is trained although it ends before step 30"


def test_no_epochs_score_what_init_holds(tmp_path):
    first = make_trainer(tmp_path / "first", epochs=1)
    score = first.fit()
    second = make_trainer(tmp_path / "second", epochs=0, seed=3)
    second.start_from(tmp_path / "first" / "last.pt")
    assert second.fit() == pytest.approx(score)
    assert second.step == 0


def test_a_first_score_that_is_no_number_is_not_the_best_for_ever(tmp_path):
    done = Progress(step=1)
    assert not done.take({}, float("nan"), False)
    assert done.best is None
    assert done.take({}, 5.0, False)
    assert not done.take({}, float("nan"), False)
    assert not done.take({}, float("-inf"), False)
    assert done.best == 5.0
    assert Progress(best=float("nan")).take({}, 7.0, True)  # from a run of before

    class Nothing(ToyMetrics):
        def compute(self):
            return super().compute() | {"error_mm": float("nan")}

    class Scoreless(ToyTask):
        def metrics(self):
            return Nothing()

    with pytest.raises(ValueError, match=r"error_mm after the last step, 10, is nan: predictions are not finite"):
        make_trainer(tmp_path, task=Scoreless, epochs=1).fit()
    assert (tmp_path / "last.pt").is_file()
    assert not (tmp_path / "best.pt").exists()
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["error_mm"] is None
    (line,) = records(tmp_path, "validation")
    assert (line["error_mm"], line["non_finite"]) == (None, ["error_mm"])
    again = make_trainer(tmp_path, task=Scoreless, epochs=2)
    again.resume(tmp_path / "last.pt")
    assert again.done.scores["error_mm"] != again.done.scores["error_mm"]


@pytest.mark.parametrize("log_every", [1, 7, 50])
def test_a_run_whose_every_step_overflows_stops_however_often_it_logs(tmp_path, log_every):
    class Overflows(ToyTask):
        def loss(self, batch):
            loss, terms = super().loss(batch)
            return loss + (self.model.last.weight.flatten()[0] * 0).sqrt(), terms

    trainer = make_trainer(tmp_path, task=Overflows, level="o2", loss_scale="dynamic", epochs=9, log_every=log_every)
    with pytest.raises(ValueError, match=r"Each of the last \d+ steps overflowed fp16"):
        trainer.fit()
    assert trainer.step <= 60


@pytest.mark.slow
def test_two_processes_do_not_write_one_folder(tmp_path):
    with Run(tmp_path, {}, {"model": "a"}, [], writes=True):
        script = "\n".join(
            [
                "from pathlib import Path",
                "from anypose.engine.run import Run",
                f"Run(Path({str(tmp_path)!r}), {{}}, {{}}, [], True).__enter__()",
            ]
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path.cwd())
        assert f"is being written by another process (process {os.getpid()})" in done.stderr
    with locked(tmp_path, "x"):
        pass
    assert not (tmp_path / ".lock").exists()


def test_a_start_that_fails_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no data"), Run(Path("runs/a/1"), {}, {"model": "a"}, [], True):
        raise ValueError("no data")
    assert list(tmp_path.iterdir()) == []
    Path("runs/a/kept").mkdir(parents=True)
    Path("runs/b/1").mkdir(parents=True)
    remove_empty(Path("runs/b/1"))
    assert Path("runs/a/kept").is_dir()
    assert not Path("runs/b").exists()
    remove_empty(Path("."))
    assert tmp_path.is_dir()


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("grad_clip_norm", -1, "trainer.grad_clip_norm must be a positive number, or null"),
        ("grad_clip_norm", 0, "trainer.grad_clip_norm must be a positive number, or null"),
        ("grad_clip_norm", float("nan"), "trainer.grad_clip_norm must be a positive number, or null"),
        ("workers", -1, "trainer.workers must be a whole number of at least 0, got -1"),
        ("workers", 10**6, "trainer.workers=1000000 processes are more than"),
        ("evaluation_batch_size", 0, "trainer.evaluation_batch_size must be a whole number of at least 1, got 0"),
        ("learning_rate", 0.0, "optimizer.lr must be a positive number, got 0.0"),
        ("capture", "abc", "trainer.capture must be auto or never, got 'abc'"),
    ],
)
def test_settings_that_train_nothing_or_uphill_are_refused(tmp_path, setting, value, message):
    with pytest.raises(ValueError, match=message):
        make_trainer(tmp_path, **{setting: value})


def test_a_rate_that_nothing_learns_at_is_warned_of(tmp_path, caplog):
    make_trainer(tmp_path, learning_rate=1e6)
    assert "optimizer.lr=1e+06 is far above what learns" in caplog.text


@pytest.mark.parametrize("check", [check_folder, check_file])
def test_where_things_are_written_is_judged_before_the_work_and_nothing_is_left(tmp_path, check):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.iterdir())
    assert check(tmp_path / "a" / "b", "output") == tmp_path / "a" / "b"
    for path, told in (
        (tmp_path / "file" / "a" / "b", f"output={tmp_path}/file/a/b cannot be written: {tmp_path}/file is a file"),
        (tmp_path / "link" / "a", "is a link to what is not there"),
        (tmp_path / ("x" * 256) / "a", "names have 255 bytes at most"),
    ):
        with pytest.raises(Misuse, match=re.escape(told)):
            check(path, "output")
    with pytest.raises(OSError, match=r"^--out /proc/a/b cannot be written: /proc: .*\. Choose another\.$"):
        check("/proc/a/b", "--out")
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_is_no_file_to_write(tmp_path):
    with pytest.raises(Misuse, match="is a folder, and must name a file"):
        check_file(tmp_path, "predictions")


def test_a_file_system_that_locks_nothing_is_not_another_process(tmp_path, monkeypatch):
    def refuse(_file):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(durable, "_hold", refuse)
    with pytest.raises(OSError, match=r"its file system locks no files \(No locks available\)"), locked(tmp_path, "x"):
        pass
