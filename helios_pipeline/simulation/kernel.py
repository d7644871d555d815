"""The simulation's two entries: many parameter sets for their metrics, or one with everything that happened."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from helios_pipeline.core.errors import SimulationError
from helios_pipeline.features.compiled import compiled
from helios_pipeline.features.windows import Floats, Integers, new_lanes, score_windows
from helios_pipeline.simulation.arrays import Market, Records, Run, Span, new_book, records_of
from helios_pipeline.simulation.inputs import SLOT_MILLISECONDS, SimulationInputs
from helios_pipeline.simulation.machine import run_set
from helios_pipeline.simulation.record import Simulation, events_of, make_simulation
from helios_pipeline.simulation.skipping import run_sets
from helios_pipeline.simulation.skips import fill_scores, price_skips
from helios_pipeline.simulation.summary import BLOCKS, COUNTS, METRICS, summarise
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.strategy.signal import SignalRule

_DAY_MILLISECONDS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Metrics of many sets over one span.

    Attributes:
        rows: float64[sets, len(METRICS)], in the order given; columns are `METRICS`. NaN: no value (win rate without
            round trips, Sharpe below 60 days or of equal returns).
        blocks: float64[sets, 16, 3]: days, Σr, Σr² of daily net returns, per sixteenth of the span's days.
    """

    rows: Floats
    blocks: Floats

    @property
    def metrics(self) -> pl.DataFrame:
        """`rows` as a frame; what counts is an integer."""
        frame = pl.DataFrame(self.rows, schema=list(METRICS), orient="row")
        return frame.with_columns(pl.col(COUNTS).cast(pl.Int64))


def evaluate(inputs: SimulationInputs, records: Records, *, start: int, stop: int) -> Evaluation:
    """Run each set from flat to flat over the bars `start ≤ slot < stop`; releases the GIL while it runs.

    The first decision is made on bar `start`, the last on bar `stop − 2`; whatever is open at the end is closed at the
    last close with costs. Bars before `start` only fill lookbacks. Sets of one lookback share its price scores, so pass
    them together.

    Args:
        inputs: the markets.
        records: `PARAMETERS`, in any order.
        start: first evaluated slot.
        stop: slot after the last evaluated one.

    Raises:
        SimulationError: the span is empty or outside the inputs.
    """
    return Evaluator(inputs, start, stop).evaluate(records)


class Evaluator:
    """Evaluates sets over one span, as `evaluate` does; its tables and buffers are made once, and serve one thread.

    Raises:
        SimulationError: the span is empty or outside the inputs.
    """

    def __init__(self, inputs: SimulationInputs, start: int, stop: int) -> None:
        self._span = make_span(inputs, start, stop)
        self._book = new_book(len(inputs.instruments), self._span.days, 0)
        self._scores = PriceScores(inputs, start, stop)
        self._skips = price_skips(inputs.slots, self._span.first_day_slot, self._span.slots_per_day)
        self._costs, self._limits = inputs.cost_units, inputs.compiled_limits

    def evaluate(self, records: Records) -> Evaluation:
        """Run each set; `PARAMETERS` in any order."""
        rows = np.zeros((len(records), len(METRICS)))
        blocks = np.zeros((len(records), BLOCKS, 3))
        for chosen in _rows_by_signal(records):
            lookback, weight = records["lookback_bars"][chosen[0]], records["funding_weight"][chosen[0]]
            market = self._scores.market(int(lookback))
            fill_scores(self._skips, market, float(weight), self._span.start, self._span.stop)
            run_sets(
                market, self._skips, self._span, records, chosen, self._costs, self._limits, self._book, rows, blocks
            )
        return Evaluation(rows=rows, blocks=blocks)


def simulate(inputs: SimulationInputs, parameters: ParameterSet, *, start: int, stop: int) -> Simulation:
    """Run one set as `evaluate` does and keep its fills, round trips, payments and equity.

    Raises:
        SimulationError: the span is empty or outside the inputs.
    """
    span = make_span(inputs, start, stop)
    book = new_book(len(inputs.instruments), span.days, stop - start + 1)
    row = np.zeros(len(METRICS))
    market = PriceScores(inputs, start, stop).market(parameters.lookback_bars)
    point = records_of([parameters])[0]
    rule = SignalRule(*point[["funding_weight", "entry_z", "exit_z", "max_holding_bars"]].item())
    cooldown_bars, stop_atr = point[["cooldown_bars", "stop_atr"]].item()
    run = Run(market, span, rule, cooldown_bars, stop_atr, inputs.cost_units, inputs.compiled_limits, book)
    _run_recorded(run, row, np.zeros((BLOCKS, 3)))
    metrics = dict(zip(METRICS, row.tolist(), strict=True))
    return make_simulation(inputs, span, events_of(book), book.daily_returns, metrics)


def make_span(inputs: SimulationInputs, start: int, stop: int) -> Span:
    """The evaluated slots, and where their days end.

    Raises:
        SimulationError: the span is empty or outside the inputs.
    """
    if not 0 <= start < stop <= len(inputs.opened_at):
        raise SimulationError(
            f"simulation: expected slots 0 ≤ start < stop ≤ {len(inputs.opened_at)}, found start={start}, stop={stop}. "
            f"Load bars for the whole span."
        )
    slots_per_day = _DAY_MILLISECONDS // SLOT_MILLISECONDS
    into_day = int(inputs.opened_at[start]) % _DAY_MILLISECONDS // SLOT_MILLISECONDS
    first_day_slot = start + (-into_day) % slots_per_day
    days = max(0, (stop - first_day_slot) // slots_per_day)
    return Span(start, stop, first_day_slot, slots_per_day, days, inputs.initial_equity_quanta)


def _rows_by_signal(records: Records) -> list[Integers]:
    """The rows of each lookback and funding weight, those of one lookback one after the other."""
    order = np.lexsort((records["funding_weight"], records["lookback_bars"]))
    ordered = records[["lookback_bars", "funding_weight"]][order]
    return np.split(order, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1) if len(order) else []


class PriceScores:
    """Price scores of a span for one lookback after the other, in a buffer that is made once."""

    def __init__(self, inputs: SimulationInputs, start: int, stop: int) -> None:
        self._inputs, self._start = inputs, start
        self._scores = np.full(inputs.slots.shape, np.nan)
        self._bars = [bars.until(stop) for bars in inputs.priced_bars]
        self._lanes = new_lanes()
        self._lookback = 0

    def market(self, lookback: int) -> Market:
        """Everything the kernel reads for a lookback; valid until the next call."""
        if lookback != self._lookback:
            for m, bars in enumerate(self._bars):
                first, scores = int(np.searchsorted(bars.slots, self._start)), np.full(len(bars.slots), np.nan)
                score_windows(bars.logs, bars.starts, bars.runs, lookback, first, self._lanes, scores)
                self._scores[bars.slots[first:], m] = scores[first:]
            self._lookback = lookback
        inputs = self._inputs
        return Market(inputs.slots, inputs.z_funding, self._scores, inputs.settlements, inputs.contracts)


@compiled
def _run_recorded(run: Run, row: Floats, blocks: Floats) -> None:
    """Run one set bar by bar, over any number of markets; the book may keep what happens."""
    run_set(run)
    summarise(run.span, run.book, row, blocks)
