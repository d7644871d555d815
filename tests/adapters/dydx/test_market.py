from decimal import Decimal

import pytest

from helios_pipeline.adapters.dydx.market import Market, read_market, ticker_of
from helios_pipeline.core.errors import VenueError

BTC = Market(
    ticker="BTC-USD",
    clob_pair_id=0,
    atomic_resolution=-10,
    quantum_conversion_exponent=-9,
    step_base_quantums=1_000_000,
    subticks_per_tick=100_000,
)


def test_steps_and_ids_are_as_the_venue_says():
    assert (BTC.step, BTC.tick) == (Decimal("0.0001"), Decimal(1))
    assert BTC.instrument_id == "BTC-USD-PERP.DYDX"
    assert ticker_of(BTC.instrument_id) == "BTC-USD"


def test_every_size_up_to_five_thousand_steps_is_exact():
    assert [BTC.quantums(n * Decimal("0.0001")) for n in range(1, 5_000)] == [n * 1_000_000 for n in range(1, 5_000)]


@pytest.mark.parametrize("size", ["0", "-0.0001", "0.00015", "0.0001000001"])
def test_a_size_off_the_step_is_refused(size):
    with pytest.raises(VenueError, match=r"multiple of 0\.0001"):
        BTC.quantums(Decimal(size))


def test_a_price_goes_there_and_back():
    for price in (1, 40_001, 123_456):
        assert BTC.price(BTC.subticks(Decimal(price))) == price


def test_a_limit_is_rounded_so_that_it_takes_no_less():
    assert BTC.price(BTC.subticks(Decimal("40000.3"), side=1)) == 40_001
    assert BTC.price(BTC.subticks(Decimal("40000.7"), side=-1)) == 40_000


@pytest.mark.parametrize("price", ["40000.5", "0", "-1"])
def test_a_price_that_must_be_on_a_tick_and_is_not_is_refused(price):
    with pytest.raises(VenueError, match="multiple of 1"):
        BTC.subticks(Decimal(price))


def test_another_indexer_or_instrument_is_named():
    with pytest.raises(VenueError, match="atomicResolution"):
        read_market({"ticker": "BTC-USD", "clobPairId": "0"})
    with pytest.raises(VenueError, match=r"BTCUSDT-PERP\.BINANCE"):
        ticker_of("BTCUSDT-PERP.BINANCE")
