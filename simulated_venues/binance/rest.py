"""Binance's USD-M market data over HTTP, as of the venue's clock."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from simulated_venues.binance.contract_endpoints import ContractEndpoints
from simulated_venues.binance.price_endpoints import PriceEndpoints
from simulated_venues.binance.query import Query, Refusal
from simulated_venues.binance.settings import BinanceSettings
from simulated_venues.binance.statistics import statistics_answers
from simulated_venues.binance.text import json_response
from simulated_venues.binance.view import Answer, MarketView
from simulated_venues.clock import VenueClock
from simulated_venues.source import MarketSource

_LOG = logging.getLogger(__name__)
_THREADS = 4
"""Of its own, so that long answers keep neither the streams nor the archive waiting."""


@dataclass(frozen=True, slots=True)
class Rest:
    """The endpoints.

    Attributes:
        source: the market.
        clock: the venue's; the market stands where it says.
        settings: the venue's.
    """

    source: MarketSource
    clock: VenueClock
    settings: BinanceSettings

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint, and the refusal of all other paths of the API."""
        threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="rest")
        routes = [web.get(path, _handler(answer, threads)) for path, answer in self._answers().items()]
        return [*routes, web.route("*", "/fapi/{path:.*}", _unknown), web.route("*", "/futures/{path:.*}", _unknown)]

    def _answers(self) -> dict[str, Answer]:
        view = MarketView(self.source, self.clock)
        v1: dict[str, Answer] = {
            "ping": lambda _: {},
            "time": lambda _: {"serverTime": self.clock.now_ms()},
            **PriceEndpoints(view).answers(),
            **ContractEndpoints(view, self.settings.weight_per_minute).answers(),
        }
        return {
            **{f"/fapi/v1/{name}": answer for name, answer in v1.items()},
            "/fapi/v2/ticker/price": v1["ticker/price"],
            **{f"/futures/data/{name}": answer for name, answer in statistics_answers(view).items()},
        }


def _handler(answer: Answer, threads: ThreadPoolExecutor) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Answers in a thread, since a day of the market that nobody asked for before takes a while to make."""

    def answer_to(query: Query) -> web.Response:
        return json_response(answer(query))

    async def handle(request: web.Request) -> web.Response:
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, answer_to, Query(request.query))
        except Refusal as refusal:
            return json_response(refusal.body(), status=refusal.status)
        except Exception:  # noqa: BLE001 - a client reads JSON whatever goes wrong here; the log has the cause
            _LOG.exception("simulated Binance: no answer to %s", request.path_qs)
            unknown = Refusal(-1000, "An unknown error occurred while processing the request.")
            return json_response(unknown.body(), status=HTTPStatus.INTERNAL_SERVER_ERROR)

    return handle


async def _unknown(request: web.Request) -> web.Response:
    refusal = Refusal(-5000, f"Path {request.path}, Method {request.method} is invalid", HTTPStatus.NOT_FOUND)
    return json_response(refusal.body(), status=refusal.status)
