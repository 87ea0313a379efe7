"""Numbers that a setting must be: judged when a task is built."""

from __future__ import annotations

import math

import pytest

from pose2d.settings import check_range


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1.1, "0.5", None, True])
def test_what_is_no_number_of_the_range_is_named(value):
    with pytest.raises(ValueError, match=r"task.share must be a number 0 or more and at most 1, got "):
        check_range("task", 0, 1, fine=0.5, share=value)


def test_a_bound_may_be_left_out():
    check_range("task", 0, 1, share=0)
    with pytest.raises(ValueError, match=r"task.share must be a number above 0, got 0\."):
        check_range("task", 0, math.inf, without_low=True, share=0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"padding": 0}, "task.padding must be a number above 0, got 0"),
        ({"padding": math.nan}, "task.padding must be a number above 0, got nan"),
        ({"loss_factor": -1}, "task.loss_factor must be a number above 0, got -1"),
        ({"l2": "much"}, "task.l2 must be a number 0 or more, got 'much'"),
        ({"nms_threshold": 7}, "task.nms_threshold must be a number 0 or more and at most 1, got 7"),
        ({"cache_size": 0}, "task.cache_size must be a number 1 or more"),
        ({"keep_images": -1}, "task.keep_images must be a number 0 or more, got -1"),
    ],
)
def test_a_task_is_not_built_with_numbers_that_cannot_be(make_task, changes, words):
    with pytest.raises(ValueError, match=words):
        make_task(**changes)
