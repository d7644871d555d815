"""Bars as the engine keeps them and as NautilusTrader does, exactly."""

from datetime import timedelta

from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import FIXED_PRECISION, Price, Quantity

from helios_pipeline.core.market_data import Candle
from helios_pipeline.core.records import QUANTA_PER_UNIT
from helios_pipeline.live_settings import RAW_KLINES_PER_BAR

RAW_PER_UNIT = 10**FIXED_PRECISION // QUANTA_PER_UNIT
"""NautilusTrader keeps prices and quantities as integers; so many of theirs are one of ours."""

NANOSECONDS_PER_MS = 1_000_000
_STEPS = {timedelta(seconds=1): "1-SECOND", timedelta(minutes=1): "1-MINUTE"}
_BAR_STEPS = {timedelta(seconds=15): "15-SECOND", timedelta(minutes=15): "15-MINUTE"}


def bar_type(instrument_id: str, bar: timedelta) -> BarType:
    """The type under which the engine's own bars are published: `BTCUSDT-PERP.BINANCE-15-MINUTE-LAST-EXTERNAL`."""
    return BarType.from_str(f"{instrument_id}-{_BAR_STEPS[bar]}-LAST-EXTERNAL")


def kline_type(instrument_id: str, bar: timedelta) -> BarType:
    """The type of the raw klines that these bars are made of."""
    return BarType.from_str(f"{instrument_id}-{_STEPS[bar / RAW_KLINES_PER_BAR]}-LAST-EXTERNAL")


def to_candle(bar: Bar, length: timedelta) -> Candle:
    """A bar of NautilusTrader's that is stamped with its end, to within half a millisecond; or one before it."""
    ends_ms = milliseconds(bar.ts_event)
    length_ms = length // timedelta(milliseconds=1)
    return Candle(
        # Klines are stamped with their last millisecond, bars with the instant after it.
        opened_ms=(ends_ms + 1) // length_ms * length_ms - length_ms,
        open=bar.open.raw // RAW_PER_UNIT,
        high=bar.high.raw // RAW_PER_UNIT,
        low=bar.low.raw // RAW_PER_UNIT,
        close=bar.close.raw // RAW_PER_UNIT,
        volume=bar.volume.raw // RAW_PER_UNIT,
    )


def to_bar(candle: Candle, length: timedelta, kind: BarType, instrument: Instrument, received_ns: int) -> Bar:
    """A bar for NautilusTrader, stamped with the instant at which it closed."""
    prices = candle.open, candle.high, candle.low, candle.close
    return Bar(
        kind,
        *(Price.from_raw(units * RAW_PER_UNIT, instrument.price_precision) for units in prices),
        Quantity.from_raw(candle.volume * RAW_PER_UNIT, instrument.size_precision),
        (candle.opened_ms + length // timedelta(milliseconds=1)) * NANOSECONDS_PER_MS,
        received_ns,
    )


def milliseconds(nanoseconds: int) -> int:
    """Nanoseconds, rounded: NautilusTrader's Binance client makes them with a float, wrong by up to 128."""
    return (nanoseconds + NANOSECONDS_PER_MS // 2) // NANOSECONDS_PER_MS
