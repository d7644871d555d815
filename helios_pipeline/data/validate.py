"""Which bars may be used."""

from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.data.quarantine import STAMP, ParsedRows, quarantine_rows

BARS_SCHEMA = pl.Schema(
    {
        "opened_at": STAMP,
        "closed_at": STAMP,
        "open": pl.Float64(),
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),
        "volume": pl.Float64(),
        "quote_volume": pl.Float64(),
        "trade_count": pl.Int64(),
        "taker_buy_volume": pl.Float64(),
        "source": pl.String(),
    }
)
"""A bar; the last four but `source` (`1m`, `15m` or `trades`) may be null: not recorded. Key: opened_at."""

SCALE_JUMP = 2.0
"""A bar whose whole range lies beyond the last sound close by more than this factor is taken for a wrong scale."""

LEVEL_AFTER = timedelta(hours=1)
"""A jump that lasts longer is a level: the bars after it are sound again. Until then no bar is judged by a later one,
so that history holds what could be known live."""

_PRICES = ["open", "high", "low", "close"]


def validate_bars(frame: pl.DataFrame, *, interval: timedelta, source: str) -> ParsedRows:
    """Separate the bars that may be used from those that may not.

    Args:
        frame: opened_at, open, high, low, close, volume and any more columns; sorted by opened_at, unique.
        interval: the bars' length. Minutes without a trade are usual and stay; a 15-minute bar without one goes.
        source: name of the frame, for quarantine.

    Returns:
        Reasons in quarantine, the first that holds: `not_finite`, `misaligned`, `negative_price` (or zero),
        `crossed_ohlc` (low ≤ open, close ≤ high does not hold), `negative_volume`, `range_without_volume`,
        `no_trades` (flat, zero volume), `scale_jump` (see `SCALE_JUMP`; judged by bars before it alone).
    """
    columns = frame.columns
    judged = frame.with_columns(_reason=_reason(interval))
    sound = judged.filter(pl.col("_reason").is_null())
    bad = judged.filter(pl.col("_reason").is_not_null())
    sound = sound.with_columns(_jump=pl.Series(_jumps(sound, longest=LEVEL_AFTER // interval), dtype=pl.Boolean))
    jumps = sound.filter("_jump").drop("_jump").with_columns(_reason=pl.lit("scale_jump"))
    bad = pl.concat([bad, jumps]).sort("opened_at")
    return ParsedRows(
        frame=sound.filter(~pl.col("_jump")).select(columns),
        quarantined=quarantine_rows(bad, stamp="opened_at", reason=pl.col("_reason"), source=source),
    )


def _jumps(bars: pl.DataFrame, *, longest: int) -> NDArray[np.bool_]:
    """Which bars lie off the scale of those before them; after `longest` in a row the next is the new level."""
    lows, highs, closes = (bars[name].to_numpy() for name in ("low", "high", "close"))
    jumps = np.zeros(len(closes), np.bool_)
    suspects = np.flatnonzero((lows[1:] > SCALE_JUMP * closes[:-1]) | (highs[1:] * SCALE_JUMP < closes[:-1])) + 1
    at = int(suspects[0]) if len(suspects) else len(closes)
    level, run = closes[at - 1] if at else 0.0, 0
    for k in range(at, len(closes)):
        jumps[k] = run < longest and (lows[k] > SCALE_JUMP * level or highs[k] * SCALE_JUMP < level)
        run = run + 1 if jumps[k] else 0
        level = level if jumps[k] else closes[k]
    return jumps


def _reason(interval: timedelta) -> pl.Expr:
    numbers = pl.col(*_PRICES, "volume")
    still = pl.col("high") == pl.col("low")
    reason = (
        pl.when(~pl.all_horizontal(numbers.is_finite().fill_null(value=False)))
        .then(pl.lit("not_finite"))
        .when(pl.col("opened_at").dt.truncate(interval) != pl.col("opened_at"))
        .then(pl.lit("misaligned"))
        .when(pl.min_horizontal(_PRICES) <= 0)
        .then(pl.lit("negative_price"))
        .when((pl.col("high") != pl.max_horizontal(_PRICES)) | (pl.col("low") != pl.min_horizontal(_PRICES)))
        .then(pl.lit("crossed_ohlc"))
        .when(pl.col("volume") < 0)
        .then(pl.lit("negative_volume"))
        .when((pl.col("volume") == 0) & ~still)
        .then(pl.lit("range_without_volume"))
    )
    if interval < BAR_INTERVAL:
        return reason
    return reason.when((pl.col("volume") == 0) & still).then(pl.lit("no_trades"))
