"""Round trips as people read them: prices, hours, quote currency, and what they add up to."""

from collections.abc import Sequence

import polars as pl

from helios_pipeline.core.records import QUANTA_PER_UNIT, Instrument

NANOSECONDS_PER_HOUR = 3_600 * 10**9
SHOWN = 6


def round_trip_rows(round_trips: pl.DataFrame, instruments: Sequence[Instrument]) -> pl.DataFrame:
    """Round trips with stamps, prices and money.

    Args:
        round_trips: of a simulation.
        instruments: that it traded.

    Returns:
        instrument, side (long, short), entered_at, left_at, hours, entry and exit (prices as exact text), net,
        fees and funding (quote currency; fees ≤ 0), exit_reason; in order of exit.
    """
    ticks = {each.instrument_id: each.tick for each in instruments}
    prices = {
        name: [
            f"{ticks[instrument] * at:f}"
            for instrument, at in round_trips.select("instrument_id", f"{name}_ticks").iter_rows()
        ]
        for name in ("entry", "exit")
    }
    return round_trips.select(
        instrument=pl.col("instrument_id"),
        side=pl.when(pl.col("side") > 0).then(pl.lit("long")).otherwise(pl.lit("short")),
        entered_at=_instant("entered_at_ns"),
        left_at=_instant("left_at_ns"),
        hours=(pl.col("left_at_ns") - pl.col("entered_at_ns")) / NANOSECONDS_PER_HOUR,
        entry=pl.Series(prices["entry"], dtype=pl.String),
        exit=pl.Series(prices["exit"], dtype=pl.String),
        net=pl.col("net_quanta") / QUANTA_PER_UNIT,
        fees=-pl.col("fee_quanta") / QUANTA_PER_UNIT,
        funding=pl.col("funding_quanta") / QUANTA_PER_UNIT,
        exit_reason=pl.col("reason").str.replace_all("_", " "),
    )


def trade_statistics(rows: pl.DataFrame) -> pl.DataFrame:
    """What round trips add up to, for all of them, by side, by exit and by instrument.

    Args:
        rows: of `round_trip_rows`.

    Returns:
        round_trips (which), count, win_rate, mean_net, net, profit_factor (gains over losses, null without a loss),
        median_hours; the first row is all of them.
    """
    groups = [rows.with_columns(which=pl.lit("all"))]
    groups += [rows.with_columns(which=pl.col(name)) for name in ("side", "exit_reason", "instrument")]
    gains, losses = (pl.col("net").filter(pl.col("net") * sign > 0).sum() for sign in (1, -1))
    return pl.concat(
        group.group_by(round_trips="which", maintain_order=False)
        .agg(
            count=pl.len(),
            win_rate=(pl.col("net") > 0).mean(),
            mean_net=pl.col("net").mean(),
            net=pl.col("net").sum(),
            profit_factor=pl.when(losses < 0).then(gains / -losses),
            median_hours=pl.col("hours").median(),
        )
        .sort("round_trips")
        for group in groups
    )


def notable_round_trips(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The last, the best and the worst few of the rows of `round_trip_rows`."""
    return {
        "last": rows.tail(SHOWN).reverse(),
        "best": rows.sort("net", descending=True, maintain_order=True).head(SHOWN),
        "worst": rows.sort("net", maintain_order=True).head(SHOWN),
    }


def _instant(name: str) -> pl.Expr:
    return (pl.col(name) // 1_000).cast(pl.Datetime("us", "UTC"))
