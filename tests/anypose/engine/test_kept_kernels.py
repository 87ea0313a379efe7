"""What replaced layers of a network in a run does so again where the run goes on."""

import json
from functools import partial

from anypose.kernels.swap import Kernels
from tests.anypose.engine.test_trainer import same, weights
from tests.anypose.engine.toy import make_trainer


def test_what_replaces_layers_is_kept_and_taken_again(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "anypose.kernels.swap.ratios", lambda modules, calls, ways: {name: 0.5 for name in ways if name == "packed"}
    )
    auto = partial(Kernels, "auto")
    whole = make_trainer(tmp_path / "whole", kernels=auto, epochs=2)
    (tmp_path / "whole").mkdir(exist_ok=True)
    (tmp_path / "whole" / "environment.json").write_text("{}", encoding="utf-8")
    whole.fit()
    assert whole.kernels.choice == {"dropout": "packed"}
    assert json.loads((tmp_path / "whole" / "environment.json").read_text(encoding="utf-8"))["kernels"] == {
        "dropout": "packed"
    }
    make_trainer(tmp_path / "half", kernels=auto, epochs=1).fit()
    monkeypatch.setattr("anypose.kernels.swap.ratios", None)  # nothing is measured again
    rest = make_trainer(tmp_path / "half", kernels=auto, epochs=2)
    rest.resume(tmp_path / "half" / "last.pt")
    rest.fit()
    assert rest.kernels.choice == {"dropout": "packed"}
    assert same(weights(whole), weights(rest))
