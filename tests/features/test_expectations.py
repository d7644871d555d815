"""The schema of a month of features: what it refuses, and what it takes for no value."""

import math
from datetime import timedelta

import polars as pl
import pytest

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.data.models import check_schema
from helios_pipeline.features.expectations import features_model
from helios_pipeline.features.frame import make_features

BAR = timedelta(minutes=15)
BTC = "BTCUSDT-PERP.BINANCE"
ROW = 200


@pytest.fixture(scope="module")
def sound(frames, settings) -> pl.DataFrame:
    """Three days of features; warm-up has NaN, and open interest begins late."""
    made = frames(1, 288)
    late = made.open_interest.tail(100)
    return make_features(made.bars, made.funding, late, settings, instrument_id=BTC, interval=BAR_INTERVAL)


def changed(frame: pl.DataFrame, changes) -> pl.DataFrame:
    at = pl.int_range(pl.len()) == ROW
    return frame.with_columns(pl.when(at).then(value).otherwise(name).alias(name) for name, value in changes.items())


def test_features_as_they_are_made_pass(sound) -> None:
    assert check_schema(sound, features_model(), key="opened_at").passed
    assert sound["volatility"].is_nan().any()
    assert sound["open_interest"].has_nulls()


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({"funding_settled_at": pl.col("closed_at")}, ["settled before the close"]),
        ({"funding_settled_at": pl.col("closed_at") + BAR}, ["settled before the close"]),
        ({"z_funding": 3.001}, ["z_funding within ±3 or NaN"]),
        ({"z_funding": None}, ["z_funding within ±3 or NaN"]),
        ({"volatility": 0.0}, ["volatility above 0 or NaN"]),
        ({"volatility": math.inf}, ["volatility above 0 or NaN"]),
        ({"atr": -1.0}, ["atr above 0 or NaN"]),
        ({"closed_at": pl.col("opened_at")}, ["closed one interval later", "settled before the close"]),
        ({"open_interest": -1.0}, ["greater_than_or_equal_to(0)"]),
    ],
)
def test_a_row_that_may_not_be_is_refused_and_shown(sound, changes, failed: list[str]) -> None:
    outcome = check_schema(changed(sound, changes), features_model(), key="opened_at")

    assert set(outcome.facts["failed"]) <= set(failed)
    assert failed[0] in outcome.facts["failed"]
    assert set(outcome.failures["opened_at"]) == {sound["opened_at"][ROW]}


def test_two_rows_of_one_bar_are_refused(sound) -> None:
    doubled = pl.concat([sound, sound.tail(1)])

    assert check_schema(doubled, features_model(), key="opened_at").facts["failed"] == ["field_uniqueness", "sorted"]
