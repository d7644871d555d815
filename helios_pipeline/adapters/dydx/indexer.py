"""The indexer's REST interface: what the venue itself says of accounts and markets.

Everything blocks; an instance belongs to one thread at a time.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, cast

import httpx

from helios_pipeline.core.errors import UnreachableError, VenueError

type Json = dict[str, Any]

PAGE = 100
"""Rows of a page; the indexer gives at most 1,000 (comlink, `API_LIMIT_V4`)."""

_MOST_PAGES = 10_000
_TIMEOUT_SECONDS = 5.0
_ATTEMPTS = 4
_BACKOFF_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSeen:
    """The last block that the indexer has read: height and time."""

    height: int
    at: datetime


class DydxIndexer:
    """Asks an indexer about one subaccount and the markets.

    Every method raises `UnreachableError` when there is no usable answer after a few attempts, and `VenueError` when
    the request is refused.
    """

    def __init__(self, base_url: str, address: str, subaccount: int) -> None:
        self._url = base_url.rstrip("/")
        self._who = {"address": address, "subaccountNumber": str(subaccount)}
        self._path = f"addresses/{address}/subaccountNumber/{subaccount}"
        self._client = httpx.Client(timeout=_TIMEOUT_SECONDS)

    def __enter__(self) -> "DydxIndexer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def block(self) -> BlockSeen:
        """The last block that answers are of."""
        answer = self._expect("height", {})
        return BlockSeen(height=int(answer["height"]), at=read_instant(answer["time"]))

    def time(self) -> datetime:
        """The venue's clock."""
        return datetime.fromtimestamp(float(self._expect("time", {})["epoch"]), UTC)

    def markets(self) -> dict[str, Json]:
        """All perpetuals by ticker."""
        return cast("dict[str, Json]", self._expect("perpetualMarkets", {})["markets"])

    def best_prices(self, ticker: str) -> tuple[str, str] | None:
        """Best bid and ask; None if a side of the book is empty."""
        book = self._expect(f"orderbooks/perpetualMarket/{ticker}", {})
        return (book["bids"][0]["price"], book["asks"][0]["price"]) if book["bids"] and book["asks"] else None

    def subaccount(self) -> Json | None:
        """The subaccount with its money and open positions; None if the venue has never seen it."""
        answer = self._ask(self._path, {})
        return None if answer is None else cast("Json", answer["subaccount"])

    def order(self, venue_order_id: str) -> Json | None:
        """An order; None if the indexer knows none of that id."""
        return cast("Json | None", self._ask(f"orders/{venue_order_id}", {}))

    def open_orders(self) -> list[Json]:
        """All orders that may still fill."""
        statuses = {"status": "OPEN,UNTRIGGERED,BEST_EFFORT_OPENED", "limit": "1000"}
        return cast("list[Json]", self._ask("orders", self._who | statuses) or [])

    def fills(self, wanted: Callable[[Json], bool]) -> list[Json]:
        """Fills from the newest on, as long as they are wanted; newest first."""
        return self._pages("fills", "fills", wanted)

    def funding_payments(self, wanted: Callable[[Json], bool]) -> list[Json]:
        """Funding payments from the newest on, as long as they are wanted; newest first."""
        return self._pages("fundingPayments", "fundingPayments", wanted)

    def transfers(self, wanted: Callable[[Json], bool]) -> list[Json]:
        """Transfers, deposits and withdrawals from the newest on, as long as they are wanted; newest first."""
        return self._pages("transfers", "transfers", wanted)

    def _pages(self, path: str, name: str, wanted: Callable[[Json], bool]) -> list[Json]:
        """Rows by pages, all of them of the moment of the first page."""
        found: list[Json] = []
        bound: dict[str, str] = {}
        for page in range(1, _MOST_PAGES):
            asked = self._who | bound | {"limit": str(PAGE), "page": str(page)}
            rows: Sequence[Json] = (self._ask(path, asked) or {name: ()})[name]
            taken = [row for row in rows if wanted(row)]
            found += taken
            if len(taken) < PAGE:
                break
            # What comes later would move these rows to later pages.
            bound = bound or {"createdBeforeOrAtHeight": str(rows[0]["createdAtHeight"])}
        return found

    def _expect(self, path: str, parameters: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
        answer = self._ask(path, parameters)
        if answer is None:
            raise VenueError(f"{self._url}/v4/{path}: expected an answer, found 404. Check the indexer's address.")
        return answer

    def _ask(self, path: str, parameters: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
        """One answer; None for what does not exist."""
        failure = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_BACKOFF_SECONDS * 2**attempt)
            try:
                response = self._client.get(f"{self._url}/v4/{path}", params=dict(parameters))
                if response.status_code == HTTPStatus.NOT_FOUND:
                    return None
                if response.is_success:
                    return response.json()
            except (httpx.TransportError, ValueError) as error:
                failure = str(error) or type(error).__name__
                continue
            failure = f"status {response.status_code}"
            if response.is_client_error and response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                raise VenueError(f"{self._url}/v4/{path}: expected an answer, found {failure}: {response.text[:200]}")
        raise UnreachableError(
            f"{self._url}/v4/{path}: expected an answer, found {failure} at each of {_ATTEMPTS} attempts. "
            "Check the connection and the indexer's address."
        )


def read_instant(text: str) -> datetime:
    """An instant as the indexer writes it."""
    return datetime.fromisoformat(text).astimezone(UTC)
