import math
from collections.abc import Sequence
from typing import Literal

import pytest
from omegaconf import OmegaConf

from anypose.settings import check_range, judged


@judged("dataset")
class Taker:
    def __init__(
        self,
        frames: int,
        fps: float,
        flip: bool,
        root: str,
        actions: Sequence[str] | None,
        cameras: Sequence[int],
        where: Literal["train", "test"],
        thing: object = None,
        **more: int,
    ) -> None:
        self.held = frames, fps, flip, root, actions, cameras, where, thing, more


SOUND = {"frames": 3, "fps": 50.0, "flip": True, "root": "a", "actions": None, "cameras": [1, 2], "where": "train"}


def held(**changes):
    return Taker(**{**SOUND, **changes}).held


def test_sound_values_pass_and_near_ones_are_made_to_fit():
    marker = object()
    assert held(thing=marker, other=7) == (3, 50.0, True, "a", None, (1, 2), "train", marker, {"other": 7})
    found = held(fps=50, frames=4.0, root=12, actions="Walking", cameras=0)
    assert found[:6] == (4, 50.0, True, "12", ("Walking",), (0,))
    config = OmegaConf.create({"actions": ["Walking", 7], "cameras": [3]})
    assert held(**config)[4:6] == (("Walking", "7"), (3,))
    assert Taker(3, 50.0, True, "a", None, [1], "test").held[6] == "test"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": "abc"}, r"^dataset\.frames must be a whole number, got 'abc'\.$"),
        ({"frames": True}, r"^dataset\.frames must be a whole number, got True\.$"),
        ({"frames": 2.5}, r"^dataset\.frames must be a whole number, got 2\.5\.$"),
        ({"frames": None}, r"^dataset\.frames must be a whole number, got null\.$"),
        ({"fps": "fast"}, r"^dataset\.fps must be a number, got 'fast'\.$"),
        ({"fps": float("nan")}, r"^dataset\.fps must be a number, got nan, which is no number\.$"),
        ({"fps": [50]}, r"^dataset\.fps must be a number, got \[50\]\.$"),
        ({"flip": "yes"}, r"^dataset\.flip must be true or false, got 'yes'\.$"),
        ({"flip": 1}, r"^dataset\.flip must be true or false, got 1\.$"),
        ({"root": ["a"]}, r"^dataset\.root must be a word, got \['a'\]\.$"),
        ({"actions": {"a": 1}}, r"^dataset\.actions must be a list \[a word\] or null, got \{'a': 1\}\.$"),
        ({"cameras": [0, "b"]}, r"^dataset\.cameras must be a list \[a whole number\], got \[0, 'b'\]\.$"),
        ({"cameras": None}, r"^dataset\.cameras must be a list \[a whole number\], got null\.$"),
        ({"where": "both"}, r"^dataset\.where must be train or test, got 'both'\.$"),
    ],
)
def test_anything_else_is_named_by_its_key(changes, message):
    with pytest.raises(ValueError, match=message):
        held(**changes)


def test_unknown_arguments_are_still_those_of_python():
    with pytest.raises(TypeError, match="missing a required argument: 'fps'"):
        Taker(frames=3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1.1, "0.5", None, True])
def test_what_is_no_number_of_the_range_is_named(value):
    with pytest.raises(ValueError, match=r"task.share must be a number 0 or more and at most 1, got "):
        check_range("task", 0, 1, fine=0.5, share=value)


def test_a_bound_may_be_left_out():
    check_range("task", 0, 1, share=0)
    with pytest.raises(ValueError, match=r"task.share must be a number above 0, got 0\."):
        check_range("task", 0, math.inf, without_low=True, share=0)
