from collections import Counter

import pytest

from helios_pipeline.core.errors import SimulationError
from simulated_venues.clock import VenueClock, instant, iso
from simulated_venues.faults import KINDS, Fault, Faults


def test_no_fault_strikes_before_one_is_started():
    faults = Faults("binance")

    assert faults.take("drop_messages", "btcusdt@aggTrade") is None
    assert faults.active("clock_skew") is None
    assert faults.describe() == []


def test_a_fault_strikes_only_where_its_pattern_matches():
    faults = Faults("binance")
    faults.start(Fault(kind="drop_messages", where="btcusdt@depth*"))

    assert faults.take("drop_messages", "btcusdt@depth@100ms")
    assert faults.take("drop_messages", "btcusdt@aggTrade") is None
    assert faults.take("mute", "btcusdt@depth@100ms") is None


def test_a_fault_with_a_count_ends_after_striking_so_often():
    faults = Faults("binance")
    faults.start(Fault(kind="depth_gap", count=2))

    assert [bool(faults.take("depth_gap", "BTCUSDT")) for _ in range(4)] == [True, True, False, False]
    assert faults.describe() == []


def test_looking_at_a_fault_does_not_count_as_a_strike():
    faults = Faults("binance")
    faults.start(Fault(kind="mute", count=1))

    assert [faults.active("mute") is not None for _ in range(3)] == [True] * 3


def test_what_happens_once_is_over_when_it_has_been_told():
    heard = []
    faults = Faults("dydx", listeners=[heard.append])
    faults.start(Fault(kind="restart", value=2.0))

    assert [fault.kind for fault in heard] == ["restart"]
    assert faults.describe() == []


def test_a_fault_with_seconds_ends_by_itself(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("simulated_venues.faults.time.monotonic", lambda: now[0])
    faults = Faults("dydx")
    faults.start(Fault(kind="halt_chain", seconds=5.0))

    now[0] = 104.0
    assert faults.describe()[0]["seconds_left"] == 1.0
    assert faults.seconds_active("halt_chain") == 4.0
    now[0] = 105.0
    assert faults.active("halt_chain") is None


def test_a_share_strikes_about_so_often_and_the_same_way_for_the_same_seed():
    def strikes(seed):
        faults = Faults("binance", seed=seed)
        faults.start(Fault(kind="drop_messages", share=0.25))
        return [faults.take("drop_messages", "x") is not None for _ in range(4_000)]

    assert strikes(3) == strikes(3)
    assert strikes(3) != strikes(4)
    assert 0.22 < Counter(strikes(3))[True] / 4_000 < 0.28


def test_a_fault_is_ended_by_its_number_and_all_at_once():
    faults = Faults("binance")
    first, second = faults.start(Fault(kind="mute")), faults.start(Fault(kind="clock_skew", value=1.0))

    assert faults.stop(first)
    assert not faults.stop(first)
    assert [each["number"] for each in faults.describe()] == [second]
    faults.stop_all()
    assert faults.describe() == []


def test_listeners_hear_of_each_fault_as_it_starts():
    heard = []
    faults = Faults("binance", listeners=[heard.append])
    faults.start(Fault(kind="disconnect"))

    assert [fault.kind for fault in heard] == ["disconnect"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "earthquake"}, "expected a kind among http_status"),
        ({"kind": "drop_messages", "share": 0.0}, "0 < share ≤ 1"),
        ({"kind": "drop_messages", "share": 1.5}, "0 < share ≤ 1"),
        ({"kind": "drop_messages", "count": 0}, "count ≥ 1"),
        ({"kind": "drop_messages", "seconds": -1.0}, "seconds > 0"),
        ({"kind": "halt_chain", "count": 2}, "because it lasts"),
        ({"kind": "clock_skew", "value": 5.0, "share": 0.5}, "because it lasts"),
        ({"kind": "restart", "value": 1.0, "seconds": 5.0}, "because it happens once"),
        ({"kind": "disconnect", "count": 2}, "because it happens once"),
        ({"kind": "slow_response"}, "value \\(milliseconds\\)"),
    ],
)
def test_a_fault_that_cannot_be_carried_out_is_refused(given, said):
    with pytest.raises(SimulationError, match=said):
        Fault(**given)


def test_a_venue_refuses_a_fault_of_the_other():
    with pytest.raises(SimulationError, match=r"fault at binance: expected one of http_status.*found halt_chain"):
        Faults("binance").start(Fault(kind="halt_chain"))


def test_every_kind_says_what_it_does():
    assert all(about.meaning and about.venues for about in KINDS.values())


def test_a_skewed_clock_is_wrong_by_as_much_as_the_fault_says(monkeypatch):
    monkeypatch.setattr("simulated_venues.clock.time.time_ns", lambda: 1_000_000 * 1_700_000_000_123)
    faults = Faults("binance")
    clock = VenueClock(faults)
    right = clock.now_ms()
    faults.start(Fault(kind="clock_skew", value=-1_500.0))

    assert (right, clock.now_ms()) == (1_700_000_000_123, 1_699_999_998_623)
    assert iso(right) == "2023-11-14T22:13:20.123Z"
    assert instant(right).isoformat() == "2023-11-14T22:13:20.123000+00:00"


def test_a_market_with_stale_prices_stands_at_the_instant_the_fault_began(monkeypatch):
    seconds = [50.0]
    monkeypatch.setattr("simulated_venues.faults.time.monotonic", lambda: seconds[0])
    monkeypatch.setattr("simulated_venues.clock.time.time_ns", lambda: round(seconds[0] * 1e9))
    faults = Faults("binance")
    clock = VenueClock(faults)
    faults.start(Fault(kind="stale_prices", where="BTCUSDT"))
    seconds[0] = 57.0

    assert clock.now_ms() == 57_000
    assert clock.market_ms("BTCUSDT") == 50_000
    assert clock.market_ms("ETHUSDT") == 57_000
