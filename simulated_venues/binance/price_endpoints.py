"""Endpoints of what was traded, and of the book: klines, trades, depth."""

from dataclasses import dataclass

from simulated_venues.bars import Trades
from simulated_venues.binance import payloads
from simulated_venues.binance.fair import fair_kline_rows
from simulated_venues.binance.intervals import Interval
from simulated_venues.binance.klines import klines
from simulated_venues.binance.query import Query, Refusal, not_valid
from simulated_venues.binance.trade_history import first_trades, last_trades, trades_from_id
from simulated_venues.binance.view import Answer, Json, MarketView
from simulated_venues.clock import instant
from simulated_venues.settings import RAW_BARS_PER_DAY, SimulatedInstrument
from simulated_venues.source import BOOK_STEP_MS, UPDATES_PER_STEP

_HOUR_MS = 3_600_000
_DEPTH_LIMITS = (5, 10, 20, 50, 100, 500, 1_000)
_MOST_DAYS = 1_500
"""Days of the market that one answer may take to make: in a fast world fewer long klines come than were asked for."""


@dataclass(frozen=True, slots=True)
class PriceEndpoints:
    """The answers, by path below `/fapi/v1/`."""

    view: MarketView

    def answers(self) -> dict[str, Answer]:
        """What answers each path."""
        return {
            "klines": lambda query: self._klines(query, self.view.instrument(query)),
            "continuousKlines": self._continuous_klines,
            "markPriceKlines": lambda query: self._fair_klines(query, "symbol", "mark_price"),
            "indexPriceKlines": lambda query: self._fair_klines(query, "pair", "index_price"),
            "premiumIndexKlines": lambda query: self._fair_klines(query, "symbol", "premium"),
            "aggTrades": self._aggregate_trades,
            "trades": self._trades,
            "historicalTrades": self._historical_trades,
            "depth": self._depth,
        }

    def _klines(self, query: Query, instrument: SimulatedInstrument) -> Json:
        interval = self.view.interval(query)
        first, last, now = self._kline_span(query, instrument, interval)
        found = klines(self.view.source, instrument.instrument_id, interval, first, last, now)
        return payloads.kline_rows(found, instrument)

    def _continuous_klines(self, query: Query) -> Json:
        """The only contract of each pair is its perpetual one."""
        instrument = self.view.instrument(query, "pair")
        if query.required("contractType") != "PERPETUAL":
            raise not_valid("contractType")
        return self._klines(query, instrument)

    def _fair_klines(self, query: Query, named: str, column: str) -> Json:
        instrument, interval = self.view.instrument(query, named), self.view.interval(query)
        first, last, now = self._kline_span(query, instrument, interval)
        span = first, max(first, min(last, now + 1))
        return fair_kline_rows(self.view.source, instrument.instrument_id, column, interval, span)

    def _kline_span(self, query: Query, instrument: SimulatedInstrument, interval: Interval) -> tuple[int, int, int]:
        """Opens of the wanted klines, half open, and now: the first from a start on, or the last before an end."""
        (start, end), limit = query.span(), query.limit(usual=500, most=1_500)
        oldest, now = self.view.span_ms(instrument)[0], self.view.now_ms(instrument)
        length = interval.length_ms
        width = length * max(1, min(limit, _MOST_DAYS * RAW_BARS_PER_DAY // interval.raw_bars))
        last = min(now if end is None else end, now) // length * length + length
        first = last - width if start is None else start
        first = -(-max(first, oldest) // length) * length
        return first, max(first, min(last, first + width)), now

    def _aggregate_trades(self, query: Query) -> Json:
        instrument, limit = self.view.instrument(query), query.limit(usual=500, most=1_000)
        return payloads.aggregate_trades(self._trades_in_span(query, instrument, limit), instrument)

    def _trades_in_span(self, query: Query, instrument: SimulatedInstrument, limit: int) -> Trades:
        """The first from an id or a start on; without either the last before an end."""
        (start, end), from_id = query.span(), query.whole("fromId")
        if start is not None and end is not None and end - start > _HOUR_MS:
            raise Refusal(-1127, "More than 1 hours between startTime and endTime.")
        oldest, stop = self.view.span_ms(instrument)
        last = stop if end is None else max(oldest, min(stop, end + 1))
        first = oldest if start is None else min(max(oldest, start), last)
        asked = self.view.source, instrument.instrument_id
        if from_id is not None:
            return trades_from_id(*asked, from_id, (first, last), limit)
        return (last_trades if start is None else first_trades)(*asked, first, last, limit)

    def _trades(self, query: Query) -> Json:
        instrument, limit = self.view.instrument(query), query.limit(usual=500, most=1_000)
        found = last_trades(self.view.source, instrument.instrument_id, *self.view.span_ms(instrument), limit)
        return payloads.trades(found, instrument)

    def _historical_trades(self, query: Query) -> Json:
        instrument, limit, from_id = (
            self.view.instrument(query),
            query.limit(usual=100, most=500),
            query.whole("fromId"),
        )
        if from_id is None:
            found = last_trades(self.view.source, instrument.instrument_id, *self.view.span_ms(instrument), limit)
        else:
            span = self.view.span_ms(instrument)
            found = trades_from_id(self.view.source, instrument.instrument_id, from_id, span, limit)
        return payloads.trades(found, instrument)

    def _depth(self, query: Query) -> Json:
        """The book at the start of the step that is going on; the diff stream goes on from its id."""
        instrument, limit = self.view.instrument(query), query.whole("limit")
        limit = 500 if limit is None else limit
        if limit not in _DEPTH_LIMITS:
            raise Refusal(-4021, f"{limit} is not valid depth limit")
        step = self.view.now_ms(instrument) // BOOK_STEP_MS
        book = self.view.source.book(instrument.instrument_id, instant(step * BOOK_STEP_MS))
        return {
            "lastUpdateId": step * UPDATES_PER_STEP,
            "E": self.view.clock.now_ms(),
            "T": step * BOOK_STEP_MS,
            "bids": payloads.levels(book.bids, instrument, limit),
            "asks": payloads.levels(book.asks, instrument, limit),
        }
