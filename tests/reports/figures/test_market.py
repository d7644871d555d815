"""A month of market data in one picture."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from helios_pipeline.data.funding import RAW_FUNDING_SCHEMA
from helios_pipeline.data.klines import RAW_KLINES_SCHEMA
from helios_pipeline.data.open_interest import RAW_OPEN_INTEREST_SCHEMA
from helios_pipeline.data.validate import BARS_SCHEMA
from helios_pipeline.reports.figures import (
    draw_bars,
    draw_features,
    draw_funding,
    draw_klines,
    draw_open_interest,
    to_png,
    to_svg,
)

FIRST = datetime(2025, 1, 1, tzinfo=UTC)
FEATURES_SCHEMA = pl.Schema({"closed_at": pl.Datetime("us", "UTC"), "z_funding": pl.Float64, "volatility": pl.Float64})


def stamps(count, step):
    return [FIRST + k * step for k in range(count)]


def frame(schema, **columns):
    """Rows of a schema in which only some columns have values."""
    count = len(next(iter(columns.values())))
    return pl.DataFrame({name: columns.get(name, [None] * count) for name in schema}, schema=schema)


def klines(interval, step, source, count=200, skip=0):
    at = stamps(count + skip, step)[skip:]
    closes = [100.0 + k for k in range(count)]
    return frame(
        RAW_KLINES_SCHEMA, opened_at=at, interval=[interval] * count, close=closes, source=[source] * count
    )  # fmt: skip


def bars(count=200, step=timedelta(minutes=15)):
    at = stamps(count, step)
    return frame(
        BARS_SCHEMA,
        opened_at=at,
        closed_at=[each + step for each in at],
        close=(100 + np.sin(np.arange(count) / 9)).tolist(),
        volume=[1.0] * count,
    )


def words(figure):
    return [text.get_text() for text in figure.texts]


@pytest.mark.parametrize(
    "figure",
    [
        lambda: draw_klines(RAW_KLINES_SCHEMA.to_frame()),
        lambda: draw_bars(BARS_SCHEMA.to_frame(), []),
        lambda: draw_funding(RAW_FUNDING_SCHEMA.to_frame()),
        lambda: draw_open_interest(RAW_OPEN_INTEREST_SCHEMA.to_frame()),
        lambda: draw_features(FEATURES_SCHEMA.to_frame(), BARS_SCHEMA.to_frame()),
    ],
    ids=["klines", "bars", "funding", "open interest", "features"],
)
def test_a_month_without_rows_says_so(figure):
    assert "no rows" in words(figure())


def test_klines_show_both_intervals_and_sources():
    rows = pl.concat(
        [
            klines("1m", timedelta(minutes=1), "archive"),
            klines("15m", timedelta(minutes=15), "archive"),
            klines("15m", timedelta(minutes=15), "rest", skip=200),
        ]
    )

    svg = to_svg(draw_klines(rows))

    assert all(part in svg for part in (">1m<", ">15m<", "#3b82c4", "#e08a1e"))


def test_klines_of_one_minute_alone_are_shown():
    assert ">1m<" in to_svg(draw_klines(klines("1m", timedelta(minutes=1), "archive")))


def test_bars_count_and_shade_what_is_missing():
    gap = {"first": "2025-01-02T00:00:00+00:00", "last": "2025-01-02T00:45:00+00:00", "bars": 4, "cause": "missing"}
    without, within = to_svg(draw_bars(bars(), [])), to_svg(draw_bars(bars(), [gap]))

    assert "200 bars, 0 missing" in without
    assert "200 bars, 4 missing (shaded)" in within
    assert "#d1495b" in within
    assert "#d1495b" not in without


def test_bars_whose_volume_was_not_recorded_are_shown():
    unrecorded = bars().with_columns(volume=pl.lit(None, pl.Float64))

    assert to_png(draw_bars(unrecorded, [])).startswith(b"\x89PNG")


def test_funding_is_per_hour_whatever_the_interval():
    rates = frame(
        RAW_FUNDING_SCHEMA,
        settled_at=[FIRST, FIRST + timedelta(hours=8), FIRST + timedelta(hours=12)],
        funding_rate=[0.0008, 0.0008, -0.0004],
        interval_hours=[8, 8, 4],
    )

    (title,) = [text for text in words(draw_funding(rates)) if "settlements" in text]

    # 1, 1 and -1 bps per hour.
    assert title.endswith("3 settlements, every 4/8 h, mean 0.333")


def test_open_interest_with_a_gap_is_shown():
    at = [*stamps(50, timedelta(minutes=5)), FIRST + timedelta(days=2)]
    rows = frame(RAW_OPEN_INTEREST_SCHEMA, measured_at=at, open_interest=[5_000.0] * 51)

    assert "open interest (base currency), 51 rows" in words(draw_open_interest(rows))


def test_features_in_warm_up_are_shown():
    made = bars()
    features = made.select(
        "closed_at", z_funding=pl.lit(float("nan")), volatility=pl.lit(float("nan"))
    )  # fmt: skip

    assert to_png(draw_features(features, made)).startswith(b"\x89PNG")
