"""A chain that loses, refuses or delays transactions: each order ends once, rightly, and is sent once."""

import asyncio
from decimal import Decimal

from tests.adapters.dydx.node import BTC, BUY, SELL, run, trading


def sent(venue):
    """Transactions that the chain took."""
    return venue.describe()["counters"]["transactions"]


def test_an_order_that_is_in_no_block_ends_canceled_and_is_never_sent_again(
    addresses, key, journal, reader, strike, venue
):
    async def scenario():
        async with trading(addresses, key, journal, blocks=8) as session:
            before = sent(venue)
            strike("swallow_transaction", count=1)
            order = session.trader.market(BUY, "0.01")
            await session.accepted(order)
            planned = journal.books.intents[-1].good_til_block
            assert await session.done(order) == "CANCELED"
            assert session.client.height > planned
            await session.blocks(10)
            assert (await session.agree(reader)).fills == ()
            assert sent(venue) == before + 1

    run(scenario)


def test_a_stop_that_is_in_no_block_is_told_as_gone_and_another_one_rests(addresses, key, journal, reader, strike):
    async def scenario():
        async with trading(addresses, key, journal, blocks=8) as session:
            await session.hold(BUY, "0.02")
            trigger = await session.oracle() * Decimal("0.9")
            strike("swallow_transaction", count=1)
            lost = session.trader.protect(SELL, "0.02", trigger)
            assert await session.done(lost) == "CANCELED"
            # The chain has not used the lost one's sequence.
            await session.accepted(session.trader.protect(SELL, "0.02", trigger))
            assert len((await session.agree(reader)).open_orders) == 1

    run(scenario)


def test_a_cancel_that_is_in_no_block_is_told_as_refused_and_the_order_works_on(
    addresses, key, journal, reader, strike
):
    async def scenario():
        async with trading(addresses, key, journal, blocks=8) as session:
            order = session.trader.limit(BUY, "0.01", await session.oracle() * Decimal("0.9"))
            await session.accepted(order)
            strike("swallow_transaction", count=1)
            session.trader.cancel_order(order)
            await session.until(lambda: order.status_string() == "PENDING_CANCEL")
            await session.accepted(order)
            assert len((await session.agree(reader)).open_orders) == 1
            session.trader.cancel_order(order)
            assert await session.done(order) == "CANCELED"

    run(scenario)


def test_another_signer_at_work_only_costs_a_second_signature(addresses, key, journal, reader, strike):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            price = await session.oracle() * Decimal("0.9")
            strike("bump_sequence", value=3, count=2)
            orders = [session.trader.limit(BUY, "0.01", price) for _ in range(3)]
            for order in orders:
                await session.accepted(order)
            assert len((await session.agree(reader)).open_orders) == 3

    run(scenario)


def test_a_refused_order_is_rejected_with_the_chains_reason(addresses, key, journal, reader, strike):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            strike("reject_orders", value=1000, count=2)
            oracle = await session.oracle()
            orders = [session.trader.market(BUY, "0.01"), session.trader.limit(BUY, "0.01", oracle)]
            assert [await session.done(order) for order in orders] == ["REJECTED", "REJECTED"]
            assert all("1000" in order.last_event.reason for order in orders)
            assert (await session.agree(reader)).fills == ()

    run(scenario)


def test_what_a_partial_fill_leaves_is_canceled(addresses, key, journal, reader, strike):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            strike("partial_fills", value=0.4, count=1)
            order = session.trader.market(BUY, "0.01")
            assert await session.done(order) == "CANCELED"
            assert 0 < order.filled_qty < order.quantity
            account = await session.agree(reader)
            assert account.positions[BTC.value].quantity == order.filled_qty.as_decimal()

    run(scenario)


def test_an_order_that_fills_in_spite_of_its_cancel_is_filled(addresses, key, journal, reader, strike):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            order = session.trader.limit(BUY, "0.01", await session.oracle() * Decimal("0.97"))
            await session.accepted(order)
            strike("late_fill_after_cancel", count=1)
            session.trader.cancel_order(order)
            assert await session.done(order) == "FILLED"
            account = await session.agree(reader)
            assert account.positions[BTC.value].quantity == Decimal("0.01")

    run(scenario)


def test_orders_wait_through_a_halt_of_the_chain(addresses, key, journal, reader, strike):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            strike("halt_chain", seconds=2)
            await asyncio.sleep(0.3)
            known_at = session.client.height_at
            order = session.trader.market(BUY, "0.01")
            assert await session.done(order) == "FILLED"
            assert session.client.height_at - known_at > 1.5
            await session.agree(reader)

    run(scenario)


def test_a_venue_that_was_away_finds_its_orders_and_ours(addresses, key, journal, reader, strike):
    async def scenario():
        async with trading(addresses, key, journal, blocks=15) as session:
            await session.hold(BUY, "0.02")
            stop = session.trader.protect(SELL, "0.02", await session.oracle() * Decimal("0.9"))
            await session.accepted(stop)
            connections = session.client.connections
            strike("restart", value=1.5)
            await asyncio.sleep(0.5)
            # Nobody hears this one, or nobody answers, or the venue is not away yet: it must not be called refused.
            lost = session.trader.market(BUY, "0.01")
            assert await session.done(lost) in ("CANCELED", "DENIED", "FILLED")
            assert session.client.connections > connections
            assert await session.done(session.trader.market(SELL, "0.01", reduce_only=True)) == "FILLED"
            account = await session.agree(reader)
            assert [each.venue_order_id for each in account.open_orders] == [stop.venue_order_id.value]

    run(scenario)


def test_each_funding_settlement_is_journalled_once_also_when_a_block_has_several(
    addresses, key, journal, reader, strike
):
    """The last one here: afterwards the chain waits until clocks have caught up with its time."""

    async def scenario():
        async with trading(addresses, key, journal) as session:
            assert await session.done(session.trader.market(BUY, "0.5")) == "FILLED"
            # The venue's clock passes four funding intervals at once.
            strike("clock_skew", value=4 * 60_000)
            payments = await session.until(lambda: len(found := journal.books.history().funding) >= 4 and found)
            await session.until(lambda: session.client.clock_skew_ms > 230_000)
            assert len({payment.settled_at for payment in payments}) == len(payments)
            for payment in (await session.agree(reader)).funding:
                assert payment.position_quantity == Decimal("0.5")
                exact = -payment.position_quantity * payment.price * payment.rate
                assert Decimal(0) <= exact - payment.amount < Decimal("1e-6")

    run(scenario)
