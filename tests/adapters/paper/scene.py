"""A paper account that is traded by hand, record by record."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from helios_pipeline.adapters.paper.state import PaperState
from helios_pipeline.adapters.paper.terms import Level, MarketPrices, PaperFees, PaperTerms
from helios_pipeline.adapters.paper.venue import PaperVenue
from helios_pipeline.core.trading import Intent
from tests.adapters.paper.books import history_of

BTC, ETH = "BTC-USD-PERP.DYDX", "ETH-USD-PERP.DYDX"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TERMS = PaperTerms(
    venue="DYDX",
    account="DYDX-paper",
    currency="USDC",
    opening_balance=Decimal(100_000),
    funding_interval_seconds=3_600,
    slippage_bps=Decimal(50),
    fees={each: PaperFees(Decimal("0.0001"), Decimal("0.0005")) for each in (BTC, ETH)},
)


def d(text):
    return Decimal(str(text))


def levels(*pairs):
    return tuple(Level(d(price), d(quantity)) for price, quantity in pairs)


def prices(bid=100, ask=101, mark=None, size=5):
    """A quote."""
    return MarketPrices(
        bids=levels((bid, size)), asks=levels((ask, size)), mark=None if mark is None else d(mark), is_whole_book=False
    )


UNKNOWN = MarketPrices(bids=(), asks=(), mark=None, is_whole_book=False)


class Scene:
    """The account, every record that was kept, and a clock that goes on a second with each step."""

    def __init__(self, terms=TERMS):
        self.terms, self.records, self.now = terms, [], NOON
        self.state = PaperState()
        self.venue = PaperVenue(terms, self.state)
        self.keep(self.venue.open_account(self.now))

    def keep(self, records):
        for record in records:
            self.records.append(record)
            self.state.apply(record)
        return records

    def send(self, side, quantity, *, at=None, instrument_id=BTC, **options):
        """An order on arrival, at prices; what happened."""
        post_only, immediate = options.pop("post_only", False), options.pop("immediate", False)
        self.now += timedelta(seconds=1)
        intent = self.intent(side, quantity, instrument_id, **options)
        self.keep([intent])
        happened = self.keep(self.venue.receive(intent, self.now, post_only_at=at if post_only else None))
        order = self.state.orders[intent.client_order_id]
        at = at or UNKNOWN
        if order.is_open and (self.venue.acts(order, at) or (immediate and intent.kind == "limit")):
            now_or_never = immediate or intent.kind == "market"
            happened += self.keep(self.venue.execute(order, at, self.now, arriving=True, immediate=now_or_never))
        return happened

    def intent(self, side, quantity, instrument_id=BTC, *, kind="market", limit=None, trigger=None, reduce_only=False):
        number = len(self.state.orders) + 1
        return Intent(
            account=self.terms.account,
            instrument_id=instrument_id,
            client_order_id=str(number),
            venue_client_id=number,
            side=side,
            kind=kind,
            quantity=d(quantity),
            limit_price=None if limit is None else d(limit),
            trigger_price=None if trigger is None else d(trigger),
            reduce_only=reduce_only,
            purpose="other",
            reason="",
            boundary=None,
            atr=None,
            good_til_block=None,
            intended_at=self.now,
        )

    def see(self, at, instrument_id=BTC):
        """New prices; what happened at them."""
        self.now += timedelta(seconds=1)
        happened = []
        for order in self.venue.due(instrument_id, at):
            happened += self.keep(self.venue.execute(order, at, self.now, arriving=False, immediate=False))
        return happened

    def again(self):
        """The same account put together from its records, as after a crash."""
        other = Scene.__new__(Scene)
        other.terms, other.records, other.now = self.terms, list(self.records), self.now
        other.state = PaperState.of_history(history_of(self.records, self.terms.account))
        other.venue = PaperVenue(self.terms, other.state)
        return other


def as_seen(state):
    """Everything of an account that anybody can ask for."""
    return (
        state.quote_balance,
        state.positions,
        {i: replace(order, accepted_at=None) for i, order in state.orders.items()},
        state.fills,
        state.funding,
        state.transfers,
        {i: [o.intent.client_order_id for o in state.open_orders(i)] for i in (BTC, ETH)},
    )
