"""The indexer's HTTP API: markets, and the joining of all endpoints into routes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import MappingProxyType

import msgspec
from aiohttp import web

from simulated_venues.clock import VenueClock, iso
from simulated_venues.dydx.account_endpoints import AccountEndpoints, Answer
from simulated_venues.dydx.candles import RESOLUTION_MS
from simulated_venues.dydx.documents import Json
from simulated_venues.dydx.indexer import Indexer, Seen
from simulated_venues.dydx.orderbooks import Orderbooks
from simulated_venues.dydx.query import Query, RequestError
from simulated_venues.dydx.records import Market

ERROR_BODY: Json = {"errors": [{"msg": "Internal Server Error"}]}
"""What the indexer answers when something is wrong with it."""

_SPARKLINES = MappingProxyType({"ONE_DAY": ("1HOUR", 24), "SEVEN_DAYS": ("4HOURS", 42)})
_NO_END_MS = 2**52


@dataclass(frozen=True, slots=True)
class Rest:
    """The endpoints under `/v4`.

    Attributes:
        indexer: what is served.
        books: order books.
        clock: the venue's.
        seen: called with every address that is asked for and unknown.
    """

    indexer: Indexer
    books: Orderbooks
    clock: VenueClock
    seen: Seen

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint, and the refusal of all other paths of the API."""
        quick = {**self._public(), **AccountEndpoints(self.indexer).answers()}
        routes = [web.get(f"/v4/{path}", self._handler(answer)) for path, answer in quick.items()]
        routes += [web.get(f"/v4/{path}", self._slow_handler(answer)) for path, answer in self._histories().items()]
        return [*routes, web.route("*", "/v4/{path:.*}", _unknown)]

    def _public(self) -> dict[str, Answer]:
        return {
            "perpetualMarkets": self._markets,
            "orderbooks/perpetualMarket/{ticker}": lambda query: self.books.document(self._market(query)),
            "trades/perpetualMarket/{ticker}": self._trades,
            "height": lambda _: self.indexer.height_document(),
            "time": lambda _: {"iso": iso(self.clock.now_ms()), "epoch": self.clock.now_ms() / 1_000},
            "screen": lambda query: {"restricted": not query.required("address")},
            "compliance/screen/{address}": lambda _: {"status": "COMPLIANT", "updatedAt": iso(self.clock.now_ms())},
        }

    def _histories(self) -> dict[str, Answer]:
        """What may take a while, because days of the market have to be made for it."""
        return {
            "candles/perpetualMarkets/{ticker}": self._candles,
            "sparklines": self._sparklines,
            "historicalFunding/{ticker}": self._funding,
        }

    def _market(self, query: Query) -> Market:
        market = self.indexer.markets.by_ticker.get(query.required("ticker"))
        if market is None:
            raise query.wrong("ticker", "ticker must be a valid ticker (BTC-USD, etc)")
        return market

    def _markets(self, query: Query) -> object:
        chosen = self.indexer.listing.markets if query.text("ticker") is None else [self._market(query)]
        documents = {each.ticker: self.indexer.markets.market_document(each) for each in chosen[: query.limit()]}
        return {"markets": documents}

    def _trades(self, query: Query) -> object:
        market, limit, page = self._market(query), query.limit(), query.number("page", least=1)
        until = query.instant_ms("createdBeforeOrAt")
        before = _NO_END_MS if until is None else until + 1
        height = query.number("createdBeforeOrAtHeight")
        if page is not None:
            offset = (page - 1) * limit
            trades = self.indexer.markets.latest_trades(market, offset + limit, before)[offset:]
            return {"pageSize": limit, "totalResults": offset + len(trades), "offset": offset, "trades": trades}
        if height is None:
            return {"trades": self.indexer.markets.latest_trades(market, limit, before)}
        before = min(before, self.indexer.heights.time_of(height) + 1)
        return {"trades": self.indexer.markets.latest_trades(market, limit, before)}

    def _candles(self, query: Query) -> object:
        market = self._market(query)
        resolution = query.among("resolution", RESOLUTION_MS)
        if resolution is None:
            raise query.wrong("resolution", f"resolution must be one of {', '.join(RESOLUTION_MS)}")
        first, last = query.instant_ms("fromISO", "fromIso"), query.instant_ms("toISO", "toIso")
        span = (0 if first is None else first, _NO_END_MS if last is None else last)
        return {"candles": self.indexer.markets.read_candles(market, resolution, span, query.limit())}

    def _sparklines(self, query: Query) -> object:
        period = query.among("timePeriod", _SPARKLINES)
        if period is None:
            raise query.wrong("timePeriod", f"timePeriod must be one of {', '.join(_SPARKLINES)}")
        resolution, count = _SPARKLINES[period]
        markets, lines = self.indexer.markets, dict[str, list[object]]()
        for ticker, market in markets.by_ticker.items():
            first = markets.until_ms(market) - count * RESOLUTION_MS[resolution]
            candles = markets.read_candles(market, resolution, (first, _NO_END_MS), count)
            lines[ticker] = [candle["close"] for candle in candles]
        return lines

    def _funding(self, query: Query) -> object:
        market, until = self._market(query), query.instant_ms("effectiveBeforeOrAt")
        height = query.number("effectiveBeforeOrAtHeight")
        before = _NO_END_MS if until is None else until
        if height is not None:
            before = min(before, self.indexer.heights.time_of(height))
        return {"historicalFunding": self.indexer.markets.funding_rates(market, query.limit(), before)}

    def _handler(self, answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            query = Query(request.match_info, request.query)
            for name in ("address", "sourceAddress", "recipientAddress"):
                address = query.text(name)
                if address is not None:
                    await self.indexer.wait_for_account(address, self.seen)
            try:
                return _response(answer(query))
            except RequestError as error:
                return _response(error.body, error.status)

        return handle

    def _slow_handler(self, answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            query = Query(request.match_info, request.query)
            try:
                return _response(await asyncio.to_thread(answer, query))
            except RequestError as error:
                return _response(error.body, error.status)

        return handle


async def _unknown(request: web.Request) -> web.Response:
    return _response({"errors": [{"msg": f"Not Found: {request.method} {request.path}"}]}, 404)


def _response(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
