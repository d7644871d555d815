from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from helios_pipeline.bias.market import make_inputs
from helios_pipeline.bias.shuffled import Bar, judge_control, search, shuffle_market, spread_records
from helios_pipeline.core.selection import Constraints
from helios_pipeline.promotion.luck import luck_sharpe
from helios_pipeline.sweep.grid import Grid
from helios_pipeline.sweep.run import Workers
from tests.bias.conftest import DAYS, WARM_UP
from tests.generated_market import BTC, ETH

BAR = Bar(
    constraints=Constraints(min_round_trips=20, max_drawdown_fraction=0.2, min_sharpe=1.5, min_win_rate=0.3),
    min_deflated_sharpe=0.95,
)
GRID = Grid(
    lookback_bars=(12, 24, 48),
    funding_weight=(0.0,),
    entry_z=(1.0, 1.5, 2.0),
    exit_z=(0.0, 0.5),
    max_holding_bars=(24, 48),
    cooldown_bars=(0,),
    stop_atr=(0.0, 3.0),
)
HERE = Workers(executor=None, chunk_size=64, progress=lambda done, total: None)
PRICES = ("open", "high", "low", "close")


@pytest.fixture(scope="module")
def shuffled(market):
    return shuffle_market(market, seed=7)


def moves(bars):
    return np.diff(np.log(bars["close"].to_numpy()))


def test_the_same_moves_come_in_another_order(market, shuffled):
    for name in (BTC, ETH):
        before, after = market.bars[name], shuffled.bars[name]
        assert after["opened_at"].equals(before["opened_at"])
        assert after["close"][-1] == pytest.approx(before["close"][-1], abs=0.11)
        # Rounding to ticks moves each by a few millionths.
        np.testing.assert_allclose(np.sort(moves(after)), np.sort(moves(before)), atol=1e-5)
        assert not np.allclose(moves(after), moves(before), atol=1e-3)


def test_what_one_bar_says_about_the_next_is_gone(market, shuffled):
    def variance_ratio(bars, over=32):
        # 1 where moves know nothing of each other, below it where they revert.
        logs = np.log(bars["close"].to_numpy())
        return np.var(logs[over:] - logs[:-over]) / (over * np.var(np.diff(logs)))

    assert variance_ratio(market.bars[BTC]) < 0.6
    assert 0.8 < variance_ratio(shuffled.bars[BTC]) < 1.2


def test_every_bar_keeps_its_shape_and_its_tick(shuffled):
    for bars in shuffled.bars.values():
        high, low = bars["high"], bars["low"]
        assert (bars.select(pl.min_horizontal("open", "close") >= pl.col("low")).to_series()).all()
        assert (bars.select(pl.max_horizontal("open", "close") <= pl.col("high")).to_series()).all()
        assert (high >= low).all()
    assert make_inputs(shuffled).slots["ask"].max() > 0


def test_bars_of_one_instant_stay_together(market):
    twin = market.bars[BTC].with_columns(pl.col(PRICES))
    pair = shuffle_market(replace(market, bars={BTC: market.bars[BTC], ETH: twin}), seed=3)

    assert pair.bars[BTC].select(PRICES).equals(pair.bars[ETH].select(PRICES))


def test_rates_are_the_instrument_s_own_in_another_order(market, shuffled):
    for name in (BTC, ETH):
        before, after = market.funding[name]["funding_rate"], shuffled.funding[name]["funding_rate"]
        assert after.sort().equals(before.sort())
        assert not after.equals(before)


def test_one_seed_is_one_market(market, shuffled):
    assert shuffle_market(market, seed=7).bars[BTC].equals(shuffled.bars[BTC])
    assert not shuffle_market(market, seed=8).bars[BTC].equals(shuffled.bars[BTC])


def test_the_planted_edge_is_found_as_it_was_and_in_no_shuffled_market(market, inputs):
    rows = [search(inputs, GRID.records(), BAR, market="as it was", workers=HERE)]
    for seed in (1, 2):
        made = make_inputs(shuffle_market(market, seed))
        rows.append(search(made, GRID.records(), BAR, market=f"seed {seed}", workers=HERE))

    verdict = judge_control(rows)

    assert verdict.rows["found"].to_list() == [True, False, False]
    assert verdict.passed
    assert "searched 2 shuffled markets and found something in 0" in verdict.sentence
    assert "is above that of 2 of them" in verdict.sentence
    assert verdict.rows["noise_would_score"].to_list() == [luck_sharpe(GRID.size, DAYS - WARM_UP)] * 3
    assert f"(noise would score {verdict.rows['noise_would_score'][0]:.2f})" in verdict.sentence


def test_something_found_in_a_shuffled_market_does_not_pass():
    row = {"market": "x", "sets": 9, "passed": 1, "best_sharpe": 5.0, "noise_would_score": 2.0,
           "deflated_sharpe": 0.99, "found": True}  # fmt: skip

    verdict = judge_control([row, row | {"market": "seed 1"}])

    assert not verdict.passed
    assert "found something in 1" in verdict.sentence


def test_a_large_round_is_searched_by_sets_spread_over_it():
    records = GRID.records()

    few = spread_records(records, 10)

    assert len(few) == 10
    assert (few[0], few[-1]) == (records[0], records[-1])
    assert spread_records(records, len(records)) is records
