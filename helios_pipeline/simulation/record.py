"""Everything that happened in one simulation, as frames."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from helios_pipeline.core.records import QUANTA_PER_UNIT
from helios_pipeline.features.windows import Floats, Integers
from helios_pipeline.simulation.arrays import ENTRY, REASONS, STOP_IN_BAR, Book, Records, Span
from helios_pipeline.simulation.cases import count_cases
from helios_pipeline.simulation.funding import MARK_SOURCES, RATE_UNITS
from helios_pipeline.simulation.inputs import SLOT_MILLISECONDS, SimulationInputs

_NANOSECONDS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """One parameter set's history. Stamps ending in `_ns` are nanoseconds since 1970; money ends in its unit.

    Attributes:
        fills: filled_at_ns, instrument_id, side (+1 bought, −1 sold), lots, price_ticks, fee_quanta, reason; in order
            of time, then instrument id, exits before entries.
        round_trips: instrument_id, side, entered_at_ns, left_at_ns, lots, entry_ticks, exit_ticks, fee_quanta,
            funding_quanta, net_quanta, reason of the exit.
        payments: settled_at_ns, instrument_id, lots (signed), rate, mark_quanta, mark_source, amount_quanta (received).
        equity: closed_at, equity_quote: one row per boundary, the first being the start.
        daily_returns: net return of each whole UTC day.
        day_ends: when each of those days ended.
        metrics: the same names as a row of `evaluate`.
        final_cash_quanta: cash at the end, when everything is closed.
        counts: how often each case that decides agreement between two simulators occurred.
    """

    fills: pl.DataFrame
    round_trips: pl.DataFrame
    payments: pl.DataFrame
    equity: pl.DataFrame
    daily_returns: Floats
    day_ends: tuple[int, ...]
    metrics: Mapping[str, float]
    final_cash_quanta: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """What one simulator did between `start` and `stop`, in the kernel's own units.

    Attributes:
        fills: `FILL`, in the order they happened.
        payments: `PAYMENT`, in the order they happened.
        equity: quanta at each boundary from start to stop.
        refusals: counts of entries that were decided and not made.
    """

    fills: Records
    payments: Records
    equity: Integers
    refusals: Mapping[str, int]


def events_of(book: Book) -> Events:
    """What a recorded run left in its book."""
    account = book.account[0]
    names = ("below_minimum", "without_volatility", "crowded_out", "cancelled")
    return Events(
        fills=book.fills[: account["fills"]],
        payments=book.payments[: account["payments"]],
        equity=book.equity,
        refusals={name: int(account[name]) for name in names},
    )


def make_simulation(
    inputs: SimulationInputs, span: Span, events: Events, daily_returns: Floats, metrics: Mapping[str, float]
) -> Simulation:
    """Put events into frames, with instrument ids and stamps."""
    boundaries = _boundaries(inputs, span)
    day_slots = span.first_day_slot + span.slots_per_day * np.arange(1, span.days + 1)
    return Simulation(
        fills=fills_frame(inputs, span, events.fills),
        round_trips=round_trips_frame(inputs, span, events.fills),
        payments=payments_frame(inputs, span, events.payments),
        equity=pl.DataFrame(
            {
                "closed_at": pl.Series(boundaries * 1000).cast(pl.Datetime("us", "UTC")),
                "equity_quote": events.equity / QUANTA_PER_UNIT,
            }
        ),
        daily_returns=daily_returns,
        day_ends=tuple(boundaries[day_slots - span.start].tolist()),
        metrics=metrics,
        final_cash_quanta=int(events.equity[-1]),
        counts=count_cases(inputs.slots, events.fills, events.payments) | dict(events.refusals),
    )


def _boundaries(inputs: SimulationInputs, span: Span) -> Integers:
    """Milliseconds of every boundary of the span, its end included."""
    first = int(inputs.opened_at[span.start])
    return first + SLOT_MILLISECONDS * np.arange(span.stop - span.start + 1, dtype=np.int64)


def _stamps(inputs: SimulationInputs, span: Span, fills: Records) -> Integers:
    """Nanoseconds of fills: the slot's opening, or one before its end for a stop inside the bar."""
    opened = _boundaries(inputs, span)[fills["slot"] - span.start] * _NANOSECONDS
    inside = np.where(fills["reason"] == STOP_IN_BAR, SLOT_MILLISECONDS * _NANOSECONDS - 1, 0)
    return np.asarray(opened + inside, np.int64)


def _names(inputs: SimulationInputs, markets: Integers) -> list[str]:
    return [inputs.instruments[m].instrument_id for m in markets.tolist()]


def fills_frame(inputs: SimulationInputs, span: Span, fills: Records) -> pl.DataFrame:
    """`FILL` records with stamps and instrument ids, in order of time and instrument."""
    stamps = _stamps(inputs, span, fills)
    order = np.lexsort((np.arange(len(fills)), fills["market"], stamps))
    fills, stamps = fills[order], stamps[order]
    return pl.DataFrame(
        {
            "filled_at_ns": stamps,
            "instrument_id": pl.Series(_names(inputs, fills["market"]), dtype=pl.String),
            "side": fills["side"],
            "lots": fills["lots"],
            "price_ticks": fills["ticks"],
            "fee_quanta": fills["fee"],
            "reason": pl.Series([REASONS[code] for code in fills["reason"].tolist()], dtype=pl.String),
        }
    )


def round_trips_frame(inputs: SimulationInputs, span: Span, fills: Records) -> pl.DataFrame:
    """Entries paired with the exits that follow them in the same market, in order of exit."""
    by_market = fills[np.argsort(fills["market"], kind="stable")]
    entries, exits = by_market[by_market["reason"] == ENTRY], by_market[by_market["reason"] != ENTRY]
    value = np.array([instrument.quanta_per_tick_lot for instrument in inputs.instruments])[entries["market"]]
    profit = entries["side"] * (exits["ticks"] - entries["ticks"]) * entries["lots"] * value
    fees = entries["fee"] + exits["fee"]
    frame = pl.DataFrame(
        {
            "instrument_id": pl.Series(_names(inputs, entries["market"]), dtype=pl.String),
            "side": entries["side"],
            "entered_at_ns": _stamps(inputs, span, entries),
            "left_at_ns": _stamps(inputs, span, exits),
            "lots": entries["lots"],
            "entry_ticks": entries["ticks"],
            "exit_ticks": exits["ticks"],
            "fee_quanta": fees,
            "funding_quanta": exits["net"] - profit + fees,
            "net_quanta": exits["net"],
            "reason": pl.Series([REASONS[code] for code in exits["reason"].tolist()], dtype=pl.String),
        }
    )
    return frame.sort("left_at_ns", "instrument_id", maintain_order=True)


def payments_frame(inputs: SimulationInputs, span: Span, payments: Records) -> pl.DataFrame:
    """`PAYMENT` records with stamps and instrument ids, in order of time and instrument."""
    return pl.DataFrame(
        {
            "settled_at_ns": _boundaries(inputs, span)[payments["slot"] - span.start] * _NANOSECONDS,
            "instrument_id": pl.Series(_names(inputs, payments["market"]), dtype=pl.String),
            "lots": payments["lots"],
            "rate": payments["rate"] / RATE_UNITS,
            "mark_quanta": payments["mark"],
            "mark_source": pl.Series([MARK_SOURCES[code] for code in payments["source"].tolist()], dtype=pl.String),
            "amount_quanta": payments["amount"],
        }
    ).sort("settled_at_ns", "instrument_id")
