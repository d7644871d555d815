"""The strategy in NautilusTrader: the same compiled `decide` and `allocate`, driven by bars, quotes and a timer.

It decides once per boundary: when every market's bar has arrived, or at a timer a grace time after the boundary, which
covers missing bars (in a backtest the grace is 0: a timer at T runs after all data stamped T). Entries are sent only
against a fresh quote; an exit that finds none waits for the next decision that does. A protective stop rests from the
entry's fill to the exit's.
"""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from nautilus_trader.common.component import TimeEvent
from nautilus_trader.model.data import Bar, BarType, QuoteTick
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import FIXED_PRECISION, Price, Quantity
from nautilus_trader.model.orders import Order
from nautilus_trader.trading.config import StrategyConfig
from nautilus_trader.trading.strategy import Strategy

from helios_pipeline.core.records import QUANTA_PER_UNIT
from helios_pipeline.features.windows import Floats, Integers
from helios_pipeline.strategy.allocation import (
    BELOW_MINIMUM,
    CROWDED_OUT,
    TAKEN,
    WITHOUT_VOLATILITY,
    AccountState,
    Candidates,
    Contracts,
    Limits,
    allocate,
    stop_ticks,
)
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.strategy.signal import MarketState, SignalRule, decide, signal

RAW_UNIT = 10**FIXED_PRECISION
"""NautilusTrader keeps prices, quantities and money as integers of this fraction of a unit."""

RAW_PER_QUANTUM = RAW_UNIT // QUANTA_PER_UNIT
REFUSALS = {BELOW_MINIMUM: "below_minimum", WITHOUT_VOLATILITY: "without_volatility", CROWDED_OUT: "crowded_out"}


class Features(NamedTuple):
    """What is known at a boundary, one entry a market; NaN for no value."""

    z_price: Floats
    z_funding: Floats
    volatility: Floats
    atr: Floats


class FeatureSource(Protocol):
    """Where the strategy has its features from: precomputed in a backtest, made from live bars in an engine."""

    def take_bar(self, market: int, bar: Bar) -> None:
        """Learn a closed bar."""

    def at(self, boundary_ns: int) -> Features:
        """Features of the bars that closed at a boundary; a market without such a bar has no value."""


class MeanReversionConfig(StrategyConfig, frozen=True):
    """What the strategy trades and how.

    Attributes:
        bar_types: one a market, in the order of instrument ids.
        interval_ns: length of a bar.
        grace_ns: how long after a boundary the last bar may come.
        quote_age_ns: oldest quote that an order may be sent against.
        last_boundary_ns: at this boundary everything is closed and nothing decided; 0 for never.
        parameters: a parameter set, by name.
        limits: vol_target, max_leverage, gross_cap, max_open.
    """

    bar_types: tuple[BarType, ...]
    interval_ns: int
    grace_ns: int
    quote_age_ns: int
    last_boundary_ns: int
    parameters: dict[str, float]
    limits: tuple[float, float, float, int]


@dataclass(slots=True)
class MarketBook:
    """What the strategy keeps of one market; prices in ticks, quantities in lots, stamps in nanoseconds.

    Attributes:
        side, lots, entry_ticks, entered_at: the position, as filled.
        atr: of the bar that decided the last entry, for its stop.
        stop: the resting stop order.
        leaving: why an exit was decided and is not filled yet; empty for none.
        enter_after: no entry before a bar that closes later than this.
        close_ticks: last close seen.
        closed_at, quoted_at: when the last bar closed and the last quote came.
    """

    instrument: Instrument
    tick_raw: int
    lot_raw: int
    side: int = 0
    lots: int = 0
    entry_ticks: int = 0
    entered_at: int = 0
    atr: float = 0.0
    stop: Order | None = None
    leaving: str = ""
    enter_after: int = 0
    close_ticks: int = 0
    closed_at: int = 0
    quoted_at: int = 0

    def quantity(self, lots: int) -> Quantity:
        """Lots as an exact quantity."""
        return Quantity.from_raw(lots * self.lot_raw, self.instrument.size_precision)

    def price(self, ticks: int) -> Price:
        """Ticks as an exact price."""
        return Price.from_raw(ticks * self.tick_raw, self.instrument.price_precision)


class MeanReversionStrategy(Strategy):
    """Mean reversion with funding on several perpetuals of one account.

    Attributes:
        refusals: entries that were wanted and not made, by cause.
    """

    def __init__(self, config: MeanReversionConfig, features: FeatureSource, contracts: Contracts) -> None:
        super().__init__(config)
        self.refusals: Counter[str] = Counter()
        self._features = features
        self._contracts = contracts
        self._parameters = ParameterSet.from_mapping(config.parameters)
        point = self._parameters
        self._rule = SignalRule(point.funding_weight, point.entry_z, point.exit_z, point.max_holding_bars)
        self._limits = Limits(*config.limits)
        self._markets: list[MarketBook] = []
        self._index: dict[InstrumentId, int] = {}
        self._decided_at = 0

    def on_start(self) -> None:
        """Subscribe to bars and quotes and set the boundary timer."""
        for m, bar_type in enumerate(self.config.bar_types):
            instrument = self.cache.instrument(bar_type.instrument_id)
            book = MarketBook(instrument, instrument.price_increment.raw, instrument.size_increment.raw)
            self._markets.append(book)
            self._index[bar_type.instrument_id] = m
            self.subscribe_quote_ticks(bar_type.instrument_id)
            self.subscribe_bars(bar_type)
        interval = self.config.interval_ns
        boundary = self.clock.timestamp_ns() // interval * interval
        self._decided_at = boundary
        self.clock.set_timer_ns("boundary", interval, boundary + self.config.grace_ns, 0, self._on_boundary)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Note that a market can be traded."""
        self._markets[self._index[tick.instrument_id]].quoted_at = tick.ts_init

    def on_bar(self, bar: Bar) -> None:
        """Note a close; decide when it is the last one of its boundary."""
        m = self._index[bar.bar_type.instrument_id]
        market = self._markets[m]
        market.close_ticks = bar.close.raw // market.tick_raw
        market.closed_at = bar.ts_event
        self._features.take_bar(m, bar)
        if all(other.closed_at == bar.ts_event for other in self._markets):
            self._decide_at(bar.ts_event)

    def _on_boundary(self, event: TimeEvent) -> None:
        self._decide_at(event.ts_event - self.config.grace_ns)

    def _decide_at(self, boundary: int) -> None:
        """Every market decides once; exits are sent, then entries, strongest first."""
        if boundary <= self._decided_at:
            return
        self._decided_at = boundary
        if boundary == self.config.last_boundary_ns:
            for market in self._markets:
                if market.side:
                    market.leaving = "window_end"
                    self._send_exit(market)
            return
        features = self._features.at(boundary)
        intents = np.zeros(len(self._markets), np.int64)
        state = self._account_state(boundary, features, intents)
        for market in self._markets:
            if market.leaving and self._is_quoted(market):
                self._send_exit(market)
        if intents.any():
            self._send_entries(features, intents, state)

    def _account_state(self, boundary: int, features: Features, intents: Integers) -> AccountState:
        """Decide exits (noted in the markets) and entries (into `intents`), on the account as it is now."""
        equity, gross, kept = self._cash_quanta(), 0, 0
        for m, market in enumerate(self._markets):
            bars_held = (boundary - market.entered_at) // self.config.interval_ns
            state = MarketState(market.side, bars_held, boundary > market.enter_after)
            want = decide(state, features.z_price[m], features.z_funding[m], self._rule)
            if not market.side:
                intents[m] = want
                continue
            value = market.lots * int(self._contracts[m]["quanta_per_tick_lot"])
            equity += market.side * (market.close_ticks - market.entry_ticks) * value
            if want == 0 and not market.leaving:
                market.leaving = "max_holding" if bars_held >= self._rule.max_holding_bars else "signal"
            else:
                kept += 1
                gross += market.close_ticks * value
        return AccountState(equity, gross, kept)

    def _cash_quanta(self) -> int:
        """Cash of the account, unrealised profit not included."""
        instrument = self._markets[0].instrument
        account = self.portfolio.account(instrument.id.venue)
        quanta: int = account.balance_total(instrument.quote_currency).raw // RAW_PER_QUANTUM
        return quanta

    def _is_quoted(self, market: MarketBook) -> bool:
        return bool(self.clock.timestamp_ns() - market.quoted_at <= self.config.quote_age_ns)

    def _send_exit(self, market: MarketBook) -> None:
        side = OrderSide.SELL if market.side > 0 else OrderSide.BUY
        quantity = market.quantity(market.lots)
        self.submit_order(
            self.order_factory.market(market.instrument.id, side, quantity, reduce_only=True, tags=[market.leaving])
        )

    def _send_entries(self, features: Features, intents: Integers, state: AccountState) -> None:
        """Allocate, then send what a fresh quote allows; what finds none is cancelled and keeps its place."""
        weight = self._rule.funding_weight
        strengths = np.array(
            [abs(signal(z, f, weight)) for z, f in zip(features.z_price, features.z_funding, strict=True)]
        )
        closes = np.array([market.close_ticks for market in self._markets], np.int64)
        ranges = features.atr if self._parameters.stop_atr > 0 else np.zeros(len(closes))
        lots, outcomes = np.zeros_like(intents), np.zeros_like(intents)
        candidates = Candidates(intents, strengths, closes, features.volatility, ranges)
        allocate(candidates, state, self._limits, self._contracts, lots, outcomes)
        for m in np.lexsort((np.arange(len(lots)), -strengths)).tolist():
            market = self._markets[m]
            if outcomes[m] in REFUSALS:
                self.refusals[REFUSALS[int(outcomes[m])]] += 1
            if outcomes[m] != TAKEN:
                continue
            if not self._is_quoted(market):
                self.refusals["cancelled"] += 1
                continue
            market.atr = float(features.atr[m])
            side = OrderSide.BUY if intents[m] > 0 else OrderSide.SELL
            quantity = market.quantity(int(lots[m]))
            self.submit_order(self.order_factory.market(market.instrument.id, side, quantity, tags=["entry"]))

    def on_order_filled(self, event: OrderFilled) -> None:
        """Keep the book as filled; place the stop of an entry, take back the stop of an exit."""
        market = self._markets[self._index[event.instrument_id]]
        order = self.cache.order(event.client_order_id)
        if not order.is_reduce_only:
            self._open(market, event)
            return
        after_stop = order.has_trigger_price
        if market.stop is not None and not after_stop:
            self.cancel_order(market.stop)
        if after_stop or market.leaving == "max_holding":
            market.enter_after = event.ts_event + self._parameters.cooldown_bars * self.config.interval_ns
        market.side, market.stop, market.leaving = 0, None, ""

    def _open(self, market: MarketBook, event: OrderFilled) -> None:
        market.side = 1 if event.order_side == OrderSide.BUY else -1
        market.lots = event.last_qty.raw // market.lot_raw
        market.entry_ticks = event.last_px.raw // market.tick_raw
        market.entered_at = self._decided_at
        tick = float(self._contracts[self._index[event.instrument_id]]["tick"])
        trigger = stop_ticks(market.entry_ticks, market.side, self._parameters.stop_atr, market.atr, tick)
        if trigger == 0:
            return
        market.stop = self.order_factory.stop_market(
            market.instrument.id,
            OrderSide.SELL if market.side > 0 else OrderSide.BUY,
            market.quantity(market.lots),
            market.price(trigger),
            reduce_only=True,
            tags=["stop"],
        )
        self.submit_order(market.stop)
