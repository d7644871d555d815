"""A search from round to round, in one picture."""

from datetime import UTC, datetime

import pytest

from helios_pipeline.core.past_rounds import PastRound
from helios_pipeline.core.records import Window
from helios_pipeline.reports.figures.convergence import draw_convergence, luck_by_round
from helios_pipeline.reports.luck import luck_sharpe

WINDOW = Window(first=datetime(2024, 1, 1, tzinfo=UTC), last=datetime(2025, 1, 1, tzinfo=UTC))


def past_round(name, sets, passed, sharpe, score):
    return PastRound(
        name=name,
        market_data="binance",
        instruments=("BTCUSDT-PERP.BINANCE",),
        window=WINDOW,
        sampler="grid",
        sets=sets,
        passed=passed,
        best_parameters={},
        best_sharpe=sharpe,
        best_proscore2=score,
        grid={},
        proposal={},
        made_at=WINDOW.last,
    )


THREE = [
    past_round("2024-01_2024-12_0000000a", 1680, 12, 1.9, 31.0),
    past_round("2024-01_2024-12_0000000b", 20_736, 2500, 2.7, 55.2),
    past_round("2024-01_2024-12_0000000c", 3750, 1500, None, 0.0),
]


def test_each_round_is_shown_with_its_sets_pass_rate_score_and_sharpe():
    shown = [text.get_text() for text in draw_convergence(THREE).texts]

    assert {"1,680", "20,736", "3,750", "0.7%", "12.1%", "40.0%", "31.0", "55.2", "1.90", "2.70", "none"} <= set(shown)
    assert {"0000000a", "0000000b", "0000000c"} <= set(shown)


def test_luck_grows_with_every_set_that_was_tried():
    luck = luck_by_round(THREE)

    assert luck[0] == pytest.approx(luck_sharpe(1680, 366))
    assert luck[0] < luck[1] < luck[2]


def test_a_search_that_found_nothing_and_one_without_rounds_can_be_drawn():
    assert draw_convergence([past_round("r", 16, 0, None, 0.0)]).texts
    assert "no round has run" in [text.get_text() for text in draw_convergence([]).texts]


def test_a_search_without_rounds_has_no_luck():
    assert luck_by_round([]).tolist() == []
