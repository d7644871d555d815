"""The strategy in NautilusTrader: the same compiled `decide` and `allocate`, driven by bars, quotes and timers.

Markets decide together when every market's bar has arrived, or at a timer a grace time after the boundary; one whose
bar comes later decides when it comes, and one without a bar when it is too late to enter (in a backtest both times are
0: a timer at T runs after all data stamped T). Decisions are recorded before their orders are sent. Entries are sent
only against a fresh quote; an exit is tried until it is filled. A protective stop rests from the entry's fill to the
exit's, in the size of what is held.
"""

from collections import Counter, defaultdict
from functools import partial

import numpy as np
from nautilus_trader.common.component import TimeEvent
from nautilus_trader.core.message import Event
from nautilus_trader.model.data import Bar, BarType, QuoteTick
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import FIXED_PRECISION
from nautilus_trader.trading.config import StrategyConfig
from nautilus_trader.trading.strategy import Strategy

from helios_pipeline.core.errors import JournalError
from helios_pipeline.core.records import QUANTA_PER_UNIT
from helios_pipeline.strategy.boundary import Decided, MarketView, decide_markets
from helios_pipeline.strategy.desk import BoundaryDecision, Desk, Features, FeatureSource
from helios_pipeline.strategy.holding import FilledLots, after_exit_decision
from helios_pipeline.strategy.market_book import MarketBook
from helios_pipeline.strategy.orders import Orders
from helios_pipeline.strategy.same_thread import same_thread
from helios_pipeline.strategy.signal import MarketState
from helios_pipeline.strategy.tenure import Tenure

RAW_UNIT = 10**FIXED_PRECISION
"""NautilusTrader keeps prices, quantities and money as integers of this fraction of a unit."""

RAW_PER_QUANTUM = RAW_UNIT // QUANTA_PER_UNIT
NOT_REFUSED = frozenset({"hold", "flat", "enter", "exit:signal", "exit:max_holding"})


class MeanReversionConfig(StrategyConfig, frozen=True):
    """What the strategy hears and trades, and when.

    Attributes:
        bar_types: of the signal instruments, one a market, in the order of instrument ids.
        traded: instruments that orders are for, in the same order.
        interval_ns: length of a bar.
        grace_ns: how long after a boundary the last bar may come before the others decide.
        late_ns: how long after a boundary an entry may be decided, and a missing bar is waited for; 0 in a backtest:
            no decision is late, and no bar is waited for beyond the grace.
        quote_age_ns: oldest quote that an entry may be sent against.
        exit_quote_age_ns: the same for an exit; None where it needs no quote, since the venue prices it or refuses it.
        retry_ns: time before an exit or stop that came to nothing is tried again; 0: at the next decision.
        last_boundary_ns: at this boundary everything is closed and nothing decided; 0 for never.
    """

    bar_types: tuple[BarType, ...]
    traded: tuple[InstrumentId, ...]
    interval_ns: int
    grace_ns: int
    late_ns: int
    quote_age_ns: int
    exit_quote_age_ns: int | None
    retry_ns: int
    last_boundary_ns: int


class MeanReversionStrategy(Strategy):
    """Mean reversion with funding on several perpetuals of one account.

    Attributes:
        refusals: entries that were wanted and not made, by cause.
        markets: what is kept of each market, once started.
    """

    def __init__(self, config: MeanReversionConfig, features: FeatureSource, desk: Desk) -> None:
        super().__init__(config)
        self.refusals: Counter[str] = Counter()
        self.markets: list[MarketBook] = []
        self._features = features
        self._desk = desk
        self._orders = Orders(self, desk, config.retry_ns, config.exit_quote_age_ns)
        self._tenure = Tenure(features, desk, self._orders)
        self._heard: dict[InstrumentId, MarketBook] = {}
        self._traded: dict[InstrumentId, MarketBook] = {}

    def on_start(self) -> None:
        """Go on from what is recorded, run through what was missed, then listen."""
        interval = self.config.interval_ns
        begun = self.clock.timestamp_ns() // interval * interval
        for m, (bar_type, traded) in enumerate(zip(self.config.bar_types, self.config.traded, strict=True)):
            instruments = self.cache.instrument(bar_type.instrument_id), self.cache.instrument(traded)
            market = MarketBook(index=m, signal=instruments[0], traded=instruments[1], decided_at=begun)
            self.markets.append(market)
            self._heard[bar_type.instrument_id] = self._traded[traded] = market
            self._tenure.restore(market)
        self._run_through_missed(begun)
        for bar_type, traded in zip(self.config.bar_types, self.config.traded, strict=True):
            self.subscribe_quote_ticks(traded)
            # Bars are published by whoever makes them; no data client is asked.
            self.msgbus.subscribe(topic=f"data.bars.{bar_type}", handler=self.handle_bar)
            self.msgbus.subscribe(topic=f"events.fills.{traded}", handler=self._on_foreign_fill)
        for market in self.markets:
            self._orders.tend(market)
        self.clock.set_timer_ns("boundary", interval, begun + self.config.grace_ns, 0, same_thread(self._on_grace))
        if self.config.late_ns:
            self.clock.set_timer_ns("late", interval, begun + self.config.late_ns, 0, same_thread(self._on_late))

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Note that a market can be traded."""
        self._traded[tick.instrument_id].quoted_at = tick.ts_init

    def on_bar(self, bar: Bar) -> None:
        """Note a close; decide when it is the last one of its boundary, or the others have decided."""
        boundary = bar.ts_event
        if not self._take_bar(bar):
            return
        if self._is_complete(boundary) or any(market.decided_at >= boundary for market in self.markets):
            self._decide_at(boundary, missing=False)

    def on_order_filled(self, event: OrderFilled) -> None:
        """Keep the holding as filled, and the stop with it."""
        market = self._traded[event.instrument_id]
        side = 1 if event.is_buy else -1
        # The journal keeps microseconds, and a restart must come to the same stamp.
        stamp = event.ts_event // 1000 * 1000
        fill = FilledLots(side, market.lots(event.last_qty), market.ticks(event.last_px), stamp)
        # One that was journalled before the start, and told since, is in the holding.
        market.take_fill(event.client_order_id.value, event.trade_id.value, fill, self.config.interval_ns)
        self._tenure.leave_without_terms(market)
        self._orders.tend(market)

    def on_order_event(self, event: Event) -> None:
        """Bring orders in line with the holding when one of them ends, or a stop rests."""
        if not isinstance(event, OrderFilled):
            self._orders.take_event(self._traded[event.instrument_id], event)

    def _on_foreign_fill(self, event: OrderFilled) -> None:
        """A fill of the account that is no order of this strategy: liquidation, or somebody's own order."""
        if event.strategy_id != self.id and self.is_running:
            self.on_order_filled(event)

    def _on_grace(self, event: TimeEvent) -> None:
        boundary = event.ts_event // self.config.interval_ns * self.config.interval_ns
        self._decide_at(boundary, missing=not self.config.late_ns)

    def _on_late(self, event: TimeEvent) -> None:
        self._decide_at(event.ts_event // self.config.interval_ns * self.config.interval_ns, missing=True)

    def _run_through_missed(self, begun: int) -> None:
        """Decide every boundary since the last decision, each on its own bars; late ones only reduce."""
        since = min(market.decided_at for market in self.markets)
        if since == begun:
            return
        missed = self._desk.missed_bars(since)
        closed: defaultdict[int, list[Bar]] = defaultdict(list)
        for bar in missed:
            closed[bar.ts_event].append(bar)
        newest = max(closed, default=since)
        for boundary in range(since + self.config.interval_ns, begun + 1, self.config.interval_ns):
            for bar in closed.get(boundary, ()):
                self._take_bar(bar)
            if boundary <= newest:
                self._decide_at(boundary, missing=boundary < newest or self._is_complete(boundary))
        # Bars that closed while history was asked for are still on their way: they get the time that a late bar has.
        until = self.clock.timestamp_ns() + self.config.late_ns
        for boundary in range(newest, begun + 1, self.config.interval_ns):
            if any(market.decided_at < boundary for market in self.markets):
                self.clock.set_time_alert_ns(f"newest-{boundary}", until, same_thread(partial(self._give_up, boundary)))

    def _give_up(self, boundary: int, _: TimeEvent) -> None:
        self._decide_at(boundary, missing=True)

    def _is_complete(self, boundary: int) -> bool:
        return all(market.closed_at == boundary for market in self.markets)

    def _take_bar(self, bar: Bar) -> bool:
        """Note a closed bar; False for one that is known."""
        market = self._heard[bar.bar_type.instrument_id]
        if bar.ts_event <= market.closed_at:
            return False
        market.take_close(bar.close, bar.ts_event)
        self._features.take_bar(market.index, bar)
        return True

    def _decide_at(self, boundary: int, *, missing: bool) -> None:
        """Every market that can decides a boundary, once; none is left out.

        Args:
            boundary: in nanoseconds.
            missing: whether markets without a bar decide too.
        """
        due = self._due(boundary, missing=missing)
        if not due:
            return
        first = min(market.decided_at for market in due) + self.config.interval_ns
        for earlier in range(first, boundary, self.config.interval_ns):
            self._decide_together(self._due(earlier, missing=True), earlier)
        self._decide_together(due, boundary)

    def _due(self, boundary: int, *, missing: bool) -> list[MarketBook]:
        return [
            market
            for market in self.markets
            if market.decided_at < boundary and (missing or market.closed_at == boundary)
        ]

    def _decide_together(self, due: list[MarketBook], boundary: int) -> None:
        """Exits are sent, then entries, strongest first."""
        for market in due:
            market.decided_at = boundary
        if boundary == self.config.last_boundary_ns:
            self._orders.leave_all(self.markets, "window_end")
            return
        try:
            self._decide(due, boundary)
        except JournalError as error:
            # What can't be recorded is not decided: a restart would not know of its orders.
            self.log.exception("no decision", error)  # noqa: TRY401 - its logger needs it
            self.refusals["not_recorded"] += len(due)
        except Exception as error:
            if not self.config.late_ns:
                raise
            # Nobody hears a timer's error: it is said here, and the next boundary is decided.
            self.log.exception(f"boundary {boundary} is not decided", error)  # noqa: TRY401 - its logger needs it
            self.refusals["not_decided"] += len(due)

    def _decide(self, due: list[MarketBook], boundary: int) -> None:
        terms = self._desk.terms()
        self._tenure.take_over(due, terms)
        features = self._features_at(boundary)
        now, closes = self.clock.timestamp_ns(), tuple(market.close_ticks for market in self.markets)
        late = bool(self.config.late_ns) and now > boundary + self.config.late_ns
        views = [self._view(market, boundary, market in due, late) for market in self.markets]
        decided = decide_markets(views, features, self._desk.equity_quanta(closes), terms)
        mode = self._desk.mode()
        record = BoundaryDecision(boundary, now, features, closes, decided.account, mode, late, decided.markets)
        self._desk.record(record)
        self._carry_out(decided, features, boundary)

    def _features_at(self, boundary: int) -> Features:
        """Features of the bars that were taken; one that only the source knows came too late to be decided on."""
        features = self._features.at(boundary)
        taken = np.array([market.closed_at == boundary for market in self.markets])
        return features if taken.all() else Features(*(np.where(taken, values, np.nan) for values in features))

    def _view(self, market: MarketBook, boundary: int, due: bool, late: bool) -> MarketView:
        holding, terms = market.holding, market.terms
        bars_held = (boundary - holding.entered_at) // self.config.interval_ns if holding.side else 0
        pending = self._orders.pending_entry(market)
        return MarketView(
            state=MarketState(holding.side, bars_held, boundary > holding.enter_after),
            lots=holding.lots,
            leaving=holding.leaving,
            pending_lots=pending,
            close_ticks=market.close_ticks,
            lot_value=market.value_of_lot(),
            manifest_hash="" if terms is None else terms.manifest_hash,
            rule=None if terms is None else terms.rule,
            stop_atr=0.0 if terms is None else terms.parameters.stop_atr,
            due=due,
            has_bar=market.closed_at == boundary,
            quoted=self._orders.is_quoted(market, self.config.quote_age_ns),
            refusal=self._refusal(market, late, pending) if due and not holding.side else "",
        )

    def _refusal(self, market: MarketBook, late: bool, pending: int) -> str:
        """Why a flat market may not be entered."""
        if late:
            return "late"
        if pending:
            return "pending"
        blocked = self._desk.blocked(market.index)
        return f"blocked:{blocked}" if blocked else ""

    def _carry_out(self, decided: Decided, features: Features, boundary: int) -> None:
        lots = {}
        for decision in decided.markets:
            market = self.markets[decision.market]
            if decision.outcome not in NOT_REFUSED:
                self.refusals[decision.outcome] += 1
            if decision.outcome.startswith("exit:"):
                market.holding = after_exit_decision(market.holding, decision.outcome.removeprefix("exit:"))
            lots[decision.market] = decision.wanted * decision.entry_lots
        for market in self.markets:
            if market.holding.leaving:
                self._orders.leave(market)
        for m in decided.entries:
            self._orders.enter(self.markets[m], lots[m], boundary, float(features.atr[m]))
