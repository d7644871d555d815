import math

from hypothesis import given, settings
from hypothesis import strategies as st

from helios_pipeline.strategy.signal import MarketState, SignalRule, decide, signal

COMPILED = settings(deadline=None)
SCORES = st.one_of(st.floats(-6, 6), st.just(math.nan))
RULE = SignalRule(0.5, 2.0, 0.5, 96)
FLAT = MarketState(0, 0, True)


def in_position(side, bars_held=1):
    return MarketState(side, bars_held, True)


def test_flat_enters_against_the_move_at_the_level_itself():
    rule = SignalRule(0.0, 2.0, 0.5, 96)

    assert decide(FLAT, -2.0, math.nan, rule) == 1
    assert decide(FLAT, 2.0, math.nan, rule) == -1
    assert decide(FLAT, 1.99, math.nan, rule) == 0


def test_funding_adds_its_weight():
    assert signal(1.5, 1.0, 0.5) == 2.0
    assert decide(FLAT, 1.5, 1.0, RULE) == -1
    assert decide(FLAT, 1.5, 0.0, RULE) == 0


def test_a_weight_of_zero_leaves_funding_out():
    assert signal(1.5, math.nan, 0.0) == 1.5


def test_without_a_funding_score_nothing_enters_and_price_alone_exits():
    assert decide(FLAT, -5.0, math.nan, RULE) == 0
    assert decide(in_position(1), -0.5, math.nan, RULE) == 0
    assert decide(in_position(1), -0.6, math.nan, RULE) == 1
    assert decide(in_position(-1), 0.5, math.nan, RULE) == 0


def test_without_a_price_score_a_position_stays_until_its_time():
    assert decide(in_position(1, 95), math.nan, 1.0, RULE) == 1
    assert decide(in_position(1, 96), math.nan, 1.0, RULE) == 0
    assert decide(in_position(-1, 95), math.nan, math.nan, RULE) == -1


def test_nothing_enters_in_cooldown():
    assert decide(MarketState(0, 0, False), -5.0, 0.0, RULE) == 0


def test_exit_levels_mirror_each_other_and_may_lie_beyond_the_mean():
    rule = SignalRule(0.0, 2.0, -1.0, 96)

    assert decide(in_position(1), 0.99, 0.0, rule) == 1
    assert decide(in_position(1), 1.0, 0.0, rule) == 0
    assert decide(in_position(-1), -0.99, 0.0, rule) == -1
    assert decide(in_position(-1), -1.0, 0.0, rule) == 0


@COMPILED
@given(st.sampled_from([-1, 0, 1]), st.integers(0, 200), st.booleans(), SCORES, SCORES, st.floats(0, 2))
def test_a_decision_never_reverses_and_long_mirrors_short(side, held, may_enter, z_price, z_funding, weight):
    rule = SignalRule(weight, 2.0, 0.5, 96)

    wanted = decide(MarketState(side, held, may_enter), z_price, z_funding, rule)

    assert wanted in ((-1, 0, 1) if side == 0 else (side, 0))
    assert decide(MarketState(-side, held, may_enter), -z_price, -z_funding, rule) == -wanted
    if held >= 96 and side:
        assert wanted == 0
