"""An engine that starts again: what it left behind is found, nothing is sent twice, nothing is counted twice."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

from helios_pipeline.adapters.dydx.flatten import flatten_account
from helios_pipeline.core.trading import Intent
from tests.adapters.dydx.node import BTC, BUY, ETH, SELL, run, trading


def order_of(session, order):
    """The order as the second node has it."""
    return session.node.cache.order(order.client_order_id)


def test_position_orders_and_ids_are_the_same_before_the_first_decision(addresses, key, open_journal, reader):
    async def scenario():
        async with trading(addresses, key, open_journal()) as first:
            await first.hold(BUY, "0.03")
            await first.hold(SELL, "0.01")
            await first.hold(SELL, "0.2", ETH)
            oracle = await first.oracle()
            stop = first.trader.protect(SELL, "0.02", oracle * Decimal("0.9"))
            limit = first.trader.limit(BUY, "0.01", oracle * Decimal("0.9"))
            await first.accepted(stop)
            await first.accepted(limit)
            (before,) = first.node.cache.positions_open(instrument_id=BTC)
        async with trading(addresses, key, open_journal()) as second:
            (position,) = second.node.cache.positions_open(instrument_id=BTC)
            assert (position.signed_qty, position.avg_px_open) == (before.signed_qty, before.avg_px_open)
            assert position.strategy_id == second.trader.id
            assert {order_of(second, each).status_string() for each in (stop, limit)} == {"ACCEPTED"}
            assert order_of(second, stop).trigger_price == stop.trigger_price
            await second.agree(reader)
            second.trader.cancel_all_orders(BTC)
            for each in (stop, limit):
                assert await second.done(order_of(second, each)) == "CANCELED"
            await second.hold(SELL, "0.02", reduce_only=True)
            account = await second.agree(reader)
            assert (list(account.positions), account.open_orders) == ([ETH.value], ())

    run(scenario)


def test_what_filled_while_nobody_listened_is_taken_in_once(addresses, key, open_journal, reader, strike, venue):
    async def scenario():
        async with trading(addresses, key, open_journal()) as first:
            await first.hold(BUY, "0.02")
            stop = first.trader.protect(SELL, "0.02", await first.oracle() * Decimal("0.95"))
            await first.accepted(stop)
        strike("oracle_jump", where="BTC-USD", value=-0.1)
        while await asyncio.to_thread(lambda: reader.read(None).positions):
            await asyncio.sleep(0.05)
        venue.faults.stop_all()
        for _ in range(2):
            async with trading(addresses, key, open_journal()) as later:
                assert later.position() == 0
                account = await later.agree(reader)
                assert account.open_orders == ()

    run(scenario)


def test_an_order_in_flight_is_found_and_one_that_is_in_no_block_is_given_up(
    addresses, key, open_journal, reader, strike, venue
):
    async def scenario():
        async with trading(addresses, key, open_journal()) as first:
            strike("halt_chain")
            await asyncio.sleep(0.3)
            found = first.trader.market(BUY, "0.02")
            await first.accepted(found)
            strike("swallow_transaction", count=1)
            lost = first.trader.market(BUY, "0.01")
            await first.accepted(lost)
        venue.faults.stop_all()
        journal = open_journal()
        assert {line.intent.client_order_id for line in (*journal.books.unknown(), *journal.books.open_orders())} == {
            found.client_order_id.value,
            lost.client_order_id.value,
        }
        async with trading(addresses, key, journal) as second:
            await second.until(lambda: not journal.books.open_orders() and not journal.books.unknown())
            assert journal.books.orders[lost.client_order_id.value].state == "canceled"
            account = await second.agree(reader)
            assert account.positions[BTC.value].quantity == Decimal("0.02")

    run(scenario)


def test_an_intent_that_was_never_sent_is_given_up_and_not_sent(addresses, key, open_journal, reader):
    async def scenario():
        async with trading(addresses, key, open_journal()) as first:
            await first.blocks(1)
            height = first.client.height
        journal = open_journal()
        for number, (kind, block) in enumerate((("market", height + 10), ("stop_market", None)), start=1):
            intent = Intent(
                account=journal.account,
                instrument_id=BTC.value,
                client_order_id=str(number),
                venue_client_id=number,
                side=-1,
                kind=kind,
                quantity=Decimal("0.01"),
                limit_price=None,
                trigger_price=Decimal(30_000) if kind == "stop_market" else None,
                reduce_only=True,
                purpose="other",
                reason="",
                boundary=None,
                atr=None,
                good_til_block=block,
                intended_at=datetime.now(UTC),
            )
            journal.append(intent)
        assert len(journal.books.unknown()) == 2
        async with trading(addresses, key, journal) as second:
            await second.until(lambda: not journal.books.unknown())
            assert {journal.books.orders[each].state for each in ("1", "2")} == {"canceled"}
            account = await second.agree(reader)
            assert (account.fills, account.open_orders) == ((), ())

    run(scenario)


def test_fills_of_another_way_in_are_told_and_another_ones_orders_can_be_canceled(
    addresses, key, open_journal, reader, tmp_path
):
    async def scenario():
        other = open_journal()
        async with trading(addresses, key, other) as first:
            await first.hold(BUY, "0.02")
            await first.accepted(first.trader.limit(BUY, "0.01", await first.oracle() * Decimal("0.9")))
        (tmp_path / "log").rename(tmp_path / "lost")
        # A journal that knows nothing: it begins with what is there.
        journal = open_journal()
        async with trading(addresses, key, journal) as second:
            assert second.position() == Decimal("0.02")
            await second.agree(reader)
            (theirs,) = second.node.cache.orders_open(instrument_id=BTC)
            second.trader.cancel_order(theirs)
            assert await second.done(theirs) == "CANCELED"
            # Somebody closes it from outside, while this engine runs.
            report = await asyncio.to_thread(flatten_account, addresses, key, lambda line: None)
            assert report.flat
            await second.until(lambda: second.position() == 0)
            account = await second.agree(reader)
            assert (account.positions, account.open_orders) == ({}, ())
            assert journal.books.quote_balance == account.quote_balance

    run(scenario)
