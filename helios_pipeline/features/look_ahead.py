"""Whether features of the past change when the future is taken away: if one does, it knew what nobody could."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from helios_pipeline.core.calendar import BAR_INTERVAL, month_start
from helios_pipeline.core.records import FeatureSettings
from helios_pipeline.data.quarantine import STAMP
from helios_pipeline.features.frame import make_features

CUTS = (
    timedelta(days=3, hours=8),
    timedelta(days=10, hours=16, minutes=15),
    timedelta(days=17, minutes=15),
    timedelta(days=24, hours=13, minutes=45),
)
"""How far into a month its history is cut off: once as a settlement happens, twice just after one, once in between."""

HINDSIGHT_SCHEMA = pl.Schema(
    {"known_until": STAMP, "opened_at": STAMP, "column": pl.String(), "stored": pl.String(), "without": pl.String()}
)
"""stored: the value with everything known; without: without what happened after `known_until`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureInputs:
    """What features of an instrument are made from; see `make_features`."""

    bars: pl.DataFrame
    funding: pl.DataFrame
    open_interest: pl.DataFrame

    def known_at(self, instant: datetime, settings: FeatureSettings) -> "FeatureInputs":
        """What could be known then: bars closed, settlements strictly before, open interest published."""
        delay = timedelta(minutes=settings.open_interest_delay_minutes)
        return FeatureInputs(
            bars=self.bars.filter(pl.col("opened_at") + BAR_INTERVAL <= instant),
            funding=self.funding.filter(pl.col("settled_at") < instant),
            open_interest=self.open_interest.filter(pl.col("measured_at") + delay <= instant),
        )


def cut_instants(month: str) -> list[datetime]:
    """The instants at which a month's history is cut off, by `CUTS`."""
    return [month_start(month) + cut for cut in CUTS]


def find_hindsight(
    stored: pl.DataFrame,
    inputs: FeatureInputs,
    settings: FeatureSettings,
    *,
    instrument_id: str,
    instants: Sequence[datetime],
) -> pl.DataFrame:
    """Values of stored features that are otherwise, in any bit, when made without what came later.

    Args:
        stored: features of a month as `make_features` gives them.
        inputs: everything the month was made from.
        settings: as of the stored features.
        instrument_id: named in errors.
        instants: where history is cut off.

    Returns:
        `HINDSIGHT_SCHEMA`; a row that exists only one way differs in column `opened_at`.

    Raises:
        DataError: a settlement that a row depends on is missing.
    """
    found = []
    for instant in instants:
        known = inputs.known_at(instant, settings)
        made = make_features(
            known.bars, known.funding, known.open_interest, settings, instrument_id=instrument_id, interval=BAR_INTERVAL
        )
        of_month = pl.col("opened_at") >= pl.lit(stored["opened_at"].min(), dtype=STAMP)
        past = stored.filter(pl.col("closed_at") <= instant)
        found.append(_differences(past, made.filter(of_month), known_until=instant))
    return pl.concat([HINDSIGHT_SCHEMA.to_frame(), *found])


def _differences(stored: pl.DataFrame, made: pl.DataFrame, *, known_until: datetime) -> pl.DataFrame:
    both = stored.join(made, on="opened_at", how="full", suffix="_made", maintain_order="left_right")
    parts = [
        both.filter(_bits_differ(both[name], both[f"{name}_made"])).select(
            pl.lit(known_until, dtype=STAMP).alias("known_until"),
            pl.coalesce("opened_at", "opened_at_made").alias("opened_at"),
            pl.lit(name).alias("column"),
            pl.col(name).cast(pl.String).alias("stored"),
            pl.col(f"{name}_made").cast(pl.String).alias("without"),
        )
        for name in stored.columns
    ]
    return pl.concat(parts).cast(HINDSIGHT_SCHEMA)


def _bits_differ(left: pl.Series, right: pl.Series) -> pl.Series:
    """Row by row; 0 and −0 differ, two NaN are equal, null is equal to null alone."""
    if left.dtype != pl.Float64:
        return left.ne_missing(right)
    bits = left.fill_null(0.0).to_numpy().view(np.int64) != right.fill_null(0.0).to_numpy().view(np.int64)
    return (left.is_null() != right.is_null()) | pl.Series(bits)
