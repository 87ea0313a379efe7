from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pose3d.dataset.redrawn_people import RedrawnPeople
from pose3d.motion.missing_joints import NONE

CONF = Path(__file__).parents[3] / "conf" / "dataset" / "redrawn_people.yaml"


class Source:
    def __init__(self, name: str) -> None:
        self.name, self.keypoint_source, self.actions, self.notes = name, f"{name}'s", (name,), (f"of {name}",)
        self.missing_joints = NONE

    def sequences(self, split: str) -> list:
        return [f"{self.name} {split}"]


def people(**options) -> RedrawnPeople:
    settings = yaml.safe_load(CONF.read_text(encoding="utf-8"))
    settings = {key: value for key, value in settings.items() if key not in ("defaults", "_target_")}
    given = {"invented": Source("invented"), "recorded": Source("recorded"), "more": Source("more")}
    return RedrawnPeople(**{**settings, **given, **options})


def test_all_motion_trains_and_one_source_is_scored():
    data = people(validation="recorded")
    assert data.sequences("train") == ["recorded train", "more train", "invented train"]
    assert data.sequences("validation") == ["recorded validation"]
    assert (data.keypoint_source, data.actions) == ("recorded's", ("recorded",))
    assert data.name == "recorded, trained on people redrawn from recorded and more and invented"
    assert data.notes == ("of recorded", "of more", "of invented")
    assert people(recorded=None, more=None).sequences("train") == ["invented train"]


def test_bodies_are_there_where_a_share_is_asked_for(made_up, monkeypatch):
    assert people().redraw.bodies is None
    bodies = people(anny_share=0.4).redraw.bodies
    assert bodies.share == 0.4
    assert [layout.name for layout in bodies.layouts] == ["coco_17", "blazepose_33", "mpii_16", "h36m_17"]
    monkeypatch.setattr("pose3d.body.captured.FILE", "no such file")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"dataset.anny_share needs the package anny: pip install 'anypose\[body\]'"):
        people(anny_share=0.4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"validation": "recorded", "recorded": None},
            "dataset.validation=recorded must be one that is there, invented",
        ),
        ({"recombination": 1.5}, r"dataset.recombination=1.5 must lie in \[0, 1\]"),
        ({"limb_turns": 120}, r"dataset.limb_turns=120 must lie in \[0, 90\] degrees"),
        ({"camera_pitch": [3]}, r"dataset.camera_pitch=\[3\] must be \[low, high\]"),
        ({"anny_share": -0.5}, "dataset.anny_share must be .*-0.5"),
        ({"points": ["coco", "nobody"]}, r"dataset.points=\['coco', 'nobody'\] must be one or more .* no nobody"),
    ],
)
def test_settings_are_refused_by_their_name(options, message):
    with pytest.raises(ValueError, match=message):
        people(**options)
