"""Recorded bars of a real venue as a market: at the time of recording, or moved onto another clock, or faster.

Bars are the recorded ones, exactly; the trades inside them, the book and the quotes are drawn (`replay.trades`,
`book`). Funding rates are the recorded ones. What is not recorded follows a plain rule:

- The mark price at a raw bar's start is the last close before it, and the index stands below it by the premium that
  gives the last rate settled so far; before the first settlement, and without funding, the premium is 0. Nothing of
  what comes is in them, so the rate that an interval is heading for is not known: it is estimated as the last one.
- Without metrics, open interest is constant at 35 % of the recording's mean daily volume, and traders' ratios are 1.

Outside the recording there is nothing: spans are cut to it, and the book is refused.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from helios_pipeline.core.errors import SettingsError, SimulationError
from simulated_venues.bars import Bars, Trades, aggregate_bars
from simulated_venues.book import book_after, quotes_of
from simulated_venues.columns import (
    cut_columns,
    join_columns,
    lock_columns,
    slice_columns,
    to_instant,
    to_milliseconds,
)
from simulated_venues.replay.files import MINUTE_MS, RecordedInstrument, Recording, read_recording
from simulated_venues.replay.track import Track, track_of
from simulated_venues.replay.trades import RecordedDay, draw_day
from simulated_venues.settings import (
    RAW_BARS_PER_DAY,
    RAW_BARS_PER_FUNDING,
    RAW_BARS_PER_METRICS,
    SimulatedInstrument,
)
from simulated_venues.source import (
    BOOK_STEP_MS,
    Book,
    FairPrices,
    Floats,
    Integers,
    OpenInterest,
    Quotes,
    Settlements,
)

_DAYS_KEPT = 16


def open_bar_replay(
    root: Path,
    instruments: Sequence[RecordedInstrument],
    *,
    interval: str,
    days: tuple[date, date],
    starts_at: datetime | None = None,
    raw_interval_ms: int = MINUTE_MS,
) -> "BarReplay":
    """Read a recording and place it in time.

    Args:
        root: the folder that holds `data/futures/um`.
        instruments: what to replay, at least one.
        interval: of the files: `1m` or `15m`.
        days: first day, and the day after the last, UTC.
        starts_at: when the first recorded minute is played; None for when it was recorded. `aligned_start` finds one
            that keeps funding on its grid.
        raw_interval_ms: how long a recorded minute takes: 60,000, or 1,000 for a world 60 times as fast.

    Raises:
        DataError: the files are missing or damaged.
        SettingsError: the days, the interval, or the start can't be played.
    """
    if not instruments or raw_interval_ms < 1:
        raise SettingsError(
            f"bar replay: expected an instrument or more and raw_interval_ms of 1 or more, found {len(instruments)} "
            f"instruments and {raw_interval_ms} ms. Correct the recording's settings."
        )
    recordings = tuple(read_recording(root, instrument, interval, *days) for instrument in instruments)
    first_ms = recordings[0].first_ms if starts_at is None else to_milliseconds(starts_at)
    funding_ms = RAW_BARS_PER_FUNDING * raw_interval_ms
    if first_ms % funding_ms:
        raise SettingsError(
            f"bar replay: expected starts_at at a multiple of {funding_ms} ms since 1970, so that funding is settled "
            f"on its grid, found {to_instant(first_ms).isoformat()}. "
            f"Use {aligned_start(to_instant(first_ms), raw_interval_ms).isoformat()}."
        )
    tracks = tuple(track_of(recording, raw_interval_ms) for recording in recordings)
    return BarReplay(tracks=tracks, starts_at_ms=first_ms, raw_interval_ms=raw_interval_ms)


def aligned_start(at: datetime, raw_interval_ms: int) -> datetime:
    """The last instant at or before `at` at which a replay may start: a multiple of a funding interval since 1970."""
    funding_ms = RAW_BARS_PER_FUNDING * raw_interval_ms
    return to_instant(to_milliseconds(at) // funding_ms * funding_ms)


@dataclass(frozen=True, eq=False, kw_only=True)
class BarReplay:
    """A market source of recorded bars. Every span is half open, [first, last).

    Attributes:
        tracks: one an instrument, of the same days.
        starts_at_ms: when the first recorded minute is played, milliseconds since 1970.
        raw_interval_ms: how long a recorded minute takes.
    """

    tracks: tuple[Track, ...]
    starts_at_ms: int
    raw_interval_ms: int

    @property
    def instruments(self) -> tuple[SimulatedInstrument, ...]:
        """What trades; price, volatility, volume and trades are those of the recording."""
        return tuple(track.listed for track in self.tracks)

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """What was read."""
        return tuple(track.recording for track in self.tracks)

    @cached_property
    def identity(self) -> str:
        """Names the prices: the files' contents, when they are played and how fast."""
        text = "/".join(f"{r.instrument.instrument_id} {r.digest} {r.first_ms} {r.days}" for r in self.recordings)
        digest = hashlib.sha256(f"{text}/{self.starts_at_ms}/{self.raw_interval_ms}".encode()).hexdigest()
        return f"recorded bars {digest[:16]}"

    @property
    def span_ms(self) -> tuple[int, int] | None:
        """When the recording begins and ends."""
        return self.starts_at_ms, self.starts_at_ms + self._raw_bars * self.raw_interval_ms

    def bars(self, instrument_id: str, first: datetime, last: datetime, *, raw_bars: int) -> Bars:
        """Bars that open in the span, at multiples of their length since 1970, and lie in the recording whole.

        Raises:
            SimulationError: `raw_bars` is not positive.
        """
        if raw_bars < 1:
            raise SimulationError(f"recorded bars: expected raw_bars of 1 or more, found {raw_bars}.")
        track, length_ms = self._track(instrument_id), raw_bars * self.raw_interval_ms
        opens = [-(-to_milliseconds(instant) // length_ms) for instant in (first, last)]
        begin, end = self._span
        start = max(opens[0], -(-begin // length_ms)) * length_ms
        stop = max(start, min(opens[1], end // length_ms) * length_ms)
        rows = [(at - begin) // self.raw_interval_ms for at in (start, stop)]
        minutes = self._minutes(track, *rows) if stop > start else slice_columns(self._minutes(track, 0, 1), 0, 0)
        opened_at = start + self.raw_interval_ms * np.arange(len(minutes), dtype=np.int64)
        played = replace(minutes, interval_ms=self.raw_interval_ms, opened_at_ms=opened_at)
        return aggregate_bars(played, raw_bars) if raw_bars > 1 else played

    def trades(self, instrument_id: str, first: datetime, last: datetime) -> Trades:
        """Trades in the span; those of a bar give its prices, volume and count exactly."""
        track = self._track(instrument_id)
        trades = join_columns([self._day(track, day).trades for day in self._days(first, last)])
        return cut_columns(trades, trades.traded_at_ms, first, last)

    def quotes(self, instrument_id: str, first: datetime, last: datetime) -> Quotes:
        """Best prices from just before each trade in the span on."""
        step = to_instant(to_milliseconds(first) // BOOK_STEP_MS * BOOK_STEP_MS)
        quotes = quotes_of(self._track(instrument_id).shape, self.trades(instrument_id, step, last))
        return cut_columns(quotes, quotes.at_ms, first, last)

    def book(self, instrument_id: str, at: datetime) -> Book:
        """The book at an instant.

        Raises:
            SimulationError: the instant is outside the recording.
        """
        track, at_ms = self._track(instrument_id), to_milliseconds(at)
        begin, end = self._span
        if not begin <= at_ms < end:
            raise SimulationError(
                f"recorded bars: expected an instant from {to_instant(begin).isoformat()} to "
                f"{to_instant(end).isoformat()}, found {at.isoformat()}. Start the replay elsewhere or record more."
            )
        for day in range((at_ms - begin) // self._day_ms, -1, -1):
            trades = self._day(track, day).trades
            last = int(np.searchsorted(trades.traded_at_ms, at_ms, side="right"))
            if last:
                return book_after(track.shape, slice_columns(trades, 0, last), at_ms)
        return book_after(track.shape, track.opening(begin), at_ms)

    def settlements(self, instrument_id: str, first: datetime, last: datetime) -> Settlements:
        """Recorded funding in the span; the mark price is the last close before."""
        track = self._track(instrument_id)
        settlements = Settlements(
            settled_at_ms=self._played(track.settled_at_ms),
            published_at_ms=self._played(track.recording.funded_at_ms),
            rate_e8=track.recording.rate_e8,
            mark_price=track.closes_before(track.settled_at_ms),
        )
        return cut_columns(settlements, settlements.settled_at_ms, first, last)

    def fair_prices(self, instrument_id: str, first: datetime, last: datetime) -> FairPrices:
        """Premium, index and mark at the raw bars' starts in the span."""
        track = self._track(instrument_id)
        bars = self.bars(instrument_id, first, last, raw_bars=1)
        mark = self._marks(track, bars)
        premium = track.premium_before(self._played(track.settled_at_ms), bars.opened_at_ms)
        return FairPrices(at_ms=bars.opened_at_ms, premium=premium, index_price=mark / (1.0 + premium), mark_price=mark)

    def open_interest(self, instrument_id: str, first: datetime, last: datetime) -> OpenInterest:
        """Open interest measured in the span: as recorded, else every five raw bars."""
        track = self._track(instrument_id)
        recorded = track.recording.metrics
        if len(recorded.measured_at_ms):
            measured = OpenInterest(
                measured_at_ms=self._played(recorded.measured_at_ms),
                open_interest=recorded.open_interest,
                mark_price=track.closes_before(recorded.measured_at_ms),
                top_accounts_ratio=recorded.ratios[0],
                top_positions_ratio=recorded.ratios[1],
                accounts_ratio=recorded.ratios[2],
                taker_ratio=recorded.ratios[3],
            )
            return cut_columns(measured, measured.measured_at_ms, first, last)
        return self._usual_open_interest(track, first, last)

    def _track(self, instrument_id: str) -> Track:
        for track in self.tracks:
            if track.listed.instrument_id == instrument_id:
                return track
        raise SettingsError(
            f"bar replay: expected one of {[track.listed.instrument_id for track in self.tracks]}, "
            f"found {instrument_id!r}. Add it to the recording's instruments."
        )

    @property
    def _raw_bars(self) -> int:
        return self.tracks[0].recording.days * RAW_BARS_PER_DAY

    @property
    def _day_ms(self) -> int:
        return RAW_BARS_PER_DAY * self.raw_interval_ms

    @property
    def _span(self) -> tuple[int, int]:
        return self.starts_at_ms, self.starts_at_ms + self._raw_bars * self.raw_interval_ms

    def _days(self, first: datetime, last: datetime) -> range:
        """Recorded days that the span touches; one at least, so that an empty span gives empty arrays."""
        final = self.tracks[0].recording.days - 1
        start = min(max((to_milliseconds(first) - self.starts_at_ms) // self._day_ms, 0), final)
        stop = min(-(-(to_milliseconds(last) - self.starts_at_ms) // self._day_ms), final + 1)
        return range(start, max(start + 1, stop))

    def _played(self, recorded_ms: Integers) -> Integers:
        """Instants of the recording as instants at which they are played."""
        since = recorded_ms - self.tracks[0].recording.first_ms
        return self.starts_at_ms + since * self.raw_interval_ms // MINUTE_MS

    def _day(self, track: Track, day: int) -> RecordedDay:
        """A day, its trades at the instants at which they are played; its bars are told by their number."""
        return _played_day(self, track, day)

    def _minutes(self, track: Track, start: int, stop: int) -> Bars:
        """Raw bars number `start` to `stop`, the last excluded, at the times of recording."""
        days = range(start // RAW_BARS_PER_DAY, -(-stop // RAW_BARS_PER_DAY))
        bars = join_columns([self._day(track, day).bars for day in days])
        skipped = days[0] * RAW_BARS_PER_DAY
        return slice_columns(bars, start - skipped, stop - skipped)

    def _marks(self, track: Track, bars: Bars) -> Floats:
        """The last closes before some bars that follow each other, quote currency; before the first, its open."""
        if not len(bars):
            return np.empty(0)
        first_ms = int(bars.opened_at_ms[0])
        earlier = self.bars(
            track.listed.instrument_id,
            to_instant(first_ms - self.raw_interval_ms),
            to_instant(first_ms),
            raw_bars=1,
        )
        before = earlier.close if len(earlier) else bars.open[:1]
        return np.asarray(np.append(before, bars.close[:-1]) * float(track.listed.tick), np.float64)

    def _usual_open_interest(self, track: Track, first: datetime, last: datetime) -> OpenInterest:
        """Open interest by rule; takers' ratio is of the five raw bars before."""
        length = RAW_BARS_PER_METRICS * self.raw_interval_ms
        instrument_id, before = track.listed.instrument_id, to_instant(to_milliseconds(first) - length)
        bars = self.bars(instrument_id, before, last, raw_bars=RAW_BARS_PER_METRICS)
        ratio = bars.taker_buy_volume / np.maximum(1, bars.volume - bars.taker_buy_volume)
        ones = np.ones(len(bars))
        measured = OpenInterest(
            measured_at_ms=bars.opened_at_ms,
            open_interest=np.full(len(bars), track.usual_open_interest, np.int64),
            mark_price=self._marks(track, bars),
            top_accounts_ratio=ones,
            top_positions_ratio=ones,
            accounts_ratio=ones,
            taker_ratio=np.concatenate(([1.0], ratio[:-1])) if len(bars) else ratio,
        )
        return cut_columns(measured, measured.measured_at_ms, first, last)


@lru_cache(maxsize=_DAYS_KEPT)
def _played_day(replay: BarReplay, track: Track, day: int) -> RecordedDay:
    drawn = draw_day(track.recording, track.counts, day)
    trades = replace(drawn.trades, traded_at_ms=replay._played(drawn.trades.traded_at_ms))
    return RecordedDay(bars=lock_columns(drawn.bars), trades=lock_columns(trades))
