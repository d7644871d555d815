"""Endpoints of what is known of contracts: their terms, funding, open interest, tickers."""

from dataclasses import dataclass

import numpy as np

from simulated_venues.binance import payloads
from simulated_venues.binance.exchange_info import INDEX_SYMBOL, exchange_info, funding_info, index_info
from simulated_venues.binance.fair import fair_price
from simulated_venues.binance.klines import bar_since
from simulated_venues.binance.query import Query, Refusal, nothing_yet
from simulated_venues.binance.symbols import base_asset, symbols
from simulated_venues.binance.text import decimal_text
from simulated_venues.binance.trade_history import last_trades
from simulated_venues.binance.view import Answer, Json, MarketView, Record
from simulated_venues.clock import instant
from simulated_venues.columns import rebuild_columns
from simulated_venues.settings import RAW_BARS_PER_FUNDING, RAW_BARS_PER_METRICS, SimulatedInstrument
from simulated_venues.source import Settlements

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class ContractEndpoints:
    """The answers, by path below `/fapi/v1/`.

    Attributes:
        view: the market.
        weight_per_minute: the limit that `exchangeInfo` states.
    """

    view: MarketView
    weight_per_minute: int

    def answers(self) -> dict[str, Answer]:
        """What answers each path."""
        view = self.view
        return {
            "exchangeInfo": lambda _: exchange_info(view.source, self.weight_per_minute, view.clock.now_ms()),
            "premiumIndex": lambda query: view.each(query, self._premium_index),
            "fundingRate": self._funding_rates,
            "fundingInfo": lambda _: funding_info(view.source),
            "openInterest": self._open_interest,
            "ticker/24hr": lambda query: view.each(query, self.day_statistics),
            "ticker/price": lambda query: view.each(query, self._price),
            "ticker/bookTicker": lambda query: view.each(query, self._book_ticker),
            "indexInfo": self._index_info,
        }

    def day_statistics(self, instrument: SimulatedInstrument) -> Record | None:
        """Statistics of the last 24 hours, from the start of the raw bar in which they began; None without a trade."""
        source, now, raw = self.view.source, self.view.now_ms(instrument), self.view.source.raw_interval_ms
        first = (now - _DAY_MS) // raw * raw
        bar = bar_since(source, instrument.instrument_id, first, now)
        last = last_trades(source, instrument.instrument_id, first, now + 1, 1)
        if not len(last) or not len(bar):
            return None
        return payloads.day_statistics(bar, last, instrument, (first, now))

    def _premium_index(self, instrument: SimulatedInstrument) -> Record:
        fair = fair_price(self.view.source, instrument.instrument_id, self.view.now_ms(instrument))
        return payloads.premium_index(fair, instrument.symbol, self.view.clock.now_ms())

    def _funding_rates(self, query: Query) -> Json:
        """The first from a start on, or else the last; of all symbols, in order of time, if none is named."""
        limit, (start, end) = query.limit(usual=100, most=1_000), query.span()
        chosen = [self.view.instrument(query)] if query.text("symbol") else list(symbols(self.view.source).values())
        records = [
            record
            for instrument in chosen
            for record in payloads.funding_rates(self._settled(instrument, start, end, limit), instrument.symbol)
        ]
        records.sort(key=lambda record: int(str(record["fundingTime"])))
        return records[:limit] if start is not None else records[-limit:]

    def _settled(self, instrument: SimulatedInstrument, start: int | None, end: int | None, limit: int) -> Settlements:
        """Settlements whose published stamp is in a span, its ends included; at least `limit` if there are."""
        funding_ms = RAW_BARS_PER_FUNDING * self.view.source.raw_interval_ms
        width = (limit + 1) * funding_ms
        oldest, stop = self.view.span_ms(instrument)
        last = stop if end is None else max(oldest, min(stop, end + 1))
        first = min(max(oldest, last - width if start is None else start), last)
        # A stamp is a little later than what it stands for, so one more is read before the span.
        read = instant(max(oldest, first - funding_ms)), instant(max(first, min(last, first + width)))
        found = self.view.source.settlements(instrument.instrument_id, *read)
        inside = np.flatnonzero((found.published_at_ms >= first) & (found.published_at_ms < last))
        return rebuild_columns(found, lambda name: getattr(found, name)[inside])

    def _open_interest(self, query: Query) -> Json:
        instrument = self.view.instrument(query)
        now, step = self.view.now_ms(instrument), RAW_BARS_PER_METRICS * self.view.source.raw_interval_ms
        found = self.view.source.open_interest(instrument.instrument_id, instant(now - step), instant(now + 1))
        if not len(found.measured_at_ms):
            raise nothing_yet()
        return {
            "symbol": instrument.symbol,
            "openInterest": decimal_text(int(found.open_interest[-1]), instrument.quantity_decimals),
            "time": int(found.measured_at_ms[-1]),
        }

    def _price(self, instrument: SimulatedInstrument) -> Record | None:
        oldest, stop = self.view.span_ms(instrument)
        last = last_trades(self.view.source, instrument.instrument_id, oldest, stop, 1)
        if not len(last):
            return None
        return {
            "symbol": instrument.symbol,
            "price": decimal_text(int(last.price[-1]), instrument.price_decimals),
            "time": int(last.traded_at_ms[-1]),
        }

    def _book_ticker(self, instrument: SimulatedInstrument) -> Record:
        book = self.view.source.book(instrument.instrument_id, instant(self.view.now_ms(instrument)))
        return payloads.book_ticker(book, instrument)

    def _index_info(self, query: Query) -> Json:
        named = query.text("symbol")
        if named not in (None, INDEX_SYMBOL):
            raise Refusal(-1121, "Invalid symbol.")
        prices = {
            base_asset(instrument): fair_price(
                self.view.source, instrument.instrument_id, self.view.now_ms(instrument)
            ).index_price
            for instrument in symbols(self.view.source).values()
        }
        info = index_info(prices, self.view.clock.now_ms())
        return info if named else [info]
