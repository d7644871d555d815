from decimal import Decimal

from tests.adapters.dydx.node import BTC, BUY, SELL, run, trading


def test_a_market_order_fills_and_journal_node_and_venue_agree(addresses, key, sink, reader):
    async def scenario():
        async with trading(addresses, key, sink) as session:
            order = session.trader.market(BUY, "0.0029")
            assert await session.done(order) == "FILLED"
            account = await session.agree(reader)
            assert account.positions[BTC.value].quantity == Decimal("0.0029")
            await session.done(session.trader.market(SELL, "0.0029", reduce_only=True))
            account = await session.agree(reader)
            assert account.positions == {}

    run(scenario)
