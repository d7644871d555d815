from helios_pipeline.core.status import StreamStatus
from live_engine.stream_ages import SKEW_WINDOW_SECONDS, ClockSkew, StreamAges

BTC = "BTCUSDT-PERP.BINANCE"


def test_an_expected_stream_that_never_came_is_stale_where_it_has_a_limit():
    ages = StreamAges([("trades", BTC), ("funding", BTC)], {"trades": 60.0})

    trades, funding = ages.statuses(100.0)

    assert trades == StreamStatus(stream="trades", instrument_id=BTC, age_seconds=None, limit_seconds=60.0)
    assert trades.stale
    assert not funding.stale


def test_an_age_is_the_time_since_the_last_arrival():
    ages = StreamAges([("trades", BTC)], {"trades": 60.0})
    ages.heard("trades", BTC, 40.0)

    assert [ages.statuses(now)[0].age_seconds for now in (40.0, 100.0, 100.5)] == [0.0, 60.0, 60.5]
    assert [ages.statuses(now)[0].stale for now in (100.0, 100.5)] == [False, True]


def test_skew_is_the_delay_of_the_fastest_message():
    skew = ClockSkew()
    for at, delay in enumerate((30.0, 12.0, 250.0, 15.0)):
        skew.note(1_000.0, 1_000.0 + delay, float(at))

    assert skew.milliseconds(4.0) == 12.0


def test_a_message_from_the_future_shows_a_venue_that_is_ahead():
    skew = ClockSkew()
    skew.note(6_000.0, 1_020.0, 0.0)

    assert skew.milliseconds(0.0) == -4_980.0


def test_a_skew_that_was_long_ago_is_forgotten():
    skew = ClockSkew()
    skew.note(0.0, -5_000.0, 0.0)
    skew.note(0.0, 20.0, 10.0)

    assert skew.milliseconds(SKEW_WINDOW_SECONDS) == -5_000.0
    assert skew.milliseconds(SKEW_WINDOW_SECONDS + 1.0) == 20.0
    assert skew.milliseconds(3 * SKEW_WINDOW_SECONDS) is None
