"""One instrument's position and round trips, from its fills and funding payments in whatever order they are told.

Money is exact: sums and products of Decimals, never rounded. Only an average price is a quotient; it is rounded to 28
digits and enters no sum.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, localcontext

from helios_pipeline.core.trading import FundingPayment, VenueFill

EXACT = Context(prec=1000, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Inexact])
"""Sums and products of money: a result that would have to be rounded is an error."""

AVERAGES = Context(prec=28, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero])
FEE_SHARE = Decimal("1e-8")
"""A fill that turns a position around pays part of its fee for closing the old one, rounded to this; the new one has
the rest, so that both add up to what was paid."""

ZERO = Decimal(0)

type Moment = tuple[datetime, int, str, str]
"""Place of a fill or payment among its instrument's: a settlement stands before the fills of the same instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookPosition:
    """What is held of an instrument.

    Attributes:
        instrument_id: of what.
        quantity: signed, in base currency; never 0.
        entry_price: average of the fills that made it larger; reducing it leaves that as it is.
        opened_at: of the first fill after being flat, or of the one that turned it around.
        entered: quantity of all fills that made it larger, in base currency.
        entry_notional, exit_notional: Σ quantity × price of the fills that made it larger, and smaller.
        fees: paid since then.
        funding: received since then.
    """

    instrument_id: str
    quantity: Decimal
    entry_price: Decimal
    opened_at: datetime
    entered: Decimal
    entry_notional: Decimal
    exit_notional: Decimal
    fees: Decimal
    funding: Decimal

    @property
    def side(self) -> int:
        """−1 or +1."""
        return 1 if self.quantity > 0 else -1

    def unrealised(self, price: Decimal) -> Decimal:
        """Profit of what is still held, at a price, before fees and funding."""
        return self.quantity * (price - self.entry_price)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """One position from its entry until flat, or until a fill turned it around.

    Attributes:
        instrument_id: of what.
        side: −1 or +1.
        quantity: bought (sold, when short) in all, in base currency.
        entry_price, exit_price: averages.
        entered_at, left_at: of the first and the last fill.
        fees: paid in all.
        funding: received in all.
        pnl: in quote currency, after fees and funding.
        exit_order: client order id of the last fill; None when that was not ours.
    """

    instrument_id: str
    side: int
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    entered_at: datetime
    left_at: datetime
    fees: Decimal
    funding: Decimal
    pnl: Decimal
    exit_order: str | None


@dataclass(slots=True)
class InstrumentBook:
    """Everything that was told of one instrument, in the order in which it happened.

    Attributes:
        instrument_id: of what.
        position: held now; None when flat.
        round_trips: finished, oldest first.
        loose_funding: payments told for an instant at which the fills known say flat.
    """

    instrument_id: str
    position: BookPosition | None = None
    round_trips: list[RoundTrip] = field(default_factory=list)
    loose_funding: Decimal = ZERO
    _moments: list[Moment] = field(default_factory=list)
    _told: list[VenueFill | FundingPayment] = field(default_factory=list)
    _flat: list[tuple[int, int, Decimal]] = field(default_factory=lambda: [(0, 0, ZERO)])

    def take(self, record: VenueFill | FundingPayment) -> None:
        """Add one; what comes late is put in its place, and what followed is reckoned again."""
        moment = _moment(record)
        place = bisect(self._moments, moment)
        self._moments.insert(place, moment)
        self._told.insert(place, record)
        if place < len(self._told) - 1:
            place = self._go_back(place)
        for index in range(place, len(self._told)):
            self._step(self._told[index])
            if self.position is None:
                self._flat.append((index + 1, len(self.round_trips), self.loose_funding))

    def _go_back(self, place: int) -> int:
        """Return to the last time before a place when nothing was held, so that little is reckoned again."""
        while self._flat[-1][0] > place:
            self._flat.pop()
        begin, finished, self.loose_funding = self._flat[-1]
        self.position = None
        del self.round_trips[finished:]
        return begin

    @property
    def told(self) -> Sequence[VenueFill | FundingPayment]:
        """All fills and payments, in the order in which they happened."""
        return self._told

    def _step(self, record: VenueFill | FundingPayment) -> None:
        with localcontext(EXACT):
            if isinstance(record, VenueFill):
                self._fill(record)
            elif self.position is None:
                self.loose_funding += record.amount
            else:
                self.position = replace(self.position, funding=self.position.funding + record.amount)

    def _fill(self, fill: VenueFill) -> None:
        held = self.position
        if held is None or held.side == fill.side:
            self.position = _enlarged(held, fill, fill.quantity, fill.fee)
            return
        closing = min(fill.quantity, abs(held.quantity))
        fee = fill.fee if closing == fill.quantity else _share(fill.fee, closing, fill.quantity)
        left = replace(
            held,
            quantity=held.quantity + fill.side * closing,
            exit_notional=held.exit_notional + closing * fill.price,
            fees=held.fees + fee,
        )
        if left.quantity:
            self.position = left
            return
        self.round_trips.append(_finished(left, held.side, fill))
        turned = fill.quantity - closing
        self.position = _enlarged(None, fill, turned, fill.fee - fee) if turned else None


def average(notional: Decimal, quantity: Decimal) -> Decimal:
    """A price, to 28 digits."""
    return AVERAGES.divide(notional, quantity)


def _moment(record: VenueFill | FundingPayment) -> Moment:
    if isinstance(record, VenueFill):
        return record.filled_at, 1, record.venue_order_id, record.venue_fill_id
    return record.settled_at, 0, "", ""


def _enlarged(held: BookPosition | None, fill: VenueFill, quantity: Decimal, fee: Decimal) -> BookPosition:
    notional = quantity * fill.price
    if held is None:
        return BookPosition(
            instrument_id=fill.instrument_id,
            quantity=fill.side * quantity,
            entry_price=fill.price,
            opened_at=fill.filled_at,
            entered=quantity,
            entry_notional=notional,
            exit_notional=ZERO,
            fees=fee,
            funding=ZERO,
        )
    return replace(
        held,
        quantity=held.quantity + fill.side * quantity,
        entry_price=average(abs(held.quantity) * held.entry_price + notional, abs(held.quantity) + quantity),
        entered=held.entered + quantity,
        entry_notional=held.entry_notional + notional,
        fees=held.fees + fee,
    )


def _share(fee: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    with localcontext(AVERAGES):
        return (fee * part / whole).quantize(FEE_SHARE)


def _finished(left: BookPosition, side: int, fill: VenueFill) -> RoundTrip:
    return RoundTrip(
        instrument_id=left.instrument_id,
        side=side,
        quantity=left.entered,
        entry_price=average(left.entry_notional, left.entered),
        exit_price=average(left.exit_notional, left.entered),
        entered_at=left.opened_at,
        left_at=fill.filled_at,
        fees=left.fees,
        funding=left.funding,
        pnl=side * (left.exit_notional - left.entry_notional) - left.fees + left.funding,
        exit_order=fill.client_order_id,
    )
