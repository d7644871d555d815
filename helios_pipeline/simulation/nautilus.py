"""The same simulation in NautilusTrader's BacktestEngine, which must agree with the kernel to the last quantum.

The recipe: no bar execution and no latency; one list of events in order of time. At a boundary first every market's
open quote (bid and ask are what a seller and a buyer are filled at), then every market's bar closing there; one
nanosecond before a bar closes, a range quote (bid = low, ask = high) that triggers resting stops. A fill model fills
those at the stop moved by its slippage; a module books funding before anything else happens at a boundary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import polars as pl
from nautilus_trader.backtest.config import BacktestEngineConfig, SimulationModuleConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.backtest.models import FeeModel, FillModel
from nautilus_trader.backtest.modules import SimulationModule
from nautilus_trader.common.config import LoggingConfig
from nautilus_trader.core.data import Data
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import Bar, BarType, BookOrder, QuoteTick
from nautilus_trader.model.enums import AccountType, BookType, OmsType, OrderSide, PositionAdjustmentType
from nautilus_trader.model.events import OrderFilled, PositionAdjusted
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Currency, Money, Price, Quantity
from nautilus_trader.model.orders import Order

from helios_pipeline.core.records import FeatureSettings, Instrument
from helios_pipeline.simulation.arrays import FILL, PAYMENT, REASONS, STOP_AT_OPEN, STOP_IN_BAR, Records, Span
from helios_pipeline.simulation.backtest_desk import BacktestDesk
from helios_pipeline.simulation.cases import count_cases
from helios_pipeline.simulation.costs import buy_ticks, fee_quanta, sell_ticks, stop_fill_ticks
from helios_pipeline.simulation.funding import LAST_CLOSE, MARK_PRICE, payment_quanta
from helios_pipeline.simulation.inputs import SLOT_MILLISECONDS, SimulationInputs
from helios_pipeline.simulation.kernel import PriceScores, make_span
from helios_pipeline.simulation.record import Simulation, fills_frame, payments_frame
from helios_pipeline.strategy.desk import Features
from helios_pipeline.strategy.nautilus import RAW_PER_QUANTUM, MeanReversionConfig, MeanReversionStrategy
from helios_pipeline.strategy.order_tags import read_tags
from helios_pipeline.strategy.parameters import ParameterSet

INTERVAL_NS = SLOT_MILLISECONDS * 1_000_000
LEVERAGE = Decimal(100)
"""More than any allocation uses: the account's own margin check is not part of the strategy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NautilusBacktest:
    """What NautilusTrader did, in the frames of `Simulation`.

    Attributes:
        fills, payments: as in `Simulation`.
        final_cash_quanta: the account's balance at the end.
        counts: the same cases.
        run_seconds: time inside `engine.run()`.
    """

    fills: pl.DataFrame
    payments: pl.DataFrame
    final_cash_quanta: int
    counts: Mapping[str, int]
    run_seconds: float


class Markets:
    """The instruments of some inputs as NautilusTrader knows them, with exact conversions."""

    def __init__(self, inputs: SimulationInputs) -> None:
        self.inputs = inputs
        self.venue = Venue(inputs.instruments[0].venue)
        self.instruments = [_perpetual(instrument) for instrument in inputs.instruments]
        self.index = {instrument.id: m for m, instrument in enumerate(self.instruments)}
        self.bar_types = tuple(BarType.from_str(f"{one.id}-15-MINUTE-LAST-EXTERNAL") for one in self.instruments)
        self._tick_raw = [instrument.price_increment.raw for instrument in self.instruments]
        self._lot_raw = [instrument.size_increment.raw for instrument in self.instruments]
        self.sizes = [self.quantity(m, self._most_lots(m)) for m in range(len(self.instruments))]

    def price(self, m: int, ticks: int) -> Price:
        """Ticks as an exact price."""
        return Price.from_raw(int(ticks) * self._tick_raw[m], self.instruments[m].price_precision)

    def quantity(self, m: int, lots: int) -> Quantity:
        """Lots as an exact quantity."""
        return Quantity.from_raw(int(lots) * self._lot_raw[m], self.instruments[m].size_precision)

    def ticks(self, m: int, price: Price) -> int:
        """A price in ticks."""
        return int(price.raw) // int(self._tick_raw[m])

    def lots(self, m: int, quantity: Quantity) -> int:
        """A quantity in lots."""
        return int(quantity.raw) // int(self._lot_raw[m])

    def quote(self, m: int, bid: int, ask: int, stamp: int) -> QuoteTick:
        """A quote larger than any order: an L1 book would fill the rest of a larger order one tick worse."""
        prices = self.price(m, bid), self.price(m, ask)
        return QuoteTick(self.instruments[m].id, *prices, self.sizes[m], self.sizes[m], stamp, stamp)

    def _most_lots(self, m: int) -> int:
        contract = self.inputs.contracts[m]
        closes = self.inputs.slots["close"][:, m]
        cheapest = int(closes[closes > 0].min(initial=2**62)) * int(contract["quanta_per_tick_lot"])
        return max(int(contract["max_notional"]) // cheapest, int(contract["min_lots"])) + 1


def run_backtest(inputs: SimulationInputs, parameters: ParameterSet, *, start: int, stop: int) -> NautilusBacktest:
    """Run one parameter set in NautilusTrader over the bars `start ≤ slot < stop`.

    Raises:
        SimulationError: the span is empty or outside the inputs.
    """
    span = make_span(inputs, start, stop)
    markets = Markets(inputs)
    fills: list[OrderFilled] = []
    desk = BacktestDesk(inputs, parameters)
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
    fill_model = StopFills(markets)
    funding = FundingModule(markets, span, fill_model, desk)
    engine.add_venue(
        markets.venue,
        OmsType.NETTING,
        AccountType.MARGIN,
        starting_balances=[Money.from_raw(inputs.initial_equity_quanta * RAW_PER_QUANTUM, USDT)],
        default_leverage=LEVERAGE,
        bar_execution=False,
        reject_stop_orders=False,
        fill_model=fill_model,
        fee_model=ExactFees(markets),
        modules=[funding],
    )
    for instrument in markets.instruments:
        engine.add_instrument(instrument)
    engine.add_data(market_events(markets, span), validate=False, sort=True)
    strategy = _strategy(inputs, parameters, markets, span, desk)
    engine.add_strategy(strategy)

    def book(fill: OrderFilled) -> None:
        m, side = markets.index[fill.instrument_id], 1 if fill.is_buy else -1
        fee = int(fill.commission.raw) // RAW_PER_QUANTUM
        desk.book_fill(m, side * markets.lots(m, fill.last_qty), markets.ticks(m, fill.last_px), fee)
        fills.append(fill)

    engine.kernel.msgbus.subscribe("events.fills.*", book)
    engine.run()
    seconds = float((engine.run_finished - engine.run_started).total_seconds())
    cash = int(engine.portfolio.account(markets.venue).balance_total(USDT).raw) // RAW_PER_QUANTUM
    records = _fill_records(markets, fills, engine)
    payments = np.array(funding.payments, PAYMENT)
    engine.dispose()
    return NautilusBacktest(
        fills=fills_frame(inputs, span, records),
        payments=payments_frame(inputs, span, payments),
        final_cash_quanta=cash,
        counts=count_cases(inputs.slots, records, payments) | dict(strategy.refusals),
        run_seconds=seconds,
    )


def compare(kernel: Simulation, nautilus: NautilusBacktest) -> str | None:
    """The first difference between the two simulators, or None: they agree.

    Compared with tolerance zero: every fill (time, instrument, side, quantity, price, fee, reason), every funding
    payment, the final cash, and how often each case occurred.
    """
    for name, ours, theirs in (
        ("fill", kernel.fills, nautilus.fills),
        ("funding payment", kernel.payments, nautilus.payments),
    ):
        for k, (one, other) in enumerate(zip(ours.iter_rows(named=True), theirs.iter_rows(named=True), strict=False)):
            if one != other:
                return f"{name} {k}: kernel {one}, NautilusTrader {other}"
        if len(ours) != len(theirs):
            longer = ours if len(ours) > len(theirs) else theirs
            return f"{name}s: kernel {len(ours)}, NautilusTrader {len(theirs)}; then {longer.row(len(longer) - 1)}"
    if kernel.final_cash_quanta != nautilus.final_cash_quanta:
        return f"cash: kernel {kernel.final_cash_quanta}, NautilusTrader {nautilus.final_cash_quanta} quanta"
    for name, count in kernel.counts.items():
        if count != nautilus.counts.get(name, 0):
            return f"{name}: kernel {count}, NautilusTrader {nautilus.counts.get(name, 0)}"
    return None


def market_events(markets: Markets, span: Span) -> list[Data]:
    """Quotes and bars of the span, in order of time and, at one time, in the order they must be processed."""
    slots = markets.inputs.slots
    began = int(markets.inputs.opened_at[span.start]) * 1_000_000
    events: list[Data] = []
    for i in range(span.start, span.stop + 1):
        stamp = began + (i - span.start) * INTERVAL_NS
        ending = [m for m in range(len(markets.instruments)) if i > span.start and slots[i - 1, m]["ask"] > 0]
        if i == span.stop:
            events += _closing_quotes(markets, i, stamp)
            events += [_bar(markets, m, i - 1, stamp) for m in ending]
            break
        opening = [m for m in range(len(markets.instruments)) if slots[i, m]["ask"] > 0]
        events += [markets.quote(m, slots[i, m]["bid"], slots[i, m]["ask"], stamp) for m in opening]
        events += [_bar(markets, m, i - 1, stamp) for m in ending]
        before_close = stamp + INTERVAL_NS - 1
        events += [markets.quote(m, slots[i, m]["low"], slots[i, m]["high"], before_close) for m in opening]
    return events


def _closing_quotes(markets: Markets, stop: int, stamp: int) -> list[QuoteTick]:
    """What everything is closed at when the span ends: quotes made from the last closes."""
    spread = markets.inputs.cost_units.spread
    closes = markets.inputs.slots["close"][stop - 1].tolist()
    return [
        markets.quote(m, sell_ticks(close, spread), buy_ticks(close, spread), stamp)
        for m, close in enumerate(closes)
        if close > 0
    ]


def _bar(markets: Markets, m: int, slot: int, closed_at: int) -> Bar:
    """A bar as it closes; its volume is not part of the inputs and is given as one lot."""
    prices = (
        markets.inputs.opens[slot, m],
        *(markets.inputs.slots[slot, m][name] for name in ("high", "low", "close")),
    )
    values = [markets.price(m, ticks) for ticks in prices]
    return Bar(markets.bar_types[m], *values, markets.quantity(m, 1), closed_at, closed_at)


def _perpetual(instrument: Instrument) -> CryptoPerpetual:
    """The instrument with its exact steps; fees are charged by `ExactFees`, size limits are the allocation's."""
    tick, lot = Price.from_str(f"{instrument.tick:f}"), Quantity.from_str(f"{instrument.lot:f}")
    return CryptoPerpetual(
        InstrumentId.from_str(instrument.instrument_id),
        Symbol(instrument.symbol),
        Currency.from_str(instrument.symbol.removesuffix("USDT")),
        USDT,
        USDT,
        False,
        tick.precision,
        lot.precision,
        tick,
        lot,
        0,
        0,
        margin_init=Decimal("0.01"),
        margin_maint=Decimal("0.005"),
    )


def _strategy(
    inputs: SimulationInputs, parameters: ParameterSet, markets: Markets, span: Span, desk: BacktestDesk
) -> MeanReversionStrategy:
    config = MeanReversionConfig(
        bar_types=markets.bar_types,
        traded=tuple(instrument.id for instrument in markets.instruments),
        interval_ns=INTERVAL_NS,
        grace_ns=0,
        late_ns=0,
        quote_age_ns=0,
        exit_quote_age_ns=0,
        retry_ns=0,
        last_boundary_ns=int(inputs.opened_at[span.start]) * 1_000_000 + (span.stop - span.start) * INTERVAL_NS,
    )
    features = PrecomputedFeatures(inputs, parameters.lookback_bars, span)
    return MeanReversionStrategy(config, features, desk)


class PrecomputedFeatures:
    """The features that the kernel reads, by boundary."""

    def __init__(self, inputs: SimulationInputs, lookback_bars: int, span: Span) -> None:
        self._market = PriceScores(inputs, span.start, span.stop).market(lookback_bars)
        self._first_ns = int(inputs.opened_at[0]) * 1_000_000

    def use(self, market: int, lookback_bars: int, settings: FeatureSettings) -> None:
        """Nothing to choose: they were made for one parameter set."""

    def take_bar(self, market: int, bar: Bar) -> None:
        """Nothing to learn: everything was computed from the same bars before."""

    def at(self, boundary_ns: int) -> Features:
        """Features of the bars that closed at a boundary."""
        bar = (boundary_ns - self._first_ns) // INTERVAL_NS - 1
        market, slots = self._market, self._market.slots
        return Features(
            market.z_price[bar], market.z_funding[bar], slots["volatility"][bar].copy(), slots["atr"][bar].copy()
        )


class ExactFees(FeeModel):
    """The kernel's fee, to the quantum; NautilusTrader's own goes through a double."""

    def __init__(self, markets: Markets) -> None:
        self._markets = markets
        self._fee = markets.inputs.cost_units.fee

    def get_commission(self, order: Order, fill_qty: Quantity, fill_px: Price, instrument: CryptoPerpetual) -> Money:  # noqa: ARG002
        """Fee of a fill."""
        m = self._markets.index[instrument.id]
        value = self._markets.ticks(m, fill_px) * self._markets.lots(m, fill_qty)
        quanta = fee_quanta(value * int(self._markets.inputs.contracts[m]["quanta_per_tick_lot"]), self._fee)
        return Money.from_raw(quanta * RAW_PER_QUANTUM, USDT)


class StopFills(FillModel):
    """Fills a stop that a range quote triggers at its trigger moved by the slippage; all else at the quote.

    Attributes:
        is_range_quote: whether the quote being processed spans a bar's low and high; set by the funding module, which
            sees every event first.
    """

    def __init__(self, markets: Markets) -> None:
        super().__init__()
        self.is_range_quote = False
        self._markets = markets
        self._slippage = markets.inputs.cost_units.stop_slippage

    def get_orderbook_for_fill_simulation(
        self,
        instrument: CryptoPerpetual,
        order: Order,
        best_bid: Price,  # noqa: ARG002
        best_ask: Price,  # noqa: ARG002
    ) -> OrderBook | None:
        """A one-level book at the stop's fill, or None for the market's own."""
        if not (self.is_range_quote and order.has_trigger_price):
            return None
        m = self._markets.index[instrument.id]
        held = 1 if order.side == OrderSide.SELL else -1
        ticks = stop_fill_ticks(self._markets.ticks(m, order.trigger_price), held, self._slippage)
        book = OrderBook(instrument.id, BookType.L2_MBP)
        opposite = OrderSide.BUY if order.side == OrderSide.SELL else OrderSide.SELL
        book.add(BookOrder(opposite, self._markets.price(m, ticks), self._markets.sizes[m], 1), 0, 0)
        return book


class FundingModule(SimulationModule):
    """Books the settlements of a boundary before its first event is matched: NautilusTrader 1.231 books none.

    Attributes:
        payments: `PAYMENT` rows as booked.
    """

    def __init__(self, markets: Markets, span: Span, fills: StopFills, desk: BacktestDesk) -> None:
        super().__init__(SimulationModuleConfig())
        self._desk = desk
        self.payments: list[tuple[int, ...]] = []
        self._markets = markets
        self._span = span
        self._fills = fills
        self._began = int(markets.inputs.opened_at[span.start]) * 1_000_000
        self._next = span.start + 1

    def pre_process(self, data: Data) -> None:
        """Settle every boundary up to this event, and tell the fill model what kind of quote it is."""
        into = (data.ts_init - self._began) % INTERVAL_NS
        self._fills.is_range_quote = into == INTERVAL_NS - 1
        reached = self._span.start + (data.ts_init - self._began) // INTERVAL_NS
        while self._next <= reached:
            for m in range(len(self._markets.instruments)):
                index = int(self._markets.inputs.slots[self._next, m]["settlement"])
                if index >= 0:
                    self._settle(m, index, data.ts_init)
            self._next += 1

    def _settle(self, m: int, index: int, stamp: int) -> None:
        inputs, instrument = self._markets.inputs, self._markets.instruments[m]
        settlement, contract = inputs.settlements[index], inputs.contracts[m]
        mark, source = int(settlement["mark"]), int(settlement["source"])
        if self._next == self._span.stop and source != MARK_PRICE:
            close = int(inputs.slots[self._next - 1, m]["close"])
            mark, source = close * int(contract["tick_quanta"]), LAST_CLOSE
        for position in self.exchange.cache.positions_open(instrument_id=instrument.id):
            lots = self._markets.lots(m, position.quantity) * (1 if position.is_long else -1)
            rate = int(settlement["rate"])
            marks = lots * int(contract["lot_numerator"]) * mark
            amount = payment_quanta(marks, int(contract["lot_denominator"]), rate)
            money = Money.from_raw(amount * RAW_PER_QUANTUM, USDT)
            self.exchange.adjust_account(money)
            self._desk.book_payment(amount)
            position.apply_adjustment(
                PositionAdjusted(
                    position.trader_id,
                    position.strategy_id,
                    instrument.id,
                    position.id,
                    position.account_id,
                    PositionAdjustmentType.FUNDING,
                    None,
                    money,
                    "funding",
                    UUID4(),
                    stamp,
                    stamp,
                )
            )
            self.exchange.cache.update_position(position)
            self.payments.append((self._next, m, lots, rate, mark, source, amount))

    def process(self, ts_now: int) -> None:
        """Nothing is left to do after matching."""

    def log_diagnostics(self, logger: object) -> None:
        """Nothing to say."""

    def reset(self) -> None:
        """Start before the first boundary again."""
        self.payments.clear()
        self._next = self._span.start + 1


def _fill_records(markets: Markets, events: list[OrderFilled], engine: BacktestEngine) -> Records:
    """Fills as `FILL`, in the order they happened.

    A stamp that is neither a boundary nor a nanosecond before one would show as a wrong slot and fail the comparison.
    """
    first = int(markets.inputs.opened_at[0]) * 1_000_000
    records = np.zeros(len(events), FILL)
    for record, event in zip(records, events, strict=True):
        m = markets.index[event.instrument_id]
        slot, into = divmod(event.ts_event - first, INTERVAL_NS)
        sent = read_tags(engine.cache.order(event.client_order_id).tags)
        stopped = STOP_IN_BAR if into == INTERVAL_NS - 1 else STOP_AT_OPEN
        record["slot"], record["market"] = slot, m
        reason = "entry" if sent.purpose == "entry" else sent.reason
        record["reason"] = stopped if sent.purpose == "stop" else REASONS.index(reason)
        record["side"] = 1 if event.order_side == OrderSide.BUY else -1
        record["lots"] = markets.lots(m, event.last_qty)
        record["ticks"] = markets.ticks(m, event.last_px)
        record["fee"] = int(event.commission.raw) // RAW_PER_QUANTUM
    return records
