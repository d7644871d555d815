"""The strategy in NautilusTrader's BacktestEngine with a journal in memory: thin quotes, denied orders, restarts."""

import random
import warnings
from dataclasses import dataclass, replace
from decimal import Decimal

with warnings.catch_warnings():
    # pandas makes timedeltas without a unit when NautilusTrader is imported.
    warnings.filterwarnings("ignore", "The 'generic' unit for NumPy timedelta", DeprecationWarning)
    from nautilus_trader.backtest.config import BacktestEngineConfig
    from nautilus_trader.backtest.engine import BacktestEngine
    from nautilus_trader.common.config import LoggingConfig
    from nautilus_trader.core.uuid import UUID4
    from nautilus_trader.execution.messages import SubmitOrder
    from nautilus_trader.model.currencies import USDT
    from nautilus_trader.model.data import Bar, QuoteTick
    from nautilus_trader.model.enums import AccountType, LiquiditySide, OmsType, OrderSide
    from nautilus_trader.model.events import OrderAccepted, OrderCanceled, OrderDenied, OrderFilled, OrderSubmitted
    from nautilus_trader.model.identifiers import ClientOrderId, TradeId, VenueOrderId
    from nautilus_trader.model.objects import Money
    from nautilus_trader.trading.config import StrategyConfig
    from nautilus_trader.trading.strategy import Strategy

    from helios_pipeline.simulation.backtest_desk import BacktestDesk
    from helios_pipeline.simulation.kernel import make_span
    from helios_pipeline.simulation.nautilus import (
        INTERVAL_NS,
        LEVERAGE,
        ExactFees,
        FundingModule,
        Markets,
        PrecomputedFeatures,
        StopFills,
        market_events,
    )
    from helios_pipeline.strategy.nautilus import RAW_PER_QUANTUM, MeanReversionConfig, MeanReversionStrategy

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.errors import JournalError
from helios_pipeline.core.trading import Decision, FundingPayment, Intent, OrderEvent, Transfer, VenueFill
from helios_pipeline.execution.decision_records import decision_records, instant_of, money
from helios_pipeline.execution.restore import restore_market
from helios_pipeline.execution.traded_market import TradedMarket
from helios_pipeline.strategy.order_tags import read_tags

ACCOUNT = "BINANCE-paper"
SECOND = 1_000_000_000


def traded_markets(inputs):
    return tuple(
        TradedMarket(
            instrument_id=one.instrument_id,
            signal_instrument_id=one.instrument_id,
            signal_tick=one.tick,
            tick=one.tick,
            lot=one.lot,
            min_quantity=one.min_quantity,
            min_notional_quote=one.min_notional_quote,
        )
        for one in inputs.instruments
    )


class RecordingDesk(BacktestDesk):
    """A desk that writes records as the live engine does, and gives back what a restart would find."""

    def __init__(self, inputs, parameters):
        super().__init__(inputs, parameters)
        self._terms = replace(self._terms, manifest_hash="champion")
        self._known = {"champion": self._terms}
        self.broken = False
        self.markets = traded_markets(inputs)
        opening = money(inputs.initial_equity_quanta)
        self.records = [
            Transfer(account=ACCOUNT, transfer_id="opening", amount=opening, reason="", transferred_at=instant_of(0))
        ]
        self.restarted = False
        self.blocks = ""
        self.waiting = ""
        self.waiting_for = 0
        self.took = []
        self.missed = ()
        self._orders = 0

    @property
    def decisions(self):
        return [record for record in self.records if isinstance(record, Decision)]

    @property
    def champion(self):
        return self._terms

    def promote(self, name, **changed):
        """Put a champion in force whose parameters differ, or None for none."""
        if name is None:
            self._terms = None
            return
        known = self._known["champion"]
        self._terms = replace(known, manifest_hash=name, parameters=replace(known.parameters, **changed))
        self._known[name] = self._terms

    def terms_of(self, manifest_hash):
        return self._known.get(manifest_hash)

    def cooldown(self, name):
        terms = self._known.get(name)
        return 0 if terms is None else terms.parameters.cooldown_bars * INTERVAL_NS

    def took_over(self, manifest_hash, markets):
        self.took.append((manifest_hash, tuple(markets)))

    def restored(self, market):
        return restore_market(self.records, self.markets[market], self.cooldown) if self.restarted else None

    def missed_bars(self, since_ns):
        return [bar for bar in self.missed if bar.ts_event > since_ns]

    def blocked(self, market):
        return self.blocks

    def waits(self, market, purpose):
        if self.waiting_for:
            self.waiting_for -= purpose == "exit"
            self.waiting = self.waiting if self.waiting_for else ""
        return self.waiting if purpose == "exit" else ""

    def next_order_id(self):
        self._orders += 1
        return str(self._orders)

    def record(self, decision):
        if self.broken:
            raise JournalError("journal: expected to write, found the disk full.")
        self.records += decision_records(decision, self.markets, ACCOUNT, BAR_INTERVAL)

    def book_payment(self, quanta):
        super().book_payment(quanta)
        self.records.append(
            FundingPayment(
                account=ACCOUNT,
                instrument_id="any",
                settled_at=instant_of(0),
                rate=Decimal(0),
                position_quantity=Decimal(0),
                price=Decimal(0),
                amount=money(quanta),
            )
        )


class WatchedFeatures(PrecomputedFeatures):
    """Notes the strategy's state whenever a bar comes: all earlier events are done with then."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.watch = lambda: None

    def take_bar(self, market, bar):
        self.watch()


class Stranger(Strategy):
    """Somebody else who trades the account."""

    def buy(self, instrument, quantity):
        number = ClientOrderId(str(2**30))
        self.submit_order(self.order_factory.market(instrument.id, OrderSide.BUY, quantity, client_order_id=number))


@dataclass
class Faults:
    """What goes wrong in a run.

    Attributes:
        thin: share of quotes that are too small for an order.
        denied: share of orders that are denied.
        cut: share of market orders of which the venue fills a part and cancels the rest, a moment later.
    """

    seed: int = 0
    thin: float = 0.0
    denied: float = 0.0
    cut: float = 0.0


class RecordedRun:
    """A run over a span; `go` advances it, `restart` puts a new strategy in the place of the old one."""

    def __init__(self, inputs, parameters, *, start=0, stop=None, faults=None, delays=None, **timing):
        """`delays`: (boundary, market) → nanoseconds after the boundary at which that bar comes."""
        self._span = make_span(inputs, start, len(inputs.opened_at) if stop is None else stop)
        self._inputs, self._parameters = inputs, parameters
        self._faults = faults or Faults()
        self._random = random.Random(self._faults.seed)
        usual = {"grace_ns": 0, "late_ns": 0, "quote_age_ns": 0, "exit_quote_age_ns": 2**62, "retry_ns": 60 * SECOND}
        self._timing = usual | timing
        self.book = Markets(inputs)
        self.desk = RecordingDesk(inputs, parameters)
        self.states = []
        self.fills = []
        self.engine = self._make_engine()
        self._began = int(inputs.opened_at[self._span.start]) * 1_000_000
        self._events = self._delay(self._thin_out(market_events(self.book, self._span)), delays or {})
        self._done = 0
        self.strategy = self._make_strategy()
        self.engine.add_strategy(self.strategy)
        self._take_over_endpoint()
        self.engine.kernel.msgbus.subscribe("events.fills.*", self._take_fill)

    def go(self, slots):
        """Let so many bars pass."""
        until = self._done + slots
        end = self._began + until * INTERVAL_NS
        batch = [event for event in self._events if self._start_of(self._done) <= event.ts_init < end]
        if until >= self._span.stop - self._span.start:
            batch = [event for event in self._events if event.ts_init >= self._start_of(self._done)]
        self._done = until
        self.engine.clear_data()
        self.engine.add_data(batch, validate=False, sort=True)
        self.engine.run(streaming=True)
        return self

    def stop(self):
        self.engine.trader.stop_strategy(self.strategy.id)
        self.engine.trader.remove_strategy(self.strategy.id)
        return self

    def restart(self, missed=()):
        """Start a new strategy that knows only what was recorded."""
        self.desk.restarted, self.desk.missed = True, missed
        self.strategy = self._make_strategy()
        # A running trader takes no strategy otherwise.
        self.engine.trader._has_controller = True
        self.engine.trader.add_strategy(self.strategy)
        self.strategy.clock.set_time(self.engine.kernel.clock.timestamp_ns())
        self.engine.trader.start_strategy(self.strategy.id)
        return self

    def add_stranger(self):
        """Another strategy of the same account."""
        stranger = Stranger(StrategyConfig(strategy_id="STRANGER", order_id_tag="009"))
        self.engine.trader._has_controller = True
        self.engine.trader.add_strategy(stranger)
        stranger.clock.set_time(self.engine.kernel.clock.timestamp_ns())
        self.engine.trader.start_strategy(stranger.id)
        return stranger

    def bars(self, first, last):
        """Bars that close in the slots' boundaries `first < boundary ≤ last`."""
        edges = self._began + first * INTERVAL_NS, self._began + last * INTERVAL_NS
        return [event for event in self._events if isinstance(event, Bar) and edges[0] < event.ts_event <= edges[1]]

    def mute_quotes(self):
        """Let no quote come any more."""
        self._events = [event for event in self._events if not isinstance(event, QuoteTick)]
        return self

    def watch(self):
        """Note how much is recorded and what the strategy holds."""
        self.states.append((len(self.desk.records), self.holdings))

    @property
    def holdings(self):
        return tuple(market.holding for market in self.strategy.markets)

    @property
    def open_stops(self):
        """Instrument → signed lots of its open stops."""
        orders = [order for order in self.engine.cache.orders_open() if order.has_trigger_price]
        return sorted((str(order.instrument_id), str(order.leaves_qty)) for order in orders)

    def close(self):
        self.engine.end()
        self.engine.dispose()

    def _start_of(self, slot):
        return self._began + slot * INTERVAL_NS

    def _make_engine(self):
        engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
        stops = StopFills(self.book)
        engine.add_venue(
            self.book.venue,
            OmsType.NETTING,
            AccountType.MARGIN,
            starting_balances=[Money.from_raw(self._inputs.initial_equity_quanta * RAW_PER_QUANTUM, USDT)],
            default_leverage=LEVERAGE,
            bar_execution=False,
            reject_stop_orders=False,
            fill_model=stops,
            fee_model=ExactFees(self.book),
            modules=[FundingModule(self.book, self._span, stops, self.desk)],
        )
        for instrument in self.book.instruments:
            engine.add_instrument(instrument)
        return engine

    def _make_strategy(self):
        config = MeanReversionConfig(
            order_id_tag="001",
            bar_types=self.book.bar_types,
            traded=tuple(instrument.id for instrument in self.book.instruments),
            interval_ns=INTERVAL_NS,
            last_boundary_ns=0,
            **self._timing,
        )
        features = WatchedFeatures(self._inputs, self._parameters.lookback_bars, self._span)
        features.watch = self.watch
        return MeanReversionStrategy(config, features, self.desk)

    def _thin_out(self, events):
        """Quotes that hold less than an order: it is filled in two parts, at two prices."""
        return [self._thinner(event) if isinstance(event, QuoteTick) else event for event in events]

    def _delay(self, events, delays):
        def delayed(event):
            boundary = (event.ts_event - self._began) // INTERVAL_NS
            m = self.book.index[event.bar_type.instrument_id]
            late = delays.get((boundary, m), 0)
            prices = (event.open, event.high, event.low, event.close, event.volume)
            return Bar(event.bar_type, *prices, event.ts_event, event.ts_init + late) if late else event

        moved = [delayed(event) if isinstance(event, Bar) else event for event in events]
        return sorted(moved, key=lambda event: event.ts_init)

    def _thinner(self, quote):
        if self._random.random() >= self._faults.thin:
            return quote
        m = self.book.index[quote.instrument_id]
        size = self.book.quantity(m, self._random.randint(1, 200))
        return QuoteTick(
            quote.instrument_id, quote.bid_price, quote.ask_price, size, size, quote.ts_event, quote.ts_init
        )

    def _take_over_endpoint(self):
        engine, bus = self.engine.kernel.exec_engine, self.engine.kernel.msgbus
        bus.deregister("ExecEngine.execute", engine.execute)
        bus.register("ExecEngine.execute", self._execute)

    def _execute(self, command):
        engine = self.engine.kernel.exec_engine
        if isinstance(command, SubmitOrder):
            order = command.order
            if self._random.random() < self._faults.denied:
                now = self.engine.kernel.clock.timestamp_ns()
                engine.process(
                    OrderDenied(
                        order.trader_id,
                        order.strategy_id,
                        order.instrument_id,
                        order.client_order_id,
                        "for the test",
                        UUID4(),
                        now,
                    )
                )
                return
            self.desk.records.append(intent_of(order))
            lots = self.book.lots(self.book.index[order.instrument_id], order.quantity)
            if lots > 1 and not order.has_trigger_price and self._random.random() < self._faults.cut:
                self._fill_a_part(order, lots)
                return
        engine.execute(command)

    def _fill_a_part(self, order, lots):
        """What an order that is immediate or cancelled comes to on a thin book: its events one by one."""
        engine, clock = self.engine.kernel.exec_engine, self.engine.kernel.clock
        m, now = self.book.index[order.instrument_id], clock.timestamp_ns()
        quote = self.engine.cache.quote_tick(order.instrument_id)
        price = quote.ask_price if order.is_buy else quote.bid_price
        account = self.engine.cache.account_for_venue(self.book.venue).id
        venue_id = VenueOrderId(f"cut-{order.client_order_id}")
        named = (order.trader_id, order.strategy_id, order.instrument_id, order.client_order_id)
        engine.process(OrderSubmitted(*named, account, UUID4(), now, now))
        engine.process(OrderAccepted(*named, venue_id, account, UUID4(), now, now))
        part = self._random.randint(1, lots - 1)
        for k, some in enumerate([part // 2, part - part // 2]):
            if some:
                fill = (self.book.quantity(m, some), price, USDT, Money(0, USDT), LiquiditySide.TAKER)
                trade = (TradeId(f"{order.client_order_id}-{k}"), None, order.side, order.order_type)
                engine.process(OrderFilled(*named, venue_id, account, *trade, *fill, UUID4(), now, now))

        def cancel(_):
            at = clock.timestamp_ns()
            self.desk.records.append(canceled(order, venue_id, at))
            engine.process(OrderCanceled(*named, venue_id, account, UUID4(), at, at))

        self.strategy.clock.set_time_alert_ns(f"cut-{order.client_order_id}", now + SECOND, cancel)

    def _take_fill(self, fill):
        m, side = self.book.index[fill.instrument_id], 1 if fill.is_buy else -1
        fee = int(fill.commission.raw) // RAW_PER_QUANTUM
        self.desk.book_fill(m, side * self.book.lots(m, fill.last_qty), self.book.ticks(m, fill.last_px), fee)
        self.fills.append((fill.ts_event, m, side, str(fill.last_qty), str(fill.last_px)))
        self.desk.records.append(
            VenueFill(
                account=ACCOUNT,
                instrument_id=str(fill.instrument_id),
                venue_fill_id=str(fill.trade_id),
                venue_order_id=str(fill.venue_order_id),
                client_order_id=str(fill.client_order_id),
                side=side,
                quantity=fill.last_qty.as_decimal(),
                price=fill.last_px.as_decimal(),
                fee=money(fee),
                liquidity="taker",
                filled_at=instant_of(fill.ts_event),
            )
        )


def canceled(order, venue_id, at):
    return OrderEvent(
        account=ACCOUNT,
        client_order_id=str(order.client_order_id),
        state="canceled",
        venue_order_id=str(venue_id),
        reason="",
        occurred_at=instant_of(at),
    )


def intent_of(order):
    sent = read_tags(order.tags)
    return Intent(
        account=ACCOUNT,
        instrument_id=str(order.instrument_id),
        client_order_id=str(order.client_order_id),
        venue_client_id=int(str(order.client_order_id)),
        side=1 if order.is_buy else -1,
        kind="stop_market" if order.has_trigger_price else "market",
        quantity=order.quantity.as_decimal(),
        limit_price=None,
        trigger_price=order.trigger_price.as_decimal() if order.has_trigger_price else None,
        reduce_only=order.is_reduce_only,
        purpose=sent.purpose,
        reason=sent.reason,
        boundary=instant_of(sent.boundary) if sent.boundary else None,
        atr=None if sent.atr != sent.atr else sent.atr,
        good_til_block=None,
        intended_at=instant_of(order.ts_init),
    )
