"""An exchange over a hand-written background, block by block."""

from dataclasses import dataclass, field

from simulated_venues.dydx.block import UNTAMPERED, Tampering
from simulated_venues.dydx.exchange import Exchange
from simulated_venues.dydx.fees import MAINNET_TIERS, FeeTier
from simulated_venues.dydx.records import Event, Filled, Moment, Order, OrderChanged, SubaccountId
from tests.simulated_venues.dydx.background import ALICE, BOB, BTC, ETH, STEP, TICK, USDC, WrittenBackground, block


@dataclass
class Scene:
    """Alice and Bob with 10,000 USDC each, at block 1, before a book of 50 at 39,999 and 40,001 and 100 beyond."""

    background: WrittenBackground = field(default_factory=WrittenBackground)
    tiers: tuple[FeeTier, ...] = MAINNET_TIERS
    n: int = 1

    def __post_init__(self) -> None:
        since = block(0).at_ms - 500
        if not self.background.bids and not self.background.asks:
            self.background.bids = [(39_999, 50, since), (39_998, 100, since)]
            self.background.asks = [(40_001, 50, since), (40_002, 100, since)]
        self.exchange = Exchange((BTC, ETH), self.background, fee_tiers=self.tiers)
        self.exchange.begin_block(block(0), block(1))
        for who in (ALICE, BOB):
            self.exchange.deposit(who, 10_000 * USDC, self.moment, "AA")

    @property
    def moment(self) -> Moment:
        return block(self.n)

    def place(self, order: Order) -> list[Event]:
        self.exchange.check(order, self.moment)
        return self.exchange.place(order, self.moment)

    def next(self, tampering: Tampering = UNTAMPERED, blocks: int = 1) -> list[Event]:
        self.n += blocks
        return self.exchange.begin_block(block(self.n - blocks), self.moment, tampering)

    def held(self, who: SubaccountId = ALICE) -> int:
        """Steps of BTC."""
        return sum(p.quantums for p in self.exchange.positions(who) if p.clob_pair_id == 0) // STEP

    def resting(self) -> list[int]:
        """Client ids of orders that are not done."""
        return [each.order.order_id.client_id for each in self.exchange.orders()]


def filled(events: list[Event]) -> list[tuple[str, str, int, int]]:
    """(owner's name, liquidity, steps, ticks) of each fill."""
    return [
        (e.subaccount.owner.removeprefix("dydx1"), e.liquidity, e.quantums // STEP, e.subticks // TICK)
        for e in events
        if isinstance(e, Filled)
    ]


def statuses(events: list[Event], client_id: int) -> list[tuple[str, str | None]]:
    """(status, removal reason) of an order, one after the other."""
    return [
        (e.status, e.removal_reason)
        for e in events
        if isinstance(e, OrderChanged) and e.order.order_id.client_id == client_id
    ]
