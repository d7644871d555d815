"""What the chain's parts tell each other. Whole numbers in protocol units; money in quote quantums of 1e-6 USDC.

The exchange (matching, accounts) turns orders, cancels and blocks into events; the chain commits them block by block;
the indexer builds what it serves from the events of committed blocks alone.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Protocol

from simulated_venues.source import Book

QUOTE_DECIMALS = 6


class Side(StrEnum):
    """Of an order or a taker."""

    BUY = "BUY"
    SELL = "SELL"


class OrderFlags(IntEnum):
    """Kinds of orders, as the protocol numbers them."""

    SHORT_TERM = 0
    CONDITIONAL = 32
    LONG_TERM = 64


class TimeInForce(StrEnum):
    """As the protocol has them; fill-or-kill is refused by it."""

    GTT = "GTT"
    IOC = "IOC"
    POST_ONLY = "POST_ONLY"


class Condition(StrEnum):
    """What wakes a conditional order: the oracle price at or beyond its trigger, against or for its owner."""

    STOP_LOSS = "STOP_LOSS"
    TAKE_PROFIT = "TAKE_PROFIT"


class OrderStatus(StrEnum):
    """As the indexer names them."""

    BEST_EFFORT_OPENED = "BEST_EFFORT_OPENED"
    OPEN = "OPEN"
    UNTRIGGERED = "UNTRIGGERED"
    FILLED = "FILLED"
    BEST_EFFORT_CANCELED = "BEST_EFFORT_CANCELED"
    CANCELED = "CANCELED"


class RemovalReason(StrEnum):
    """Why an order is gone, as the indexer names it."""

    USER_CANCELED = "USER_CANCELED"
    EXPIRED = "EXPIRED"
    IOC_WOULD_REST = "IMMEDIATE_OR_CANCEL_WOULD_REST_ON_BOOK"
    POST_ONLY_WOULD_CROSS = "POST_ONLY_WOULD_CROSS_MAKER_ORDER"
    REDUCE_ONLY_RESIZE = "REDUCE_ONLY_RESIZE"
    SELF_TRADE = "SELF_TRADE_ERROR"
    UNDERCOLLATERALIZED = "UNDERCOLLATERALIZED"
    EQUITY_TIER = "EQUITY_TIER"
    FULLY_FILLED = "FULLY_FILLED"
    INTERNAL_ERROR = "INTERNAL_ERROR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A block: its height and its time in milliseconds since 1970."""

    height: int
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubaccountId:
    """Whose money: an address and a number, 0 for the first."""

    owner: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderId:
    """What names an order on the chain; the same id again replaces or refuses, never adds."""

    subaccount: SubaccountId
    client_id: int
    flags: OrderFlags
    clob_pair_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as it was signed.

    Attributes:
        order_id: its name.
        side: BUY or SELL.
        quantums: base quantums, a multiple of the market's step.
        subticks: limit price, a multiple of the market's tick.
        time_in_force: GTT rests, IOC does not, POST_ONLY never takes.
        reduce_only: it may only make the position smaller.
        good_til_block: last block of a short-term order; None for the others.
        good_til_seconds: end of a stateful order, seconds since 1970; None for short-term ones.
        condition, trigger_subticks: of a conditional order, else None and 0.
        client_metadata: the client's own number.
    """

    order_id: OrderId
    side: Side
    quantums: int
    subticks: int
    time_in_force: TimeInForce
    reduce_only: bool
    good_til_block: int | None
    good_til_seconds: int | None
    condition: Condition | None
    trigger_subticks: int
    client_metadata: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChanged:
    """An order has a new status.

    Attributes:
        on_chain: False for what a validator tells of its own order book before the block (best effort).
    """

    order: Order
    status: OrderStatus
    filled_quantums: int
    removal_reason: RemovalReason | None
    on_chain: bool
    moment: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """One side of a match that belongs to an account.

    Attributes:
        fill_id: uuid text, unique for ever, a function of the block and the place in it.
        event_id: 24 hexadecimal digits: height, transaction, event.
        order: None for the account's side of a liquidation.
        liquidity: TAKER or MAKER.
        kind: LIMIT, LIQUIDATED (the account was liquidated), LIQUIDATION (it stood against one).
        quote_quantums: quantums × subticks in 1e-6 USDC, exact.
        fee_quote_quantums: paid by the account; negative: a rebate.
        position_before: signed base quantums before this fill.
    """

    fill_id: str
    event_id: str
    subaccount: SubaccountId
    order: Order | None
    clob_pair_id: int
    side: Side
    liquidity: str
    kind: str
    quantums: int
    subticks: int
    quote_quantums: int
    fee_quote_quantums: int
    position_before: int
    moment: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A subaccount's net holding in one market, from flat to flat.

    Attributes:
        position_id: uuid text; a new one each time it is opened from flat, or crosses zero.
        quantums: signed base quantums; 0 when closed.
        max_quantums: the largest it was, signed as the side.
        open_quantums, open_quote_quantums: sum of fills that made it larger; their quotient is the entry price.
        close_quantums, close_quote_quantums: of fills that made it smaller; the exit price.
        funding_quote_quantums: received minus paid while it is open.
        opened, closed: moments; `closed` is None while it is open.
    """

    position_id: str
    subaccount: SubaccountId
    clob_pair_id: int
    quantums: int
    max_quantums: int
    open_quantums: int
    open_quote_quantums: int
    close_quantums: int
    close_quote_quantums: int
    funding_quote_quantums: int
    opened: Moment
    closed: Moment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionChanged:
    """A position as it stands after a fill or a funding payment."""

    position: Position
    moment: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceChanged:
    """A subaccount's USDC after a change, in quote quantums."""

    subaccount: SubaccountId
    quote_quantums: int
    moment: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingSettled:
    """A market's funding of an interval. `rate_e12`: fraction of notional for the interval, in units of 1e-12."""

    clob_pair_id: int
    rate_e12: int
    oracle_e8: int
    moment: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPaid:
    """What one position paid or got: `quote_quantums` is positive if it was received."""

    subaccount: SubaccountId
    clob_pair_id: int
    quantums: int
    rate_e12: int
    oracle_e8: int
    quote_quantums: int
    moment: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """Money that came in from outside (`sender` None) or went out (`recipient` None), or between subaccounts."""

    transfer_id: str
    sender: SubaccountId | None
    recipient: SubaccountId | None
    quote_quantums: int
    transaction_hash: str
    moment: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketTraded:
    """A trade on the tape: the background's own, and every match of accounts."""

    trade_id: str
    clob_pair_id: int
    taker: Side
    quantums: int
    subticks: int
    kind: str
    moment: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelTaken:
    """Accounts took from a level of the background.

    Attributes:
        side: BUY for a bid.
        since_ms: names the level: when it was set, as the exchange saw it.
        quantums: all that accounts have taken of it since then.
    """

    clob_pair_id: int
    side: Side
    subticks: int
    since_ms: int
    quantums: int
    moment: Moment


Event = (
    OrderChanged
    | Filled
    | PositionChanged
    | BalanceChanged
    | FundingSettled
    | FundingPaid
    | Transferred
    | MarketTraded
    | LevelTaken
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """A perpetual as the protocol lists it; integers in protocol units.

    Attributes:
        instrument_id: whose background it trades on, `BTCUSDT-PERP.BINANCE`.
        initial_margin_ppm, maintenance_margin_ppm: fractions of notional in 1e-6.
    """

    ticker: str
    instrument_id: str
    clob_pair_id: int
    atomic_resolution: int
    quantum_conversion_exponent: int
    step_base_quantums: int
    subticks_per_tick: int
    initial_margin_ppm: int
    maintenance_margin_ppm: int

    @property
    def step(self) -> Decimal:
        """Smallest quantity, base currency."""
        return self.size(self.step_base_quantums)

    @property
    def tick(self) -> Decimal:
        """Smallest step of price, quote currency."""
        return self.price(self.subticks_per_tick)

    def size(self, quantums: int) -> Decimal:
        """Base quantums in base currency, exact."""
        return Decimal(quantums).scaleb(self.atomic_resolution)

    def price(self, subticks: int) -> Decimal:
        """Subticks in quote currency, exact."""
        exponent = self.quantum_conversion_exponent - QUOTE_DECIMALS - self.atomic_resolution
        return Decimal(subticks).scaleb(exponent)

    def quote_quantums(self, quantums: int, subticks: int) -> int:
        """Value of a fill in 1e-6 USDC; exact for multiples of step and tick."""
        return quantums * subticks // _power(-self.quantum_conversion_exponent)

    def oracle_value(self, quantums: int, oracle_e8: int) -> int:
        """Signed quantums at an oracle price (1e-8 USDC), in 1e-6 USDC, rounded towards minus infinity."""
        exponent = self.atomic_resolution + QUOTE_DECIMALS - 8
        value = quantums * oracle_e8
        return value // _power(-exponent) if exponent < 0 else value * _power(exponent)


def _power(exponent: int) -> int:
    return int(10**exponent)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundTrade:
    """A trade of the background on this venue."""

    trade_id: int
    at_ms: int
    taker: Side
    quantums: int
    subticks: int


class Background(Protocol):
    """The market around the accounts, in this venue's units; a pure function of time.

    Books are in the market's ticks (`subticks_per_tick`) and steps (`step_base_quantums`).
    """

    def book(self, market: Market, at_ms: int) -> Book:
        """The order book at an instant."""

    def trades(self, market: Market, first_ms: int, last_ms: int) -> list[BackgroundTrade]:
        """Trades in [first, last), in order."""

    def oracle_e8(self, market: Market, at_ms: int) -> int:
        """Oracle price at an instant, in 1e-8 USDC."""

    def funding_rate_e12(self, market: Market, settled_at_ms: int) -> int:
        """Rate of the funding interval that ends at an instant, in 1e-12 of notional, positive: longs pay."""

    @property
    def funding_interval_ms(self) -> int:
        """One hour at natural speed, 60 s in a world 60 times as fast."""
