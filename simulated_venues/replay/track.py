"""One instrument of a bar replay: its recording and what follows from the whole of it, at the times of recording."""

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from simulated_venues.bars import Trades
from simulated_venues.book import TRADES_PER_LEVEL, BookShape
from simulated_venues.premium import INTEREST_RATE, OPEN_INTEREST_OF_DAILY_VOLUME, PREMIUM_CLAMP
from simulated_venues.random import stream_key
from simulated_venues.replay.files import MINUTE_MS, Recording
from simulated_venues.replay.trades import trade_counts
from simulated_venues.settings import MIN_TRADES_PER_RAW_BAR, RAW_BARS_PER_DAY, SimulatedInstrument
from simulated_venues.source import BOOK_STEP_MS, Floats, Integers


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Track:
    """What a replay knows of an instrument.

    Attributes:
        recording: as read.
        counts: int64, trades of each recorded bar.
        listed: the instrument, with the price, volatility, volume and trades of the recording.
        shape: how its book is drawn.
    """

    recording: Recording
    counts: Integers
    listed: SimulatedInstrument
    shape: BookShape

    @property
    def settled_at_ms(self) -> Integers:
        """When each recorded rate was settled: it is published a little later, settled on a grid of minutes."""
        return self.recording.funded_at_ms // MINUTE_MS * MINUTE_MS

    @property
    def usual_open_interest(self) -> int:
        """Open interest where none is recorded, lots."""
        return max(1, round(OPEN_INTEREST_OF_DAILY_VOLUME * self.listed.daily_volume / float(self.listed.lot)))

    def closes_before(self, recorded_ms: Integers) -> Floats:
        """The last closes that are known at some instants, quote currency; before the first one, the first price."""
        bars = self.recording.bars
        rows = np.searchsorted(bars.opened_at_ms + bars.interval_ms, recorded_ms, side="right")
        return np.asarray(np.append(bars.open[:1], bars.close)[rows] * float(self.listed.tick), np.float64)

    def opening(self, begin_ms: int) -> Trades:
        """What stands for the last trade before the first one: the first price, as if just sold at."""
        return Trades(
            trade_id=np.zeros(1, np.int64),
            traded_at_ms=np.full(1, begin_ms - 1, np.int64),
            price=self.recording.bars.open[:1],
            quantity=np.ones(1, np.int64),
            buyer_is_maker=np.ones(1, np.bool_),
        )

    def premium_before(self, settled_at_ms: Integers, at_ms: Integers) -> Floats:
        """The premium that gives the last rate settled up to some instants; none before the first.

        The rate that an interval itself ends with is not known inside it.

        Args:
            settled_at_ms: when the recorded rates are settled, on the clock of `at_ms`.
            at_ms: int64, in order.
        """
        rate_e8 = self.recording.rate_e8
        rates = rate_e8 / 1e8
        premiums = np.append(0.0, rates + PREMIUM_CLAMP * np.sign(rates - INTEREST_RATE))
        return np.asarray(premiums[np.searchsorted(settled_at_ms, at_ms, side="right")], np.float64)


def track_of(recording: Recording, raw_interval_ms: int) -> Track:
    """A recording with what follows from it.

    Args:
        recording: one instrument's.
        raw_interval_ms: how long a recorded minute is played; levels of the book last up to as long.

    Raises:
        DataError: a bar has more different prices than it can have trades.
    """
    instrument, bars, counts = recording.instrument, recording.bars, trade_counts(recording)
    returns = np.diff(np.log(bars.close.astype(np.float64)))
    volatility = math.sqrt(float((returns**2).sum()) / recording.days)
    lots_per_day = float(bars.volume.sum()) / recording.days
    trades_per_day = int(counts.sum()) // recording.days
    listed = SimulatedInstrument(
        instrument_id=instrument.instrument_id,
        start_price=int(bars.open[0]) * Decimal(instrument.tick),
        tick=instrument.tick,
        lot=instrument.lot,
        daily_volatility=min(max(volatility, 1e-6), 0.49),
        daily_volume=max(lots_per_day, 1.0) * float(instrument.lot),
        trades_per_day=max(trades_per_day, MIN_TRADES_PER_RAW_BAR * RAW_BARS_PER_DAY),
    )
    shape = BookShape(
        key=stream_key(0, recording.digest),
        mean_lots=TRADES_PER_LEVEL * max(1.0, lots_per_day / max(1, trades_per_day)),
        longest_life_steps=max(1, raw_interval_ms // BOOK_STEP_MS),
    )
    return Track(recording=recording, counts=counts, listed=listed, shape=shape)
