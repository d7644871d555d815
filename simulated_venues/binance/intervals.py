"""Which lengths of klines and of statistics a world serves: those that real clients know, in wall-clock time."""

from dataclasses import dataclass

from simulated_venues.settings import RAW_BARS_PER_METRICS

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS

_KLINES_MS = {
    "1s": 1_000,
    "1m": _MINUTE_MS,
    "3m": 3 * _MINUTE_MS,
    "5m": 5 * _MINUTE_MS,
    "15m": 15 * _MINUTE_MS,
    "30m": 30 * _MINUTE_MS,
    "1h": _HOUR_MS,
    "2h": 2 * _HOUR_MS,
    "4h": 4 * _HOUR_MS,
    "6h": 6 * _HOUR_MS,
    "8h": 8 * _HOUR_MS,
    "12h": 12 * _HOUR_MS,
    "1d": 24 * _HOUR_MS,
}
_PERIODS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A length of time that the venue has a name for.

    Attributes:
        name: Binance's, `15m`.
        length_ms: wall-clock milliseconds.
        raw_bars: raw bars of the market in it.
    """

    name: str
    length_ms: int
    raw_bars: int


def served_intervals(raw_interval_ms: int) -> dict[str, Interval]:
    """Intervals of klines by name, shortest first: whole multiples of the raw bar.

    `1s` is there only where it is the raw bar itself, since the venue's futures know it for no other purpose.
    """
    return _served(_KLINES_MS, raw_interval_ms, raw_interval_ms)


def served_periods(raw_interval_ms: int) -> dict[str, Interval]:
    """Periods of the statistics below `/futures/data` by name, shortest first; open interest is known at each."""
    lengths = {name: _KLINES_MS[name] for name in _PERIODS}
    return _served(lengths, raw_interval_ms, raw_interval_ms * RAW_BARS_PER_METRICS)


def _served(lengths_ms: dict[str, int], raw_interval_ms: int, step_ms: int) -> dict[str, Interval]:
    return {
        name: Interval(name=name, length_ms=length, raw_bars=length // raw_interval_ms)
        for name, length in lengths_ms.items()
        if length % step_ms == 0
    }
