"""An exchange that is filled again from what a store wrote goes on as if nothing had happened."""

import msgspec

from simulated_venues.dydx.exchange import Exchange
from simulated_venues.dydx.listing import Listing
from simulated_venues.dydx.markets import markets_of
from simulated_venues.dydx.records import Event, Market
from simulated_venues.dydx.state import ROW_TYPES, Change, Row
from simulated_venues.market import SimulatedMarket
from tests.simulated_venues.dydx.background import BTC, ETH, START_MS, USDC, block, order
from tests.simulated_venues.dydx.naive_books import NaiveBooks
from tests.simulated_venues.dydx.random_trading import RandomTrading, fills
from tests.simulated_venues.dydx.scene import Scene
from tests.simulated_venues.dydx.walking_background import WalkingBackground

MARKETS = (BTC, ETH)


class Stored:
    """Rows as bytes, by what `take_changes` says alone."""

    def __init__(self) -> None:
        self.bodies: dict[tuple[str, str], bytes] = {}

    def write(self, changes: list[Change]) -> None:
        for change in changes:
            if change.row is None:
                self.bodies.pop((change.table, change.key), None)
            else:
                self.bodies[change.table, change.key] = msgspec.json.encode(change.row)

    def rows(self) -> list[Row]:
        return [msgspec.json.decode(body, type=ROW_TYPES[table]) for (table, _), body in sorted(self.bodies.items())]


def run(blocks: int, *, restart_every: int | None) -> tuple[list[Event], Exchange, Stored]:
    background = WalkingBackground(seed=5, first_ms=START_MS, seconds=blocks + 10)
    trading = RandomTrading(Exchange(MARKETS, background), background, MARKETS, seed=6, first_ms=START_MS)
    stored, events = Stored(), trading.begin()
    for n in range(blocks):
        events += trading.next_block()
        for _ in range(trading.orders_per_block):
            events += trading.act()[1]
        stored.write(trading.exchange.take_changes())
        if restart_every is not None and n % restart_every == 0:
            trading.exchange = Exchange(MARKETS, background)
            trading.exchange.restore(stored.rows())
    return events, trading.exchange, stored


def test_restarts_after_every_few_blocks_change_no_event():
    straight, restarted = run(240, restart_every=None), run(240, restart_every=7)

    assert restarted[0] == straight[0]
    assert restarted[2].bodies == straight[2].bodies


def test_what_a_block_changed_is_all_that_has_to_be_written():
    _, exchange, stored = run(100, restart_every=None)
    everything = sorted(msgspec.json.encode(row) for row in exchange.state())

    assert sorted(stored.bodies.values()) == everything


def test_a_quiet_block_writes_nothing():
    scene = Scene()
    scene.place(order(1, price=39_000))
    scene.exchange.take_changes()
    scene.next()

    assert not scene.exchange.take_changes()


def test_the_listed_market_serves_as_background(make_settings):
    """The same crowd on the simulated market as this venue lists it."""
    source = SimulatedMarket(make_settings())
    markets: tuple[Market, ...] = markets_of(source)
    listing = Listing(source, markets)
    exchange = Exchange(markets, listing)
    trading = RandomTrading(exchange, listing, markets, seed=8, first_ms=block(0).at_ms)
    books = NaiveBooks(exchange.markets)
    books.read(trading.begin())
    for account in trading.accounts:
        books.read(exchange.deposit(account, 100_000 * USDC, trading.moment, "AA"))
    while trading.actions < 1_500:
        books.read(trading.next_block())
        for _ in range(10):
            books.read(trading.act()[1])
        assert exchange.total_quote_quantums() == 0

    assert all(exchange.usdc(account) == books.usdc[account] for account in trading.accounts)
    assert len(books.fills) > 400
    assert {fill.liquidity for fill in fills(list(books.fills))} == {"MAKER", "TAKER"}
