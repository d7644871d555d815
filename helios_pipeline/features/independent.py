"""The same features a second time, written by other means, to be compared with those that are stored.

polars and numpy alone: windows are views of arrays, settlements and open interest are found by as-of joins. Nothing of
`windows` and `frame` is used, so an error would have to be made twice to stay unseen.
"""

from datetime import timedelta

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.records import FeatureSettings
from helios_pipeline.data.quarantine import STAMP

TOLERANCE = 1e-9
"""Largest difference that counts as none: relative to the larger value for volatility and ATR, absolute for the score
and the change of open interest, whose natural size is 1. The other columns are copied or divided once: equal."""

DEPARTURES_SCHEMA = pl.Schema(
    {"opened_at": STAMP, "column": pl.String(), "stored": pl.String(), "independent": pl.String()}
)

type Floats = NDArray[np.float64]

_Z_BOUND = 3.0
_OPEN_INTEREST_AGE = timedelta(hours=1)
_RELATIVE = ("volatility", "atr")
_ABSOLUTE = ("z_funding", "open_interest_change_1d")


def features_by_other_means(
    bars: pl.DataFrame, funding: pl.DataFrame, open_interest: pl.DataFrame, settings: FeatureSettings
) -> pl.DataFrame:
    """As-of features of one instrument; arguments and result as of `make_features`.

    A missing settlement is not noticed here.
    """
    prices = [_with_price_statistics(segment, settings) for segment in _segments(bars, settings.max_gap_bars)]
    rows = pl.concat(prices).with_columns(closed_at=pl.col("opened_at") + BAR_INTERVAL)
    rows = rows.with_columns(a_day_before=pl.col("closed_at") - timedelta(days=1))
    for instant, name in (("closed_at", "open_interest"), ("a_day_before", "open_interest_day_before")):
        rows = _with_open_interest(rows, open_interest, settings, at=instant, name=name)
    change = pl.col("open_interest") / pl.col("open_interest_day_before") - 1
    return _with_funding(rows, funding, settings).select(
        *("opened_at", "closed_at", "funding_rate_per_hour", "funding_settled_at", "funding_interval_hours"),
        *("z_funding", "volatility", "atr", "open_interest"),
        change.fill_nan(None).alias("open_interest_change_1d"),
    )


def find_departures(stored: pl.DataFrame, independent: pl.DataFrame) -> pl.DataFrame:
    """Values that differ by more than `TOLERANCE`; NaN and null must stand in the same places.

    Args:
        stored: features.
        independent: features of the same bars, and perhaps of others, which are left out.

    Returns:
        `DEPARTURES_SCHEMA`; a stored row that the other lacks differs in column `closed_at`.
    """
    both = stored.join(independent, on="opened_at", how="left", suffix="_other", maintain_order="left")
    parts = [
        both.filter(~_agrees(name)).select(
            "opened_at",
            pl.lit(name).alias("column"),
            pl.col(name).cast(pl.String).alias("stored"),
            pl.col(f"{name}_other").cast(pl.String).alias("independent"),
        )
        for name in stored.columns
        if name != "opened_at"
    ]
    return pl.concat([DEPARTURES_SCHEMA.to_frame(), *parts]).sort("opened_at", maintain_order=True)


def _agrees(name: str) -> pl.Expr:
    left, right = pl.col(name), pl.col(f"{name}_other")
    equal = left.eq_missing(right)
    if name not in _RELATIVE + _ABSOLUTE:
        return equal
    scale = pl.max_horizontal(left.abs(), right.abs()) if name in _RELATIVE else pl.lit(1.0)
    near = ((left - right).abs() <= TOLERANCE * scale).fill_null(value=False)
    # NaN compares as the largest number here, so it must be on both sides or on none.
    return equal | (near & left.is_not_nan() & right.is_not_nan())


def _segments(bars: pl.DataFrame, max_gap_bars: int) -> list[pl.DataFrame]:
    """Bars cut wherever more of them are missing in a row than a window may skip."""
    broken = pl.col("opened_at").diff() > (max_gap_bars + 1) * BAR_INTERVAL
    numbered = bars.with_columns(segment=broken.fill_null(value=False).cum_sum())
    return numbered.partition_by("segment", maintain_order=True) or [numbered]


def _with_price_statistics(segment: pl.DataFrame, settings: FeatureSettings) -> pl.DataFrame:
    high, low, close = (segment[name].to_numpy() for name in ("high", "low", "close"))
    returns = _windows(np.diff(np.log(close)), settings.vol_lookback)
    ranges = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
    deviation = np.where(_constant(returns), 0.0, returns.std(axis=1)) * settings.periods_per_year**0.5
    return segment.select(
        "opened_at",
        pl.Series("volatility", _after_warm_up(deviation, segment.height)),
        pl.Series("atr", _after_warm_up(_windows(ranges, settings.atr_bars).mean(axis=1), segment.height)),
    )


def _with_funding(rows: pl.DataFrame, funding: pl.DataFrame, settings: FeatureSettings) -> pl.DataFrame:
    per_hour = funding["funding_rate"].to_numpy() / funding["interval_hours"].to_numpy()
    windows = _windows(per_hour, settings.funding_lookback)
    spread = np.maximum(windows.std(axis=1), settings.funding_std_floor)
    scores = np.clip((windows[:, -1] - windows.mean(axis=1)) / spread, -_Z_BOUND, _Z_BOUND)
    settlements = funding.select(
        pl.col("settled_at").cast(STAMP),
        funding_settled_at="settled_at",
        funding_interval_hours=pl.col("interval_hours").cast(pl.Int64),
        funding_rate_per_hour=pl.Series(per_hour),
        z_funding=pl.Series(_after_warm_up(np.where(_constant(windows), 0.0, scores), len(per_hour))),
    )
    joined = rows.sort("closed_at").join_asof(
        settlements.sort("settled_at"), left_on="closed_at", right_on="settled_at", allow_exact_matches=False
    )
    due = pl.col("funding_settled_at") + pl.duration(hours=pl.col("funding_interval_hours")) + BAR_INTERVAL
    fresh = (pl.col("closed_at") <= due).fill_null(value=False)
    columns = ["funding_rate_per_hour", "funding_settled_at", "funding_interval_hours"]
    return joined.with_columns(
        *(pl.when(fresh).then(pl.col(name)).alias(name) for name in columns),
        pl.when(fresh).then(pl.col("z_funding")).otherwise(float("nan")).alias("z_funding"),
    )


def _with_open_interest(
    rows: pl.DataFrame, open_interest: pl.DataFrame, settings: FeatureSettings, *, at: str, name: str
) -> pl.DataFrame:
    """Add the open interest that was published last, an hour ago at most, at the instants of a column."""
    published = open_interest.select(
        published_at=pl.col("measured_at").cast(STAMP) + timedelta(minutes=settings.open_interest_delay_minutes),
        value=pl.col("open_interest").cast(pl.Float64),
    )
    return (
        rows.sort(at)
        .join_asof(published.sort("published_at"), left_on=at, right_on="published_at", tolerance=_OPEN_INTEREST_AGE)
        .drop("published_at", strict=False)
        .rename({"value": name})
    )


def _windows(values: Floats, length: int) -> Floats:
    """Every window of that many values, one per row."""
    return sliding_window_view(values, length) if len(values) >= length else np.empty((0, length))


def _constant(windows: Floats) -> NDArray[np.bool_]:
    """Windows of equal values, whose deviation rounding would make a tiny number."""
    return np.all(windows == windows[:, :1], axis=1)


def _after_warm_up(values: Floats, rows: int) -> Floats:
    """Values of the last windows, NaN in the rows before the first of them."""
    return np.concatenate([np.full(rows - len(values), np.nan), values])
