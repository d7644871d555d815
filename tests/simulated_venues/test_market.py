from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from helios_pipeline.core.errors import SimulationError
from simulated_venues import market as market_module
from simulated_venues.bars import Bars, aggregate_bars
from simulated_venues.market import MarketSettings, SimulatedMarket

BTC = "BTCUSDT-PERP.BINANCE"
ETH = "ETHUSDT-PERP.BINANCE"
FIRST = datetime(2024, 2, 27, tzinfo=UTC)
LAST = FIRST + timedelta(days=5)
READERS = ("bars", "trades", "settlements", "fair_prices", "open_interest")


def read(market: SimulatedMarket, reader: str, first: datetime, last: datetime, instrument_id: str = BTC):
    options = {"raw_bars": 1} if reader == "bars" else {}
    return getattr(market, reader)(instrument_id, first, last, **options)


def columns(record) -> dict[str, np.ndarray]:
    return {f.name: getattr(record, f.name) for f in fields(record) if isinstance(getattr(record, f.name), np.ndarray)}


def forget() -> None:
    for kept in (market_module._day_bars, market_module._day_premium, market_module._day_path):
        kept.cache_clear()


def log_returns(settings: MarketSettings, instrument_id: str, days: int, raw_bars: int) -> np.ndarray:
    bars = SimulatedMarket(settings).bars(instrument_id, FIRST, FIRST + timedelta(days=days), raw_bars=raw_bars)
    return np.diff(np.log(bars.close))


@pytest.mark.parametrize("reader", READERS)
def test_any_part_of_a_span_equals_that_part_of_the_whole_in_any_order(make_settings, reader):
    settings = make_settings(edge=0.4)
    cuts = [FIRST + timedelta(minutes=m) for m in (0, 1, 95, 1_440, 1_441, 2_000, 4_320, 7_199, 7_200)]
    parts = list(pairwise(cuts))
    forget()
    backwards = [read(SimulatedMarket(settings), reader, *part) for part in reversed(parts)][::-1]
    forget()
    whole = read(SimulatedMarket(settings), reader, FIRST, LAST)

    for name, values in columns(whole).items():
        assert np.concatenate([getattr(part, name) for part in backwards]).tobytes() == values.tobytes()


@pytest.mark.parametrize("reader", READERS)
def test_an_instrument_does_not_depend_on_which_others_are_listed(make_settings, reader):
    together, alone = make_settings(edge=0.4), make_settings(edge=0.4, ids=(ETH,))
    expected = columns(read(SimulatedMarket(together), reader, FIRST, LAST, ETH))
    forget()
    found = columns(read(SimulatedMarket(alone), reader, FIRST, LAST, ETH))

    assert all((found[name] == expected[name]).all() for name in expected)


def test_another_seed_or_instrument_gives_another_market(make_settings):
    markets = [SimulatedMarket(make_settings(seed=seed)) for seed in (7, 8)]
    closes = [
        markets[0].bars(BTC, FIRST, LAST, raw_bars=15).close,
        markets[1].bars(BTC, FIRST, LAST, raw_bars=15).close,
    ]

    assert not (closes[0] == closes[1]).any()


def test_trades_give_their_bars_back_exactly(make_settings):
    market = SimulatedMarket(make_settings(edge=0.4))
    bars, trades = market.bars(ETH, FIRST, LAST, raw_bars=1), market.trades(ETH, FIRST, LAST)
    starts = np.searchsorted(trades.traded_at_ms, bars.opened_at_ms)
    ends = np.append(starts[1:], len(trades)) - 1
    bought = np.where(trades.buyer_is_maker, 0, trades.quantity)
    from_trades = {
        "open": trades.price[starts],
        "high": np.maximum.reduceat(trades.price, starts),
        "low": np.minimum.reduceat(trades.price, starts),
        "close": trades.price[ends],
        "volume": np.add.reduceat(trades.quantity, starts),
        "quote_volume": np.add.reduceat(trades.price * trades.quantity, starts),
        "trade_count": np.diff(np.append(starts, len(trades))),
        "taker_buy_volume": np.add.reduceat(bought, starts),
        "taker_buy_quote_volume": np.add.reduceat(trades.price * bought, starts),
    }

    for name, values in from_trades.items():
        assert (values == getattr(bars, name)).all(), name


def test_bars_of_fifteen_minutes_are_the_aggregate_of_their_minutes(make_settings):
    market = SimulatedMarket(make_settings())
    minutes, bars = (market.bars(BTC, FIRST, LAST, raw_bars=n) for n in (1, 15))
    aggregate = aggregate_bars(minutes, 15)

    assert len(bars) == 5 * 96
    assert bars.interval_ms == 900_000
    assert all(np.array_equal(getattr(aggregate, f.name), getattr(bars, f.name)) for f in fields(Bars))
    assert (bars.high.reshape(-1) == minutes.high.reshape(-1, 15).max(axis=1)).all()
    assert (bars.volume == minutes.volume.reshape(-1, 15).sum(axis=1)).all()


def test_trades_are_ordered_numbered_without_a_gap_and_positive(make_settings):
    trades = SimulatedMarket(make_settings()).trades(BTC, FIRST, LAST)

    assert (np.diff(trades.trade_id) == 1).all()
    assert (np.diff(trades.traded_at_ms) >= 0).all()
    assert len(trades) == 5 * 20_000
    assert trades.price.dtype == trades.quantity.dtype == np.int64
    assert trades.price.min() >= 1
    assert trades.quantity.min() >= 1


def test_bars_hold_their_own_prices_and_volumes(make_settings):
    bars = SimulatedMarket(make_settings()).bars(BTC, FIRST, LAST, raw_bars=1)

    assert (np.diff(bars.opened_at_ms) == 60_000).all()
    assert (bars.low >= 1).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.trade_count >= 4).all()
    assert (bars.volume >= bars.trade_count).all()
    assert (bars.taker_buy_volume <= bars.volume).all()
    assert (np.abs(bars.open[1:] - bars.close[:-1]) <= 1).all()


def test_a_moment_far_away_costs_what_a_near_one_costs_and_is_priced_as_well(make_settings):
    market = SimulatedMarket(make_settings())
    for year in (1975, 2023, 2200):
        at = datetime(year, 6, 1, 12, tzinfo=UTC)
        bars = market.bars(BTC, at, at + timedelta(minutes=1), raw_bars=1)

        assert len(bars) == 1
        assert 400 < bars.close[0] * 0.1 < 4_000_000


def test_volatility_is_the_one_asked_for_and_it_clusters(make_settings):
    for instrument_id, volatility in ((BTC, 0.025), (ETH, 0.03)):
        years = [log_returns(make_settings(seed=seed), instrument_id, 365, 15) for seed in range(8)]
        size = np.abs(years[0])

        # Clustering makes single years differ by about 15 %.
        assert np.sqrt(np.mean([np.mean(year**2) for year in years]) * 96) == pytest.approx(volatility, rel=0.1)
        assert np.corrcoef(size[1:], size[:-1])[0, 1] > 0.08
        assert np.corrcoef(size[96:], size[:-96])[0, 1] > 0.04
        assert np.mean(years[0] ** 4) / np.mean(years[0] ** 2) ** 2 > 3.5


def variance_ratio(returns: np.ndarray, steps: int) -> float:
    """Lo and MacKinlay (1988): variance of sums of `steps` returns over `steps` times the variance of one."""
    sums = np.convolve(returns, np.ones(steps), "valid")
    return float(np.mean(sums**2) / (steps * np.mean(returns**2)))


@pytest.mark.parametrize("steps", [4, 16, 48, 96])
def test_without_an_edge_the_price_is_a_random_walk(make_settings, steps):
    ratios = [
        variance_ratio(log_returns(make_settings(seed=s), i, 365, 15), steps) for s in (1, 2, 3) for i in (BTC, ETH)
    ]

    # Six years: the standard error of their mean is about 0.012 at 48 steps, clustering included.
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.02 if steps < 48 else 0.06)


def test_with_an_edge_the_price_comes_back(make_settings):
    ratio = variance_ratio(log_returns(make_settings(edge=0.6), BTC, 730, 15), 96)

    assert ratio < 0.9


def test_instruments_move_together_through_the_common_factor(make_settings):
    btc, eth = (log_returns(make_settings(), i, 365, 15) for i in (BTC, ETH))
    none = replace(make_settings(), factor_share=0.0)
    alone = [log_returns(none, i, 365, 15) for i in (BTC, ETH)]

    assert np.corrcoef(btc, eth)[0, 1] == pytest.approx(0.6, abs=0.06)
    assert abs(np.corrcoef(alone)[0, 1]) < 0.03


def test_days_are_busy_and_nights_are_quiet(make_settings):
    bars = SimulatedMarket(make_settings()).bars(BTC, FIRST, FIRST + timedelta(days=60), raw_bars=60)
    by_hour = bars.volume.reshape(-1, 24).mean(axis=0)

    assert by_hour[13:17].mean() > 1.5 * by_hour[1:5].mean()


def test_funding_sits_at_the_clamp_in_a_good_share_of_settlements(make_settings):
    settlements = [
        SimulatedMarket(make_settings(seed=seed)).settlements(BTC, FIRST, FIRST + timedelta(days=365))
        for seed in (1, 2, 3)
    ]
    rates = np.concatenate([s.rate_e8 for s in settlements])

    assert len(settlements[0].rate_e8) == 365 * 3
    assert 0.25 < np.mean(rates == 10_000) < 0.65
    assert rates.min() < 0 < 20_000 < rates.max() <= 300_000


def test_settlements_are_every_eight_hours_and_published_just_after(make_settings):
    settlements = SimulatedMarket(make_settings()).settlements(BTC, FIRST, LAST)
    delay = settlements.published_at_ms - settlements.settled_at_ms

    assert (settlements.settled_at_ms % 28_800_000 == 0).all()
    assert len(settlements.settled_at_ms) == 15
    assert (delay >= 0).all()
    assert (delay <= 15).all()


def test_a_settlement_is_the_clamped_average_of_the_premium_before_it(make_settings):
    market = SimulatedMarket(make_settings(edge=0.4))
    settlements = market.settlements(BTC, FIRST, LAST)
    premium = market.fair_prices(BTC, FIRST - timedelta(hours=8), LAST - timedelta(hours=8)).premium
    for k, samples in enumerate(premium.reshape(-1, 480)):
        average = np.average(samples, weights=np.arange(1, 481))
        rate = average + min(max(0.0001 - average, -0.0005), 0.0005)

        assert settlements.rate_e8[k] == round(min(rate, 0.003) * 1e8)


def test_mark_and_index_stand_around_the_price(make_settings):
    market = SimulatedMarket(make_settings(edge=0.4))
    bars, prices = market.bars(BTC, FIRST, LAST, raw_bars=1), market.fair_prices(BTC, FIRST, LAST)
    price = bars.open * 0.1

    assert (prices.at_ms == bars.opened_at_ms).all()
    assert prices.index_price * (1 + prices.premium) == pytest.approx(price, rel=1e-5)
    assert np.abs(prices.mark_price / price - 1).max() < 0.0005


def test_open_interest_moves_slowly_and_is_measured_every_five_minutes(make_settings):
    market = SimulatedMarket(make_settings())
    metrics = market.open_interest(BTC, FIRST, LAST)
    minutes = aggregate_bars(market.bars(BTC, FIRST, LAST, raw_bars=1), 5)
    sold = minutes.volume - minutes.taker_buy_volume

    assert (np.diff(metrics.measured_at_ms) == 300_000).all()
    assert metrics.open_interest.min() > 0
    assert np.abs(np.diff(np.log(metrics.open_interest))).max() < 0.02
    assert metrics.taker_ratio[1:] == pytest.approx((minutes.taker_buy_volume / sold)[:-1])


def test_an_empty_span_gives_empty_records(make_settings):
    market = SimulatedMarket(make_settings())

    assert [len(next(iter(columns(read(market, r, FIRST, FIRST)).values()))) for r in READERS] == [0] * 5


def test_what_was_handed_out_can_not_change_what_is_handed_out_next(make_settings):
    market = SimulatedMarket(make_settings())
    first = market.bars(BTC, FIRST, LAST, raw_bars=1)
    expected = first.close.copy()
    first.close[:] = 0

    assert (market.bars(BTC, FIRST, LAST, raw_bars=1).close == expected).all()


def test_bars_of_no_length_and_instants_without_a_zone_are_refused(make_settings):
    market = SimulatedMarket(make_settings())
    with pytest.raises(SimulationError, match="raw_bars"):
        market.bars(BTC, FIRST, LAST, raw_bars=0)
    with pytest.raises(SimulationError, match="time zone"):
        market.trades(BTC, FIRST.replace(tzinfo=None), LAST)


def test_a_faster_market_has_the_same_shape_in_other_seconds(make_settings):
    fast = replace(make_settings(), raw_interval_ms=1_000, priced_at=datetime(2026, 1, 1, tzinfo=UTC))
    at = datetime(2026, 1, 1, 3, 30, tzinfo=UTC)
    bars = SimulatedMarket(fast).bars(BTC, at, at + timedelta(minutes=10), raw_bars=15)
    settlements = SimulatedMarket(fast).settlements(BTC, at, at + timedelta(hours=1))

    assert (np.diff(bars.opened_at_ms) == 15_000).all()
    assert len(bars) == 40
    assert (np.diff(settlements.settled_at_ms) == 480_000).all()
