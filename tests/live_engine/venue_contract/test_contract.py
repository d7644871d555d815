"""What every execution venue must do; `docs/adapters.md` explains each promise. A new venue is a case in conftest."""

from collections import Counter
from decimal import Decimal

import pytest

from helios_pipeline.core.venues import venue_client_id
from live_engine.venues import account_id

QUANTUM = Decimal("0.000001")


def test_it_connects_and_registers_the_account_that_the_registry_names(lives):
    assert lives.first["account"] == account_id(lives.case.choice(), lives.case.environment)
    assert lives.first["currencies"]


def test_a_market_entry_is_accepted_and_filled(lives):
    events = lives.first["events"][lives.first["entry"]]

    assert [each for each in events if each != "OrderFilled"] == ["OrderInitialized", "OrderSubmitted", "OrderAccepted"]
    assert events[-1] == "OrderFilled"


def test_nothing_is_told_that_is_not_journalled_before(lives):
    assert lives.first["untold"] == []
    assert lives.second.untold == []


def test_a_stop_rests_on_the_venue_with_its_exact_trigger(lives):
    [(number, quantity, trigger, reduce_only)] = lives.first["resting"]

    assert number == venue_client_id(lives.first["stop"])
    assert Decimal(quantity) == Decimal(lives.case.quantity)
    assert abs(Decimal(trigger) / Decimal(lives.first["mark"]) - Decimal("0.8")) < Decimal("0.01")
    assert reduce_only is True


def test_a_refusal_is_an_order_event_with_a_reason(lives):
    for events, filled, reason in (
        (lives.first["events"][lives.first["refused"]], Decimal(lives.first["refused_filled"]), lives.first["reason"]),
        (lives.second.events["refused"], lives.second.steps["refused"], lives.second.reasons["refused"]),
    ):
        assert events[-1] in {"OrderRejected", "OrderCanceled", "OrderExpired"}
        assert filled == 0
        assert reason


def test_after_a_kill_the_next_start_finds_the_same_orders_and_position_before_it_decides(lives):
    assert lives.second.found["orders"] == {lives.first["stop"]: "ACCEPTED"}
    assert lives.second.found["quantity"] == Decimal(lives.case.quantity)


def test_an_intent_that_was_never_sent_ends_and_is_not_sent_again(lives):
    assert lives.second.unknown == 0
    assert lives.second.at_start.quantity == Decimal(lives.case.quantity)


def test_a_stop_of_the_life_before_can_be_cancelled(lives):
    assert lives.second.events["cancelled"][-1] == "OrderCanceled"
    assert lives.second.steps["open_after_cancel"] == 0


def test_cancel_all_takes_back_everything_that_rests(lives):
    assert lives.second.steps["open_after_cancel_all"] == 0


def test_a_triggered_stop_closes_the_position(lives):
    assert lives.second.events["stopped"][-1] == "OrderFilled"


def test_a_reduce_only_exit_closes_and_never_turns_the_position(lives):
    assert lives.second.steps["left"] == Decimal(lives.case.quantity)
    assert lives.second.at_end.quantity == 0


def test_a_replay_of_all_reports_adds_no_fill_and_tells_none(lives):
    assert lives.second.fills_after_replay == lives.second.fills_before_replay
    assert "OrderFilled" not in lives.second.told_by_replay


@pytest.mark.parametrize("moment", ["at_start", "at_end"])
def test_reader_books_and_nautilus_agree_to_the_last_quantum(lives, moment):
    sides = getattr(lives.second, moment)
    in_venue = {i: position.quantity for i, position in sides.venue.positions.items()}

    assert sides.venue.quote_balance == sides.quote_balance
    assert in_venue == ({lives.case.instrument_id: sides.quantity} if sides.quantity else {})
    assert sides.nautilus_quantity == sides.quantity
    assert {order.venue_client_id for order in sides.venue.open_orders} == sides.open_ids
    assert Counter(f.venue_fill_id for f in sides.venue.fills) == Counter(f.venue_fill_id for f in sides.fills)
    told = {f.venue_fill_id: (f.quantity, f.price, f.fee) for f in sides.fills}
    assert {name: told[name] for name in sides.nautilus_fills} == sides.nautilus_fills


def test_the_account_that_is_told_is_the_one_there_is(lives):
    assert lives.second.at_end.quantity == 0
    assert lives.second.at_end.nautilus_cash == lives.second.at_end.venue.quote_balance


def test_fees_are_what_the_venue_charges(lives):
    for fill in lives.second.at_end.fills:
        exact = fill.quantity * fill.price * Decimal(lives.case.taker_fee_fraction)
        assert fill.liquidity == "taker"
        assert 0 <= fill.fee - exact < QUANTUM


def test_funding_is_booked_once_a_settlement(lives):
    sides = lives.second.at_end
    payments = [(p.instrument_id, p.settled_at, p.amount) for p in sides.funding]

    assert payments
    assert len({payment[:2] for payment in payments}) == len(payments)
    assert sorted((p.instrument_id, p.settled_at, p.amount) for p in sides.venue.funding) == sorted(payments)
    for payment in sides.funding:
        owed = -payment.position_quantity * payment.price * payment.rate
        assert payment.position_quantity == Decimal(lives.case.quantity)
        assert abs(owed - payment.amount) <= QUANTUM
