"""What NautilusTrader asks an execution client at its start, told from the ledger: orders, fills and positions.

Of the past it gets what the present positions are made of: every fill since its instrument was flat. Together with the
orders that rest, that is all of the account that is in force, exactly, with our own client order ids.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.reports import FillReport, OrderStatusReport, PositionStatusReport
from nautilus_trader.model.enums import (
    LiquiditySide,
    OrderSide,
    OrderStatus,
    OrderType,
    PositionSide,
    TimeInForce,
    TriggerType,
)
from nautilus_trader.model.identifiers import AccountId, ClientOrderId, InstrumentId, TradeId, VenueOrderId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Money

from helios_pipeline.adapters.dydx.account_ledger import AccountLedger
from helios_pipeline.adapters.dydx.market import BUY
from helios_pipeline.adapters.dydx.working_orders import WorkingOrder
from helios_pipeline.core.trading import Intent, VenueFill
from helios_pipeline.core.venues import VenueOrder

CURRENCY = "USDC"
"""That accounts are kept in; NautilusTrader's USD has no more than cents."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def nanoseconds(instant: datetime) -> int:
    """An instant as NautilusTrader counts it, exact."""
    return (instant - _EPOCH) // timedelta(microseconds=1) * 1_000


def fee_of(fill: VenueFill) -> Money:
    """The fee of a fill, exact: through a text, because through a float it would be rounded."""
    return Money.from_str(f"{fill.fee:f} {CURRENCY}")


def fills_in_force(fills: Iterable[VenueFill]) -> list[VenueFill]:
    """The fills that present positions are made of: those since each instrument was flat last; oldest first."""
    ordered = sorted(fills, key=lambda fill: fill.filled_at)
    kept: dict[str, list[VenueFill]] = defaultdict(list)
    held: dict[str, Decimal] = defaultdict(Decimal)
    for fill in ordered:
        kept[fill.instrument_id].append(fill)
        held[fill.instrument_id] += fill.side * fill.quantity
        if not held[fill.instrument_id]:
            kept[fill.instrument_id].clear()
    return sorted((fill for each in kept.values() for fill in each), key=lambda fill: fill.filled_at)


@dataclass(frozen=True, slots=True)
class ReportWriter:
    """Writes reports of one account.

    Attributes:
        account_id: NautilusTrader's.
        instruments: by id.
        ledger: what is known.
        now: nanoseconds since 1970.
    """

    account_id: AccountId
    instruments: dict[str, Instrument]
    ledger: AccountLedger
    now: int

    def fill(self, fill: VenueFill) -> FillReport:
        """A fill."""
        instrument = self.instruments[fill.instrument_id]
        return FillReport(
            account_id=self.account_id,
            instrument_id=instrument.id,
            venue_order_id=VenueOrderId(fill.venue_order_id),
            trade_id=TradeId(fill.venue_fill_id),
            order_side=_side(fill.side),
            last_qty=instrument.make_qty(fill.quantity),
            last_px=instrument.make_price(fill.price),
            commission=fee_of(fill),
            liquidity_side=LiquiditySide.MAKER if fill.liquidity == "maker" else LiquiditySide.TAKER,
            report_id=UUID4(),
            ts_event=nanoseconds(fill.filled_at),
            ts_init=self.now,
            client_order_id=_client_order_id(fill.client_order_id),
        )

    def done(self, fills: list[VenueFill]) -> OrderStatusReport:
        """An order that is over, as far as these fills of it tell; oldest first."""
        first, filled = fills[0], sum((fill.quantity for fill in fills), Decimal(0))
        worth = sum((fill.quantity * fill.price for fill in fills), Decimal(0))
        intent = self.ledger.intents.get(first.client_order_id or "")
        return self._order(
            _Facts(
                instrument_id=first.instrument_id,
                venue_order_id=first.venue_order_id,
                client_order_id=first.client_order_id,
                side=first.side,
                status=OrderStatus.FILLED,
                quantity=filled,
                filled=filled,
                average_price=worth / filled,
                accepted_at=nanoseconds(first.filled_at),
                changed_at=nanoseconds(fills[-1].filled_at),
            ),
            _terms(intent),
        )

    def working(self, order: WorkingOrder, terms: Intent | VenueOrder, filled: Decimal) -> OrderStatusReport:
        """An order that may fill, on its terms; of what is filled only `filled` is reported, the rest was long ago."""
        return self._order(
            _Facts(
                instrument_id=order.instrument_id,
                venue_order_id=order.venue_order_id,
                client_order_id=order.client_order_id,
                side=terms.side,
                status=OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.ACCEPTED,
                quantity=order.quantity - order.filled + filled,
                filled=filled,
                average_price=None,
                accepted_at=self.now,
                changed_at=self.now,
            ),
            _terms(terms),
        )

    def positions(self) -> list[PositionStatusReport]:
        """What is held, of every instrument that was ever traded, flat ones too."""
        held: dict[str, Decimal] = defaultdict(Decimal)
        for fill in self.ledger.fills.values():
            held[fill.instrument_id] += fill.side * fill.quantity
        return [self._position(each, quantity) for each, quantity in held.items() if each in self.instruments]

    def _position(self, instrument_id: str, quantity: Decimal) -> PositionStatusReport:
        sides = {1: PositionSide.LONG, 0: PositionSide.FLAT, -1: PositionSide.SHORT}
        return PositionStatusReport(
            account_id=self.account_id,
            instrument_id=InstrumentId.from_str(instrument_id),
            position_side=sides[(quantity > 0) - (quantity < 0)],
            quantity=self.instruments[instrument_id].make_qty(abs(quantity)),
            report_id=UUID4(),
            ts_last=self.now,
            ts_init=self.now,
        )

    def _order(self, facts: "_Facts", terms: "_Terms") -> OrderStatusReport:
        instrument = self.instruments[facts.instrument_id]
        return OrderStatusReport(
            account_id=self.account_id,
            instrument_id=instrument.id,
            venue_order_id=VenueOrderId(facts.venue_order_id),
            client_order_id=_client_order_id(facts.client_order_id),
            order_side=_side(facts.side),
            order_type=terms.order_type,
            time_in_force=TimeInForce.IOC if terms.order_type is OrderType.MARKET else TimeInForce.GTC,
            order_status=facts.status,
            price=None if terms.limit is None else instrument.make_price(terms.limit),
            trigger_price=None if terms.trigger is None else instrument.make_price(terms.trigger),
            trigger_type=TriggerType.NO_TRIGGER if terms.trigger is None else TriggerType.MARK_PRICE,
            reduce_only=terms.reduce_only,
            quantity=instrument.make_qty(facts.quantity),
            filled_qty=instrument.make_qty(facts.filled),
            avg_px=facts.average_price,
            report_id=UUID4(),
            ts_accepted=facts.accepted_at,
            ts_last=facts.changed_at,
            ts_init=self.now,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What has become of an order; instants in nanoseconds."""

    instrument_id: str
    venue_order_id: str
    client_order_id: str | None
    side: int
    status: OrderStatus
    quantity: Decimal
    filled: Decimal
    average_price: Decimal | None
    accepted_at: int
    changed_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """What was wanted of an order."""

    order_type: OrderType
    limit: Decimal | None = None
    trigger: Decimal | None = None
    reduce_only: bool = False


def _terms(wanted: Intent | VenueOrder | None) -> _Terms:
    """Terms of an order of ours, of another's that the venue shows, or of one of which only fills are known."""
    if wanted is None:
        return _Terms(order_type=OrderType.MARKET)
    if wanted.trigger_price is not None:
        return _Terms(order_type=OrderType.STOP_MARKET, trigger=wanted.trigger_price, reduce_only=wanted.reduce_only)
    if isinstance(wanted, Intent) and wanted.kind == "market":
        return _Terms(order_type=OrderType.MARKET, reduce_only=wanted.reduce_only)
    return _Terms(order_type=OrderType.LIMIT, limit=wanted.limit_price, reduce_only=wanted.reduce_only)


def _side(side: int) -> OrderSide:
    return OrderSide.BUY if side == BUY else OrderSide.SELL


def _client_order_id(text: str | None) -> ClientOrderId | None:
    return None if text is None else ClientOrderId(text)
