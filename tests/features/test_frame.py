import math
import statistics
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.errors import DataError
from helios_pipeline.data.funding import parse_funding_rates
from helios_pipeline.features.frame import make_features, warm_up_months

BAR = timedelta(minutes=15)
BTC = "BTCUSDT-PERP.BINANCE"
FEW = limits(max_examples=40, deadline=None)


def features_of(frames, settings):
    return make_features(
        frames.bars, frames.funding, frames.open_interest, settings, instrument_id=BTC, interval=BAR_INTERVAL
    )


@FEW
@given(st.integers(0, 10**6), st.integers(0, 399), st.floats(0.5, 2.0))
def test_a_bar_changes_nothing_that_was_known_before_it_closed(frames, settings, seed, at, factor):
    given_ = frames(seed, 400, missing=0.05)
    changed_from = given_.bars["opened_at"][min(at, len(given_.bars) - 1)]
    later = pl.col("opened_at") >= changed_from
    prices = [
        pl.when(later).then(pl.col(name) * factor).otherwise(pl.col(name)).alias(name)
        for name in ("high", "low", "close")
    ]
    changed = type(given_)(
        bars=given_.bars.with_columns(prices), funding=given_.funding, open_interest=given_.open_interest
    )

    before = features_of(given_, settings).filter(~later)
    after = features_of(changed, settings).filter(~later)

    assert_frame_equal(before, after, check_exact=True)


@FEW
@given(st.integers(0, 10**6), st.integers(0, 12), st.floats(-2, 2))
def test_a_settlement_is_unknown_to_every_bar_that_closes_no_later(frames, settings, seed, at, factor):
    given_ = frames(seed, 400)
    settled_at = given_.funding["settled_at"][at]
    later = pl.col("settled_at") >= settled_at
    rates = pl.when(later).then(pl.col("funding_rate") * factor).otherwise(pl.col("funding_rate"))
    changed = type(given_)(
        bars=given_.bars,
        funding=given_.funding.with_columns(rates.alias("funding_rate")),
        open_interest=given_.open_interest,
    )
    unaware = pl.col("closed_at") <= settled_at

    before, after = features_of(given_, settings), features_of(changed, settings)

    assert_frame_equal(before.filter(unaware), after.filter(unaware), check_exact=True)
    first_aware = after.filter(pl.col("closed_at") == settled_at + BAR)
    assert first_aware["funding_settled_at"].to_list() == [settled_at][: len(first_aware)]


def as_published(funding, late_ms):
    """The archive's file of these settlements, each published that many milliseconds late, as it is parsed."""
    rows = zip(funding["settled_at"].dt.epoch("ms"), funding["funding_rate"], strict=True)
    lines = [f"{stamp + late_ms},8,{rate:.8f}\n" for stamp, rate in rows]
    return parse_funding_rates("".join(lines).encode(), file="f.csv").frame


@FEW
@given(st.integers(0, 10**6))
def test_stamps_published_999_ms_late_change_nothing(frames, settings, seed):
    given_ = frames(seed, 300)
    on_time, late = (
        features_of(replace(given_, funding=as_published(given_.funding, late_ms)), settings) for late_ms in (0, 999)
    )

    assert on_time["z_funding"].is_not_nan().any()
    assert_frame_equal(on_time, late, check_exact=True)


@FEW
@given(st.integers(0, 10**6), st.floats(0, 0.4))
def test_a_month_with_its_warm_up_has_the_features_of_the_whole_history(frames, settings, seed, missing):
    whole = frames(seed, 96 * 70, missing=missing)
    month = pl.col("opened_at").dt.strftime("%Y-%m") == "2024-03"
    from_month = {0: 3, 1: 2, 2: 1}[warm_up_months(settings)]
    loaded = pl.col("opened_at").dt.month() >= from_month
    part = type(whole)(
        bars=whole.bars.filter(loaded),
        funding=whole.funding.filter(pl.col("settled_at").dt.month() >= from_month),
        open_interest=whole.open_interest.filter(pl.col("measured_at").dt.month() >= from_month),
    )

    assert_frame_equal(
        features_of(whole, settings).filter(month), features_of(part, settings).filter(month), check_exact=True
    )


@FEW
@given(st.integers(0, 10**6))
def test_features_equal_those_of_a_plain_loop(frames, settings, seed):
    given_ = frames(seed, 200, missing=0.1)
    rows = given_.bars.rows(named=True)
    rates = [
        (row["settled_at"], row["funding_rate"] / row["interval_hours"]) for row in given_.funding.rows(named=True)
    ]

    made = features_of(given_, settings).rows(named=True)

    start = 0
    for at, row in enumerate(rows):
        if at and row["opened_at"] - rows[at - 1]["opened_at"] > (settings.max_gap_bars + 1) * BAR:
            start = at
        closed_at = row["opened_at"] + BAR
        known = [rate for settled_at, rate in rates if settled_at < closed_at]
        window = known[-settings.funding_lookback :]
        if len(window) < settings.funding_lookback:
            expected = math.nan
        elif len(set(window)) == 1:
            expected = 0.0
        else:
            spread = max(statistics.pstdev(window), settings.funding_std_floor)
            expected = min(max((window[-1] - statistics.fmean(window)) / spread, -3.0), 3.0)
        assert made[at]["z_funding"] == pytest.approx(expected, rel=1e-9, nan_ok=True)
        returns = [math.log(rows[k]["close"] / rows[k - 1]["close"]) for k in range(start + 1, at + 1)]
        enough = len(returns) >= settings.vol_lookback
        sigma = statistics.pstdev(returns[-settings.vol_lookback :]) * math.sqrt(35_040) if enough else math.nan
        assert made[at]["volatility"] == pytest.approx(sigma, rel=1e-9, nan_ok=True)


def test_an_old_settlement_has_no_value_from_two_bars_after_its_successor_was_due(frames, settings):
    given_ = frames(1, 300)
    last = given_.funding["settled_at"][5]
    stale = type(given_)(bars=given_.bars, funding=given_.funding.head(6), open_interest=given_.open_interest)

    made = features_of(stale, settings)

    def score(closed_at):
        return made.filter(pl.col("closed_at") == closed_at).row(0, named=True)

    assert not math.isnan(score(last + timedelta(hours=8) + BAR)["z_funding"])
    assert math.isnan(score(last + timedelta(hours=8) + 2 * BAR)["z_funding"])
    assert score(last + timedelta(hours=8) + 2 * BAR)["funding_rate_per_hour"] is None


def test_a_missing_settlement_is_an_error_that_names_instrument_and_hour(frames, settings):
    given_ = frames(1, 300)
    holed = given_.funding.filter(pl.col("settled_at") != given_.funding["settled_at"][4])

    with pytest.raises(DataError, match=r"BTCUSDT-PERP\.BINANCE.*2024-01-02 08:00 UTC"):
        make_features(given_.bars, holed, given_.open_interest, settings, instrument_id=BTC, interval=BAR_INTERVAL)


def test_open_interest_is_known_after_its_publication_delay(frames, settings):
    given_ = frames(1, 200)
    values = dict(given_.open_interest.rows())

    made = features_of(given_, settings).row(150, named=True)

    # The bar closes at a measurement, which is published 5 minutes later: the one before it counts.
    known = made["closed_at"] - BAR
    assert made["open_interest"] == values[known]
    assert made["open_interest_change_1d"] == values[known] / values[known - timedelta(days=1)] - 1


def test_without_open_interest_its_columns_are_null(frames, settings):
    given_ = frames(1, 100)

    made = make_features(
        given_.bars, given_.funding, given_.open_interest.clear(), settings, instrument_id=BTC, interval=BAR_INTERVAL
    )

    assert made["open_interest"].null_count() == 100
    assert made["open_interest_change_1d"].null_count() == 100


def test_without_any_settlement_there_is_no_funding_score(frames, settings):
    given_ = frames(1, 100)

    made = make_features(
        given_.bars, given_.funding.clear(), given_.open_interest, settings, instrument_id=BTC, interval=BAR_INTERVAL
    )

    assert made["z_funding"].is_nan().all()
    assert made["funding_settled_at"].null_count() == 100


def test_a_rate_is_per_hour_by_its_own_interval(frames, settings):
    given_ = frames(1, 100)
    every_four = given_.funding.with_columns(interval_hours=pl.lit(4, pl.Int64)).with_columns(
        settled_at=pl.lit(given_.funding["settled_at"][0]) + pl.duration(hours=4) * pl.int_range(pl.len())
    )

    made = make_features(
        given_.bars, every_four, given_.open_interest, settings, instrument_id=BTC, interval=BAR_INTERVAL
    ).row(0, named=True)

    assert made["funding_rate_per_hour"] == every_four["funding_rate"][0] / 4
    assert made["funding_interval_hours"] == 4
