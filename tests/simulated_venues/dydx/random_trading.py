"""A seeded crowd that places, cancels and moves money, block after block, and is checked as it goes."""

import random
from dataclasses import dataclass, field

from simulated_venues.dydx.block import UNTAMPERED, Tampering
from simulated_venues.dydx.exchange import Exchange
from simulated_venues.dydx.records import (
    Background,
    Condition,
    Event,
    Filled,
    Market,
    Moment,
    Order,
    OrderFlags,
    OrderId,
    Side,
    SubaccountId,
    TimeInForce,
)
from simulated_venues.dydx.refusals import Refused

USDC = 1_000_000
_FLAGS = 8 * (OrderFlags.SHORT_TERM,) + (OrderFlags.LONG_TERM,) + 2 * (OrderFlags.CONDITIONAL,)
_TIMES_IN_FORCE = 4 * (TimeInForce.GTT,) + 3 * (TimeInForce.IOC,) + (TimeInForce.POST_ONLY,)
_SIDES, _CONDITIONS = tuple(Side), tuple(Condition)


@dataclass
class RandomTrading:
    """Draws actions; two with the same seed and background do the same.

    Attributes:
        ticks: the price in a market at an instant, around which orders are placed.
        faults: whether blocks are tampered with.
    """

    exchange: Exchange
    background: Background
    markets: tuple[Market, ...]
    seed: int
    first_ms: int
    orders_per_block: int = 10
    faults: bool = True
    accounts: list[SubaccountId] = field(default_factory=list)
    moment: Moment = field(init=False)
    placed: list[OrderId] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)
    actions: int = 0
    _next_id: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self.moment = Moment(height=100, at_ms=self.first_ms)
        self.accounts = [SubaccountId(owner=f"dydx1owner{n // 2}", number=n % 2) for n in range(8)]

    def begin(self) -> list[Event]:
        """The first block: everybody gets money, some little."""
        events: list[Event] = []
        for number, account in enumerate(self.accounts):
            amount = (30, 300, 3_000, 30_000)[number % 4] * USDC
            events += self.exchange.deposit(account, amount, self.moment, "AA")
        return events

    def next_block(self) -> list[Event]:
        """The next block's own events."""
        previous = self.moment
        self.moment = Moment(height=previous.height + 1, at_ms=previous.at_ms + 1_000)
        return self.exchange.begin_block(previous, self.moment, self._tampering())

    def act(self) -> tuple[Order | None, list[Event]]:
        """One action in the block; the order that was placed, if one was."""
        self.actions += 1
        drawn = self._random.random()
        if drawn < 0.78:
            return self._place()
        if drawn < 0.99:
            return None, self._cancel()
        return None, self._move()

    def _tampering(self) -> Tampering:
        if not self.faults or self._random.random() > 0.05:
            return UNTAMPERED
        return Tampering(
            fill_ppm={"BTC-USD": 400_000}.get, oracle_ppm={"ETH-USD": self._random.randint(970_000, 1_030_000)}
        )

    def _place(self) -> tuple[Order | None, list[Event]]:
        order = self._order()
        try:
            self.exchange.check(order, self.moment)
        except Refused as refused:
            self.refused[refused.code] = self.refused.get(refused.code, 0) + 1
            return None, []
        self.placed.append(order.order_id)
        return order, self.exchange.place(order, self.moment)

    def _order(self) -> Order:
        draw = self._random
        market = draw.choice(self.markets)
        flags = draw.choice(_FLAGS)
        side = draw.choice(_SIDES)
        oracle = self.background.oracle_e8(market, self.moment.at_ms)
        unit = int(market.tick * 10**8)
        price = max(1, oracle // unit + draw.randint(-8, 8))
        trigger = max(1, oracle // unit + draw.randint(-30, 30)) if flags is OrderFlags.CONDITIONAL else 0
        if flags is OrderFlags.LONG_TERM:
            time_in_force = draw.choice((TimeInForce.GTT, TimeInForce.POST_ONLY))
        else:
            time_in_force = draw.choice(_TIMES_IN_FORCE)
        reuse = self.placed and draw.random() < 0.05
        self._next_id += 1
        order_id = OrderId(
            subaccount=draw.choice(self.accounts),
            client_id=self._next_id,
            flags=flags,
            clob_pair_id=market.clob_pair_id,
        )
        if reuse:
            again = self.placed[-draw.randint(1, min(40, len(self.placed)))]
            if again.flags is flags and again.clob_pair_id == market.clob_pair_id:
                order_id = again
        short = flags is OrderFlags.SHORT_TERM
        return Order(
            order_id=order_id,
            side=side,
            quantums=draw.randint(1, 1_200) * market.step_base_quantums,
            subticks=price * market.subticks_per_tick,
            time_in_force=time_in_force,
            reduce_only=draw.random() < 0.15,
            good_til_block=self.moment.height + draw.randint(0, 20) if short else None,
            good_til_seconds=None if short else self.moment.at_ms // 1_000 + draw.randint(1, 90),
            condition=draw.choice(_CONDITIONS) if trigger else None,
            trigger_subticks=trigger * market.subticks_per_tick,
            client_metadata=0,
        )

    def _cancel(self) -> list[Event]:
        if not self.placed:
            return []
        order_id = self.placed[-self._random.randint(1, min(60, len(self.placed)))]
        if order_id.flags is not OrderFlags.SHORT_TERM:
            if self.exchange.order(order_id) is None:
                return []
            return self.exchange.cancel(order_id, None, self.moment)
        end = self.moment.height + self._random.randint(0, 20)
        try:
            self.exchange.check_cancel(order_id, end)
        except Refused:
            return []
        return self.exchange.cancel(order_id, end, self.moment)

    def _move(self) -> list[Event]:
        draw, amount = self._random, self._random.randint(1, 20 * USDC)
        sender, recipient = draw.sample(self.accounts, 2)
        if draw.random() < 0.4:
            return self.exchange.deposit(sender, amount, self.moment, "BB")
        try:
            self.exchange.check_withdrawal(sender, amount, self.moment)
        except Refused:
            return []
        if draw.random() < 0.5:
            return self.exchange.withdraw(sender, amount, self.moment, "CC")
        return self.exchange.transfer(sender, recipient, amount, self.moment, "DD")


def fills(events: list[Event]) -> list[Filled]:
    return [event for event in events if isinstance(event, Filled)]
