"""Everything a simulation is given, as exact arrays over clock slots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.errors import DataError, SimulationError
from helios_pipeline.core.records import (
    QUANTA_PER_UNIT,
    AllocationLimits,
    Costs,
    FeatureSettings,
    Instrument,
    Window,
)
from helios_pipeline.features.settlements import as_datetime, microseconds, refuse_missing_settlements
from helios_pipeline.features.windows import Floats, Integers, equal_runs, log_prices, segment_starts
from helios_pipeline.simulation.arrays import SETTLEMENT, SLOT, Records
from helios_pipeline.simulation.costs import CostUnits, cost_units, quotes
from helios_pipeline.simulation.funding import BAR_OPEN, LARGEST_RATE, LAST_CLOSE, MARK_PRICE, RATE_UNITS
from helios_pipeline.simulation.overflow import refuse_overflow
from helios_pipeline.strategy.allocation import CONTRACT, Limits, make_contract, whole_units

SLOT_MILLISECONDS = BAR_INTERVAL // timedelta(milliseconds=1)
_SLOT = BAR_INTERVAL // timedelta(microseconds=1)
_HOUR = 3_600_000_000


class PricedBars(NamedTuple):
    """A market's valid bars: what its price scores are made of, whatever the lookback.

    Attributes:
        slots: of each bar.
        logs: of its close.
        starts: from `segment_starts`.
        runs: from `equal_runs`.
    """

    slots: Integers
    logs: Floats
    starts: Integers
    runs: Integers

    def until(self, slot: int) -> "PricedBars":
        """Those before a slot; nothing in them depends on later ones."""
        count = int(np.searchsorted(self.slots, slot))
        return PricedBars(self.slots[:count], self.logs[:count], self.starts[:count], self.runs[:count])


# Without slots: what is made once is kept beside the fields.
@dataclass(frozen=True, kw_only=True)
class SimulationInputs:
    """Prices, settlements, features, costs and limits of several markets over one span of clock slots.

    Slots are every quarter of an hour of the span, whether a bar exists or not. It pickles as plain arrays.

    Attributes:
        instruments: sorted by instrument id; a market's index is its place here.
        opened_at: int64[slots], milliseconds since 1970.
        first_slot: slot of the window's first bar; earlier ones are warm-up for lookbacks.
        opens: int64[slots + 1, markets], ticks of each bar's open, 0 where it is missing; the kernel reads quotes only.
        slots: `SLOT`[slots + 1, markets]; the last row has no bar, only the settlement at the window's end.
        z_funding: float64[slots + 1, markets].
        settlements: `SETTLEMENT`, of all markets one after the other.
        contracts: `CONTRACT`[markets].
        costs: as configured.
        limits: as configured.
        feature_settings: as configured.
        initial_equity_quanta: cash at the start, in quanta of 1e-8.
    """

    instruments: tuple[Instrument, ...]
    opened_at: Integers
    first_slot: int
    opens: Integers
    slots: Records
    z_funding: Floats
    settlements: Records
    contracts: Records
    costs: Costs
    limits: AllocationLimits
    feature_settings: FeatureSettings
    initial_equity_quanta: int

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: equal inputs pickle to equal bytes, whatever was made of them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def priced_bars(self) -> tuple[PricedBars, ...]:
        """Of each market, those of the whole span."""
        return tuple(self._priced_bars(m) for m in range(len(self.instruments)))

    def _priced_bars(self, m: int) -> PricedBars:
        numerator, denominator = self.instruments[m].tick.as_integer_ratio()
        slots = np.flatnonzero(self.slots["ask"][:-1, m] > 0)
        logs = log_prices(self.slots["close"][slots, m] * numerator / denominator)
        return PricedBars(slots, logs, segment_starts(slots, 1, self.feature_settings.max_gap_bars), equal_runs(logs))

    def slot_of(self, instant: datetime) -> int:
        """The slot that opens at an instant; the number of slots for the span's end.

        Raises:
            SimulationError: the instant is not a boundary of the span.
        """
        offset = instant.astimezone(UTC) - as_datetime(int(self.opened_at[0]) * 1000)
        slot, rest = divmod(offset, BAR_INTERVAL)
        if rest or not 0 <= slot <= len(self.opened_at):
            last = as_datetime((int(self.opened_at[-1]) + SLOT_MILLISECONDS) * 1000)
            raise SimulationError(
                f"instant: expected a quarter of an hour between {as_datetime(int(self.opened_at[0]) * 1000)} and "
                f"{last}, found {instant}. Load the bars of that span."
            )
        return slot

    @property
    def cost_units(self) -> CostUnits:
        """Costs in units of 1e-7."""
        return cost_units(self.costs)

    @property
    def compiled_limits(self) -> Limits:
        """Limits as `allocate` takes them."""
        limits = self.limits
        return Limits(limits.vol_target, limits.max_leverage, limits.gross_cap, limits.max_open)


def build_inputs(  # noqa: PLR0913 - everything a number depends on is named by the caller
    instruments: Sequence[Instrument],
    bars: Mapping[str, pl.DataFrame],
    features: Mapping[str, pl.DataFrame],
    funding: Mapping[str, pl.DataFrame],
    *,
    costs: Costs,
    limits: AllocationLimits,
    feature_settings: FeatureSettings,
    initial_equity_quote: Decimal,
    window: Window,
) -> SimulationInputs:
    """Put frames of several instruments onto one clock, in exact integers.

    Args:
        instruments: in any order.
        bars: by instrument id; valid bars. Those before the window serve as warm-up of lookbacks.
        features: by instrument id; a row for every bar inside the window.
        funding: by instrument id; `settled_at`, `funding_rate`, `interval_hours` and, where known, `mark_price`.
        costs: of every fill.
        limits: of the allocation.
        feature_settings: kept with the inputs; `max_gap_bars` also bounds the price windows.
        initial_equity_quote: cash at the start.
        window: whole quarters of an hour; the settlement at its very end is booked if it is known.

    Raises:
        DataError: a price is off its tick, features or a settlement inside the window are missing.
        SettingsError: a size, cost or amount is finer than exact money can hold.
        SimulationError: exact money could overflow.
    """
    ordered = tuple(sorted(instruments, key=lambda instrument: instrument.instrument_id))
    units = cost_units(costs)
    first, count = _clock(ordered, bars, window)
    slots = np.zeros((count + 1, len(ordered)), SLOT)
    opens = np.zeros((count + 1, len(ordered)), np.int64)
    z_funding = np.full((count + 1, len(ordered)), np.nan)
    contracts = np.array([make_contract(instrument) for instrument in ordered], CONTRACT)
    settlements: list[Records] = []
    for m, instrument in enumerate(ordered):
        name = instrument.instrument_id
        inside = bars[name].filter(pl.col("opened_at").is_between(as_datetime(first), window.last, closed="left"))
        starts = (first, _stamp(window.first))
        opens[:, m] = _place_bars(slots[:, m], inside, instrument, units, first)
        _place_features(slots[:, m], z_funding[:, m], features[name], instrument, starts)
        own = _place_settlements(slots[:, m], funding[name], instrument, opens[:, m], first)
        slots["settlement"][:, m] += np.where(slots["settlement"][:, m] >= 0, sum(map(len, settlements)), 0)
        settlements.append(own)
        _refuse_unsettled(slots[:, m], funding[name], instrument, starts)
    inputs = SimulationInputs(
        instruments=ordered,
        opened_at=(first + np.arange(count, dtype=np.int64) * _SLOT) // 1000,
        first_slot=(_stamp(window.first) - first) // _SLOT,
        opens=opens,
        slots=slots,
        z_funding=z_funding,
        settlements=np.concatenate(settlements),
        contracts=contracts,
        costs=costs,
        limits=limits,
        feature_settings=feature_settings,
        initial_equity_quanta=whole_units("initial_equity_quote", Fraction(initial_equity_quote) * QUANTA_PER_UNIT),
    )
    refuse_overflow(inputs.slots, inputs.settlements, contracts, units, ordered, inputs.initial_equity_quanta)
    return inputs


def _stamp(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _clock(instruments: Sequence[Instrument], bars: Mapping[str, pl.DataFrame], window: Window) -> tuple[int, int]:
    """First instant and number of slots: from the earliest bar, or the window's start, to the window's end."""
    first, last = _stamp(window.first), _stamp(window.last)
    if not instruments or last <= first or first % _SLOT or last % _SLOT:
        raise SimulationError(
            f"simulation: expected instruments and a window of whole quarters of an hour, found "
            f"{[instrument.instrument_id for instrument in instruments]} and {window.first} to {window.last}."
        )
    for instrument in instruments:
        opened_at = microseconds(bars[instrument.instrument_id], "opened_at")
        if not len(opened_at):
            continue
        if np.any(np.diff(opened_at) <= 0) or np.any(opened_at % _SLOT):
            raise DataError(
                f"bars of {instrument.instrument_id}: expected ascending openings on the quarter of an hour, found "
                f"others. Make the bars again."
            )
        first = min(first, int(opened_at[0]))
    return first, (last - first) // _SLOT


def _place_bars(slots: Records, bars: pl.DataFrame, instrument: Instrument, units: CostUnits, first: int) -> Integers:
    """Quotes, lows, highs and carried closes of one market; returns its opens by slot, 0 where a bar is missing."""
    at = (microseconds(bars, "opened_at") - first) // _SLOT
    opens = _ticks(bars, "open", instrument)
    slots["bid"][at], slots["ask"][at] = quotes(opens, units.spread)
    slots["low"][at] = _ticks(bars, "low", instrument)
    slots["high"][at] = _ticks(bars, "high", instrument)
    slots["close"][at] = _ticks(bars, "close", instrument)
    carried = np.maximum.accumulate(np.where(slots["ask"] > 0, np.arange(len(slots)), 0))
    slots["close"] = slots["close"][carried]
    by_slot = np.zeros(len(slots), np.int64)
    by_slot[at] = opens
    return by_slot


def _ticks(bars: pl.DataFrame, column: str, instrument: Instrument) -> Integers:
    """A price column in ticks.

    A float is on a tick when it is the double nearest to that multiple of the tick: dividing two exact integers gives
    just that double.
    """
    prices = bars[column].to_numpy()
    tick = Fraction(instrument.tick)
    ticks = np.rint(prices / float(tick))
    off = np.flatnonzero(~((ticks * tick.numerator / tick.denominator == prices) & (ticks > 0)))
    if len(off):
        at = int(off[0])
        raise DataError(
            f"bars of {instrument.instrument_id}: expected {column} to be a positive multiple of the tick "
            f"{instrument.tick}, found {prices[at]} at {bars['opened_at'][at]}. Correct the tick in helios.toml."
        )
    return ticks.astype(np.int64)


def _place_features(
    slots: Records, z_funding: Floats, features: pl.DataFrame, instrument: Instrument, starts: tuple[int, int]
) -> None:
    """Scores, σ and ATR at the slots of their bars; NaN elsewhere."""
    at = (microseconds(features, "opened_at") - starts[0]) // _SLOT
    inside = (at >= 0) & (at < len(slots) - 1)
    at = at[inside]
    present = np.zeros(len(slots), np.bool_)
    present[at] = True
    slots["volatility"], slots["atr"] = np.nan, np.nan
    slots["volatility"][at] = features["volatility"].to_numpy()[inside]
    slots["atr"][at] = features["atr"].to_numpy()[inside]
    z_funding[at] = features["z_funding"].to_numpy()[inside]
    z_funding[slots["ask"] == 0] = np.nan
    needed = (slots["ask"] > 0) & ~present
    needed[: (starts[1] - starts[0]) // _SLOT] = False
    if needed.any():
        missing = as_datetime(starts[0] + int(np.flatnonzero(needed)[0]) * _SLOT)
        raise DataError(
            f"features of {instrument.instrument_id}: expected a row for every bar of the window, found none at "
            f"{missing:%Y-%m-%d %H:%M} UTC. Make the features of that month again."
        )


def _place_settlements(
    slots: Records, funding: pl.DataFrame, instrument: Instrument, opens: Integers, first: int
) -> Records:
    """The settlements of one market; writes their indices into the slots."""
    settled_at = microseconds(funding, "settled_at")
    inside = (settled_at >= first) & (settled_at <= first + (len(slots) - 1) * _SLOT)
    settled_at, frame = settled_at[inside], funding.filter(pl.Series(inside))
    at = (settled_at - first) // _SLOT
    slots["settlement"] = -1
    slots["settlement"][at] = np.arange(len(at))
    settlements = np.zeros(len(at), SETTLEMENT)
    settlements["rate"] = _rates(frame, instrument)
    # Without a mark price: the opening trade at T, or the last one before it.
    opened = opens[at] > 0
    closes = slots["close"][np.maximum(at - 1, 0)]
    settlements["source"] = np.where(opened, BAR_OPEN, LAST_CLOSE)
    settlements["mark"] = np.where(opened, opens[at], closes) * int(Fraction(instrument.tick) * QUANTA_PER_UNIT)
    if "mark_price" in frame.columns:
        marks = frame["mark_price"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        known = np.isfinite(marks)
        settlements["mark"][known] = np.rint(marks[known] * QUANTA_PER_UNIT).astype(np.int64)
        settlements["source"][known] = MARK_PRICE
    return settlements


def _rates(frame: pl.DataFrame, instrument: Instrument) -> Integers:
    rates = frame["funding_rate"].to_numpy()
    units = np.rint(rates * RATE_UNITS)
    bad = np.flatnonzero((units / RATE_UNITS != rates) | (np.abs(units) > LARGEST_RATE))
    if len(bad):
        at = int(bad[0])
        raise DataError(
            f"funding rates of {instrument.instrument_id}: expected at most 10 decimals and 5 % a settlement, found "
            f"{rates[at]} at {frame['settled_at'][at]}. Check the source."
        )
    return units.astype(np.int64)


def _refuse_unsettled(slots: Records, funding: pl.DataFrame, instrument: Instrument, starts: tuple[int, int]) -> None:
    """Check that funding is known from the market's first bar in the window to its last."""
    first, window_first = starts
    traded = np.flatnonzero(slots["ask"][(window_first - first) // _SLOT :]) * _SLOT + window_first
    if not len(traded):
        return
    settled_at = microseconds(funding, "settled_at")
    hours = funding["interval_hours"].cast(pl.Int64).to_numpy()
    begin = max(int(np.searchsorted(settled_at, traded[0], side="right")) - 1, 0)
    end = int(np.searchsorted(settled_at, traded[-1] + _SLOT, side="left"))
    refuse_missing_settlements(
        settled_at[begin:end], hours[begin:end], instrument_id=instrument.instrument_id, hour=_HOUR
    )
    if begin == end or settled_at[begin] > traded[0] + hours[begin] * _HOUR:
        missing = traded[0]
    elif settled_at[end - 1] + hours[end - 1] * _HOUR < traded[-1] + _SLOT:
        missing = settled_at[end - 1] + hours[end - 1] * _HOUR
    else:
        return
    raise DataError(
        f"funding rates of {instrument.instrument_id}: expected a settlement at or soon after "
        f"{as_datetime(int(missing)):%Y-%m-%d %H:%M} UTC, found none. Ingest that month; a rate is never assumed."
    )
