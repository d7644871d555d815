import numpy as np
import pytest

from helios_pipeline.core.records import FeatureSettings
from helios_pipeline.strategy.allocation import CONTRACT, AccountState, Limits
from helios_pipeline.strategy.boundary import NO_CHAMPION, MarketView, decide_markets
from helios_pipeline.strategy.desk import Features
from helios_pipeline.strategy.parameters import ParameterSet
from helios_pipeline.strategy.signal import MarketState
from helios_pipeline.strategy.terms import Terms

UNIT = 100_000_000
EQUITY = 100_000 * UNIT
TERMS = Terms(
    manifest_hash="champion",
    parameters=ParameterSet(
        lookback_bars=96,
        funding_weight=0.0,
        entry_z=2.0,
        exit_z=0.0,
        max_holding_bars=40,
        cooldown_bars=0,
        stop_atr=2.0,
    ),
    features=FeatureSettings(
        funding_lookback=3,
        funding_std_floor=1e-6,
        atr_bars=12,
        vol_lookback=24,
        periods_per_year=35_040,
        max_gap_bars=3,
        open_interest_delay_minutes=5,
    ),
    limits=Limits(0.4, 3.0, 3.0, 2),
    contracts=np.array([(10_000, 1, 5 * UNIT, 10**6 * UNIT, 0.1, 10**7, 1, 1000)] * 3, CONTRACT),
    traded=(True, True, True),
)


def view(side=0, **changed):
    held = {"state": MarketState(side, 3 if side else 0, True), "lots": 1_000 if side else 0}
    base = {
        "leaving": "",
        "pending_lots": 0,
        "close_ticks": 500_000,
        "lot_value": 10_000,
        "manifest_hash": "champion",
        "rule": TERMS.rule,
        "stop_atr": 2.0,
        "due": True,
        "has_bar": True,
        "quoted": True,
        "refusal": "",
    }
    return MarketView(**(base | held | changed))


def features(*scores):
    count = len(scores)
    return Features(np.array(scores), np.zeros(count), np.full(count, 0.4), np.full(count, 10.0))


def decided(views, scores, terms=TERMS):
    made = decide_markets(views, features(*scores), EQUITY, terms)
    return made, [one.outcome for one in made.markets]


def test_the_strongest_enter_first_and_the_rest_is_crowded_out():
    made, outcomes = decided([view(), view(), view()], [-2.5, 4.0, -3.0])

    assert outcomes == ["crowded_out", "enter", "enter"]
    assert made.entries == (1, 2)
    assert [one.entry_lots for one in made.markets] == [0, 2_000, 2_000]
    assert [one.wanted for one in made.markets] == [1, -1, 1]


@pytest.mark.parametrize("why", ["late", "pending", "blocked:stale_quotes"])
def test_a_refused_entry_takes_no_place(why):
    made, outcomes = decided([view(refusal=why), view(), view()], [-9.0, -2.5, -3.0])

    assert outcomes == [why, "enter", "enter"]
    assert made.entries == (2, 1)


def test_a_refusal_is_no_reason_when_nothing_was_wanted():
    assert decided([view(refusal="late")], [0.5])[1] == ["flat"]


def test_an_exit_is_decided_whatever_refuses_entries():
    assert decided([view(1, refusal="late"), view(-1, quoted=False)], [0.5, -0.5])[1] == ["exit:signal", "exit:signal"]


def test_a_position_that_exits_now_frees_its_place_and_one_whose_exit_is_under_way_does_not():
    leaving_now, _ = decided([view(1), view(), view()], [0.5, -3.0, -3.0])
    under_way, outcomes = decided([view(1, leaving="signal"), view(), view()], [0.5, -3.0, -3.0])

    assert leaving_now.account == AccountState(EQUITY, 0, 0)
    assert len(leaving_now.entries) == 2
    assert under_way.account == AccountState(EQUITY, 500_000 * 1_000 * 10_000, 1)
    assert outcomes == ["hold", "enter", "crowded_out"]


def test_an_entry_that_is_on_its_way_keeps_its_place():
    made, outcomes = decided([view(pending_lots=500, refusal="pending"), view(), view()], [-3.0, -3.0, -3.0])

    assert made.account == AccountState(EQUITY, 500_000 * 500 * 10_000, 1)
    assert outcomes == ["pending", "enter", "crowded_out"]


def test_a_market_that_is_not_due_counts_with_what_it_holds_and_decides_nothing():
    made, outcomes = decided([view(1, due=False), view(), view(due=False)], [0.5, -3.0, -9.0])

    assert made.account.open_kept == 1
    assert [one.market for one in made.markets] == [1]
    assert outcomes == ["enter"]


def test_an_entry_without_a_fresh_quote_is_cancelled_and_keeps_its_place():
    made, outcomes = decided([view(quoted=False), view(), view()], [-9.0, -2.5, -3.0])

    assert outcomes == ["cancelled", "crowded_out", "enter"]
    assert made.markets[0].entry_lots == 0


def test_without_a_champion_nothing_is_entered_and_a_position_is_kept():
    foreign = {"rule": None, "manifest_hash": "", "lot_value": 0}

    made, outcomes = decided([view(**foreign), view(1, **foreign)], [-9.0, 9.0], terms=None)

    assert outcomes == [NO_CHAMPION, "hold"]
    assert made.entries == ()


def test_a_position_of_an_earlier_champion_is_managed_on_its_own_terms():
    earlier = TERMS.rule._replace(exit_z=-1.0)

    assert decided([view(1, rule=earlier), view(1)], [0.5, 0.5])[1] == ["hold", "exit:signal"]
    assert decided([view(1, state=MarketState(1, 40, True))], [-9.0])[1] == ["exit:max_holding"]
