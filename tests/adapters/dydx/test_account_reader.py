"""The independent look at an account."""

from decimal import Decimal

import pytest

from helios_pipeline.adapters.dydx.account_reader import DydxAccountReader
from helios_pipeline.adapters.dydx.indexer import DydxIndexer
from helios_pipeline.core.errors import UnreachableError
from tests.adapters.dydx.node import BTC, BUY, SELL, run, trading


def test_an_account_that_nobody_used_has_its_deposit_and_nothing_else(reader):
    account = reader.read(None)
    while not account.transfers:
        account = reader.read(None)

    assert account.quote_balance == 100_000
    assert [transfer.amount for transfer in account.transfers] == [100_000]
    assert (account.positions, account.open_orders, account.fills, account.funding) == ({}, (), (), ())


def test_each_reading_is_of_one_moment_however_busy_the_account_is(addresses, key, journal, reader):
    """Cash is what the rows of the same reading make of it, in every reading while orders fill."""

    async def scenario():
        async with trading(addresses, key, journal) as session:
            reading = session.node.kernel.loop.run_in_executor
            found = []
            for number in range(12):
                order = session.trader.market(SELL if number % 2 else BUY, "0.01")
                found.append(await reading(None, reader.read, None))
                await session.done(order)
            return found

    for account in run(scenario):
        cash = sum(-each.side * each.quantity * each.price - each.fee for each in account.fills)
        cash += sum(each.amount for each in (*account.transfers, *account.funding))
        held = sum(each.side * each.quantity for each in account.fills)
        assert cash == account.quote_balance
        assert held == (account.positions[BTC.value].quantity if account.positions else Decimal(0))


def test_since_leaves_out_what_was_booked_until_then(addresses, key, journal, reader):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            await session.hold(BUY, "0.01")
            await session.blocks(2)
            await session.hold(SELL, "0.01")

    run(scenario)
    everything = reader.read(None)
    first = everything.fills[0]
    later = reader.read(first.filled_at)
    assert first not in later.fills
    assert later.fills == tuple(each for each in everything.fills if each.filled_at > first.filled_at)
    assert later.transfers == ()


def test_every_page_is_read(addresses, key, journal, monkeypatch):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            for number in range(7):
                await session.hold(SELL if number % 2 else BUY, "0.01")

    run(scenario)
    with DydxIndexer(addresses.http, key.address, 0) as indexer:
        whole = indexer.fills(lambda row: True)
        monkeypatch.setattr("helios_pipeline.adapters.dydx.indexer.PAGE", 2)
        assert indexer.fills(lambda row: True) == whole
    assert len(whole) >= 7


def test_a_venue_that_does_not_answer_is_named(addresses, key, strike):
    strike("http_status", where="/v4/*", value=503)
    with pytest.raises(UnreachableError, match="503"):
        DydxAccountReader(addresses, key.address).read(None)
