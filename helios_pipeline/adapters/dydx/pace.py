"""How often an account is asked for by REST: often while the fate of an order is open, always now and then.

An indexer allows 100 requests in ten seconds; a reading of everything makes about ten.
"""

from dataclasses import dataclass
from enum import Enum

FRESH_SECONDS = 1.0
"""Between two questions for the fate of orders."""
WHOLE_SECONDS = 5.0
"""Between two readings of everything."""
HURRIED_SECONDS = 1.5
"""Between two readings of everything when there is news."""


class Due(Enum):
    """What is to be read."""

    NOTHING = "nothing"
    FRESH = "fills and open fates"
    WHOLE = "everything"


@dataclass(slots=True)
class Pace:
    """When what is due; instants are monotonic seconds."""

    next_fresh: float = 0.0
    next_whole: float = 0.0
    whole_at: float = 0.0

    def due(self, now: float, *, urgent: bool) -> Due:
        """What is to be read now; `urgent` while the fate of an order is open, or the stream can't be trusted."""
        if now >= self.next_whole:
            return Due.WHOLE
        return Due.FRESH if urgent and now >= self.next_fresh else Due.NOTHING

    def asked(self, now: float) -> None:
        """Fills were asked for, or an order was sent, of which there can be no news yet."""
        self.next_fresh = now + FRESH_SECONDS

    def read_whole(self, now: float) -> None:
        """Everything was read."""
        self.whole_at, self.next_whole = now, now + WHOLE_SECONDS

    def hurry(self, now: float) -> None:
        """Read everything soon, but not with every message of a stream that loses many."""
        self.next_whole = min(self.next_whole, max(now, self.whole_at + HURRIED_SECONDS))
