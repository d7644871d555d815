"""Orders of every kind at a venue that works, and what became of them in journal, node and venue."""

from decimal import Decimal

from nautilus_trader.model.enums import TimeInForce

from tests.adapters.dydx.node import BTC, BUY, ETH, SELL, run, trading


def test_market_orders_fill_and_journal_node_and_venue_agree(addresses, key, journal, reader):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            # A size that floats would cut to 0.0028.
            assert await session.done(session.trader.market(BUY, "0.0029")) == "FILLED"
            account = await session.agree(reader)
            assert account.positions[BTC.value].quantity == Decimal("0.0029")
            assert await session.done(session.trader.market(SELL, "0.0029", reduce_only=True)) == "FILLED"
            account = await session.agree(reader)
            assert account.positions == {}

    run(scenario)


def test_a_reduce_only_order_never_turns_a_position(addresses, key, journal, reader):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            await session.hold(SELL, "0.004")
            closing = session.trader.market(BUY, "0.01", reduce_only=True)
            assert await session.done(closing) == "CANCELED"
            assert closing.filled_qty == session.trader.quantity("0.004", BTC)
            refused = session.trader.market(BUY, "0.01", reduce_only=True)
            assert await session.done(refused) == "REJECTED"
            account = await session.agree(reader)
            assert account.positions == {}

    run(scenario)


def test_a_limit_order_rests_and_can_be_canceled(addresses, key, journal, reader):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            oracle = await session.oracle()
            order = session.trader.limit(BUY, "0.01", oracle * Decimal("0.9"))
            await session.accepted(order)
            (resting,) = (await session.agree(reader)).open_orders
            assert resting.venue_client_id == int(order.client_order_id.value)
            assert (resting.venue_order_id, resting.quantity) == (order.venue_order_id.value, Decimal("0.01"))
            session.trader.cancel_order(order)
            assert await session.done(order) == "CANCELED"
            assert (await session.agree(reader)).open_orders == ()

    run(scenario)


def test_limit_orders_that_cross_fill_and_what_is_post_only_does_not(addresses, key, journal, reader):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            oracle = await session.oracle(ETH)
            crossing = session.trader.limit(BUY, "0.01", oracle * Decimal("1.01"), ETH, time_in_force=TimeInForce.IOC)
            assert await session.done(crossing) == "FILLED"
            shy = session.trader.limit(BUY, "0.01", oracle * Decimal("1.01"), ETH, post_only=True)
            assert await session.done(shy) in ("CANCELED", "REJECTED")
            account = await session.agree(reader)
            assert account.positions[ETH.value].quantity == Decimal("0.01")

    run(scenario)


def test_all_three_kinds_of_orders_are_canceled_together(addresses, key, journal, reader):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            await session.hold(BUY, "0.02")
            oracle = await session.oracle()
            stop = session.trader.protect(SELL, "0.02", oracle * Decimal("0.9"))
            limit = session.trader.limit(BUY, "0.01", oracle * Decimal("0.9"))
            await session.accepted(stop)
            await session.accepted(limit)
            assert len((await session.agree(reader)).open_orders) == 2
            session.trader.cancel_all_orders(BTC)
            assert [await session.done(stop), await session.done(limit)] == ["CANCELED", "CANCELED"]
            assert (await session.agree(reader)).open_orders == ()

    run(scenario)


def test_a_stop_rests_at_its_exact_trigger_and_closes_when_the_oracle_crosses_it(
    addresses, key, journal, reader, strike
):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            await session.hold(BUY, "0.02")
            trigger = round(await session.oracle() * Decimal("0.95"))
            stop = session.trader.protect(SELL, "0.02", trigger)
            await session.accepted(stop)
            (resting,) = (await session.agree(reader)).open_orders
            assert (resting.trigger_price, resting.reduce_only) == (trigger, True)
            assert resting.limit_price < trigger
            strike("oracle_jump", where="BTC-USD", value=-0.1, seconds=3)
            assert await session.done(stop) == "FILLED"
            assert (await session.agree(reader)).positions == {}

    run(scenario)


def test_what_the_venue_does_not_have_is_denied_and_nothing_is_sent(addresses, key, journal, reader):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            oracle = await session.oracle()
            reducing = session.trader.limit(BUY, "0.01", oracle * Decimal("0.9"), reduce_only=True)
            all_or_none = session.trader.limit(BUY, "0.01", oracle * Decimal("0.9"), time_in_force=TimeInForce.FOK)
            assert [await session.done(each) for each in (reducing, all_or_none)] == ["DENIED", "DENIED"]
            account = await session.agree(reader)
            assert (account.open_orders, account.fills) == ((), ())

    run(scenario)


def test_orders_at_once_in_two_markets_do_not_wait_for_each_other(addresses, key, journal, reader):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            sides = (BUY, SELL, BUY, SELL)
            orders = [session.trader.market(side, "0.01", market) for side in sides for market in (BTC, ETH)]
            assert {await session.done(order) for order in orders} == {"FILLED"}
            account = await session.agree(reader)
            assert len(account.fills) >= len(orders)
            assert account.positions == {}

    run(scenario)
