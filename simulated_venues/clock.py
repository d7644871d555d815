"""A venue's clock: the wall clock, wrong by as much as a fault says."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from simulated_venues.faults import Faults
from simulated_venues.source import BOOK_STEP_MS


@dataclass(frozen=True, slots=True)
class VenueClock:
    """Tells a venue's time; the market is asked at this time and stamps carry it.

    Attributes:
        faults: `clock_skew` moves the clock.
        ahead_ms: how far ahead of the wall clock the venue always is; for tests that look at tomorrow.
        span_ms: first instant and end of the market, as `MarketSource.span_ms`; before and after it stands still.
    """

    faults: Faults
    ahead_ms: int = 0
    span_ms: tuple[int, int] | None = None

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        skew = self.faults.active("clock_skew")
        return time.time_ns() // 1_000_000 + self.ahead_ms + (int(skew.value) if skew else 0)

    def market_ms(self, name: str) -> int:
        """The instant at which the market of a symbol or ticker stands: now, unless its prices are stale."""
        seconds = self.faults.seconds_active("stale_prices", name)
        return self.in_market(self.now_ms() - (round(seconds * 1_000) if seconds is not None else 0))

    def in_market(self, at_ms: int) -> int:
        """An instant, or the nearest one of the market: a recording begins and ends.

        The first is a step of the book, so that whoever looks at the step that an instant lies in stays inside.
        """
        if self.span_ms is None:
            return at_ms
        begin, end = self.span_ms
        return min(max(at_ms, -(-begin // BOOK_STEP_MS) * BOOK_STEP_MS), end - 1)

    def stands_still(self, name: str) -> bool:
        """Whether the market of a symbol or ticker does not move: stale, not begun, or over."""
        now = self.now_ms()
        return self.in_market(now) != now or self.faults.active("stale_prices", name) is not None

    async def sleep_until(self, at_ms: float) -> None:
        """Wait until the clock shows an instant; at once if it is past."""
        await asyncio.sleep(max(0.0, (at_ms - self.now_ms()) / 1_000))


def instant(milliseconds: int) -> datetime:
    """Milliseconds since 1970 as a datetime in UTC."""
    return datetime.fromtimestamp(milliseconds // 1_000, UTC).replace(microsecond=milliseconds % 1_000 * 1_000)


def iso(milliseconds: int) -> str:
    """Milliseconds since 1970 as `2025-12-08T16:11:59.450Z`."""
    return instant(milliseconds).strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1_000:03d}Z"
