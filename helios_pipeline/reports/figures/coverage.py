"""Which days of which instrument have all their bars."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from helios_pipeline.reports.figures.canvas import (
    ABOVE,
    BELOW,
    BLUE,
    ORANGE,
    RED,
    RIGHT,
    WIDTH,
    Panel,
    draw_rectangles,
    new_figure,
    runs,
    say,
    say_nothing_there,
    seconds,
    time_axis,
    words_left,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DAY = 86_400.0
ROW_HEIGHT = 26
NAME_WIDTH = 150
STATES: Sequence[tuple[str, str]] = (("complete", BLUE + "a0"), ("quarantined", ORANGE), ("missing", RED))
"""What can be said of a day, and its colour; a later one is drawn over an earlier one."""


def draw_coverage(days: pl.DataFrame) -> "Figure":
    """Days by instrument: blue all bars there, orange some in quarantine, red some missing; blank: never looked at.

    Args:
        days: `instrument`, `day` (UTC, 00:00), `missing` and `quarantined`: bars that are not there, and why; may be
            empty.
    """
    title = "bars per day; blue: all there, orange: some quarantined, red: some missing, blank: not stored"
    if days.is_empty():
        return say_nothing_there(title)
    instruments = sorted(set(days["instrument"]), reverse=True)
    at = seconds(days["day"])
    height = ABOVE + BELOW + ROW_HEIGHT * len(instruments)
    panel = Panel(
        figure=new_figure(height=height),
        left=NAME_WIDTH,
        bottom=BELOW,
        width=WIDTH - NAME_WIDTH - RIGHT,
        height=ROW_HEIGHT * len(instruments),
        x=(float(at.min()), float(at.max()) + DAY),
        y=(0.0, len(instruments)),
    )
    say(panel, title)
    words_left(panel, [row + 0.5 for row in range(len(instruments))], instruments)
    state = (
        pl.when(pl.col("missing") > 0)
        .then(pl.lit("missing"))
        .when(pl.col("quarantined") > 0)
        .then(pl.lit("quarantined"))
        .otherwise(pl.lit("complete"))
    )
    judged = days.with_columns(state=state)
    for row, instrument in enumerate(instruments):
        for name, colour in STATES:
            chosen = judged.filter((pl.col("instrument") == instrument) & (pl.col("state") == name))
            spans = runs(np.sort(seconds(chosen["day"])), DAY)
            draw_rectangles(panel, spans, (row + 0.15, row + 0.85), colour)
    time_axis(panel)
    return panel.figure
