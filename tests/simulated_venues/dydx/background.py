"""A background that a test writes by hand, in subticks and quantums."""

from dataclasses import dataclass, field

import numpy as np

from simulated_venues.dydx.records import (
    BackgroundTrade,
    Condition,
    Market,
    Moment,
    Order,
    OrderFlags,
    OrderId,
    Side,
    SubaccountId,
    TimeInForce,
)
from simulated_venues.source import Book, Levels

BTC = Market(
    ticker="BTC-USD",
    instrument_id="BTCUSDT-PERP.BINANCE",
    clob_pair_id=0,
    atomic_resolution=-10,
    quantum_conversion_exponent=-9,
    step_base_quantums=1_000_000,
    subticks_per_tick=100_000,
    initial_margin_ppm=20_000,
    maintenance_margin_ppm=12_000,
)
ETH = Market(
    ticker="ETH-USD",
    instrument_id="ETHUSDT-PERP.BINANCE",
    clob_pair_id=1,
    atomic_resolution=-9,
    quantum_conversion_exponent=-9,
    step_base_quantums=1_000_000,
    subticks_per_tick=100_000,
    initial_margin_ppm=20_000,
    maintenance_margin_ppm=12_000,
)
STEP = BTC.step_base_quantums
TICK = BTC.subticks_per_tick
START_MS = 1_700_000_000_000 // 3_600_000 * 3_600_000 + 10_000
ALICE = SubaccountId(owner="dydx1alice", number=0)
BOB = SubaccountId(owner="dydx1bob", number=0)
USDC = 1_000_000
"""Of BTC at these units: a step is 0.0001, a tick is 1 USDC."""


def block(n: int) -> Moment:
    """The n-th block of a test; one a second."""
    return Moment(height=1_000 + n, at_ms=START_MS + 1_000 * n)


@dataclass
class WrittenBackground:
    """Prices in ticks (of 1 USDC for BTC), quantities in steps.

    Attributes:
        bids, asks: [(price, quantity, since_ms)], best first.
        tape: (at_ms, taker, quantity, price).
    """

    bids: list[tuple[int, int, int]] = field(default_factory=list)
    asks: list[tuple[int, int, int]] = field(default_factory=list)
    tape: list[tuple[int, Side, int, int]] = field(default_factory=list)
    oracle: float = 40_000.0
    rate_e12: int = 0
    funding_interval_ms: int = 3_600_000

    def book(self, market: Market, at_ms: int) -> Book:
        return Book(at_ms=at_ms, update_id=at_ms, bids=_levels(self.bids), asks=_levels(self.asks))

    def trades(self, market: Market, first_ms: int, last_ms: int) -> list[BackgroundTrade]:
        return [
            BackgroundTrade(
                trade_id=number,
                at_ms=at_ms,
                taker=taker,
                quantums=quantity * market.step_base_quantums,
                subticks=price * market.subticks_per_tick,
            )
            for number, (at_ms, taker, quantity, price) in enumerate(self.tape)
            if first_ms <= at_ms < last_ms
        ]

    def oracle_e8(self, market: Market, at_ms: int) -> int:
        return round(self.oracle * 1e8)

    def funding_rate_e12(self, market: Market, settled_at_ms: int) -> int:
        return self.rate_e12


def _levels(rows: list[tuple[int, int, int]]) -> Levels:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Levels(price=columns[:, 0], quantity=columns[:, 1], since_ms=columns[:, 2])


def order(
    client_id: int,
    side: Side = Side.BUY,
    quantity: int = 10,
    price: int = 40_000,
    *,
    who: SubaccountId = ALICE,
    flags: OrderFlags = OrderFlags.SHORT_TERM,
    time_in_force: TimeInForce = TimeInForce.GTT,
    reduce_only: bool = False,
    end: int | None = None,
    condition: Condition | None = None,
    trigger: int = 0,
    market: Market = BTC,
) -> Order:
    """An order in steps and ticks; it ends after 20 blocks or in an hour."""
    short = flags == OrderFlags.SHORT_TERM
    return Order(
        order_id=OrderId(subaccount=who, client_id=client_id, flags=flags, clob_pair_id=market.clob_pair_id),
        side=side,
        quantums=quantity * market.step_base_quantums,
        subticks=price * market.subticks_per_tick,
        time_in_force=time_in_force,
        reduce_only=reduce_only,
        good_til_block=(end or block(20).height) if short else None,
        good_til_seconds=None if short else (end or START_MS // 1_000 + 3_600),
        condition=condition,
        trigger_subticks=trigger * market.subticks_per_tick,
        client_metadata=0,
    )
