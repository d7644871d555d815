"""A search from round to round: how many sets, how many passed, and the best of each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from helios_pipeline.core.past_rounds import PastRound
from helios_pipeline.promotion.luck import luck_sharpe
from helios_pipeline.reports.figures.canvas import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    Floats,
    Panel,
    draw_line,
    draw_rectangles,
    number_axis,
    percent,
    range_of,
    say,
    say_inside,
    say_nothing_there,
    short_number,
    stack_panels,
    words_below,
    write,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT = 420
ROOM = 1.45
"""Of a panel above its highest bar, for the numbers and what it shows."""

NAME_LENGTH = 8
"""Of the hash at the end of a round's name: what tells rounds of one search apart."""


def draw_convergence(rounds: Sequence[PastRound]) -> "Figure":
    """Sets, pass rate, best ProScore2 and best Sharpe ratio of each round of one search.

    Args:
        rounds: on the same bars, the oldest first; orange is the Sharpe that the best of the ledger's sets of
            then would be expected to show without any skill.
    """
    title = "rounds of this search, the oldest first"
    if not rounds:
        return say_nothing_there(title, "no round has run")
    sharpe = np.array([np.nan if each.best_sharpe is None else each.best_sharpe for each in rounds], np.float64)
    luck = luck_by_round(rounds)
    rates = np.array([each.pass_rate for each in rounds])
    sets, scores = (
        np.array([getattr(each, name) for each in rounds], np.float64) for name in ("sets", "best_proscore2")
    )
    low, high = range_of(sharpe, luck, 0.0)
    panels = stack_panels(
        (-0.6, len(rounds) - 0.4),
        [
            (1, (0.0, ROOM * float(sets.max()))),
            (1, (0.0, ROOM * max(float(rates.max()), 0.01))),
            (1, (0.0, ROOM * max(float(scores.max()), 1.0))),
            (1.4, (low, low + (high - low) * 1.3)),
        ],
        height=HEIGHT,
    )
    say(panels[0], title)
    _draw_bars(panels[0], sets, BLUE, [f"{each:,.0f}" for each in sets])
    _draw_bars(panels[1], rates, GREEN, [f"{each:.1%}" for each in rates])
    _draw_bars(panels[2], scores, PURPLE, [f"{each:.1f}" for each in scores])
    _draw_bars(panels[3], sharpe, BLUE, ["none" if np.isnan(each) else f"{each:.2f}" for each in sharpe])
    _draw_luck(panels[3], luck)
    for panel, what in zip(
        panels,
        (
            "sets",
            "met every constraint",
            "ProScore2 of the best",
            "Sharpe of the best; orange: luck of all trials until then",
        ),
        strict=True,
    ):
        say_inside(panel, what)
    for panel, form in zip(panels, (short_number, percent, short_number, short_number), strict=True):
        number_axis(panel, form, ticks=2)
    at = [float(k) for k in range(len(rounds))]
    words_below(panels[3], at, [each.name[-NAME_LENGTH:] for each in rounds])
    return panels[0].figure


def luck_by_round(rounds: Sequence[PastRound]) -> Floats:
    """Sharpe ratio that the best of the ledger's sets would have been expected to show without skill, round by round.

    It is the ledger of when the round was made. It counts a set that two rounds share once, and those of folds and of
    overlapping windows too.
    """
    return np.array(
        [luck_sharpe(each.trials, (each.window.last - each.window.first).days) for each in rounds], np.float64
    )


def _draw_bars(panel: Panel, values: Floats, colour: str, words: Sequence[str]) -> None:
    at = np.arange(len(values), dtype=np.float64)
    known = np.nan_to_num(values, nan=0.0)
    edges = (np.minimum(known, 0.0), np.maximum(known, 0.0))
    draw_rectangles(panel, (at - 0.3, at + 0.3), edges, colour + "b0")
    for x, y, word in zip(panel.across(at).tolist(), panel.up(edges[1]).tolist(), words, strict=True):
        write(panel.figure, x, y + 7, word, align="center", colour=INK)


def _draw_luck(panel: Panel, luck: Floats) -> None:
    for k, level in enumerate(luck.tolist()):
        if np.isfinite(level):
            draw_line(panel, np.array([k - 0.42, k + 0.42]), np.full(2, level), colour=ORANGE, width=1.8)
