"""A setting that cannot be, or that changes nothing, is named."""

from __future__ import annotations

import pytest

from pose3d.predict.settings import check_effects, complete


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"height": 178}, r"height=178 must be metres, 0.3 to 3"),
        ({"focal": 0}, r"focal=0 must be pixels"),
        ({"gaps": -1}, r"gaps=-1 must be seconds"),
        ({"fps": 0}, r"fps=0 must be frames a second"),
        ({"smooth_legs": "much"}, r"smooth_legs=much must be seconds"),
        ({"keypoints": {"min_score": 5}}, r"keypoints.min_score=5 must be a score, 0 to 1"),
        ({"swaps": "yes"}, r"swaps=yes must be true or false"),
        ({"people": "one"}, r"people=one must be at least 1, or null for everyone"),
        ({"people": True}, r"people=True must be at least 1"),
        ({"size": [100]}, r"size=\[100\] must be the picture's width and height"),
        ({"size": "large"}, r"size=large must be the picture's width and height"),
        ({"hight": 1.8}, r"no setting hight. Did you mean height"),
    ],
)
def test_a_setting_that_cannot_be_is_named(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        complete(given)


@pytest.mark.parametrize(
    ("given", "stills", "sentence"),
    [
        ({"fps": 25}, False, r"fps=25 has no effect: source=walk.mp4 has its own time stamps"),
        ({"size": [640, 480]}, False, r"size=\[640, 480\] has no effect: source=walk.mp4 has pictures"),
        ({"skeleton": "coco_17"}, True, r"skeleton=coco_17 has no effect: source=walk.mp4 is looked at by BlazePose"),
    ],
)
def test_a_setting_without_effect_is_named(given, stills, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_effects(complete(given), "walk.mp4", stills)


def test_what_has_an_effect_is_let_through():
    check_effects(complete({"fps": 25, "height": 1.78, "people": 2}), "photos", True)
    check_effects(complete({"skeleton": "halpe_26", "keypoints": {"weights": "net.onnx"}}), "walk.mp4", False)
