import pytest

from simulated_venues.dydx.block import Tampering
from simulated_venues.dydx.equity_tiers import stateful_limit
from simulated_venues.dydx.exchange import Exchange
from simulated_venues.dydx.fees import FeeTier, fee_quote_quantums
from simulated_venues.dydx.funding import payment_quote_quantums, settlement_instants
from simulated_venues.dydx.margin import Risk, is_allowed
from simulated_venues.dydx.records import (
    Filled,
    FundingPaid,
    FundingSettled,
    Moment,
    OrderFlags,
    OrderStatus,
    PositionChanged,
    RemovalReason,
    Side,
    TimeInForce,
    Transferred,
)
from simulated_venues.dydx.refusals import Refused
from simulated_venues.dydx.state import House
from tests.simulated_venues.dydx.background import ALICE, BOB, BTC, STEP, USDC, block, order
from tests.simulated_venues.dydx.scene import Scene, filled, statuses

IOC = TimeInForce.IOC
HOUR_MS = 3_600_000


def test_money_comes_in_moves_and_goes_out():
    scene = Scene()
    moved = scene.exchange.transfer(ALICE, BOB, 250, scene.moment, "AB")
    scene.exchange.withdraw(BOB, 1_000, scene.moment, "AC")

    assert [(e.sender, e.recipient, e.quote_quantums) for e in moved if isinstance(e, Transferred)] == [
        (ALICE, BOB, 250)
    ]
    assert scene.exchange.usdc(ALICE) == 10_000 * USDC - 250
    assert scene.exchange.usdc(BOB) == 10_000 * USDC + 250 - 1_000
    assert scene.exchange.house(House.OUTSIDE) == -20_000 * USDC + 1_000
    assert scene.exchange.total_quote_quantums() == 0


def test_a_withdrawal_leaves_the_initial_requirement():
    scene = Scene()
    scene.place(order(1, Side.BUY, 50, 40_001, time_in_force=IOC))
    free = scene.exchange.risk(ALICE, scene.moment).free_collateral

    scene.exchange.check_withdrawal(ALICE, free, scene.moment)
    with pytest.raises(Refused, match="NewlyUndercollateralized"):
        scene.exchange.check_withdrawal(ALICE, free + 1, scene.moment)


def test_a_fill_moves_its_money_to_the_quantum():
    scene = Scene()
    scene.place(order(1, Side.BUY, 3, 40_001, time_in_force=IOC))

    # 0.0003 BTC at 40,001 is 12.0003 USDC; 5 bp of it is 0.00600015, rounded up.
    assert scene.exchange.usdc(ALICE) == 10_000 * USDC - 12_000_300 - 6_001
    assert scene.exchange.house(House.FEE_COLLECTOR) == 6_001
    assert scene.exchange.house(House.BACKGROUND) == 12_000_300


def test_equity_requirements_and_free_collateral_follow_the_oracle():
    scene = Scene()
    scene.place(order(1, Side.SELL, 50, 39_999, time_in_force=IOC))
    scene.background.oracle = 41_000.0
    scene.next()
    risk = scene.exchange.risk(ALICE, scene.moment)

    # Short 0.005 BTC, worth −205 USDC; 2 % and 1.2 % of 205.
    assert risk == Risk(scene.exchange.usdc(ALICE) - 205 * USDC, 4_100_000, 2_460_000)
    assert risk.free_collateral == risk.equity - 4_100_000


@pytest.mark.parametrize(
    ("quote", "ppm", "fee"),
    [(1_000_000, 500, 500), (1_000_001, 500, 501), (1_000_001, -110, -110), (999_999, -110, -109)],
)
def test_fees_and_rebates_are_rounded_towards_plus_infinity(quote, ppm, fee):
    assert fee_quote_quantums(quote, ppm) == fee


def test_the_fee_follows_the_owners_volume_over_all_its_subaccounts():
    tiers = (
        FeeTier(volume_quote_quantums=0, taker_ppm=500, maker_ppm=100),
        FeeTier(volume_quote_quantums=100 * USDC, taker_ppm=300, maker_ppm=-110),
    )
    scene = Scene(tiers=tiers)
    first, second = (scene.place(order(n, Side.BUY, 25, 40_001, time_in_force=IOC)) for n in (1, 2))
    scene.place(order(3, Side.BUY, 10, 40_000))
    maker = scene.place(order(4, Side.SELL, 10, 40_000, who=BOB, time_in_force=IOC))
    fees = [e.fee_quote_quantums for e in (*first, *second, *maker) if isinstance(e, Filled)]

    # 100.0025 USDC twice, then 40 USDC: Bob takes at the lowest tier, Alice gets a rebate.
    assert fees == [50_002, 30_001, 20_000, -4_400]
    assert scene.exchange.total_quote_quantums() == 0


def test_volume_is_told_by_who_took_it():
    scene = Scene()
    scene.place(order(1, Side.BUY, 25, 40_001, time_in_force=IOC))
    scene.place(order(2, Side.BUY, 10, 40_000))
    scene.place(order(3, Side.SELL, 10, 40_000, who=BOB, time_in_force=IOC))
    again = Exchange((BTC,), scene.background)
    again.restore(scene.exchange.state())

    assert again.volumes(ALICE.owner) == scene.exchange.volumes(ALICE.owner) == (100_002_500, 40_000_000)
    assert again.volumes(BOB.owner) == (40_000_000, 0)


def test_volume_leaves_the_window_after_thirty_days_of_funding_intervals():
    scene = Scene()
    scene.exchange.deposit(ALICE, 10**13, scene.moment, "AA")
    since = block(0).at_ms
    scene.background.asks = [(40_001, 300_000, since)]
    scene.next()
    scene.place(order(1, Side.BUY, 255_000, 40_001, time_in_force=IOC))
    tiers = [scene.exchange.fee_tier(ALICE.owner).taker_ppm]
    for intervals in (719, 720):
        moment = Moment(height=10_000 + intervals, at_ms=block(2).at_ms + intervals * HOUR_MS)
        scene.exchange.begin_block(Moment(height=moment.height - 1, at_ms=moment.at_ms - 1), moment)
        tiers.append(scene.exchange.fee_tier(ALICE.owner).taker_ppm)

    assert tiers == [450, 450, 500]


def test_funding_is_settled_at_every_multiple_of_the_interval_and_pays_by_the_position_then():
    scene = Scene()
    scene.place(order(1, Side.BUY, 50, 40_001, time_in_force=IOC))
    scene.place(order(2, Side.SELL, 20, 39_999, time_in_force=IOC, who=BOB))
    scene.background.rate_e12 = 12_500_001
    first = (scene.moment.at_ms // HOUR_MS + 1) * HOUR_MS
    before = scene.exchange.usdc(ALICE), scene.exchange.usdc(BOB)
    moment = Moment(height=2_000, at_ms=first + HOUR_MS)
    events = scene.exchange.begin_block(scene.moment, moment)
    paid = [(e.subaccount, e.quote_quantums) for e in events if isinstance(e, FundingPaid)]

    # 0.005 BTC × 40,000 × 0.000012500001 is 0.0025000002 USDC to pay, rounded up; 0.002 BTC's 0.00100000008 is received
    # rounded down. Twice, in both markets settled.
    assert paid == [(ALICE, -2_501), (BOB, 1_000)] * 2
    assert len([e for e in events if isinstance(e, FundingSettled)]) == 4
    assert (scene.exchange.usdc(ALICE), scene.exchange.usdc(BOB)) == (before[0] - 5_002, before[1] + 2_000)
    assert scene.exchange.house(House.FUNDING_POOL) == 3_002
    assert scene.exchange.positions(ALICE)[0].funding_quote_quantums == -5_002
    assert scene.exchange.total_quote_quantums() == 0


def test_settlements_between_blocks_are_after_the_first_and_up_to_the_second():
    first, second = Moment(height=1, at_ms=60_000), Moment(height=2, at_ms=180_000)

    assert settlement_instants(first, second, 60_000) == [120_000, 180_000]
    assert payment_quote_quantums(BTC, -STEP, 40_000 * 10**8, 10**12) == 4 * USDC


def test_a_position_lives_from_flat_to_flat_and_a_new_one_begins_beyond_zero():
    scene = Scene()
    scene.place(order(1, Side.BUY, 10, 40_001, time_in_force=IOC))
    scene.place(order(2, Side.BUY, 5, 40_001, time_in_force=IOC))
    opened = scene.exchange.positions(ALICE)[0]
    scene.next()
    events = scene.place(order(3, Side.SELL, 20, 39_999, time_in_force=IOC))
    closed, new = (e.position for e in events if isinstance(e, PositionChanged))

    assert (opened.quantums, opened.max_quantums, opened.open_quantums) == (15 * STEP, 15 * STEP, 15 * STEP)
    assert opened.open_quote_quantums == 15 * 4_000_100
    assert (closed.position_id, closed.quantums, closed.closed) == (opened.position_id, 0, scene.moment)
    assert (closed.close_quantums, closed.close_quote_quantums) == (15 * STEP, 15 * 3_999_900)
    assert (new.quantums, new.open_quote_quantums, new.closed) == (-5 * STEP, 5 * 3_999_900, None)
    assert new.position_id != closed.position_id


def test_a_taker_stops_before_the_fill_that_it_can_not_afford():
    scene = Scene()
    scene.exchange.withdraw(ALICE, 9_995 * USDC, scene.moment, "AA")
    scene.background.asks = [(40_001, 40, 0), (40_002, 500, 0)]
    scene.next()
    events = scene.place(order(1, Side.BUY, 200, 40_002))

    # 5 USDC hold 0.005 BTC or so: 0.004 are bought, the next level would be too much, and nothing rests.
    assert filled(events) == [("alice", "TAKER", 40, 40_001)]
    assert statuses(events, 1)[-1] == (OrderStatus.CANCELED, RemovalReason.UNDERCOLLATERALIZED)


def test_a_resting_order_that_its_owner_can_no_longer_afford_is_removed_when_it_would_fill():
    scene = Scene()
    scene.place(order(1, Side.BUY, 100, 40_000))
    scene.exchange.withdraw(ALICE, 10_000 * USDC - 1, scene.moment, "AA")
    scene.background.tape = [(scene.moment.at_ms + 1, Side.SELL, 100, 39_990)]
    events = scene.next()

    assert not filled(events)
    assert statuses(events, 1)[-1] == (OrderStatus.CANCELED, RemovalReason.UNDERCOLLATERALIZED)


def test_an_order_that_could_not_be_afforded_does_not_rest_and_a_stateful_one_is_refused():
    scene = Scene()
    scene.exchange.withdraw(ALICE, 9_900 * USDC, scene.moment, "AA")
    events = scene.place(order(1, Side.BUY, 5_000, 39_000))

    assert statuses(events, 1)[-1] == (OrderStatus.CANCELED, RemovalReason.UNDERCOLLATERALIZED)
    with pytest.raises(Refused) as refused:
        scene.exchange.check(order(2, Side.BUY, 5_000, 39_000, flags=OrderFlags.LONG_TERM), scene.moment)
    assert refused.value.code == 3007


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        (Risk(100, 20, 12), Risk(50, 50, 30), True),
        (Risk(100, 20, 12), Risk(49, 50, 30), False),
        (Risk(40, 50, 30), Risk(30, 25, 15), True),
        (Risk(40, 50, 30), Risk(19, 25, 15), False),
        (Risk(40, 50, 30), Risk(45, 60, 36), False),
        (Risk(-5, 0, 0), Risk(-4, 0, 0), True),
        (Risk(-5, 0, 0), Risk(-5, 0, 0), False),
    ],
)
def test_below_the_initial_requirement_an_account_may_only_become_less_risky(before, after, allowed):
    assert is_allowed(before, after) is allowed


def indebted_scene(*, usdc: int, oracle: float) -> Scene:
    """Alice is long 0.1 BTC from 40,001 with some USDC of her own, and the oracle price falls."""
    scene = Scene()
    scene.background.asks = [(40_001, 2_000, 0)]
    scene.next()
    scene.place(order(1, Side.BUY, 1_000, 40_001, time_in_force=IOC))
    scene.exchange.withdraw(ALICE, 10_000 * USDC - usdc * USDC, scene.moment, "AA")
    scene.background.oracle = oracle
    return scene


def test_an_account_above_its_maintenance_requirement_is_left_alone():
    scene = indebted_scene(usdc=100, oracle=39_500.0)
    scene.background.bids = [(39_450, 2_000, 0)]

    # Equity is 100 − 50.1 − 2.00005 ≥ 1.2 % of 3,950.
    assert not filled(scene.next())


def test_a_liquidated_account_pays_to_the_insurance_fund_at_most_what_is_left_of_it():
    scene = indebted_scene(usdc=100, oracle=39_450.0)
    scene.background.bids = [(39_440, 2_000, 0)]
    equity = 100 * USDC - 1_000 * (4_000_100 - 3_945_000) - 2_000_050
    events = scene.next()
    fill = next(e for e in events if isinstance(e, Filled))

    assert filled(events) == [("alice", "TAKER", 1_000, 39_440)]
    assert (fill.kind, fill.order) == ("LIQUIDATED", None)
    # Above the bankruptcy price there is the equity less what the price is below the oracle: all of it goes.
    assert fill.fee_quote_quantums == equity - 1_000 * 1_000
    assert scene.exchange.usdc(ALICE) == 0
    assert scene.exchange.house(House.INSURANCE_FUND) == fill.fee_quote_quantums
    assert scene.exchange.total_quote_quantums() == 0


def test_a_liquidation_takes_no_price_worse_than_the_fillable_price_and_goes_on_in_the_next_block():
    scene = indebted_scene(usdc=100, oracle=39_450.0)
    scene.background.bids = [(39_440, 300, 0), (38_000, 5_000, 0)]
    first = scene.next()
    scene.background.bids = [(39_440, 5_000, scene.moment.at_ms + 500)]
    second = scene.next()

    assert filled(first) == [("alice", "TAKER", 300, 39_440)]
    assert filled(second) == [("alice", "TAKER", 700, 39_440)]


def test_the_insurance_fund_pays_for_a_bankrupt_account_and_may_owe():
    scene = indebted_scene(usdc=30, oracle=39_000.0)
    scene.background.bids = [(38_990, 2_000, 0)]
    events = scene.next()

    assert filled(events) == [("alice", "TAKER", 1_000, 38_990)]
    assert scene.exchange.usdc(ALICE) == 0
    assert scene.exchange.house(House.INSURANCE_FUND) < -60 * USDC
    assert scene.exchange.total_quote_quantums() == 0


def test_who_stands_against_a_liquidation_is_told_so_and_gets_no_rebate():
    scene = indebted_scene(usdc=100, oracle=39_450.0)
    scene.background.bids = [(39_400, 2_000, 0)]
    scene.place(order(2, Side.BUY, 400, 39_445, who=BOB))
    fills = [e for e in scene.next() if isinstance(e, Filled)]

    assert [(e.kind, e.liquidity, e.quantums // STEP) for e in fills[:2]] == [
        ("LIQUIDATED", "TAKER", 400),
        ("LIQUIDATION", "MAKER", 400),
    ]
    assert fills[1].fee_quote_quantums == 157_780


def test_a_jump_of_the_oracle_price_by_a_fault_liquidates():
    scene = indebted_scene(usdc=100, oracle=40_000.0)
    scene.background.bids = [(39_999, 2_000, 0)]

    assert not filled(scene.next())
    assert filled(scene.next(Tampering(oracle_ppm={"BTC-USD": 800_000})))


@pytest.mark.parametrize(("usdc", "limit"), [(19, 0), (20, 10), (99, 10), (100, 20), (1_000, 40), (100_000, 200)])
def test_equity_tiers_are_the_protocols(usdc, limit):
    assert stateful_limit(usdc * USDC) == limit
