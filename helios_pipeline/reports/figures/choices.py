"""What each fold chose: one row per parameter, so that a choice that wanders is seen at a glance."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from helios_pipeline.reports.figures.canvas import (
    ABOVE,
    BELOW,
    LEFT,
    RIGHT,
    WIDTH,
    Panel,
    draw_rectangles,
    new_figure,
    say,
    say_nothing_there,
    words_below,
    words_left,
    write,
)
from helios_pipeline.reports.figures.cells import EMPTY, ink_on, shade

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW_HEIGHT = 24
NAMES = 70
"""Pixels that a parameter's name needs beyond those of a number."""


def draw_choices(axes: Mapping[str, Sequence[float]], choices: Sequence[Mapping[str, float] | None]) -> "Figure":
    """The value of each parameter in each fold: red the lowest on offer, blue the highest.

    Args:
        axes: parameter → its ascending values on offer; those with one value are left out.
        choices: of the folds in order, parameter → value; None where no set passed.
    """
    title = "what each fold chose in sample; red: the lowest value on offer, blue: the highest"
    rows = {name: list(values) for name, values in axes.items() if len(values) > 1}
    if not rows or not choices:
        return say_nothing_there(title)
    size = ROW_HEIGHT * len(rows)
    figure = new_figure(height=ABOVE + BELOW + size)
    panel = Panel(
        figure=figure,
        left=LEFT + NAMES,
        bottom=BELOW,
        width=WIDTH - LEFT - NAMES - RIGHT,
        height=size,
        x=(0.0, float(len(choices))),
        y=(float(len(rows)), 0.0),
    )
    say(panel, title)
    for row, (name, values) in enumerate(rows.items()):
        for column, choice in enumerate(choices):
            # From −1 for the lowest value to 1 for the highest.
            at = None if choice is None else float(np.interp(choice[name], values, np.linspace(-1.0, 1.0, len(values))))
            place = ((column + 0.02, column + 0.98), (row + 0.96, row + 0.04))
            draw_rectangles(panel, *place, EMPTY if at is None else shade(at, 1.0))
            if choice is not None and at is not None:
                x, y = float(panel.across(column + 0.5)), float(panel.up(row + 0.5))
                write(figure, x, y, f"{choice[name]:g}", align="center", colour=ink_on(at, 1.0))
    words_left(panel, [row + 0.5 for row in range(len(rows))], list(rows))
    folds = range(len(choices))
    words_below(panel, [at + 0.5 for at in folds], [f"fold {at + 1}" for at in folds], marks=False)
    return figure
