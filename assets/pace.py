"""How fast a long step goes and how long it will take, told now and then."""

import time
from collections.abc import Callable

TOLD_EVERY_SECONDS = 10.0


class Pace:
    """Hears of progress and says rate and time left, at most every few seconds and at the end.

    Args:
        say: takes a sentence.
        what: is counted, e.g. `sets`.
    """

    def __init__(self, say: Callable[[str], None], what: str) -> None:
        self._say, self._what = say, what
        self._began: tuple[float, int] | None = None
        self._told = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Say that `done` of `total` are done; the first call begins, what was done until then costs no time."""
        now = time.monotonic()
        if self._began is None:
            self._began, self._told = (now, done), now
            return
        if done < total and now - self._told < TOLD_EVERY_SECONDS:
            return
        self._told = now
        began, before = self._began
        rate = (done - before) / max(now - began, 1e-9)
        left = f", {(total - done) / rate:,.0f} s left" if rate > 0 and done < total else ""
        self._say(f"{done:,} of {total:,} {self._what}, {rate:,.0f} {self._what}/s{left}")
