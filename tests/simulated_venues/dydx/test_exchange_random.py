"""A hundred thousand random orders: money, positions, orders, queue and liquidity as events alone would have them."""

from collections import defaultdict

from simulated_venues.dydx.exchange import Exchange
from simulated_venues.dydx.records import MarketTraded, Moment, Order, OrderId, OrderStatus, Side
from simulated_venues.dydx.state import House, Taken, Working
from tests.simulated_venues.dydx.background import BTC, ETH, START_MS
from tests.simulated_venues.dydx.naive_books import NaiveBooks, signed
from tests.simulated_venues.dydx.random_trading import RandomTrading, fills
from tests.simulated_venues.dydx.walking_background import WalkingBackground

MARKETS = (BTC, ETH)
ORDERS = 100_000
BOOKS_EVERY, QUEUES_EVERY = 50, 4
"""Blocks between two looks at everybody's money and the background, and at who stands before whom."""


def assert_books_agree(exchange: Exchange, books: NaiveBooks, trading: RandomTrading) -> None:
    assert exchange.total_quote_quantums() == 0
    assert exchange.house(House.OUTSIDE) == -books.deposits
    assert exchange.house(House.FEE_COLLECTOR) == books.fees
    assert exchange.house(House.INSURANCE_FUND) == books.insurance
    assert exchange.house(House.FUNDING_POOL) == -books.funding
    for account in trading.accounts:
        assert exchange.usdc(account) == books.usdc[account]
        held = {position.clob_pair_id: position.quantums for position in exchange.positions(account)}
        assert held == {pair: books.held[account, pair] for pair in (0, 1) if books.held[account, pair]}
        values = (
            market.oracle_value(held.get(market.clob_pair_id, 0), trading.exchange.oracle_e8(market))
            for market in MARKETS
        )
        assert exchange.risk(account, trading.moment).equity == exchange.usdc(account) + sum(values)


def assert_taken_is_within_levels(exchange: Exchange, background: WalkingBackground, moment: Moment) -> None:
    for taken in (row for row in exchange.state() if isinstance(row, Taken)):
        market = MARKETS[taken.clob_pair_id]
        price = taken.subticks // market.subticks_per_tick
        quantity, since_ms = background.level(market, taken.side, price, moment.at_ms)
        if since_ms == taken.since_ms:
            assert 0 < taken.quantums <= quantity * market.step_base_quantums


def assert_tape_is_used_once(background, previous: Moment, moment: Moment, events) -> None:
    """Maker fills without a trade of their own come from the tape: of its side, at its prices, within its quantity."""
    told = {event.trade_id for event in events if isinstance(event, MarketTraded)}
    from_tape = [fill for fill in fills(events) if fill.event_id not in told]
    for market in MARKETS:
        for side in Side:
            mine = [f for f in from_tape if f.clob_pair_id == market.clob_pair_id and f.side is side]
            if not mine:
                continue
            trades = background.trades(market, previous.at_ms + 1, moment.at_ms + 1)
            for limit in {fill.subticks for fill in mine}:
                through = [t for t in trades if t.taker is not side and signed(side) * (limit - t.subticks) >= 0]
                worse = [f for f in mine if signed(side) * (limit - f.subticks) >= 0]
                assert sum(f.quantums for f in worse) <= sum(t.quantums for t in through)


def assert_priority(before: list[tuple[Working, int]], order: Order, events) -> None:
    """No fill while something better rests: better in price, or as good and older, unless it had to go."""
    prices = [f.subticks for f in fills(events) if f.order is not None and f.order.order_id == order.order_id]
    if not prices:
        return
    assert prices == sorted(prices, reverse=order.side is Side.SELL)
    filled: dict[OrderId, int] = defaultdict(int)
    for fill in fills(events):
        if fill.liquidity == "MAKER":
            filled[fill.order.order_id] += fill.quantums
    gone = {e.order.order_id for e in events if getattr(e, "status", None) is OrderStatus.CANCELED}
    opposite = [
        each
        for each in before
        if each[0].order.side is not order.side
        and each[0].order.order_id.clob_pair_id == order.order_id.clob_pair_id
        and each[0].order.order_id not in gone
    ]
    for working, remaining in opposite:
        maker = working.order
        if filled[maker.order_id] < remaining:
            assert signed(order.side) * (prices[-1] - maker.subticks) <= 0
            younger = [
                each for each, _ in opposite if each.order.subticks == maker.subticks and _age(each) > _age(working)
            ]
            assert not any(filled[each.order.order_id] for each in younger)


def _age(working: Working) -> tuple[int, int]:
    return working.height, working.place


def test_a_hundred_thousand_random_orders_keep_every_book():
    background = WalkingBackground(seed=3, first_ms=START_MS, seconds=ORDERS // 8)
    exchange = Exchange(MARKETS, background)
    trading = RandomTrading(exchange, background, MARKETS, seed=11, first_ms=START_MS)
    books = NaiveBooks({0: BTC, 1: ETH})
    books.read(trading.begin())
    while trading.actions < ORDERS:
        previous, events = trading.moment, trading.next_block()
        books.read(events)
        checked = trading.moment.height % BOOKS_EVERY == 0
        queues = trading.moment.height % QUEUES_EVERY == 0
        if checked:
            assert_tape_is_used_once(background, previous, trading.moment, events)
            assert_taken_is_within_levels(exchange, background, trading.moment)
        for _ in range(10):
            resting = [(w, w.remaining) for w in exchange.orders() if not w.is_waiting] if queues else []
            order, events = trading.act()
            books.read(events)
            if queues and order is not None:
                assert_priority(resting, order, events)
        if checked:
            assert_books_agree(exchange, books, trading)

    for account in trading.accounts:
        fees = sum(f.fee_quote_quantums for f in books.fills if f.subaccount == account)
        moved = books.usdc[account] - books.realised(account) + fees
        assert moved == books.moved[account]
    assert_every_order_adds_up(exchange, books)
    assert_enough_has_happened(books, trading)


def assert_every_order_adds_up(exchange: Exchange, books: NaiveBooks) -> None:
    """What rests, what is filled and what was cancelled make the quantity; nothing is lost."""
    working = {each.order.order_id: each for each in exchange.orders()}
    for order_id, changed in books.last.items():
        filled = books.filled[order_id]
        if order_id in working:
            assert working[order_id].remaining + filled == changed.order.quantums
            assert changed.status not in (OrderStatus.FILLED, OrderStatus.CANCELED)
        else:
            assert changed.status in (OrderStatus.FILLED, OrderStatus.CANCELED)
            assert (filled == changed.order.quantums) == (changed.status is OrderStatus.FILLED)
    assert set(working) <= set(books.last)


def assert_enough_has_happened(books: NaiveBooks, trading: RandomTrading) -> None:
    kinds = defaultdict(int)
    for fill in books.fills:
        kinds[fill.kind, fill.liquidity] += 1
    reasons = {changed.removal_reason for changed in books.last.values()}
    assert len(books.fills) > ORDERS // 10
    assert kinds["LIQUIDATED", "TAKER"] > 20
    assert len(reasons) >= 7
    assert {7, 20, 24, 2001, 2003, 2004, 3005, 3007, 10001} <= set(trading.refused)
