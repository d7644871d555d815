"""A search from round to round, in one picture."""

from datetime import UTC, datetime

from helios_pipeline.core.past_rounds import PastRound
from helios_pipeline.core.records import Window
from helios_pipeline.promotion.luck import luck_sharpe
from helios_pipeline.reports.figures.convergence import draw_convergence, luck_by_round

WINDOW = Window(first=datetime(2024, 1, 1, tzinfo=UTC), last=datetime(2025, 1, 1, tzinfo=UTC))


def past_round(name, sets, passed, sharpe, score, *, trials):
    return PastRound(
        name=name,
        market_data="binance",
        instruments=("BTCUSDT-PERP.BINANCE",),
        window=WINDOW,
        sampler="grid",
        sets=sets,
        passed=passed,
        trials=trials,
        best_parameters={},
        best_sharpe=sharpe,
        best_proscore2=score,
        grid={},
        proposal={},
        made_at=WINDOW.last,
    )


THREE = [
    past_round("2024-01_2024-12_0000000a", 1680, 12, 1.9, 31.0, trials=1680),
    past_round("2024-01_2024-12_0000000b", 20_736, 2500, 2.7, 55.2, trials=30_000),
    past_round("2024-01_2024-12_0000000c", 3750, 1500, None, 0.0, trials=30_000),
]


def test_each_round_is_shown_with_its_sets_pass_rate_score_and_sharpe():
    shown = [text.get_text() for text in draw_convergence(THREE).texts]

    assert {"1,680", "20,736", "3,750", "0.7%", "12.1%", "40.0%", "31.0", "55.2", "1.90", "2.70", "none"} <= set(shown)
    assert {"0000000a", "0000000b", "0000000c"} <= set(shown)


def test_luck_is_that_of_the_ledger_when_each_round_was_made():
    assert luck_by_round(THREE).tolist() == [luck_sharpe(trials, 366) for trials in (1680, 30_000, 30_000)]


def test_a_search_that_found_nothing_and_one_without_rounds_can_be_drawn():
    assert draw_convergence([past_round("r", 16, 0, None, 0.0, trials=16)]).texts
    assert "no round has run" in [text.get_text() for text in draw_convergence([]).texts]


def test_a_search_without_rounds_has_no_luck():
    assert luck_by_round([]).tolist() == []
