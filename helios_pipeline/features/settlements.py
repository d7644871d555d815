"""Which funding settlements exist, and which one a bar may know."""

from datetime import UTC, datetime

import numpy as np
import polars as pl

from helios_pipeline.core.errors import DataError
from helios_pipeline.features.windows import Integers

BARS_PER_HOUR = 4
"""An hour of the market has so many bars, whatever their length."""


def market_hour(bar: int) -> int:
    """An hour of the market in the unit of a bar's length."""
    return BARS_PER_HOUR * bar


def microseconds(frame: pl.DataFrame, column: str) -> Integers:
    """A stamp column as microseconds since 1970, UTC."""
    return frame[column].cast(pl.Datetime("us", "UTC")).cast(pl.Int64).to_numpy()


def last_before(settled_at: Integers, closed_at: Integers) -> Integers:
    """Index of the last settlement that a bar may use: settled strictly before the bar closed; −1 for none.

    Strictly, because a rate stamped 08:00 is published some milliseconds after 08:00: the bar that closes then does not
    know it yet, in a backtest as in an engine.
    """
    return np.searchsorted(settled_at, closed_at, side="left").astype(np.int64) - 1


def late_settlements(settled_at: Integers, interval_hours: Integers, hour: int) -> Integers:
    """Indices of settlements that are not followed by the next within an interval; see `refuse_missing_settlements`."""
    allowed = np.maximum(interval_hours[1:], interval_hours[:-1]) * hour
    return np.flatnonzero(np.diff(settled_at) > allowed)


def refuse_missing_settlements(
    settled_at: Integers, interval_hours: Integers, *, instrument_id: str, hour: int
) -> None:
    """Check that each settlement follows the one before it within an interval.

    Where the interval changes, either of the two is accepted, since venues announce a change on both sides of it. That
    the last rate is old is not this function's concern: the next one may not be published yet.

    Args:
        settled_at: consecutive settlements, microseconds.
        interval_hours: the interval each rate is for.
        instrument_id: named in the error.
        hour: of the market, in microseconds.

    Raises:
        DataError: a settlement is missing; names instrument and hour.
    """
    late = late_settlements(settled_at, interval_hours, hour)
    if len(late):
        at = int(late[0])
        missing = as_datetime(int(settled_at[at] + min(interval_hours[at], interval_hours[at + 1]) * hour))
        raise DataError(
            f"funding rates of {instrument_id}: expected a settlement at {missing:%Y-%m-%d %H:%M} UTC, one interval "
            f"after {as_datetime(int(settled_at[at])):%Y-%m-%d %H:%M}, found the next at "
            f"{as_datetime(int(settled_at[at + 1])):%Y-%m-%d %H:%M}. Ingest the month again; a rate is never assumed."
        )


def as_datetime(stamp: int) -> datetime:
    """Microseconds since 1970 as a UTC datetime."""
    return datetime.fromtimestamp(stamp / 1_000_000, tz=UTC)
