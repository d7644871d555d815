from dataclasses import replace

import pytest

from helios_pipeline.bias.market import make_inputs
from helios_pipeline.bias.warm_up import find_history_dependence, needed_bars
from helios_pipeline.core.errors import DataError
from tests.bias.conftest import POINTS


def test_decisions_are_the_same_with_no_more_history_than_the_windows_need(market, inputs):
    verdict = find_history_dependence(inputs, market, POINTS)

    assert verdict.passed
    assert verdict.rows["history_bars"].unique().sort().to_list() == [96, 192, 384]
    assert verdict.rows["parameters"].n_unique() == len(POINTS)
    assert verdict.rows["fills"].min() > 50


def test_less_history_than_needed_would_be_noticed(market, inputs, monkeypatch):
    monkeypatch.setattr("helios_pipeline.bias.warm_up.needed_bars", lambda market, points: 40)

    verdict = find_history_dependence(inputs, market, POINTS)

    assert not verdict.passed


def test_a_feature_that_averages_over_all_history_is_found(market):
    def drifting(given):
        made = make_inputs(given)
        ranges = made.slots.copy()
        ranges["atr"] *= 1 + len(made.opened_at) / 1e5
        return replace(made, slots=ranges)

    verdict = find_history_dependence(drifting(market), market, POINTS[:1], make=drifting)

    assert not verdict.passed
    assert "first of all: fill" in verdict.sentence


def test_the_longest_window_decides_how_much_is_needed(market):
    assert needed_bars(market, POINTS) == 96
    assert needed_bars(market, [replace(POINTS[0], lookback_bars=200)]) == 199


def test_too_short_a_market_is_refused(market, inputs):
    short = replace(market, bars={name: bars.head(50) for name, bars in market.bars.items()})

    with pytest.raises(DataError, match=r"expected more than 96 bars and 5 settlements, found 50"):
        find_history_dependence(inputs, short, POINTS)
