"""A paper account that two look at: the execution client, which moves it, and the reader, which compares it."""

import threading
from datetime import UTC, datetime

from helios_pipeline.adapters.paper.state import PaperOrder, PaperState
from helios_pipeline.adapters.paper.terms import PaperTerms
from helios_pipeline.adapters.paper.venue import PaperVenue
from helios_pipeline.core.trading import JournalRecord
from helios_pipeline.core.venues import AccountHistory, RecordSink, VenueAccount, VenueOrder


class PaperAccount:
    """The state of one account, and the one way to change it: durable first, then true.

    Attributes:
        terms: of the account.
        venue: the rules that say what happens.
    """

    def __init__(self, terms: PaperTerms, sink: RecordSink, history: AccountHistory) -> None:
        self.terms = terms
        self._state = PaperState.of_history(history)
        self.venue = PaperVenue(terms, self._state)
        self._sink = sink
        self._lock = threading.Lock()

    @property
    def state(self) -> PaperState:
        """For the thread that changes it; any other calls `read`."""
        return self._state

    def keep(self, record: JournalRecord) -> int | None:
        """Make a record durable and the account what it says; its number in the journal, None if it was there already.

        Raises:
            JournalError: it could not be written; the account is as before.
        """
        with self._lock:
            number = self._sink.append(record)
            self._state.apply(record)
        return number

    def read(self, since: datetime | None) -> VenueAccount:
        """The account at one moment, with what happened from `since` on."""
        with self._lock:
            state = self._state
            return VenueAccount(
                account=self.terms.account,
                read_at=datetime.now(UTC),
                height=None,
                quote_balance=state.quote_balance,
                positions=dict(state.positions),
                open_orders=tuple(_venue_order(each) for each in state.open_orders()),
                fills=tuple(each for each in state.fills if since is None or each.filled_at >= since),
                funding=tuple(each for each in state.funding.values() if since is None or each.settled_at >= since),
                transfers=tuple(
                    each for each in state.transfers.values() if since is None or each.transferred_at >= since
                ),
            )


class PaperAccountReader:
    """Reads a paper account as its venue has it; not through NautilusTrader, nor from the journal's books."""

    def __init__(self, account: PaperAccount) -> None:
        self._account = account

    def read(self, since: datetime | None) -> VenueAccount:
        """See `core.venues.AccountReader`; the venue always answers."""
        return self._account.read(since)


def _venue_order(order: PaperOrder) -> VenueOrder:
    intent = order.intent
    return VenueOrder(
        venue_order_id=order.venue_order_id,
        venue_client_id=intent.venue_client_id,
        instrument_id=intent.instrument_id,
        side=intent.side,
        quantity=intent.quantity,
        filled=order.filled,
        limit_price=intent.limit_price,
        trigger_price=None if order.triggered else intent.trigger_price,
        reduce_only=intent.reduce_only,
        good_til_block=None,
    )
