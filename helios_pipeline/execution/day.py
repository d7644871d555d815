"""What an account was worth when its day began, 00:00 UTC: the daily loss is measured from there."""

from dataclasses import dataclass
from datetime import UTC, datetime, time

from helios_pipeline.core.trading import AccountSnapshot


@dataclass(slots=True)
class DayStart:
    """Picks, of an account's snapshots, the one nearest to the beginning of the newest one's day.

    An engine that was away at midnight has none of that very instant. A loss made while it was away counts for the day
    whose beginning the snapshot before it is nearer to.

    Attributes:
        base: the snapshot that the day is measured from; None before the first.
    """

    base: AccountSnapshot | None = None
    _last: AccountSnapshot | None = None

    def take(self, snapshot: AccountSnapshot) -> None:
        """See a snapshot; they come in the order in which they were taken."""
        before, self._last = self._last, snapshot
        began = _day_of(snapshot)
        if before is None:
            self.base = snapshot
        elif _day_of(before) < began:
            nearer = began - before.taken_at < snapshot.taken_at - began
            self.base = before if nearer else snapshot


def _day_of(snapshot: AccountSnapshot) -> datetime:
    return datetime.combine(snapshot.taken_at.astimezone(UTC).date(), time(0), UTC)
