"""The common strategy of `bench_sweep.py` in NautilusTrader with as little around it as it allows.

Nothing of Helios runs while it is timed: scores are computed beforehand, the strategy compares one number per bar and
sends market orders. One quote a bar gives the fill at its open; `helios_pipeline.simulation.nautilus` adds what stops,
funding and several markets need.
"""

import time
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.common.config import LoggingConfig
from nautilus_trader.core.data import Data
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import Bar
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.objects import Money
from nautilus_trader.trading.strategy import Strategy

from benchmarks.common_strategy import FILL
from helios_pipeline.simulation.inputs import SimulationInputs
from helios_pipeline.simulation.kernel import PriceScores
from helios_pipeline.simulation.nautilus import INTERVAL_NS, ExactFees, Markets
from helios_pipeline.strategy.nautilus import RAW_PER_QUANTUM
from helios_pipeline.strategy.parameters import ParameterSet


@dataclass(frozen=True, slots=True, kw_only=True)
class BareBacktest:
    """One run.

    Attributes:
        fills: `FILL`.
        seconds: processor time inside `engine.run()`.
    """

    fills: np.ndarray
    seconds: float


class BareStrategy(Strategy):
    """Compares a score that is given per bar with two thresholds."""

    def __init__(self, markets: Markets, scores: list[float], lots: list[int], parameters: ParameterSet) -> None:
        super().__init__()
        self._markets = markets
        self._instrument_id = markets.instruments[0].id
        self._scores = iter(scores)
        self._lots = iter(lots)
        self._left = len(scores)
        self._entry_z, self._exit_z = parameters.entry_z, parameters.exit_z
        self._side = 0
        self._quantity = None

    def on_start(self) -> None:
        self.subscribe_bars(self._markets.bar_types[0])

    def on_bar(self, bar: Bar) -> None:  # noqa: ARG002
        score, lots = next(self._scores), next(self._lots)
        self._left -= 1
        side = self._side
        if side == 0:
            if self._left and (score <= -self._entry_z or score >= self._entry_z):
                self._side = 1 if score < 0 else -1
                self._quantity = self._markets.quantity(0, lots)
                self._send(self._side)
        elif not self._left or (score >= -self._exit_z if side > 0 else score <= self._exit_z):
            self._side = 0
            self._send(-side)

    def _send(self, side: int) -> None:
        order_side = OrderSide.BUY if side > 0 else OrderSide.SELL
        self.submit_order(self.order_factory.market(self._instrument_id, order_side, self._quantity))


def bare_events(inputs: SimulationInputs, markets: Markets) -> list[Data]:
    """A quote at each open, then the bar that closes there; at the end a quote of the last close."""
    first, stop = inputs.first_slot, len(inputs.opened_at)
    opens, slots = inputs.opens[:, 0].tolist(), inputs.slots[:, 0]
    rows = zip(opens, slots["high"].tolist(), slots["low"].tolist(), slots["close"].tolist(), strict=True)
    began = int(inputs.opened_at[0]) * 1_000_000
    size, bar_type = markets.quantity(0, 1), markets.bar_types[0]
    events: list[Data] = []
    bar = None
    for slot, ticks in enumerate(rows):
        stamp = began + slot * INTERVAL_NS
        if slot >= first:
            price = ticks[0] if slot < stop else opens_after(slots, stop)
            events.append(markets.quote(0, price, price, stamp))
            events += [bar] if bar is not None else []
        if first <= slot < stop:
            prices = (markets.price(0, value) for value in ticks)
            bar = Bar(bar_type, *prices, size, stamp + INTERVAL_NS, stamp + INTERVAL_NS)
    return events


def opens_after(slots: np.ndarray, stop: int) -> int:
    """What everything is closed at: the last close."""
    return int(slots["close"][stop - 1])


def entry_lots(inputs: SimulationInputs, notional: int) -> list[int]:
    """What an entry decided at each bar's close buys."""
    contract = inputs.contracts[0]
    closes = inputs.slots["close"][inputs.first_slot : len(inputs.opened_at), 0]
    return (notional * 10**8 // (closes * int(contract["quanta_per_tick_lot"]))).tolist()


def run_bare(
    inputs: SimulationInputs, markets: Markets, events: list[Data], parameters: ParameterSet, notional: int
) -> BareBacktest:
    """Run one set; only the engine's run is timed."""
    first, stop = inputs.first_slot, len(inputs.opened_at)
    scores = PriceScores(inputs, first, stop).market(parameters.lookback_bars).z_price[first:stop, 0].tolist()
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
    engine.add_venue(
        markets.venue,
        OmsType.NETTING,
        AccountType.MARGIN,
        starting_balances=[Money.from_raw(inputs.initial_equity_quanta * RAW_PER_QUANTUM, USDT)],
        default_leverage=Decimal(100),
        bar_execution=False,
        fee_model=ExactFees(markets),
    )
    engine.add_instrument(markets.instruments[0])
    engine.add_data(events, validate=False, sort=True)
    engine.add_strategy(BareStrategy(markets, scores, entry_lots(inputs, notional), parameters))
    fills: list[OrderFilled] = []
    engine.kernel.msgbus.subscribe("events.fills.*", fills.append)
    began = time.process_time()
    engine.run()
    seconds = time.process_time() - began
    engine.dispose()
    return BareBacktest(fills=_records(inputs, markets, fills), seconds=seconds)


def _records(inputs: SimulationInputs, markets: Markets, fills: list[OrderFilled]) -> np.ndarray:
    began = int(inputs.opened_at[inputs.first_slot]) * 1_000_000
    rows = [
        (
            (fill.ts_event - began) // INTERVAL_NS,
            1 if fill.order_side == OrderSide.BUY else -1,
            markets.lots(0, fill.last_qty),
            markets.ticks(0, fill.last_px),
            int(fill.commission.raw) // RAW_PER_QUANTUM,
        )
        for fill in fills
    ]
    return np.array(rows, FILL)
