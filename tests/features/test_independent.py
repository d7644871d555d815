"""A second implementation of the features: equal where the first is right, and able to tell where it is wrong."""

import math
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.features.frame import FEATURES_SCHEMA, make_features
from helios_pipeline.features.independent import features_by_other_means, find_departures

BTC = "BTCUSDT-PERP.BINANCE"
FEW = limits(max_examples=40, deadline=None)


def both(frames, settings):
    stored = make_features(
        frames.bars, frames.funding, frames.open_interest, settings, instrument_id=BTC, interval=BAR_INTERVAL
    )
    return stored, features_by_other_means(frames.bars, frames.funding, frames.open_interest, settings)


@FEW
@given(st.integers(0, 10**6), st.integers(1, 900), st.floats(0, 0.4))
def test_both_implementations_agree(frames, settings, seed, count, missing):
    stored, other = both(frames(seed, count, missing=missing), settings)

    assert other.schema == FEATURES_SCHEMA
    assert find_departures(stored, other).rows() == []


@pytest.mark.parametrize("absent", ["bars", "funding", "open_interest"])
def test_they_agree_on_what_there_is_nothing_to_make_of(frames, settings, absent):
    made = frames(3, 300)

    stored, other = both(replace(made, **{absent: getattr(made, absent).clear()}), settings)

    assert find_departures(stored, other).rows() == []
    assert stored.height == other.height


def test_they_agree_on_prices_and_rates_that_stand_still(frames, settings):
    made = frames(3, 300)
    still = replace(
        made,
        bars=made.bars.with_columns(high=pl.lit(0.1), low=pl.lit(0.1), close=pl.lit(0.1)),
        funding=made.funding.with_columns(funding_rate=pl.lit(0.0001)),
    )

    stored, other = both(still, settings)

    assert set(stored["volatility"].drop_nans()) == set(stored["z_funding"].drop_nans()) == {0.0}
    assert find_departures(stored, other).rows() == []


@pytest.mark.parametrize(
    ("column", "wrong"),
    [
        ("volatility", pl.col("volatility") * (1 + 1e-8)),
        ("atr", pl.lit(math.nan)),
        ("z_funding", pl.col("z_funding") + 1e-8),
        ("funding_rate_per_hour", pl.col("funding_rate_per_hour") * (1 + 1e-15)),
        ("funding_settled_at", pl.col("funding_settled_at") + pl.duration(hours=8)),
        ("open_interest", pl.lit(None)),
        ("open_interest_change_1d", pl.col("open_interest_change_1d") + 1e-8),
    ],
)
def test_a_wrong_value_is_named(frames, settings, column, wrong):
    stored, other = both(frames(3, 300), settings)
    at = pl.int_range(pl.len()) == 250

    departures = find_departures(stored.with_columns(pl.when(at).then(wrong).otherwise(column).alias(column)), other)

    assert departures.select("opened_at", "column").rows() == [(stored["opened_at"][250], column)]
    assert departures["independent"].to_list() == [str(other.select(pl.col(column).cast(pl.String))[column][250])]


def test_a_value_where_the_other_has_none_is_named(frames, settings):
    stored, other = both(frames(3, 300), settings)

    departures = find_departures(stored.with_columns(volatility=pl.col("volatility").fill_nan(0.5)), other)

    assert departures.height == stored["volatility"].is_nan().sum() > 0
    assert set(departures["independent"]) == {"NaN"}
