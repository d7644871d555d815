"""A raw WebSocket recording as a market: recorded trades, best prices and order book of one instrument.

Trades are the recorded ones, bars their sums, the book the snapshot with every recorded change up to the instant; a
level's `since_ms` is the time of the message that last named it. Quotes are the last best prices recorded before each
trade, moved where a trade was made elsewhere: in a sweep of many levels each trade's own price is the best one.
Update ids are those of steps and trades, as every source's are, not the recorded ones.

Not recorded, and so by a plain rule: the mark and the index are the last trade's price and the premium is 0; nothing
is settled; open interest is 35 % of a day's volume at the recording's pace, and traders' ratios are 1.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from helios_pipeline.core.errors import SettingsError, SimulationError
from simulated_venues.bars import Bars, Trades, aggregate_bars, sum_trades
from simulated_venues.book import update_id_at, update_ids
from simulated_venues.columns import cut_columns, lock_columns, slice_columns, to_instant, to_milliseconds
from simulated_venues.premium import OPEN_INTEREST_OF_DAILY_VOLUME
from simulated_venues.replay.files import DAY_MS, MINUTE_MS, RecordedInstrument
from simulated_venues.replay.messages import RawRecording, read_raw_recording
from simulated_venues.replay.trades import minute_prices
from simulated_venues.settings import (
    MIN_TRADES_PER_RAW_BAR,
    RAW_BARS_PER_DAY,
    RAW_BARS_PER_METRICS,
    SimulatedInstrument,
)
from simulated_venues.source import Book, FairPrices, Floats, Integers, Levels, OpenInterest, Quotes, Settlements

UPDATES_PER_KEYFRAME = 64
"""A whole book is kept every so many updates, so that any moment is found from one and at most so many updates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """Levels of one side by growing price: int64 each."""

    price: Integers
    quantity: Integers
    since_ms: Integers


def open_raw_replay(path: Path, instrument: RecordedInstrument, *, starts_at: datetime | None = None) -> "RawReplay":
    """Read a raw recording and place it in time.

    Args:
        path: the gzipped recording.
        instrument: what was recorded.
        starts_at: when it begins to be played, or up to a minute after, so that its minutes stay minutes; None for
            when it was recorded.

    Raises:
        DataError: the recording is damaged or lost messages.
    """
    recording = read_raw_recording(path, instrument)
    moved_ms = 0 if starts_at is None else to_milliseconds(starts_at) - recording.snapshot_ms
    return RawReplay(recording=recording, recorded=instrument, moved_ms=-(-moved_ms // MINUTE_MS) * MINUTE_MS)


@dataclass(frozen=True, eq=False, kw_only=True)
class RawReplay:
    """A market source of one recorded instrument at natural speed. Every span is half open, [first, last).

    Attributes:
        recording: as read.
        recorded: the instrument.
        moved_ms: how much later than recorded it is played, whole minutes.
    """

    recording: RawRecording
    recorded: RecordedInstrument
    moved_ms: int

    @cached_property
    def instruments(self) -> tuple[SimulatedInstrument, ...]:
        """What trades; price, volatility, volume and trades are those of the recording at its pace."""
        trades, instrument = self._trades, self.recorded
        days = (self.recording.last_ms - self.recording.snapshot_ms + 1) / DAY_MS
        returns = np.diff(np.log(self._minutes.close.astype(np.float64)))
        volatility = math.sqrt(float((returns**2).sum()) / days)
        listed = SimulatedInstrument(
            instrument_id=instrument.instrument_id,
            start_price=int(trades.price[0]) * Decimal(instrument.tick),
            tick=instrument.tick,
            lot=instrument.lot,
            daily_volatility=min(max(volatility, 1e-6), 0.49),
            daily_volume=float(trades.quantity.sum()) * float(instrument.lot) / days,
            trades_per_day=max(MIN_TRADES_PER_RAW_BAR * RAW_BARS_PER_DAY, round(len(trades) / days)),
        )
        return (listed,)

    @property
    def raw_interval_ms(self) -> int:
        """A minute."""
        return MINUTE_MS

    @property
    def identity(self) -> str:
        """Names the prices: the messages, and when they are played."""
        text = f"{self.recorded}/{self.recording.digest}/{self.moved_ms}"
        return f"recorded messages {hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @property
    def span_ms(self) -> tuple[int, int] | None:
        """From the snapshot to the last message."""
        return self._span

    def bars(self, instrument_id: str, first: datetime, last: datetime, *, raw_bars: int) -> Bars:
        """Bars that open in the span, at multiples of their length since 1970, and lie in the recording whole.

        Raises:
            SimulationError: `raw_bars` is not positive.
        """
        if raw_bars < 1:
            raise SimulationError(f"recorded bars: expected raw_bars of 1 or more, found {raw_bars}.")
        self._check(instrument_id)
        length_ms = raw_bars * MINUTE_MS
        begin, end = self._span
        opens = [-(-to_milliseconds(instant) // length_ms) for instant in (first, last)]
        start = max(opens[0], -(-begin // length_ms)) * length_ms
        stop = max(start, min(opens[1], end // length_ms) * length_ms)
        rows = np.searchsorted(self._minutes.opened_at_ms, [start, stop])
        minutes = slice_columns(self._minutes, int(rows[0]), int(rows[1]))
        return aggregate_bars(minutes, raw_bars) if raw_bars > 1 else minutes

    def trades(self, instrument_id: str, first: datetime, last: datetime) -> Trades:
        """Recorded trades in the span."""
        self._check(instrument_id)
        return cut_columns(self._trades, self._trades.traded_at_ms, first, last)

    def quotes(self, instrument_id: str, first: datetime, last: datetime) -> Quotes:
        """Best prices from just before each trade in the span on."""
        self._check(instrument_id)
        return cut_columns(self._quotes, self._quotes.at_ms, first, last)

    def book(self, instrument_id: str, at: datetime) -> Book:
        """The recorded book at an instant.

        Raises:
            SimulationError: the instant is outside the recording.
        """
        self._check(instrument_id)
        at_ms, (begin, end) = to_milliseconds(at), self._span
        if not begin <= at_ms < end:
            raise SimulationError(
                f"recorded book: expected an instant from {to_instant(begin).isoformat()} to "
                f"{to_instant(end).isoformat()}, found {at.isoformat()}. Start the replay elsewhere or record more."
            )
        update = int(np.searchsorted(self.recording.updated_at_ms, at_ms - self.moved_ms, side="right")) - 1
        keyframe = update // UPDATES_PER_KEYFRAME
        bids, asks = self._changed(self._keyframes[keyframe], keyframe * UPDATES_PER_KEYFRAME, update)
        return Book(
            at_ms=at_ms,
            update_id=update_id_at(self._trades.traded_at_ms, at_ms),
            bids=self._levels(bids, slice(None, None, -1)),
            asks=self._levels(asks, slice(None)),
        )

    def settlements(self, instrument_id: str, first: datetime, last: datetime) -> Settlements:
        """None: a raw recording has no funding."""
        self._check(instrument_id)
        none = np.empty(0, np.int64)
        nothing = Settlements(settled_at_ms=none, published_at_ms=none, rate_e8=none, mark_price=np.empty(0))
        return cut_columns(nothing, none, first, last)

    def fair_prices(self, instrument_id: str, first: datetime, last: datetime) -> FairPrices:
        """The last trade's price as mark and index, at the recording's begin and at the minutes in the span."""
        at_ms, begin = self._instants(instrument_id, first, last, 1), self._span[0]
        if begin % MINUTE_MS and to_milliseconds(first) <= begin < to_milliseconds(last):
            at_ms = np.append(begin, at_ms)
        price = self._prices_at(at_ms)
        return FairPrices(at_ms=at_ms, premium=np.zeros(len(at_ms)), index_price=price, mark_price=price)

    def open_interest(self, instrument_id: str, first: datetime, last: datetime) -> OpenInterest:
        """Open interest by rule, every five minutes in the span."""
        at_ms = self._instants(instrument_id, first, last, RAW_BARS_PER_METRICS)
        (listed,) = self.instruments
        usual = max(1, round(OPEN_INTEREST_OF_DAILY_VOLUME * listed.daily_volume / float(listed.lot)))
        ones = np.ones(len(at_ms))
        return OpenInterest(
            measured_at_ms=at_ms,
            open_interest=np.full(len(at_ms), usual, np.int64),
            mark_price=self._prices_at(at_ms),
            top_accounts_ratio=ones,
            top_positions_ratio=ones,
            accounts_ratio=ones,
            taker_ratio=self._taker_ratios(at_ms),
        )

    @property
    def _span(self) -> tuple[int, int]:
        return self.recording.snapshot_ms + self.moved_ms, self.recording.last_ms + self.moved_ms + 1

    def _check(self, instrument_id: str) -> None:
        if instrument_id != self.recorded.instrument_id:
            raise SettingsError(
                f"raw replay: expected {self.recorded.instrument_id!r}, found {instrument_id!r}. "
                "A raw recording holds one instrument."
            )

    @cached_property
    def _trades(self) -> Trades:
        trades = self.recording.trades
        return lock_columns(replace(trades, traded_at_ms=trades.traded_at_ms + self.moved_ms))

    @cached_property
    def _quotes(self) -> Quotes:
        """The last best prices of an earlier millisecond; of the first trades, the first ones."""
        trades, best = self._trades, self.recording.best
        rows = np.maximum(0, np.searchsorted(best.at_ms + self.moved_ms, trades.traded_at_ms) - 1)
        sold, price = trades.buyer_is_maker, trades.price
        bid = np.where(sold, price, np.minimum(best.bid[rows], price - 1))
        ask = np.where(sold, np.maximum(best.ask[rows], price + 1), price)
        quotes = Quotes(
            at_ms=trades.traded_at_ms,
            update_id=update_ids(trades.traded_at_ms),
            bid=bid,
            ask=ask,
            bid_quantity=np.where(bid == best.bid[rows], best.bid_quantity[rows], trades.quantity),
            ask_quantity=np.where(ask == best.ask[rows], best.ask_quantity[rows], trades.quantity),
        )
        return lock_columns(quotes)

    @cached_property
    def _minutes(self) -> Bars:
        """Bars of every whole minute of the recording."""
        begin, end = self._span
        opened_at = np.arange(-(-begin // MINUTE_MS) * MINUTE_MS, end - MINUTE_MS + 1, MINUTE_MS, dtype=np.int64)
        edges = np.searchsorted(self._trades.traded_at_ms, np.append(opened_at, opened_at[-1] + MINUTE_MS))
        trades, within = slice_columns(self._trades, int(edges[0]), int(edges[-1])), np.diff(edges)
        before = np.full((4, 1), self._trades.price[max(0, int(edges[0]) - 1)])
        prices = minute_prices(within, np.ones(1, np.int64), before, trades.price, trades.quantity)
        quote, bought, bought_quote = sum_trades(within, trades.price, trades.quantity, trades.buyer_is_maker)
        bars = Bars(
            interval_ms=MINUTE_MS,
            opened_at_ms=opened_at,
            open=prices[0],
            high=prices[1],
            low=prices[2],
            close=prices[3],
            volume=prices[4],
            quote_volume=quote,
            trade_count=within,
            taker_buy_volume=bought,
            taker_buy_quote_volume=bought_quote,
        )
        return lock_columns(bars)

    @cached_property
    def _keyframes(self) -> list[tuple[_Side, _Side]]:
        return list(self._whole_books())

    def _whole_books(self) -> Iterator[tuple[_Side, _Side]]:
        """The book with every `UPDATES_PER_KEYFRAME`-th update."""
        none = np.empty(0, np.int64)
        book = (_Side(price=none, quantity=none, since_ms=none),) * 2
        book = self._changed(book, -1, 0)
        yield book
        for update in range(UPDATES_PER_KEYFRAME, len(self.recording.update_id), UPDATES_PER_KEYFRAME):
            book = self._changed(book, update - UPDATES_PER_KEYFRAME, update)
            yield book

    def _changed(self, book: tuple[_Side, _Side], after: int, update: int) -> tuple[_Side, _Side]:
        """A book with update `after` once the updates up to `update` came."""
        ends, levels = self.recording.level_ends, self.recording.levels
        changes = slice(int(ends[after]) if after >= 0 else 0, int(ends[update]))
        is_bid = levels.is_bid[changes]
        sides = []
        for side, chosen in zip(book, (is_bid, ~is_bid), strict=True):
            price = np.concatenate((side.price, levels.price[changes][chosen]))
            quantity = np.concatenate((side.quantity, levels.quantity[changes][chosen]))
            since = np.concatenate((side.since_ms, levels.at_ms[changes][chosen]))
            # The last word on a price holds.
            rows = len(price) - 1 - np.unique(price[::-1], return_index=True)[1]
            rows = rows[quantity[rows] > 0]
            sides.append(_Side(price=price[rows], quantity=quantity[rows], since_ms=since[rows]))
        return sides[0], sides[1]

    def _levels(self, side: _Side, order: slice) -> Levels:
        return Levels(
            price=side.price[order].copy(),
            quantity=side.quantity[order].copy(),
            since_ms=side.since_ms[order] + self.moved_ms,
        )

    def _instants(self, instrument_id: str, first: datetime, last: datetime, every: int) -> Integers:
        """Multiples of `every` minutes in the span and in the recording."""
        self._check(instrument_id)
        step, (begin, end) = every * MINUTE_MS, self._span
        start, stop = max(begin, to_milliseconds(first)), min(end, to_milliseconds(last))
        return np.arange(-(-start // step) * step, stop, step, dtype=np.int64)

    def _prices_at(self, at_ms: Integers) -> Floats:
        rows = np.maximum(0, np.searchsorted(self._trades.traded_at_ms, at_ms, side="right") - 1)
        return np.asarray(self._trades.price[rows] * float(self.recorded.tick), np.float64)

    def _taker_ratios(self, at_ms: Integers) -> Floats:
        """Lots bought over lots sold by takers in the five minutes before, as far as they were recorded; 1 of none."""
        trades = self._trades
        totals: list[NDArray[np.int64]] = []
        for chosen in (~trades.buyer_is_maker, trades.buyer_is_maker):
            summed = np.append(0, np.cumsum(np.where(chosen, trades.quantity, 0)))
            rows = [
                np.searchsorted(trades.traded_at_ms, at_ms - back) for back in (0, RAW_BARS_PER_METRICS * MINUTE_MS)
            ]
            totals.append(summed[rows[0]] - summed[rows[1]])
        bought, sold = totals
        return np.where(bought + sold > 0, bought / np.maximum(1, sold), 1.0)
