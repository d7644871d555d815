"""Compares journal, NautilusTrader and venue at the start, every some seconds and after each reconnect, and heals.

A fill that is milliseconds old is known to one of them before the others: so nothing counts, and nothing is healed,
before a second look some moments later finds the same. What the venue has and the journal lacks is then journalled and
told to NautilusTrader; what is left blocks entries until a later look does not find it. A venue that can't be read is
what nobody knows: it blocks entries once the last agreement is too old.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from helios_pipeline.core.errors import HeliosError
from helios_pipeline.core.trading import OrderEvent, OrderState, Reconciliation, VenueFill
from helios_pipeline.core.venues import AccountReader, VenueAccount
from helios_pipeline.execution.reconciliation import (
    Comparison,
    ComparisonRules,
    TakenIn,
    compare,
    found_twice,
    unlisted_since,
)
from live_engine.journal import Journal
from live_engine.nautilus_account import NautilusAccount

log = logging.getLogger(__name__)

LOOKS = 6
"""So often is one comparison repeated while what it finds keeps changing."""

OVERLAP = timedelta(minutes=10)
"""Records are read again from so long before the last agreement: a venue may list them late."""

WHILE_APART_SECONDS = 5.0
CANCEL_AGAIN = timedelta(seconds=10)
"""An order that has ended by the journal and rests at the venue is cancelled there again after so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcilerTerms:
    """When to compare.

    Attributes:
        rules: how much may be in flight.
        every_seconds: between comparisons that agree.
        confirm_seconds: between two looks.
        trusted_seconds: for so long after the last agreement a venue that can't be read blocks nothing.
    """

    rules: ComparisonRules
    every_seconds: float
    confirm_seconds: float
    trusted_seconds: float


class Reconciler:
    """Keeps an account's three tellers equal. For the event loop that the node runs on.

    Args:
        journal: of the account.
        nautilus: the account in the node.
        reader: of the venue.
        terms: when to compare.
        say: takes a line for people about each thing that was found or healed.
    """

    def __init__(
        self,
        journal: Journal,
        nautilus: NautilusAccount,
        reader: AccountReader,
        terms: ReconcilerTerms,
        say: Callable[[str], None],
    ) -> None:
        self.agreed_at: datetime | None = None
        """When all three were last equal; None for never since the start."""
        self.height: int | None = None
        """Of the venue, at the last look."""
        self._journal = journal
        self._nautilus = nautilus
        self._reader = reader
        self._terms = terms
        self._say = say
        self._found: tuple[str, ...] = ()
        self._unread = ""
        self._unlisted: dict[str, datetime] = {}
        self._withdrawn: dict[str, datetime] = {}
        self._busy = asyncio.Lock()
        self._wanted = asyncio.Event()

    @property
    def differences(self) -> tuple[str, ...]:
        """What blocks entries, a line each; empty when all agree, and did so lately."""
        if self.agreed_at is None:
            return (*self._found, self._unread) if self._unread else self._found
        age = (datetime.now(UTC) - self.agreed_at).total_seconds()
        if self._found or age <= self._terms.trusted_seconds:
            return self._found
        return (self._unread or f"the account was last compared with its venue {age:.0f} s ago",)

    def request(self) -> None:
        """Compare soon, as after a reconnect."""
        self._wanted.set()

    async def run(self) -> None:
        """Compare again and again, sooner while something is apart, until cancelled."""
        while True:
            self._wanted.clear()
            await self.compare()
            apart = self._found or self._unread
            wait = min(WHILE_APART_SECONDS, self._terms.every_seconds) if apart else self._terms.every_seconds
            try:
                async with asyncio.timeout(wait):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def compare(self) -> Reconciliation | None:
        """Compare, heal what can be healed, and record what was found.

        Returns:
            The record; None if the venue could not be read, or the journal not be written: said, and then a difference.
        """
        async with self._busy:
            try:
                venue, found = await self._look_until_sure()
                self._unread = ""
                return self._record(venue, found)
            except Exception as error:
                self._unread = f"the account can't be compared with its venue: {error}"
                self._say(self._unread)
                if not isinstance(error, HeliosError):
                    # A defect, perhaps in what a venue sends: entries are blocked, and the next comparison comes.
                    log.exception("comparison_failed")
                return None

    async def _look_until_sure(self) -> tuple[VenueAccount, Comparison]:
        """The last look: it agrees, or what it found was found twice and can't be healed, or it never settled."""
        venue, found = await self._look(everything=False)
        before: Comparison | None = found
        for number in range(1, LOOKS):
            if found.agrees:
                break
            await asyncio.sleep(self._terms.confirm_seconds)
            venue, found = await self._look(everything=number > 1)
            sure = None if before is None else found_twice(before, found)
            before = found
            if sure is not None and sure.can_heal:
                self._heal(sure, venue)
                before = None
            elif sure == found:
                break
        return venue, found

    async def _look(self, *, everything: bool) -> tuple[VenueAccount, Comparison]:
        venue = await asyncio.to_thread(self._reader.read, self._since(everything=everything))
        with self._journal.reading() as books:
            self._unlisted = unlisted_since(books, venue, self._unlisted)
            return venue, compare(books, self._nautilus.extract(), venue, self._terms.rules, self._unlisted)

    def _heal(self, sure: Comparison, venue: VenueAccount) -> None:
        for record in sure.missing:
            self._take_in(record)
        for client_order_id, venue_order_id in sure.shown:
            self._say(f"order {client_order_id} was of unknown outcome, and is at the venue as {venue_order_id}")
            if not self._nautilus.accept(client_order_id, venue_order_id):
                self._tell(client_order_id, "accepted", venue_order_id)
        for client_order_id in sure.gone:
            self._say(f"order {client_order_id} is not at the venue, and nothing can fill it any more")
            if not self._nautilus.cancel(client_order_id):
                self._tell(client_order_id, "canceled", None)
        for client_order_id, venue_order_id in sure.lingering:
            self._withdraw(client_order_id, venue_order_id)
        for instrument_id in sure.misplaced:
            self._say(f"NautilusTrader is told the position of {instrument_id} that journal and venue agree on")
            self._nautilus.place(instrument_id, venue.positions.get(instrument_id))

    def _withdraw(self, client_order_id: str, venue_order_id: str) -> None:
        now, last = datetime.now(UTC), self._withdrawn.get(venue_order_id)
        if last is not None and now - last < CANCEL_AGAIN:
            return
        self._withdrawn[venue_order_id] = now
        said = f"order {client_order_id} has ended by the journal and rests at the venue as {venue_order_id}"
        if self._nautilus.withdraw(client_order_id, venue_order_id):
            self._say(f"{said}: it is cancelled there")
        else:
            self._say(f"{said}: NautilusTrader does not know it, cancel it by hand or with `helios flatten`")

    def _take_in(self, record: TakenIn) -> None:
        """Journal what only the venue had, then tell NautilusTrader; nothing if somebody else was quicker."""
        if self._journal.append(record) is None:
            return
        if not isinstance(record, VenueFill):
            self._say(f"taken in from the venue: {type(record).__name__} of {record.amount}")
            return
        known = self._nautilus.take_fill(record)
        whose = f"order {record.client_order_id}" if known else "an order that is not known here"
        self._say(
            f"taken in from the venue: fill {record.venue_fill_id} of {whose}, "
            f"{record.side * record.quantity:+f} {record.instrument_id} at {record.price}"
        )

    def _tell(self, client_order_id: str, state: OrderState, venue_order_id: str | None) -> None:
        """Journal what became of an order that NautilusTrader does not know."""
        self._journal.append(
            OrderEvent(
                account=self._journal.account,
                client_order_id=client_order_id,
                state=state,
                venue_order_id=venue_order_id,
                reason="found by reconciliation",
                occurred_at=datetime.now(UTC),
            )
        )

    def _record(self, venue: VenueAccount, found: Comparison) -> Reconciliation:
        now = datetime.now(UTC)
        lines = (*found.differences, *(f"not taken in: {record}" for record in found.missing))
        for line in lines:
            if line not in self._found:
                self._say(f"reconciliation: {line}")
        self._found, self.height = lines, venue.height
        if found.agrees:
            self.agreed_at = now
        record = Reconciliation(
            account=self._journal.account,
            agreed=found.agrees,
            differences=lines,
            height=venue.height,
            compared_at=now,
        )
        self._journal.append(record)
        return record

    def _since(self, *, everything: bool) -> datetime | None:
        """From when on records are read: some time before the last agreement, of this engine or an earlier one."""
        began_at = self._journal.books.began_at
        last = self._journal.books.last_reconciliation
        agreed_at = self.agreed_at or (last.compared_at if last is not None and last.agreed else None)
        if everything or agreed_at is None or began_at is None:
            return began_at
        return max(began_at, agreed_at - OVERLAP)
