"""The way out without an engine."""

import signal
from decimal import Decimal

import pytest

from helios_pipeline.adapters.dydx.flatten import flatten_account
from tests.adapters.dydx.node import BTC, BUY, ETH, SELL, run, trading


@pytest.fixture(name="loaded")
def loaded_fixture(addresses, key, journal):
    """An account with positions both ways, a stop and a resting order; its engine is gone."""

    async def scenario():
        async with trading(addresses, key, journal) as session:
            await session.hold(BUY, "0.02")
            await session.hold(SELL, "0.3", ETH)
            oracle = await session.oracle()
            await session.accepted(session.trader.protect(SELL, "0.02", oracle * Decimal("0.9")))
            await session.accepted(session.trader.limit(BUY, "0.01", oracle * Decimal("0.9")))

    run(scenario)
    return journal


def test_everything_is_canceled_and_closed(addresses, key, loaded, reader):
    said = []
    report = flatten_account(addresses, key, said.append)

    assert (report.flat, report.canceled) == (True, 2)
    assert report.closed == {BTC.value: Decimal("0.02"), ETH.value: Decimal("-0.3")}
    account = reader.read(None)
    assert (account.positions, account.open_orders) == ({}, ())
    assert said[-1] == "flat: no position, no order"


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "swallow_transaction", "count": 3},
        {"kind": "bump_sequence", "value": 2, "count": 2},
        {"kind": "partial_fills", "value": 0.4, "count": 3},
        {"kind": "reject_orders", "value": 1000, "count": 2},
        {"kind": "http_status", "value": 503, "share": 0.4, "where": "/v4/*"},
        {"kind": "indexer_lag", "value": 10},
    ],
    ids=lambda fault: fault["kind"],
)
def test_it_ends_flat_at_a_venue_that_does_not_do_as_it_is_told(addresses, key, loaded, reader, strike, venue, fault):
    strike(**fault)
    report = flatten_account(addresses, key, lambda line: None)
    venue.faults.stop_all()

    assert report.flat
    account = reader.read(None)
    assert (account.positions, account.open_orders) == ({}, ())


def test_the_journal_has_what_it_did_and_the_next_engine_agrees(addresses, key, loaded, reader):
    report = flatten_account(addresses, key, lambda line: None, sink=loaded)

    assert report.flat
    assert loaded.books.positions == {}
    closing = [intent for intent in loaded.books.intents if intent.purpose == "flatten"]
    assert {intent.instrument_id for intent in closing} == {BTC.value, ETH.value}
    assert loaded.books.unknown() == ()

    async def scenario():
        async with trading(addresses, key, loaded) as session:
            await session.agree(reader)
            assert loaded.books.unknown() == ()

    run(scenario)


def test_a_journal_that_can_not_be_written_keeps_nobody_from_being_flat(addresses, key, loaded, reader):
    loaded.close()
    said = []
    report = flatten_account(addresses, key, said.append, sink=loaded)

    assert report.flat
    assert any("journal" in line for line in said)


def test_a_flat_account_is_left_alone(addresses, key, reader):
    reader.read(None)
    report = flatten_account(addresses, key, lambda line: None)

    assert (report.flat, report.canceled, report.closed) == (True, 0, {})


def test_ctrl_c_ends_it_with_a_report_and_a_second_run_goes_on(addresses, key, loaded, reader, strike, venue):
    number = strike("halt_chain")
    said = []

    def interrupt(line):
        said.append(line)
        if "closing" in line:
            signal.raise_signal(signal.SIGINT)

    report = flatten_account(addresses, key, interrupt)
    assert not report.flat
    assert any("Run it again" in line for line in said)
    venue.faults.stop(number)
    assert flatten_account(addresses, key, lambda line: None).flat
    assert reader.read(None).positions == {}
