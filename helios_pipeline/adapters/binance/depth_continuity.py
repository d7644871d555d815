"""Whether the changes of an order book join; one that doesn't means that another was lost.

As Binance asks of a local book: "How to manage a local order book correctly", USDⓈ-M Futures.
"""

from typing import Literal

type Step = Literal["apply", "drop", "break"]


class DepthContinuity:
    """The update ids of one book, from a snapshot on."""

    def __init__(self) -> None:
        self._last_id: int | None = None
        self._has_joined = False

    def begin(self, snapshot_id: int) -> None:
        """Go on from a snapshot, by its `lastUpdateId`."""
        self._last_id, self._has_joined = snapshot_id, False

    def take(self, first_id: int, last_id: int, previous_id: int | None) -> Step:
        """What to do with a change, by its `U`, `u` and `pu`.

        Returns:
            `apply`; `drop`: it is in the snapshot already, or came before; `break`: something is missing before it, and
            a new snapshot is needed.
        """
        if self._last_id is None:
            return "break"
        if last_id < self._last_id or (self._has_joined and last_id == self._last_id):
            return "drop"
        overlaps = not self._has_joined and first_id <= self._last_id
        if not overlaps and previous_id != self._last_id:
            self._last_id = None
            return "break"
        self._last_id, self._has_joined = last_id, True
        return "apply"
