"""Charts of numbers: error bars for actions and joints, learning curves."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anypose.drawing.poses import FAINT, INK, LEFT, QUIET, RIGHT, TRUNK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALE = "#b5d2f7"


@dataclass(frozen=True)
class Curves:
    """One chart of lines over steps.

    Attributes:
        title: what y is, with its unit.
        lines: {name: (x (N,), y (N,))}.
        logarithmic: whether y is.
    """

    title: str
    lines: dict[str, tuple[np.ndarray, np.ndarray]]
    logarithmic: bool = False


def draw_bars(
    names: Sequence[str],
    values: Mapping[str, Sequence[float]],
    heading: str,
    note: str,
    colours: Sequence[str] | None = None,
    unit: str = "mm",
    mean: bool = True,
    sides: bool = False,
) -> Figure:
    """Horizontal bars: the first series broad with its numbers, a second slim inside it, the mean marked on the axis.

    Args:
        names: a label for each bar, top to bottom.
        values: {series: a value for each bar} [`unit`], one or two series.
        heading: the title.
        note: what the numbers were measured under.
        colours: one for each bar of the first series; without them the bars are pale and named in a legend.
        unit: of the values.
        mean: whether the mean of the first series says anything.
        sides: the colours are those of the left and the right, and a key says so.
    """
    lines = _wrap(note, 9.6)
    above = 0.85 + 0.19 * len(lines)
    figure = new_figure(9.6, above + 0.34 * len(names) + 0.5)
    height = figure.get_figheight()
    left = max(0.16, 0.02 + 0.0085 * max(map(len, names)))
    axes = figure.add_axes((left, 0.5 / height, 0.96 - left, 1 - (0.5 + above) / height))
    (first, broad), *others = values.items()
    places = list(range(len(names)))
    if mean:
        middle = float(np.mean(broad))
        foot = len(names) - 0.4  # on the axis: a line all the way up would run through the numbers
        axes.plot(
            middle, foot, "^", color=INK, markersize=7, clip_on=False, zorder=9, label=f"mean {middle:.1f} {unit}"
        )
    axes.barh(places, broad, height=0.7, color=colours or PALE, label="_" if colours else first)
    for second, slim in others:
        axes.barh(places, slim, height=0.26, color=LEFT, label=second)
    limit = 1.12 * max(max(series) for series in values.values())
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    ends = [max(bars) for bars in zip(*values.values(), strict=True)]  # a number stands behind the longer bar
    for place, end, value in zip(places, ends, broad, strict=True):
        axes.text(
            end + 0.01 * limit, place, f"{value:.1f}", va="center", fontsize=9.5, color=INK, bbox=paper, zorder=0.5
        )
    axes.set_yticks(places, names, fontsize=10, color=INK)
    axes.set(xlim=(0, limit), ylim=(len(names) - 0.4, -0.6))
    _quieten(axes)
    axes.set_xlabel(unit, color=QUIET, loc="right")
    _headline(figure, heading, lines)
    if sides:
        for name, colour in (("left", LEFT), ("right", RIGHT), ("trunk", TRUNK)):
            axes.barh(0, 0, color=colour, label=name)
    figure.legend(
        loc="center right",
        bbox_to_anchor=(0.97, 1 - 0.3 / height),
        frameon=False,
        fontsize=9.5,
        ncols=4,
        labelcolor=INK,
    )
    return figure


def draw_curves(charts: Sequence[Curves], heading: str, note: str) -> Figure:
    """Learning curves, one chart beside the other."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    width = 6.2 * len(charts)
    lines = _wrap(note, width)
    height = 4.3 + 0.19 * len(lines)
    figure = new_figure(width, height)
    top = 1 - (0.95 + 0.19 * len(lines)) / height
    grid = figure.add_gridspec(
        1, len(charts), left=0.42 / width * 2, right=1 - 0.15 / width, top=top, bottom=0.12, wspace=0.16
    )
    last = max(float(x[-1]) for chart in charts for x, _ in chart.lines.values())
    for place, chart in enumerate(charts):
        axes = figure.add_subplot(grid[0, place])
        if chart.logarithmic:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        for (name, (x, y)), colour in zip(chart.lines.items(), (LEFT, RIGHT, TRUNK, QUIET), strict=False):
            axes.plot(x, y, color=colour, linewidth=1.8, label=name, solid_capstyle="round")
            axes.plot(x[-1:], y[-1:], "o", color=colour, markersize=4)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_xlim(0, 1.02 * last)
        axes.set_title(chart.title, loc="left", fontsize=11, color=INK)
        axes.set_xlabel("step", color=QUIET, loc="right")
        axes.grid(axis="y", color=FAINT, linewidth=0.7)
        axes.set_axisbelow(True)
        _quieten(axes)
        axes.tick_params(labelcolor=QUIET)
        if len(chart.lines) > 1:
            axes.legend(frameon=False, fontsize=9.5, labelcolor=INK)
    _headline(figure, heading, lines)
    return figure


def draw_coverage(expected: np.ndarray, observed: np.ndarray, heading: str, note: str) -> Figure:
    """Observed against expected coverage, (n,) each in 0..1; the diagonal is what an honest forecast gives."""
    lines = _wrap(note, 6.6)
    above = 0.85 + 0.19 * len(lines)
    figure = new_figure(6.6, above + 5.9)
    height = figure.get_figheight()
    axes = figure.add_axes((0.11, 0.6 / height, 0.85, 5.2 / height))
    x, y = expected * 100, observed * 100
    axes.fill_between(x, x, y, color=PALE, linewidth=0)
    axes.plot((0, 100), (0, 100), color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(x, y, color=LEFT, linewidth=2.2, solid_capstyle="round")
    for share in (50, 90):
        there = float(np.interp(share, x, y))
        axes.plot(share, there, "o", color=LEFT, markersize=5)
        text = f"densest {share} %: {there:.0f} % of the truths"
        axes.annotate(
            text, (share, there), (-8, 6), textcoords="offset points", ha="right", fontsize=9.5, color=INK
        )  # fmt: skip
    gap = float(np.abs(y - x).mean())
    text = f"below the diagonal: surer than right\nmean gap {gap:.1f} points"
    axes.text(98, 3, text, ha="right", fontsize=9.5, color=QUIET, linespacing=1.4)
    axes.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    axes.set_xlabel("part of the mixture's mass, densest first [%]", color=QUIET)
    axes.set_ylabel("truths inside [%]", color=QUIET)
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    _quieten(axes)
    axes.tick_params(labelcolor=QUIET)
    _headline(figure, heading, lines)
    return figure


def _quieten(axes: Axes) -> None:
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(FAINT)
    axes.tick_params(length=0, which="both")
    axes.tick_params(axis="x", labelcolor=QUIET)


def _wrap(note: str, width: float) -> list[str]:
    parts = note.replace(" · ", "\N{NO-BREAK SPACE}· ")  # no line begins with the dot
    return textwrap.wrap(parts, int(width * 14.4))


def _headline(figure: Figure, heading: str, lines: list[str]) -> None:
    height = figure.get_figheight()
    figure.text(0.02, 1 - 0.3 / height, heading, fontsize=15, color=INK, va="center", weight="bold")
    figure.text(0.02, 1 - 0.58 / height, "\n".join(lines), fontsize=9, color=QUIET, va="top", linespacing=1.4)
