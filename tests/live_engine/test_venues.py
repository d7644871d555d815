"""The registry, without a node: what it names, and what it refuses."""

from dataclasses import replace
from decimal import Decimal

import pytest

from helios_pipeline.core.errors import EngineError
from helios_pipeline.core.venues import AccountHistory
from live_engine.venues import VENUES, account_id, signal_parts, venue_parts
from tests.live_engine.venue_contract.case import VenueCase

NOTHING = AccountHistory(account="", intents=(), order_events=(), fills=(), funding=(), transfers=())


class Sink:
    """Nothing is written while parts are put together."""

    def append(self, record):
        raise AssertionError(f"expected nothing to be journalled, found {record}")


def choice(**changes):
    case = VenueCase(
        network="paper",
        venue="DYDX",
        instrument_id="BTC-USD-PERP.DYDX",
        quantity="1",
        taker_fee_fraction="0.0005",
        funding_interval_seconds=3_600,
    )
    return replace(case, **changes).choice()


def parts(chosen, environment=None):
    return venue_parts(chosen, environment or {}, Sink(), NOTHING)


def test_paper_needs_no_key_and_is_named_after_the_venue_whose_prices_it_has():
    found = parts(choice())

    assert (found.name, found.account, found.currency) == ("DYDX", "DYDX-paper", "USDC")
    assert (found.data.name, found.execution.name) == ("DYDX", "DYDX")
    assert account_id(choice(venue="BINANCE", instrument_id="BTCUSDT-PERP.BINANCE"), {}) == "BINANCE-paper"


def test_what_is_traded_comes_with_its_signal_and_fees():
    [traded] = parts(choice()).traded

    assert (traded.instrument_id, traded.signal_instrument_id) == ("BTC-USD-PERP.DYDX", "BTCUSDT-PERP.BINANCE")
    assert (traded.maker_fee_fraction, traded.taker_fee_fraction) == (Decimal("0.0001"), Decimal("0.0005"))


def test_a_venue_that_gives_signals_and_is_traded_needs_one_client():
    chosen = choice(venue="BINANCE", instrument_id="ETHUSDT-PERP.BINANCE")
    heard = {str(each) for each in signal_parts(chosen).config.instrument_provider.load_ids}

    assert heard == {"BTCUSDT-PERP.BINANCE", "ETHUSDT-PERP.BINANCE"}
    assert signal_parts(chosen).config == parts(chosen).data.config


def test_a_paper_venue_refuses_real_orders():
    chosen = choice(venue="BINANCE", network="mainnet", instrument_id="BTCUSDT-PERP.BINANCE")

    with pytest.raises(EngineError, match="takes real orders on mainnet, found BINANCE"):
        account_id(chosen, {})


def test_an_instrument_of_another_venue_is_refused():
    with pytest.raises(EngineError, match=r"contracts of DYDX, where orders go, found ETHUSDT-PERP\.BINANCE"):
        parts(choice(instrument_id="ETHUSDT-PERP.BINANCE"))


def test_a_venue_that_nobody_wrote_is_refused(monkeypatch):
    monkeypatch.delitem(VENUES, "DYDX")

    with pytest.raises(EngineError, match="expected one of BINANCE, found DYDX"):
        parts(choice())
