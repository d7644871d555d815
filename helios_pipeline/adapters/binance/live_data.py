"""Binance USD-M live: NautilusTrader's data client, with what it lacks.

Added: funding rates, index prices, open interest; a book whose changes are checked for continuity and that is built
anew when one is lost; connections that come back from silence, refusals and errors. It needs no key.
"""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
from nautilus_trader.adapters.binance.common.enums import BinanceKlineInterval
from nautilus_trader.adapters.binance.futures.data import BinanceFuturesDataClient
from nautilus_trader.adapters.binance.futures.schemas.market import BinanceFuturesMarkPriceData
from nautilus_trader.core.data import Data
from nautilus_trader.core.nautilus_pyo3 import HttpMethod
from nautilus_trader.model.custom import customdataclass
from nautilus_trader.model.data import CustomData, FundingRateUpdate, IndexPriceUpdate
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Price

from helios_pipeline.adapters.binance.live_book import FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, PASSING, LiveBook
from helios_pipeline.adapters.binance.live_socket import live_socket

MARKET_SILENCE_SECONDS = 10.0
"""Mark prices come every second, so a market connection is never silent for so long."""

PUBLIC_SILENCE_SECONDS = 30.0
OPEN_INTEREST_SECONDS = 60.0
"""How often open interest is asked for; the venue measures it every few seconds at most."""

NANOSECONDS_PER_MS = 1_000_000


@customdataclass
class OpenInterest(Data):
    """Contracts that are open, in base currency; subscribe with `DataType(OpenInterest, {"instrument_id": …})`."""

    instrument_id: InstrumentId = InstrumentId.from_str("BTCUSDT-PERP.BINANCE")
    value: float = 0.0


class OpenInterestAnswer(msgspec.Struct):
    """`GET /fapi/v1/openInterest`."""

    openInterest: str
    time: int


class BinanceLiveDataClient(BinanceFuturesDataClient):
    """The data client of one node."""

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - the library's arguments
        super().__init__(*given, **named)
        # Books come over the public connection alone.
        self._ws_client = live_socket(self._ws_client, MARKET_SILENCE_SECONDS, None)
        self._ws_public_client = live_socket(self._ws_public_client, PUBLIC_SILENCE_SECONDS, self._reconnect)
        self._sockets = (self._ws_client, self._ws_public_client)
        self._books: dict[InstrumentId, LiveBook] = {}
        self._wants_funding: set[InstrumentId] = set()
        self._wants_index: set[InstrumentId] = set()
        self._last_rates: dict[InstrumentId, tuple[str, int]] = {}
        self._polls: dict[InstrumentId, Any] = {}
        self._decoder_open_interest = msgspec.json.Decoder(OpenInterestAnswer)

    @property
    def reconnects(self) -> int:
        """How often a connection was lost and came back."""
        return self._sockets[0].reconnects + self._sockets[1].reconnects

    @property
    def rebuilds(self) -> int:
        """How many snapshots were fetched for books."""
        return sum(book.snapshots for book in self._books.values())

    async def _connect(self) -> None:
        wait = FIRST_RETRY_SECONDS
        while True:
            try:
                await super()._connect()
            except PASSING as error:
                self._log.warning(f"exchangeInfo: expected an answer, found {error!r}. Trying again in {wait:g} s.")
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_RETRY_SECONDS)
            else:
                return

    # -- marks, index, funding ---------------------------------------------------------------------------------------

    async def _subscribe_funding_rates(self, command: Any) -> None:  # noqa: ANN401 - compiled, without a stub
        self._wants_funding.add(command.instrument_id)
        await self._ws_client.subscribe_mark_price(command.instrument_id.symbol.value, speed=1000)

    async def _subscribe_index_prices(self, command: Any) -> None:  # noqa: ANN401
        self._wants_index.add(command.instrument_id)
        await self._ws_client.subscribe_mark_price(command.instrument_id.symbol.value, speed=1000)

    async def _unsubscribe_funding_rates(self, command: Any) -> None:  # noqa: ANN401
        self._wants_funding.discard(command.instrument_id)

    async def _unsubscribe_index_prices(self, command: Any) -> None:  # noqa: ANN401
        self._wants_index.discard(command.instrument_id)

    async def _unsubscribe_mark_prices(self, command: Any) -> None:  # noqa: ANN401
        """The stream stays: funding rates and index prices come over it too."""

    def _handle_mark_price_data(self, data: BinanceFuturesMarkPriceData) -> None:
        super()._handle_mark_price_data(data)
        instrument_id = self._get_cached_instrument_id(data.s)
        stamps = data.E * NANOSECONDS_PER_MS, self._clock.timestamp_ns()
        if instrument_id in self._wants_index:
            self._handle_data(IndexPriceUpdate(instrument_id, Price.from_str(data.i), *stamps))
        if instrument_id in self._wants_funding and self._last_rates.get(instrument_id) != (data.r, data.T):
            self._last_rates[instrument_id] = (data.r, data.T)
            self._handle_data(
                FundingRateUpdate(instrument_id, Decimal(data.r), *stamps, next_funding_ns=data.T * NANOSECONDS_PER_MS)
            )

    # -- klines ------------------------------------------------------------------------------------------------------

    async def _subscribe_bars(self, command: Any) -> None:  # noqa: ANN401
        spec = command.bar_type.spec
        resolution = self._enum_parser.parse_nautilus_bar_aggregation(spec.aggregation)
        # The library takes seconds for an error of futures; a venue whose raw klines are seconds serves them.
        interval = BinanceKlineInterval(f"{spec.step}{resolution}")
        await self._ws_client.subscribe_bars(
            symbol=command.bar_type.instrument_id.symbol.value, interval=interval.value
        )

    # -- open interest -----------------------------------------------------------------------------------------------

    async def _subscribe(self, command: Any) -> None:  # noqa: ANN401
        if command.data_type.type is not OpenInterest:
            await super()._subscribe(command)
            return
        instrument_id = command.data_type.metadata["instrument_id"]
        if instrument_id not in self._polls:
            self._polls[instrument_id] = self.create_task(self._poll_open_interest(instrument_id, command.data_type))

    async def _unsubscribe(self, command: Any) -> None:  # noqa: ANN401
        if command.data_type.type is not OpenInterest:
            await super()._unsubscribe(command)
            return
        poll = self._polls.pop(command.data_type.metadata["instrument_id"], None)
        if poll is not None:
            poll.cancel()

    async def _poll_open_interest(self, instrument_id: InstrumentId, data_type: Any) -> None:  # noqa: ANN401
        symbol = instrument_id.symbol.value.removesuffix("-PERP")
        while True:
            try:
                raw = await self._http_client.send_request(
                    HttpMethod.GET, "/fapi/v1/openInterest", payload={"symbol": symbol}
                )
                answer = self._decoder_open_interest.decode(raw)
            except PASSING as error:
                self._log.warning(
                    f"open interest of {symbol}: expected an answer, found {error!r}. Asking again later."
                )
            else:
                found = OpenInterest(
                    answer.time * NANOSECONDS_PER_MS,
                    self._clock.timestamp_ns(),
                    instrument_id=instrument_id,
                    value=float(answer.openInterest),
                )
                self._handle_data(CustomData(data_type, found))
            await asyncio.sleep(OPEN_INTEREST_SECONDS)

    # -- books -------------------------------------------------------------------------------------------------------

    async def _order_book_snapshot_then_deltas(self, instrument_id: InstrumentId) -> None:
        """Build a book anew: when it is subscribed to, and when a connection came back."""
        if instrument_id not in self._books:
            self._books[instrument_id] = LiveBook(
                instrument_id,
                snapshot=lambda: self._http_market.request_order_book_snapshot(
                    instrument_id=instrument_id,
                    limit=self._book_depths[instrument_id],
                    ts_init=self._clock.timestamp_ns(),
                ),
                deliver=self._handle_data,
                warn=self._log.warning,
            )
        await self._books[instrument_id].build()

    def _handle_book_diff_update(self, raw: bytes) -> None:
        change = self._decoder_order_book_msg.decode(raw).data
        book = self._books.get(self._get_cached_instrument_id(change.s))
        if book is not None and not book.take(change, self._clock.timestamp_ns()):
            self.create_task(book.build())
