"""The strategy where live differs from a backtest: bars that come late, champions that change, foreign fills."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import SubmitOrder
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.enums import LiquiditySide
from nautilus_trader.model.events import OrderAccepted, OrderCanceled, OrderFilled, OrderSubmitted
from nautilus_trader.model.identifiers import TradeId, VenueOrderId
from nautilus_trader.model.objects import Money

from helios_pipeline.core.calendar import BAR_INTERVAL
from helios_pipeline.core.trading import Intent
from helios_pipeline.execution.decision_backtest import backtest_decisions
from helios_pipeline.execution.replay import replay_decisions
from helios_pipeline.execution.restore import restore_market
from tests.execution.recorded_run import SECOND, Faults, RecordedRun
from tests.execution.test_restore import BUSY, TWO, decided_once
from tests.simulation.conftest import make_inputs

UNIT_OF_PANDAS = "The 'generic' unit for NumPy timedelta"
pytestmark = pytest.mark.filterwarnings(f"ignore:{UNIT_OF_PANDAS}:DeprecationWarning")

BARS = 80
LIVE = {"grace_ns": 2 * SECOND, "late_ns": 30 * SECOND, "quote_age_ns": 60 * SECOND}
FIRST, SECOND_MARKET = 0, 1


def run_of(**arguments):
    return RecordedRun(make_inputs(7, symbols=TWO, count=BARS), BUSY, **arguments)


def after_boundary(run):
    """(boundary, market) → seconds after the boundary at which it was decided."""
    names = [market.instrument_id for market in run.desk.markets]
    first = min(each.closed_at for each in run.desk.decisions) - BAR_INTERVAL
    return {
        ((each.closed_at - first) // BAR_INTERVAL, names.index(each.instrument_id)): each for each in run.desk.decisions
    }


def seconds(decision):
    return (decision.decided_at - decision.closed_at) / timedelta(seconds=1)


@pytest.mark.parametrize(
    ("delay", "other_decides", "decides", "has_bar", "late"),
    [(1, 1, 1, True, False), (5, 2, 5, True, False), (40, 2, 30, False, False)],
    ids=["within the grace", "after the grace", "after an entry may be decided"],
)
def test_a_bar_that_comes_later_decides_when_it_comes_and_keeps_the_others_waiting_for_the_grace_alone(
    delay, other_decides, decides, has_bar, late
):
    delays = {(boundary, SECOND_MARKET): delay * SECOND for boundary in range(10, 70)}
    run = run_of(delays=delays, **LIVE).go(BARS)

    decided = after_boundary(run)
    for boundary in range(10, 70):
        one, other = decided[boundary, FIRST], decided[boundary, SECOND_MARKET]
        assert (seconds(one), one.close is not None) == (other_decides, True)
        assert (seconds(other), other.close is not None, other.late) == (decides, has_bar, late)
    assert decided_once(run)
    assert len(run.desk.decisions) == 2 * BARS
    assert replay_decisions(run.desk.decisions, run.desk.markets, run.desk.terms_of).differences == ()
    run.close()


def test_markets_that_decide_apart_still_share_one_account():
    delays = {(boundary, SECOND_MARKET): 5 * SECOND for boundary in range(BARS)}
    inputs = make_inputs(7, symbols=TWO, count=BARS, max_open=1)
    run = RecordedRun(inputs, BUSY, delays=delays, **LIVE)

    for _ in range(BARS):
        run.go(1)
        assert sum(bool(holding.side) for holding in run.holdings) <= 1
    outcomes = Counter(each.outcome for each in run.desk.decisions)
    assert outcomes["crowded_out"] > 0
    assert backtest_decisions(run.desk.records, run.desk.markets, run.desk.terms_of, BAR_INTERVAL).differences == ()
    run.close()


def test_a_bar_that_is_told_twice_is_decided_once():
    run = run_of(**LIVE).go(10)
    bars = run.bars(8, 9)

    for bar in bars:
        run.strategy.handle_bar(bar)

    assert len(run.desk.decisions) == len({(d.instrument_id, d.closed_at) for d in run.desk.decisions})
    run.close()


def test_a_new_champion_is_taken_over_by_each_instrument_as_it_becomes_flat():
    run = run_of()
    while len([holding for holding in run.holdings if holding.side]) != 1:
        run.go(1)
    (held,) = [m for m, holding in enumerate(run.holdings) if holding.side]
    count = len(run.desk.records)
    run.desk.promote("newer", entry_z=0.9)

    run.go(30)

    names = [market.instrument_id for market in run.desk.markets]
    traded_on = defaultdict(list)
    for each in run.desk.records[count:]:
        if hasattr(each, "manifest_hash"):
            traded_on[names.index(each.instrument_id)].append((each.manifest_hash, each.position_side))
    assert {name for name, _ in traded_on[1 - held]} == {"newer"}
    switched = [name for name, _ in traded_on[held]].index("newer")
    assert 0 < switched < 10
    assert all(name == "champion" and side for name, side in traded_on[held][:switched])
    assert traded_on[held][switched] == ("newer", 0)
    assert {name for name, _ in traded_on[held][switched:]} == {"newer"}
    assert run.desk.took == [("champion", (0, 1)), ("newer", (1 - held,)), ("newer", (held,))]
    assert replay_decisions(run.desk.decisions, run.desk.markets, run.desk.terms_of).differences == ()
    assert backtest_decisions(run.desk.records, run.desk.markets, run.desk.terms_of, BAR_INTERVAL).differences == ()
    run.close()


def test_a_restart_manages_a_position_on_the_champion_that_opened_it():
    run = run_of()
    while len([holding for holding in run.holdings if holding.side]) != 1:
        run.go(1)
    (held,) = [m for m, holding in enumerate(run.holdings) if holding.side]
    run.desk.promote("newer", entry_z=0.9)

    run.go(1).stop().restart().go(1)

    market = run.strategy.markets[held]
    if market.holding.side:
        assert market.terms.manifest_hash == "champion"
    assert run.strategy.markets[1 - held].terms.manifest_hash == "newer"
    run.close()


def test_a_position_whose_champion_is_lost_is_left():
    run = run_of()
    while not any(holding.side for holding in run.holdings):
        run.go(1)
    run.stop()
    run.desk._known.clear()
    run.desk.promote(None)

    run.restart().go(2)

    exits = [each for each in run.desk.records if isinstance(each, Intent) and each.purpose == "exit"]
    assert {each.reason for each in exits} == {"terms_lost"}
    assert not any(holding.side for holding in run.holdings)
    assert {each.outcome for each in run.desk.decisions[-2:]} == {"no_champion"}
    run.close()


def test_without_a_champion_everything_is_recorded_and_nothing_traded_until_there_is_one():
    run = run_of()
    run.desk.promote(None)
    run.go(30)
    before = Counter(each.outcome for each in run.desk.decisions)
    run.desk._terms = run.desk._known["champion"]

    run.go(30)

    assert before == Counter(no_champion=58), "at the start itself nothing is decided"
    assert run.fills
    run.close()


def test_a_champion_that_expires_while_a_position_is_held_manages_it_to_its_end():
    run = run_of()
    while not any(holding.side for holding in run.holdings):
        run.go(1)
    count = len(run.desk.decisions)
    run.desk.promote(None)

    run.go(20)

    managed = [each for each in run.desk.decisions[count:] if each.position_side]
    assert {each.manifest_hash for each in managed} == {"champion"}
    assert any(isinstance(each, Intent) and each.purpose == "stop" for each in run.desk.records)
    assert not any(holding.side for holding in run.holdings)
    assert {each.outcome for each in run.desk.decisions[-2:]} == {"no_champion"}
    run.close()


def test_a_journal_that_cannot_be_written_stops_every_order():
    run = run_of().go(40)
    run.desk.broken = True
    count = len(run.desk.records)

    run.go(30)

    assert not any(isinstance(each, Intent) and each.purpose != "stop" for each in run.desk.records[count:])
    assert run.strategy.refusals["not_recorded"] == 60
    run.close()


def test_a_fill_of_somebody_elses_order_is_taken_in_and_the_position_left():
    run = run_of().go(5)
    while run.holdings[0].side:
        run.go(1)
    strategy = run.strategy
    instrument = run.book.instruments[0]

    stranger = run.add_stranger()
    stranger.buy(instrument, run.book.quantity(0, 100))
    run.go(1)

    exits = [each for each in run.desk.records if isinstance(each, Intent) and each.purpose == "exit"]
    assert exits
    assert exits[-1].reason == "unasked"
    assert exits[-1].quantity == 100 * run.desk.markets[0].lot == Decimal("0.100")
    left = restore_market(run.desk.records, run.desk.markets[0], run.desk.cooldown)
    assert left.holding == strategy.markets[0].holding
    run.close()


class LateFill(RecordedRun):
    """The first entry is cancelled by the venue, which tells one of its fills much later."""

    order = None

    def _fill_a_part(self, order, lots):
        engine = self.engine.kernel.exec_engine
        if self.order is not None or order.is_reduce_only:
            engine.execute(SubmitOrder(order.trader_id, order.strategy_id, order, UUID4(), order.ts_init))
            return
        self.order, named = order, self._named(order)
        at = self.engine.kernel.clock.timestamp_ns()
        engine.process(OrderSubmitted(*named, self._account, UUID4(), at, at))
        engine.process(OrderAccepted(*named, VenueOrderId("late"), self._account, UUID4(), at, at))
        engine.process(OrderCanceled(*named, VenueOrderId("late"), self._account, UUID4(), at, at))

    def tell_fill(self):
        order, at = self.order, self.engine.kernel.clock.timestamp_ns()
        price = self.engine.cache.quote_tick(order.instrument_id).ask_price
        trade = (VenueOrderId("late"), self._account, TradeId("late"), None, order.side, order.order_type)
        fill = (order.quantity, price, USDT, Money(0, USDT), LiquiditySide.TAKER)
        self.engine.kernel.exec_engine.process(OrderFilled(*self._named(order), *trade, *fill, UUID4(), at, at))

    @property
    def _account(self):
        return self.engine.cache.account_for_venue(self.book.venue).id

    def _named(self, order):
        return order.trader_id, order.strategy_id, order.instrument_id, order.client_order_id


def test_an_entry_that_is_filled_when_its_champion_is_gone_is_left_at_once():
    run = LateFill(make_inputs(7, symbols=TWO, count=BARS), BUSY, faults=Faults(cut=1.0))
    while run.order is None:
        run.go(1)
    run.desk.promote(None)
    market = next(each for each in run.strategy.markets if each.traded.id == run.order.instrument_id)
    while market.terms is not None:
        run.go(1)

    run.tell_fill()
    left = market.holding
    run.go(1)

    assert (left.lots, left.leaving) == (market.lots(run.order.quantity), "terms_lost")
    exits = [each for each in run.desk.records if isinstance(each, Intent) and each.purpose == "exit"]
    assert exits[-1].reason == "terms_lost"
    assert not market.holding.side
    run.close()


@pytest.mark.parametrize(("age_ns", "goes_out"), [(None, True), (60 * SECOND, False)], ids=["not needed", "needed"])
def test_an_exit_waits_for_a_quote_where_it_needs_one_and_says_so(age_ns, goes_out):
    run = run_of(exit_quote_age_ns=age_ns)
    while not any(holding.side for holding in run.holdings):
        run.go(1)
    held = [market for market in run.strategy.markets if market.holding.side]

    run.mute_quotes().go(10)

    exits = [each for each in run.desk.records if isinstance(each, Intent) and each.purpose == "exit"]
    assert bool(exits) == goes_out
    assert {market.waiting for market in held} == ({""} if goes_out else {"no fresh quote"})
    assert all(bool(market.holding.side) != goes_out for market in held)
    run.close()


def test_a_boundary_whose_decision_fails_sends_nothing_and_is_counted_and_the_next_is_decided():
    run = run_of(**LIVE).go(10)
    while any(market.holding.side for market in run.strategy.markets):
        run.go(1)
    terms, count = run.desk.champion, len(run.desk.records)
    run.desk._terms = replace(terms, manifest_hash="for no market", traded=())

    run.go(20)
    failed, counted = run.desk.records[count:], run.strategy.refusals["not_decided"]
    run.desk._terms = terms
    run.go(20)

    assert failed == []
    assert counted == 40
    assert len(run.desk.decisions) > 2 * 15
    assert run.fills
    run.close()


def test_a_backtest_ends_with_the_error_of_a_decision():
    run = run_of().go(2)
    run.desk._terms = replace(run.desk.champion, traded=())

    with pytest.raises(IndexError):
        run.go(2)
    run.engine.dispose()
