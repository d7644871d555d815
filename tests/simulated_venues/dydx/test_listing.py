"""The market as it trades on this venue: a pure function of the shared market, coherent, in the venue's units."""

import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import numpy as np
import pytest

from simulated_venues.clock import instant
from simulated_venues.dydx.listing import SHARE_OF_TRADES, Listing
from simulated_venues.dydx.markets import markets_of
from simulated_venues.dydx.records import Side
from simulated_venues.market import SimulatedMarket

DAY = 86_400_000
NOW = 1_767_225_600_000 + 12 * 3_600_000


@pytest.fixture(name="source", scope="module")
def source_fixture(make_settings):
    return SimulatedMarket(make_settings())


@pytest.fixture(name="listing", scope="module")
def listing_fixture(source):
    return Listing(source, markets_of(source))


def test_markets_have_the_parameters_that_the_indexer_publishes(source):
    btc, eth = markets_of(source)

    assert (btc.ticker, btc.clob_pair_id, btc.tick, btc.step) == ("BTC-USD", 0, Decimal(1), Decimal("0.0001"))
    assert (eth.ticker, eth.clob_pair_id, eth.tick, eth.step) == ("ETH-USD", 1, Decimal("0.1"), Decimal("0.001"))
    assert (btc.initial_margin_ppm, btc.maintenance_margin_ppm) == (20_000, 12_000)


def test_a_taker_trades_at_the_best_price_of_the_book(listing):
    market = listing.markets[0]
    trades = listing.trades(market, NOW, NOW + 1_800_000)
    unlike = {each.at_ms for each in trades if [t.at_ms for t in trades].count(each.at_ms) > 1}

    assert len(trades) > 50
    for trade in trades:
        if trade.at_ms not in unlike:
            book = listing.book(market, trade.at_ms)
            side = book.bids if trade.taker is Side.SELL else book.asks
            assert side.price[0] * market.subticks_per_tick == trade.subticks
            assert book.bids.price[0] < book.asks.price[0]


def test_every_third_trade_of_the_source_happens_here_in_ticks_and_steps(source, listing):
    market = listing.markets[0]
    all_of_them = source.trades(market.instrument_id, instant(NOW - DAY), instant(NOW))
    here = listing.trades(market, NOW - DAY, NOW)

    assert {trade.trade_id for trade in here} <= set(all_of_them.trade_id.tolist())
    assert len(here) / len(all_of_them) == pytest.approx(SHARE_OF_TRADES, abs=0.02)
    assert all(each.quantums % market.step_base_quantums == 0 and each.quantums > 0 for each in here)
    assert all(each.subticks % market.subticks_per_tick == 0 for each in here)


def test_the_basis_is_a_few_basis_points_around_zero(source, listing):
    market = listing.markets[0]
    at = {each.trade_id: each for each in listing.trades(market, NOW - 4 * DAY, NOW)}
    theirs = source.trades(market.instrument_id, instant(NOW - 4 * DAY), instant(NOW))
    tick = float(source.settings.instrument(market.instrument_id).tick)
    basis = np.array(
        [
            float(market.price(at[trade].subticks)) / (price * tick) - 1.0
            for trade, price in zip(theirs.trade_id.tolist(), theirs.price.tolist(), strict=True)
            if trade in at
        ]
    )

    assert 0.00005 < basis.std() < 0.0006
    assert abs(basis.mean()) < 0.0006
    assert np.abs(np.diff(basis)).mean() < 0.00003


def test_it_answers_the_same_in_any_order_and_from_any_copy(source, listing):
    market, other = listing.markets[1], Listing(source, markets_of(source))
    whole = listing.trades(market, NOW, NOW + 600_000)
    other.book(market, NOW + 40 * DAY)

    assert [t for k in range(10) for t in other.trades(market, NOW + k * 60_000, NOW + (k + 1) * 60_000)] == whole
    late, early = other.book(market, NOW + 7_777), other.book(market, NOW)
    assert early.bids.quantity.tolist() == listing.book(market, NOW).bids.quantity.tolist()
    assert late.asks.price.tolist() == listing.book(market, NOW + 7_777).asks.price.tolist()


def test_an_order_of_a_few_thousand_fills_within_a_few_ticks(listing):
    market, worst = listing.markets[0], []
    for k in range(200):
        asks = listing.book(market, NOW + k * 13_000).asks
        worth = np.cumsum(asks.quantity * float(market.step) * asks.price * float(market.tick))
        worst.append(asks.price[int(np.searchsorted(worth, 4_000.0))] - asks.price[0])

    assert np.mean(worst) < 3
    assert max(worst) < 15


def test_the_oracle_is_the_index_price_and_funding_an_eighth_of_the_average_premium(source, listing):
    market = listing.markets[0]
    hour = listing.funding_interval_ms
    fair = source.fair_prices(market.instrument_id, instant(NOW - hour), instant(NOW + 1))

    assert listing.oracle_e8(market, NOW + 59_999) == pytest.approx(fair.index_price[-1] * 1e8, rel=1e-9)
    rate = listing.funding_rate_e12(market, NOW) / 1e12
    assert rate == pytest.approx(float(fair.premium[:-1].mean()) / 8, abs=0.0012 / 8)
    assert listing.next_funding_rate_e12(market, NOW - 1) / 1e12 == pytest.approx(rate, abs=1e-12)


def test_threads_that_read_different_days_do_not_disturb_each_other(source):
    listing = Listing(source, markets_of(source))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            days = [NOW - day * DAY for day in range(400)]
            prices = list(threads.map(lambda at_ms: listing.oracle_e8(listing.markets[0], at_ms), days))
    finally:
        sys.setswitchinterval(interval)

    assert len(prices) == 400


def test_volume_is_the_sum_over_trades_also_across_days(listing):
    market = listing.markets[0]
    first, last = NOW - 18 * 3_600_000, NOW
    trades = listing.trades(market, first, last)
    money = sum(t.quantums // market.step_base_quantums * (t.subticks // market.subticks_per_tick) for t in trades)

    assert listing.volume(market, first, last) == (money, len(trades))
