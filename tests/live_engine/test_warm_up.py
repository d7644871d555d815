"""Warm-up from a venue's history, at both speeds."""

from datetime import UTC, datetime, timedelta

import pytest

from helios_pipeline.adapters.binance.history import BinanceHistory
from live_engine.warm_up import Reach, warm_up
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.venue import embedded
from tests.live_engine.signal_world import EPOCH, FEATURES, LOOKBACK
from tests.simulated_venues.binance.fast_world import fast_market
from tests.simulated_venues.conftest import BTC

REACH = Reach.of(LOOKBACK, FEATURES)


@pytest.fixture(scope="module", params=[60, 1], ids=["natural", "fast"])
def asked(request):
    """A venue, its history, and the length of a bar."""
    raw = request.param
    with embedded(BinanceVenue(fast_market(raw_interval_ms=raw * 1_000), BinanceSettings())) as venue:
        history = BinanceHistory(venue.url, attempts=3)
        yield venue, history, timedelta(seconds=15 * raw)
        history.close()


def test_the_reach_is_that_of_the_longest_window():
    assert Reach(bars=20, max_gap_bars=3, settlements=5) == REACH
    assert Reach.of(3, FEATURES).bars == 17


def test_history_joins_the_first_live_bar_without_hole_or_overlap(asked):
    venue, history, bar = asked

    known = warm_up(history, BTC, bar, REACH, since=None)

    length = bar // timedelta(milliseconds=1)
    openings = [each.opened_ms for each in known.bars]
    assert len(known.bars) >= REACH.bars
    assert openings == list(range(openings[0], known.next_ms, length))
    assert [kline.opened_ms for kline in known.open_klines] == [
        known.next_ms + k * length // 15 for k in range(len(known.open_klines))
    ]
    now_ms = (history.now() - EPOCH) // timedelta(milliseconds=1)
    assert known.next_ms <= now_ms < known.next_ms + 2 * length
    truth = venue.source.bars(
        BTC, EPOCH + timedelta(milliseconds=openings[0]), EPOCH + timedelta(milliseconds=known.next_ms), raw_bars=15
    )
    assert [each.close for each in known.bars] == (truth.close * 10**7).tolist()
    assert [each.volume for each in known.bars] == (truth.volume * 10**5).tolist()


def test_settlements_suffice_for_the_score_and_reach_until_now(asked):
    _, history, bar = asked

    known = warm_up(history, BTC, bar, REACH, since=None)

    interval = 32 * bar
    assert len(known.settlements) >= REACH.settlements
    assert history.now() - known.settlements[-1].settled_at < interval + timedelta(seconds=2)


def test_bars_missed_since_an_instant_have_full_windows_too(asked):
    _, history, bar = asked
    since = history.now() - 40 * bar

    known = warm_up(history, BTC, bar, REACH, since=since)

    missed = known.missed(since, bar)
    first_missed = EPOCH + timedelta(milliseconds=missed[0].opened_ms)
    before = [each for each in known.bars if each.opened_ms < missed[0].opened_ms]
    assert first_missed + bar > since >= first_missed
    assert len(missed) in (40, 41)
    assert len(before) >= REACH.bars
    assert (
        known.settlements[0].settled_at < datetime.fromtimestamp(since.timestamp(), UTC) - REACH.settlements * 32 * bar
    )
