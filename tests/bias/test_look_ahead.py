from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl

from helios_pipeline.bias.look_ahead import cut_instants, find_look_ahead
from helios_pipeline.bias.market import make_inputs
from helios_pipeline.core.records import Window
from tests.bias.conftest import POINTS
from tests.generated_market import BTC, FIRST


def peeking(market):
    """Inputs whose funding scores are centred with the mean of everything that is known, future included."""
    made = make_inputs(market)
    return replace(made, z_funding=made.z_funding - np.nanmean(made.z_funding, axis=0))


def peeking_prices(market):
    """Inputs in which a bar's close is already the next one's, for all but the last."""
    closes = {
        name: bars.with_columns(pl.coalesce(pl.col("close").shift(-1), "close")) for name, bars in market.bars.items()
    }
    return make_inputs(replace(market, bars=closes))


def instants(market):
    return cut_instants(market.window, 4)


def test_no_decision_of_the_pipeline_changes_without_its_future(market, inputs):
    verdict = find_look_ahead(inputs, market, POINTS, instants(market))

    assert verdict.passed
    assert verdict.rows.height == 4 * (1 + len(POINTS))
    assert verdict.rows.filter(pl.col("parameters").is_not_null())["fills_before"].min() > 20
    assert "none changed" in verdict.sentence


def test_a_feature_that_knows_a_later_mean_is_found_and_named(market):
    verdict = find_look_ahead(peeking(market), market, POINTS, instants(market), make=peeking)

    assert not verdict.passed
    features = verdict.rows.filter(pl.col("parameters").is_null())
    assert all(text.startswith("z_funding of BTCUSDT-PERP.BINANCE, bar of ") for text in features["changed"])
    # The second set's signal has funding in it, the first one's has not.
    changed = (
        verdict.rows.filter(pl.col("parameters").is_not_null()).group_by("parameters").agg(pl.col("changed").count())
    )
    assert sorted(changed["changed"]) == [0, 4]


def test_a_price_that_is_known_too_early_is_found(market):
    verdict = find_look_ahead(peeking_prices(market), market, POINTS[:1], instants(market), make=peeking_prices)

    assert not verdict.passed
    assert "with everything" in verdict.rows["changed"].drop_nulls()[0]


def test_history_is_cut_at_a_settlement_just_after_one_and_between_two():
    window = Window(first=FIRST, last=FIRST + timedelta(days=100))

    cuts = cut_instants(window, 6)

    into_hours = [(cut - FIRST) % timedelta(hours=8) for cut in cuts]
    assert into_hours == [timedelta(0), timedelta(minutes=15), timedelta(hours=3, minutes=45)] * 2
    assert all(window.first < cut < window.last for cut in cuts)
    assert cuts == sorted(cuts)


def test_what_is_known_at_an_instant_ends_there(market):
    instant = FIRST + timedelta(days=30, hours=8)

    known = market.known_at(instant)

    assert known.bars[BTC]["opened_at"].max() == instant - timedelta(minutes=15)
    assert known.funding[BTC]["settled_at"].max() == instant - timedelta(hours=8)
    assert known.window.last == instant
