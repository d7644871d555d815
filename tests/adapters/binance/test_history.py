"""History over REST, at natural speed and sixty times as fast."""

from datetime import UTC, datetime, timedelta

import pytest

from helios_pipeline.adapters.binance.history import BinanceHistory
from helios_pipeline.core.errors import DataError
from helios_pipeline.core.market_data import Settlement
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from simulated_venues.faults import Fault
from simulated_venues.venue import embedded
from tests.simulated_venues.binance.fast_world import fast_market
from tests.simulated_venues.conftest import BTC

SPEEDS = {"natural": 60, "fast": 1}


@pytest.fixture(scope="module", params=SPEEDS)
def asked(request):
    """A venue, its history, and the length of its raw klines in seconds."""
    raw = SPEEDS[request.param]
    with embedded(BinanceVenue(fast_market(raw_interval_ms=raw * 1_000), BinanceSettings())) as venue:
        history = BinanceHistory(venue.url, attempts=3)
        yield venue, history, raw
        history.close()


def test_klines_are_the_markets_over_more_than_one_page(asked):
    venue, history, raw = asked
    last = history.now().replace(microsecond=0) - timedelta(seconds=2 * raw)
    last = datetime.fromtimestamp(last.timestamp() // raw * raw, UTC)
    first = last - timedelta(seconds=2_000 * raw)

    found = history.klines(BTC, raw, first, last)

    truth = venue.source.bars(BTC, first, last, raw_bars=1)
    assert len(found) == 2_000
    assert [kline.opened_ms for kline in found] == truth.opened_at_ms.tolist()
    for name, unit in (("open", 10**7), ("high", 10**7), ("low", 10**7), ("close", 10**7), ("volume", 10**5)):
        assert [getattr(kline, name) for kline in found] == (getattr(truth, name) * unit).tolist()


def test_a_kline_that_is_open_is_left_out(asked):
    _, history, raw = asked
    now = history.now()

    found = history.klines(BTC, raw, now - timedelta(seconds=5 * raw), now + timedelta(days=1))

    assert all(kline.opened_ms + raw * 1_000 <= history.now().timestamp() * 1_000 for kline in found)


def test_settlements_are_floored_to_the_markets_hour_and_carry_their_interval(asked):
    venue, history, raw = asked
    first = history.now() - timedelta(seconds=40 * 480 * raw)

    found = history.settlements(BTC, 60 * raw, first)

    truth = venue.source.settlements(BTC, first, history.now())
    assert len(found) >= 39
    assert found == [
        Settlement(settled_at=datetime.fromtimestamp(at / 1_000, UTC), rate=rate / 10**8, interval_hours=8)
        for at, rate in zip(truth.settled_at_ms.tolist(), truth.rate_e8.tolist(), strict=True)
    ]


def test_a_refusal_is_tried_again_and_then_an_error(asked):
    venue, history, raw = asked
    now = history.now()
    venue.faults.start(Fault(kind="http_status", where="/fapi/v1/klines", value=503, count=1))
    venue.faults.start(Fault(kind="truncated_response", where="/fapi/v1/klines", count=1))
    assert history.klines(BTC, raw, now - timedelta(seconds=5 * raw), now)

    venue.faults.start(Fault(kind="http_status", where="/fapi/v1/klines", value=503))
    with pytest.raises(DataError, match="klines of BTCUSDT"):
        history.klines(BTC, raw, now - timedelta(seconds=5 * raw), now)
    venue.faults.stop_all()
