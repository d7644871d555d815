"""When a paper account is owed funding, and booking it once it is published."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from helios_pipeline.adapters.paper.account import PaperAccount
from helios_pipeline.adapters.paper.settlements import SettlementSource, floor_instant
from helios_pipeline.adapters.paper.state import PaperState
from helios_pipeline.core.errors import UnreachableError, VenueError
from helios_pipeline.core.trading import JournalRecord

LONGEST_PAUSE_SECONDS = 5.0
_PAUSES_PER_INTERVAL = 60
_PATIENCE = 12
"""Pauses after which a settlement that is not published is spoken of."""


def is_owed(state: PaperState, instrument_id: str, span: tuple[datetime, datetime], interval: timedelta) -> bool:
    """Whether a position was carried into a settlement in (first, last]; both are settlements themselves."""
    first, last = span
    fills = [fill for fill in state.fills if fill.instrument_id == instrument_id]
    quantity = Decimal(0)
    for number, fill in enumerate(fills, start=1):
        quantity += fill.side * fill.quantity
        until = fills[number].filled_at if number < len(fills) else last
        # A settlement at the instant of a fill is of the position before it.
        if quantity != 0 and floor_instant(min(until, last), interval) > max(fill.filled_at, first):
            return True
    return False


class FundingDesk:
    """Books what was settled, also what was settled while nobody ran.

    Args:
        account: that is paid.
        source: what the venue published.
        keep: makes a record durable and true, and tells it.
        warn: takes one line for people.
    """

    def __init__(
        self,
        account: PaperAccount,
        source: SettlementSource,
        keep: Callable[[Iterable[JournalRecord]], None],
        warn: Callable[[str], None],
    ) -> None:
        self._account = account
        self._source = source
        self._keep = keep
        self._warn = warn
        self._interval = timedelta(seconds=account.terms.funding_interval_seconds)
        self._booked_until = {each: self._begins(each) for each in account.terms.fees}
        self._missed = dict.fromkeys(account.terms.fees, 0)

    async def run(self, now: Callable[[], datetime]) -> None:
        """Look again and again, until cancelled."""
        pause = min(LONGEST_PAUSE_SECONDS, self._interval.total_seconds() / _PAUSES_PER_INTERVAL)
        while True:
            await self.book(now())
            await asyncio.sleep(pause)

    async def book(self, now: datetime) -> None:
        """Book every settlement up to now that is owed and published."""
        last = floor_instant(now, self._interval)
        for instrument_id, until in self._booked_until.items():
            first = until or self._begins(instrument_id)
            if first is None or last <= first:
                continue
            if is_owed(self._account.state, instrument_id, (first, last), self._interval):
                await self._book_published(instrument_id, first, last)
            else:
                self._booked_until[instrument_id] = last

    async def _book_published(self, instrument_id: str, first: datetime, last: datetime) -> None:
        try:
            found = await asyncio.to_thread(self._source.read, instrument_id, first, self._interval)
        except (UnreachableError, VenueError) as error:
            self._miss(instrument_id, last, str(error))
            return
        for settlement in found:
            self._keep(self._account.venue.settle(instrument_id, settlement))
            self._booked_until[instrument_id] = settlement.settled_at
        if not found or found[-1].settled_at < last:
            self._miss(instrument_id, last, "none is published yet")
        else:
            self._missed[instrument_id] = 0

    def _miss(self, instrument_id: str, at: datetime, found: str) -> None:
        self._missed[instrument_id] += 1
        if self._missed[instrument_id] % _PATIENCE == 0:
            self._warn(f"funding of {instrument_id} at {at:%Y-%m-%d %H:%M:%S}: expected its rate, found: {found}")

    def _begins(self, instrument_id: str) -> datetime | None:
        """The settlement after which none is booked; None before the first fill."""
        state = self._account.state
        paid = [settled_at for (each, settled_at) in state.funding if each == instrument_id]
        if paid:
            return max(paid)
        filled = [fill.filled_at for fill in state.fills if fill.instrument_id == instrument_id]
        return floor_instant(filled[0], self._interval) if filled else None
