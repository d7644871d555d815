"""A simulation's equity and days, as figures take them."""

import polars as pl

from helios_pipeline.simulation.record import Simulation

NO_EQUITY = pl.DataFrame(schema={"at": pl.Datetime("us", "UTC"), "growth": pl.Float64})
"""Where a figure has a line and there is none."""


def set_equity(simulation: Simulation) -> pl.DataFrame:
    """`at` and `growth` of 1 at every bar close of a simulation."""
    equity = simulation.equity
    return equity.select(at="closed_at", growth=pl.col("equity_quote") / pl.col("equity_quote").first())


def set_days(simulation: Simulation) -> pl.DataFrame:
    """`day` (00:00 UTC) and `daily_return` of a simulation's whole days."""
    ends = pl.Series("end", simulation.day_ends, dtype=pl.Int64)
    return pl.DataFrame(
        {
            "day": (ends * 1_000).cast(pl.Datetime("us", "UTC")).dt.offset_by("-1d"),
            "daily_return": simulation.daily_returns,
        }
    )
