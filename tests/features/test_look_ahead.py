"""Features made again without the future: nothing changes, and what knew the future is found out."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.features.frame import make_features
from helios_pipeline.features.look_ahead import FeatureInputs, cut_instants, find_hindsight

BAR = timedelta(minutes=15)
BTC = "BTCUSDT-PERP.BINANCE"
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
INSTANTS = [FIRST + timedelta(days=1, hours=8), FIRST + timedelta(days=2, minutes=15)]


@pytest.fixture(scope="module")
def inputs(frames) -> FeatureInputs:
    made = frames(5, 400, missing=0.05)
    return FeatureInputs(bars=made.bars, funding=made.funding, open_interest=made.open_interest)


@pytest.fixture(scope="module")
def stored(inputs, settings) -> pl.DataFrame:
    return make_features(
        inputs.bars, inputs.funding, inputs.open_interest, settings, instrument_id=BTC, interval=BAR_INTERVAL
    )


def hindsight(stored, inputs, settings):
    return find_hindsight(stored, inputs, settings, instrument_id=BTC, instants=INSTANTS)


def test_features_as_they_are_made_know_nothing_of_the_future(stored, inputs, settings) -> None:
    assert hindsight(stored, inputs, settings).rows() == []


def test_a_month_is_judged_with_the_months_before_it_as_inputs(stored, inputs, settings) -> None:
    of_month = stored.filter(pl.col("opened_at") >= FIRST + timedelta(days=1))

    assert hindsight(of_month, inputs, settings).rows() == []


@pytest.mark.parametrize("column", ["atr", "volatility", "z_funding", "funding_rate_per_hour", "open_interest"])
def test_a_column_that_knows_the_next_bar_is_found_out(stored, inputs, settings, column: str) -> None:
    ahead = stored.with_columns(pl.col(column).shift(-1))

    found = hindsight(ahead, inputs, settings)

    assert set(found["column"]) == {column}
    assert set(found["known_until"]) == set(INSTANTS)


def test_a_settlement_used_by_the_bar_that_closes_with_it_is_found_out(stored, inputs, settings) -> None:
    at = pl.col("closed_at") == INSTANTS[0]
    early = stored.with_columns(
        funding_settled_at=pl.when(at).then(INSTANTS[0]).otherwise("funding_settled_at").cast(pl.Datetime("us", "UTC"))
    )

    found = hindsight(early, inputs, settings)

    assert found.select("known_until", "opened_at", "column").rows() == [
        (instant, INSTANTS[0] - BAR, "funding_settled_at") for instant in INSTANTS
    ]


def test_the_last_bit_counts(stored, inputs, settings) -> None:
    row = 80
    at = pl.int_range(pl.len()) == row
    next_float = stored["atr"][row] * (1 + 2**-52)

    found = hindsight(stored.with_columns(atr=pl.when(at).then(next_float).otherwise("atr")), inputs, settings)

    assert found.select("opened_at", "column").unique().rows() == [(stored["opened_at"][row], "atr")]


def test_a_row_too_many_or_too_few_is_found_out(stored, inputs, settings) -> None:
    fewer = stored.filter(pl.int_range(pl.len()) != 50)
    more = pl.concat([stored, stored.tail(1)]).with_columns(
        opened_at=pl.when(pl.int_range(pl.len()) == pl.len() - 1).then(FIRST + BAR / 3).otherwise("opened_at"),
        closed_at=pl.when(pl.int_range(pl.len()) == pl.len() - 1).then(FIRST + BAR).otherwise("closed_at"),
    )

    assert set(hindsight(fewer, inputs, settings)["opened_at"]) == {stored["opened_at"][50]}
    assert FIRST + BAR / 3 in hindsight(more, inputs, settings)["opened_at"].to_list()


def test_history_is_cut_at_a_settlement_after_settlements_and_in_between() -> None:
    instants = cut_instants("2024-02")

    assert all(at.month == 2 and at.timestamp() % 900 == 0 for at in instants)
    assert [at.hour % 8 == 0 and at.minute == 0 for at in instants] == [True, False, False, False]
    assert sum(at.hour % 8 == 0 and at.minute == 15 for at in instants) == 2


def test_what_is_known_is_closed_settled_before_and_published(inputs, settings) -> None:
    known = inputs.known_at(INSTANTS[0], settings)

    assert known.bars["opened_at"].max() <= INSTANTS[0] - BAR
    assert known.funding["settled_at"].max() == INSTANTS[0] - timedelta(hours=8)
    assert known.open_interest["measured_at"].max() == INSTANTS[0] - BAR
