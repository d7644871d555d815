"""The feature frame: for each valid bar, what was known when it closed."""

import math
from datetime import timedelta

import numpy as np
import polars as pl

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.records import FeatureSettings
from helios_pipeline.data.quarantine import STAMP
from helios_pipeline.features.settlements import (
    last_before,
    market_hour,
    microseconds,
    refuse_missing_settlements,
)
from helios_pipeline.features.windows import (
    Floats,
    Integers,
    average_true_ranges,
    floored_z_scores,
    log_prices,
    segment_starts,
    volatilities,
)

FEATURES_SCHEMA = pl.Schema(
    {
        "opened_at": STAMP,
        "closed_at": STAMP,
        "funding_rate_per_hour": pl.Float64(),
        "funding_settled_at": STAMP,
        "funding_interval_hours": pl.Int64(),
        "z_funding": pl.Float64(),
        "volatility": pl.Float64(),
        "atr": pl.Float64(),
        "open_interest": pl.Float64(),
        "open_interest_change_1d": pl.Float64(),
    }
)
"""See `make_features`. Key: opened_at."""

FUNDING_Z_BOUND = 3.0
"""A funding z-score says "unusual" and no more: rates stand at a clamp for weeks and then jump."""

LONGEST_FUNDING_INTERVAL_HOURS = 8
"""The longest that Binance and dYdX settle at; how far back a count of settlements may reach."""

OPEN_INTEREST_AGE_LIMIT_HOURS = 1
"""An open interest older than this is no value; it is measured every five minutes."""

MICROSECOND = timedelta(microseconds=1)
"""Unit of stamps in arrays."""


def make_features(
    bars: pl.DataFrame,
    funding: pl.DataFrame,
    open_interest: pl.DataFrame,
    settings: FeatureSettings,
    *,
    instrument_id: str,
    interval: timedelta,
) -> pl.DataFrame:
    """As-of features of one instrument, one row per row of `bars`.

    Args:
        bars: valid bars, ascending by `opened_at`; missing ones are absent. Rows of the `warm_up_months`
            before the month of interest make the result independent of where the history begins.
        funding: `settled_at`, `funding_rate`, `interval_hours`, ascending. A settlement is usable by bars that close
            strictly after it.
        open_interest: `measured_at`, `open_interest`, ascending; may be empty. Usable from its stamp plus the
            publication delay of the settings.
        settings: lookbacks and floors.
        instrument_id: named in errors.
        interval: length of a bar. Four bars are an hour of the market, the unit of funding intervals and delays.

    Returns:
        opened_at, closed_at, funding_rate_per_hour (fraction), funding_settled_at, funding_interval_hours, z_funding,
        volatility (per year), atr (price), open_interest (base currency), open_interest_change_1d (fraction). NaN means
        "no value" in z_funding, volatility and atr, null in the others: in warm-up, and when the last settlement is
        older than its interval and one bar.

    Raises:
        DataError: a settlement that a row depends on is missing.
    """
    length = interval // MICROSECOND
    opened_at = microseconds(bars, "opened_at")
    closed_at = opened_at + length
    closes = bars["close"].to_numpy()
    logs = log_prices(closes)
    starts = segment_starts(opened_at, length, settings.max_gap_bars)
    atr = average_true_ranges(bars["high"].to_numpy(), bars["low"].to_numpy(), closes, starts, settings.atr_bars)
    sigma = volatilities(logs, starts, settings.vol_lookback, float(settings.periods_per_year))
    return pl.concat(
        [
            bars.select("opened_at", (pl.col("opened_at") + interval).alias("closed_at")),
            _funding_columns(closed_at, funding, settings, instrument_id, length),
            pl.DataFrame({"volatility": sigma, "atr": atr}),
            _open_interest_columns(closed_at, open_interest, settings, length),
        ],
        how="horizontal",
    )


def warm_up_months(settings: FeatureSettings) -> int:
    """Earlier months of bars and settlements that make a month's features equal to those of the whole history.

    The reach is the longest window with the longest allowed gap after each of its bars, or `funding_lookback`
    settlements at the longest interval; a month has at least 28 days.
    """
    bars = max(settings.vol_lookback, settings.atr_bars) + 1
    bar_days = bars * (1 + settings.max_gap_bars) * BAR_INTERVAL / timedelta(days=1)
    funding_days = (settings.funding_lookback + 1) * LONGEST_FUNDING_INTERVAL_HOURS / 24
    return math.ceil(max(bar_days, funding_days, 1.0) / 28)


def _funding_columns(
    closed_at: Integers, funding: pl.DataFrame, settings: FeatureSettings, instrument_id: str, bar: int
) -> pl.DataFrame:
    hour = market_hour(bar)
    settled_at = microseconds(funding, "settled_at")
    hours = funding["interval_hours"].cast(pl.Int64).to_numpy()
    per_hour = funding["funding_rate"].to_numpy() / hours
    last = last_before(settled_at, closed_at)
    used = last[last >= 0]
    if len(used):
        span = slice(max(int(used[0]) - settings.funding_lookback + 1, 0), int(used[-1]) + 1)
        refuse_missing_settlements(settled_at[span], hours[span], instrument_id=instrument_id, hour=hour)
    known = last >= 0
    at = np.where(known, last, 0)
    if len(settled_at):
        known &= closed_at - settled_at[at] <= hours[at] * hour + bar
    scores = floored_z_scores(per_hour, settings.funding_lookback, settings.funding_std_floor, FUNDING_Z_BOUND)
    return pl.DataFrame(
        {
            "funding_rate_per_hour": _where(known, per_hour, at),
            "funding_settled_at": _where(known, settled_at, at).cast(STAMP),
            "funding_interval_hours": _where(known, hours, at),
            "z_funding": _where(known, scores, at).fill_null(math.nan),
        }
    )


def _open_interest_columns(
    closed_at: Integers, open_interest: pl.DataFrame, settings: FeatureSettings, bar: int
) -> pl.DataFrame:
    hour = market_hour(bar)
    usable_from = microseconds(open_interest, "measured_at") + settings.open_interest_delay_minutes * (hour // 60)
    contracts = open_interest["open_interest"].cast(pl.Float64).to_numpy()
    oldest = OPEN_INTEREST_AGE_LIMIT_HOURS * hour
    now = _as_of(usable_from, contracts, closed_at, oldest)
    day_before = _as_of(usable_from, contracts, closed_at - 24 * hour, oldest)
    change = now / day_before - 1
    return pl.DataFrame({"open_interest": now, "open_interest_change_1d": change}, nan_to_null=True)


def _as_of(usable_from: Integers, values: Floats, instants: Integers, oldest: int) -> Floats:
    """The last value usable at each instant, NaN if there is none or it is older than that."""
    last = np.searchsorted(usable_from, instants, side="right") - 1
    result = np.full(len(instants), np.nan)
    known = last >= 0
    known[known] = instants[known] - usable_from[last[known]] <= oldest
    result[known] = values[last[known]]
    return result


def _where(known: np.ndarray[tuple[int], np.dtype[np.bool_]], values: Floats | Integers, at: Integers) -> pl.Series:
    """`values[at]` where known, null elsewhere."""
    taken = values[at] if len(values) else np.zeros(len(at), values.dtype)
    return pl.select(pl.when(pl.Series(known)).then(pl.Series(taken))).to_series()
