"""Funding as venues publish it after each settlement: the rate that was paid, and the price it was counted at.

Paper books these, not a stream's forecast: an account that was switched off over a settlement is paid exactly the same.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

import httpx

from helios_pipeline.core.errors import UnreachableError, VenueError

_SECONDS = 10.0
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """Funding that was settled.

    Attributes:
        settled_at: instant, UTC; venues' stamps are a little later than it.
        rate: fraction of notional for the interval that ended; longs pay a positive one.
        price: that notional is counted at.
    """

    settled_at: datetime
    rate: Decimal
    price: Decimal


class SettlementSource(Protocol):
    """Reads what a venue published of funding."""

    def read(self, instrument_id: str, since: datetime, interval: timedelta) -> tuple[Settlement, ...]:
        """Settlements after an instant, oldest first. Blocks.

        Args:
            instrument_id: NautilusTrader's id.
            since: UTC; a settlement at it is not in the answer.
            interval: usual time between settlements.

        Raises:
            UnreachableError: the venue does not answer.
            VenueError: it answers with something else than it documents.
        """


class DydxSettlements:
    """`GET /v4/historicalFunding/{ticker}` of dYdX's indexer: newest first."""

    def __init__(self, http: str) -> None:
        self._http = http

    def read(self, instrument_id: str, since: datetime, interval: timedelta) -> tuple[Settlement, ...]:
        """See `SettlementSource`; back to the 1,000th newest."""
        ticker = instrument_id.partition(".")[0].removesuffix("-PERP")
        url = f"{self._http}/v4/historicalFunding/{ticker}"
        document = _get(url, {"limit": _wanted(since, interval)})
        try:
            rows = [
                (datetime.fromisoformat(r["effectiveAt"]), r["rate"], r["price"]) for r in document["historicalFunding"]
            ]
            return _settlements(rows, since, interval)
        except (KeyError, TypeError, ValueError, InvalidOperation) as error:
            raise _unexpected(url, error) from error


class BinanceSettlements:
    """`GET /fapi/v1/fundingRate` of Binance USD-M: oldest first from a start on."""

    def __init__(self, http: str) -> None:
        self._http = http

    def read(self, instrument_id: str, since: datetime, interval: timedelta) -> tuple[Settlement, ...]:
        """See `SettlementSource`; the first 1,000."""
        symbol = instrument_id.partition(".")[0].removesuffix("-PERP")
        url = f"{self._http}/fapi/v1/fundingRate"
        start = int(since.timestamp() * 1_000)
        document = _get(url, {"symbol": symbol, "startTime": start, "limit": 1_000})
        try:
            rows = [
                (datetime.fromtimestamp(r["fundingTime"] / 1_000, UTC), r["fundingRate"], r["markPrice"])
                for r in document
            ]
            return _settlements(rows, since, interval)
        except (KeyError, TypeError, ValueError, InvalidOperation) as error:
            raise _unexpected(url, error) from error


def floor_instant(instant: datetime, step: timedelta) -> datetime:
    """The last whole step since 1970 at or before an instant."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return instant - (instant - epoch) % step


def _settlements(rows: list[tuple[datetime, str, str]], since: datetime, interval: timedelta) -> tuple[Settlement, ...]:
    """Stamps are floored to the hour, or to the interval where that is shorter: venues stamp a little late."""
    step = min(interval, _HOUR)
    found = (
        Settlement(settled_at=floor_instant(at, step), rate=Decimal(rate), price=Decimal(price))
        for at, rate, price in rows
    )
    return tuple(sorted((each for each in found if each.settled_at > since), key=lambda each: each.settled_at))


def _wanted(since: datetime, interval: timedelta) -> int:
    """How many of the newest reach back to an instant, two more than that for stamps that are late."""
    return min(1_000, max(1, (datetime.now(UTC) - since) // interval + 2))


def _get(url: str, query: dict[str, str | int]) -> Any:  # noqa: ANN401 - JSON; readers check what they take from it
    try:
        answer = httpx.get(url, params=query, timeout=_SECONDS)
        answer.raise_for_status()
        return answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise UnreachableError(
            f"funding at {url}: expected an answer, found {error!r}. It is asked for again."
        ) from error


def _unexpected(url: str, error: Exception) -> VenueError:
    return VenueError(f"funding at {url}: expected rates with their prices, found {error!r}. It is asked for again.")
