"""What goes wrong is told in sentences, with the code that says whose fault it was."""

from __future__ import annotations

import ast
import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from hydra.utils import instantiate

from anypose.engine import device as devices
from anypose.engine import schedule
from anypose.engine.interruptions import leave_at_once
from anypose.engine.place import ROOT
from anypose.engine.sentences import PACKAGES, check_words, is_misuse, told
from anypose.engine.settings import check_settings, check_stored
from anypose.settings import Misuse
from tests.anypose.engine.toy import make_trainer
from tests.composing import composed

WRONG = [
    ("seed=abc", "seed must be a whole number, got 'abc'."),
    ("seed=-1", "seed must be a whole number from 0 to 4294967295, got -1."),
    ("seed=1.5", "seed must be a whole number, got 1.5."),
    ("model.linear_size=abc", "model.linear_size must be a whole number, got 'abc'."),
    ("model.dropout=abc", "model.dropout must be a number, got 'abc'."),
    ("model.batch_norm=3", "model.batch_norm must be true or false, got 3."),
    ("dataset.frames=abc", "dataset.frames must be a whole number, got 'abc'."),
    ("dataset.frames=null", "dataset.frames must be a whole number, got null."),
    ("dataset.frames=[3]", "dataset.frames must be a whole number, got [3]."),
    ("optimizer.lr=nan", "optimizer.lr must be a number, got nan, which is no number."),
    ("trainer.grad_clip_norm=nan", "got nan, which is no number."),
    ("trainer.workers=abc", "trainer.workers must be a whole number, got 'abc'."),
    ("trainer.linear_scaling=abc", "trainer.linear_scaling must be true or false, got 'abc'."),
    ("pictures=abc", "pictures must be true or false, got 'abc'."),
    ("task.loss=abc", "task.loss must be standardised_mse or mpjpe, got 'abc'."),
    ("dataset.camera_distance=[1,a]", "dataset.camera_distance must be a list [a number"),
    ("device.index=abc", "device.index must be a whole number or null, got 'abc'."),
    ("schedule.decay=abc", "schedule.decay must be a number, got 'abc'."),
    ("dataset.num_cameras=99999999999999999999", "which is more than 64 bits hold."),
    ("dataset.frames=true", "dataset.frames must be a whole number, got True."),
    ("dataset.actions={a:1}", "dataset.actions must be a list [a word] or null, got {'a': 1}."),
    ("trainer.epochs=[3]", "trainer.epochs must be a whole number, got [3]."),
]


@pytest.mark.parametrize(("override", "sentence"), WRONG)
def test_a_setting_of_another_kind_is_named_with_what_it_may_be(override, sentence):
    with pytest.raises(ValueError, match=override.split("=")[0]) as caught:
        check_settings(composed("train", override), "train")
    assert sentence in str(caught.value)


def test_one_word_is_a_list_of_one_and_a_number_may_be_a_name():
    cfg = composed("train", "dataset.actions=Walking")
    check_settings(cfg, "train")
    assert cfg.dataset.actions == ["Walking"]
    cfg = composed("train", "dataset.frames=4.0", "trainer.epochs=2.0", "dataset.actions=[Walking,7]")
    check_settings(cfg, "train")
    assert (cfg.dataset.frames, cfg.trainer.epochs, cfg.dataset.actions) == (4, 2, ["Walking", "7"])
    assert {type(cfg.dataset.frames), type(cfg.trainer.epochs)} == {int}
    cfg = composed("train", "dataset=cmu", "dataset.validation_subjects=8", "dataset.train_subjects=[7,'09']")
    check_settings(cfg, "train")
    assert (cfg.dataset.validation_subjects, cfg.dataset.train_subjects) == (["8"], ["7", "09"])


@pytest.mark.parametrize("dataset", ["h36m_npz", "h36m_cdf", "h36m_h5", "h36m_mmpose", "h36m_motionbert"])
def test_what_a_constructor_hands_on_is_judged_alike(dataset, capsys):
    cfg = composed("train", f"dataset={dataset}", "dataset.frame_step=abc")
    code, said = ended(lambda: instantiate(cfg.dataset), capsys)
    assert code == 2
    assert "dataset.frame_step must be a whole number, got 'abc'." in said


def test_a_stored_setting_of_another_kind_names_its_file():
    cfg = composed("train", "dataset.frames=abc")
    with pytest.raises(ValueError, match=r"^a\.pt: dataset\.frames must be a whole number, got 'abc'\.$") as caught:
        check_stored(cfg, "a.pt")
    assert not isinstance(caught.value, Misuse), "the file is wrong, not the command"


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("baseline3d", "'baseline3d' is no setting. A setting is key=value: model=baseline3d"),
        ("dataset.root=数据/人", "\"dataset.root='数据/人'\""),
        ("dataset.root=a=b", "\"dataset.root='a=b'\""),
        ("dataset.root=a #b", "\"dataset.root='a #b'\""),
        ("dataset.root=~/x", "\"dataset.root='~/x'\""),
        ("dataset.root=it's", "'dataset.root=\"it'\"'\"'s\"'"),
        ("source=[数.mp4,'a b.mp4']", "\"source=['数.mp4','a b.mp4']\""),
        ("dataset.root=a[1]", "\"dataset.root='a[1]'\""),
    ],
)
def test_a_word_that_cannot_be_read_is_shown_as_it_must_be_typed(word, part):
    (line,) = check_words(["-m", "seed=0,1", word])
    assert part in line


def ended(action: Callable[[], object], capsys, **about) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop, told(**about):
        action()
    return stop.value.code, capsys.readouterr().err


def fail(error: BaseException) -> Callable[[], object]:
    def action() -> object:
        raise error

    return action


def test_the_code_says_done_failed_misused_or_interrupted(capsys, tmp_path, monkeypatch):
    with told():
        pass
    with pytest.raises(ValueError, match="told by tests"), told():
        raise ValueError("told by tests, which are not ours")
    assert ended(fail(KeyboardInterrupt()), capsys)[0] == 130
    assert ended(lambda: signal.raise_signal(signal.SIGTERM), capsys) == (
        143,
        "Ended by SIGTERM. Nothing was saved since the last line that says so.\n",
    )
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert ended(lambda: check_settings(composed("train", "seed=abc"), "train"), capsys)[0] == 2
    assert ended(fail(ValueError("x")), capsys, started=lambda: False, hints=lambda: ["a typo"]) == (2, "a typo\n")
    assert ended(lambda: make_trainer(tmp_path, batch_size=0), capsys)[0] == 2
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(KeyboardInterrupt), told():
        raise KeyboardInterrupt
    assert issubclass(Misuse, ValueError)


def test_a_batch_of_one_that_batch_normalisation_cannot_take_is_told(tmp_path, capsys):
    """Torch says so in its own words, at the first step."""
    trainer = make_trainer(tmp_path, batch_size=1)
    code, said = ended(trainer.fit, capsys)
    assert (code, said.partition(":")[0]) == (2, "Batch normalisation knows no statistics of a single sample")


@pytest.mark.parametrize("stumbled", [AttributeError, AssertionError])  # foreseen and not
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_a_library_raises_while_a_signal_ends_it_is_that_signal_s_end(capsys, number, stumbled):
    def action():
        try:
            signal.raise_signal(number)
        finally:
            raise stumbled("of a library")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let what runs behind them ignore it
    try:
        code, said = ended(action, capsys)
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 128 + number
    assert said.endswith("Nothing was saved since the last line that says so.\n")


@pytest.mark.parametrize(("program", "ends"), [("train.py", True), ("anypose/__main__.py", True), ("mine.py", False)])
def test_ctrl_c_while_a_command_of_ours_imports_leaves_no_traceback(monkeypatch, program, ends):
    class Left(BaseException):
        pass

    monkeypatch.setattr(os, "_exit", lambda code: fail(Left(code))())
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(ROOT / program), raising=False)
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        leave_at_once()
        with pytest.raises(Left if ends else KeyboardInterrupt) as ended_by:
            signal.raise_signal(signal.SIGINT)
        assert ended_by.value.args == ((130,) if ends else ())
        with told():
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_sigterm_ends_the_forked_as_it_ends_processes():
    with told():
        child = os.fork()
        if not child:
            signal.raise_signal(signal.SIGTERM)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EISDIR])
def test_what_the_system_says_of_a_file_is_passed_on(capsys, number):
    code, said = ended(fail(OSError(number, os.strerror(number), "runs/a")), capsys)
    assert code == 1
    assert said == f"runs/a: {os.strerror(number)}.\n"


def test_too_little_memory_names_what_takes_it(capsys):
    code, said = ended(lambda: torch.empty(1 << 60), capsys)
    assert code == 1
    assert "The memory does not suffice" in said
    assert "trainer.batch_size" in said
    assert ended(fail(MemoryError()), capsys)[0] == 1


@pytest.mark.parametrize("decay", [0, -1, 2, float("inf")])
def test_a_decay_must_let_something_be_learned(decay):
    for make in (
        lambda: schedule.PerEpoch(decay, 0, None),
        lambda: schedule.Exponential(decay, 10, 0, None),
        lambda: schedule.MultiStep([1], "epoch", decay, 0, None),
    ):
        with pytest.raises(ValueError, match=r"schedule\.decay must lie above 0 and be at most 1"):
            make()


def test_a_cpu_is_one_device():
    with pytest.raises(ValueError, match=r"device.index=3 names no device: device=cpu is one"):
        devices.Cpu(index=3, deterministic=False, keep_memory=False)


def test_what_an_optimiser_refuses_is_said_of_its_section(tmp_path):
    with pytest.raises(ValueError, match=r"optimizer refuses its settings: Invalid learning rate: -1"):
        make_trainer(tmp_path, learning_rate=-1)


SETTING = re.compile(r"(dataset|model|task|optimizer|schedule|trainer|precision|device)\.[\w.]*(?P<end>.*)", re.DOTALL)


def value_errors(text: str) -> Iterator[tuple[int, str]]:
    """(line, beginning of the message) of every `raise ValueError(...)`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            message = node.exc.args[0]
            first = message.values[0] if isinstance(message, ast.JoinedStr) and message.values else message
            if ast.unparse(node.exc.func) == "ValueError" and isinstance(first, ast.Constant):
                yield node.lineno, str(first.value)


@pytest.mark.slow
def test_what_is_said_of_a_setting_first_is_misuse_of_it():
    """So the code that a command ends with is known where something is raised, and is not read out of a message."""
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {said}"
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        for line, said in value_errors(file.read_text(encoding="utf-8"))
        if (found := SETTING.match(said)) and found["end"][:1] in ("", " ", "=")
    ]
    assert not wrong
    assert list(value_errors("raise ValueError(f'task.loss={x} is none.')")) == [(1, "task.loss=")]


@pytest.mark.parametrize(
    ("error", "code"),
    [(Misuse("task.loss=x"), 2), (ValueError("task.loss=x is said of a file"), 1), (OSError(errno.EACCES, "no"), 1)],
)
def test_only_misuse_is_the_user_s_fault(error, code):
    assert is_misuse(error, started=True) == (code == 2)
