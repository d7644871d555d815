"""The accounts again, from events alone and by other arithmetic: what the exchange's own books are held against."""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from simulated_venues.dydx.fees import MAINNET_TIERS
from simulated_venues.dydx.records import (
    BalanceChanged,
    Event,
    Filled,
    FundingPaid,
    Market,
    Order,
    OrderChanged,
    OrderId,
    OrderStatus,
    Position,
    PositionChanged,
    Side,
    SubaccountId,
    Transferred,
)

_DONE = (OrderStatus.FILLED, OrderStatus.CANCELED)


def signed(side: Side) -> int:
    return 1 if side is Side.BUY else -1


@dataclass
class NaiveBooks:
    """Reads events one by one and asserts what must hold of each.

    Attributes:
        markets: by CLOB pair id.
        volumes: of owners; all of it counts, so the events must lie within thirty days of funding intervals.
    """

    markets: dict[int, Market]
    usdc: dict[SubaccountId, int] = field(default_factory=lambda: defaultdict(int))
    held: dict[tuple[SubaccountId, int], int] = field(default_factory=lambda: defaultdict(int))
    moved: dict[SubaccountId, int] = field(default_factory=lambda: defaultdict(int))
    deposits: int = 0
    fees: int = 0
    insurance: int = 0
    funding: int = 0
    filled: dict[OrderId, int] = field(default_factory=lambda: defaultdict(int))
    orders: dict[OrderId, Order] = field(default_factory=dict)
    last: dict[OrderId, OrderChanged] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    volumes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    fills: list[Filled] = field(default_factory=list)
    fill_ids: set[str] = field(default_factory=set)

    def read(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Filled):
                self._read_fill(event)
            elif isinstance(event, OrderChanged):
                self._read_order(event)
            elif isinstance(event, BalanceChanged):
                assert event.quote_quantums == self.usdc[event.subaccount]
            elif isinstance(event, PositionChanged):
                self.positions[event.position.position_id] = event.position
            elif isinstance(event, FundingPaid):
                self._read_funding(event)
            elif isinstance(event, Transferred):
                self._read_transfer(event)

    def _read_fill(self, fill: Filled) -> None:
        market, key = self.markets[fill.clob_pair_id], (fill.subaccount, fill.clob_pair_id)
        money = market.size(fill.quantums) * market.price(fill.subticks) * Decimal(10**6)
        assert money == fill.quote_quantums
        assert fill.quantums > 0
        assert fill.quantums % market.step_base_quantums == 0
        assert fill.fill_id not in self.fill_ids
        assert fill.position_before == self.held[key]
        self.fill_ids.add(fill.fill_id)
        if fill.order is None:
            self.insurance += fill.fee_quote_quantums
            assert fill.kind == "LIQUIDATED"
            assert fill.fee_quote_quantums <= Fraction(fill.quote_quantums * 15, 1_000)
        else:
            self._check_order(fill, fill.order)
            self.fees += fill.fee_quote_quantums
            assert fill.fee_quote_quantums == self._expected_fee(fill)
        self.usdc[fill.subaccount] -= signed(fill.side) * fill.quote_quantums + fill.fee_quote_quantums
        self.held[key] += signed(fill.side) * fill.quantums
        self.fills.append(fill)
        self.volumes[fill.subaccount.owner] += fill.quote_quantums

    def _check_order(self, fill: Filled, order: Order) -> None:
        order_id, key = order.order_id, (fill.subaccount, fill.clob_pair_id)
        assert self.orders[order_id] == order
        assert order_id.subaccount == fill.subaccount
        assert order.side is fill.side
        assert signed(order.side) * (fill.subticks - order.subticks) <= 0
        assert fill.liquidity == "TAKER" or fill.subticks == order.subticks
        assert self.last[order_id].status not in _DONE
        self.filled[order_id] += fill.quantums
        assert self.filled[order_id] <= order.quantums
        if order.reduce_only:
            after = self.held[key] + signed(fill.side) * fill.quantums
            assert abs(after) < abs(self.held[key])
            assert after * self.held[key] >= 0

    def _expected_fee(self, fill: Filled) -> int:
        volume = self.volumes[fill.subaccount.owner]
        tier = [tier for tier in MAINNET_TIERS if tier.volume_quote_quantums <= volume][-1]
        ppm = tier.taker_ppm if fill.liquidity == "TAKER" else tier.maker_ppm
        return ceil(Fraction(fill.quote_quantums) * ppm / 1_000_000)

    def _read_order(self, changed: OrderChanged) -> None:
        order_id = changed.order.order_id
        before = self.last.get(order_id)
        if changed.status in (OrderStatus.BEST_EFFORT_OPENED, OrderStatus.UNTRIGGERED) or (
            changed.status is OrderStatus.OPEN and (before is None or before.status in _DONE)
        ):
            if order_id.flags or (
                before is not None
                and before.status in _DONE
                and (before.order.good_til_block or 0) < changed.moment.height
            ):
                # A short-term order's fills count for its id until its last block is past.
                self.filled[order_id] = 0
            self.orders[order_id] = changed.order
        assert self.orders[order_id] == changed.order
        assert changed.filled_quantums == self.filled[order_id]
        if changed.status is OrderStatus.FILLED:
            assert changed.filled_quantums == changed.order.quantums
        self.last[order_id] = changed

    def _read_funding(self, paid: FundingPaid) -> None:
        market = self.markets[paid.clob_pair_id]
        assert paid.quantums == self.held[paid.subaccount, paid.clob_pair_id]
        value = Fraction(market.size(paid.quantums)) * Fraction(paid.oracle_e8, 10**8)
        assert paid.quote_quantums == floor(-value * Fraction(paid.rate_e12, 10**12) * 10**6)
        self.usdc[paid.subaccount] += paid.quote_quantums
        self.funding += paid.quote_quantums

    def _read_transfer(self, moved: Transferred) -> None:
        for account, amount in ((moved.sender, -moved.quote_quantums), (moved.recipient, moved.quote_quantums)):
            if account is not None:
                self.usdc[account] += amount
                self.moved[account] += amount
        self.deposits += moved.quote_quantums * ((moved.sender is None) - (moved.recipient is None))

    def realised(self, subaccount: SubaccountId) -> int:
        """Money from positions, open and closed, by their own sums."""
        total = 0
        for position in self.positions.values():
            if position.subaccount == subaccount:
                bought = position.max_quantums > 0
                gained = position.close_quote_quantums - position.open_quote_quantums
                total += (gained if bought else -gained) + position.funding_quote_quantums
        return total
