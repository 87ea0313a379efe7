from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as command
from benchmarks import measuring
from benchmarks.harness import Row, Spread, WrongResult


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mpl"], "nothing is called mpl; there are agformer, chunks, eval, floors, mdn, mlp"),
        (["--check"], "add --cpu-time"),
        (["--set-thresholds", "--threads", "2"], "add --cpu-time"),
        (["--cpu-time", "--threads", "2"], "not allowed with argument"),
        (["--cpu-time", "--device", "cuda"], "--device cuda works elsewhere"),
        (["--precision", "tf32", "--device", "cpu"], "--precision tf32 is of cuda, this is --device cpu"),
        (["--peer-dir", "nowhere/at/all"], "--peer-dir nowhere/at/all is not a folder"),
    ],
)
def test_a_command_that_makes_no_sense_is_answered_with_a_sentence(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        command.parse(arguments)
    assert message in capsys.readouterr().err


def test_processor_time_is_of_the_cpu():
    assert command.parse(["--cpu-time"]).device == "cpu"


def test_a_wrong_fast_path_is_named_and_fails_the_command_after_the_others_ran(monkeypatch, capsys):
    def wrong(settings):
        raise WrongResult("'a' differs from b by 1")
        yield

    def right(settings):
        yield Row("c", "", Spread(1, 1, 1))

    monkeypatch.setattr(measuring, "partner", lambda *_: nullcontext())
    monkeypatch.setattr(measuring, "case", lambda name: SimpleNamespace(run={"mlp": wrong, "floors": right}[name]))
    assert command.main(["mlp", "floors", "--cpu-time", "--quick"]) == 1
    out, err = capsys.readouterr()
    assert "c  " in out
    assert "mlp: 'a' differs from b by 1" in err


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])  # which a CPU need not have products for
def test_ceilings_are_measured_and_printed(capsys, precision):
    assert command.main(["floors", "--cpu-time", "--quick", "--precision", precision]) == 0
    out = capsys.readouterr().out
    assert "torch.mm" in out
    assert "GB/s" in out
    assert "processor time" in out
