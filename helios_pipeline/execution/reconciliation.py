"""Compares an account's books, NautilusTrader's cache and the venue: what is missing, what has ended, what differs.

The venue decides. Fills, funding and transfers that it records and the journal does not are taken in; an order that it
shows is accepted, and one that it no longer shows, and that nothing can fill any more, has ended. It may list an order
late: one that it had must be missing for long, and one that was thought ended and is shown again is cancelled. All else
that is not equal is a difference, and stands until a later comparison does not find it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from helios_pipeline.core.trading import CLOSED, FundingPayment, Transfer, VenueFill
from helios_pipeline.core.venues import VenueAccount, VenueOrder, venue_client_id
from helios_pipeline.execution.books import Books
from helios_pipeline.execution.orders import OrderLine

ZERO = Decimal(0)

type TakenIn = VenueFill | FundingPayment | Transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class BelievedOrder:
    """An order that may still fill, by NautilusTrader: the venue's id of it once known, and when it last changed."""

    venue_order_id: str | None
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheExtract:
    """What NautilusTrader believes.

    Attributes:
        positions: signed quantity by instrument; flat ones absent.
        open_orders: all that may still fill, by client order id.
    """

    positions: Mapping[str, Decimal]
    open_orders: Mapping[str, BelievedOrder]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRules:
    """How much may be in flight.

    Attributes:
        settle: for so long after its intent a resting order may be unknown to the venue, and after its last change in
            NautilusTrader an order may be unknown to both others.
        unlisted: for so long a resting order that the venue had may be missing in what it shows.
        settle_blocks: for so many blocks after its last one an order may be missing in what the venue shows.
        quote_rounding: most by which the venue's booking of one fill or payment differs from what its record says; 0
            for a venue whose records are what it booked.
    """

    settle: timedelta
    unlisted: timedelta
    settle_blocks: int
    quote_rounding: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What one look found.

    Attributes:
        missing: the venue's records that the journal does not have, oldest first; fills under our client order ids, or
            None for orders that are not ours.
        shown: orders of unknown outcome that the venue shows, with its ids.
        gone: orders that have not ended by the journal or by NautilusTrader, and that the venue can't fill any more.
        lingering: orders that have ended by the journal, not filled, and that the venue shows, with its ids.
        differences: a line each.
        misplaced: instruments of which journal and venue agree, and NautilusTrader does not.
    """

    missing: tuple[TakenIn, ...]
    shown: tuple[tuple[str, str], ...]
    gone: tuple[str, ...]
    lingering: tuple[tuple[str, str], ...]
    differences: tuple[str, ...]
    misplaced: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether nothing was found."""
        return not (self.missing or self.shown or self.gone or self.differences)

    @property
    def can_heal(self) -> bool:
        """Whether something was found that can be set right."""
        return bool(self.missing or self.shown or self.gone or self.lingering or self.misplaced)


def found_twice(first: Comparison, second: Comparison) -> Comparison:
    """What two looks found both, so that it is not merely in flight."""
    return Comparison(
        missing=tuple(each for each in second.missing if each in first.missing),
        shown=tuple(each for each in second.shown if each in first.shown),
        gone=tuple(each for each in second.gone if each in first.gone),
        lingering=tuple(each for each in second.lingering if each in first.lingering),
        differences=tuple(each for each in second.differences if each in first.differences),
        misplaced=tuple(each for each in second.misplaced if each in first.misplaced),
    )


def unlisted_since(books: Books, venue: VenueAccount, before: Mapping[str, datetime]) -> dict[str, datetime]:
    """Since when the venue does not show each order that it had and that may still fill, by client order id.

    Args:
        books: of the journal.
        venue: as it is now.
        before: what this returned at the look before.
    """
    shown = {order.venue_client_id for order in venue.open_orders}
    return {
        line.client_order_id: before.get(line.client_order_id, venue.read_at)
        for line in books.open_orders()
        if line.intent is not None and line.intent.venue_client_id not in shown
    }


def compare(
    books: Books,
    cache: CacheExtract,
    venue: VenueAccount,
    rules: ComparisonRules,
    unlisted: Mapping[str, datetime],
) -> Comparison:
    """Compare an account's three tellers at one moment; what is in flight may look like a difference.

    Args:
        books: of the journal.
        cache: NautilusTrader's.
        venue: read from the venue; its fills from before the journal's opening are left out.
        rules: how much may be in flight.
        unlisted: of `unlisted_since`.
    """
    shown = {order.venue_client_id: order for order in venue.open_orders}
    live = (*books.open_orders(), *books.unknown())
    gone = [line.client_order_id for line in live if _is_gone(line, shown, venue, rules, unlisted)]
    gone += _believed_alone(books, cache, venue, rules)
    known = tuple(
        (line.client_order_id, shown[line.intent.venue_client_id].venue_order_id)
        for line in books.unknown()
        if line.intent is not None and line.intent.venue_client_id in shown
    )
    misplaced = _misplaced(books, cache, venue)
    return Comparison(
        missing=missing_records(books, venue),
        shown=known,
        gone=tuple(gone),
        lingering=tuple(_lingering(books, venue)),
        differences=(
            *_position_lines(books, cache, venue),
            *_order_lines(books, cache, shown),
            *_unlisted_lines(books, venue, rules, unlisted),
            *_cash_lines(books, venue, rules),
        ),
        misplaced=misplaced,
    )


def missing_records(books: Books, venue: VenueAccount) -> tuple[TakenIn, ...]:
    """The venue's records that the journal does not have, oldest first."""
    began_at = books.began_at
    found: list[tuple[datetime, TakenIn]] = [(fill.filled_at, fill) for fill in _placed(books, venue)]
    found += [(payment.settled_at, payment) for payment in venue.funding]
    found += [(transfer.transferred_at, transfer) for transfer in venue.transfers]
    return tuple(
        record
        for moment, record in sorted(found, key=lambda each: each[0])
        if (began_at is None or moment > began_at) and not books.knows(record)
    )


def _placed(books: Books, venue: VenueAccount) -> Iterator[VenueFill]:
    """The venue's fills under our client order ids; of an order that nobody knows, under none.

    While an order of unknown outcome may be the one that filled, a fill of an order that nobody knows waits: the venue
    client, which can tell, takes it in.
    """
    unsure = {line.intent.instrument_id for line in books.unknown() if line.intent is not None}
    for fill in venue.fills:
        line = books.orders.get(fill.client_order_id or "") or books.at_venue(fill.venue_order_id)
        if line is not None or fill.instrument_id not in unsure:
            yield replace(fill, client_order_id=None if line is None else line.client_order_id)


def _is_gone(
    line: OrderLine,
    shown: Mapping[int, VenueOrder],
    venue: VenueAccount,
    rules: ComparisonRules,
    unlisted: Mapping[str, datetime],
) -> bool:
    intent = line.intent
    if intent is None or intent.venue_client_id in shown:
        return False
    if intent.good_til_block is not None and venue.height is not None:
        return venue.height > intent.good_til_block + rules.settle_blocks
    if line.open:
        return venue.read_at - unlisted.get(line.client_order_id, venue.read_at) > rules.unlisted
    return venue.read_at - intent.intended_at > rules.settle


def _lingering(books: Books, venue: VenueAccount) -> Iterator[tuple[str, str]]:
    for order in venue.open_orders:
        line = books.sent_as(order.venue_client_id)
        if line is not None and line.state in CLOSED and line.state != "filled":
            yield line.client_order_id, order.venue_order_id


def _believed_alone(books: Books, cache: CacheExtract, venue: VenueAccount, rules: ComparisonRules) -> Iterator[str]:
    """Orders that have ended, or never were, by the journal and the venue."""
    live = {line.client_order_id for line in (*books.open_orders(), *books.unknown()) if line.intent is not None}
    client_ids = {order.venue_client_id for order in venue.open_orders}
    venue_ids = {order.venue_order_id for order in venue.open_orders}
    for client_order_id, order in cache.open_orders.items():
        shown = order.venue_order_id in venue_ids or venue_client_id(client_order_id) in client_ids
        if client_order_id not in live and not shown and venue.read_at - order.changed_at > rules.settle:
            yield client_order_id


def _quantities(
    books: Books, cache: CacheExtract, venue: VenueAccount
) -> Iterator[tuple[str, Decimal, Decimal, Decimal]]:
    """Instrument, and its quantity by journal, NautilusTrader and venue."""
    for instrument_id in sorted(books.positions.keys() | cache.positions.keys() | venue.positions.keys()):
        held = venue.positions.get(instrument_id)
        theirs = ZERO if held is None else held.quantity
        yield instrument_id, books.quantity(instrument_id), cache.positions.get(instrument_id, ZERO), theirs


def _position_lines(books: Books, cache: CacheExtract, venue: VenueAccount) -> Iterator[str]:
    for instrument_id, journal, nautilus, theirs in _quantities(books, cache, venue):
        if not journal == nautilus == theirs:
            yield f"position of {instrument_id}: journal {journal}, NautilusTrader {nautilus}, venue {theirs}"


def _misplaced(books: Books, cache: CacheExtract, venue: VenueAccount) -> tuple[str, ...]:
    return tuple(
        instrument_id
        for instrument_id, journal, nautilus, theirs in _quantities(books, cache, venue)
        if journal == theirs != nautilus
    )


def _order_lines(books: Books, cache: CacheExtract, shown: Mapping[int, VenueOrder]) -> Iterator[str]:
    for number, order in sorted(shown.items()):
        line = books.sent_as(number)
        what = f"order {order.venue_order_id} of {order.instrument_id}, client id {number}"
        if line is None:
            yield f"{what}: rests at the venue, the journal does not know it"
        elif line.state in CLOSED:
            yield f"{what}: rests at the venue, the journal says {line.state}"
        elif line.client_order_id not in cache.open_orders:
            yield f"{what}: rests at the venue, NautilusTrader does not know it"


def _unlisted_lines(
    books: Books, venue: VenueAccount, rules: ComparisonRules, unlisted: Mapping[str, datetime]
) -> Iterator[str]:
    for client_order_id, since in unlisted.items():
        intent = books.orders[client_order_id].intent
        if intent is not None and intent.good_til_block is None and venue.read_at - since > rules.settle:
            yield f"order {client_order_id} of {intent.instrument_id}: rests by the journal, the venue does not list it"


def _cash_lines(books: Books, venue: VenueAccount, rules: ComparisonRules) -> Iterator[str]:
    apart = venue.quote_balance - books.quote_balance
    if abs(apart) > rules.quote_rounding * books.booked:
        yield f"quote balance: journal {books.quote_balance}, venue {venue.quote_balance}, {apart:+f} apart"
