from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from helios_pipeline.core.errors import SettingsError
from simulated_venues import market as market_module
from simulated_venues.market import SimulatedMarket
from simulated_venues.path import SPAN_DAYS, day_path
from simulated_venues.random import stream_key
from simulated_venues.regimes import REGIMES, regimes_of_days

BTC = "BTCUSDT-PERP.BINANCE"
ETH = "ETHUSDT-PERP.BINANCE"
ALL = tuple(REGIMES)
CYCLE = sum(regime.days for regime in REGIMES.values())
FIRST = datetime(2023, 1, 1, tzinfo=UTC)
DAYS = 10 * CYCLE


@pytest.fixture(scope="module")
def settings(make_settings):
    return replace(make_settings(), regimes=ALL)


@pytest.fixture(scope="module")
def names(settings):
    """The regime of each day from the first on."""
    common = stream_key(settings.seed, "common factor")
    return np.array(regimes_of_days(ALL, common, settings.origin_day, settings.origin_day, DAYS).name)


@pytest.fixture(scope="module")
def paths(settings):
    """Log price at every hour, float64[days, 25], of two instruments over ten cycles."""
    days = range(settings.origin_day, settings.origin_day + DAYS)
    return {
        i.instrument_id: np.stack([day_path(settings, i, day).log_price[::60] for day in days])
        for i in settings.instruments
    }


def test_every_named_regime_occurs_in_every_cycle_for_its_days(names):
    for cycle in names.reshape(-1, CYCLE):
        assert {name: int((cycle == name).sum()) for name in ALL} == {name: r.days for name, r in REGIMES.items()}


def test_blocks_are_whole_their_order_differs_and_a_recovery_follows_its_crash(names):
    cycles = names.reshape(-1, CYCLE)
    orders = [tuple(dict.fromkeys(cycle.tolist())) for cycle in cycles]

    assert all(len([1 for a, b in pairwise(c) if a != b]) == len(ALL) - 1 for c in cycles)
    assert len(set(orders)) > 5
    assert all(order.index("recovery") == order.index("crash") + 1 for order in orders)


@pytest.mark.parametrize("name", ["calm", "upward", "downward", "turbulent"])
@pytest.mark.parametrize("instrument_id", [BTC, ETH])
def test_volatility_in_a_regime_is_the_stated_factor_on_the_instruments_own(
    settings, paths, names, name, instrument_id
):
    days = paths[instrument_id][names == name]
    hourly = np.diff(days, axis=1) - (days[:, -1:] - days[:, :1]).mean() / 24
    realised = np.sqrt(np.mean(hourly**2) * 24)

    # A block's own clustering of volatility stays: eighty to a hundred and twenty days differ by about a tenth.
    stated = settings.instrument(instrument_id).daily_volatility * REGIMES[name].variance ** 0.5
    assert realised == pytest.approx(stated, rel=0.25)


@pytest.mark.parametrize("instrument_id", [BTC, ETH])
def test_drift_is_the_stated_one_added_to_the_same_walk_without_regimes_drift(settings, paths, names, instrument_id):
    volatility = settings.instrument(instrument_id).daily_volatility
    daily = (paths[instrument_id][:, -1] - paths[instrument_id][:, 0]) / volatility
    for name, regime in REGIMES.items():
        days = daily[names == name]
        # Five standard errors of the mean of the days' own walk.
        tolerance = 5 * (regime.variance / len(days)) ** 0.5

        assert days.mean() == pytest.approx(regime.drift, abs=tolerance)

    assert daily[names == "crash"].max() < 0 < daily[names == "upward"].mean() - daily[names == "downward"].mean()


def test_instruments_stay_correlated_in_every_regime(paths, names):
    for name in ("calm", "upward", "downward", "turbulent"):
        btc, eth = (np.diff(paths[i][names == name], axis=1).reshape(-1) for i in (BTC, ETH))

        assert np.corrcoef(btc, eth)[0, 1] == pytest.approx(0.6, abs=0.12)


def test_longs_pay_in_an_upward_trend_and_shorts_in_a_downward_one(settings, names):
    market = SimulatedMarket(settings)
    settled = market.settlements(BTC, FIRST, FIRST + timedelta(days=2 * CYCLE))
    # The first settlement of a day is of the day before.
    of_day = names[: 2 * CYCLE][np.maximum(0, settled.settled_at_ms - 1 - settled.settled_at_ms[0]) // 86_400_000]
    mean = {name: settled.rate_e8[of_day == name].mean() / 1e8 for name in ALL}

    assert mean["upward"] > 0.0003 > 0.0001 > mean["calm"]
    assert mean["downward"] < 0
    assert mean["crash"] < 0


def test_turbulent_days_trade_more_than_calm_ones(settings, names):
    volume = SimulatedMarket(settings).bars(BTC, FIRST, FIRST + timedelta(days=CYCLE), raw_bars=1_440).volume

    assert volume[names[:CYCLE] == "turbulent"].mean() > 1.5 * volume[names[:CYCLE] == "calm"].mean()


def test_prices_come_back_for_ever(settings):
    instrument = settings.instruments[0]
    ends = [day_path(settings, instrument, settings.origin_day + span * SPAN_DAYS) for span in (-3, 0, 1, 40)]
    strongest = sum(abs(r.drift) * r.days for r in REGIMES.values()) * instrument.daily_volatility

    assert ends[1].log_price[0] == np.log(40_000.0)
    assert max(abs(end.log_price[0] - np.log(40_000.0)) for end in ends) < strongest


@pytest.mark.parametrize("day", [-1, 0, CYCLE - 1, 7 * CYCLE - 1, SPAN_DAYS - 1, 1_000])
def test_a_day_ends_where_the_next_begins_across_blocks_cycles_and_spans(settings, day):
    today, tomorrow = (day_path(settings, settings.instruments[1], settings.origin_day + day + k) for k in (0, 1))

    assert today.log_price[-1] == tomorrow.log_price[0]


def test_days_asked_in_any_order_or_apart_give_the_same_bytes(settings):
    common = stream_key(settings.seed, "common factor")
    whole = regimes_of_days(ALL, common, 0, -100, 300)
    for first, count in ((150, 50), (-100, 1), (-60, 200)):
        part = regimes_of_days(ALL, common, 0, first, count)
        start = first + 100

        assert part.name == whole.name[start : start + count]
        assert part.variance.tobytes() == whole.variance[start : start + count].tobytes()
        assert part.level[:-1].tobytes() == whole.level[start : start + count].tobytes()
        assert part.level[-1] == whole.level[start + count]


def test_bars_asked_backwards_equal_those_asked_at_once(settings):
    market, cuts = SimulatedMarket(settings), [FIRST + timedelta(hours=h) for h in (0, 5, 24, 31, 72)]
    spans = list(pairwise(cuts))
    backwards = [market.bars(BTC, *span, raw_bars=1).close for span in reversed(spans)][::-1]
    for kept in (market_module._day_bars, market_module._day_premium, market_module._day_path):
        kept.cache_clear()

    assert np.concatenate(backwards).tobytes() == market.bars(BTC, cuts[0], cuts[-1], raw_bars=1).close.tobytes()


def test_a_market_without_regimes_keeps_its_digest_and_one_with_them_has_another(make_settings, settings):
    # The digest that this market had before there were regimes.
    assert make_settings(edge=0.4).digest == "74451de332342ceb"
    assert settings.digest != make_settings().digest
    assert replace(settings, regimes=("calm", "turbulent")).digest != settings.digest


@pytest.mark.parametrize(
    ("regimes", "rule"),
    [
        (("sideways",), "regimes among calm, upward"),
        (("calm", "calm"), "every regime once"),
        (("calm", "upward"), "drifts sum to zero"),
    ],
)
def test_regimes_that_could_not_be_played_are_refused_naming_the_rule(make_settings, regimes, rule):
    with pytest.raises(SettingsError, match=rule):
        replace(make_settings(), regimes=regimes)
