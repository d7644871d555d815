"""What the watchdog makes of an engine, case by case, and which alerts go out over time."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.live_settings import WatchdogSection
from live_engine.alert_book import AlertBook, advance, tell
from live_engine.gate_state import own_reasons
from live_engine.restarts import is_hung, seconds_before_start
from live_engine.risk_gate import blocks
from live_engine.watchdog import (
    Condition,
    EngineView,
    Judgement,
    Limits,
    judge_engine,
)
from tests.live_engine.statuses import NOW, market, status, stream
from tests.live_engine.test_risk_gate import LIMITS as GATE_LIMITS
from tests.live_engine.test_risk_gate import SOUND

SECTION = WatchdogSection(
    stale_heartbeat_seconds=15.0,
    start_seconds=120.0,
    first_backoff_seconds=1.0,
    longest_backoff_seconds=60.0,
    max_starts=5,
    within_minutes=15.0,
    webhook_format="helios",
    repeat_minutes=60.0,
)
LIMITS = Limits(watchdog=SECTION, reconcile_seconds=30.0, max_copy_lag_seconds=300.0)
REPEAT, QUIET = timedelta(minutes=60), timedelta(seconds=15)


def view(**changes):
    seen = EngineView(status=status(), unreadable="", age_seconds=0.5, watched_seconds=7200.0, alive=True, ended="")
    return replace(seen, **changes)


def kinds(seen):
    return [(each.kind, each.subject) for each in judge_engine(seen, LIMITS).conditions]


def refusals(*, journal=None, stopping=False):
    """Why a gate refuses entries for the engine's own reasons, as a heartbeat says it."""
    others = own_reasons(journal, stopping=stopping, lease=("lease: nobody could be asked",))
    return tuple(map(str, blocks(replace(SOUND, others=others), GATE_LIMITS)))


def test_nothing_is_wrong_with_a_sound_engine():
    assert kinds(view()) == []


@pytest.mark.parametrize(
    ("changes", "kind", "severity", "says"),
    [
        (
            {"ended": "ended with code 9: no key", "alive": False},
            "engine_down",
            "critical",
            "ended with code 9: no key",
        ),
        ({"alive": False, "age_seconds": 1.5}, "engine_down", "critical", "process 4711 has ended without a word"),
        ({"age_seconds": 15.5}, "engine_silent", "critical", "process 4711 lives, its heartbeat does not"),
        ({"status": None, "watched_seconds": 121.0}, "engine_absent", "critical", "said anything for 120 s"),
        ({"status": None, "unreadable": "damaged", "age_seconds": 16.0}, "heartbeat_unreadable", "critical", "damaged"),
    ],
)
def test_an_engine_that_is_gone_or_silent_is_that_and_nothing_else(changes, kind, severity, says):
    bad = {"status": status(mode="HALTED", trader_running=False)}

    (found,) = judge_engine(view(**(bad | changes)), LIMITS).conditions

    assert (found.kind, found.severity) == (kind, severity)
    assert says in found.summary


@pytest.mark.parametrize(
    ("changes", "kind", "subject", "severity", "says"),
    [
        ({"trader_running": False}, "trader_stopped", "", "critical", "its trader does not run"),
        (
            {"mode": "HALTED", "mode_who": "anna", "mode_why": "storm"},
            "mode",
            "HALTED",
            "critical",
            "HALTED by anna: storm",
        ),
        ({"mode": "REDUCING"}, "mode", "REDUCING", "warning", "by nobody known"),
        ({"differences": ("fill 7 is missing",)}, "reconciliation", "", "critical", "fill 7 is missing"),
        ({"reconciled_at": NOW - timedelta(seconds=91)}, "reconciliation_late", "", "warning", "for 91 s"),
        ({"reconciled_at": None}, "reconciliation_late", "", "warning", "for 7200 s"),
        ({"champion_note": "signature does not match"}, "champion_refused", "", "critical", "the one before trades on"),
        ({"champion": None, "champion_note": "none was promoted"}, "no_champion", "", "warning", "nothing is traded"),
        ({"copy_lag_seconds": 151.0}, "copy_lag", "", "warning", "151 s behind"),
        ({"blocked": refusals(journal="no room on the disk")}, "journal", "", "critical", "no order can be sent"),
        ({"blocked": refusals(stopping=True)}, "entries_blocked", "", "warning", "comes to an end"),
        ({"blocked": ("lost 5 % today",)}, "entries_blocked", "", "warning", "lost 5 % today"),
        ({"markets": (market(unknown_orders=2),)}, "unknown_order", "BTC-USD-PERP.DYDX", "critical", "of 2 orders"),
    ],
)
def test_each_thing_that_a_heartbeat_can_say_is_heard(changes, kind, subject, severity, says):
    (found,) = judge_engine(view(status=status(**changes)), LIMITS).conditions

    assert (found.kind, found.subject, found.severity) == (kind, subject, severity)
    assert says in found.summary


def test_streams_of_several_instruments_that_are_stale_are_one_matter():
    streams = [
        stream("quotes", f"{each}-USD-PERP.DYDX", age_seconds=31.0, limit_seconds=30.0) for each in ("BTC", "ETH")
    ]
    silent = stream("blocks", "", age_seconds=None, limit_seconds=15.0)

    quotes, blocks = judge_engine(view(status=status(streams=(*streams, silent, stream()))), LIMITS).conditions

    assert (quotes.subject, quotes.summary) == ("quotes", "quotes are stale: BTC-USD-PERP.DYDX, ETH-USD-PERP.DYDX")
    assert (blocks.subject, dict(blocks.facts)) == ("blocks", {"blocks": "nothing has come"})


def test_stale_marks_are_said_to_be_several():
    stale = stream("mark", "BTC-USD-PERP.DYDX", age_seconds=31.0, limit_seconds=30.0)

    (marks,) = judge_engine(view(status=status(streams=(stale,))), LIMITS).conditions

    assert (marks.subject, marks.summary) == ("mark", "marks are stale: BTC-USD-PERP.DYDX")


def test_an_engine_that_has_just_started_is_not_blamed_for_what_takes_time():
    young = status(
        started_at=NOW - timedelta(seconds=60),
        trader_running=False,
        reconciled_at=None,
        streams=(stream(age_seconds=None),),
        markets=(market(unknown_orders=1),),
        differences=("being looked at",),
        blocked=("trades have not come yet",),
    )

    judged = judge_engine(view(status=young), LIMITS)

    assert [each.kind for each in judged.conditions] == ["entries_blocked"]
    assert {"trader_stopped", "stale_stream", "reconciliation", "unknown_order"} <= judged.unjudged
    assert kinds(view(status=replace(young, mode="HALTED"))) == [("mode", "HALTED")]


def test_while_an_engine_starts_nothing_is_said():
    assert kinds(view(status=None, watched_seconds=60.0)) == []
    assert kinds(view(status=None, unreadable="half of another version", age_seconds=3.0, watched_seconds=3.0)) == []
    assert "engine_down" in judge_engine(view(status=None, watched_seconds=60.0), LIMITS).unjudged


def test_only_a_process_that_lives_and_has_said_nothing_for_long_is_hung():
    assert is_hung(view(age_seconds=121.0), SECTION)
    assert not is_hung(view(age_seconds=119.0), SECTION)
    assert not is_hung(view(age_seconds=500.0, alive=False), SECTION)
    assert not is_hung(view(age_seconds=359.0, status=None), SECTION)
    assert is_hung(view(age_seconds=361.0, status=None), SECTION)


def test_pauses_before_a_start_double_up_to_the_longest_and_too_many_starts_end_it():
    section = SECTION.model_copy(update={"max_starts": 9})
    starts, pauses = [], []
    while (pause := seconds_before_start(starts, NOW, section)) is not None:
        pauses.append(pause)
        starts.append(NOW - timedelta(minutes=14))

    assert pauses == [1, 1, 2, 4, 8, 16, 32, 60, 60]
    assert seconds_before_start(starts, NOW + timedelta(minutes=2), section) == 1


@given(ages=st.lists(st.floats(0, 3600), max_size=20), max_starts=st.integers(1, 8))
def test_an_engine_is_started_again_exactly_while_there_were_fewer_starts_than_allowed(ages, max_starts):
    section = SECTION.model_copy(update={"max_starts": max_starts})
    starts = [NOW - timedelta(seconds=age) for age in ages]

    pause = seconds_before_start(starts, NOW, section)

    recent = sum(now_minus < timedelta(minutes=15) for now_minus in (NOW - at for at in starts))
    assert (pause is None) == (recent >= max_starts)
    assert pause is None or 1.0 <= pause <= 60.0


def condition(kind="stale_stream", subject="trades", **changes):
    return Condition(kind=kind, subject=subject, summary=f"{subject} are stale", **changes)


def play(steps):
    """States of the alerts that go out, by second; `steps` is (second, conditions)."""
    book, told = AlertBook(account="DYDX-paper"), []
    for second, conditions in steps:
        found = conditions if isinstance(conditions, Judgement) else Judgement(conditions=tuple(conditions))
        book, alerts = advance(book, found, NOW + timedelta(seconds=second), repeat=REPEAT, quiet=QUIET)
        told += [(second, alert.state, alert.subject) for alert in alerts]
    return told


def test_an_alert_goes_out_when_it_begins_again_after_the_repeat_time_and_when_it_is_over():
    steps = [(second, [condition()]) for second in range(0, 7_205, 5)] + [
        (7_205, []),
        (7_215, []),
        (7_220, []),
        (7_300, []),
    ]

    assert play(steps) == [
        (0, "raised", "trades"),
        (3_600, "standing", "trades"),
        (7_200, "standing", "trades"),
        (7_215, "recovered", "trades"),
    ]


def test_what_must_stand_for_a_while_is_not_told_before_and_not_at_all_when_it_passes():
    held = condition(hold_seconds=15)

    assert play([(0, [held]), (14, [held]), (15, [held])]) == [(15, "raised", "trades")]
    assert play([(0, [held]), (10, []), (11, [held]), (25, [held]), (30, []), (99, [])]) == []


def test_what_comes_and_goes_is_told_once():
    flapping = [(second, [condition()] if second % 4 < 2 else []) for second in range(60)]

    assert play([*flapping, (80, [])]) == [(0, "raised", "trades"), (80, "recovered", "trades")]


def test_what_nobody_can_judge_is_neither_over_nor_told_again():
    unknown = Judgement(conditions=(), unjudged=frozenset({"stale_stream"}))

    assert play([(0, [condition()]), (100, unknown), (5_000, unknown), (5_001, [])]) == [
        (0, "raised", "trades"),
        (5_001, "recovered", "trades"),
    ]


def test_an_event_is_told_once_with_an_id_of_its_own():
    book, first = tell(AlertBook(account="DYDX-paper"), condition("gave_up", ""), NOW)
    _, second = tell(book, condition("gave_up", ""), NOW + timedelta(seconds=1))

    assert (first.state, book.last_told) == ("happened", (first,))
    assert first.alert_id != second.alert_id


@st.composite
def histories(draw):
    """Seconds that pass, and which of three conditions stand at each look."""
    subjects = st.frozensets(st.sampled_from(["trades", "quotes", "mark"]))
    looks = draw(st.lists(st.tuples(st.integers(1, 900), subjects), max_size=60))
    return [
        (seconds, tuple(condition(subject=each, hold_seconds=10) for each in sorted(here))) for seconds, here in looks
    ]


@given(history=histories())
def test_whatever_happens_alerts_of_a_condition_begin_repeat_after_an_hour_and_end_once(history):
    book, now = AlertBook(account="DYDX-paper"), NOW
    told, ids = {}, set()
    for seconds, conditions in history:
        now += timedelta(seconds=seconds)
        book, alerts = advance(book, Judgement(conditions=conditions), now, repeat=REPEAT, quiet=QUIET)
        for alert in alerts:
            told.setdefault(alert.subject, []).append(alert)
            assert alert.alert_id not in ids
            ids.add(alert.alert_id)
            assert alert.told_at == now

    for alerts in told.values():
        open_since: datetime | None = None
        last = None
        for alert in alerts:
            match alert.state:
                case "raised":
                    assert open_since is None
                    open_since = alert.since
                    assert alert.told_at - alert.since >= timedelta(seconds=10)
                case "standing":
                    assert alert.since == open_since
                    assert alert.told_at - last >= REPEAT
                case "recovered":
                    assert alert.since == open_since
                    open_since = None
            last = alert.told_at


@given(history=histories(), seed=st.integers(0, 2**32))
def test_looking_twice_at_the_same_moment_tells_nothing_new(history, seed):
    book, now = AlertBook(account="DYDX-paper"), NOW
    for seconds, conditions in history:
        now += timedelta(seconds=seconds)
        found = Judgement(conditions=conditions)
        book, _ = advance(book, found, now, repeat=REPEAT, quiet=QUIET)
        again, alerts = advance(book, found, now, repeat=REPEAT, quiet=QUIET)

        assert alerts == ()
        assert again == book


@given(
    mode=st.sampled_from(["ACTIVE", "REDUCING", "HALTED"]),
    running=st.booleans(),
    lag=st.floats(0, 1e6),
    note=st.text(max_size=5),
    champion=st.none() | st.just("ab" * 32),
    age=st.floats(0, 1e6),
    alive=st.booleans(),
    blocked=st.lists(st.text(max_size=20), max_size=3).map(tuple),
    up=st.integers(0, 10**6),
    quantity=st.decimals(allow_nan=False, allow_infinity=False),
)
def test_whatever_a_heartbeat_says_it_is_judged_and_no_condition_is_named_twice(
    mode, running, lag, note, champion, age, alive, blocked, up, quantity
):
    seen = view(
        status=status(
            mode=mode,
            trader_running=running,
            copy_lag_seconds=lag,
            champion_note=note,
            champion=champion,
            blocked=blocked,
            started_at=NOW - timedelta(seconds=up),
            markets=(market(quantity=Decimal(quantity)),),
        ),
        age_seconds=age,
        alive=alive,
    )

    judged = judge_engine(seen, LIMITS)

    keys = [(each.kind, each.subject) for each in judged.conditions]
    assert len(keys) == len(set(keys))
    assert not {each.kind for each in judged.conditions} & judged.unjudged
    if mode != "ACTIVE" or not running or blocked or age > 15 or not alive:
        assert keys or up <= 120
