"""Which months and bars of some instruments are there, over everything that is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from helios_pipeline.core.calendar import BAR_INTERVAL, month_start, months_between
from helios_pipeline.data.bars import GAPS_SCHEMA, gaps_from_facts
from helios_pipeline.data.checks import NO_TRADES, join_gaps

COVERAGE_SCHEMA = pl.Schema(
    {
        "instrument": pl.String(),
        "first_month": pl.String(),
        "last_month": pl.String(),
        "months": pl.Int64(),
        "missing_months": pl.Int64(),
        "slots": pl.Int64(),
        "bars": pl.Int64(),
        "no_trades": pl.Int64(),
        "missing": pl.Int64(),
        "longest_gap": pl.Int64(),
        "coverage": pl.Float64(),
    }
)
"""One row per instrument. slots: clock slots of the stored months; bars: valid ones; no_trades: slots in which nobody
traded; missing: the others; longest_gap: missing bars in a row; coverage: bars of the slots in which somebody traded, a
fraction. Null where nothing is stored."""

MISSING_MONTHS_SCHEMA = pl.Schema({"instrument": pl.String(), "month": pl.String()})

COVERAGE_GAPS_SCHEMA = pl.Schema({"instrument": pl.String(), **GAPS_SCHEMA})
"""See `GAPS_SCHEMA`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What is there, and what is not.

    Attributes:
        instruments: `COVERAGE_SCHEMA`.
        missing_months: between an instrument's first and last month, `MISSING_MONTHS_SCHEMA`.
        gaps: within the stored months, `COVERAGE_GAPS_SCHEMA`; one that goes on in the next month is one.
    """

    instruments: pl.DataFrame
    missing_months: pl.DataFrame
    gaps: pl.DataFrame


def map_coverage(stored: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Coverage:
    """Map what is stored of `bars_15m`.

    Args:
        stored: instrument id → month → the facts of its bars, see `BarsResult.facts`. An instrument may have no month.
    """
    gaps = {instrument: _gaps(months) for instrument, months in stored.items()}
    absent = [(instrument, month) for instrument, months in stored.items() for month in _absent(list(months))]
    rows = [_row(instrument, months, gaps[instrument]) for instrument, months in stored.items()]
    named = [each.select(pl.lit(name).alias("instrument"), pl.all()) for name, each in gaps.items()]
    return Coverage(
        instruments=pl.DataFrame(rows, schema=COVERAGE_SCHEMA),
        missing_months=pl.DataFrame(absent, schema=MISSING_MONTHS_SCHEMA, orient="row"),
        gaps=pl.concat([COVERAGE_GAPS_SCHEMA.to_frame(), *named]),
    )


def covered_until(month: str, facts: Mapping[str, Any]) -> datetime:
    """Up to where a stored month of bars can be judged: its end, or less while it is not over."""
    slots = int(facts["bars"]) + sum(int(gap["bars"]) for gap in facts["gaps"])
    return month_start(month) + slots * BAR_INTERVAL


def _gaps(months: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    gaps = gaps_from_facts([gap for month in sorted(months) for gap in months[month]["gaps"]])
    quiet = pl.col("cause") == NO_TRADES
    # Quiet stretches are facts about the market: they don't melt into damage beside them.
    return pl.concat([join_gaps(gaps.filter(quiet)), join_gaps(gaps.filter(~quiet))]).sort("first")


def _absent(months: Sequence[str]) -> list[str]:
    return [month for month in months_between(min(months), max(months)) if month not in months] if months else []


def _row(instrument: str, months: Mapping[str, Mapping[str, Any]], gaps: pl.DataFrame) -> dict[str, object]:
    if not months:
        return {"instrument": instrument, "months": 0, "missing_months": 0}
    damage = gaps.filter(pl.col("cause") != NO_TRADES)["bars"]
    bars = sum(int(facts["bars"]) for facts in months.values())
    absent, missing = int(gaps["bars"].sum()), int(damage.sum())
    traded = bars + missing
    return {
        "instrument": instrument,
        "first_month": min(months),
        "last_month": max(months),
        "months": len(months),
        "missing_months": len(_absent(list(months))),
        "slots": bars + absent,
        "bars": bars,
        "no_trades": absent - missing,
        "missing": missing,
        "longest_gap": damage.max() or 0,
        "coverage": bars / traded if traded else None,
    }
