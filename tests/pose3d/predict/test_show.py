"""What a live source shows, and a machine without a display."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import numpy as np
import pytest

from pose3d.predict.show import Show, TkWindow, annotated, open_window
from tests.anypose.formats.dancers import dancers

PICTURES = [np.full((96, 128, 3), 40, np.uint8)]
PIPELINE = SimpleNamespace(arrived=time.perf_counter())


def test_without_a_display_it_is_said_once_and_nothing_stops(monkeypatch, caplog) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    show = Show()
    assert all(show(dancers(), PICTURES, PIPELINE) for _ in range(3))
    assert caplog.text.count("show=true: there is nothing to see here: there is no display. The files grow") == 1


def test_keypoints_without_pictures_have_nothing_to_show(caplog) -> None:
    assert Show()(dancers(), None, PIPELINE)
    assert "there is nothing to see here: dance has no pictures" in caplog.text


def test_the_window_sees_the_newest_frame_and_can_stop_the_source() -> None:
    seen: list[np.ndarray] = []

    def window(image: np.ndarray) -> bool:
        seen.append(image)
        return len(seen) < 2

    show = Show(lambda: window)
    assert [show(dancers(), PICTURES, PIPELINE) for _ in range(2)] == [True, False]
    drawn = annotated(PICTURES[0], dancers(), "")
    assert (drawn == (80, 220, 120)).all(-1).any()  # bones
    assert (seen[0].max(-1) > 200).any()  # and text
    assert PICTURES[0].max() == 40


@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="NO DISPLAY: xvfb-run shows windows to nobody")
def test_a_headless_opencv_gets_a_window_of_tks() -> None:
    pytest.importorskip("tkinter")
    window = open_window()
    assert window(PICTURES[0])
    if isinstance(window, TkWindow):
        window.stop()
        assert not window(PICTURES[0])
        window.root.destroy()
