"""The chain's own prices, which stops and margins go by, and how old they are."""

import time
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(slots=True)
class OraclePrices:
    """Newest price of each ticker, with when it became known, monotonic seconds."""

    _known: dict[str, tuple[Decimal, float]] = field(default_factory=dict)

    def take(self, prices: dict[str, str]) -> None:
        """Prices as they were just read."""
        now = time.monotonic()
        self._known |= {ticker: (Decimal(text), now) for ticker, text in prices.items()}

    def price(self, ticker: str) -> Decimal | None:
        """The newest price; None before there is one."""
        known = self._known.get(ticker)
        return None if known is None else known[0]

    def age_seconds(self, ticker: str) -> float:
        """How long the newest price has been known; 0 where there is none."""
        known = self._known.get(ticker)
        return 0.0 if known is None else time.monotonic() - known[1]
