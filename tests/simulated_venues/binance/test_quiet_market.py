import asyncio

import pytest

from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.venue import BinanceVenue
from tests.simulated_venues.binance.fast_world import connected, fast_market, receive
from tests.simulated_venues.conftest import BTC

NOTHING_YET = (400, -4108, "Symbol is on delivering or delivered or settling or closed or pre-trading.")


class QuietMarket:
    """A market in which one instrument never trades and has no open interest, as a recording may have."""

    def __init__(self, market):
        self.market = market

    def __getattr__(self, name):
        return getattr(self.market, name)

    def bars(self, instrument_id, first, last, *, raw_bars):
        return self.market.bars(instrument_id, last if instrument_id == BTC else first, last, raw_bars=raw_bars)

    def trades(self, instrument_id, first, last):
        return self.market.trades(instrument_id, last if instrument_id == BTC else first, last)

    def open_interest(self, instrument_id, first, last):
        return self.market.open_interest(instrument_id, last if instrument_id == BTC else first, last)


class BrokenMarket(QuietMarket):
    """A market that can't tell settlements."""

    def settlements(self, instrument_id, first, last):
        raise RuntimeError("a page of the recording is lost")


@pytest.fixture
def quiet(listen):
    with listen(BrokenMarket(fast_market())) as venue:
        yield venue


@pytest.mark.parametrize("path", ["ticker/24hr", "ticker/price", "openInterest"])
def test_what_is_not_known_of_an_instrument_is_refused_in_json(quiet, path):
    assert quiet.refused(f"/fapi/v1/{path}", symbol="BTCUSDT") == NOTHING_YET


@pytest.mark.parametrize("path", ["ticker/24hr", "ticker/price"])
def test_of_all_instruments_those_that_trade_are_told(quiet, path):
    assert [each["symbol"] for each in quiet.get(f"/fapi/v1/{path}")] == ["ETHUSDT"]


def test_an_error_of_our_own_is_json_and_in_the_log(quiet, caplog):
    found = quiet.refused("/fapi/v1/fundingRate", symbol="BTCUSDT")

    assert found == (500, -1000, "An unknown error occurred while processing the request.")
    assert "a page of the recording is lost" in caplog.text


def test_tickers_go_on_without_an_instrument_that_does_not_trade():
    async def run():
        venue = BinanceVenue(QuietMarket(fast_market()), BinanceSettings())
        await venue.start()
        try:
            async with connected(f"{venue.ws_url}/ws/btcusdt@ticker/!ticker@arr") as socket:
                return [await receive(socket) for _ in range(2)]
        finally:
            await venue.stop()

    assert [[each["s"] for each in message] for message in asyncio.run(run())] == [["ETHUSDT"], ["ETHUSDT"]]
