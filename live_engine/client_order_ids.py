"""Client order ids: numbers that were never given before, over restarts and lost logs too.

A block of them is taken durably before the first of it is given, so an id whose intent was lost is not given again.
"""

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from helios_pipeline.core.errors import JournalError

AT_ONCE = 64
"""Ids of one block; a restart leaves the rest of a block out."""
END = 2**31
ZERO = datetime(2025, 1, 1, tzinfo=UTC)
"""The first id of a new log is the seconds since then: more than an earlier log of the account can have given."""


class ClientOrderIds:
    """Gives ids, each greater than the last.

    Args:
        take: makes durable that all ids up to a number are taken.
        taken: the last that is taken; 0 for a new log.
    """

    def __init__(self, take: Callable[[int], None], taken: int) -> None:
        self._take = take
        self._counting = threading.Lock()
        self._next = (taken or int((datetime.now(UTC) - ZERO).total_seconds())) + 1
        self._taken = self._next - 1
        self._take_block()

    @property
    def taken(self) -> int:
        """The last that is taken."""
        return self._taken

    def give(self) -> int:
        """The next id.

        Raises:
            JournalError: it could not be taken durably, or there are none left.
        """
        with self._counting:
            if self._next > self._taken:
                self._take_block()
            given, self._next = self._next, self._next + 1
            return given

    def _take_block(self) -> None:
        last = self._next + AT_ONCE - 1
        if last >= END:
            raise JournalError(f"client order ids: expected one below {END}, found none left. Begin a new account.")
        self._take(last)
        self._taken = last


def highest_id(client_order_ids: Iterable[str]) -> int:
    """The highest of ids that this module can have given; 0 if there is none."""
    numbers = (int(each) for each in client_order_ids if each.isascii() and each.isdigit())
    return max((number for number in numbers if number < END), default=0)
