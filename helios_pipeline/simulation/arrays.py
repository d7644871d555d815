"""The arrays that the compiled kernel works on; every integer exact, every index a clock slot.

Slot i is the bar that opens at boundary T_i, whether it exists or not; a decision at T_i is made on bar i − 1.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from helios_pipeline.features.windows import Floats, Integers
from helios_pipeline.simulation.costs import CostUnits
from helios_pipeline.strategy.allocation import Limits
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.strategy.signal import SignalRule

Records = npt.NDArray[np.void]

Record = Any
"""One element of a structured array; its attributes are the fields."""

SLOT = np.dtype(
    [
        ("bid", np.int64),
        ("ask", np.int64),
        ("low", np.int64),
        ("high", np.int64),
        ("close", np.int64),
        ("settlement", np.int64),
        ("volatility", np.float64),
        ("atr", np.float64),
    ]
)
"""One market in one slot, prices in ticks: the quote at its opening (bid and ask 0: the bar is missing), its low and
high, the last valid close up to its end, the settlement at its opening (index, −1 for none), features of its own bar.
64 bytes, one cache line."""

SETTLEMENT = np.dtype([("rate", np.int64), ("mark", np.int64), ("source", np.int64)])
"""Rate in 1e-10, mark price in quanta, code of the mark's source."""

POSITION = np.dtype(
    [
        ("side", np.int64),
        ("lots", np.int64),
        ("value", np.int64),
        ("entry_ticks", np.int64),
        ("entry_slot", np.int64),
        ("stop", np.int64),
        ("leaving", np.int64),
        ("enter_from", np.int64),
        ("fees", np.int64),
        ("funding", np.int64),
        ("due", np.int64),
        ("decided", np.int64),
        ("exit_ticks", np.int64),
    ]
)
"""One market's position: signed side, lots, quanta per tick of price, entry, stop trigger (0: none), why it is being
left (a reason, 0: it is not), first boundary that may decide an entry, what it has cost and received.

Where slots are passed over, what will be is known beforehand: the slot in which the market is `due` to enter or to
leave, the boundary that decides the exit, and its price."""

ACCOUNT = np.dtype(
    [
        ("cash", np.int64),
        ("fees", np.int64),
        ("funding", np.int64),
        ("open_positions", np.int64),
        ("round_trips", np.int64),
        ("wins", np.int64),
        ("stops", np.int64),
        ("slots_in_position", np.int64),
        ("below_minimum", np.int64),
        ("without_volatility", np.int64),
        ("crowded_out", np.int64),
        ("cancelled", np.int64),
        ("days", np.int64),
        ("next_day_slot", np.int64),
        ("fills", np.int64),
        ("payments", np.int64),
        ("day_equity", np.float64),
        ("turnover", np.float64),
        ("peak", np.float64),
        ("drawdown", np.float64),
        ("drawdown_intrabar", np.float64),
    ]
)
"""The account of one run: exact money, counters, and equity statistics. `days` is −1 until the first midnight."""

ENTRY, SIGNAL, MAX_HOLDING, STOP_AT_OPEN, STOP_IN_BAR, WINDOW_END = 0, 1, 2, 3, 4, 5
REASONS = ("entry", "signal", "max_holding", "stop_at_open", "stop_in_bar", "window_end")
"""Why a fill happened, by code."""

FILL = np.dtype([(name, np.int64) for name in ("slot", "market", "side", "lots", "ticks", "fee", "reason", "net")])
"""`side` +1 bought, −1 sold; `net` is the round trip's profit after fees and funding, on the fill that closes it."""

PAYMENT = np.dtype([(name, np.int64) for name in ("slot", "market", "lots", "rate", "mark", "source", "amount")])
"""Signed lots, and what was received in quanta."""

PARAMETERS = np.dtype(
    [
        ("lookback_bars", np.int64),
        ("funding_weight", np.float64),
        ("entry_z", np.float64),
        ("exit_z", np.float64),
        ("max_holding_bars", np.int64),
        ("cooldown_bars", np.int64),
        ("stop_atr", np.float64),
    ]
)
"""One `ParameterSet`, its fields by name."""


def records_of(points: Sequence[ParameterSet]) -> Records:
    """Parameter sets as `PARAMETERS`, in their order."""
    names = PARAMETERS.names or ()
    return np.array([tuple(getattr(point, name) for name in names) for point in points], PARAMETERS)


class Market(NamedTuple):
    """What is given: shapes (slots + 1, markets) except where said; the last slot only carries a settlement.

    Attributes:
        slots: `SLOT`.
        z_funding: funding score usable at the slot's close, NaN for none.
        z_price: price score of the slot's bar for the set's lookback, NaN for none.
        settlements: `SETTLEMENT`, in any order.
        contracts: `CONTRACT` of each market.
    """

    slots: Records
    z_funding: Floats
    z_price: Floats
    settlements: Records
    contracts: Records


class Filled(NamedTuple):
    """One `FILL`."""

    slot: int
    market: int
    side: int
    lots: int
    ticks: int
    fee: int
    reason: int
    net: int


class Span(NamedTuple):
    """What is evaluated: bars of the slots `start ≤ i < stop`; `first_day_slot` is the first midnight ≥ start."""

    start: int
    stop: int
    first_day_slot: int
    slots_per_day: int
    days: int
    initial_equity: int


class Book(NamedTuple):
    """What a run changes; allocated once and reused for every set.

    Attributes:
        positions: `POSITION` of each market.
        account: `ACCOUNT`, one element.
        blank: the same, zero: what an account starts as.
        intents, strengths, closes, volatilities, stop_ranges, lots, outcomes: one entry a market, for `allocate`.
        daily_returns: one a whole day.
        fills, payments, equity: what is recorded; of length 0 when nothing is.
    """

    positions: Records
    account: Records
    blank: Records
    intents: Integers
    strengths: Floats
    closes: Integers
    volatilities: Floats
    stop_ranges: Floats
    lots: Integers
    outcomes: Integers
    daily_returns: Floats
    fills: Records
    payments: Records
    equity: Integers


class Run(NamedTuple):
    """Everything that one run of one parameter set reads, and the book it writes."""

    market: Market
    span: Span
    rule: SignalRule
    cooldown_bars: int
    stop_atr: float
    costs: CostUnits
    limits: Limits
    book: Book


def new_book(markets: int, days: int, recorded_slots: int) -> Book:
    """Room for a run; `recorded_slots` 0 records nothing."""
    events = 2 * markets * recorded_slots
    return Book(
        positions=np.zeros(markets, POSITION),
        account=np.zeros(1, ACCOUNT),
        blank=np.zeros(1, ACCOUNT),
        intents=np.zeros(markets, np.int64),
        strengths=np.zeros(markets),
        closes=np.zeros(markets, np.int64),
        volatilities=np.zeros(markets),
        stop_ranges=np.zeros(markets),
        lots=np.zeros(markets, np.int64),
        outcomes=np.zeros(markets, np.int64),
        daily_returns=np.zeros(days),
        fills=np.zeros(events, FILL),
        payments=np.zeros(events, PAYMENT),
        equity=np.zeros(recorded_slots, np.int64),
    )
