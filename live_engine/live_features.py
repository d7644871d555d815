"""Where the strategy has its features from in an engine: bars and settlements as they come in."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from nautilus_trader.model.data import Bar

from helios_pipeline.core.market_data import Candle, Settlement
from helios_pipeline.core.records import FeatureSettings
from helios_pipeline.features.live import NO_FEATURES, MarketMemory
from helios_pipeline.strategy.desk import Features
from live_engine.market_bars import to_candle

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECONDS_PER_NANOSECOND = 1_000


class LiveFeatures:
    """Features of several markets. `strategy.desk.FeatureSource`."""

    def __init__(self, instrument_ids: Sequence[str], bar: timedelta, capacity: int) -> None:
        """Without any bar yet.

        Args:
            instrument_ids: of the signals; a market's index is its place here.
            bar: length of a bar.
            capacity: bars and settlements that are kept at least.
        """
        self._bar = bar
        self._memories = {name: MarketMemory(bar, capacity) for name in instrument_ids}
        self._markets = list(instrument_ids)
        self._used: dict[int, tuple[int, FeatureSettings]] = {}

    def use(self, market: int, lookback_bars: int, settings: FeatureSettings) -> None:
        """From now on make a market's features so; before the first call it has none."""
        self._used[market] = (lookback_bars, settings)

    def take_bar(self, market: int, bar: Bar) -> None:
        """Learn a closed bar; again, if it was learned before."""
        self.learn_bar(self._markets[market], to_candle(bar, self._bar))

    def learn_bar(self, instrument_id: str, bar: Candle) -> None:
        """Learn a valid bar, in whatever order: of history, as it closes, late, or corrected."""
        self._memories[instrument_id].take_bar(bar)

    def take_funding(self, instrument_id: str, settlement: Settlement) -> None:
        """Learn a settlement; bars that close strictly after it know it."""
        self._memories[instrument_id].take_funding(settlement)

    def at(self, boundary_ns: int) -> Features:
        """Features of the bars that closed at a boundary; a market without such a bar has no value."""
        closed_at = _EPOCH + timedelta(microseconds=boundary_ns // MICROSECONDS_PER_NANOSECOND)
        found = []
        for market, name in enumerate(self._markets):
            used = self._used.get(market)
            found.append(self._memories[name].at(closed_at, *used) if used else NO_FEATURES)
        return Features(
            z_price=np.array([each.z_price for each in found]),
            z_funding=np.array([each.z_funding for each in found]),
            volatility=np.array([each.volatility for each in found]),
            atr=np.array([each.atr for each in found]),
        )
